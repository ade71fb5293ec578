//! Files that are being written: without a name, or under one of their own, until they are whole.
//!
//! Where the file system can (`O_TMPFILE`, open(2)), a file has no name until it is put in its place:
//! nothing of it is left when the process is killed, and no folder that all writers share is changed twice
//! for each.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use headstart_store::StoreError;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, fstat, linkat, open, renameat_with};
use rustix::io::Errno;

use crate::verified::Identity;

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// A file that nobody sees yet; removed when dropped, unless it was put in its place.
pub(crate) struct Temporary {
    /// Where it has its temporary name, if it needs one.
    folder: PathBuf,
    name: Option<PathBuf>,
    file: File,
}

impl Temporary {
    /// A new file in `folder`, which is made if it is not there.
    pub(crate) fn create(folder: &Path) -> Result<Self, StoreError> {
        let created = |name, file| Self {
            folder: folder.to_owned(),
            name,
            file,
        };
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        if can_be_named()
            && let Ok(file) = open(folder, flags, Mode::from_raw_mode(0o644))
        {
            return Ok(created(None, file.into()));
        }
        let (name, file) = create_named(folder)?;
        Ok(created(Some(name), file))
    }

    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    pub(crate) fn write_all(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file
            .write_all(bytes)
            .map_err(|error| StoreError::io(&self.folder, error))
    }

    /// Gives the file its mode and its place, in one step, unless a file of this size is there
    /// already. That one stays: others may just be making links to it. Gives the file if it is there now.
    pub(crate) fn place_new(
        self,
        path: &Path,
        mode: u32,
        size: u64,
    ) -> Result<Option<Identity>, StoreError> {
        let file = self.set_mode(mode)?;
        let there = || fs::metadata(path).is_ok_and(|metadata| metadata.len() == size);
        match in_made_folder(path, || self.appear(path)) {
            Ok(()) => {
                self.forget();
                Ok(file)
            }
            Err(Errno::EXIST) if there() => Ok(None),
            // A damaged file, or a file system without this kind of rename or link.
            Err(_) => self.place(path, mode).map(|()| file),
        }
    }

    /// Gives the file its mode and its place, in one step; what stood there is replaced.
    pub(crate) fn place(mut self, path: &Path, mode: u32) -> Result<(), StoreError> {
        self.set_mode(mode)?;
        let name = match &self.name {
            Some(name) => name.clone(),
            None => {
                let name = temporary_name(&self.folder);
                let named = self.appear(&name);
                named.map_err(|error| StoreError::io(&name, error.into()))?;
                self.name.insert(name).clone()
            }
        };
        let rename = || renameat_with(CWD, &name, CWD, path, RenameFlags::empty());
        let renamed = in_made_folder(path, rename);
        renamed.map_err(|error| StoreError::io(path, error.into()))?;
        self.forget();
        Ok(())
    }

    /// Gives the file a name that nothing has yet.
    fn appear(&self, path: &Path) -> Result<(), Errno> {
        match &self.name {
            Some(name) => renameat_with(CWD, name, CWD, path, RenameFlags::NOREPLACE),
            // Without looking for the file by its name in /proc, where the kernel allows that (since 6.10,
            // linkat(2)). It also says that there is nothing where it doesn't.
            None => match linkat(&self.file, c"", CWD, path, AtFlags::EMPTY_PATH) {
                Err(Errno::NOENT | Errno::PERM) => self.appear_by_number(path),
                other => other,
            },
        }
    }

    fn appear_by_number(&self, path: &Path) -> Result<(), Errno> {
        let number = self.file.as_raw_fd();
        let own = format!("/proc/self/fd/{number}");
        linkat(CWD, own, CWD, path, AtFlags::SYMLINK_FOLLOW)
    }

    /// Gives the file its mode, and says which it is.
    fn set_mode(&self, mode: u32) -> Result<Option<Identity>, StoreError> {
        let stat = fstat(&self.file).ok();
        let file = stat.as_ref().map(Identity::from);
        // Asking costs a tenth of setting it.
        if stat.is_some_and(|stat| stat.st_mode & 0o7777 == mode) {
            return Ok(file);
        }
        let permissions = Permissions::from_mode(mode);
        let set = self.file.set_permissions(permissions);
        set.map_err(|error| StoreError::io(&self.folder, error))?;
        Ok(file)
    }

    /// Notes that the temporary name is no more.
    fn forget(mut self) {
        self.name = None;
    }
}

/// A file with a name that holds the process's id, so that what a killed process left behind can be told
/// from what is in use.
fn create_named(folder: &Path) -> Result<(PathBuf, File), StoreError> {
    let path = temporary_name(folder);
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
    Ok((path, file))
}

/// Whether a file without a name can be given one.
fn can_be_named() -> bool {
    static PROC: OnceLock<bool> = OnceLock::new();
    *PROC.get_or_init(|| Path::new("/proc/self/fd").exists())
}

fn temporary_name(folder: &Path) -> PathBuf {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    folder.join(format!("headstart-{}-{number}", process::id()))
}

/// Does something at `path`, again when the folder that it lies in has been made.
fn in_made_folder(path: &Path, act: impl Fn() -> Result<(), Errno>) -> Result<(), Errno> {
    match act() {
        Err(Errno::NOENT) => {
            let folder = path.parent().unwrap_or(path);
            fs::create_dir_all(folder)
                .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
            act()
        }
        other => other,
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // Nothing depends on it; what can't be removed now is swept at the next start.
            let _ = fs::remove_file(name);
        }
    }
}

/// Removes what processes that no longer run left in `folder`.
pub(crate) fn sweep(folder: &Path) {
    for path in left_behind(folder, Duration::MAX) {
        let _ = fs::remove_file(path);
    }
}

/// What processes that no longer run left in `folder`, and what others have not written to for so long.
pub(crate) fn left_behind(folder: &Path, abandoned: Duration) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let left = entries.filter(|entry| {
        let name = entry.file_name();
        let owner = name
            .to_str()
            .and_then(|name| name.strip_prefix("headstart-")?.split('-').next());
        match owner {
            Some(owner) => !Path::new("/proc").join(owner).exists(),
            None => {
                let metadata = entry.metadata().ok().filter(fs::Metadata::is_file);
                let written = metadata.and_then(|metadata| metadata.modified().ok());
                written.is_some_and(|at| at.elapsed().is_ok_and(|since| since > abandoned))
            }
        }
    });
    left.map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without a name, and with one as where the file system knows nothing else.
    fn both(folder: &Path) -> [Temporary; 2] {
        let (name, file) = create_named(folder).unwrap();
        let named = Temporary {
            folder: folder.to_owned(),
            name: Some(name),
            file,
        };
        [Temporary::create(folder).unwrap(), named]
    }

    #[test]
    fn files_appear_whole_and_nothing_else_does() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("tmp");
        fs::create_dir(&folder).unwrap();
        for (number, mut temporary) in both(&folder).into_iter().enumerate() {
            let path = root.path().join(format!("{number}/made/file"));
            temporary.write_all(b"first").unwrap();
            temporary.place_new(&path, 0o600, 5).unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"first");
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o600);
            for mut second in both(&folder) {
                second.write_all(b"again").unwrap();
                second.place_new(&path, 0o644, 5).unwrap();
                assert_eq!(fs::read(&path).unwrap(), b"first", "one of this size stays");
            }
            for mut third in both(&folder) {
                fs::write(&path, "damaged").unwrap();
                third.write_all(b"third").unwrap();
                third.place_new(&path, 0o644, 5).unwrap();
                assert_eq!(fs::read(&path).unwrap(), b"third");
            }
            for mut fourth in both(&folder) {
                fourth.write_all(b"fourth").unwrap();
                fourth.place(&path, 0o644).unwrap();
                assert_eq!(fs::read(&path).unwrap(), b"fourth");
            }
        }
        drop(both(&folder));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }
}
