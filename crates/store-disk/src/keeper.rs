//! Keeps the store within its limits: what was not used for longest goes first.
//!
//! When an object was last used is its time of access, which is set by whoever uses it and not left to
//! how the file system is mounted; so all processes that share a cache directory see it, and nothing is
//! lost when one is killed. Its time of modification is the same for all objects and tells nothing.

use std::fs::{self, Metadata};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use headstart_store::StoreError;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT, utimensat};

use crate::in_use;
use crate::layout::Layout;
use crate::temporary::Temporary;

/// A use is noted if the last that was noted is longer ago.
const NOTED: Duration = Duration::from_secs(60);
/// No disk stores more, in bytes a second.
const FASTEST: u64 = 1_000_000_000;

/// What may be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many bytes at most; `None` for as many as the disk has room for.
    pub high: Option<u64>,
    /// How many bytes are left when something has to go, in parts of a thousand of what may be stored.
    pub low: u64,
    /// How many bytes of the disk are left free.
    pub reserved: u64,
    /// Whether what was stored or used since the start stays.
    pub protect_session: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            high: None,
            low: 650,
            reserved: 2_000_000_000,
            protect_session: false,
        }
    }
}

impl Limits {
    /// A use is noted if the last that was noted is longer ago. What fills up sooner forgets sooner, and must
    /// know more exactly what was used last.
    pub(crate) fn noted(&self) -> Duration {
        let filled = self.high.map(|high| Duration::from_secs(high / FASTEST));
        filled.map_or(NOTED, |filled| filled.min(NOTED))
    }
}

/// What is stored, and what may be.
#[derive(Debug)]
pub(crate) struct Keeper {
    limits: Limits,
    layout: Layout,
    folders: [PathBuf; 2],
    results: PathBuf,
    /// What has times of access since then was stored or used after the start.
    started: SystemTime,
    /// How many bytes are stored, as far as this process knows.
    used: AtomicU64,
    /// Held while something goes.
    cleaning: Mutex<()>,
}

/// Something that may go.
struct Candidate {
    used: SystemTime,
    size: u64,
    path: PathBuf,
}

/// The time that files get which are stored now. File systems know it to a tick of the kernel's, or to the
/// second: the clock is ahead of them.
pub fn time_of_files(layout: &Layout) -> SystemTime {
    let new = Temporary::create(&layout.temporary());
    let time = new
        .ok()
        .and_then(|mut new| new.file().metadata().ok()?.accessed().ok());
    // Nothing can be stored otherwise.
    time.unwrap_or_else(SystemTime::now)
}

/// Makes room in a cache directory that no daemon keeps within limits: if more is stored than may be, what
/// was not used for longest goes. With `protect_session` what was used since `since` stays, a [time of
/// files](time_of_files).
///
/// # Errors
/// [`StoreError::Full`] if nothing more can go, and there is still too much.
pub fn make_room(layout: &Layout, limits: Limits, since: SystemTime) -> Result<(), StoreError> {
    let objects = layout.objects();
    let has_room = || {
        let free = free(&objects).unwrap_or(u64::MAX);
        limits.high.is_none() && free >= limits.reserved
    };
    // Counting takes a look at every object.
    if has_room() {
        return Ok(());
    }
    // What was used shortly before is not noted again.
    let started = since.checked_sub(limits.noted()).unwrap_or(since);
    let keeper = Keeper::since(layout, limits, started);
    let fits = || keeper.used() <= keeper.room();
    if !fits() {
        keeper.clean(0);
    }
    match fits() {
        true => Ok(()),
        false => Err(StoreError::Full(objects)),
    }
}

/// How many bytes the disk that has `folder` can still take.
fn free(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

impl Keeper {
    /// Counts what is stored.
    pub(crate) fn new(layout: &Layout, limits: Limits) -> Self {
        Self::since(layout, limits, time_of_files(layout))
    }

    /// The same for a process that began to use the store at `started`, a time of files.
    fn since(layout: &Layout, limits: Limits, started: SystemTime) -> Self {
        let keeper = Self {
            limits,
            layout: layout.clone(),
            folders: [layout.objects(), layout.executables()],
            results: layout.action_results(),
            started,
            used: AtomicU64::new(0),
            cleaning: Mutex::new(()),
        };
        keeper.count();
        keeper
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// The time since when what is stored or used stays, if it does.
    pub(crate) fn protected(&self) -> Option<SystemTime> {
        self.limits.protect_session.then_some(self.started)
    }

    /// Makes room if there is too little, for what others have stored too.
    pub(crate) fn tidy(&self) {
        if self.limits.high.is_some() {
            self.count();
        }
        // That nothing more can go is told to whoever stores something.
        let _ = self.admit(0);
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Counts again what is stored: other processes store too.
    pub(crate) fn count(&self) {
        let mut used = 0;
        self.visit(&mut |_, metadata| used += metadata.len());
        self.used.store(used, Ordering::Relaxed);
    }

    /// How many bytes may be stored now: the quota, or less if the disk has not that much room.
    pub(crate) fn room(&self) -> u64 {
        let quota = self.limits.high.unwrap_or(u64::MAX);
        let free = free(&self.folders[0]).map(|free| {
            self.used()
                .saturating_add(free)
                .saturating_sub(self.limits.reserved)
        });
        quota.min(free.unwrap_or(u64::MAX))
    }

    /// Makes room for an object of `size` bytes.
    ///
    /// # Errors
    /// [`StoreError::Full`] if nothing more can go.
    pub(crate) fn admit(&self, size: u64) -> Result<(), StoreError> {
        let fits = || {
            let room = match self.limits.high {
                // Asking the disk costs more than most objects.
                Some(high) if size < 1 << 20 => high,
                _ => self.room(),
            };
            self.used().saturating_add(size) <= room
        };
        if fits() {
            return Ok(());
        }
        // What can never fit takes nothing else's place.
        if size > self.room() {
            return Err(StoreError::Full(self.folders[0].clone()));
        }
        let _one_at_a_time = self.cleaning.lock().unwrap_or_else(PoisonError::into_inner);
        if !fits() {
            self.clean(size);
        }
        if fits() {
            Ok(())
        } else {
            Err(StoreError::Full(self.folders[0].clone()))
        }
    }

    /// Notes that an object was stored.
    pub(crate) fn stored(&self, size: u64) {
        self.used.fetch_add(size, Ordering::Relaxed);
    }

    /// Removes what was not used for longest, until `size` more bytes make no more than the low mark; what alone
    /// is more than that just gets its room.
    fn clean(&self, size: u64) {
        self.count();
        let room = self.room();
        let low = room / 1000 * self.limits.low;
        let target = low
            .checked_sub(size)
            .unwrap_or_else(|| low.min(room.saturating_sub(size)));
        let stays_since = [self.protected(), in_use::since(&self.layout)];
        let stays_since = stays_since.into_iter().flatten().min();
        let mut candidates = Vec::new();
        self.visit(&mut |path, metadata| {
            let used = metadata.accessed().unwrap_or(UNIX_EPOCH);
            if stays_since.is_none_or(|since| used < since) {
                candidates.push(Candidate {
                    used,
                    size: metadata.len(),
                    path,
                });
            }
        });
        candidates.sort_by_key(|candidate| candidate.used);
        let mut oldest_left = SystemTime::now();
        let (mut objects, mut bytes) = (0_u64, 0_u64);
        for candidate in candidates {
            if self.used() <= target {
                oldest_left = candidate.used;
                break;
            }
            if remove_unused(&candidate) {
                self.used.fetch_sub(candidate.size, Ordering::Relaxed);
                (objects, bytes) = (objects + 1, bytes + candidate.size);
            }
        }
        remove_older(&self.results, oldest_left);
        tracing::info!(
            objects,
            bytes,
            left = self.used(),
            "objects were removed to make room"
        );
    }

    fn visit(&self, found: &mut dyn FnMut(PathBuf, Metadata)) {
        for folder in &self.folders {
            for shard in fs::read_dir(folder).into_iter().flatten().flatten() {
                for file in fs::read_dir(shard.path()).into_iter().flatten().flatten() {
                    if let Ok(metadata) = file.metadata()
                        && metadata.is_file()
                    {
                        found(file.path(), metadata);
                    }
                }
            }
        }
    }
}

/// Removes an object, unless it was used since it was looked at.
fn remove_unused(candidate: &Candidate) -> bool {
    let used = fs::metadata(&candidate.path).and_then(|metadata| metadata.accessed());
    used.is_ok_and(|used| used == candidate.used) && fs::remove_file(&candidate.path).is_ok()
}

/// Removes results of actions that are older than every object that is left: theirs are gone.
fn remove_older(results: &Path, than: SystemTime) {
    for shard in fs::read_dir(results).into_iter().flatten().flatten() {
        for file in fs::read_dir(shard.path()).into_iter().flatten().flatten() {
            let modified = file.metadata().and_then(|metadata| metadata.modified());
            if modified.is_ok_and(|modified| modified < than) {
                let _ = fs::remove_file(file.path());
            }
        }
    }
}

/// Notes that the object at a path from an open folder is used now; gives the time, in seconds since 1970.
pub(crate) fn note_use(folder: impl AsFd, path: &Path) -> u64 {
    let now = SystemTime::now();
    // Whoever can't write to the store can use it all the same.
    let _ = set_used(folder, path, now);
    now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Says that an object that was made after `since` was not used for long: nobody is known to need it.
pub(crate) fn forget_use(path: &Path, since: SystemTime) {
    let made = fs::metadata(path).ok().and_then(|metadata| {
        let seconds = Duration::from_secs(metadata.ctime().unsigned_abs());
        let nanos = Duration::from_nanos(metadata.ctime_nsec().unsigned_abs());
        UNIX_EPOCH.checked_add(seconds + nanos)
    });
    if made.is_some_and(|made| made >= since) {
        // It is kept longer then than it need be.
        let _ = set_used(CWD, path, UNIX_EPOCH);
    }
}

fn set_used(folder: impl AsFd, path: &Path, time: SystemTime) -> io::Result<()> {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: since.as_secs().cast_signed(),
            tv_nsec: since.subsec_nanos().into(),
        },
        last_modification: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
    };
    Ok(utimensat(folder, path, &times, AtFlags::empty())?)
}
