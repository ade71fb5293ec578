//! Checks all that is stored, and removes what is of no use: damaged objects, what killed processes left
//! half-written, and results of actions that are torn or whose outputs are gone.
//!
//! Other processes may use the store meanwhile: what is removed is taken out of its place first, and put
//! back if it is not what was looked at.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use headstart_merkle::{ActionDigest, BlobDigest, Hasher};
use headstart_store::{ActionCache, BlobStore, BlobWriter, CompletenessChecking, StoreError};
use rayon::prelude::*;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::action_cache::DiskActionCache;
use crate::blobs::DiskBlobs;
use crate::layout::Layout;
use crate::temporary::left_behind;

/// How much of a file is read at a time.
const PIECE: usize = 256 * 1024;

/// Temporary files of other programs count as left behind when nobody wrote to them for so long.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// Something that is of no use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// A file that is not what its name says: an object, or the executable copy of one.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What it is.
        actual: BlobDigest,
    },
    /// A file that was never finished, or was set aside because it is damaged.
    LeftBehind(PathBuf),
    /// The result of an action that is torn or can't be decoded.
    TornResult(PathBuf),
    /// The result of an action whose outputs are no longer stored.
    ResultWithoutOutputs(PathBuf),
    /// A file among the objects that has no object's name. It is left alone.
    Stranger(PathBuf),
}

impl Finding {
    /// The file.
    pub fn path(&self) -> &Path {
        match self {
            Self::Damaged { path, .. }
            | Self::LeftBehind(path)
            | Self::TornResult(path)
            | Self::ResultWithoutOutputs(path)
            | Self::Stranger(path) => path,
        }
    }

    /// Whether something that was stored whole is so no more.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::TornResult(_))
    }
}

/// What was looked at so far, and what was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Files of objects and of executable copies.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Results of actions.
    pub results: u64,
    /// What is of no use, each file once.
    pub findings: Vec<Finding>,
}

/// Who is told of how it goes on.
pub trait ScrubWatcher: Sync {
    /// Something of no use was found.
    fn found(&self, finding: &Finding);
    /// So many parts of a hundred of the objects' folders have been looked at.
    fn progress(&self, percent: usize, so_far: &Scrubbed);
}

/// Checks all that is stored; with `remove`, what is of no use goes, without it nothing is changed.
///
/// # Errors
/// When the store can't be read, or something of no use can't be removed.
pub fn scrub(
    layout: &Layout,
    remove: bool,
    watcher: &dyn ScrubWatcher,
) -> Result<Scrubbed, StoreError> {
    let scrub = Scrub {
        layout,
        remove,
        watcher,
        so_far: Mutex::default(),
    };
    scrub.leftovers()?;
    scrub.objects()?;
    scrub.results()?;
    Ok(scrub
        .so_far
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner))
}

struct Scrub<'a> {
    layout: &'a Layout,
    remove: bool,
    watcher: &'a dyn ScrubWatcher,
    so_far: Mutex<Scrubbed>,
}

impl Scrub<'_> {
    fn leftovers(&self) -> Result<(), StoreError> {
        for path in left_behind(&self.layout.temporary(), ABANDONED) {
            self.of_no_use(Finding::LeftBehind(path), None)?;
        }
        for path in files(&self.layout.corrupt())? {
            self.of_no_use(Finding::LeftBehind(path), None)?;
        }
        Ok(())
    }

    fn objects(&self) -> Result<(), StoreError> {
        let mut folders = Vec::new();
        for root in [self.layout.objects(), self.layout.executables()] {
            folders.extend(files(&root)?.into_iter().filter(|path| path.is_dir()));
        }
        let done = AtomicUsize::new(0);
        folders.par_iter().try_for_each(|folder| {
            let paths = files(folder)?;
            paths.par_iter().try_for_each(|path| self.object(path))?;
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            let so_far = self.so_far.lock().unwrap_or_else(PoisonError::into_inner);
            self.watcher.progress(done * 100 / folders.len(), &so_far);
            Ok(())
        })
    }

    fn object(&self, path: &Path) -> Result<(), StoreError> {
        let Some(hash) = hash_of(path) else {
            return self.of_no_use(Finding::Stranger(path.to_owned()), None);
        };
        let read = File::open(path).and_then(|file| Ok((file.metadata()?.ino(), digest(file)?)));
        let (number, actual) = match read {
            Ok(read) => read,
            // Removed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(StoreError::io(path, error)),
        };
        {
            let mut so_far = self.so_far.lock().unwrap_or_else(PoisonError::into_inner);
            so_far.objects += 1;
            so_far.bytes += actual.size();
        }
        if *actual.hash() == hash {
            return Ok(());
        }
        let path = path.to_owned();
        self.of_no_use(Finding::Damaged { path, actual }, Some(number))
    }

    fn results(&self) -> Result<(), StoreError> {
        let folders = files(&self.layout.action_results())?;
        if folders.is_empty() {
            return Ok(());
        }
        let store = Arc::new(Sound {
            store: DiskBlobs::open_as_is(self.layout)?,
            damaged: self.damaged_objects(),
        });
        let cache = DiskActionCache::open(self.layout);
        let complete = CompletenessChecking::new(cache.clone(), store);
        folders.par_iter().try_for_each(|folder| {
            for path in files(folder)? {
                let Some(hash) = hash_of(&path) else {
                    self.of_no_use(Finding::Stranger(path), None)?;
                    continue;
                };
                // Results are found by the hash alone.
                let action = ActionDigest::new(hash, 0);
                let number = fs::metadata(&path).map(|metadata| metadata.ino()).ok();
                if cache.get(action)?.is_none() {
                    self.of_no_use(Finding::TornResult(path), number)?;
                } else if complete.get(action)?.is_none() {
                    self.of_no_use(Finding::ResultWithoutOutputs(path), number)?;
                }
                let mut so_far = self.so_far.lock().unwrap_or_else(PoisonError::into_inner);
                so_far.results += 1;
            }
            Ok(())
        })
    }

    /// The hashes of objects that are damaged, whether or not they have been removed.
    fn damaged_objects(&self) -> HashSet<[u8; 32]> {
        let objects = self.layout.objects();
        let so_far = self.so_far.lock().unwrap_or_else(PoisonError::into_inner);
        let damaged = so_far.findings.iter().filter(|finding| finding.is_damage());
        let paths = damaged
            .map(Finding::path)
            .filter(|path| path.starts_with(&objects));
        paths.filter_map(hash_of).collect()
    }

    /// Notes a finding, and removes it if that is wanted and the file is still the one with this number.
    fn of_no_use(&self, finding: Finding, number: Option<u64>) -> Result<(), StoreError> {
        self.watcher.found(&finding);
        if self.remove && !matches!(finding, Finding::Stranger(_)) {
            let path = finding.path();
            let removed = match number {
                None => fs::remove_file(path),
                Some(number) => self.remove_numbered(path, number),
            };
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(StoreError::io(path, error));
                }
                _ => {}
            }
        }
        let mut so_far = self.so_far.lock().unwrap_or_else(PoisonError::into_inner);
        so_far.findings.push(finding);
        Ok(())
    }

    /// Removes a file, unless another has taken its place: somebody may have made it anew.
    fn remove_numbered(&self, path: &Path, number: u64) -> io::Result<()> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let aside = self.layout.temporary();
        fs::create_dir_all(&aside)?;
        let aside = aside.join(format!("headstart-{}-scrub-{name}", std::process::id()));
        fs::rename(path, &aside)?;
        if fs::metadata(&aside)?.ino() == number {
            return fs::remove_file(&aside);
        }
        match renameat_with(CWD, &aside, CWD, path, RenameFlags::NOREPLACE) {
            // It was made a third time.
            Err(rustix::io::Errno::EXIST) => fs::remove_file(&aside),
            other => Ok(other?),
        }
    }
}

/// What is in a folder; nothing if it is not there.
fn files(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let read = fs::read_dir(folder).and_then(|entries| {
        let paths = entries.map(|entry| Ok(entry?.path()));
        paths.collect::<io::Result<Vec<_>>>()
    });
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read.map_err(|error| StoreError::io(folder, error)),
    }
}

/// The hash that a file is named after: two digits are its folder's name.
fn hash_of(path: &Path) -> Option<[u8; 32]> {
    let shard = path.parent()?.file_name()?.to_str()?;
    let hex = format!("{shard}{}", path.file_name()?.to_str()?);
    let digest = BlobDigest::from_hex(hex, 0).ok()?;
    (shard.len() == 2).then_some(*digest.hash())
}

fn digest(mut file: File) -> io::Result<BlobDigest> {
    let mut hasher = Hasher::default();
    let size = usize::try_from(file.metadata()?.len()).unwrap_or(PIECE);
    // One more than there should be, so that the end is met.
    let mut piece = vec![0; size.saturating_add(1).min(PIECE)];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hasher.finish()),
            read => hasher.update(&piece[..read]),
        }
    }
}

/// The store without what is damaged in it, to be read only.
struct Sound {
    store: DiskBlobs,
    damaged: HashSet<[u8; 32]>,
}

impl Sound {
    fn has_damaged(&self, digest: &BlobDigest) -> bool {
        self.damaged.contains(digest.hash())
    }
}

impl BlobStore for Sound {
    fn missing(&self, digests: &[BlobDigest]) -> Result<Vec<BlobDigest>, StoreError> {
        let missing: HashSet<_> = self.store.missing(digests)?.into_iter().collect();
        let is_missing =
            |digest: &&BlobDigest| missing.contains(*digest) || self.has_damaged(digest);
        Ok(digests.iter().filter(is_missing).copied().collect())
    }

    fn read(&self, digest: BlobDigest) -> Result<Bytes, StoreError> {
        match self.has_damaged(&digest) {
            true => Err(StoreError::Missing(digest)),
            false => self.store.read(digest),
        }
    }

    fn open(&self, digest: BlobDigest) -> Result<Box<dyn Read + Send>, StoreError> {
        match self.has_damaged(&digest) {
            true => Err(StoreError::Missing(digest)),
            false => self.store.open(digest),
        }
    }

    fn write(&self, content: Bytes) -> Result<BlobDigest, StoreError> {
        self.store.write(content)
    }

    fn writer(&self) -> Result<Box<dyn BlobWriter>, StoreError> {
        self.store.writer()
    }
}
