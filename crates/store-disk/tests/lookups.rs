//! Looking for many objects at once, which others put there and take away.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use headstart_merkle::BlobDigest;
use headstart_store::BlobStore;
use headstart_store_disk::{DiskBlobs, Layout};

mod common;
use common::object;

/// After so long nothing can change without being seen by the times of folders.
const SETTLED: Duration = Duration::from_millis(80);

fn content(number: usize) -> Vec<u8> {
    format!("object {number}").into()
}

/// The digests of a thousand objects, of which every other is stored.
fn halves(store: &DiskBlobs) -> Vec<BlobDigest> {
    let all = (0..1000).map(|number| {
        if number % 2 == 0 {
            store.write(content(number).into()).unwrap();
        }
        BlobDigest::of(&content(number))
    });
    all.collect()
}

#[test]
fn what_others_store_and_remove_is_seen_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(folder.path());
    let store = DiskBlobs::open(&layout).unwrap();
    let other = DiskBlobs::open(&layout).unwrap();
    let all = halves(&store);
    let mut missing: BTreeSet<usize> = (0..1000).filter(|number| number % 2 == 1).collect();
    for round in 0..40 {
        for step in 0..round % 4 {
            let number = (round * 7919 + step * 104_729) % 1000;
            if missing.remove(&number) {
                other.write(content(number).into()).unwrap();
            } else {
                fs::remove_file(object(&layout, all[number])).unwrap();
                missing.insert(number);
            }
        }
        let expected: Vec<_> = missing.iter().map(|number| all[*number]).collect();
        assert_eq!(store.missing(&all).unwrap(), expected, "{round}");
        // What is asked for again right away, and when it has been remembered.
        assert_eq!(store.missing(&all).unwrap(), expected, "{round}");
        if round % 3 == 0 {
            sleep(SETTLED);
        }
    }
    // The name alone does not do.
    let wrong = |digest: &BlobDigest| BlobDigest::new(*digest.hash(), digest.size() + 1);
    let wrong: Vec<_> = all.iter().map(wrong).collect();
    assert_eq!(store.missing(&wrong).unwrap(), wrong);
}

#[test]
fn what_is_remembered_is_used_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(folder.path());
    let store = DiskBlobs::open(&layout).unwrap();
    let before = SystemTime::now() - Duration::from_secs(1);
    let all = halves(&store);
    sleep(SETTLED);
    store.missing(&all).unwrap();
    store.missing(&all).unwrap();
    // It was somebody's guess, and now somebody needs it.
    store.demote(&all[..1], before);
    let used = || {
        let metadata = fs::metadata(object(&layout, all[0])).unwrap();
        metadata.accessed().unwrap()
    };
    assert_eq!(used(), SystemTime::UNIX_EPOCH);
    store.missing(&all).unwrap();
    assert!(used() >= before);
}
