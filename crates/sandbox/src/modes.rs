//! Folders that commands see, with the mode that all have, whatever is taken from it by the mask of whoever runs
//! this program (umask(2)): what a command lists must not depend on that.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::OnceLock;

use rustix::fs::{AtFlags, CWD, Mode, chmodat, mkdirat};

pub(crate) const FOLDER: Mode = Mode::from_raw_mode(0o755);

/// Makes a folder below an open one.
pub(crate) fn make_folder(at: impl AsFd, name: impl AsRef<Path>) -> rustix::io::Result<()> {
    let (at, name) = (at.as_fd(), name.as_ref());
    mkdirat(at, name, FOLDER)?;
    match is_masked() {
        true => chmodat(at, name, FOLDER, AtFlags::empty()),
        false => Ok(()),
    }
}

/// Makes a folder and those above it, as far as they are not there.
pub(crate) fn make_folders(path: &Path) -> io::Result<()> {
    match make_folder(CWD, path).map_err(io::Error::from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_folders(path.parent().ok_or(error)?)?;
            make_folders(path)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made,
    }
}

/// Whether the mask of this process takes anything from the mode of folders. It can only be asked for by
/// setting it, or read where the kernel tells of processes (proc(5)).
fn is_masked() -> bool {
    static MASKED: OnceLock<bool> = OnceLock::new();
    *MASKED.get_or_init(|| {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("Umask:"));
        let mask = mask.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok());
        mask.is_none_or(|mask| mask & FOLDER.as_raw_mode() != 0)
    })
}
