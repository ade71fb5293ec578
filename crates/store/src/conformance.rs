//! What every backend must do: called from each backend's tests.
//!
//! The functions panic with a sentence when a promise is broken, as tests do.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};

use bytes::Bytes;
use headstart_merkle::{ActionDigest, BlobDigest};
use headstart_reapi::reapi;

use crate::action_cache::ActionCache;
use crate::blobs::{BlobStore, StoreError};

/// Checks an empty blob store.
pub fn check_blobs(store: &dyn BlobStore) {
    let (here, absent) = (Bytes::from_static(b"here"), BlobDigest::of(b"absent"));
    let empty = BlobDigest::of(b"");
    assert_eq!(
        store.read(empty).unwrap(),
        Bytes::new(),
        "the empty blob is always there"
    );

    let digest = store.write(here.clone()).unwrap();
    assert_eq!(digest, BlobDigest::of(&here));
    assert_eq!(
        store.write(here.clone()).unwrap(),
        digest,
        "writing twice is fine"
    );
    assert_eq!(store.read(digest).unwrap(), here);
    let mut streamed = Vec::new();
    store
        .open(digest)
        .unwrap()
        .read_to_end(&mut streamed)
        .unwrap();
    assert_eq!(streamed, here);

    assert_eq!(store.missing(&[digest, absent, empty]).unwrap(), [absent]);
    assert!(matches!(store.read(absent), Err(StoreError::Missing(missing)) if missing == absent));
    let several: Vec<_> = ["one", "two", "here"].map(Bytes::from).into();
    let several = several
        .into_iter()
        .map(|blob| (BlobDigest::of(&blob), blob));
    let several: Vec<_> = several.collect();
    store.write_all(several.clone()).unwrap();
    for (digest, blob) in several.clone() {
        assert_eq!(store.read(digest).unwrap(), blob);
    }
    let wanted = several.iter().map(|(digest, _)| *digest).chain([absent]);
    let mut read = store.read_all(&wanted.collect::<Vec<_>>());
    assert!(matches!(read.pop(), Some(Err(StoreError::Missing(missing))) if missing == absent));
    for ((_, blob), read) in several.iter().zip(read) {
        assert_eq!(read.unwrap(), blob, "in the same order");
    }

    let mut writer = store.writer().unwrap();
    writer.write_all(b"in ").unwrap();
    writer.write_all(b"pieces").unwrap();
    let pieces = BlobDigest::of(b"in pieces");
    assert_eq!(writer.finish(Some(pieces)).unwrap(), pieces);
    assert_eq!(store.read(pieces).unwrap(), &b"in pieces"[..]);

    let mut writer = store.writer().unwrap();
    writer.write_all(b"something else").unwrap();
    assert!(matches!(
        writer.finish(Some(absent)),
        Err(StoreError::Mismatch { .. })
    ));
    let other = BlobDigest::of(b"something else");
    assert_eq!(
        store.missing(&[absent, other]).unwrap(),
        [absent, other],
        "a refused blob is gone"
    );
}

/// Checks that a blob store tells digests apart by their sizes too.
pub fn check_sizes(store: &dyn BlobStore) {
    let digest = store.write(Bytes::from_static(b"of some size")).unwrap();
    let wrong_size = BlobDigest::new(*digest.hash(), digest.size() + 1);
    assert_eq!(
        store.missing(&[wrong_size]).unwrap(),
        [wrong_size],
        "the size counts too"
    );
}

/// Checks an empty action cache.
pub fn check_action_cache(cache: &dyn ActionCache) {
    let action = ActionDigest::of(b"an action");
    assert!(cache.get(action).unwrap().is_none());
    for exit_code in [1, 2] {
        let result = reapi::ActionResult {
            exit_code,
            ..Default::default()
        }
        .into();
        cache.put(action, &result).unwrap();
        assert_eq!(
            cache.get(action).unwrap().unwrap(),
            result,
            "the last result counts"
        );
    }
    assert!(cache.get(ActionDigest::of(b"another")).unwrap().is_none());
}
