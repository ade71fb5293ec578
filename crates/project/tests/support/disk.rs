//! A project on disk for tests: its files, and the digests that keys need.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use headstart_merkle::{BlobDigest, Directory, DirectoryDigest, FileNode, Name, Node, SymlinkNode};
use headstart_project::{Content, Contents, FileError, Files, Host, Settings, Stat};

/// A directory.
pub(crate) struct Disk(pub(crate) PathBuf);

impl Files for Disk {
    fn read(&self, path: &str) -> Result<String, FileError> {
        let path = self.0.join(path);
        if path.is_dir() {
            return Err(FileError::IsDirectory);
        }
        String::from_utf8(fs::read(path).map_err(error)?).map_err(|_| FileError::NotText)
    }

    fn list(&self, path: &str) -> Result<Vec<String>, FileError> {
        let entries = fs::read_dir(self.0.join(path)).map_err(error)?;
        entries
            .map(|entry| {
                Ok(entry
                    .map_err(error)?
                    .file_name()
                    .to_string_lossy()
                    .into_owned())
            })
            .collect()
    }

    fn stat(&self, path: &str) -> Result<Stat, FileError> {
        let path = self.0.join(path);
        let kind = fs::symlink_metadata(&path).map_err(error)?.file_type();
        Ok(if kind.is_symlink() {
            Stat::Symlink(
                fs::read_link(path)
                    .map_err(error)?
                    .to_string_lossy()
                    .into_owned(),
            )
        } else if kind.is_dir() {
            Stat::Directory
        } else if kind.is_file() {
            Stat::File
        } else {
            Stat::Other
        })
    }
}

fn error(error: io::Error) -> FileError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => FileError::NotFound,
        _ => FileError::Other(error.to_string()),
    }
}

/// This machine, with a fixed number of jobs.
pub(crate) fn settings(directory: &Path) -> Settings {
    let host = Host {
        system: "Linux".to_owned(),
        machine: std::env::consts::ARCH.to_owned(),
        max_jobs: 3,
    };
    Settings::new(host, directory.display().to_string())
}

/// Digests what keys need.
pub(crate) fn digest(root: &Path, contents: &[Content]) -> io::Result<Contents> {
    let digest = |content: &Content| {
        let hash = match content {
            Content::File(path) => BlobDigest::of(&fs::read(root.join(&**path))?).hex(),
            Content::Tree(path) | Content::Workspace(path) => tree(&root.join(&**path))?.hex(),
        };
        Ok((content.clone(), hash.into()))
    };
    contents.iter().map(digest).collect()
}

fn tree(path: &Path) -> io::Result<DirectoryDigest> {
    let mut directory = Directory::default();
    let mut add = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = Name::new(&name).map_err(io::Error::other)?;
        directory.entries.insert(name, node(path)?);
        Ok::<_, io::Error>(())
    };
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            add(&entry?.path())?;
        }
    } else {
        add(path)?;
    }
    Ok(directory.digest())
}

fn node(path: &Path) -> io::Result<Node> {
    let meta = fs::symlink_metadata(path)?;
    Ok(if meta.is_symlink() {
        let target = fs::read_link(path)?;
        Node::Symlink(SymlinkNode::new(&target.to_string_lossy()))
    } else if meta.is_dir() {
        Node::Directory(tree(path)?)
    } else {
        let executable = meta.permissions().mode() & 0o100 != 0;
        Node::File(FileNode::new(BlobDigest::of(&fs::read(path)?), executable))
    })
}
