//! What was found in files when they were last read, so that unchanged ones are not read again.
//!
//! For each directory of a project that is large enough there is a table in a file of its own:
//! `headstart/stats/HASH`, HASH being that of the directory's absolute path. A file is taken for
//! unchanged if its device, inode, size and both of its times are what they were, to the nanosecond.
//! Any change sets the time of the inode's change, which programs can't set; two changes within one
//! tick of the clock would go unnoticed, so nothing is noted of a file that has changed shortly
//! before it is read.
//!
//! The file: the bytes `hsstat1\n`; for each file the length of its path below the directory (4
//! bytes, all numbers little-endian), the path, device, inode and size (8 each), the times of the
//! content's and the inode's change in nanoseconds (16 each) and the SHA-256; at the end the SHA-256
//! of all before it. A file that is not this is as good as none.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use headstart_merkle::{BlobDigest, Hasher};

const MAGIC: &[u8] = b"hsstat1\n";

/// A change this shortly before the file is read may be followed by another that looks the same:
/// some file systems count time in steps of two seconds.
const RECENT: i128 = 3_000_000_000;

/// Directories with fewer files and bytes than these are read as fast as a table is.
const WORTHWHILE: (usize, u64) = (64, 1 << 20);

/// The tables of a cache directory.
#[derive(Debug, Clone)]
pub struct StatCache {
    folder: PathBuf,
}

/// What is known of the files of one directory.
pub(crate) struct Table {
    root: PathBuf,
    file: PathBuf,
    /// When reading began.
    now: i128,
    known: HashMap<Box<[u8]>, Entry>,
    seen: Mutex<HashMap<Box<[u8]>, Entry>>,
    changed: AtomicBool,
    bytes: AtomicU64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    device: u64,
    inode: u64,
    size: u64,
    modified: i128,
    changed: i128,
    hash: [u8; 32],
}

impl StatCache {
    /// The tables in a folder.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The table of a directory, which may be empty.
    pub(crate) fn open(&self, root: &Path) -> Table {
        let name = BlobDigest::of(root.as_os_str().as_bytes()).hex();
        let file = self.folder.join(name);
        let known = fs::read(&file).ok().and_then(|bytes| decode(&bytes));
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Table {
            root: root.to_owned(),
            file,
            // With a clock before 1970 everything is recent.
            now: since.map_or(0, |since| i128::try_from(since.as_nanos()).unwrap_or(0)),
            known: known.unwrap_or_default(),
            seen: Mutex::default(),
            changed: AtomicBool::new(false),
            bytes: AtomicU64::new(0),
        }
    }
}

impl Table {
    /// The digest of a file that is as it was.
    pub(crate) fn find(&self, path: &Path, metadata: &Metadata) -> Option<BlobDigest> {
        let name = self.name(path)?;
        let entry = *self.known.get(name)?;
        let digest = BlobDigest::new(entry.hash, entry.size);
        (entry == Entry::of(metadata, &digest)).then(|| {
            self.keep(name, entry);
            digest
        })
    }

    /// Notes what was found in a file, whose metadata were taken before it was read.
    pub(crate) fn note(&self, path: &Path, metadata: &Metadata, digest: &BlobDigest) {
        let entry = Entry::of(metadata, digest);
        let last = entry.changed.max(entry.modified);
        if let Some(name) = self.name(path)
            && entry.size == digest.size()
            && last + RECENT < self.now
        {
            self.changed.store(true, Ordering::Relaxed);
            self.keep(name, entry);
        }
    }

    fn keep(&self, name: &[u8], entry: Entry) {
        self.bytes.fetch_add(entry.size, Ordering::Relaxed);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(name.into(), entry);
    }

    fn name<'a>(&self, path: &'a Path) -> Option<&'a [u8]> {
        let below = path.strip_prefix(&self.root).ok()?;
        Some(below.as_os_str().as_bytes())
    }

    /// Writes the table if there is anything new in it that is worth it. That it can't be written
    /// costs reading the files again.
    pub(crate) fn close(self) {
        let seen = self
            .seen
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let (files, bytes) = WORTHWHILE;
        let worthwhile = seen.len() >= files || self.bytes.into_inner() >= bytes;
        let changed = self.changed.into_inner() || seen.len() < self.known.len();
        if !worthwhile || !changed {
            return;
        }
        let written = write(&self.file, &encode(&seen));
        if let Err(error) = written {
            tracing::debug!(file = %self.file.display(), %error, "what is known of files is not kept");
        }
    }
}

impl Entry {
    fn of(metadata: &Metadata, digest: &BlobDigest) -> Self {
        let nanos =
            |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: nanos(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanos(metadata.ctime(), metadata.ctime_nsec()),
            hash: *digest.hash(),
        }
    }
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let file = tempfile::Builder::new()
        .prefix(".headstart-")
        .tempfile_in(folder)?;
    fs::write(file.path(), bytes)?;
    file.persist(path)?;
    Ok(())
}

fn encode(entries: &HashMap<Box<[u8]>, Entry>) -> Vec<u8> {
    let mut sorted: Vec<_> = entries.iter().collect();
    sorted.sort_by_key(|(name, _)| *name);
    let mut bytes = MAGIC.to_vec();
    for (name, entry) in sorted {
        let length = u32::try_from(name.len()).unwrap_or(u32::MAX);
        bytes.extend(length.to_le_bytes());
        bytes.extend_from_slice(name);
        for number in [entry.device, entry.inode, entry.size] {
            bytes.extend(number.to_le_bytes());
        }
        for time in [entry.modified, entry.changed] {
            bytes.extend(time.to_le_bytes());
        }
        bytes.extend(entry.hash);
    }
    let hash = hash_of(&bytes);
    bytes.extend(hash);
    bytes
}

fn decode(bytes: &[u8]) -> Option<HashMap<Box<[u8]>, Entry>> {
    let (content, hash) = bytes.split_at_checked(bytes.len().checked_sub(32)?)?;
    if hash_of(content) != hash {
        return None;
    }
    let mut rest = content.strip_prefix(MAGIC)?;
    let mut entries = HashMap::with_capacity(rest.len() / 128);
    while !rest.is_empty() {
        let length = u32::from_le_bytes(take(&mut rest)?);
        let (name, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        rest = after;
        let entry = Entry {
            device: u64::from_le_bytes(take(&mut rest)?),
            inode: u64::from_le_bytes(take(&mut rest)?),
            size: u64::from_le_bytes(take(&mut rest)?),
            modified: i128::from_le_bytes(take(&mut rest)?),
            changed: i128::from_le_bytes(take(&mut rest)?),
            hash: take(&mut rest)?,
        };
        entries.insert(name.into(), entry);
    }
    Some(entries)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*taken)
}

fn hash_of(bytes: &[u8]) -> [u8; 32] {
    let mut hasher = Hasher::default();
    hasher.update(bytes);
    let digest: BlobDigest = hasher.finish();
    *digest.hash()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::Duration;

    use super::*;

    /// A file that was last changed long ago, as far as its own time goes; and the table of its
    /// directory as it would be in an hour.
    fn later(cache: &StatCache, root: &Path) -> Table {
        let mut table = cache.open(root);
        table.now += 3_600_000_000_000;
        table
    }

    fn digest_by(table: &Table, path: &Path) -> Option<BlobDigest> {
        table.find(path, &fs::symlink_metadata(path).unwrap())
    }

    fn note(table: &Table, path: &Path) {
        let digest = BlobDigest::of(&fs::read(path).unwrap());
        table.note(path, &fs::symlink_metadata(path).unwrap(), &digest);
    }

    #[test]
    fn unchanged_files_are_known_and_changed_ones_are_not() {
        let (folder, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let cache = StatCache::new(folder.path().join("stats"));
        let paths: Vec<PathBuf> = (0..100).map(|i| root.path().join(format!("{i}"))).collect();
        for path in &paths {
            fs::write(path, path.as_os_str().as_bytes()).unwrap();
        }
        let table = later(&cache, root.path());
        for path in &paths {
            assert_eq!(digest_by(&table, path), None);
            note(&table, path);
        }
        table.close();

        let table = later(&cache, root.path());
        for path in &paths {
            let digest = BlobDigest::of(path.as_os_str().as_bytes());
            assert_eq!(digest_by(&table, path), Some(digest));
        }
        // The same size and the same time of modification: the time of the inode tells.
        let modified = fs::metadata(&paths[0]).unwrap().modified().unwrap();
        std::thread::sleep(Duration::from_millis(20));
        let size = fs::metadata(&paths[0]).unwrap().len();
        fs::write(&paths[0], vec![b'x'; usize::try_from(size).unwrap()]).unwrap();
        File::options()
            .write(true)
            .open(&paths[0])
            .unwrap()
            .set_modified(modified)
            .unwrap();
        assert_eq!(digest_by(&table, &paths[0]), None);
        // Another file in its place.
        fs::rename(&paths[1], &paths[2]).unwrap();
        assert_eq!(digest_by(&table, &paths[2]), None);
    }

    #[test]
    fn what_has_just_changed_is_not_noted() {
        let (folder, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let cache = StatCache::new(folder.path().to_owned());
        let path = root.path().join("large");
        fs::write(&path, vec![0; 2 << 20]).unwrap();
        let table = cache.open(root.path());
        note(&table, &path);
        table.close();
        assert!(fs::read_dir(folder.path()).unwrap().next().is_none());
    }

    #[test]
    fn a_damaged_table_is_none() {
        let entry = Entry {
            device: 1,
            inode: 2,
            size: 3,
            modified: -4,
            changed: 5,
            hash: [6; 32],
        };
        let entries = HashMap::from([(b"a/b".to_vec().into(), entry)]);
        let bytes = encode(&entries);
        assert_eq!(decode(&bytes), Some(entries));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(decode(&damaged), None);
            assert_eq!(decode(&bytes[..at]), None);
        }
    }
}
