//! Folders of a process's own below the cache directory, and removing what others left.

use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use headstart_store_disk::is_running;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, chmodat, openat, unlinkat};
use rustix::io::Errno;

use crate::shown;

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

/// How often it is tried to remove a folder in which something changes meanwhile, and after how long again.
const TRIES: usize = 50;
const MOMENT: Duration = Duration::from_millis(10);

/// Removes the folders below `parent` whose processes have ended.
pub(crate) fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if !name.to_str().is_some_and(is_running) {
            let path = entry.path();
            for instance in fs::read_dir(&path).into_iter().flatten().flatten() {
                shown::hide(&instance.path());
            }
            remove(&path);
        }
    }
}

/// Removes a folder with all below it, whatever modes a command gave to its directories. What was killed may need
/// a moment to end, and change something there until then.
pub fn remove(path: &Path) {
    for again in (0..TRIES).rev() {
        let Err(error) = try_remove(path) else {
            return;
        };
        if fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            return;
        }
        let may_pass = matches!(
            error.kind(),
            io::ErrorKind::NotFound
                | io::ErrorKind::DirectoryNotEmpty
                | io::ErrorKind::ResourceBusy
        );
        if !may_pass || again == 0 {
            tracing::warn!(path = %path.display(), %error, "a folder of a sandbox could not be removed");
            return;
        }
        std::thread::sleep(MOMENT);
    }
}

/// A folder on the way down, of which some folders are still to be removed.
struct Level {
    name: CString,
    folders: Vec<CString>,
}

/// However deep it is: a command may have made more folders in each other than paths can be long,
/// descriptors open or calls nested. So one folder is open at a time, and left by its `..`.
pub(crate) fn try_remove(path: &Path) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let parent = path.parent().unwrap_or(Path::new("/"));
    let mut open = open_folder(parent)?;
    let mut levels: Vec<Level> = Vec::new();
    let mut next = Some(CString::new(name.as_bytes())?);
    loop {
        if let Some(name) = next {
            open = enter(&open, &name)?;
            let folders = empty(&open)?;
            levels.push(Level { name, folders });
        } else if let Some(Level { name, .. }) = levels.pop() {
            open = openat(&open, c"..", FOLDER, Mode::empty())?;
            unlinkat(&open, &name, AtFlags::REMOVEDIR)?;
        }
        match levels.last_mut() {
            None => return Ok(()),
            Some(level) => next = level.folders.pop(),
        }
    }
}

pub(crate) fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, FOLDER, Mode::empty())?)
}

/// Opens a folder, whose mode may have to be changed for that.
pub(crate) fn enter(at: &OwnedFd, name: &CStr) -> io::Result<OwnedFd> {
    let open = || openat(at, name, FOLDER | OFlags::NOFOLLOW, Mode::empty());
    let folder = match open() {
        Err(Errno::ACCESS) => {
            chmodat(at, name, Mode::RWXU, AtFlags::empty())?;
            open()?
        }
        opened => opened?,
    };
    Ok(folder)
}

/// Removes all that is no folder from an open one; gives the names of the folders.
pub(crate) fn empty(folder: &OwnedFd) -> io::Result<Vec<CString>> {
    let mut folders = Vec::new();
    let mut may_write = false;
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        if !may_write {
            // What the command took away is needed to remove anything from it.
            rustix::fs::fchmod(folder, Mode::RWXU)?;
            may_write = true;
        }
        let is_folder = match entry.file_type() {
            FileType::Unknown => {
                let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
                FileType::from_raw_mode(stat.st_mode) == FileType::Directory
            }
            known => known == FileType::Directory,
        };
        match is_folder {
            true => folders.push(name.to_owned()),
            false => unlinkat(folder, name, AtFlags::empty())?,
        }
    }
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn folders_are_removed_however_deep_they_are() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("folder");
        fs::create_dir(&path).unwrap();
        let mut open = rustix::fs::open(&path, FOLDER, Mode::empty()).unwrap();
        for level in 0..6000 {
            rustix::fs::mkdirat(&open, "d", Mode::RWXU).unwrap();
            if level % 1000 == 0 {
                rustix::fs::symlinkat("/", &open, "link").unwrap();
            }
            open = openat(&open, "d", FOLDER, Mode::empty()).unwrap();
        }
        remove(&path);
        assert!(!path.exists());
    }

    #[test]
    fn folders_are_removed_in_which_something_still_changes() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("folder");
        fs::create_dir_all(path.join("inner")).unwrap();
        let file = path.join("inner/file");
        fs::write(&file, "").unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let begun = std::time::Instant::now();
                while begun.elapsed() < 10 * MOMENT {
                    let _ = fs::write(&file, "");
                    let _ = fs::remove_file(&file);
                }
            });
            remove(&path);
        });
        assert!(!path.exists());
    }

    #[test]
    fn what_links_lead_to_stays() {
        let parent = tempfile::tempdir().unwrap();
        fs::create_dir(parent.path().join("other")).unwrap();
        fs::write(parent.path().join("other/file"), "").unwrap();
        let path = parent.path().join("folder");
        fs::create_dir_all(path.join("a/b")).unwrap();
        fs::create_dir_all(path.join("c")).unwrap();
        std::os::unix::fs::symlink("../../other", path.join("a/link")).unwrap();
        fs::set_permissions(path.join("a"), fs::Permissions::from_mode(0o000)).unwrap();
        remove(&path);
        assert!(!path.exists());
        assert!(parent.path().join("other/file").exists());
    }
}
