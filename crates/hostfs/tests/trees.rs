//! Trees go into the store and come back; hostile paths and links lead nowhere.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

use headstart_hostfs::{Capture, Place, Wanted, write_out};
use headstart_merkle::{DirectoryReader, Node, SymlinkNode};
use headstart_store::{BlobStore, Directories, MemoryBlobs};

fn store() -> Directories<dyn BlobStore> {
    Directories::new(Arc::new(MemoryBlobs::default()) as Arc<dyn BlobStore>)
}

fn capture(store: &Directories<dyn BlobStore>, wanted: Wanted) -> Capture<'_, dyn BlobStore> {
    Capture { store, wanted }
}

#[test]
fn a_tree_comes_back_as_it_was() {
    let store = store();
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::create_dir_all(from.path().join("sub/empty")).unwrap();
    fs::write(from.path().join("sub/script"), "#!/bin/sh\n").unwrap();
    let executable = fs::Permissions::from_mode(0o700);
    fs::set_permissions(from.path().join("sub/script"), executable).unwrap();
    fs::write(from.path().join("large"), vec![7; 3 << 20]).unwrap();
    symlink("sub/nowhere", from.path().join("link")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(from.path().join("socket")).unwrap();

    let everything = Wanted {
        mtime: true,
        unix_mode: Some(0o777),
    };
    for wanted in [Wanted::default(), everything] {
        let capture = capture(&store, wanted);
        let digest = capture.folder(&Place::host(), from.path()).unwrap();
        let captured = store.read_directory(digest).unwrap();
        let link = Node::Symlink(SymlinkNode::new("sub/nowhere"));
        assert_eq!(captured.entries.get("link"), Some(&link), "{wanted:?}");
        let to = to.path().join(wanted.mtime.to_string());
        fs::create_dir(&to).unwrap();
        write_out(digest, &to, &store).unwrap();
        assert_eq!(capture.folder(&Place::host(), &to).unwrap(), digest);
        let mode = |path: &Path| {
            fs::symlink_metadata(path.join("sub/script"))
                .unwrap()
                .mode()
        };
        let expected = if wanted.mtime { 0o700 } else { 0o755 };
        assert_eq!(mode(&to) & 0o777, expected);
        assert!(!to.join("socket").exists(), "sockets are left out");
        let time = |path: &Path| fs::metadata(path.join("large")).unwrap().mtime();
        let expected = if wanted.mtime {
            time(from.path())
        } else {
            1_321_009_871
        };
        assert_eq!(time(&to), expected);
    }
}

#[test]
fn no_path_leads_out_of_a_root() {
    let store = store();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    let root = outside.path().join("root");
    fs::create_dir_all(root.join("inner")).unwrap();
    fs::write(root.join("inner/file"), "file").unwrap();
    symlink("../../secret", root.join("inner/relative")).unwrap();
    symlink(outside.path(), root.join("absolute")).unwrap();
    symlink("/inner", root.join("inside")).unwrap();

    let place = Place::below(&root).unwrap();
    let capture = capture(&store, Wanted::default());
    for path in [
        "../secret",
        "/../secret",
        "inner/../../secret",
        "absolute/secret",
        "inner/relative",
        "/proc/self/root/etc/passwd",
        "",
        "/",
        "inner",
    ] {
        let captured = capture.file(&place, Path::new(path));
        assert!(captured.is_err(), "{path:?} led to {captured:?}");
    }
    for path in ["inner/file", "/inner/file", "inside/file", "../inner/file"] {
        capture.file(&place, Path::new(path)).unwrap();
    }
    let folder = capture.folder(&place, Path::new("/")).unwrap();
    let folder = store.read_directory(folder).unwrap();
    assert!(matches!(
        folder.entries.get("absolute"),
        Some(Node::Symlink(_))
    ));
    assert!(capture.folder(&place, Path::new("absolute")).is_err());
    assert!(
        capture.folder(&place, Path::new("..")).is_ok(),
        "the root is its own parent"
    );
}

#[test]
fn paths_of_the_host_are_absolute() {
    let error = capture(&store(), Wanted::default())
        .file(&Place::host(), Path::new("etc/passwd"))
        .unwrap_err();
    assert!(
        error.to_string().contains("expected an absolute path"),
        "{error}"
    );
}
