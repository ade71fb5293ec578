//! Downloads: kept by digest where BuildStream keeps them, checked before they are.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use headstart_merkle::BlobDigest;
use headstart_project::Address;

use crate::capture::digest_of;
use crate::error::SourceError;

/// The file behind an address whose SHA-256 is `sha256`, fetched if it is not in `folder` yet.
pub(crate) fn fetch(
    address: &Address,
    sha256: &str,
    folder: &Path,
) -> Result<PathBuf, SourceError> {
    let path = folder.join(sha256);
    if path.is_file() {
        if digest_of_file(&path)?.hex() == sha256 {
            return Ok(path);
        }
        tracing::warn!(path = %path.display(), "a download is damaged, and is fetched again");
    }
    download(address, Some(sha256), folder)?;
    Ok(path)
}

/// Fetches what is behind an address now, and gives its SHA-256, by which it is kept in `folder`.
pub(crate) fn fetch_newest(address: &Address, folder: &Path) -> Result<String, SourceError> {
    download(address, None, folder)
}

/// Tries all places of an address; `expected` is the SHA-256 that the file must have.
fn download(
    address: &Address,
    expected: Option<&str>,
    folder: &Path,
) -> Result<String, SourceError> {
    fs::create_dir_all(folder).map_err(|error| SourceError::io(folder, error))?;
    let mut reasons = Vec::new();
    for place in &address.places {
        match fetch_from(place, expected, folder)? {
            Ok(sha256) => return Ok(sha256),
            Err(reason) => reasons.push(format!("{place}: {reason}")),
        }
    }
    Err(SourceError::Fetch {
        url: address.url.to_string(),
        reasons,
    })
}

/// Tries one place; gives the file's SHA-256, or the reason if it can't be had there.
fn fetch_from(
    place: &str,
    expected: Option<&str>,
    folder: &Path,
) -> Result<Result<String, String>, SourceError> {
    let mut file = tempfile::Builder::new()
        .prefix(".headstart-")
        .tempfile_in(folder)
        .map_err(|error| SourceError::io(folder, error))?;
    if let Some(local) = place.strip_prefix("file://") {
        let copied = File::open(percent_decoded(local))
            .and_then(|mut from| io::copy(&mut from, file.as_file_mut()));
        if let Err(error) = copied {
            return Ok(Err(error.to_string()));
        }
    } else if let Some(reason) = fetch_by_curl(place, file.path())? {
        return Ok(Err(reason));
    }
    let sha256 = digest_of_file(file.path())?.hex();
    if let Some(expected) = expected
        && sha256 != expected
    {
        let reason = format!("its SHA-256 is {sha256}, expected the `ref` {expected}");
        return Ok(Err(reason));
    }
    let path = folder.join(&sha256);
    file.persist(&path)
        .map_err(|error| SourceError::io(&path, error.error))?;
    Ok(Ok(sha256))
}

fn digest_of_file(path: &Path) -> Result<BlobDigest, SourceError> {
    let failed = |error| SourceError::io(path, error);
    digest_of(&mut File::open(path).map_err(failed)?).map_err(failed)
}

fn fetch_by_curl(address: &str, to: &Path) -> Result<Option<String>, SourceError> {
    if !["http://", "https://", "ftp://"]
        .iter()
        .any(|scheme| address.starts_with(scheme))
    {
        return Ok(Some(
            "expected a file, http, https or ftp address".to_owned(),
        ));
    }
    let output = Command::new("curl")
        .args([
            "--fail",
            "--location",
            "--silent",
            "--show-error",
            "--retry",
            "2",
            "--output",
        ])
        .arg(to)
        .args(["--url", address])
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => Ok(None),
        Ok(output) => Ok(Some(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        )),
        Err(_) => Err(SourceError::NoProgram {
            program: "curl",
            purpose: "fetch sources from the network",
        }),
    }
}

/// The folder of an address: all but letters, digits and `%` become `_`.
pub(crate) fn directory_name(url: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '%';
    url.chars()
        .map(|c| if plain(c) { c } else { '_' })
        .collect()
}

pub(crate) fn percent_decoded(text: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = bytes.get(at + 1..at + 3).and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            (bytes[at] == b'%')
                .then(|| u8::from_str_radix(digits, 16).ok())
                .flatten()
        });
        decoded.push(code.unwrap_or(bytes[at]));
        at += if code.is_some() { 3 } else { 1 };
    }
    std::ffi::OsString::from_vec(decoded).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_folders_and_paths() {
        assert_eq!(directory_name("crates:a-1.0.crate"), "crates_a_1_0_crate");
        assert_eq!(percent_decoded("/a%20b%2"), Path::new("/a b%2"));
    }
}
