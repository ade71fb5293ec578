//! Which files of the store are known to be undamaged, by all processes that use the cache directory.
//!
//! Checking a file takes reading it. What was checked, or written by a process that knows its digest, is noted in a
//! table that processes share and the next one finds: by the digest, the file's inode and the time at which it was last
//! modified. A file that is another, or was written to since, is not the one that was noted.
//!
//! A note holds until the machine is started again: then files may be torn that were whole in memory. Until then what
//! a note doesn't see is a file that was written to and given its old time of modification back, and a disk that
//! gives back something else than it was given. `scrub` reads everything and takes no note for granted.
//!
//! The table is a file of buckets with [`SLOTS`] notes of 8 bytes each. It is never full: where a bucket is, one of
//! its notes goes, and its file is checked once more. Whoever reads a note while it is written reads one that
//! stands for no file.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use headstart_merkle::BlobDigest;
use rustix::fs::Stat;

/// What tells starts of the machine apart.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";
/// What a table begins with; another version begins otherwise.
const MAGIC: &[u8; 8] = b"verified";
/// How long the beginning is, in bytes: [`MAGIC`], and the start of the machine that all notes are from.
const HEAD: usize = 64;
/// How many buckets there are.
const BUCKETS: u64 = 1 << 18;
/// How many notes a bucket holds.
const SLOTS: usize = 8;
/// How long a note is, in bytes.
const NOTE: usize = 8;
const BUCKET: usize = SLOTS * NOTE;
/// How many notes are written to the table together.
const TOGETHER: usize = 256;

/// A file, as it was when it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
    modified: (i64, u64),
}

impl From<&Stat> for Identity {
    // The types differ from one kind of machine to another.
    #[allow(clippy::unnecessary_cast)]
    fn from(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            modified: (stat.st_mtime as i64, stat.st_mtime_nsec as u64),
        }
    }
}

impl Identity {
    /// The same file after its time of modification was set.
    pub(crate) fn modified_at(self, seconds: i64) -> Self {
        Self {
            modified: (seconds, 0),
            ..self
        }
    }
}

/// The notes.
#[derive(Debug)]
pub(crate) struct Verified {
    /// Those of all processes since the machine was started, if there can be a table.
    table: Option<Table>,
    own: Mutex<Own>,
}

/// What this process has noted.
#[derive(Debug, Default)]
struct Own {
    notes: HashSet<u64>,
    /// Buckets and notes that are not in the table yet.
    fresh: Vec<(u64, u64)>,
}

impl Verified {
    /// The notes in `folder`, which is there. Those from before the machine was started are dropped.
    pub(crate) fn open(folder: &Path) -> Self {
        let table = fs::read(BOOT).and_then(|boot| Table::open(folder, &boot));
        let table = table.inspect_err(
            |error| tracing::debug!(%error, "what was verified is remembered by this process only"),
        );
        Self {
            table: table.ok(),
            own: Mutex::default(),
        }
    }

    /// Notes that nobody else is told of.
    pub(crate) fn own() -> Self {
        Self {
            table: None,
            own: Mutex::default(),
        }
    }

    /// Whether the file is known to have that digest.
    pub(crate) fn knows(&self, digest: BlobDigest, file: Identity) -> bool {
        let (bucket, note) = note_of(digest, file);
        self.own_notes().notes.contains(&note)
            || self.table.as_ref().is_some_and(|table| {
                read_bucket(&table.file, bucket).is_ok_and(|notes| notes.contains(&note))
            })
    }

    /// Notes that the file has that digest.
    pub(crate) fn note(&self, digest: BlobDigest, file: Identity) {
        let (bucket, note) = note_of(digest, file);
        let mut own = self.own_notes();
        if !own.notes.insert(note) || self.table.is_none() {
            return;
        }
        own.fresh.push((bucket, note));
        if own.fresh.len() < TOGETHER {
            return;
        }
        let fresh = std::mem::take(&mut own.fresh);
        drop(own);
        self.publish(&fresh);
    }

    /// Tells other processes. Where that can't be, they check again.
    fn publish(&self, fresh: &[(u64, u64)]) {
        if let Some(table) = &self.table
            && let Err(error) = table.write(fresh)
        {
            tracing::debug!(%error, "what was verified is not told to other processes");
        }
    }

    fn own_notes(&self) -> MutexGuard<'_, Own> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Verified {
    fn drop(&mut self) {
        let fresh = std::mem::take(&mut self.own_notes().fresh);
        if !fresh.is_empty() {
            self.publish(&fresh);
        }
    }
}

/// The table. It is open for reading only, as a disk with a file that is open for writing can't be mounted read-only.
#[derive(Debug)]
struct Table {
    file: File,
    path: PathBuf,
}

impl Table {
    /// Opens the table of this start of the machine, which takes the place of an older one.
    fn open(folder: &Path, boot: &[u8]) -> io::Result<Self> {
        let mut head = [0; HEAD];
        head[..MAGIC.len()].copy_from_slice(MAGIC);
        let boot = &boot[..boot.len().min(HEAD - MAGIC.len())];
        head[MAGIC.len()..][..boot.len()].copy_from_slice(boot);
        let path = folder.join("verified");
        let has_head = |file: &File| {
            let mut found = [0; HEAD];
            file.read_exact_at(&mut found, 0).is_ok() && found == head
        };
        if !File::open(&path).is_ok_and(|file| has_head(&file)) {
            make_table(&path, &head)?;
        }
        let file = File::open(&path)?;
        Ok(Self { file, path })
    }

    fn write(&self, fresh: &[(u64, u64)]) -> io::Result<()> {
        let file = OpenOptions::new().read(true).write(true).open(&self.path)?;
        fresh
            .iter()
            .try_for_each(|(bucket, note)| write_note(&file, *bucket, *note))
    }
}

/// Makes an empty table, under a name that no other process has until it is whole. What one leaves there that is
/// killed, the next with its number takes.
fn make_table(path: &Path, head: &[u8]) -> io::Result<()> {
    let early = path.with_extension(std::process::id().to_string());
    let file = File::create(&early)?;
    let made = file
        .set_len(HEAD as u64 + BUCKETS * BUCKET as u64)
        .and_then(|()| file.write_all_at(head, 0))
        .and_then(|()| fs::rename(&early, path));
    if made.is_err() {
        let _ = fs::remove_file(&early);
    }
    made
}

/// The bucket and the note of a file with a digest. A note is never 0, which is what empty slots hold.
fn note_of(digest: BlobDigest, file: Identity) -> (u64, u64) {
    let word = |at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&digest.hash()[at..at + 8]);
        u64::from_le_bytes(word)
    };
    let (seconds, nanos) = file.modified;
    let parts = [
        word(8),
        digest.size(),
        file.device,
        file.inode,
        seconds.cast_unsigned(),
        nanos,
    ];
    let note = parts
        .into_iter()
        .fold(word(16), |all, part| mix(all ^ part));
    // Hashes are spread evenly.
    (word(0) % BUCKETS, note.max(1))
}

/// Spreads what tells two numbers apart over all their bits: the finalizer of SplitMix64 (Steele, Lea, Flood 2014).
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

fn place(bucket: u64) -> u64 {
    HEAD as u64 + bucket * BUCKET as u64
}

fn read_bucket(table: &File, bucket: u64) -> io::Result<[u64; SLOTS]> {
    let mut bytes = [0; BUCKET];
    table.read_exact_at(&mut bytes, place(bucket))?;
    let mut notes = [0; SLOTS];
    for (note, bytes) in notes.iter_mut().zip(bytes.as_chunks::<NOTE>().0) {
        *note = u64::from_le_bytes(*bytes);
    }
    Ok(notes)
}

fn write_note(table: &File, bucket: u64, note: u64) -> io::Result<()> {
    let notes = read_bucket(table, bucket)?;
    if notes.contains(&note) {
        return Ok(());
    }
    let empty = notes.iter().position(|note| *note == 0);
    let slot = empty.unwrap_or(note as usize % SLOTS);
    table.write_all_at(&note.to_le_bytes(), place(bucket) + (slot * NOTE) as u64)
}

#[cfg(test)]
mod tests {
    use rustix::fs::stat;

    use super::*;

    fn file(folder: &Path, name: &str) -> Identity {
        let path = folder.join(name);
        fs::write(&path, name).unwrap();
        Identity::from(&stat(&path).unwrap())
    }

    #[test]
    fn a_note_is_of_one_file_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let one = file(folder.path(), "one");
        let digest = BlobDigest::of(b"one");
        for notes in [Verified::open(folder.path()), Verified::own()] {
            assert!(!notes.knows(digest, one));
            notes.note(digest, one);
            assert!(notes.knows(digest, one));
            assert!(!notes.knows(BlobDigest::of(b"other"), one));
            assert!(!notes.knows(digest, file(folder.path(), "two")));
            assert!(!notes.knows(digest, one.modified_at(1)));
        }
        // Written to, however little: times of files are counted in steps.
        std::thread::sleep(std::time::Duration::from_millis(20));
        let again = file(folder.path(), "one");
        assert!(!Verified::open(folder.path()).knows(digest, again));
    }

    #[test]
    fn notes_are_shared_until_the_machine_is_started_again() {
        let folder = tempfile::tempdir().unwrap();
        let one = file(folder.path(), "one");
        let digest = BlobDigest::of(b"one");
        let open = |boot: &[u8]| Verified {
            table: Some(Table::open(folder.path(), boot).unwrap()),
            own: Mutex::default(),
        };
        let (first, second) = (open(b"morning"), open(b"morning"));
        first.note(digest, one);
        assert!(first.knows(digest, one));
        for other in 1..TOGETHER {
            assert!(!second.knows(digest, one));
            first.note(BlobDigest::of(&other.to_le_bytes()), one);
        }
        assert!(second.knows(digest, one));
        second.note(digest, one.modified_at(-1));
        drop((first, second));
        assert!(open(b"morning").knows(digest, one.modified_at(-1)));
        assert!(open(b"morning").knows(digest, one));
        assert!(!open(b"evening").knows(digest, one));
        assert!(!open(b"morning").knows(digest, one));
        // What is no table is replaced.
        fs::write(folder.path().join("verified"), "nonsense").unwrap();
        open(b"evening").note(digest, one);
        assert!(open(b"evening").knows(digest, one));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_full_bucket_forgets_and_never_lies() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Verified::open(folder.path());
        let one = file(folder.path(), "one");
        let digest = BlobDigest::of(b"one");
        for time in 0..100 {
            assert!(!open().knows(digest, one.modified_at(time)));
            open().note(digest, one.modified_at(time));
            assert!(open().knows(digest, one.modified_at(time)));
        }
        let known = (0..100).filter(|time| open().knows(digest, one.modified_at(*time)));
        assert_eq!(known.count(), SLOTS);
    }
}
