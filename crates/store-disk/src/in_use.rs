//! Marks that keep objects in the store while somebody works with them who has no other hold on them.
//!
//! A mark is a file whose time of modification says since when. As long as it is there, and the process runs that has
//! made it, nobody removes what was used since then.

use std::fs::{self, DirEntry, File};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use headstart_store::StoreError;

use crate::layout::Layout;
use crate::processes::{is_running, process_name};

/// A mark, until it is dropped.
#[derive(Debug)]
pub(crate) struct InUse(PathBuf);

impl InUse {
    /// Marks all as in use that was used since then.
    pub(crate) fn since(since: SystemTime, layout: &Layout) -> Result<Self, StoreError> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let folder = layout.in_use();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("{}-{number}", process_name()));
        let made = match File::create(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(&folder).and_then(|()| File::create(&path))
            }
            made => made,
        };
        let marked = made.and_then(|mark| mark.set_modified(since));
        marked.map_err(|error| StoreError::io(&path, error))?;
        Ok(Self(path))
    }
}

/// Since when something is in use, if anything is.
pub(crate) fn since(layout: &Layout) -> Option<SystemTime> {
    let in_use = marks(layout).filter(is_of_running);
    let times = in_use.filter_map(|mark| mark.metadata().ok()?.modified().ok());
    times.min()
}

/// Removes the marks of processes that have ended.
pub(crate) fn sweep(layout: &Layout) {
    for mark in marks(layout).filter(|mark| !is_of_running(mark)) {
        let _ = fs::remove_file(mark.path());
    }
}

fn marks(layout: &Layout) -> impl Iterator<Item = DirEntry> {
    let marks = fs::read_dir(layout.in_use());
    marks.into_iter().flatten().flatten()
}

fn is_of_running(mark: &DirEntry) -> bool {
    mark.file_name().to_str().is_some_and(is_running)
}

impl Drop for InUse {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
