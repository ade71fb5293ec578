//! Files of blobs that sandboxes have links to: objects, and executable copies of them.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use headstart_merkle::{BlobDigest, MODIFIED};
use headstart_store::{Hold, LocalBlobs, StoreError};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT, stat, utimensat};

use super::{DiskBlobs, copy_hashing, find_at};
use crate::in_use::InUse;
use crate::layout::sharded;
use crate::temporary::Temporary;
use crate::verified::Identity;

/// The mode of executable copies.
const EXECUTABLE_MODE: u32 = 0o755;

impl LocalBlobs for DiskBlobs {
    fn file(&self, digest: BlobDigest, executable: bool) -> Result<PathBuf, StoreError> {
        if digest.is_of_nothing() {
            self.keep_empty()?;
        }
        let object = self.path(digest);
        if !executable {
            let Some(file) = self.find(&object, digest)? else {
                return Err(self.absent(digest));
            };
            return match self.check(&object, digest, file)? {
                None => Ok(object),
                Some(actual) => Err(self.damaged(digest, actual)),
            };
        }
        let copy = sharded(&self.executables, digest);
        if let Some(file) = self.find(&copy, digest)? {
            match self.check(&copy, digest, file)? {
                None => return Ok(copy),
                Some(_) => fs::remove_file(&copy).map_err(|error| StoreError::io(&copy, error))?,
            }
        }
        let mut source = self.open_file(digest)?;
        let mut temporary = Temporary::create(&self.temporary)?;
        let actual = copy_hashing(&mut source, temporary.file())
            .map_err(|error| StoreError::io(&copy, error))?;
        if actual.size() != digest.size() {
            return Err(self.absent(digest));
        }
        if actual != digest {
            return Err(self.damaged(digest, actual));
        }
        set_modified(&copy, temporary.file())?;
        if let Some(file) = temporary.place_new(&copy, EXECUTABLE_MODE, digest.size())? {
            self.verified.note(digest, file);
        }
        Ok(copy)
    }

    fn hold(&self, before: Duration) -> Result<Hold, StoreError> {
        // A use that was noted just before is not noted again.
        let since = SystemTime::now().checked_sub(before + self.noted());
        Ok(Box::new(InUse::since(
            since.unwrap_or(UNIX_EPOCH),
            &self.layout,
        )?))
    }
}

impl DiskBlobs {
    fn find(&self, path: &Path, digest: BlobDigest) -> Result<Option<Identity>, StoreError> {
        let found = find_at(CWD, path, digest, self.noted_since());
        let found = found.map_err(|error| StoreError::io(path, error))?;
        Ok(found.map(|(file, _)| file))
    }

    /// Checks a file's digest, unless it is known; gives what it is if it is another. A file that is right gets
    /// the time of modification that all have: other programs that use the cache directory touch objects to
    /// note their use.
    fn check(
        &self,
        path: &Path,
        digest: BlobDigest,
        mut file: Identity,
    ) -> Result<Option<BlobDigest>, StoreError> {
        let failed = |error| StoreError::io(path, error);
        loop {
            let known = self.verified.knows(digest, file);
            if !known {
                let mut opened = File::open(path).map_err(failed)?;
                let actual = copy_hashing(&mut opened, &mut io::sink()).map_err(failed)?;
                if actual != digest {
                    return Ok(Some(actual));
                }
            }
            let right = file.modified_at(MODIFIED);
            if file == right {
                if !known {
                    self.verified.note(digest, file);
                }
                return Ok(None);
            }
            // Only now: what is being looked at must not look as if it had been. Who has written to it
            // meanwhile is not to go unnoticed either.
            let stat = stat(path).map_err(|error| failed(error.into()))?;
            if file == Identity::from(&stat) {
                set_modified_at(path)?;
                self.verified.note(digest, right);
                return Ok(None);
            }
            file = Identity::from(&stat);
        }
    }
}

/// Gives a file the time of modification that all have. Links share it with the object, and what `make` rebuilds
/// depends on it, so it must not tell when an object came into the store.
fn set_modified_at(path: &Path) -> Result<(), StoreError> {
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: MODIFIED,
            tv_nsec: 0,
        },
    };
    let set = utimensat(CWD, path, &times, AtFlags::empty());
    set.map_err(|error| StoreError::io(path, error.into()))
}

fn set_modified(path: &Path, file: &File) -> Result<(), StoreError> {
    let modified = UNIX_EPOCH + Duration::from_secs(MODIFIED.cast_unsigned());
    file.set_modified(modified)
        .map_err(|error| StoreError::io(path, error))
}
