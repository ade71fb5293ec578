//! The store within its limits: what goes, what stays, and what is refused.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use headstart_merkle::{ActionDigest, BlobDigest};
use headstart_reapi::reapi;
use headstart_store::{ActionCache, BlobStore, LocalBlobs, StoreError};
use headstart_store_disk::{DiskActionCache, DiskBlobs, Layout, Limits};

mod common;
use common::object;

struct World {
    layout: Layout,
    _folder: tempfile::TempDir,
}

const HOUR: Duration = Duration::from_secs(3600);

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        Self {
            layout,
            _folder: folder,
        }
    }

    fn open(&self, protect_session: bool) -> DiskBlobs {
        let limits = Limits {
            high: Some(10_000),
            low: 500,
            reserved: 0,
            protect_session,
        };
        DiskBlobs::open_limited(&self.layout, limits).unwrap()
    }

    fn path(&self, digest: BlobDigest) -> PathBuf {
        object(&self.layout, digest)
    }

    /// Makes an object look as if it had last been used some hours ago.
    fn age(&self, digest: BlobDigest, hours: u32) {
        self.last_used(digest, SystemTime::now() - HOUR * hours);
    }

    fn last_used(&self, digest: BlobDigest, then: SystemTime) {
        let file = fs::File::open(self.path(digest)).unwrap();
        file.set_times(fs::FileTimes::new().set_accessed(then))
            .unwrap();
    }
}

/// Content of 1,000 bytes.
fn content(number: usize) -> bytes::Bytes {
    format!("{number:01000}").into()
}

/// Those that are not there any more.
fn gone(world: &World, digests: &[BlobDigest]) -> Vec<BlobDigest> {
    let mut gone = digests.to_vec();
    gone.retain(|digest| !world.path(*digest).exists());
    gone
}

fn write(store: &DiskBlobs, number: usize) -> BlobDigest {
    store.write(content(number)).unwrap()
}

#[test]
fn what_is_larger_than_the_low_mark_leaves_has_its_room_made() {
    let world = World::new();
    let large = |byte: u8| bytes::Bytes::from(vec![byte; 6_000]);
    let store = world.open(false);
    let old = store.write(large(1)).unwrap();
    world.age(old, 1);
    // It is more than the low mark, which is 5,000, so that can't be kept to.
    let new = store.write(large(2)).unwrap();
    assert_eq!(store.missing(&[old, new]).unwrap(), [old]);
    // With nothing above the low mark there may still be no room.
    let limits = Limits {
        high: Some(10_000),
        low: 800,
        reserved: 0,
        protect_session: false,
    };
    let store = DiskBlobs::open_limited(&world.layout, limits).unwrap();
    world.age(new, 1);
    let newest = store.write(large(3)).unwrap();
    assert_eq!(store.missing(&[new, newest]).unwrap(), [new]);
    // What can never fit takes nothing else's place.
    world.age(newest, 1);
    let refused = store.write(vec![4; 11_000].into()).unwrap_err();
    assert!(matches!(refused, StoreError::Full(_)), "{refused}");
    assert_eq!(store.missing(&[newest]).unwrap(), []);
}

#[test]
fn what_was_not_used_for_longest_goes_first() {
    let world = World::new();
    let digests: Vec<_> = {
        let store = world.open(false);
        (0..10).map(|number| write(&store, number)).collect()
    };
    for (number, digest) in digests.iter().enumerate() {
        world.age(*digest, 20 - number as u32);
    }
    let store = world.open(false);
    assert_eq!(store.usage(), Some((10_000, Some(10_000))));
    // The oldest is used again, in whichever way.
    store.read(digests[0]).unwrap();
    store.missing(&digests[1..2]).unwrap();
    write(&store, 10);
    assert_eq!(gone(&world, &digests), digests[2..8]);
    assert_eq!(store.usage(), Some((5_000, Some(10_000))));
}

#[test]
fn what_is_in_use_stays_as_long_as_it_is_held() {
    let world = World::new();
    let store = world.open(false);
    let digests: Vec<_> = (0..10).map(|number| write(&store, number)).collect();
    let (used, others) = digests.split_at(3);
    for digest in others {
        world.age(*digest, 2);
    }
    let hold = store.hold(Duration::ZERO).unwrap();
    // As if both had been an hour ago.
    let marks = world.layout.own().join("in-use");
    for mark in fs::read_dir(&marks).unwrap() {
        let mark = fs::File::open(mark.unwrap().path()).unwrap();
        mark.set_modified(SystemTime::now() - HOUR).unwrap();
    }
    for digest in used {
        world.age(*digest, 1);
    }
    // Another process needs more room than all others have.
    let other = world.open(false);
    let refused = other.write(vec![1; 8_000].into()).unwrap_err();
    assert!(matches!(refused, StoreError::Full(_)), "{refused}");
    assert_eq!(gone(&world, &digests), others);
    drop(hold);
    other.write(vec![1; 8_000].into()).unwrap();
    assert!(!gone(&world, used).is_empty());
    // A process that was killed has left its mark.
    let left = marks.join("1-1-0");
    fs::write(&left, "").unwrap();
    drop(world.open(false));
    assert!(!left.exists());
}

#[test]
fn what_is_soon_full_knows_within_a_second_what_was_used_last() {
    let world = World::new();
    let store = world.open(false);
    let digests: Vec<_> = (0..10).map(|number| write(&store, number)).collect();
    for (seconds, digest) in (11..21).rev().zip(&digests) {
        let then = SystemTime::now() - Duration::from_secs(seconds);
        world.last_used(*digest, then);
    }
    assert_eq!(store.missing(&digests[..1]).unwrap(), []);
    write(&store, 10);
    assert_eq!(store.missing(&digests).unwrap(), digests[1..7]);
}

#[test]
fn what_nobody_is_known_to_need_goes_before_all_others() {
    let world = World::new();
    let store = world.open(false);
    let needed = write(&store, 0);
    world.age(needed, 100);
    let before = SystemTime::now() - Duration::from_secs(1);
    let guessed: Vec<_> = (1..10).map(|number| write(&store, number)).collect();
    store.demote(&guessed, before);
    // What was there before it was guessed stays what it was.
    store.demote(&[needed], SystemTime::now() + HOUR);
    write(&store, 10);
    assert!(world.path(needed).exists());
    assert_eq!(store.usage().unwrap().0, 5_000);
}

#[test]
fn the_sessions_own_objects_stay_and_a_full_store_says_so() {
    let world = World::new();
    let old = write(&world.open(false), 0);
    world.age(old, 1);
    let store = world.open(true);
    let used = write(&store, 1);
    world.age(used, 1);
    assert!(store.contains(used).unwrap());
    for number in 2..11 {
        write(&store, number);
    }
    assert!(!world.path(old).exists(), "it made room");
    assert!(world.path(used).exists());
    let full = store.write(content(11)).unwrap_err();
    assert!(matches!(full, StoreError::Full(_)), "{full}");
    assert!(store.contains(used).unwrap());
}

#[test]
fn what_is_stored_right_after_the_start_is_the_sessions_own() {
    // File systems know the time to a tick of the kernel's: nearly always this begins in the middle of one.
    for _ in 0..20 {
        let world = World::new();
        let store = world.open(true);
        let first = write(&store, 0);
        for number in 1..10 {
            write(&store, number);
        }
        let full = store.write(content(10)).unwrap_err();
        assert!(matches!(full, StoreError::Full(_)), "{full}");
        assert!(world.path(first).exists());
    }
}

#[test]
fn what_was_stored_right_before_the_start_is_not() {
    let world = World::new();
    let old = write(&world.open(true), 0);
    // A tick of the kernel's, or some.
    std::thread::sleep(Duration::from_millis(30));
    let store = world.open(true);
    for number in 1..11 {
        write(&store, number);
    }
    assert!(!world.path(old).exists());
}

#[test]
fn what_others_store_counts_and_old_results_go_too() {
    let world = World::new();
    let store = world.open(false);
    let results = DiskActionCache::open(&world.layout);
    let action = ActionDigest::of(b"action");
    results
        .put(action, &reapi::ActionResult::default().into())
        .unwrap();
    let other = DiskBlobs::open(&world.layout).unwrap();
    for number in 0..12 {
        write(&other, number);
    }
    store.tidy();
    assert_eq!(store.usage().unwrap().0, 5_000);
    assert!(results.get(action).unwrap().is_none());
}
