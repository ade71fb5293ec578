//! Servers that fail, lie, hang or want little at a time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use headstart_merkle::BlobDigest;
use headstart_remote::{BackedBlobs, Code, Remote, RemoteError, RemoteSettings, Wire};
use headstart_store::{BlobStore, MemoryBlobs};

use crate::support::{Fake, Fault, Script};

/// A content that compresses badly and differs everywhere.
fn content(size: usize) -> Vec<u8> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..size).map(|_| next()).collect()
}

fn store() -> (MemoryBlobs, Arc<dyn BlobStore>) {
    let store = MemoryBlobs::default();
    (store.clone(), Arc::new(store))
}

#[test]
fn what_fails_is_tried_again_and_what_can_not_help_is_not() {
    let fake = Fake::start(Script::new());
    let digest = fake.script.blobs.write(b"content"[..].into()).unwrap();
    let refused = [
        Code::Unavailable,
        Code::ResourceExhausted,
        Code::Unavailable,
    ];
    fake.script.next(refused.map(Fault::Refuse));
    let remote = fake.remote();
    assert_eq!(remote.missing(vec![digest]).unwrap(), []);
    assert_eq!(fake.script.calls.load(Ordering::Relaxed), 4);

    for code in [
        Code::DeadlineExceeded,
        Code::PermissionDenied,
        Code::Internal,
    ] {
        // Whoever did not answer in time is left alone for a while.
        let remote = fake.remote();
        let before = fake.script.calls.load(Ordering::Relaxed);
        fake.script.next([Fault::Refuse(code)]);
        let error = remote.missing(vec![digest]).unwrap_err();
        assert_eq!(error.code(), Some(code), "{error}");
        assert_eq!(fake.script.calls.load(Ordering::Relaxed), before + 1);
        assert!(error.to_string().contains("FindMissingBlobs"), "{error}");
    }

    fake.script.next(vec![Fault::Refuse(Code::Unavailable); 5]);
    let error = remote.missing(vec![digest]).unwrap_err().to_string();
    assert!(
        error.contains("UNAVAILABLE: not now (after 5 attempts)"),
        "{error}"
    );
    let calls = fake.script.calls.load(Ordering::Relaxed);
    let error = remote.missing(vec![digest]).unwrap_err().to_string();
    assert!(error.contains("failed a moment ago: not now"), "{error}");
    assert_eq!(fake.script.calls.load(Ordering::Relaxed), calls, "it rests");
}

#[test]
fn who_hangs_or_is_not_there_is_not_waited_for() {
    let fake = Fake::start(Script::new());
    let mut settings = fake.settings();
    settings.request_timeout = Duration::from_millis(200);
    let remote = Remote::new(settings, &fake.wire).unwrap();
    let begun = Instant::now();
    fake.script.next([Fault::Hang]);
    let error = remote.missing(vec![BlobDigest::of(b"x")]).unwrap_err();
    assert_eq!(error.code(), Some(Code::DeadlineExceeded));
    assert!(error.to_string().contains("request-timeout"), "{error}");

    for (url, reason) in [
        ("http://127.0.0.1:9", "refused"),
        ("http://nowhere.invalid:9", "DNS resolution failed: "),
    ] {
        let gone = RemoteSettings {
            retry_delay: Duration::from_millis(1),
            ..RemoteSettings::new(url)
        };
        let gone = Remote::new(gone, &Wire::new().unwrap()).unwrap();
        let error = gone.missing(vec![BlobDigest::of(b"x")]).unwrap_err();
        assert_eq!(error.code(), Some(Code::Unavailable), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    }
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn what_a_server_is_behind_is_given_to_it_unless_it_is_only_read() {
    let fake = Fake::start(Script::new());
    let calls = || fake.script.calls.load(Ordering::Relaxed);
    let there = fake.script.blobs.write(b"there"[..].into()).unwrap();
    let (here, shared) = store();
    let given = here.write(b"here"[..].into()).unwrap();
    let nowhere = BlobDigest::of(b"nowhere");
    let all = [there, given, nowhere];

    let read_only = BackedBlobs::new(Arc::clone(&shared), fake.remote(), true);
    assert_eq!(read_only.hand_over(&all).unwrap(), [nowhere]);
    assert!(!fake.script.blobs.contains(given).unwrap());
    let before = calls();
    assert_eq!(read_only.hand_over(&[given]).unwrap(), []);
    assert_eq!(calls(), before, "it is here");

    let written = BackedBlobs::new(shared, fake.remote(), false);
    assert_eq!(written.hand_over(&all).unwrap(), [nowhere]);
    assert!(fake.script.blobs.contains(given).unwrap());
}

#[test]
fn who_lies_is_found_out() {
    let fake = Fake::start(Script::new());
    let remote = fake.remote();
    let small = fake.script.blobs.write(b"small"[..].into()).unwrap();
    let large = fake.script.blobs.write(content(300_000).into()).unwrap();
    for (digest, fault) in [(small, Fault::Lie), (large, Fault::Lie)] {
        let (kept, into) = store();
        fake.script.next([fault]);
        let error = remote.download(vec![digest], &into).unwrap_err();
        assert!(
            matches!(error, RemoteError::Damaged { expected, .. } if expected == digest),
            "{error}"
        );
        assert_eq!(
            kept.missing(&[digest]).unwrap(),
            [digest],
            "nothing is kept"
        );
        assert_eq!(
            remote.download(vec![digest], &into).unwrap(),
            [],
            "the truth is"
        );
    }
    let (kept, into) = store();
    fake.script.next([Fault::Overflow]);
    let error = remote.download(vec![large], &into).unwrap_err().to_string();
    assert!(error.contains("sends more"), "{error}");
    assert_eq!(kept.missing(&[large]).unwrap(), [large]);
}

#[test]
fn streams_go_on_where_they_broke_off() {
    for zstd in [false, true] {
        let mut script = Script::new();
        script.zstd = zstd;
        let fake = Fake::start(script);
        let remote = fake.remote();
        let blob = content(1_000_000);
        let digest = fake.script.blobs.write(blob.clone().into()).unwrap();
        let (kept, into) = store();
        // More often than calls are tried again: each time it gets further.
        let faults = [
            Fault::BreakAfter(300_000),
            Fault::BreakAfter(200_000),
            Fault::Refuse(Code::Unavailable),
            Fault::EndAfter(200_000),
            Fault::BreakAfter(100_000),
            Fault::BreakAfter(0),
        ];
        fake.script.next(faults);
        assert_eq!(remote.download(vec![digest], &into).unwrap(), []);
        assert_eq!(kept.read(digest).unwrap(), blob, "zstd: {zstd}");
    }

    let fake = Fake::start(Script::new());
    let (_, from) = store();
    let blob = content(5_000_000);
    let digest = from.write(blob.clone().into()).unwrap();
    let remote = fake.remote();
    // The first fault is FindMissingBlobs'.
    let faults = [
        Fault::Lie,
        Fault::BreakAfter(3_000_000),
        Fault::BreakAfter(3_500_000),
        Fault::Refuse(Code::Unavailable),
    ];
    fake.script.next(faults);
    let uploaded = remote.upload(vec![digest, digest], &from).unwrap();
    assert_eq!((uploaded.blobs, uploaded.bytes), (1, 5_000_000));
    assert_eq!(fake.script.blobs.read(digest).unwrap(), blob);
    assert_eq!(remote.upload(vec![digest], &from).unwrap().blobs, 0);
}

#[test]
fn batches_are_as_small_as_the_server_wants_them() {
    let fake = Fake::start(Script::new());
    let remote = fake.remote();
    let (_, from) = store();
    let blobs = (0..200).map(|n| from.write(content(n * 100 + 1).into()).unwrap());
    let mut blobs: Vec<_> = blobs.collect();
    blobs.push(BlobDigest::of(b""));
    assert_eq!(remote.upload(blobs.clone(), &from).unwrap().blobs, 200);
    let (kept, into) = store();
    let absent = BlobDigest::of(b"absent");
    let wanted = blobs.iter().copied().chain([absent]).collect();
    assert_eq!(remote.download(wanted, &into).unwrap(), [absent]);
    assert_eq!(kept.missing(&blobs).unwrap(), []);
    let largest = fake.script.largest.load(Ordering::Relaxed);
    assert!((32 * 1024..=64 * 1024).contains(&largest), "{largest}");
}

#[test]
fn what_is_not_here_can_not_be_sent() {
    let fake = Fake::start(Script::new());
    let (_, from) = store();
    let (small, large) = (
        BlobDigest::of(b"nowhere"),
        BlobDigest::new([7; 32], 1 << 20),
    );
    for digest in [small, large] {
        let error = fake.remote().upload(vec![digest], &from).unwrap_err();
        assert!(matches!(error, RemoteError::Store(_)), "{error}");
    }
}
