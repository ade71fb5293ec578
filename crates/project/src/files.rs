//! How the model sees a project's files: a small trait, so that no IO happens here.
//!
//! All paths are relative to the project's directory, with `/` between names and without `.` and
//! `..`; the empty path is the directory itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use thiserror::Error;

/// Why a file can't be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FileError {
    /// Nothing is there.
    #[error("there is no such file")]
    NotFound,
    /// A directory is there.
    #[error("it is a directory")]
    IsDirectory,
    /// The content is not text.
    #[error("it is not UTF-8 text")]
    NotText,
    /// Anything else, as the system says it.
    #[error("{0}")]
    Other(String),
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stat {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link and its target as it stands.
    Symlink(String),
    /// A socket, device or pipe.
    Other,
}

/// Read access to a project's directory.
pub trait Files: Send + Sync {
    /// The text of the file at a path.
    fn read(&self, path: &str) -> Result<String, FileError>;

    /// The names in the directory at a path, in any order.
    fn list(&self, path: &str) -> Result<Vec<String>, FileError>;

    /// What is at a path; a symbolic link in its last place is not followed.
    fn stat(&self, path: &str) -> Result<Stat, FileError>;
}

/// The files of a project below the top-level one's, as seen from its own directory.
#[derive(Clone)]
pub(crate) struct Below {
    files: Arc<dyn Files>,
    directory: Arc<str>,
}

impl Below {
    pub(crate) fn new(files: Arc<dyn Files>, directory: impl Into<Arc<str>>) -> Self {
        let directory = directory.into();
        Self { files, directory }
    }

    pub(crate) fn directory(&self) -> &str {
        &self.directory
    }

    /// The path from the top-level project's directory.
    pub(crate) fn path(&self, path: &str) -> String {
        match (&*self.directory, path) {
            ("", path) => path.to_owned(),
            (directory, "") => directory.to_owned(),
            (directory, path) => format!("{directory}/{path}"),
        }
    }
}

impl Files for Below {
    fn read(&self, path: &str) -> Result<String, FileError> {
        self.files.read(&self.path(path))
    }

    fn list(&self, path: &str) -> Result<Vec<String>, FileError> {
        self.files.list(&self.path(path))
    }

    fn stat(&self, path: &str) -> Result<Stat, FileError> {
        self.files.stat(&self.path(path))
    }
}

/// Files in memory, for tests and for projects that are not on disk.
#[derive(Clone, Debug, Default)]
pub struct MemoryFiles {
    files: BTreeMap<String, String>,
}

impl MemoryFiles {
    /// Files from one text, in which a line `//- PATH` begins each file.
    pub fn from_fixture(text: &str) -> Self {
        let mut files = BTreeMap::new();
        for part in text.split("//- ").skip(1) {
            let (path, content) = part.split_once('\n').unwrap_or((part, ""));
            files.insert(path.trim().to_owned(), content.to_owned());
        }
        Self { files }
    }

    /// Adds a file or replaces it.
    pub fn insert(&mut self, path: impl Into<String>, content: impl Into<String>) {
        self.files.insert(path.into(), content.into());
    }
}

impl Files for MemoryFiles {
    fn read(&self, path: &str) -> Result<String, FileError> {
        match (self.files.get(path), self.stat(path)) {
            (Some(text), _) => Ok(text.clone()),
            (None, Ok(_)) => Err(FileError::IsDirectory),
            (None, Err(error)) => Err(error),
        }
    }

    fn list(&self, path: &str) -> Result<Vec<String>, FileError> {
        let mut names: Vec<String> = Vec::new();
        for file in self.files.keys() {
            let below = match path {
                "" => Some(file.as_str()),
                path => file
                    .strip_prefix(path)
                    .and_then(|rest| rest.strip_prefix('/')),
            };
            if let Some(name) = below.and_then(|rest| rest.split('/').next())
                && names.last().is_none_or(|last| last != name)
            {
                names.push(name.to_owned());
            }
        }
        if names.is_empty() {
            return Err(FileError::NotFound);
        }
        Ok(names)
    }

    fn stat(&self, path: &str) -> Result<Stat, FileError> {
        if self.files.contains_key(path) {
            return Ok(Stat::File);
        }
        self.list(path).map(|_| Stat::Directory)
    }
}
