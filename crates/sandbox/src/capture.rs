//! What a command left: the lower trees, changed as the overlay's upper layer says.
//!
//! Only what is in the upper layer is read; below a directory that is not there, the digest of the
//! lower tree still holds. In an overlay mounted with `userxattr` a removed name is a character
//! device 0/0 or a file marked `user.overlay.whiteout`, and a directory that hides the lower one is
//! marked `user.overlay.opaque`.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use headstart_execution::{CapturedProperties, SandboxError};
use headstart_merkle::{
    BlobDigest, Directory, DirectoryDigest, DirectoryReader, DirectoryWriter, Entries, FileNode,
    MAX_DEPTH, Name, Node, Properties, SymlinkNode, Tree, TreeError, TreePath,
};
use headstart_store::StoreError;

use crate::links::{Store, unreadable};

/// Files up to this size are read into memory at once.
const SMALL: u64 = 1024 * 1024;

/// What a command saw and wrote.
pub(crate) struct Layers<'a> {
    /// The overlay's upper layer.
    pub(crate) upper: &'a Path,
    /// The trees below it, the uppermost first.
    pub(crate) lower: &'a [DirectoryDigest],
    /// What the sandbox itself put there: paths that are no outputs.
    pub(crate) own: &'a [TreePath],
    /// What of the upper layer's nodes is captured besides.
    pub(crate) properties: CapturedProperties,
    pub(crate) store: &'a Store,
}

impl Layers<'_> {
    /// What stands at `path` now; `None` if nothing does, or nothing that can be an output.
    pub(crate) fn capture(&self, path: &TreePath) -> Result<Option<Node>, SandboxError> {
        let mut upper = Some(self.upper.to_owned());
        let mut lower: Vec<DirectoryDigest> = self.lower.to_vec();
        let Some((parent, name)) = path.split() else {
            return Ok(Some(Node::Directory(self.directory(
                path,
                upper.as_deref(),
                &lower,
            )?)));
        };
        for component in parent.components() {
            let entry = match &upper {
                Some(folder) => Entry::read(&folder.join(component))?,
                None => Entry::Absent,
            };
            match entry {
                Entry::Removed | Entry::Other => return Ok(None),
                Entry::Node(..) => return Ok(None),
                Entry::Directory { path, opaque } => {
                    upper = Some(path);
                    lower = if opaque {
                        Vec::new()
                    } else {
                        self.descend(&lower, component)?
                    };
                }
                Entry::Absent => {
                    upper = None;
                    lower = self.descend(&lower, component)?;
                    if lower.is_empty() {
                        return Ok(None);
                    }
                }
            }
        }
        self.entry(path, &name, upper.as_deref(), &lower)
    }

    /// What stands at `name` in a directory that is made of `upper` and `lower`.
    fn entry(
        &self,
        path: &TreePath,
        name: &Name,
        upper: Option<&Path>,
        lower: &[DirectoryDigest],
    ) -> Result<Option<Node>, SandboxError> {
        let entry = match upper {
            Some(folder) => Entry::read(&folder.join(name.as_str()))?,
            None => Entry::Absent,
        };
        match entry {
            Entry::Removed | Entry::Other => Ok(None),
            Entry::Node(file, metadata) => self.leaf(path, &file, &metadata).map(Some),
            Entry::Directory {
                path: folder,
                opaque,
            } => {
                if path.components().count() >= MAX_DEPTH {
                    return Err(SandboxError::Output {
                        path: path.clone(),
                        reason: format!("expected directories {MAX_DEPTH} deep at most"),
                    });
                }
                let lower = if opaque {
                    Vec::new()
                } else {
                    self.descend(lower, name.as_str())?
                };
                Ok(Some(Node::Directory(self.directory(
                    path,
                    Some(&folder),
                    &lower,
                )?)))
            }
            Entry::Absent => match self.lower_node(lower, name)? {
                Some(Node::Directory(_)) => {
                    let lower = self.descend(lower, name.as_str())?;
                    Ok(Some(Node::Directory(self.directory(path, None, &lower)?)))
                }
                other => Ok(other),
            },
        }
    }

    /// The directory that is made of `upper` and `lower`, written to the store without properties.
    fn directory(
        &self,
        path: &TreePath,
        upper: Option<&Path>,
        lower: &[DirectoryDigest],
    ) -> Result<DirectoryDigest, SandboxError> {
        let mut entries: BTreeMap<Name, Node> = self.merged(lower)?.into_iter().collect();
        if let Some(folder) = upper {
            for name in names(folder)? {
                let path = path.child(&name);
                let node = match self.own.contains(&path) {
                    true => None,
                    false => self.entry(&path, &name, upper, lower)?,
                };
                match node {
                    Some(node) => entries.insert(name, node),
                    None => entries.remove(&name),
                };
            }
        }
        let properties = match upper {
            Some(folder) if self.properties != CapturedProperties::default() => {
                let metadata = fs::metadata(folder).map_err(|error| io_error(folder, &error))?;
                self.properties_of(&metadata)
            }
            _ => Properties::default(),
        };
        let encoded = Directory {
            entries: entries.into_iter().collect(),
            properties,
        }
        .encode();
        let digest = DirectoryDigest::of(&encoded);
        self.store
            .write_directory(digest, encoded)
            .map_err(tree_error)?;
        Ok(digest)
    }

    /// The entries of lower directories that are seen as one.
    fn merged(&self, lower: &[DirectoryDigest]) -> Result<Entries, SandboxError> {
        let [first, rest @ ..] = lower else {
            return Ok(Entries::default());
        };
        let digest = if rest.is_empty() {
            *first
        } else {
            let mut tree = Tree::empty();
            for digest in lower.iter().rev() {
                tree.merge(&TreePath::root(), *digest, self.store)
                    .map_err(tree_error)?;
            }
            tree.write(self.store).map_err(tree_error)?
        };
        Ok(self
            .store
            .read_directory(digest)
            .map_err(tree_error)?
            .entries
            .clone())
    }

    /// The lower directories that are seen at `name`: those below the first that has something else.
    fn descend(
        &self,
        lower: &[DirectoryDigest],
        name: &str,
    ) -> Result<Vec<DirectoryDigest>, SandboxError> {
        let mut found = Vec::new();
        for digest in lower {
            let directory = self.store.read_directory(*digest).map_err(tree_error)?;
            match directory.entries.get(name) {
                Some(Node::Directory(child)) => found.push(*child),
                Some(_) => break,
                None => {}
            }
        }
        Ok(found)
    }

    fn lower_node(
        &self,
        lower: &[DirectoryDigest],
        name: &Name,
    ) -> Result<Option<Node>, SandboxError> {
        for digest in lower {
            let directory = self.store.read_directory(*digest).map_err(tree_error)?;
            if let Some(node) = directory.entries.get(name) {
                return Ok(Some(node.clone()));
            }
        }
        Ok(None)
    }

    /// A file or link of the upper layer, its content put into the store.
    fn leaf(
        &self,
        path: &TreePath,
        file: &Path,
        metadata: &Metadata,
    ) -> Result<Node, SandboxError> {
        let failed = |reason: String| SandboxError::Output {
            path: path.clone(),
            reason,
        };
        if metadata.is_symlink() {
            let target = fs::read_link(file).map_err(|error| failed(error.to_string()))?;
            let target = target
                .to_str()
                .ok_or_else(|| failed("its target is not UTF-8".into()))?;
            // Without properties, as where folders of the host are captured.
            return Ok(Node::Symlink(SymlinkNode::new(target)));
        }
        let open = || File::open(file);
        let mut opened = match open() {
            // Its mode may forbid even its owner to read it.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let mode = metadata.permissions().mode() | 0o400;
                fs::set_permissions(file, fs::Permissions::from_mode(mode)).and_then(|()| open())
            }
            other => other,
        }
        .map_err(|error| failed(error.to_string()))?;
        let digest = self
            .keep(&mut opened, metadata.len())
            .map_err(|error| match error {
                Kept::Store(error) => SandboxError::Store(error),
                Kept::Io(error) if error.kind() == io::ErrorKind::StorageFull => {
                    SandboxError::Store(StoreError::Full(file.to_owned()))
                }
                Kept::Io(error) => failed(error.to_string()),
            })?;
        Ok(Node::File(FileNode {
            digest,
            executable: metadata.permissions().mode() & 0o100 != 0,
            properties: self.properties_of(metadata),
        }))
    }

    fn properties_of(&self, metadata: &Metadata) -> Properties {
        let CapturedProperties { mtime, unix_mode } = self.properties;
        if !mtime && !unix_mode {
            return Properties::default();
        }
        let mode = metadata.permissions().mode() & 0o7777;
        Properties::of(
            mtime.then(|| (metadata.mtime(), metadata.mtime_nsec())),
            unix_mode.then_some(mode),
        )
    }

    fn keep(&self, file: &mut File, size: u64) -> Result<BlobDigest, Kept> {
        let store = self.store.store();
        if size <= SMALL {
            let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
            io::Read::read_to_end(file, &mut content).map_err(Kept::Io)?;
            return store.write(content.into()).map_err(Kept::Store);
        }
        let mut writer = store.writer().map_err(Kept::Store)?;
        io::copy(file, &mut writer).map_err(Kept::Io)?;
        writer.finish(None).map_err(Kept::Store)
    }
}

enum Kept {
    Io(io::Error),
    Store(StoreError),
}

/// A name in the upper layer.
enum Entry {
    Absent,
    Removed,
    Directory {
        path: PathBuf,
        opaque: bool,
    },
    Node(PathBuf, Metadata),
    /// A socket, pipe or device: nothing that an output can hold.
    Other,
}

impl Entry {
    fn read(path: &Path) -> Result<Self, SandboxError> {
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::Absent),
            Err(error) => return Err(io_error(path, &error)),
        };
        let kind = metadata.file_type();
        let path = path.to_owned();
        Ok(if kind.is_dir() {
            let opaque = has_mark(&path, c"user.overlay.opaque");
            Self::Directory { path, opaque }
        } else if is_whiteout(&path, &metadata) {
            Self::Removed
        } else if kind.is_file() || kind.is_symlink() {
            Self::Node(path, metadata)
        } else {
            Self::Other
        })
    }
}

fn is_whiteout(path: &Path, metadata: &Metadata) -> bool {
    let device = metadata.file_type().is_char_device() && metadata.rdev() == 0;
    let empty = metadata.is_file() && metadata.len() == 0;
    device || empty && has_mark(path, c"user.overlay.whiteout")
}

fn has_mark(path: &Path, name: &std::ffi::CStr) -> bool {
    let mut value = [0_u8; 8];
    rustix::fs::lgetxattr(path, name, &mut value).is_ok()
}

fn names(folder: &Path) -> Result<Vec<Name>, SandboxError> {
    let read = || match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
            fs::read_dir(folder)
        }
        other => other,
    };
    let entries = read().map_err(|error| io_error(folder, &error))?;
    let names = entries.map(|entry| {
        let name = entry.map_err(|error| io_error(folder, &error))?.file_name();
        let text = name.to_str().and_then(|name| Name::new(name).ok());
        text.ok_or_else(|| {
            io_error(
                &folder.join(&name),
                &io::Error::other("its name is not UTF-8"),
            )
        })
    });
    names.collect()
}

fn io_error(path: &Path, error: &io::Error) -> SandboxError {
    SandboxError::Step {
        step: format!("capture {}", path.display()),
        reason: error.to_string(),
    }
}

fn tree_error(error: TreeError) -> SandboxError {
    unreadable("capture outputs", error)
}
