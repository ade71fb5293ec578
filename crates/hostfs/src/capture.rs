//! Folders and files of the host, taken into the store.

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use bytes::Bytes;
use headstart_merkle::{
    BlobDigest, Directory, DirectoryDigest, DirectoryWriter, FileNode, Name, Node, Properties,
    SymlinkNode,
};
use headstart_store::{BlobStore, Directories, StoreError};
use rayon::prelude::*;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, openat, readlinkat, statat};

use crate::error::HostError;
use crate::place::Place;

/// Files up to this size are read into memory at once.
const SMALL: u64 = 1024 * 1024;
/// How much of a larger file is read at a time.
const PIECE: usize = 256 * 1024;
/// A tree deeper than this is not one that anybody made on purpose.
const MAX_DEPTH: usize = 512;

/// What is captured besides names, contents and the owner's `x`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Times of modification.
    pub mtime: bool,
    /// The permission bits of modes that are in this mask, if it is set.
    pub unix_mode: Option<u32>,
}

/// Captures into a store.
pub struct Capture<'a, S: BlobStore + ?Sized + 'static> {
    /// Where contents and Directories go.
    pub store: &'a Directories<S>,
    /// What is captured of each node.
    pub wanted: Wanted,
}

impl<S: BlobStore + ?Sized + 'static> Capture<'_, S> {
    /// A folder with all below it. Sockets, pipes and devices are left out: no tree can hold them.
    pub fn folder(&self, place: &Place, path: &Path) -> Result<DirectoryDigest, HostError> {
        let (parent, name) = place.find(path)?;
        let folder = match name {
            None => parent,
            Some(name) => open_folder(&parent, name, path)?,
        };
        self.open_folder(&folder, path, 0)
    }

    /// A regular file.
    pub fn file(&self, place: &Place, path: &Path) -> Result<FileNode, HostError> {
        let (parent, name) = place.find(path)?;
        let name = name.ok_or_else(|| unusable(path, "it is no regular file"))?;
        let stat = statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| HostError::os(path, error))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(unusable(path, "it is no regular file"));
        }
        self.open_file(&parent, name, path, &stat)
    }

    fn open_folder(
        &self,
        folder: &OwnedFd,
        path: &Path,
        depth: usize,
    ) -> Result<DirectoryDigest, HostError> {
        if depth > MAX_DEPTH {
            return Err(unusable(path, "it is too deep"));
        }
        let entries = Dir::read_from(folder).map_err(|error| HostError::os(path, error))?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| HostError::os(path, error))?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                names.push(entry.file_name().to_owned());
            }
        }
        let nodes = names
            .par_iter()
            .filter_map(|name| self.node(folder, name, path, depth).transpose());
        let directory = Directory {
            entries: nodes.collect::<Result<Vec<_>, _>>()?.into_iter().collect(),
            properties: match self.wanted == Wanted::default() {
                true => Properties::default(),
                false => {
                    let stat =
                        rustix::fs::fstat(folder).map_err(|error| HostError::os(path, error))?;
                    self.properties(&stat)
                }
            },
        };
        let encoded = directory.encode();
        let digest = DirectoryDigest::of(&encoded);
        self.store.write_directory(digest, encoded)?;
        Ok(digest)
    }

    fn node(
        &self,
        folder: &OwnedFd,
        name: &CStr,
        path: &Path,
        depth: usize,
    ) -> Result<Option<(Name, Node)>, HostError> {
        let file_name = OsStr::from_bytes(name.to_bytes());
        let path = path.join(file_name);
        let checked = name.to_str().ok().and_then(|name| Name::new(name).ok());
        let checked = checked.ok_or_else(|| unusable(&path, "its name is not UTF-8"))?;
        let stat = match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            // Removed meanwhile.
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(error) => return Err(HostError::os(path, error)),
        };
        let node = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let child = open_folder(folder, file_name, &path)?;
                Node::Directory(self.open_folder(&child, &path, depth + 1)?)
            }
            FileType::Symlink => {
                let target = readlinkat(folder, name, Vec::new())
                    .map_err(|error| HostError::os(&path, error))?;
                let target = target.to_str();
                let target = target.map_err(|_| unusable(&path, "its target is not UTF-8"))?;
                // Without properties: whoever writes a tree out does not set the times of links, so one that is
                // taken in again would be another. buildbox-casd sees it so too.
                Node::Symlink(SymlinkNode::new(target))
            }
            FileType::RegularFile => Node::File(self.open_file(folder, file_name, &path, &stat)?),
            _ => return Ok(None),
        };
        Ok(Some((checked, node)))
    }

    fn open_file(
        &self,
        folder: &OwnedFd,
        name: &OsStr,
        path: &Path,
        stat: &Stat,
    ) -> Result<FileNode, HostError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = openat(folder, name, flags, Mode::empty())
            .map_err(|error| HostError::os(path, error))?;
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        Ok(FileNode {
            digest: self.content(File::from(file), size, path)?,
            executable: stat.st_mode & 0o100 != 0,
            properties: self.properties(stat),
        })
    }

    fn content(&self, mut file: File, size: u64, path: &Path) -> Result<BlobDigest, HostError> {
        let failed = |error: io::Error| HostError::io(path, error);
        let store = self.store.store();
        if size <= SMALL {
            let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
            // What was added since it was looked at is left for the next time.
            file.take(size).read_to_end(&mut content).map_err(failed)?;
            return Ok(store.write(Bytes::from(content))?);
        }
        let mut writer = store.writer()?;
        let mut piece = vec![0; PIECE];
        loop {
            match file.read(&mut piece).map_err(failed)? {
                0 => return Ok(writer.finish(None)?),
                read => writer
                    .write_all(&piece[..read])
                    .map_err(|error| StoreError::io("the store", error))?,
            }
        }
    }

    fn properties(&self, stat: &Stat) -> Properties {
        let mtime = (
            stat.st_mtime,
            i64::try_from(stat.st_mtime_nsec).unwrap_or(0),
        );
        let mask = self.wanted.unix_mode;
        Properties::of(
            self.wanted.mtime.then_some(mtime),
            mask.map(|mask| stat.st_mode & 0o7777 & mask),
        )
    }
}

fn open_folder(at: &impl AsFd, name: &OsStr, path: &Path) -> Result<OwnedFd, HostError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    openat(at, name, flags, Mode::empty()).map_err(|error| HostError::os(path, error))
}

fn unusable(path: &Path, reason: &'static str) -> HostError {
    HostError::Unusable {
        path: path.to_owned(),
        reason,
    }
}
