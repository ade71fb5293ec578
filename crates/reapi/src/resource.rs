//! Resource names of the ByteStream service, as the REAPI defines them.
//!
//! Reads are `[INSTANCE/]blobs/HASH/SIZE[/…]`, writes `[INSTANCE/]uploads/UUID/blobs/HASH/SIZE[/…]`; what
//! travels compressed has `compressed-blobs/COMPRESSOR/` in place of `blobs/`.
//! An instance name may itself contain slashes, but no segment of it may be a keyword of the API.

use thiserror::Error;

/// A blob that a ByteStream call names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceName {
    /// The instance name, without surrounding slashes; empty for the default one.
    pub instance: String,
    /// The upload's unique name: set for writes only.
    pub upload: Option<String>,
    /// The hash, as written.
    pub hash: String,
    /// The size of the content in bytes, never negative.
    pub size_bytes: i64,
    /// How the content travels; empty if as it is.
    pub compressor: String,
}

/// A resource name that is not of the form the REAPI gives.
#[derive(Debug, Error)]
#[error(
    "resource name {name:?} is not valid: expected [INSTANCE/]blobs/HASH/SIZE to read or \
     [INSTANCE/]uploads/UUID/blobs/HASH/SIZE to write"
)]
pub struct InvalidResourceName {
    name: String,
}

impl ResourceName {
    /// Parses the name of a blob to read.
    pub fn parse_read(name: &str) -> Result<Self, InvalidResourceName> {
        Self::parse(name, false)
    }

    /// Parses the name of a blob to write.
    pub fn parse_write(name: &str) -> Result<Self, InvalidResourceName> {
        Self::parse(name, true)
    }

    fn parse(name: &str, write: bool) -> Result<Self, InvalidResourceName> {
        let invalid = || InvalidResourceName {
            name: name.to_owned(),
        };
        let segments: Vec<&str> = name.split('/').collect();
        let is_keyword = |segment: &&str| match write {
            true => *segment == "uploads",
            false => matches!(*segment, "blobs" | "compressed-blobs"),
        };
        let at = segments.iter().position(is_keyword).ok_or_else(invalid)?;
        let (upload, rest) = match (write, &segments[at..]) {
            (false, rest) => (None, rest),
            (true, [_, uuid, rest @ ..]) => (Some((*uuid).to_owned()), rest),
            (true, _) => return Err(invalid()),
        };
        let (compressor, rest) = match rest {
            ["blobs", rest @ ..] => (String::new(), rest),
            ["compressed-blobs", compressor, rest @ ..] => ((*compressor).to_owned(), rest),
            _ => return Err(invalid()),
        };
        let [hash, size, ..] = rest else {
            return Err(invalid());
        };
        let size_bytes = size
            .parse()
            .ok()
            .filter(|size| *size >= 0)
            .ok_or_else(invalid)?;
        Ok(Self {
            instance: segments[..at].join("/"),
            upload,
            hash: (*hash).to_owned(),
            size_bytes,
            compressor,
        })
    }
}

/// The name to read a blob by.
pub fn read_name(instance: &str, hash: &str, size_bytes: i64) -> String {
    format!("{}blobs/{hash}/{size_bytes}", prefix(instance))
}

/// The name to read a blob by that travels compressed.
pub fn compressed_read_name(
    instance: &str,
    compressor: &str,
    hash: &str,
    size_bytes: i64,
) -> String {
    let prefix = prefix(instance);
    format!("{prefix}compressed-blobs/{compressor}/{hash}/{size_bytes}")
}

/// The name to write a blob by; `upload` must be unique to this upload.
pub fn write_name(instance: &str, upload: &str, hash: &str, size_bytes: i64) -> String {
    format!(
        "{}uploads/{upload}/blobs/{hash}/{size_bytes}",
        prefix(instance)
    )
}

fn prefix(instance: &str) -> String {
    if instance.is_empty() {
        String::new()
    } else {
        format!("{instance}/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_a_round_trip() {
        for instance in ["", "main", "a/b"] {
            let read = ResourceName::parse_read(&read_name(instance, "ab12", 7)).unwrap();
            assert_eq!(
                (read.instance.as_str(), read.hash.as_str(), read.size_bytes),
                (instance, "ab12", 7)
            );
            let compressed = compressed_read_name(instance, "zstd", "ab12", 7);
            let compressed = ResourceName::parse_read(&compressed).unwrap();
            assert_eq!(compressed.compressor, "zstd");
            assert_eq!(compressed.instance, instance);
            let write = ResourceName::parse_write(&write_name(instance, "u-1", "ab12", 7)).unwrap();
            assert_eq!(write.upload.as_deref(), Some("u-1"));
            assert_eq!(write.instance, instance);
        }
    }

    #[test]
    fn trailing_metadata_is_allowed_and_nonsense_is_not() {
        assert!(ResourceName::parse_write("uploads/u/blobs/ab/3/some/file.txt").is_ok());
        let compressed = ResourceName::parse_write("i/uploads/u/compressed-blobs/zstd/ab/3");
        assert_eq!(compressed.unwrap().compressor, "zstd");
        let plain = ResourceName::parse_read("compressed-blobs/zstd/ab/3").unwrap();
        assert_eq!((plain.hash.as_str(), plain.instance.as_str()), ("ab", ""));
        for bad in [
            "",
            "blobs",
            "compressed-blobs/ab/3",
            "blobs/ab",
            "blobs/ab/-1",
            "blobs/ab/x",
            "a/b/c",
        ] {
            assert!(ResourceName::parse_read(bad).is_err(), "{bad}");
        }
        assert!(ResourceName::parse_write("uploads/u/ab/3").is_err());
    }
}
