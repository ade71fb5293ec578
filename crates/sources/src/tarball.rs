//! `tar`: an archive, unpacked straight into the store.
//!
//! As BuildStream does it: the first directory, in order of names, that matches `base-dir` is what
//! is unpacked; devices are passed over; an entry that would leave the tree is an error.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

use headstart_merkle::{DirectoryDigest, FileNode, Node, SymlinkNode, Tree, TreeError, TreePath};
use headstart_project::{Pattern, Tar};
use headstart_store::{BlobStore, Directories};
use tar::{Archive, Entry, EntryType};

use crate::capture::keep;
use crate::error::SourceError;

type Store = Directories<dyn BlobStore>;

/// The tree that the archive stages.
pub(crate) fn stage(tar: &Tar, file: &Path, store: &Store) -> Result<DirectoryDigest, SourceError> {
    let name = &*tar.download.url;
    let failed = |error| unreadable(name, &error);
    let base = if tar.base_dir.is_empty() {
        None
    } else {
        let mut archive = Archive::new(open(file).map_err(failed)?);
        Some(find_base(&mut archive, &tar.base_dir, name)?)
    };
    let mut archive = Archive::new(open(file).map_err(failed)?);
    let mut unpacking = Unpacking {
        archive: name,
        base,
        tree: Tree::empty(),
        store,
    };
    for entry in archive.entries().map_err(failed)? {
        unpacking.add(entry.map_err(failed)?)?;
    }
    Ok(unpacking.tree.write(store)?)
}

fn archive_error(archive: &str, reason: String) -> SourceError {
    SourceError::Archive {
        archive: archive.to_owned(),
        reason,
    }
}

/// The error for an archive that can't be read to its end.
fn unreadable(archive: &str, error: &io::Error) -> SourceError {
    // Its words may hold some of the archive's bytes: nothing that a terminal would act on.
    let plain = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let said: String = error.to_string().chars().map(plain).collect();
    archive_error(archive, format!("it is no tar archive, or damaged: {said}"))
}

/// The archive's content, uncompressed; by what compression, its first bytes tell.
fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    let mut file = File::open(path)?;
    let mut magic = Vec::new();
    (&mut file).take(6).read_to_end(&mut magic)?;
    file.rewind()?;
    let file = BufReader::with_capacity(256 * 1024, file);
    Ok(match &*magic {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
        [b'B', b'Z', b'h', ..] => Box::new(bzip2::bufread::MultiBzDecoder::new(file)),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => {
            Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(file))
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::Decoder::with_buffer(file)?),
        _ => Box::new(file),
    })
}

/// An entry's path or a link's target as text.
fn text(bytes: &[u8], archive: &str) -> Result<String, SourceError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| {
        let name = String::from_utf8_lossy(bytes);
        archive_error(archive, format!("the name {name:?} in it is not UTF-8"))
    })
}

/// The directory to unpack, with a slash at its end.
fn find_base(
    archive: &mut Archive<Box<dyn Read>>,
    pattern: &str,
    name: &str,
) -> Result<String, SourceError> {
    let failed = |error| unreadable(name, &error);
    let mut paths = BTreeSet::new();
    for entry in archive.entries().map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = text(&entry.path_bytes(), name)?;
        let path = path
            .trim_start_matches(['.', '/'])
            .trim_end_matches('/')
            .to_owned();
        let parents = path.match_indices('/').map(|(at, _)| path[..at].to_owned());
        paths.extend(parents.filter(|parent| !parent.is_empty()));
        if !path.is_empty() {
            paths.insert(path);
        }
    }
    // In the order of characters, in which BuildStream sorts.
    let matcher = Pattern::new(&format!("/{}", pattern.trim_start_matches('/')));
    let base = paths
        .into_iter()
        .find(|path| matcher.matches(&format!("/{path}")));
    let none = || {
        archive_error(
            name,
            format!("nothing in it matches the base-dir {pattern:?}"),
        )
    };
    Ok(format!("{}/", base.ok_or_else(none)?))
}

struct Unpacking<'a> {
    archive: &'a str,
    base: Option<String>,
    tree: Tree,
    store: &'a Store,
}

impl Unpacking<'_> {
    fn add(&mut self, mut entry: Entry<'_, Box<dyn Read>>) -> Result<(), SourceError> {
        let written = text(&entry.path_bytes(), self.archive)?;
        let Some(path) = self.inside(&written)? else {
            return Ok(());
        };
        let kind = entry.header().entry_type();
        match kind {
            EntryType::Directory => self
                .tree
                .make_directory(&path, self.store)
                .map_err(|error| self.misplaced(&written, error)),
            EntryType::Symlink => {
                let target = self.link_target(&entry, &written)?;
                self.put(&path, &written, Node::Symlink(SymlinkNode::new(&target)))
            }
            EntryType::Link => {
                let target = self.link_target(&entry, &written)?;
                let node = self
                    .inside(&target)?
                    .map(|target| self.tree.get(&target, self.store));
                let node = node.transpose()?.flatten().ok_or_else(|| {
                    let reason = format!("{written:?} is a link to {target:?}, which is not in it");
                    archive_error(self.archive, reason)
                })?;
                self.put(&path, &written, node)
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let mode = entry.header().mode().unwrap_or(0o644);
                let failed = |error| unreadable(self.archive, &error);
                let digest = keep(&mut entry, &**self.store.store(), None, failed)?;
                let node = Node::File(FileNode::new(digest, mode & 0o100 != 0));
                self.put(&path, &written, node)
            }
            // Devices, and headers that say nothing of a file.
            _ => Ok(()),
        }
    }

    /// Where an entry goes; `None` if it is not below the base.
    fn inside(&self, written: &str) -> Result<Option<TreePath>, SourceError> {
        let path = match &self.base {
            None => written,
            Some(base) => {
                let path = written.strip_prefix("./").unwrap_or(written);
                match path.strip_prefix(base.as_str()) {
                    Some(path) => path,
                    None => return Ok(None),
                }
            }
        };
        let outside = |reason: String| {
            archive_error(
                self.archive,
                format!("{written:?} in it leads outside: {reason}"),
            )
        };
        if path.starts_with('/') {
            return Err(outside("it is absolute".to_owned()));
        }
        let path = TreePath::normalized(path).map_err(|error| outside(error.to_string()))?;
        Ok(if path.is_root() { None } else { Some(path) })
    }

    fn link_target(
        &self,
        entry: &Entry<'_, Box<dyn Read>>,
        written: &str,
    ) -> Result<String, SourceError> {
        match entry.link_name_bytes() {
            Some(target) => text(&target, self.archive),
            None => Err(archive_error(
                self.archive,
                format!("{written:?} is a link to nowhere"),
            )),
        }
    }

    /// A later entry takes the place of an earlier one of the same name.
    fn put(&mut self, path: &TreePath, written: &str, node: Node) -> Result<(), SourceError> {
        self.tree
            .insert(path, node, self.store)
            .map_err(|error| self.misplaced(written, error))
    }

    /// The error for an entry that can't stand where it says.
    fn misplaced(&self, written: &str, error: TreeError) -> SourceError {
        match error {
            TreeError::NotADirectory(_) | TreeError::IsADirectory(_) => archive_error(
                self.archive,
                format!("{written:?} in it is misplaced: {error}"),
            ),
            error => error.into(),
        }
    }
}
