//! What the kernel knows by number.
//!
//! A file's number follows from what it is, so that the same file is one inode in all trees. A directory's
//! follows from where it is: the kernel takes it for granted that a directory has one place.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use headstart_merkle::Node;

/// The number of the directory that holds all trees.
pub(crate) const ROOT: u64 = 1;

/// The nodes that the kernel has been told of and has not forgotten.
#[derive(Debug)]
pub(crate) struct Nodes(Mutex<Table>);

#[derive(Debug)]
struct Table {
    next: u64,
    /// Numbers, by a hash of what they stand for.
    numbers: HashMap<u64, u64>,
    known: HashMap<u64, Known>,
}

#[derive(Debug)]
struct Known {
    node: Node,
    hash: u64,
    /// How often the kernel was told of it and has not forgotten it.
    told: u64,
}

impl Default for Nodes {
    fn default() -> Self {
        Self(Mutex::new(Table {
            next: ROOT + 1,
            numbers: HashMap::new(),
            known: HashMap::new(),
        }))
    }
}

impl Nodes {
    /// The number of a node that the kernel is told of now, in the directory `parent`.
    pub(crate) fn tell(&self, parent: u64, name: &str, node: &Node) -> u64 {
        let mut hash = hash(parent, name, node);
        let mut table = self.table();
        loop {
            let Some(&number) = table.numbers.get(&hash) else {
                let number = table.next;
                table.next += 1;
                table.numbers.insert(hash, number);
                let node = node.clone();
                let told = 1;
                table.known.insert(number, Known { node, hash, told });
                return number;
            };
            match table.known.get_mut(&number) {
                Some(known) if known.node == *node => {
                    known.told += 1;
                    return number;
                }
                // Another with the same hash.
                _ => hash = hash.wrapping_add(1),
            }
        }
    }

    /// The number of a node, if the kernel knows it.
    pub(crate) fn number(&self, parent: u64, name: &str, node: &Node) -> Option<u64> {
        let table = self.table();
        let number = *table.numbers.get(&hash(parent, name, node))?;
        let known = table.known.get(&number)?;
        (known.node == *node).then_some(number)
    }

    /// What has a number.
    pub(crate) fn get(&self, number: u64) -> Option<Node> {
        let table = self.table();
        table.known.get(&number).map(|known| known.node.clone())
    }

    /// The kernel forgets as many times that it was told of a node.
    pub(crate) fn forget(&self, number: u64, times: u64) {
        let mut table = self.table();
        let Some(known) = table.known.get_mut(&number) else {
            return;
        };
        known.told = known.told.saturating_sub(times);
        if known.told == 0 {
            let hash = known.hash;
            table.known.remove(&number);
            table.numbers.remove(&hash);
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.table().known.len()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hash(parent: u64, name: &str, node: &Node) -> u64 {
    let mut hasher = DefaultHasher::new();
    match node {
        Node::Directory(_) => (parent, name).hash(&mut hasher),
        Node::File(_) | Node::Symlink(_) => node.hash(&mut hasher),
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use headstart_merkle::{BlobDigest, DirectoryDigest, FileNode, SymlinkNode};

    use super::*;

    fn file(content: &str, executable: bool) -> Node {
        let digest = BlobDigest::of(content.as_bytes());
        Node::File(FileNode::new(digest, executable))
    }

    #[test]
    fn files_are_the_same_everywhere_and_directories_nowhere() {
        let nodes = Nodes::default();
        let directory = Node::Directory(DirectoryDigest::of(b"directory"));
        let link = Node::Symlink(SymlinkNode::new("target"));
        let places = [(2, "name"), (2, "other"), (3, "name")];
        let mut numbers = Vec::new();
        for (parent, name) in places {
            for node in [
                &file("a", false),
                &file("a", true),
                &file("b", false),
                &link,
            ] {
                numbers.push(nodes.tell(parent, name, node));
            }
        }
        assert_eq!(numbers[..4], numbers[4..8]);
        assert_eq!(numbers[..4], numbers[8..]);
        let directories = places.map(|(parent, name)| nodes.tell(parent, name, &directory));
        numbers.truncate(4);
        numbers.extend(directories);
        for (place, number) in numbers.iter().enumerate() {
            assert!(*number > ROOT && !numbers[..place].contains(number));
        }
        assert_eq!(nodes.get(directories[1]), Some(directory.clone()));
        assert_eq!(nodes.number(2, "other", &directory), Some(directories[1]));
        assert_eq!(nodes.number(4, "other", &directory), None);
    }

    #[test]
    fn a_node_is_known_until_it_is_forgotten_as_often_as_it_was_told() {
        let nodes = Nodes::default();
        let node = file("content", false);
        let number = nodes.tell(2, "a", &node);
        assert_eq!(nodes.tell(3, "b", &node), number);
        nodes.forget(number, 1);
        assert_eq!(nodes.get(number), Some(node.clone()));
        nodes.forget(number, 1);
        assert_eq!(nodes.get(number), None);
        assert_eq!(nodes.number(2, "a", &node), None);
        // No number stands for two things.
        assert_ne!(nodes.tell(2, "a", &node), number);
        nodes.forget(4711, 1);
    }

    #[test]
    fn nodes_with_the_same_hash_are_told_apart() {
        let nodes = Nodes::default();
        let (one, other) = (file("one", false), file("other", false));
        let number = nodes.tell(2, "one", &one);
        let taken = hash(2, "other", &other);
        nodes.table().numbers.insert(taken, number);
        let second = nodes.tell(2, "other", &other);
        assert_ne!(second, number);
        assert_eq!(nodes.get(second), Some(other.clone()));
        assert_eq!(nodes.tell(2, "other", &other), second);
        nodes.forget(second, 2);
        assert_eq!(nodes.get(second), None);
        assert_eq!(nodes.get(number), Some(one));
    }
}
