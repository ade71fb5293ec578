//! Directory messages in protobuf's wire format, read in place and written in one go.
//!
//! Input trees are read by the ten thousands, so nothing is copied that the result does not keep.
//! Field numbers are those of the REAPI's `Directory`; what is not known is passed over, as
//! protobuf asks, but not what is known and of another type: it would be lost.

use headstart_reapi::{Message, reapi};

use super::{Directory, Entries, FileNode, InvalidDirectory, Node, Properties, SymlinkNode};
use crate::digest::Digest;
use crate::path::Name;

/// Fields of `Directory`.
const FILES: u32 = 1;
const DIRECTORIES: u32 = 2;
const SYMLINKS: u32 = 3;
const PROPERTIES: u32 = 5;
/// Fields of the nodes.
const NAME: u32 = 1;
const DIGEST: u32 = 2;
const TARGET: u32 = 2;
const LINK_PROPERTIES: u32 = 4;
const EXECUTABLE: u32 = 4;
const FILE_PROPERTIES: u32 = 6;
/// Fields of `Digest`.
const HASH: u32 = 1;
const SIZE: u32 = 2;

/// Wire types.
const VARINT: u32 = 0;
const FIXED_64: u32 = 1;
const LENGTH: u32 = 2;
const FIXED_32: u32 = 5;

/// Reads a Directory message, checking names, their order and digests.
pub(super) fn decode(bytes: &[u8]) -> Result<Directory, InvalidDirectory> {
    let mut properties = Properties::default();
    // Nearly all nodes take more than this: a hash alone has 64 bytes.
    let mut entries = Vec::with_capacity(1 + bytes.len() / 74);
    let mut last = [None, None, None];
    for field in Fields(bytes) {
        let (list, name, node) = match field? {
            (FILES, Value::Bytes(bytes)) => {
                let (name, node) = file(bytes)?;
                (0, name, node)
            }
            (DIRECTORIES, Value::Bytes(bytes)) => {
                let (name, digest) = named_digest(bytes)?;
                (1, name, Node::Directory(digest.required(name)?))
            }
            (SYMLINKS, Value::Bytes(bytes)) => {
                let (name, node) = symlink(bytes)?;
                (2, name, node)
            }
            (PROPERTIES, Value::Bytes(bytes)) => {
                properties = read_properties(bytes)?;
                continue;
            }
            (number, _) => {
                unknown(number, &[FILES, DIRECTORIES, SYMLINKS, PROPERTIES])?;
                continue;
            }
        };
        match last[list].replace(name) {
            Some(last) if last > name => return Err(InvalidDirectory::Order(name.to_owned())),
            _ => {}
        }
        entries.push((Name::new(name)?, node));
    }
    let entries = Entries::merged(entries);
    Ok(Directory {
        entries: entries.map_err(|name| InvalidDirectory::Duplicate(name.to_string()))?,
        properties,
    })
}

/// Writes the canonical encoding.
pub(super) fn encode(directory: &Directory) -> Vec<u8> {
    // A file's name, digest and tags take about this much.
    let mut out = Vec::with_capacity(directory.entries.len() * 112);
    let mut node_bytes = Vec::with_capacity(128);
    let mut list = |number, wanted: fn(&Node) -> bool, out: &mut Vec<u8>| {
        let nodes = directory.entries.iter().filter(|(_, node)| wanted(node));
        for (name, node) in nodes {
            node_bytes.clear();
            write_node(name, node, &mut node_bytes);
            write_bytes(number, &node_bytes, out);
        }
    };
    list(FILES, |node| matches!(node, Node::File(_)), &mut out);
    list(
        DIRECTORIES,
        |node| matches!(node, Node::Directory(_)),
        &mut out,
    );
    list(SYMLINKS, |node| matches!(node, Node::Symlink(_)), &mut out);
    write_properties(PROPERTIES, &directory.properties, &mut out);
    out
}

fn write_node(name: &Name, node: &Node, out: &mut Vec<u8>) {
    write_bytes(NAME, name.as_str().as_bytes(), out);
    match node {
        Node::File(file) => {
            write_digest(&file.digest, out);
            if file.executable {
                write_varint(u64::from(EXECUTABLE << 3 | VARINT), out);
                write_varint(1, out);
            }
            write_properties(FILE_PROPERTIES, &file.properties, out);
        }
        Node::Directory(digest) => write_digest(digest, out),
        Node::Symlink(link) => {
            // Fields of their default value are left out.
            if !link.target.is_empty() {
                write_bytes(TARGET, link.target.as_bytes(), out);
            }
            write_properties(LINK_PROPERTIES, &link.properties, out);
        }
    }
}

fn write_digest<K>(digest: &Digest<K>, out: &mut Vec<u8>) {
    let hash = const_hex::Buffer::<32>::new().const_format(digest.hash());
    let size = match digest.size() {
        0 => 0,
        size => 1 + varint_length(size),
    };
    write_varint(u64::from(DIGEST << 3 | LENGTH), out);
    write_varint((2 + hash.as_str().len() + size) as u64, out);
    write_bytes(HASH, hash.as_str().as_bytes(), out);
    if digest.size() > 0 {
        write_varint(u64::from(SIZE << 3 | VARINT), out);
        write_varint(digest.size(), out);
    }
}

/// How many bytes a number takes, each of which holds seven bits.
fn varint_length(value: u64) -> usize {
    let bits = u64::BITS - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

fn write_properties(number: u32, properties: &Properties, out: &mut Vec<u8>) {
    if let Some(message) = properties.to_message() {
        write_bytes(number, &message.encode_to_vec(), out);
    }
}

fn write_bytes(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    write_varint(u64::from(number << 3 | LENGTH), out);
    write_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn file(bytes: &[u8]) -> Result<(&str, Node), InvalidDirectory> {
    let (mut name, mut digest) = ("", WireDigest::default());
    let (mut executable, mut properties) = (false, Properties::default());
    for field in Fields(bytes) {
        match field? {
            (NAME, Value::Bytes(bytes)) => name = text(bytes)?,
            (DIGEST, Value::Bytes(bytes)) => digest.read(bytes)?,
            (EXECUTABLE, Value::Varint(value)) => executable = value != 0,
            (FILE_PROPERTIES, Value::Bytes(bytes)) => properties = read_properties(bytes)?,
            (number, _) => unknown(number, &[NAME, DIGEST, EXECUTABLE, FILE_PROPERTIES])?,
        }
    }
    let node = FileNode {
        digest: digest.required(name)?,
        executable,
        properties,
    };
    Ok((name, Node::File(node)))
}

fn symlink(bytes: &[u8]) -> Result<(&str, Node), InvalidDirectory> {
    let (mut name, mut link) = ("", SymlinkNode::new(""));
    for field in Fields(bytes) {
        match field? {
            (NAME, Value::Bytes(bytes)) => name = text(bytes)?,
            (TARGET, Value::Bytes(bytes)) => link.target = text(bytes)?.into(),
            (LINK_PROPERTIES, Value::Bytes(bytes)) => link.properties = read_properties(bytes)?,
            (number, _) => unknown(number, &[NAME, TARGET, LINK_PROPERTIES])?,
        }
    }
    Ok((name, Node::Symlink(link)))
}

/// The name and the digest of a node.
fn named_digest(bytes: &[u8]) -> Result<(&str, WireDigest<'_>), InvalidDirectory> {
    let (mut name, mut digest) = ("", WireDigest::default());
    for field in Fields(bytes) {
        match field? {
            (NAME, Value::Bytes(bytes)) => name = text(bytes)?,
            (DIGEST, Value::Bytes(bytes)) => digest.read(bytes)?,
            (number, _) => unknown(number, &[NAME, DIGEST])?,
        }
    }
    Ok((name, digest))
}

/// A `Digest` message, not checked yet.
#[derive(Default)]
struct WireDigest<'a> {
    is_set: bool,
    hash: &'a [u8],
    size: i64,
}

impl<'a> WireDigest<'a> {
    fn read(&mut self, bytes: &'a [u8]) -> Result<(), InvalidDirectory> {
        self.is_set = true;
        for field in Fields(bytes) {
            match field? {
                (HASH, Value::Bytes(bytes)) => self.hash = bytes,
                (SIZE, Value::Varint(value)) => self.size = value as i64,
                (number, _) => unknown(number, &[HASH, SIZE])?,
            }
        }
        Ok(())
    }

    fn required<K>(&self, name: &str) -> Result<Digest<K>, InvalidDirectory> {
        let set = self.is_set.then_some((self.hash, self.size));
        Digest::from_parts(set).map_err(|source| InvalidDirectory::Digest {
            name: name.to_owned(),
            source,
        })
    }
}

fn read_properties(bytes: &[u8]) -> Result<Properties, InvalidDirectory> {
    let message = reapi::NodeProperties::decode(bytes);
    let message = message.map_err(|error| InvalidDirectory::Protobuf(error.to_string()))?;
    Ok(Properties::from_message(Some(message)))
}

/// Passes over a field that is none of the `known`: of these it has not the type that it should have.
fn unknown(number: u32, known: &[u32]) -> Result<(), InvalidDirectory> {
    match known.contains(&number) {
        true => Err(broken("a field's type is wrong")),
        false => Ok(()),
    }
}

fn text(bytes: &[u8]) -> Result<&str, InvalidDirectory> {
    std::str::from_utf8(bytes).map_err(|error| InvalidDirectory::Protobuf(error.to_string()))
}

/// A field's value, as far as Directory messages have such.
enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// Four or eight bytes, which no known field has.
    Fixed,
}

/// The fields of a message, in order. Ends after the first error.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn next_field(&mut self) -> Result<(u32, Value<'a>), InvalidDirectory> {
        let tag = u32::try_from(self.varint()?).map_err(|_| broken("a field's number is wrong"))?;
        let value = match tag & 7 {
            VARINT => Value::Varint(self.varint()?),
            LENGTH => {
                let length = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
                Value::Bytes(self.take(length)?)
            }
            FIXED_64 => self.take(8).map(|_| Value::Fixed)?,
            FIXED_32 => self.take(4).map(|_| Value::Fixed)?,
            _ => return Err(broken("a field's type is wrong")),
        };
        match tag >> 3 {
            0 => Err(broken("a field's number is wrong")),
            number => Ok((number, value)),
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], InvalidDirectory> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or_else(|| broken("it ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, InvalidDirectory> {
        // Nearly all are of one byte.
        if let [byte @ ..0x80, rest @ ..] = self.0 {
            self.0 = rest;
            return Ok(u64::from(*byte));
        }
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            // The tenth byte has room for one bit.
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(broken("a number is too long"))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), InvalidDirectory>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.next_field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

fn broken(reason: &str) -> InvalidDirectory {
    InvalidDirectory::Protobuf(reason.to_owned())
}
