//! Folders of a process's own below the cache directory, and removing what others left.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A name that no other process has or had: its id and when it started.
pub(crate) fn process_name() -> String {
    let id = std::process::id();
    format!("{id}-{}", started(id).unwrap_or_default())
}

/// When a process started, in clock ticks since the machine did; `None` if it does not run.
fn started(id: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The second field is the program's name in parentheses, and may hold anything.
    let after_name = stat.rsplit_once(')')?.1;
    after_name.split_whitespace().nth(19).map(str::to_owned)
}

/// Removes the folders below `parent` whose processes have ended.
pub(crate) fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let parts = name.to_str().and_then(|name| name.split_once('-'));
        let running = parts
            .is_some_and(|(id, start)| id.parse().ok().and_then(started).as_deref() == Some(start));
        if !running {
            remove(&entry.path());
        }
    }
}

/// Removes a folder with all below it, whatever modes a command gave to its directories.
pub fn remove(path: &Path) {
    if let Err(error) = try_remove(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "a folder of a sandbox could not be removed");
    }
}

fn try_remove(path: &Path) -> io::Result<()> {
    if fs::remove_dir_all(path).is_ok() {
        return Ok(());
    }
    let mut pending: Vec<PathBuf> = vec![path.to_owned()];
    while let Some(folder) = pending.pop() {
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                pending.push(entry.path());
            }
        }
    }
    fs::remove_dir_all(path)
}
