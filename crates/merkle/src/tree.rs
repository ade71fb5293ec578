//! A whole tree that can be changed: directories are loaded when a path leads into them, and only
//! those that changed are written again.

mod changes;
mod merge;

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use thiserror::Error;

use crate::digest::{BlobDigest, DirectoryDigest};
use crate::directory::{Directory, InvalidDirectory, Node, Properties};
use crate::path::{Name, TreePath};

pub use merge::Merged;

/// Whoever can say what a Directory holds.
pub trait DirectoryReader {
    /// Reads one Directory.
    ///
    /// # Errors
    /// [`TreeError::Missing`] if it is not there, [`TreeError::Invalid`] if it breaks the rules.
    fn read_directory(&self, digest: DirectoryDigest) -> Result<Arc<Directory>, TreeError>;

    /// Reads Directories, in this order; readers that can do so read them at the same time.
    fn read_directories(
        &self,
        digests: &[DirectoryDigest],
    ) -> Vec<Result<Arc<Directory>, TreeError>> {
        let read = digests.iter().map(|digest| self.read_directory(*digest));
        read.collect()
    }

    /// Says that these trees will soon be walked as far as `guide` says. Readers that can read in the
    /// background begin to, and keep what they can.
    fn read_ahead(&self, _trees: Vec<Ahead>, _guide: Arc<dyn Guide>) {}
}

/// A Directory that will soon be read.
#[derive(Debug, Clone, Copy)]
pub struct Ahead {
    /// The Directory.
    pub directory: DirectoryDigest,
    /// Its number for the guide that leads on from here; `None` if nothing below is wanted.
    pub from: Option<u32>,
}

/// Who knows which directories of a tree will be read. Directories have numbers of the guide's own.
pub trait Guide: Send + Sync {
    /// The number of the directory `name` in that numbered `at`; `None` if it is not wanted.
    fn enter(&self, at: u32, name: &Name) -> Option<u32>;
}

/// Wants whole trees, whose directories all have the number 0.
#[derive(Debug, Clone, Copy)]
pub struct Everywhere;

impl Guide for Everywhere {
    fn enter(&self, _at: u32, _name: &Name) -> Option<u32> {
        Some(0)
    }
}

impl Ahead {
    /// All of a tree, for [`Everywhere`].
    pub fn whole(directory: DirectoryDigest) -> Self {
        Self {
            directory,
            from: Some(0),
        }
    }
}

/// Whoever keeps Directories.
pub trait DirectoryWriter {
    /// Keeps the canonical encoding of one Directory.
    fn write_directory(&self, digest: DirectoryDigest, encoded: Bytes) -> Result<(), TreeError>;
}

/// Why a tree can't be read, changed or written.
#[derive(Debug, Error)]
pub enum TreeError {
    /// Something the tree refers to is not there.
    #[error("{0} is missing")]
    Missing(BlobDigest),
    /// A Directory message breaks the rules.
    #[error("the Directory {digest} is invalid: {source}")]
    Invalid {
        /// The Directory.
        digest: DirectoryDigest,
        /// What is wrong with it.
        source: InvalidDirectory,
    },
    /// A path leads through something that is no directory.
    #[error("{0} is not a directory")]
    NotADirectory(TreePath),
    /// A directory stands where a file or link should be put.
    #[error("{0} is a directory")]
    IsADirectory(TreePath),
    /// Where Directories are kept failed.
    #[error("{0}")]
    Backend(#[source] Box<dyn Error + Send + Sync>),
}

/// A directory and all below it, to be changed in memory and written back.
#[derive(Debug, Clone)]
pub struct Tree(Branch);

#[derive(Debug, Clone)]
enum Branch {
    /// As it is stored, not looked into.
    Stored(DirectoryDigest),
    /// Looked into, perhaps changed.
    Open(Box<Open>),
}

#[derive(Debug, Clone, Default)]
struct Open {
    entries: BTreeMap<Name, Entry>,
    properties: Properties,
}

#[derive(Debug, Clone)]
enum Entry {
    Leaf(Node),
    Branch(Branch),
}

impl Default for Tree {
    fn default() -> Self {
        Self(Branch::Open(Box::default()))
    }
}

impl Tree {
    /// A tree with nothing in it.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The stored tree under `root`.
    pub fn stored(root: DirectoryDigest) -> Self {
        Self(Branch::Stored(root))
    }

    /// What stands at `path`, symbolic links not followed; `None` if nothing does.
    ///
    /// A directory that has been changed is written first, so that it has a digest.
    pub fn get<S: DirectoryReader + DirectoryWriter + ?Sized>(
        &mut self,
        path: &TreePath,
        store: &S,
    ) -> Result<Option<Node>, TreeError> {
        let Some((parent, name)) = path.split() else {
            return Ok(Some(Node::Directory(self.write(store)?)));
        };
        let Some(open) = self.0.descend(&parent, store, Absent::Stop)? else {
            return Ok(None);
        };
        Ok(match open.entries.get(&name) {
            None => None,
            Some(Entry::Leaf(node)) => Some(node.clone()),
            Some(Entry::Branch(branch)) => Some(Node::Directory(branch.write(store)?)),
        })
    }

    /// Puts `node` at `path`, with the directories above it. What stood there is replaced, unless
    /// it is a directory and `node` is not.
    ///
    /// # Errors
    /// [`TreeError::NotADirectory`] if the path leads through a file or link,
    /// [`TreeError::IsADirectory`] if it is the root or `node` would replace a directory.
    pub fn insert<R: DirectoryReader + ?Sized>(
        &mut self,
        path: &TreePath,
        node: Node,
        reader: &R,
    ) -> Result<(), TreeError> {
        let Some((parent, name)) = path.split() else {
            return match node {
                Node::Directory(digest) => {
                    self.0 = Branch::Stored(digest);
                    Ok(())
                }
                _ => Err(TreeError::IsADirectory(path.clone())),
            };
        };
        let open = self.0.descend_or_make(&parent, reader)?;
        let entry = match node {
            Node::Directory(digest) => Entry::Branch(Branch::Stored(digest)),
            leaf if matches!(open.entries.get(&name), Some(Entry::Branch(_))) => {
                drop(leaf);
                return Err(TreeError::IsADirectory(path.clone()));
            }
            leaf => Entry::Leaf(leaf),
        };
        open.entries.insert(name, entry);
        Ok(())
    }

    /// Makes the directory `path` and those above it, if they are not there.
    pub fn make_directory<R: DirectoryReader + ?Sized>(
        &mut self,
        path: &TreePath,
        reader: &R,
    ) -> Result<(), TreeError> {
        self.0.descend_or_make(path, reader).map(|_| ())
    }

    /// Sets the properties of the directory `path`, which is made if it is not there.
    pub fn set_properties<R: DirectoryReader + ?Sized>(
        &mut self,
        path: &TreePath,
        properties: Properties,
        reader: &R,
    ) -> Result<(), TreeError> {
        self.0.descend_or_make(path, reader)?.properties = properties;
        Ok(())
    }

    /// Takes away what stands at `path`, with all below it; says whether something did.
    pub fn remove<R: DirectoryReader + ?Sized>(
        &mut self,
        path: &TreePath,
        reader: &R,
    ) -> Result<bool, TreeError> {
        let Some((parent, name)) = path.split() else {
            *self = Self::empty();
            return Ok(true);
        };
        let open = self.0.descend(&parent, reader, Absent::Stop)?;
        Ok(open.is_some_and(|open| open.entries.remove(&name).is_some()))
    }

    /// The names in the directory `path`, in order; `None` if there is no such directory.
    pub fn names<R: DirectoryReader + ?Sized>(
        &mut self,
        path: &TreePath,
        reader: &R,
    ) -> Result<Option<Vec<Name>>, TreeError> {
        let open = self.0.descend(path, reader, Absent::Stop)?;
        Ok(open.map(|open| open.entries.keys().cloned().collect()))
    }

    /// Writes the directories that were looked into and gives the root's digest.
    pub fn write<W: DirectoryWriter + ?Sized>(
        &self,
        writer: &W,
    ) -> Result<DirectoryDigest, TreeError> {
        self.0.write(writer)
    }
}

/// What to do when a directory on the way is not there.
#[derive(Clone, Copy, PartialEq)]
enum Absent {
    Stop,
    Make,
}

impl Branch {
    fn open<R: DirectoryReader + ?Sized>(&mut self, reader: &R) -> Result<&mut Open, TreeError> {
        if let Self::Stored(digest) = *self {
            let directory = reader.read_directory(digest)?;
            *self = Self::Open(Box::new(Open::of(&directory)));
        }
        match self {
            Self::Open(open) => Ok(open),
            // Unreachable by the lines above; an error rather than a panic costs nothing.
            Self::Stored(digest) => Err(TreeError::Missing(digest.blob())),
        }
    }

    fn descend<R: DirectoryReader + ?Sized>(
        &mut self,
        path: &TreePath,
        reader: &R,
        absent: Absent,
    ) -> Result<Option<&mut Open>, TreeError> {
        let mut open = self.open(reader)?;
        let mut walked = TreePath::root();
        for component in path.components() {
            let name = Name::new(component).map_err(|_| TreeError::NotADirectory(path.clone()))?;
            walked = walked.child(&name);
            if absent == Absent::Stop && !open.entries.contains_key(&name) {
                return Ok(None);
            }
            let entry = open
                .entries
                .entry(name)
                .or_insert_with(|| Entry::Branch(Branch::Open(Box::default())));
            open = match entry {
                Entry::Branch(branch) => branch.open(reader)?,
                Entry::Leaf(_) if absent == Absent::Stop => return Ok(None),
                Entry::Leaf(_) => return Err(TreeError::NotADirectory(walked)),
            };
        }
        Ok(Some(open))
    }

    fn descend_or_make<R: DirectoryReader + ?Sized>(
        &mut self,
        path: &TreePath,
        reader: &R,
    ) -> Result<&mut Open, TreeError> {
        self.descend(path, reader, Absent::Make)?
            .ok_or_else(|| TreeError::NotADirectory(path.clone()))
    }

    fn write<W: DirectoryWriter + ?Sized>(&self, writer: &W) -> Result<DirectoryDigest, TreeError> {
        let open = match self {
            Self::Stored(digest) => return Ok(*digest),
            Self::Open(open) => open,
        };
        let mut directory = Directory {
            properties: open.properties.clone(),
            ..Directory::default()
        };
        for (name, entry) in &open.entries {
            let node = match entry {
                Entry::Leaf(node) => node.clone(),
                Entry::Branch(branch) => Node::Directory(branch.write(writer)?),
            };
            directory.entries.insert(name.clone(), node);
        }
        let encoded = directory.encode();
        let digest = DirectoryDigest::of(&encoded);
        writer.write_directory(digest, encoded)?;
        Ok(digest)
    }
}

impl Open {
    fn of(directory: &Directory) -> Self {
        let entries = directory.entries.iter().map(|(name, node)| {
            let entry = match node {
                Node::Directory(digest) => Entry::Branch(Branch::Stored(*digest)),
                leaf => Entry::Leaf(leaf.clone()),
            };
            (name.clone(), entry)
        });
        Self {
            entries: entries.collect(),
            properties: directory.properties.clone(),
        }
    }
}

/// Directories kept in memory, by digest.
#[derive(Debug, Default)]
pub struct MemoryDirectories(Mutex<HashMap<DirectoryDigest, Bytes>>);

impl MemoryDirectories {
    /// All Directories written so far, encoded, in no order.
    pub fn into_encoded(self) -> Vec<(DirectoryDigest, Bytes)> {
        self.0
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
            .into_iter()
            .collect()
    }
}

impl DirectoryReader for MemoryDirectories {
    fn read_directory(&self, digest: DirectoryDigest) -> Result<Arc<Directory>, TreeError> {
        let directories = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let encoded = directories
            .get(&digest)
            .ok_or(TreeError::Missing(digest.blob()))?;
        let directory =
            Directory::decode(encoded).map_err(|source| TreeError::Invalid { digest, source })?;
        Ok(Arc::new(directory))
    }
}

impl DirectoryWriter for MemoryDirectories {
    fn write_directory(&self, digest: DirectoryDigest, encoded: Bytes) -> Result<(), TreeError> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(digest, encoded);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::{FileNode, SymlinkNode};

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    fn file(content: &str) -> Node {
        Node::File(FileNode::new(BlobDigest::of(content.as_bytes()), false))
    }

    #[test]
    fn a_tree_comes_back_as_it_was_written_and_changes_one_path() {
        let store = MemoryDirectories::default();
        let mut tree = Tree::empty();
        for name in ["usr/include/a.h", "usr/include/b.h", "usr/lib/a.so"] {
            tree.insert(&path(name), file(name), &store).unwrap();
        }
        let root = tree.write(&store).unwrap();

        let mut changed = Tree::stored(root);
        changed
            .insert(&path("usr/include/b.h"), file("new"), &store)
            .unwrap();
        let other = changed.write(&store).unwrap();
        assert_ne!(root, other);
        assert_eq!(
            changed.get(&path("usr/include/b.h"), &store).unwrap(),
            Some(file("new"))
        );
        let lib = |root| Tree::stored(root).get(&path("usr/lib"), &store).unwrap();
        assert_eq!(lib(root), lib(other));

        changed
            .insert(&path("usr/include/b.h"), file("usr/include/b.h"), &store)
            .unwrap();
        assert_eq!(changed.write(&store).unwrap(), root);
    }

    #[test]
    fn removing_leaves_the_rest() {
        let store = MemoryDirectories::default();
        let mut tree = Tree::empty();
        tree.insert(&path("a/b"), file("b"), &store).unwrap();
        tree.make_directory(&path("a/c"), &store).unwrap();
        assert!(tree.remove(&path("a/b"), &store).unwrap());
        assert!(!tree.remove(&path("x/y"), &store).unwrap());
        let names = tree.names(&path("a"), &store).unwrap().unwrap();
        assert_eq!(names, [Name::new("c").unwrap()]);
    }

    #[test]
    fn a_path_through_a_file_or_link_is_refused() {
        let store = MemoryDirectories::default();
        let mut tree = Tree::empty();
        tree.insert(
            &path("lib"),
            Node::Symlink(SymlinkNode::new("usr/lib")),
            &store,
        )
        .unwrap();
        assert!(matches!(
            tree.insert(&path("lib/a"), file("a"), &store),
            Err(TreeError::NotADirectory(at)) if at == path("lib")
        ));
        assert_eq!(tree.get(&path("lib/a"), &store).unwrap(), None);
        tree.make_directory(&path("d"), &store).unwrap();
        assert!(matches!(
            tree.insert(&path("d"), file("d"), &store),
            Err(TreeError::IsADirectory(_))
        ));
    }

    #[test]
    fn a_missing_directory_is_named() {
        let store = MemoryDirectories::default();
        let absent = DirectoryDigest::of(b"absent");
        let error = Tree::stored(absent).get(&path("a"), &store).unwrap_err();
        assert_eq!(error.to_string(), format!("{absent} is missing"));
    }
}
