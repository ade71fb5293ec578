//! What was found when objects were looked for, for as long as nothing can have changed.
//!
//! Clients ask for the same objects again and again: every action names all of its inputs. A look at a
//! file costs a system call; but files come and go in one of 256 folders, whose time of change then is
//! another. So a look at each of these is enough to know that what was found before is so still, whoever
//! else shares the cache.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use headstart_merkle::BlobDigest;
use rustix::fs::{AtFlags, statat};

const SHARDS: usize = 256;

/// How far times of change may lag behind the clock: as much as ticks of the kernel are apart, and more
/// where they come in whole seconds.
const LAG: Duration = Duration::from_millis(50);
const LAG_OF_SECONDS: Duration = Duration::from_secs(2);

/// How many objects are remembered in each folder: some 20 MB in all.
const REMEMBERED: usize = 1024;

/// A folder as it was: its inode, and when something was last put into or taken out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    changed: Duration,
}

/// What was found in a folder.
#[derive(Debug, Default)]
struct Shard {
    stamp: Option<Stamp>,
    found: HashMap<BlobDigest, Found>,
}

/// What a look at an object has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// It is there, and was last used then, in seconds since 1970.
    Used(u64),
    /// There is nothing of that name and size.
    Nothing,
}

/// What was found in all folders.
#[derive(Debug, Clone)]
pub(crate) struct Lookups(Arc<[Mutex<Shard>]>);

impl Default for Lookups {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| Mutex::default()).collect())
    }
}

impl Lookups {
    /// Forgets what was found of an object.
    pub(crate) fn forget(&self, digest: BlobDigest) {
        let shard = self.0[usize::from(digest.hash()[0])].lock();
        let mut shard = shard.unwrap_or_else(PoisonError::into_inner);
        shard.found.remove(&digest);
    }

    /// For many looks at objects below `folder`, of which each finds what is there when this is called
    /// or later.
    pub(crate) fn begin<'a>(&'a self, folder: &'a File) -> Looks<'a> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Looks {
            shards: &self.0,
            folder,
            now: now.unwrap_or_default(),
            stamps: [const { OnceLock::new() }; SHARDS],
        }
    }
}

/// Many looks at objects at one time.
pub(crate) struct Looks<'a> {
    shards: &'a [Mutex<Shard>],
    folder: &'a File,
    now: Duration,
    /// Each folder as it is, if that can be relied on.
    stamps: [OnceLock<Option<Stamp>>; SHARDS],
}

impl Looks<'_> {
    /// What was found before, if it is so still.
    pub(crate) fn known(&self, digest: BlobDigest) -> Option<Found> {
        self.shard(digest)?.found.get(&digest).copied()
    }

    /// Remembers what was found just now.
    pub(crate) fn note(&self, digest: BlobDigest, found: Found) {
        if let Some(mut shard) = self.shard(digest) {
            if shard.found.len() >= REMEMBERED {
                shard.found.clear();
            }
            shard.found.insert(digest, found);
        }
    }

    /// What is known of an object's folder as it is; nothing if somebody has changed it meanwhile.
    fn shard(&self, digest: BlobDigest) -> Option<MutexGuard<'_, Shard>> {
        let number = usize::from(digest.hash()[0]);
        let lock = || {
            let shard = self.shards[number].lock();
            shard.unwrap_or_else(PoisonError::into_inner)
        };
        let stamp = *self.stamps[number].get_or_init(|| {
            let stamp = self.stamp(digest.hash()[0]);
            let mut shard = lock();
            if shard.stamp != stamp {
                *shard = Shard {
                    stamp,
                    found: HashMap::new(),
                };
            }
            stamp
        });
        stamp?;
        Some(lock()).filter(|shard| shard.stamp == stamp)
    }

    fn stamp(&self, shard: u8) -> Option<Stamp> {
        let found = statat(self.folder, format!("{shard:02x}"), AtFlags::empty()).ok()?;
        let seconds = Duration::from_secs(found.st_ctime.try_into().ok()?);
        let changed = seconds + Duration::from_nanos(found.st_ctime_nsec);
        let lag = match changed.subsec_nanos() {
            0 => LAG_OF_SECONDS,
            _ => LAG,
        };
        // What has just changed may change again without its time being another.
        (changed + lag < self.now).then_some(Stamp {
            inode: found.st_ino,
            changed,
        })
    }
}
