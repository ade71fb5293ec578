//! Results that were made ahead of need and that nobody has asked for yet: below
//! `headstart/guesses`, a file for each action.
//!
//! A file has a line for each blob that the result names: its digest. It is removed when a real build
//! asks for the action, so that what is left is what may go first when there must be room. The time
//! of a file is when its result was made.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use headstart_merkle::{ActionDigest, BlobDigest};
use headstart_store::StoreError;

use crate::layout::{Layout, sharded};
use crate::temporary::Temporary;

/// The results that nobody has asked for, in a cache directory.
#[derive(Debug, Clone)]
pub struct Guesses {
    folder: PathBuf,
    results: PathBuf,
    temporary: PathBuf,
}

/// A result that nobody has asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guess {
    /// The hash of the action, in hexadecimal.
    pub action: String,
    /// The blobs that its result names.
    pub blobs: Vec<BlobDigest>,
    /// When it was made.
    pub made: SystemTime,
}

impl Guess {
    /// How many bytes its blobs have.
    pub fn bytes(&self) -> u64 {
        self.blobs.iter().map(BlobDigest::size).sum()
    }
}

impl Guesses {
    /// Those of a cache directory.
    pub fn open(layout: &Layout) -> Self {
        Self {
            folder: layout.own().join("guesses"),
            results: layout.action_results(),
            temporary: layout.temporary(),
        }
    }

    /// Marks the result of an action, which names these blobs.
    pub fn add(&self, action: ActionDigest, blobs: &[BlobDigest]) -> Result<(), StoreError> {
        let lines: String = blobs.iter().map(|blob| format!("{blob}\n")).collect();
        let mut temporary = Temporary::create(&self.temporary)?;
        temporary.write_all(lines.as_bytes())?;
        temporary.place(&sharded(&self.folder, action), 0o644)
    }

    /// Somebody has asked for the action: it is a guess no more. Says whether it was one.
    pub fn confirm(&self, action: ActionDigest) -> Result<bool, StoreError> {
        remove(&sharded(&self.folder, action))
    }

    /// Gives a guess up: its result is forgotten. Its blobs stay where they are, as what nothing
    /// refers to; another result may have the same.
    pub fn give_up(&self, guess: &Guess) -> Result<(), StoreError> {
        let Some((shard, rest)) = guess.action.split_at_checked(2) else {
            return Ok(());
        };
        remove(&self.results.join(shard).join(rest))?;
        remove(&self.folder.join(shard).join(rest)).map(|_| ())
    }

    /// Gives up the oldest guesses until the rest has no more than `most` bytes, and says how many
    /// bytes those have.
    pub fn shrink(&self, most: u64) -> Result<u64, StoreError> {
        let guesses = self.oldest_first()?;
        let mut bytes: u64 = guesses.iter().map(Guess::bytes).sum();
        for guess in &guesses {
            if bytes <= most {
                break;
            }
            self.give_up(guess)?;
            bytes -= guess.bytes();
        }
        Ok(bytes)
    }

    /// All guesses, oldest first: what to remove before anything else.
    pub fn oldest_first(&self) -> Result<Vec<Guess>, StoreError> {
        let mut guesses = Vec::new();
        for shard in entries(&self.folder)? {
            for path in entries(&shard)? {
                guesses.extend(read(&path)?);
            }
        }
        guesses.sort_by(|a, b| (a.made, &a.action).cmp(&(b.made, &b.action)));
        Ok(guesses)
    }
}

fn remove(path: &Path) -> Result<bool, StoreError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StoreError::io(path, error)),
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let failed = |error| StoreError::io(folder, error);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let paths = entries.map(|entry| Ok(entry.map_err(failed)?.path()));
    paths.collect()
}

/// Reads a guess; `None` if it was confirmed meanwhile, or is none. Lines that can't be read are
/// passed over.
fn read(path: &Path) -> Result<Option<Guess>, StoreError> {
    let failed = |error| StoreError::io(path, error);
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let name = |path: &Path| Some(path.file_name()?.to_str()?.to_owned());
    let action = path.parent().and_then(name).zip(name(path));
    let Some(action) = action.map(|(shard, rest)| shard + &rest) else {
        return Ok(None);
    };
    let made = fs::metadata(path).and_then(|metadata| metadata.modified());
    let text = String::from_utf8_lossy(&text);
    Ok(Some(Guess {
        action,
        blobs: text.lines().filter_map(|line| line.parse().ok()).collect(),
        made: made.unwrap_or(SystemTime::UNIX_EPOCH),
    }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use headstart_reapi::reapi;
    use headstart_store::{ActionCache, StoredResult};

    use super::*;
    use crate::DiskActionCache;

    #[test]
    fn guesses_are_kept_until_somebody_asks_and_the_oldest_come_first() {
        let folder = tempfile::tempdir().unwrap();
        let guesses = Guesses::open(&Layout::new(folder.path()));
        assert_eq!(guesses.oldest_first().unwrap(), []);
        let blob = |text: &str| BlobDigest::of(text.as_bytes());
        let action = |text: &str| blob(text).cast();
        for (age, name) in ["new", "older", "oldest"].into_iter().enumerate() {
            guesses
                .add(action(name), &[blob(name), blob("more")])
                .unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1000 - age as u64);
            let path = sharded(&guesses.folder, action(name));
            fs::File::open(path).unwrap().set_modified(time).unwrap();
        }
        let all = guesses.oldest_first().unwrap();
        let actions: Vec<_> = all.iter().map(|guess| guess.action.clone()).collect();
        assert_eq!(
            actions,
            ["oldest", "older", "new"].map(|name| blob(name).hex())
        );
        assert_eq!(all[0].blobs, [blob("oldest"), blob("more")]);
        assert_eq!(all[0].bytes(), 10);
        assert!(guesses.confirm(action("older")).unwrap());
        assert!(!guesses.confirm(action("older")).unwrap());
        // The result goes with the mark.
        let cache = DiskActionCache::open(&Layout::new(folder.path()));
        let result = StoredResult::from(reapi::ActionResult::default());
        for name in ["oldest", "new"] {
            cache.put(action(name), &result).unwrap();
        }
        assert_eq!(guesses.shrink(16).unwrap(), 7);
        let left = guesses.oldest_first().unwrap();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].action, blob("new").hex());
        assert!(cache.get(action("oldest")).unwrap().is_none());
        assert!(cache.get(action("new")).unwrap().is_some());
        assert_eq!(guesses.shrink(16).unwrap(), 7);
    }
}
