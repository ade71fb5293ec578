//! Paths that a client names, looked up where the client may look.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, mkdirat, openat2};

use crate::error::HostError;

/// Where a client's paths begin.
///
/// With a root nothing outside is ever reached, whatever symbolic links or `..` the path leads through
/// and whoever changes them meanwhile: the kernel resolves it with the root as `/`.
#[derive(Debug)]
pub struct Place {
    root: Option<OwnedFd>,
    shown: PathBuf,
}

impl Place {
    /// All of the host.
    pub fn host() -> Self {
        Self {
            root: None,
            shown: PathBuf::from("/"),
        }
    }

    /// What is below a folder.
    pub fn below(root: &Path) -> Result<Self, HostError> {
        Self::host().enter(root)
    }

    /// What is below a folder of this place.
    pub fn enter(&self, root: &Path) -> Result<Self, HostError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            root: Some(self.open(root, flags)?),
            shown: root.to_owned(),
        })
    }

    /// What tells the file at `path` from all others: its device and number. `None` if it is not there.
    pub fn identity(&self, path: &Path) -> Option<(u64, u64)> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let stat = rustix::fs::fstat(self.open(path, flags).ok()?).ok()?;
        Some((stat.st_dev, stat.st_ino))
    }

    /// Opens the folder at `path`, a path of plain names; what is not there of it is made.
    pub fn make_folder(&self, path: &Path) -> Result<OwnedFd, HostError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut so_far = PathBuf::new();
        let mut folder = self.open(&so_far, flags)?;
        for name in path.components() {
            so_far.push(name);
            folder = match self.open(&so_far, flags) {
                Err(HostError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                    mkdirat(&folder, name.as_os_str(), Mode::from_raw_mode(0o755))
                        .map_err(|error| HostError::os(self.shown.join(&so_far), error))?;
                    self.open(&so_far, flags)?
                }
                opened => opened?,
            };
        }
        Ok(folder)
    }

    /// The folder that holds the last component of `path`, and that component; an absolute path
    /// begins at the root. `None` for the name if the path is the root itself.
    pub(crate) fn find<'a>(
        &self,
        path: &'a Path,
    ) -> Result<(OwnedFd, Option<&'a OsStr>), HostError> {
        if self.root.is_none() && !path.is_absolute() {
            return Err(HostError::Unusable {
                path: path.to_owned(),
                reason: "it is relative: expected an absolute path",
            });
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => Ok((self.open(parent, flags)?, Some(name))),
            // The root, or a path that ends in `..`.
            _ => Ok((self.open(path, flags)?, None)),
        }
    }

    fn open(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, HostError> {
        let (at, resolve): (BorrowedFd<'_>, _) = match &self.root {
            None => (CWD, ResolveFlags::empty()),
            Some(root) => (
                root.as_fd(),
                ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
            ),
        };
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        loop {
            match openat2(at, path, flags, Mode::empty(), resolve) {
                // Something on the way was renamed meanwhile.
                Err(rustix::io::Errno::AGAIN) => {}
                Err(error) => return Err(HostError::os(self.shown.join(path), error)),
                Ok(open) => return Ok(open),
            }
        }
    }
}
