//! Blobs as files, in the layout of `buildbox-casd`.

mod local;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use headstart_merkle::{BlobDigest, Hasher};
use headstart_store::{BlobStore, BlobWriter, KnownTrees, StoreError, WholeTrees};
use rayon::prelude::*;
use rustix::fs::{AtFlags, Mode, OFlags, fstat, openat, stat, statat};
use rustix::io::Errno;

use crate::departures::Departures;
use crate::in_use;
use crate::keeper::{Keeper, Limits, forget_use, note_use};
use crate::layout::{Layout, shard_and_name, sharded};
use crate::lookups::{Found, Looks, Lookups};
use crate::temporary::{Temporary, sweep};
use crate::verified::{Identity, Verified};
use crate::writer::DiskWriter;

/// The mode of objects, as `buildbox-casd` sets it.
const OBJECT_MODE: u32 = 0o644;
/// How many small objects are read or written by the caller itself: to have others do it and be woken
/// when they are done takes longer.
const FEW: usize = 48;

/// How many bytes these may be together.
const SMALL: u64 = 256 * 1024;

/// How many objects a thread reads at least: for fewer it is not worth waking one.
const READ_TOGETHER: usize = 8;

/// So many objects are looked for on all processors.
const MANY: usize = 256;

/// How much room is made at least on a full disk, in bytes.
const ROOM: u64 = 1 << 20;

/// How much of a file is read at a time.
const PIECE: usize = 64 * 1024;

/// Blobs as files below `cas/objects`.
#[derive(Debug, Clone)]
pub struct DiskBlobs {
    layout: Layout,
    objects: PathBuf,
    objects_folder: Arc<File>,
    temporary: PathBuf,
    executables: PathBuf,
    /// What was found when many objects were looked for.
    lookups: Lookups,
    /// Trees that were found whole.
    whole_trees: Arc<WholeTrees>,
    /// What has gone since, by which that counts no more.
    departures: Arc<Departures>,
    /// Files that are known to be undamaged: objects, and executable copies.
    verified: Arc<Verified>,
    /// Objects that this process has set aside, with the digests of what they were.
    aside: Arc<Mutex<HashMap<BlobDigest, BlobDigest>>>,
    /// Who keeps it within limits, if it has any.
    keeper: Option<Arc<Keeper>>,
}

impl DiskBlobs {
    /// Opens the store in a cache directory, which is made if it is not there, and removes what
    /// killed processes left half-written.
    pub fn open(layout: &Layout) -> Result<Self, StoreError> {
        let (objects, temporary) = (layout.objects(), layout.temporary());
        let executables = layout.executables();
        for folder in [&objects, &temporary, &executables] {
            fs::create_dir_all(folder).map_err(|error| StoreError::io(folder, error))?;
        }
        sweep(&temporary);
        in_use::sweep(layout);
        let mut store = Self::open_as_is(layout)?;
        store.verified = Arc::new(Verified::open(&layout.own()));
        // Always here for us; BuildStream looks for the file.
        store.keep_empty()?;
        Ok(store)
    }

    /// Opens the store, and changes nothing.
    pub(crate) fn open_as_is(layout: &Layout) -> Result<Self, StoreError> {
        let objects = layout.objects();
        let opened = File::open(&objects).map_err(|error| StoreError::io(&objects, error))?;
        Ok(Self {
            layout: layout.clone(),
            objects_folder: Arc::new(opened),
            objects,
            temporary: layout.temporary(),
            executables: layout.executables(),
            lookups: Lookups::default(),
            whole_trees: Arc::default(),
            departures: Arc::new(Departures::from(layout.objects())),
            verified: Arc::new(Verified::own()),
            aside: Arc::default(),
            keeper: None,
        })
    }

    /// The same within limits: what was not used for longest goes when there is no room.
    pub fn open_limited(layout: &Layout, limits: Limits) -> Result<Self, StoreError> {
        let mut store = Self::open(layout)?;
        store.keeper = Some(Arc::new(Keeper::new(layout, limits)));
        Ok(store)
    }

    /// How many bytes are stored, as far as this process knows, and how many may be if there is a
    /// limit; `None` if the store was opened without.
    pub fn usage(&self) -> Option<(u64, Option<u64>)> {
        let keeper = self.keeper.as_ref()?;
        let room = keeper.limits().high.map(|_| keeper.room());
        Some((keeper.used(), room))
    }

    /// Makes room if there is too little, for what other processes have stored too. To be called now
    /// and then.
    pub fn tidy(&self) {
        if let Some(keeper) = &self.keeper {
            keeper.tidy();
        }
    }

    /// For how long a use that was noted need not be noted again.
    fn noted(&self) -> Duration {
        let keeper = self.keeper.as_ref();
        keeper
            .map_or_else(Limits::default, |keeper| keeper.limits())
            .noted()
    }

    /// Uses since then need not be noted again.
    fn noted_since(&self) -> SystemTime {
        let now = SystemTime::now();
        let lately = now.checked_sub(self.noted()).unwrap_or(now);
        let protected = self.keeper.as_ref().and_then(|keeper| keeper.protected());
        protected.map_or(lately, |since| lately.max(since))
    }

    fn path(&self, digest: BlobDigest) -> PathBuf {
        sharded(&self.objects, digest)
    }

    /// Whether a file of the right size lies where the object should.
    fn is_there(&self, digest: BlobDigest) -> Result<bool, StoreError> {
        self.is_found(digest, self.noted_since(), &OnceLock::new(), None)
    }

    /// The same, where uses since `noted` need not be noted, and `replaced` holds whether the folder of
    /// objects is another by now, once that was looked at.
    fn is_found(
        &self,
        digest: BlobDigest,
        noted: SystemTime,
        replaced: &OnceLock<bool>,
        looks: Option<&Looks<'_>>,
    ) -> Result<bool, StoreError> {
        if digest.is_of_nothing() {
            return Ok(true);
        }
        let found = match looks.and_then(|looks| looks.known(digest)) {
            Some(Found::Nothing) => Found::Nothing,
            Some(Found::Used(used)) if !is_before(used, noted) => return Ok(true),
            _ => {
                let found = self.find_in_folder(digest, noted)?;
                if let Some(looks) = looks {
                    looks.note(digest, found);
                }
                found
            }
        };
        if found != Found::Nothing {
            return Ok(true);
        }
        if !*replaced.get_or_init(|| self.is_replaced()) {
            return Ok(false);
        }
        let path = self.path(digest);
        match fs::metadata(&path) {
            Ok(metadata) => Ok(metadata.len() == digest.size()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(StoreError::io(path, error)),
        }
    }

    /// Looks for an object of the right size in the folder that is open, and notes its use.
    fn find_in_folder(&self, digest: BlobDigest, noted: SystemTime) -> Result<Found, StoreError> {
        // From the folder that is open already: most of the time goes into finding the way to it.
        let below = shard_and_name(digest);
        match find_at(&self.objects_folder, below.as_ref(), digest, noted) {
            Ok(found) => Ok(found.map_or(Found::Nothing, |(_, used)| Found::Used(used))),
            Err(error) => Err(StoreError::io(self.path(digest), error)),
        }
    }

    /// Whether somebody has put another folder in the place of the one that is open.
    fn is_replaced(&self) -> bool {
        let identity = |stat: rustix::fs::Stat| (stat.st_dev, stat.st_ino);
        let open = fstat(&*self.objects_folder).map(identity);
        let there = stat(&self.objects).map(identity);
        open.is_err() || open != there
    }

    fn open_file(&self, digest: BlobDigest) -> Result<File, StoreError> {
        // From the folder that is open already: most of the time goes into finding the way to it.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let below = shard_and_name(digest);
        let below: &Path = below.as_ref();
        if let Ok(file) = openat(&*self.objects_folder, below, flags, Mode::empty()) {
            return Ok(file.into());
        }
        // Somebody may have put another folder in its place.
        let path = self.path(digest);
        File::open(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => self.absent(digest),
            _ => StoreError::io(path, error),
        })
    }

    /// Sets an object aside whose content is not what its name says, and gives the error for it. It
    /// is missing from then on.
    fn damaged(&self, expected: BlobDigest, actual: BlobDigest) -> StoreError {
        match self.set_aside(expected) {
            Ok(()) => {
                let mut aside = self.aside.lock().unwrap_or_else(PoisonError::into_inner);
                aside.insert(expected, actual);
                StoreError::Damaged { expected, actual }
            }
            Err(error) => error,
        }
    }

    /// The error for an object that is not here: why, if that is known.
    fn absent(&self, expected: BlobDigest) -> StoreError {
        let aside = self.aside.lock().unwrap_or_else(PoisonError::into_inner);
        match aside.get(&expected) {
            Some(&actual) => StoreError::Damaged { expected, actual },
            None => StoreError::Missing(expected),
        }
    }

    fn set_aside(&self, digest: BlobDigest) -> Result<(), StoreError> {
        let folder = self.layout.corrupt();
        fs::create_dir_all(&folder).map_err(|error| StoreError::io(&folder, error))?;
        let _ = fs::remove_file(sharded(&self.executables, digest));
        let path = self.path(digest);
        let aside = folder.join(digest.hex());
        tracing::warn!(%digest, aside = %aside.display(), "a stored object is damaged, and is set aside");
        match fs::rename(&path, aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::io(path, error))
            }
            _ => Ok(()),
        }
    }

    /// Keeps content whose digest is known to be right.
    fn write_known(&self, digest: BlobDigest, content: &[u8]) -> Result<(), StoreError> {
        // If the folder is another by now, it is put there anew.
        if digest.is_of_nothing()
            || self.find_in_folder(digest, self.noted_since())? != Found::Nothing
        {
            return Ok(());
        }
        let write = || {
            let mut temporary = Temporary::create(&self.temporary)?;
            temporary.write_all(content)?;
            Ok(temporary)
        };
        let temporary = match write() {
            Err(StoreError::Full(_)) if self.made_room() => write()?,
            written => written?,
        };
        self.place(temporary, digest)
    }

    /// Makes room on a disk that has turned out to be full; whether there is some now.
    pub(crate) fn made_room(&self) -> bool {
        let keeper = self.keeper.as_ref();
        keeper.is_some_and(|keeper| keeper.admit(ROOM).is_ok())
    }

    /// Puts a file in its place that is known to have that digest.
    pub(crate) fn place(&self, temporary: Temporary, digest: BlobDigest) -> Result<(), StoreError> {
        let place = || temporary.place_new(&self.path(digest), OBJECT_MODE, digest.size());
        let placed = match &self.keeper {
            None => place()?,
            Some(keeper) => {
                keeper.admit(digest.size())?;
                let placed = place()?;
                keeper.stored(digest.size());
                placed
            }
        };
        if let Some(file) = placed {
            self.verified.note(digest, file);
        }
        Ok(())
    }
}

impl BlobStore for DiskBlobs {
    fn missing(&self, digests: &[BlobDigest]) -> Result<Vec<BlobDigest>, StoreError> {
        let (noted, replaced) = (self.noted_since(), OnceLock::new());
        let is_many = digests.len() >= MANY;
        let looks = is_many.then(|| self.lookups.begin(&self.objects_folder));
        let missing =
            |digest: &BlobDigest| match self.is_found(*digest, noted, &replaced, looks.as_ref()) {
                Ok(true) => None,
                Ok(false) => Some(Ok(*digest)),
                Err(error) => Some(Err(error)),
            };
        match is_many {
            false => digests.iter().filter_map(missing).collect(),
            true => digests.par_iter().filter_map(missing).collect(),
        }
    }

    fn read(&self, digest: BlobDigest) -> Result<Bytes, StoreError> {
        if digest.is_of_nothing() {
            return Ok(Bytes::new());
        }
        let failed = |error| StoreError::io(self.path(digest), error);
        let mut file = self.open_file(digest)?;
        let mut content =
            Vec::with_capacity(usize::try_from(digest.size()).unwrap_or(0).min(1 << 30));
        // What has the right digest is right, whatever may follow it in the file: messages are read
        // by the ten thousands, and looking for the end would cost each another call.
        let mut expected = (&mut file).take(digest.size());
        expected.read_to_end(&mut content).map_err(failed)?;
        if BlobDigest::of(&content) == digest {
            return Ok(content.into());
        }
        file.read_to_end(&mut content).map_err(failed)?;
        let actual = BlobDigest::of(&content);
        // The same hash with another size: the object is right and was asked for wrongly.
        if actual.hash() == digest.hash() {
            return Err(StoreError::Missing(digest));
        }
        Err(self.damaged(digest, actual))
    }

    fn read_all(&self, digests: &[BlobDigest]) -> Vec<Result<Bytes, StoreError>> {
        if are_few_and_small(digests) {
            return digests.iter().map(|digest| self.read(*digest)).collect();
        }
        let digests = digests.par_iter().with_min_len(READ_TOGETHER);
        digests.map(|digest| self.read(*digest)).collect()
    }

    fn open(&self, digest: BlobDigest) -> Result<Box<dyn Read + Send>, StoreError> {
        self.open_from(digest, 0)
    }

    fn open_from(
        &self,
        digest: BlobDigest,
        offset: u64,
    ) -> Result<Box<dyn Read + Send>, StoreError> {
        if digest.is_of_nothing() {
            return Ok(Box::new(io::empty()));
        }
        if !self.is_there(digest)? {
            return Err(self.absent(digest));
        }
        let failed = |error| StoreError::io(self.path(digest), error);
        let mut file = self.open_file(digest)?;
        let stat = fstat(&file).map_err(|error| failed(error.into()))?;
        let identity = Identity::from(&stat);
        if !self.verified.knows(digest, identity) {
            if offset == 0 {
                return Ok(Box::new(Checking {
                    store: self.clone(),
                    file,
                    identity,
                    expected: digest,
                    hasher: Hasher::default(),
                    left: digest.size(),
                }));
            }
            let actual = copy_hashing(&mut file, &mut io::sink()).map_err(failed)?;
            if actual != digest {
                return Err(self.damaged(digest, actual));
            }
            self.verified.note(digest, identity);
        }
        file.seek(SeekFrom::Start(offset)).map_err(failed)?;
        Ok(Box::new(file))
    }

    fn write(&self, content: Bytes) -> Result<BlobDigest, StoreError> {
        let digest = BlobDigest::of(&content);
        self.write_known(digest, &content)?;
        Ok(digest)
    }

    fn write_all(&self, blobs: Vec<(BlobDigest, Bytes)>) -> Result<(), StoreError> {
        let write = |(digest, content): (BlobDigest, Bytes)| self.write_known(digest, &content);
        match blobs.len() {
            ..FEW => blobs.into_iter().try_for_each(write),
            _ => blobs.into_par_iter().try_for_each(write),
        }
    }

    fn write_as(&self, expected: BlobDigest, content: Bytes) -> Result<(), StoreError> {
        let actual = BlobDigest::of(&content);
        if actual != expected {
            return Err(StoreError::Mismatch { expected, actual });
        }
        self.write_known(actual, &content)
    }

    fn demote(&self, digests: &[BlobDigest], since: SystemTime) {
        for digest in digests {
            forget_use(&self.path(*digest), since);
            self.lookups.forget(*digest);
        }
    }

    fn known_trees(&self) -> Option<KnownTrees<'_>> {
        let departures = self.departures.count()?;
        Some(self.whole_trees.after(departures))
    }

    fn writer(&self) -> Result<Box<dyn BlobWriter>, StoreError> {
        let temporary = Temporary::create(&self.temporary)?;
        Ok(Box::new(DiskWriter::new(self.clone(), temporary)))
    }
}

/// Whether reading these takes so little time that nobody else need help.
fn are_few_and_small(digests: &[BlobDigest]) -> bool {
    let bytes = digests.iter().map(|digest| digest.size());
    digests.len() < FEW && bytes.sum::<u64>() < SMALL
}

/// An object that is checked while it is read for the first time: its last bytes come only if all were
/// right.
struct Checking {
    store: DiskBlobs,
    file: File,
    /// The file before anything of it was read: what is written to it meanwhile makes it another.
    identity: Identity,
    expected: BlobDigest,
    hasher: Hasher,
    left: u64,
}

impl Read for Checking {
    fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(piece)?;
        self.hasher.update(&piece[..read]);
        let before = self.left;
        self.left = self.left.saturating_sub(read as u64);
        let ends = read == 0 || self.left == 0;
        if before > 0 && ends && !piece.is_empty() {
            let actual = std::mem::take(&mut self.hasher).finish();
            if actual != self.expected {
                let error = self.store.damaged(self.expected, actual);
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
            self.store.verified.note(self.expected, self.identity);
        }
        Ok(read)
    }
}

/// Copies a file, and gives the digest of what was in it.
fn copy_hashing(from: &mut File, to: &mut dyn Write) -> io::Result<BlobDigest> {
    let mut hasher = Hasher::default();
    let mut piece = vec![0; PIECE];
    loop {
        match from.read(&mut piece)? {
            0 => return Ok(hasher.finish()),
            size => {
                hasher.update(&piece[..size]);
                to.write_all(&piece[..size])?;
            }
        }
    }
}

impl DiskBlobs {
    /// The empty blob is always there for readers; whoever wants its file needs one.
    fn keep_empty(&self) -> Result<(), StoreError> {
        let path = self.path(BlobDigest::of(b""));
        if path.exists() {
            return Ok(());
        }
        Temporary::create(&self.temporary)?.place_new(&path, OBJECT_MODE, 0)?;
        Ok(())
    }
}

/// The file at a path from an open folder, if it has the right size, with its last use in seconds since 1970: that
/// is now, unless it was noted since `noted`.
fn find_at(
    folder: impl AsFd,
    path: &Path,
    digest: BlobDigest,
    noted: SystemTime,
) -> io::Result<Option<(Identity, u64)>> {
    let stat = match statat(&folder, path, AtFlags::empty()) {
        Ok(stat) if u64::try_from(stat.st_size) == Ok(digest.size()) => stat,
        Ok(_) | Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let used = stat.st_atime.try_into().unwrap_or(0);
    let used = match is_before(used, noted) {
        true => note_use(folder, path),
        false => used,
    };
    Ok(Some((Identity::from(&stat), used)))
}

/// Whether a use, in seconds since 1970, was before another time.
fn is_before(used: u64, time: SystemTime) -> bool {
    UNIX_EPOCH + Duration::from_secs(used) < time
}
