//! SHA-256 digests with the size of what they name, typed by the kind of message behind them.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher as StdHasher};
use std::marker::PhantomData;
use std::str::FromStr;

use headstart_reapi::reapi;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// Marks a digest of bytes of which nothing else is said.
pub enum Blob {}
/// Marks a digest of a `Directory` message.
pub enum DirectoryMessage {}
/// Marks a digest of an `Action` message.
pub enum ActionMessage {}
/// Marks a digest of a `Command` message.
pub enum CommandMessage {}

/// A digest of any bytes.
pub type BlobDigest = Digest<Blob>;
/// A digest of a `Directory` message.
pub type DirectoryDigest = Digest<DirectoryMessage>;
/// A digest of an `Action` message.
pub type ActionDigest = Digest<ActionMessage>;
/// A digest of a `Command` message.
pub type CommandDigest = Digest<CommandMessage>;

/// The SHA-256 hash and the size in bytes of some content of kind `K`.
///
/// Two digests of different kinds can't be mixed up; [`Digest::cast`] says that it is meant.
pub struct Digest<K = Blob> {
    hash: [u8; 32],
    size: u64,
    kind: PhantomData<fn() -> K>,
}

/// A digest that is not one: from a message, a name or a command line.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum InvalidDigest {
    /// The hash is not that of SHA-256.
    #[error("{0:?} is not a SHA-256 hash: expected 64 lower-case hexadecimal digits")]
    Hash(String),
    /// The size is negative or no number.
    #[error("{0:?} is not a size in bytes")]
    Size(String),
    /// Not of the form HASH/SIZE.
    #[error("{0:?} is not a digest: expected HASH/SIZE")]
    Form(String),
    /// A message lacks a digest that it must have.
    #[error("a digest is missing")]
    Missing,
}

impl<K> Digest<K> {
    /// The digest of `content`.
    pub fn of(content: &[u8]) -> Self {
        Self::new(Sha256::digest(content).into(), content.len() as u64)
    }

    /// A digest from its parts, which are taken on trust.
    pub const fn new(hash: [u8; 32], size: u64) -> Self {
        Self {
            hash,
            size,
            kind: PhantomData,
        }
    }

    /// The hash's bytes.
    pub const fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// The size of the content in bytes.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The hash as 64 lower-case hexadecimal digits.
    pub fn hex(&self) -> String {
        const_hex::encode(self.hash)
    }

    /// The same digest, now said to be of another kind.
    pub const fn cast<L>(&self) -> Digest<L> {
        Digest::new(self.hash, self.size)
    }

    /// The same digest as plain content.
    pub const fn blob(&self) -> BlobDigest {
        self.cast()
    }

    /// Whether it is the digest of no bytes at all.
    pub fn is_of_nothing(&self) -> bool {
        self.size == 0 && self.matches(b"")
    }

    /// Whether `content` is what this digest names.
    pub fn matches(&self, content: &[u8]) -> bool {
        self.size == content.len() as u64 && *self == Self::of(content)
    }

    /// The digest with `hash` in hexadecimal digits.
    pub fn from_hex(hash: impl AsRef<[u8]>, size: u64) -> Result<Self, InvalidDigest> {
        let hash = hash.as_ref();
        let invalid = || InvalidDigest::Hash(String::from_utf8_lossy(hash).into_owned());
        if hash.len() != 64 || hash.iter().any(u8::is_ascii_uppercase) {
            return Err(invalid());
        }
        let mut bytes = [0; 32];
        const_hex::decode_to_slice(hash, &mut bytes).map_err(|_| invalid())?;
        Ok(Self::new(bytes, size))
    }

    /// The digest in a message's field, which must be set.
    pub fn required(field: Option<&reapi::Digest>) -> Result<Self, InvalidDigest> {
        Self::from_parts(field.map(|field| (field.hash.as_bytes(), field.size_bytes)))
    }

    /// The digest with the hash and size of a message's field, which must be set.
    pub(crate) fn from_parts(parts: Option<(&[u8], i64)>) -> Result<Self, InvalidDigest> {
        let (hash, size) = parts.ok_or(InvalidDigest::Missing)?;
        let size = u64::try_from(size).map_err(|_| InvalidDigest::Size(size.to_string()))?;
        Self::from_hex(hash, size)
    }
}

impl<K> TryFrom<&reapi::Digest> for Digest<K> {
    type Error = InvalidDigest;

    fn try_from(message: &reapi::Digest) -> Result<Self, InvalidDigest> {
        Self::required(Some(message))
    }
}

impl<K> From<Digest<K>> for reapi::Digest {
    fn from(digest: Digest<K>) -> Self {
        Self {
            hash: digest.hex(),
            size_bytes: i64::try_from(digest.size).unwrap_or(i64::MAX),
        }
    }
}

impl<K> FromStr for Digest<K> {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let (hash, size) = text
            .split_once('/')
            .ok_or_else(|| InvalidDigest::Form(text.to_owned()))?;
        let size = size
            .parse()
            .map_err(|_| InvalidDigest::Size(size.to_owned()))?;
        Self::from_hex(hash, size)
    }
}

impl<K> fmt::Display for Digest<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.hex(), self.size)
    }
}

impl<K> fmt::Debug for Digest<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", const_hex::encode(&self.hash[..6]), self.size)
    }
}

// Derived implementations would ask for the same of `K`, which is only a mark.
impl<K> Clone for Digest<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Digest<K> {}
impl<K> PartialEq for Digest<K> {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.size == other.size
    }
}
impl<K> Eq for Digest<K> {}
impl<K> Hash for Digest<K> {
    fn hash<H: StdHasher>(&self, state: &mut H) {
        // Half of it tells any two contents apart as far as a table needs to.
        state.write(&self.hash[..16]);
    }
}
impl<K> PartialOrd for Digest<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Digest<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.hash, self.size).cmp(&(other.hash, other.size))
    }
}

/// Hashes content that comes in pieces.
#[derive(Default, Clone)]
pub struct Hasher {
    state: Sha256,
    size: u64,
}

impl Hasher {
    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.state.update(piece);
        self.size += piece.len() as u64;
    }

    /// The digest of all pieces.
    pub fn finish<K>(self) -> Digest<K> {
        Digest::new(self.state.finalize().into(), self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_blob_has_its_well_known_digest() {
        let empty: BlobDigest = Digest::of(b"");
        let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855/0";
        assert_eq!(empty.to_string(), text);
        assert_eq!(text.parse::<BlobDigest>().unwrap(), empty);
    }

    #[test]
    fn pieces_hash_like_the_whole() {
        let mut hasher = Hasher::default();
        hasher.update(b"ab");
        hasher.update(b"c");
        assert_eq!(hasher.finish::<Blob>(), Digest::of(b"abc"));
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            "",
            "ab/1",
            "/",
            &format!("{}/-1", "a".repeat(64)),
            &format!("{}/1", "A".repeat(64)),
        ] {
            assert!(bad.parse::<BlobDigest>().is_err(), "{bad}");
        }
        let negative = reapi::Digest {
            hash: "a".repeat(64),
            size_bytes: -1,
        };
        assert!(BlobDigest::try_from(&negative).is_err());
    }
}
