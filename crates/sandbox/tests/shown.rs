//! Trees that are shown: commands work in them as in those that are made, and they look the same.

#![allow(clippy::unwrap_used)]

mod native;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use headstart_execution::{SandboxError, SandboxRequest};
use headstart_merkle::{
    BlobDigest, DirectoryDigest, FileNode, Node, Properties, SymlinkNode, Tree, TreePath,
};
use headstart_sandbox::NativeSandbox;
use headstart_store::{BlobStore, StoreError};
use headstart_store_disk::Layout;

use native::{World, can_show};

fn sandbox(world: &World, shown_from: usize) -> NativeSandbox {
    NativeSandbox::showing_from(shown_from, &world.layout, world.store.clone())
}

fn file(world: &World, content: impl Into<Vec<u8>>) -> FileNode {
    let digest = world.store.write(content.into().into()).unwrap();
    FileNode::new(digest, false)
}

fn tree(world: &World, nodes: impl IntoIterator<Item = (String, Node)>) -> DirectoryDigest {
    let mut tree = Tree::empty();
    for (path, node) in nodes {
        let path = TreePath::new(&path).unwrap();
        tree.insert(&path, node, &world.directories).unwrap();
    }
    tree.write(&world.directories).unwrap()
}

/// One of everything that a tree can hold.
fn varied(world: &World) -> DirectoryDigest {
    let mut nodes = BTreeMap::new();
    for number in 0..3000 {
        let file = file(world, format!("content {}", number % 7));
        nodes.insert(format!("many/name-{number}"), Node::File(file));
    }
    for depth in 1..40 {
        let path = format!("{}file", "deep/".repeat(depth));
        nodes.insert(path, Node::File(file(world, "below")));
    }
    let mut program = file(world, "#!/bin/sh\n");
    program.executable = true;
    nodes.insert("bin/program".into(), Node::File(program.clone()));
    let property = |mtime, mode| Properties::of(mtime, mode);
    for (name, properties) in [
        ("old", property(Some((1_000_000_000, 123_456_000)), None)),
        ("early", property(Some((-86_400, 0)), None)),
        ("mine", property(None, Some(0o4600))),
        ("both", property(Some((7, 0)), Some(0o751))),
    ] {
        let (plain, executable) = (file(world, "with properties"), program.clone());
        for (kind, mut file) in [("plain", plain), ("program", executable)] {
            file.properties = properties.clone();
            nodes.insert(format!("properties/{name}-{kind}"), Node::File(file));
        }
    }
    for (name, target) in [("there", "../bin/program"), ("nowhere", "/no/such/thing")] {
        nodes.insert(
            format!("links/{name}"),
            Node::Symlink(SymlinkNode::new(target)),
        );
    }
    nodes.insert("empty".into(), Node::File(file(world, "")));
    nodes.insert("naïve ünïcode 名".into(), Node::File(file(world, "name")));
    tree(world, nodes)
}

/// All that can be seen of a folder: kinds, modes, times, sizes, contents, targets.
fn seen(folder: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(at) = pending.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let entry = entry.unwrap();
            let path = entry.path();
            let data = fs::symlink_metadata(&path).unwrap();
            assert_eq!(entry.file_type().unwrap(), data.file_type());
            let content = match (data.is_symlink(), data.is_dir()) {
                (true, _) => fs::read_link(&path).unwrap().display().to_string(),
                (_, true) => {
                    pending.push(path.clone());
                    String::new()
                }
                _ => BlobDigest::of(&fs::read(&path).unwrap()).to_string(),
            };
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            let size = if data.is_dir() { 0 } else { data.size() };
            let (mode, owner) = (data.mode(), (data.uid(), data.gid()));
            let modified = (data.mtime(), data.mtime_nsec());
            let seen = format!("{mode:o} {owner:?} {modified:?} {size} {content}");
            assert!(all.insert(name, seen).is_none(), "it is listed twice");
        }
    }
    all
}

/// What is mounted below a folder.
fn mounted_below(folder: &Path) -> Vec<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let folder = folder.to_str().unwrap().replace(' ', "\\040");
    let below = mounts.lines().filter(|line| line.contains(&folder));
    below.map(str::to_owned).collect()
}

#[test]
fn it_looks_like_one_that_is_made() {
    let world = World::new();
    let tree = varied(&world);
    let (making, showing) = (sandbox(&world, usize::MAX), sandbox(&world, 0));
    let (made, shown) = (making.stage(tree).unwrap(), showing.stage(tree).unwrap());
    let mounts = mounted_below(shown.path().parent().unwrap());
    assert_eq!(mounts.len(), usize::from(can_show()));
    // Also when it is looked at again, by whatever the kernel remembers of it.
    for _ in 0..2 {
        let (made, shown) = (seen(made.path()), seen(shown.path()));
        assert_eq!(shown.len(), made.len());
        for (name, what) in &made {
            assert_eq!(shown.get(name), Some(what), "{name}");
        }
    }
    for nothing in [
        "no",
        "many/no",
        "deep/no/thing",
        "empty/file",
        "many/name-0/file",
    ] {
        let path = shown.path().join(nothing);
        assert!(fs::symlink_metadata(&path).is_err(), "{nothing}");
    }
    if can_show() {
        let refused = fs::write(shown.path().join("empty"), "changed").unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    }
}

#[test]
fn a_long_file_is_read_from_any_place() {
    let world = World::new();
    let content: Vec<u8> = (0..5_000_000_u32).map(|n| ((n * n) >> 7) as u8).collect();
    let node = Node::File(file(&world, content.clone()));
    let tree = tree(&world, [("long".to_owned(), node)]);
    let sandbox = sandbox(&world, 0);
    let staged = sandbox.stage(tree).unwrap();
    let file = File::open(staged.path().join("long")).unwrap();
    let mut place = 4_999_999_u64;
    for _ in 0..200 {
        let mut piece = [0; 10_000];
        let read = file.read_at(&mut piece, place).unwrap();
        let from = place as usize;
        let expected = &content[from..content.len().min(from + piece.len())];
        assert!(read > 0 && piece[..read] == expected[..read]);
        place = (place * 7919 + 13) % content.len() as u64;
    }
    assert_eq!(file.read_at(&mut [0; 10], content.len() as u64).unwrap(), 0);
    assert!(fs::read(staged.path().join("long")).unwrap() == content);
}

#[test]
fn trees_are_shown_side_by_side_and_unmounted_with_their_sandbox() {
    let world = World::new();
    let sandbox = sandbox(&world, 0);
    let tree = |content: &str| {
        tree(
            &world,
            [("file".to_owned(), Node::File(file(&world, content)))],
        )
    };
    let (one, other) = (tree("one"), tree("other"));
    let staged: Vec<_> = [one, other, one]
        .map(|tree| sandbox.stage(tree).unwrap())
        .into();
    let content = |at: usize| fs::read_to_string(staged[at].path().join("file")).unwrap();
    assert_eq!(
        [content(0), content(1), content(2)],
        ["one", "other", "one"]
    );
    assert_eq!(staged[0].path(), staged[2].path());
    let mounted = usize::from(can_show());
    assert_eq!(mounted_below(world.folder.path()).len(), mounted);
    if can_show() {
        // Whoever lists what is shown, to remove it say, finds nothing.
        let all = staged[0].path().parent().unwrap();
        assert_eq!(fs::read_dir(all).unwrap().count(), 0);
    }
    let path = staged[0].path().to_owned();
    drop(staged);
    assert_eq!(
        mounted_below(world.folder.path()).len(),
        mounted,
        "for the next"
    );
    drop(sandbox);
    assert_eq!(mounted_below(world.folder.path()), [""; 0]);
    assert!(!path.exists());
    let left = fs::read_dir(world.layout.own().join("sandboxes")).unwrap();
    assert_eq!(left.count(), 0);
}

/// More than are remembered, of which some are used all the time.
#[tokio::test]
async fn many_trees_are_shown_after_each_other_and_at_a_time() {
    let world = World::new();
    let content = |number: usize| format!("content of {number}");
    let trees: Vec<_> = (0..100)
        .map(|number| world.with(&[("dir/file", &content(number))]))
        .collect();
    let mut kept = Vec::new();
    for (number, tree) in trees.iter().enumerate() {
        let request = SandboxRequest {
            input_root: *tree,
            ..world.request("cat /dir/file; echo; ls /dir")
        };
        let outcome = world.run(request).await.unwrap();
        let said = String::from_utf8_lossy(&outcome.stdout).into_owned();
        assert_eq!(said, format!("{}\nfile\n", content(number)));
        if number % 10 == 0 {
            kept.push((number, world.sandbox.stage(*tree).unwrap()));
        }
        for (number, staged) in &kept {
            let read = fs::read_to_string(staged.path().join("dir/file")).unwrap();
            assert_eq!(read, content(*number));
        }
    }
    let again = world.sandbox.stage(trees[1]).unwrap();
    assert!(again.path().join("dir/file").exists());
}

#[test]
fn what_is_missing_is_told_before_anybody_works_in_it() {
    let world = World::new();
    let (here, gone) = (file(&world, "here"), file(&world, "gone"));
    let nodes = [("a/b/here", &here), ("a/c/gone", &gone)];
    let nodes = nodes.map(|(name, file)| (name.to_owned(), Node::File(file.clone())));
    let tree = tree(&world, nodes);
    fs::remove_file(object(&world.layout, gone.digest)).unwrap();
    let sandbox = sandbox(&world, 0);
    for _ in 0..2 {
        match sandbox.stage(tree).map(|_| ()) {
            Err(SandboxError::Store(StoreError::Missing(digest))) => {
                assert_eq!(digest, gone.digest);
            }
            other => panic!("{other:?}"),
        }
    }
    file(&world, "gone");
    sandbox.stage(tree).unwrap();
    drop(sandbox);
    // Nothing is held any more.
    let marks = fs::read_dir(world.layout.own().join("in-use"));
    assert_eq!(marks.into_iter().flatten().count(), 0);
}

/// A command that is told that the disk is defective may go on, and what comes of it looks like any other result.
#[tokio::test]
async fn a_command_that_could_not_read_its_inputs_has_no_result() {
    let world = World::new();
    let (good, bad) = (("good", "good"), ("bad", "damaged"));
    let (tree, without) = (world.with(&[good, bad]), world.with(&[good]));
    let digest = BlobDigest::of(b"damaged");
    // As long as it was.
    let object = object(&world.layout, digest);
    fs::remove_file(&object).unwrap();
    fs::write(&object, "DAMAGED").unwrap();
    let run = async |input_root, script: &str| {
        world
            .run(SandboxRequest {
                input_root,
                ..world.request(script)
            })
            .await
    };
    if !can_show() {
        // Each file is looked at before it is linked to.
        let told = run(tree, "cat /good").await.unwrap_err();
        assert!(told.to_string().contains(&digest.hex()), "{told}");
        return;
    }
    let untouched = run(tree, "cat /good").await.unwrap();
    assert_eq!(&untouched.stdout[..], b"good");
    // Whoever has another tree at the same time is not concerned.
    let (with, beside) = tokio::join!(
        run(tree, "cat /bad || true"),
        run(without, "sleep 0.3; cat /good")
    );
    match with.map(|outcome| outcome.exit_code) {
        Err(SandboxError::Store(StoreError::Damaged { expected, .. })) => {
            assert_eq!(expected, digest);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(&beside.unwrap().stdout[..], b"good");
    world.store.write("damaged".into()).unwrap();
    let whole = run(tree, "cat /bad").await.unwrap();
    assert_eq!(&whole.stdout[..], b"damaged");
}

fn object(layout: &Layout, digest: BlobDigest) -> PathBuf {
    let hash = digest.hex();
    layout.objects().join(&hash[..2]).join(&hash[2..])
}
