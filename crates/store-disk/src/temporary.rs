//! Files that are being written: under a name of their own until they are whole.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use headstart_store::StoreError;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// A file under a temporary name; removed when dropped, unless it was put in its place.
pub(crate) struct Temporary {
    path: PathBuf,
    file: File,
    placed: bool,
}

impl Temporary {
    /// A new file in `folder`, which is made if it is not there. The name holds the process's id,
    /// so that what a killed process left behind can be told from what is in use.
    pub(crate) fn create(folder: &Path) -> Result<Self, StoreError> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("headstart-{}-{number}", process::id()));
        let open = || {
            OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o644)
                .open(&path)
        };
        let file = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(folder).map_err(|error| StoreError::io(folder, error))?;
                open()
            }
            // Left behind by a killed process that had the same id.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_file(&path).map_err(|error| StoreError::io(&path, error))?;
                open()
            }
            other => other,
        };
        let file = file.map_err(|error| StoreError::io(&path, error))?;
        Ok(Self {
            path,
            file,
            placed: false,
        })
    }

    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    pub(crate) fn write_all(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file
            .write_all(bytes)
            .map_err(|error| StoreError::io(&self.path, error))
    }

    /// Gives the file its mode and its place, in one step, unless a file of this size is there
    /// already. That one stays: others may just be making links to it.
    pub(crate) fn place_new(self, path: &Path, mode: u32, size: u64) -> Result<(), StoreError> {
        let there = || fs::metadata(path).is_ok_and(|metadata| metadata.len() == size);
        self.set_mode(mode)?;
        let rename = || renameat_with(CWD, &self.path, CWD, path, RenameFlags::NOREPLACE);
        let renamed = match rename() {
            Err(Errno::NOENT) => {
                let folder = path.parent().unwrap_or(path);
                fs::create_dir_all(folder).map_err(|error| StoreError::io(folder, error))?;
                rename()
            }
            other => other,
        };
        match renamed {
            Ok(()) => {
                self.forget();
                Ok(())
            }
            Err(Errno::EXIST) if there() => Ok(()),
            // A damaged file, or a file system without this kind of rename.
            Err(_) => self.place(path, mode),
        }
    }

    fn set_mode(&self, mode: u32) -> Result<(), StoreError> {
        let permissions = Permissions::from_mode(mode);
        self.file
            .set_permissions(permissions)
            .map_err(|error| StoreError::io(&self.path, error))
    }

    /// Notes that the temporary name is no more.
    fn forget(mut self) {
        self.placed = true;
    }

    /// Gives the file its mode and its place, in one step; what stood there is replaced.
    pub(crate) fn place(mut self, path: &Path, mode: u32) -> Result<(), StoreError> {
        self.set_mode(mode)?;
        match fs::rename(&self.path, path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = path.parent().unwrap_or(path);
                fs::create_dir_all(folder).map_err(|error| StoreError::io(folder, error))?;
                fs::rename(&self.path, path)
            }
            other => other,
        }
        .map_err(|error| StoreError::io(path, error))?;
        self.placed = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.placed {
            // Nothing depends on it; what can't be removed now is swept at the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes what processes that no longer run left in `folder`.
pub(crate) fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name
            .to_str()
            .and_then(|name| name.strip_prefix("headstart-")?.split('-').next());
        let alive = owner.is_none_or(|owner| Path::new("/proc").join(owner).exists());
        if !alive {
            let _ = fs::remove_file(entry.path());
        }
    }
}
