//! The disk backend: the promises of every store, and those about crashes and damage.

#![allow(clippy::unwrap_used)]
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use headstart_merkle::{ActionDigest, BlobDigest};
use headstart_reapi::reapi;
use headstart_store::{ActionCache, BlobStore, LocalBlobs, StoreError, conformance};
use headstart_store_disk::{DiskActionCache, DiskBlobs, Layout};

fn open() -> (tempfile::TempDir, Layout, DiskBlobs) {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(folder.path());
    let store = DiskBlobs::open(&layout).unwrap();
    (folder, layout, store)
}

#[test]
fn it_keeps_the_promises_of_a_store() {
    let (_folder, layout, store) = open();
    conformance::check_blobs(&store);
    conformance::check_sizes(&store);
    conformance::check_action_cache(&DiskActionCache::open(&layout));
    assert_eq!(
        fs::read_dir(layout.temporary()).unwrap().count(),
        0,
        "nothing is left behind"
    );
}

#[test]
fn objects_lie_where_casd_keeps_them() {
    let (folder, _, store) = open();
    let digest = store.write(Bytes::from_static(b"hello\n")).unwrap();
    let hex = digest.hex();
    let path = folder
        .path()
        .join("cas/objects")
        .join(&hex[..2])
        .join(&hex[2..]);
    assert_eq!(fs::read(&path).unwrap(), b"hello\n");
    assert_eq!(store.file(digest, false).unwrap(), path);
}

#[test]
fn a_damaged_object_is_reported_and_then_missing() {
    let (_folder, layout, store) = open();
    let digest = store.write(Bytes::from_static(b"right")).unwrap();
    let path = store.file(digest, false).unwrap();
    fs::write(&path, b"wrong").unwrap();
    assert!(matches!(
        store.read(digest),
        Err(StoreError::Damaged { .. })
    ));
    assert_eq!(store.missing(&[digest]).unwrap(), [digest]);
    // This process still knows why, another does not.
    assert!(matches!(
        store.read(digest),
        Err(StoreError::Damaged { .. })
    ));
    let other = DiskBlobs::open(&layout).unwrap();
    assert!(matches!(other.read(digest), Err(StoreError::Missing(_))));
    assert!(layout.corrupt().join(digest.hex()).exists());
    store.write(Bytes::from_static(b"right")).unwrap();
    assert_eq!(store.read(digest).unwrap(), &b"right"[..]);

    fs::write(&path, b"sho").unwrap();
    assert_eq!(
        store.missing(&[digest]).unwrap(),
        [digest],
        "a wrong size is seen without reading"
    );
    store.write(Bytes::from_static(b"right")).unwrap();
    assert_eq!(store.read(digest).unwrap(), &b"right"[..]);
}

#[test]
fn damaged_files_are_given_to_nobody() {
    for executable in [false, true] {
        let (folder, layout, store) = open();
        let digest = store.write(Bytes::from_static(b"right")).unwrap();
        let file = |store: &DiskBlobs| store.file(digest, executable);
        let object = store.file(digest, false).unwrap();
        // Another process, so to speak: this one has checked it.
        fs::write(&object, b"wrong").unwrap();
        let store = DiskBlobs::open(&Layout::new(folder.path())).unwrap();
        assert!(matches!(file(&store), Err(StoreError::Damaged { .. })));
        assert!(layout.corrupt().join(digest.hex()).exists());
        assert_eq!(store.missing(&[digest]).unwrap(), [digest]);
        store.write(Bytes::from_static(b"right")).unwrap();
        assert_eq!(fs::read(file(&store).unwrap()).unwrap(), b"right");
    }
}

#[test]
fn a_damaged_executable_copy_is_made_again() {
    let (folder, _, store) = open();
    let digest = store.write(Bytes::from_static(b"right")).unwrap();
    fs::write(store.file(digest, true).unwrap(), b"wrong").unwrap();
    let store = DiskBlobs::open(&Layout::new(folder.path())).unwrap();
    let copy = store.file(digest, true).unwrap();
    assert_eq!(fs::read(copy).unwrap(), b"right");
}

#[test]
fn executable_files_are_copies_of_their_own() {
    let (_folder, _, store) = open();
    for content in [&b"#!/bin/sh\n"[..], b""] {
        let digest = store.write(Bytes::copy_from_slice(content)).unwrap();
        let (plain, executable) = (
            store.file(digest, false).unwrap(),
            store.file(digest, true).unwrap(),
        );
        let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&plain), mode(&executable)), (0o644, 0o755));
        for path in [&plain, &executable] {
            let modified = fs::metadata(path).unwrap().modified().unwrap();
            let expected = std::time::UNIX_EPOCH + Duration::from_secs(1_321_009_871);
            assert_eq!(modified, expected, "the time tells nothing of this machine");
        }
        assert_eq!(fs::read(executable).unwrap(), content);
    }
    let absent = BlobDigest::of(b"absent");
    assert!(matches!(
        store.file(absent, true),
        Err(StoreError::Missing(_))
    ));
    assert!(matches!(
        store.file(absent, false),
        Err(StoreError::Missing(_))
    ));
}

#[test]
fn a_torn_action_result_is_no_hit() {
    let (_folder, layout, _) = open();
    let cache = DiskActionCache::open(&layout);
    let action = ActionDigest::of(b"action");
    cache
        .put(
            action,
            &reapi::ActionResult {
                exit_code: 3,
                ..Default::default()
            }
            .into(),
        )
        .unwrap();
    let hex = action.hex();
    let path = layout.action_results().join(&hex[..2]).join(&hex[2..]);
    let whole = fs::read(&path).unwrap();
    for torn in [&whole[..whole.len() - 1], &whole[..10], b""] {
        fs::write(&path, torn).unwrap();
        assert!(cache.get(action).unwrap().is_none());
    }
    fs::write(&path, whole).unwrap();
    assert!(cache.get(action).unwrap().is_some());
}

/// Run again by itself, as a process to be killed: writes blobs for ever, and says which are kept.
#[test]
fn write_for_ever_when_told_to() {
    let Some(folder) = std::env::var_os("WRITE_FOR_EVER") else {
        return;
    };
    let store = DiskBlobs::open(&Layout::new(folder)).unwrap();
    for number in 0_u32.. {
        let content = format!("{number} ").repeat(5000);
        let digest = store.write(content.into()).unwrap();
        println!("kept {digest}");
        std::io::stdout().flush().unwrap();
    }
}

#[test]
fn a_killed_writer_loses_nothing_it_acknowledged_and_leaves_nothing_broken() {
    let (folder, layout, store) = open();
    for round in 0..20 {
        let output = folder.path().join("said");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "write_for_ever_when_told_to", "--nocapture"])
            .env("WRITE_FOR_EVER", folder.path())
            .stdout(fs::File::create(&output).unwrap())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(20 + round * 3));
        child.kill().unwrap();
        child.wait().unwrap();
        let said = fs::read_to_string(&output).unwrap();
        for digest in said
            .lines()
            .filter_map(|line| line.split("kept ").nth(1)?.parse().ok())
        {
            store.read(digest).unwrap();
        }
    }
    for shard in fs::read_dir(layout.objects()).unwrap().flatten() {
        for object in fs::read_dir(shard.path()).unwrap().flatten() {
            let content = fs::read(object.path()).unwrap();
            let named = format!(
                "{}{}",
                shard.file_name().display(),
                object.file_name().display()
            );
            assert_eq!(BlobDigest::of(&content).hex(), named);
        }
    }
    DiskBlobs::open(&layout).unwrap();
    assert_eq!(
        fs::read_dir(layout.temporary()).unwrap().count(),
        0,
        "leftovers are swept"
    );
}

#[test]
fn long_blobs_come_in_pieces_of_any_kind() {
    let (_folder, layout, store) = open();
    let content: Vec<u8> = (0..12_000_000_u32).map(|n| (n / 1000 * 7) as u8).collect();
    let expected = BlobDigest::of(&content);
    let write = |copied: bool| {
        let mut writer = store.writer().unwrap();
        for piece in content.chunks(700_001) {
            match copied {
                true => writer.write_all(piece).unwrap(),
                false => writer.write_piece(Bytes::copy_from_slice(piece)).unwrap(),
            }
        }
        // A short one in between, after a thread of its own has begun to hash.
        writer.write_all(b"end").unwrap();
        writer
    };
    for copied in [true, false] {
        let refused = write(copied).finish(Some(expected));
        assert!(matches!(refused, Err(StoreError::Mismatch { .. })));
        let digest = write(copied).finish(None).unwrap();
        let stored = store.read(digest).unwrap();
        assert_eq!(
            (&stored[..content.len()], &stored[content.len()..]),
            (&*content, &b"end"[..])
        );
        let mut rest = Vec::new();
        let mut reader = store.open_from(digest, content.len() as u64 - 1).unwrap();
        std::io::Read::read_to_end(&mut reader, &mut rest).unwrap();
        assert_eq!(rest[1..], *b"end");
    }
    drop(write(false));
    assert_eq!(fs::read_dir(layout.temporary()).unwrap().count(), 0);
}
