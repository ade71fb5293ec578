//! One Directory: named nodes in order of their names, and its canonical encoding.

use std::collections::BTreeMap;

use bytes::Bytes;
use headstart_reapi::{Message, reapi};
use thiserror::Error;

use crate::digest::{BlobDigest, DirectoryDigest, InvalidDigest};
use crate::path::{InvalidPath, Name};

/// A directory's entries, by name: each name once, whatever its kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directory {
    /// The entries. Names compare as bytes, as the REAPI asks.
    pub entries: BTreeMap<Name, Node>,
    /// Properties of the directory itself.
    pub properties: Properties,
}

/// What a name in a directory stands for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Node {
    /// A regular file.
    File(FileNode),
    /// A directory, by the digest of its message.
    Directory(DirectoryDigest),
    /// A symbolic link.
    Symlink(SymlinkNode),
}

/// A regular file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileNode {
    /// The content.
    pub digest: BlobDigest,
    /// Whether its owner may execute it.
    pub executable: bool,
    /// Further properties, if any were asked for.
    pub properties: Properties,
}

/// A symbolic link, to any target.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SymlinkNode {
    /// The target, as it stands in the link.
    pub target: Box<str>,
    /// Further properties, if any were asked for.
    pub properties: Properties,
}

/// REAPI NodeProperties; most nodes have none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Properties(Option<Box<Set>>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Set {
    named: Vec<(String, String)>,
    mtime: Option<(i64, i32)>,
    unix_mode: Option<u32>,
}

/// A Directory message that breaks the rules of the REAPI.
#[derive(Debug, Error)]
pub enum InvalidDirectory {
    /// The bytes are not a Directory message.
    #[error("it is not a Directory message: {0}")]
    Protobuf(String),
    /// A name can't be used.
    #[error(transparent)]
    Name(#[from] InvalidPath),
    /// A node's digest is not one.
    #[error("the digest of {name:?} is wrong: {source}")]
    Digest {
        /// The node.
        name: String,
        /// What is wrong with it.
        source: InvalidDigest,
    },
    /// The same name twice.
    #[error("the name {0:?} occurs twice")]
    Duplicate(String),
    /// Names that are not in order.
    #[error("{0:?} is not in the order of names")]
    Order(String),
}

impl FileNode {
    /// A file without properties.
    pub fn new(digest: BlobDigest, executable: bool) -> Self {
        Self {
            digest,
            executable,
            properties: Properties::default(),
        }
    }
}

impl SymlinkNode {
    /// A symbolic link without properties.
    pub fn new(target: &str) -> Self {
        Self {
            target: target.into(),
            properties: Properties::default(),
        }
    }
}

impl Properties {
    /// One named property.
    pub fn named(name: &str, value: &str) -> Self {
        let named = vec![(name.to_owned(), value.to_owned())];
        Self(Some(Box::new(Set {
            named,
            mtime: None,
            unix_mode: None,
        })))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The value of a named property.
    pub fn get(&self, name: &str) -> Option<&str> {
        let set = self.0.as_ref()?;
        set.named
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The time of modification, as seconds and nanoseconds since the epoch.
    pub fn mtime(&self) -> Option<(i64, i32)> {
        self.0.as_ref()?.mtime
    }

    /// The mode's permission bits.
    pub fn unix_mode(&self) -> Option<u32> {
        self.0.as_ref()?.unix_mode
    }

    /// From a message's field.
    pub fn from_message(message: Option<reapi::NodeProperties>) -> Self {
        Self(message.map(|message| {
            Box::new(Set {
                named: message
                    .properties
                    .into_iter()
                    .map(|p| (p.name, p.value))
                    .collect(),
                mtime: message.mtime.map(|time| (time.seconds, time.nanos)),
                unix_mode: message.unix_mode,
            })
        }))
    }

    /// As a message's field.
    pub fn to_message(&self) -> Option<reapi::NodeProperties> {
        self.0.as_ref().map(|set| reapi::NodeProperties {
            properties: set
                .named
                .iter()
                .map(|(name, value)| reapi::NodeProperty {
                    name: name.clone(),
                    value: value.clone(),
                })
                .collect(),
            mtime: set
                .mtime
                .map(|(seconds, nanos)| prost_types::Timestamp { seconds, nanos }),
            unix_mode: set.unix_mode,
        })
    }
}

impl Directory {
    /// Reads a Directory message, checking names, their order and digests.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidDirectory> {
        let message = reapi::Directory::decode(bytes)
            .map_err(|error| InvalidDirectory::Protobuf(error.to_string()))?;
        Self::from_message(message)
    }

    /// Checks a Directory message that is already decoded.
    pub fn from_message(message: reapi::Directory) -> Result<Self, InvalidDirectory> {
        let mut directory = Self {
            properties: Properties::from_message(message.node_properties),
            ..Self::default()
        };
        let mut files = Sorted::default();
        for file in message.files {
            let digest = digest_of(&file.name, file.digest.as_ref())?.cast();
            let node = FileNode {
                digest,
                executable: file.is_executable,
                properties: Properties::from_message(file.node_properties),
            };
            files.add(&mut directory, file.name, Node::File(node))?;
        }
        let mut directories = Sorted::default();
        for child in message.directories {
            let node = Node::Directory(digest_of(&child.name, child.digest.as_ref())?.cast());
            directories.add(&mut directory, child.name, node)?;
        }
        let mut symlinks = Sorted::default();
        for link in message.symlinks {
            let node = SymlinkNode {
                target: link.target.into(),
                properties: Properties::from_message(link.node_properties),
            };
            symlinks.add(&mut directory, link.name, Node::Symlink(node))?;
        }
        Ok(directory)
    }

    /// The message, its lists in order of names.
    pub fn to_message(&self) -> reapi::Directory {
        let mut message = reapi::Directory {
            node_properties: self.properties.to_message(),
            ..Default::default()
        };
        for (name, node) in &self.entries {
            let name = name.as_str().to_owned();
            match node {
                Node::File(file) => message.files.push(reapi::FileNode {
                    name,
                    digest: Some(file.digest.into()),
                    is_executable: file.executable,
                    node_properties: file.properties.to_message(),
                }),
                Node::Directory(digest) => message.directories.push(reapi::DirectoryNode {
                    name,
                    digest: Some((*digest).into()),
                }),
                Node::Symlink(link) => message.symlinks.push(reapi::SymlinkNode {
                    name,
                    target: link.target.as_ref().to_owned(),
                    node_properties: link.properties.to_message(),
                }),
            }
        }
        message
    }

    /// The canonical encoding.
    pub fn encode(&self) -> Bytes {
        self.to_message().encode_to_vec().into()
    }

    /// The digest of the canonical encoding.
    pub fn digest(&self) -> DirectoryDigest {
        DirectoryDigest::of(&self.encode())
    }
}

fn digest_of(name: &str, field: Option<&reapi::Digest>) -> Result<BlobDigest, InvalidDirectory> {
    BlobDigest::required(field).map_err(|source| InvalidDirectory::Digest {
        name: name.to_owned(),
        source,
    })
}

/// Adds the nodes of one list, which must come in strictly rising order of names.
#[derive(Default)]
struct Sorted {
    last: Option<Name>,
}

impl Sorted {
    fn add(
        &mut self,
        to: &mut Directory,
        name: String,
        node: Node,
    ) -> Result<(), InvalidDirectory> {
        let checked = Name::new(&name)?;
        match self.last.replace(checked.clone()) {
            Some(last) if last > checked => return Err(InvalidDirectory::Order(name)),
            _ => {}
        }
        match to.entries.insert(checked, node) {
            Some(_) => Err(InvalidDirectory::Duplicate(name)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> reapi::FileNode {
        let digest = BlobDigest::of(name.as_bytes());
        reapi::FileNode {
            name: name.into(),
            digest: Some(digest.into()),
            ..Default::default()
        }
    }

    #[test]
    fn decoding_and_encoding_agree() {
        let message = reapi::Directory {
            files: vec![file("a"), file("b")],
            directories: vec![reapi::DirectoryNode {
                name: "c".into(),
                digest: Some(Directory::default().digest().into()),
            }],
            symlinks: vec![reapi::SymlinkNode {
                name: "d".into(),
                target: "../a".into(),
                node_properties: Properties::named("k", "v").to_message(),
            }],
            node_properties: Properties::named("SubtreeReadOnly", "true").to_message(),
        };
        let bytes = message.encode_to_vec();
        let directory = Directory::decode(&bytes).unwrap();
        assert_eq!(directory.encode(), bytes);
        assert_eq!(directory.properties.get("SubtreeReadOnly"), Some("true"));
    }

    #[test]
    fn broken_rules_are_named() {
        let check = |message: reapi::Directory, expected: &str| {
            let error = Directory::from_message(message).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(
            reapi::Directory {
                files: vec![file("b"), file("a")],
                ..Default::default()
            },
            "order",
        );
        check(
            reapi::Directory {
                files: vec![file("a"), file("a")],
                ..Default::default()
            },
            "twice",
        );
        check(
            reapi::Directory {
                files: vec![file("..")],
                ..Default::default()
            },
            "no place",
        );
        let link = reapi::SymlinkNode {
            name: "a".into(),
            ..Default::default()
        };
        check(
            reapi::Directory {
                files: vec![file("a")],
                symlinks: vec![link],
                ..Default::default()
            },
            "twice",
        );
        let undigested = reapi::FileNode {
            name: "a".into(),
            ..Default::default()
        };
        check(
            reapi::Directory {
                files: vec![undigested],
                ..Default::default()
            },
            "missing",
        );
        assert!(Directory::decode(b"\xff\xff").is_err());
    }
}
