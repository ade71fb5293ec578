//! Folders that sandboxes write to, used again: to make and to remove them for each takes longer than a small command
//! runs, the more so where file systems put off using inodes that were freed just before.

use std::collections::VecDeque;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{fchmod, flistxattr, fremovexattr};
use rustix::io::Errno;

use crate::folders::{self, empty, enter, open_folder};
use crate::modes::{FOLDER, make_folders};

/// Folders of the upper layer that nearly every sandbox needs: they stay when it is emptied.
pub(crate) const STAYING: [&str; 3] = ["dev", "proc", "tmp"];
/// How many folders stay that nobody uses.
const IDLE: usize = 64;
/// How many others are used before one is used again: the kernel lets go of a mount a moment after its last process
/// has ended, and may refuse to mount an overlay whose layer has one still.
const RESTING: usize = 8;

/// The folders of one maker of sandboxes.
pub(crate) struct Scratches {
    folder: PathBuf,
    number: AtomicU64,
    /// Those that nobody uses, the one used last at the end.
    idle: Mutex<VecDeque<PathBuf>>,
}

/// The folder of one sandbox: an overlay's upper layer, its working folder, and where it is mounted.
pub(crate) struct Scratch {
    path: PathBuf,
    scratches: Arc<Scratches>,
}

impl Scratches {
    /// None yet; they will lie in `folder`, which is this process's own.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            number: AtomicU64::new(0),
            idle: Mutex::default(),
        }
    }

    /// A folder whose upper layer is empty but for some that are [`STAYING`].
    pub(crate) fn take(self: &Arc<Self>) -> io::Result<Scratch> {
        let rested = {
            let mut idle = self.idle();
            (idle.len() > RESTING).then(|| idle.pop_front()).flatten()
        };
        let new = rested.is_none();
        let path = rested.unwrap_or_else(|| {
            let number = self.number.fetch_add(1, Ordering::Relaxed);
            self.folder.join(format!("run-{number}"))
        });
        let scratch = Scratch {
            path,
            scratches: Arc::clone(self),
        };
        if new {
            for folder in [scratch.upper(), scratch.work(), scratch.root()] {
                make_folders(&folder)?;
            }
        }
        Ok(scratch)
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<PathBuf>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Scratch {
    pub(crate) fn upper(&self) -> PathBuf {
        self.path.join("upper")
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.path.join("work")
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.path.join("root")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.path);
        match tidy(&path) {
            Ok(()) if self.scratches.idle().len() < IDLE => self.scratches.idle().push_back(path),
            // Whatever it was shows again when the folder is removed.
            Ok(()) | Err(_) => folders::remove(&path),
        }
    }
}

/// Makes a folder as it was before it was used.
fn tidy(path: &Path) -> io::Result<()> {
    let upper = path.join("upper");
    let layer = open_folder(&upper)?;
    for name in empty(&layer)? {
        match STAYING.iter().any(|it| it.as_bytes() == name.as_bytes()) {
            true => tidy_inner(&layer, &name, &upper)?,
            false => folders::try_remove(&joined(&upper, &name))?,
        }
    }
    reset(&layer)?;
    // An overlay that was not to write to the disk leaves a mark there, so that nobody relies on its layer.
    let work = path.join("work");
    for name in empty(&open_folder(&work)?)? {
        folders::try_remove(&joined(&work, &name))?;
    }
    Ok(())
}

fn tidy_inner(layer: &OwnedFd, name: &CStr, upper: &Path) -> io::Result<()> {
    let folder = enter(layer, name)?;
    for inner in empty(&folder)? {
        folders::try_remove(&joined(&joined(upper, name), &inner))?;
    }
    reset(&folder)
}

fn joined(folder: &Path, name: &CStr) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    folder.join(std::ffi::OsStr::from_bytes(name.to_bytes()))
}

/// Takes from a folder what the overlay and the command have written down about it.
fn reset(folder: &OwnedFd) -> io::Result<()> {
    fchmod(folder, FOLDER)?;
    for name in attributes(folder)? {
        fremovexattr(folder, &name)?;
    }
    Ok(())
}

/// The names of a folder's extended attributes.
fn attributes(folder: &OwnedFd) -> io::Result<Vec<CString>> {
    let mut names = vec![0; 4096];
    let length = match flistxattr(folder.as_fd(), &mut names) {
        Ok(length) => length,
        Err(Errno::NOTSUP) => 0,
        Err(error) => return Err(error.into()),
    };
    let names = names[..length].split_inclusive(|byte| *byte == 0);
    let names = names.filter_map(|name| CStr::from_bytes_with_nul(name).ok());
    Ok(names.map(CStr::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use rustix::fs::{XattrFlags, getxattr, setxattr};

    use super::*;

    /// The folder that was given back first.
    fn rested(scratches: &Arc<Scratches>) -> Scratch {
        let others: Vec<_> = (0..RESTING).map(|_| scratches.take().unwrap()).collect();
        drop(others);
        scratches.take().unwrap()
    }

    #[test]
    fn a_folder_comes_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let scratches = Arc::new(Scratches::new(folder.path().join("own")));
        let scratch = scratches.take().unwrap();
        let (path, upper) = (scratch.path.clone(), scratch.upper());
        for below in ["dev/a/b", "tmp", "usr/lib", "tmp2"] {
            fs::create_dir_all(upper.join(below)).unwrap();
        }
        for file in ["file", "tmp/file", "dev/a/file", "usr/file"] {
            fs::write(upper.join(file), "").unwrap();
        }
        fs::create_dir_all(scratch.work().join("work/incompat/volatile")).unwrap();
        setxattr(
            upper.join("tmp"),
            "user.overlay.opaque",
            b"y",
            XattrFlags::empty(),
        )
        .unwrap();
        fs::set_permissions(upper.join("dev"), fs::Permissions::from_mode(0o000)).unwrap();
        fs::set_permissions(&upper, fs::Permissions::from_mode(0o500)).unwrap();
        drop(scratch);

        let again = rested(&scratches);
        assert_eq!(again.path, path);
        let names = |path: &Path| {
            let entries = fs::read_dir(path).unwrap();
            let mut names: Vec<_> = entries.map(|it| it.unwrap().file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(names(&upper), ["dev", "tmp"]);
        for empty in [
            upper.join("dev"),
            upper.join("tmp"),
            again.work(),
            again.root(),
        ] {
            assert!(names(&empty).is_empty());
        }
        for folder in [&upper, &upper.join("dev"), &upper.join("tmp")] {
            assert_eq!(
                fs::metadata(folder).unwrap().permissions().mode() & 0o7777,
                0o755
            );
        }
        let attribute = getxattr(upper.join("tmp"), "user.overlay.opaque", &mut [0; 8]);
        assert_eq!(attribute, Err(Errno::NODATA));
        // Another that is used at the same time is another.
        assert_ne!(scratches.take().unwrap().path, path);
    }

    #[test]
    fn what_replaced_a_staying_folder_goes() {
        let folder = tempfile::tempdir().unwrap();
        let scratches = Arc::new(Scratches::new(folder.path().join("own")));
        let scratch = scratches.take().unwrap();
        let upper = scratch.upper();
        std::os::unix::fs::symlink("/", upper.join("tmp")).unwrap();
        fs::write(upper.join("dev"), "").unwrap();
        drop(scratch);
        drop(rested(&scratches));
        assert_eq!(fs::read_dir(&upper).unwrap().count(), 0);
    }
}
