//! The input root: the files that a command reads, at their places.
//!
//! A file lies at its real path, its own name kept: a link to a file becomes a file, a link to a
//! folder on the way to it becomes a link, so that the name which the compiler uses leads to it as
//! it does here. Folders that a name merely passes through (`a/../b.h`) exist as well.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use headstart_merkle::{
    BlobDigest, DirectoryDigest, FileNode, Hasher, MemoryDirectories, Node, SymlinkNode, Tree,
    TreePath,
};

use crate::failure::Failure;
use crate::layout::Layout;

/// How many links one name may lead through, as the kernel has it.
const MAX_LINKS: usize = 40;
const PIECE: usize = 128 * 1024;

/// An input root in the making.
pub(crate) struct Inputs<'a> {
    layout: &'a Layout,
    tree: Tree,
    directories: MemoryDirectories,
    files: HashMap<BlobDigest, PathBuf>,
    /// What is known of the folders on the way.
    kinds: HashMap<PathBuf, Kind>,
}

#[derive(Debug, Clone)]
enum Kind {
    Folder,
    LinkToFolder(PathBuf),
    Other,
}

/// A finished input root, and all that has to be uploaded for it.
pub(crate) struct InputRoot {
    pub(crate) digest: DirectoryDigest,
    pub(crate) directories: Vec<(BlobDigest, Bytes)>,
    pub(crate) files: HashMap<BlobDigest, PathBuf>,
}

impl<'a> Inputs<'a> {
    /// An input root with the working directory in it.
    pub(crate) fn new(layout: &'a Layout) -> Result<Self, Failure> {
        let mut inputs = Self {
            layout,
            tree: Tree::empty(),
            directories: MemoryDirectories::default(),
            files: HashMap::new(),
            kinds: HashMap::new(),
        };
        inputs.make_folder(&layout.current.clone())?;
        Ok(inputs)
    }

    /// Adds the file or folder `name`, relative to the current directory or absolute.
    pub(crate) fn add(&mut self, name: &str) -> Result<(), Failure> {
        let real = self.walk(name)?;
        let metadata = fs::metadata(&real).map_err(Failure::file(name))?;
        let named = fs::metadata(self.layout.current.join(name)).map_err(Failure::file(name))?;
        if (named.dev(), named.ino()) != (metadata.dev(), metadata.ino()) {
            // Only where links can't be kept: `..` behind one would lead elsewhere there.
            return Err(Failure::file(name)(io::Error::other(
                "links on the way to it can't be kept",
            )));
        }
        if metadata.is_dir() {
            return self.add_folder(&real);
        }
        if !metadata.is_file() {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file");
            return Err(Failure::file(name)(error));
        }
        self.add_file(&real, metadata.permissions().mode() & 0o111 != 0)
    }

    /// Adds the folder `name` without what it holds, if it is one here: that it is there is all that
    /// is looked at.
    pub(crate) fn add_empty_folder(&mut self, name: &str) -> Result<(), Failure> {
        if !self.layout.current.join(name).is_dir() {
            return Ok(());
        }
        // With a name behind it, so that all of it is walked.
        let inside = self.walk(&format!("{name}/-"))?;
        match inside.parent() {
            Some(folder) => self.make_folder(folder),
            None => Ok(()),
        }
    }

    /// The path of `name` in which all but the last component is real; links met on the way are
    /// added to the tree.
    fn walk(&mut self, name: &str) -> Result<PathBuf, Failure> {
        let mut todo: VecDeque<PathBuf> = VecDeque::new();
        push_front(&mut todo, &self.layout.current.join(name));
        let mut at = PathBuf::from("/");
        let mut links = 0;
        while let Some(component) = todo.pop_front() {
            match component.components().next() {
                Some(Component::RootDir) => at = PathBuf::from("/"),
                Some(Component::ParentDir) => {
                    self.make_folder(&at)?;
                    at.pop();
                }
                Some(Component::Normal(part)) if todo.is_empty() => return Ok(at.join(part)),
                Some(Component::Normal(part)) => match self.kind(&at.join(part))? {
                    Kind::LinkToFolder(target) if self.layout.keeps_links => {
                        links += 1;
                        if links > MAX_LINKS {
                            let error = io::Error::other("too many links lead to it");
                            return Err(Failure::file(name)(error));
                        }
                        self.add_link(&at.join(part), &target)?;
                        push_front(&mut todo, &target);
                    }
                    _ => at.push(part),
                },
                _ => {}
            }
        }
        Ok(at)
    }

    fn kind(&mut self, path: &Path) -> Result<Kind, Failure> {
        if let Some(kind) = self.kinds.get(path) {
            return Ok(kind.clone());
        }
        let metadata = fs::symlink_metadata(path).map_err(Failure::file(path))?;
        let kind = if metadata.is_dir() {
            Kind::Folder
        } else if metadata.is_symlink() && path.is_dir() {
            Kind::LinkToFolder(fs::read_link(path).map_err(Failure::file(path))?)
        } else {
            Kind::Other
        };
        self.kinds.insert(path.to_owned(), kind.clone());
        Ok(kind)
    }

    fn add_folder(&mut self, folder: &Path) -> Result<(), Failure> {
        self.make_folder(folder)?;
        for entry in fs::read_dir(folder).map_err(Failure::file(folder))? {
            let path = entry.map_err(Failure::file(folder))?.path();
            let metadata = fs::symlink_metadata(&path).map_err(Failure::file(&path))?;
            if metadata.is_symlink() {
                let target = fs::read_link(&path).map_err(Failure::file(&path))?;
                self.add_link(&path, &target)?;
            } else if metadata.is_dir() {
                self.add_folder(&path)?;
            } else if metadata.is_file() {
                self.add_file(&path, metadata.permissions().mode() & 0o111 != 0)?;
            }
        }
        Ok(())
    }

    fn add_file(&mut self, path: &Path, executable: bool) -> Result<(), Failure> {
        let Some(place) = self.layout.place(path)? else {
            return Ok(());
        };
        let digest = digest_of(path)?;
        self.files.insert(digest, path.to_owned());
        let node = Node::File(FileNode::new(digest, executable));
        Ok(self.tree.insert(&place, node, &self.directories)?)
    }

    fn add_link(&mut self, path: &Path, target: &Path) -> Result<(), Failure> {
        let (Some(place), Some(target)) = (self.layout.place(path)?, target.to_str()) else {
            return Ok(());
        };
        let node = Node::Symlink(SymlinkNode::new(target));
        Ok(self.tree.insert(&place, node, &self.directories)?)
    }

    fn make_folder(&mut self, path: &Path) -> Result<(), Failure> {
        match self.layout.place(path)? {
            None => Ok(()),
            Some(place) => Ok(self.tree.make_directory(&place, &self.directories)?),
        }
    }

    /// Writes the tree.
    pub(crate) fn finish(self) -> Result<InputRoot, Failure> {
        let digest = self.tree.write(&self.directories)?;
        let directories = self.directories.into_encoded().into_iter();
        Ok(InputRoot {
            digest,
            directories: directories
                .map(|(digest, bytes)| (digest.blob(), bytes))
                .collect(),
            files: self.files,
        })
    }

    /// Takes away what lies at `place`: an output of an earlier run is no input.
    pub(crate) fn remove(&mut self, place: &TreePath) -> Result<(), Failure> {
        self.tree.remove(place, &self.directories)?;
        Ok(())
    }
}

/// Puts the components of `path` before what is still to do.
fn push_front(todo: &mut VecDeque<PathBuf>, path: &Path) {
    for component in path.components().rev() {
        todo.push_front(PathBuf::from(component.as_os_str()));
    }
}

/// The digest of a file's content.
pub(crate) fn digest_of(path: &Path) -> Result<BlobDigest, Failure> {
    let mut file = fs::File::open(path).map_err(Failure::file(path))?;
    let mut hasher = Hasher::default();
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(length) => hasher.update(&piece[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::file(path)(error)),
        }
    }
}
