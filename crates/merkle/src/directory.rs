//! One Directory: named nodes in order of their names, and its canonical encoding.

mod entries;
mod wire;

use bytes::Bytes;
use headstart_reapi::reapi;
use thiserror::Error;

use crate::digest::{BlobDigest, DirectoryDigest, InvalidDigest};
use crate::path::InvalidPath;

pub use entries::Entries;

/// When files were last modified of which nothing else is said, in seconds since 1970: 2011-11-11 11:11:11 UTC, as
/// in BuildStream.
pub const MODIFIED: i64 = 1_321_009_871;

/// A directory: what is in it by name, each name once, whatever its kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directory {
    /// What is in it. Names compare as bytes, as the REAPI asks.
    pub entries: Entries,
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

    /// A time of modification, in seconds and nanoseconds since the epoch, and permission bits; none
    /// if both are `None`. Of the time whole microseconds count, as in what buildbox writes.
    pub fn of(mtime: Option<(i64, i64)>, unix_mode: Option<u32>) -> Self {
        if mtime.is_none() && unix_mode.is_none() {
            return Self::default();
        }
        let nanos = |nanos: i64| i32::try_from(nanos / 1000 * 1000).unwrap_or(0);
        Self(Some(Box::new(Set {
            named: Vec::new(),
            mtime: mtime.map(|(seconds, part)| (seconds, nanos(part))),
            unix_mode,
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
        wire::decode(bytes)
    }

    /// The canonical encoding: lists in order of names, no field that is not set.
    pub fn encode(&self) -> Bytes {
        wire::encode(self).into()
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

    /// The digest of the canonical encoding.
    pub fn digest(&self) -> DirectoryDigest {
        DirectoryDigest::of(&self.encode())
    }
}

#[cfg(test)]
mod tests {
    use headstart_reapi::Message;
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    use super::*;
    use crate::path::Name;

    /// A wire type.
    const FIXED_32: u8 = 5;

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
    fn a_known_field_of_another_type_is_not_passed_over() {
        for bytes in [
            // A file list, a file's name, and a properties list, as four bytes each.
            &[FIXED_32 | 1 << 3, 0, 0, 0, 0][..],
            &[1 << 3 | 2, 5, FIXED_32 | 1 << 3, 0, 0, 0, 0],
            &[FIXED_32 | 5 << 3, 0, 0, 0, 0],
        ] {
            reapi::Directory::decode(bytes).unwrap_err();
            let error = Directory::decode(bytes).unwrap_err().to_string();
            assert!(error.contains("type is wrong"), "{error}");
        }
        let unknown = [FIXED_32 | 9 << 3, 0, 0, 0, 0];
        assert_eq!(Directory::decode(&unknown).unwrap(), Directory::default());
    }

    #[test]
    fn broken_rules_are_named() {
        let check = |message: reapi::Directory, expected: &str| {
            let error = Directory::decode(&message.encode_to_vec())
                .unwrap_err()
                .to_string();
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

    fn properties() -> impl Strategy<Value = Properties> {
        prop_oneof![
            4 => Just(Properties::default()),
            1 => ("[a-z]{0,3}", "[a-z]{0,3}").prop_map(|(key, value)| Properties::named(&key, &value)),
        ]
    }

    fn node() -> impl Strategy<Value = Node> {
        let digest = (any::<[u8; 32]>(), any::<u32>());
        let digest = digest.prop_map(|(hash, size)| BlobDigest::new(hash, u64::from(size) / 3));
        let file = (digest.clone(), any::<bool>(), properties());
        let link = ("[a-z/.é]{0,9}", properties());
        prop_oneof![
            file.prop_map(|(digest, executable, properties)| Node::File(FileNode {
                digest,
                executable,
                properties
            })),
            digest.prop_map(|digest| Node::Directory(digest.cast())),
            link.prop_map(|(target, properties)| Node::Symlink(SymlinkNode {
                target: target.into(),
                properties
            })),
        ]
    }

    proptest! {
        #[test]
        fn the_encoding_is_that_of_the_message(
            nodes in btree_map("[a-zé]{1,40}", node(), 0..9),
            properties in properties(),
        ) {
            let entries = nodes.into_iter();
            let entries = entries.map(|(name, node)| (Name::new(&name).unwrap(), node));
            let directory = Directory { entries: entries.collect(), properties };
            let bytes = directory.encode();
            prop_assert_eq!(&*bytes, directory.to_message().encode_to_vec());
            prop_assert_eq!(Directory::decode(&bytes).unwrap(), directory);
        }

        /// What is read of damaged messages is what protobuf reads of them.
        #[test]
        fn damaged_messages_are_read_as_protobuf_reads_them(
            nodes in btree_map("[a-z]{1,3}", node(), 1..4),
            damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
            end in any::<prop::sample::Index>(),
        ) {
            let entries = nodes.into_iter();
            let entries = entries.map(|(name, node)| (Name::new(&name).unwrap(), node));
            let directory = Directory { entries: entries.collect(), ..Default::default() };
            let mut bytes = directory.encode().to_vec();
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if end.index(2) == 0 {
                bytes.truncate(end.index(bytes.len()));
            }
            if let Ok(read) = Directory::decode(&bytes) {
                let message = reapi::Directory::decode(&*bytes).unwrap();
                let same = read.to_message();
                let names = |m: &reapi::Directory| {
                    let links = m.symlinks.iter().map(|n| (n.name.clone(), n.target.clone()));
                    let files = m.files.iter().map(|n| (n.name.clone(), format!("{:?}", n.digest)));
                    links.chain(files).collect::<Vec<_>>()
                };
                prop_assert_eq!(names(&same), names(&message));
            }
        }
    }
}
