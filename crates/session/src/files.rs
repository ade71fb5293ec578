//! A project's directory on disk, as the model of projects wants to see it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use headstart_project::{FileError, Files, Stat};

use crate::workspaces::MARK;

/// The files below a folder.
#[derive(Debug, Clone)]
pub struct DiskFiles {
    root: PathBuf,
}

impl DiskFiles {
    /// The files below `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }
}

/// The nearest folder, from `start` upwards, that holds a `project.conf` or is an open workspace.
pub fn find_project(start: &Path) -> Option<PathBuf> {
    let is_one =
        |folder: &&Path| folder.join("project.conf").is_file() || folder.join(MARK).is_file();
    start.ancestors().find(is_one).map(Path::to_owned)
}

impl Files for DiskFiles {
    fn read(&self, path: &str) -> Result<String, FileError> {
        let bytes = fs::read(self.root.join(path)).map_err(|error| file_error(&error))?;
        String::from_utf8(bytes).map_err(|_| FileError::NotText)
    }

    fn list(&self, path: &str) -> Result<Vec<String>, FileError> {
        let entries = fs::read_dir(self.root.join(path)).map_err(|error| file_error(&error))?;
        entries
            .map(|entry| {
                let entry = entry.map_err(|error| file_error(&error))?;
                entry
                    .file_name()
                    .into_string()
                    .map_err(|_| FileError::NotText)
            })
            .collect()
    }

    fn stat(&self, path: &str) -> Result<Stat, FileError> {
        let path = self.root.join(path);
        let kind = fs::symlink_metadata(&path)
            .map_err(|error| file_error(&error))?
            .file_type();
        Ok(if kind.is_symlink() {
            let target = fs::read_link(&path).map_err(|error| file_error(&error))?;
            Stat::Symlink(
                target
                    .into_os_string()
                    .into_string()
                    .map_err(|_| FileError::NotText)?,
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

fn file_error(error: &io::Error) -> FileError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => FileError::NotFound,
        io::ErrorKind::IsADirectory => FileError::IsDirectory,
        _ => FileError::Other(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_seen_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("sub")).unwrap();
        fs::write(folder.path().join("sub/a"), "text").unwrap();
        fs::write(folder.path().join("sub/b"), b"\xff").unwrap();
        std::os::unix::fs::symlink("a", folder.path().join("sub/link")).unwrap();
        let files = DiskFiles::new(folder.path());
        assert_eq!(files.read("sub/a"), Ok("text".to_owned()));
        assert_eq!(files.read("sub/b"), Err(FileError::NotText));
        assert_eq!(files.read("sub"), Err(FileError::IsDirectory));
        assert_eq!(files.read("none"), Err(FileError::NotFound));
        assert_eq!(files.stat("sub"), Ok(Stat::Directory));
        assert_eq!(files.stat("sub/link"), Ok(Stat::Symlink("a".to_owned())));
        let mut names = files.list("sub").unwrap();
        names.sort();
        assert_eq!(names, ["a", "b", "link"]);
    }

    #[test]
    fn a_project_is_found_from_below() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("elements/base");
        fs::create_dir_all(&below).unwrap();
        assert_eq!(find_project(&below), None);
        fs::write(folder.path().join("project.conf"), "name: p").unwrap();
        assert_eq!(find_project(&below).as_deref(), Some(folder.path()));
    }
}
