//! What it takes to stage a large tree and to work in it: made of hard links, and shown by FUSE.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use headstart_execution::{CancellationToken, Sandbox, SandboxRequest, Streams, WritablePaths};
use headstart_hostfs::{Capture, Place, Wanted};
use headstart_merkle::{DirectoryDigest, FileNode, Node, SymlinkNode, Tree, TreePath, extent};
use headstart_sandbox::NativeSandbox;
use headstart_store::{BlobStore, Directories};
use headstart_store_disk::{DiskBlobs, Layout};

use crate::Failure;
use crate::figures::median;

/// Folders of the root that are taken, as far as they are there.
const TAKEN: [&str; 5] = ["bin", "include", "lib", "lib64", "libexec"];
/// How often a tree is staged that differs from the last in one file.
const ROUNDS: usize = 5;

/// Works in a tree, each with what it is.
const WORK: [(&str, &str); 4] = [
    (
        "compile a small file",
        "echo 'int main(){return 0;}' > a.c && gcc -c a.c",
    ),
    (
        "compile a C++ file of many headers",
        "echo '#include <iostream>\n#include <regex>\n#include <map>' > a.cc && g++ -fsyntax-only a.cc",
    ),
    (
        "read all headers",
        "! grep -r 'in none of them' /usr/include",
    ),
    ("list everything", "ls -lR / > all"),
];

/// Prints what it takes, with a cache directory in `folder`.
pub(crate) fn run(folder: &Path, root: &Path) -> Result<(), Failure> {
    let layout = Layout::new(folder);
    let store = Arc::new(DiskBlobs::open(&layout)?);
    let directories = Directories::new(Arc::clone(&store));
    let start = Instant::now();
    let tree = import(root, &directories)?;
    let entries = extent(&directories, tree)?.entries;
    let took = start.elapsed().as_secs_f64();
    println!("{entries} entries, taken into the store in {took:.1} s");
    let runtime = tokio::runtime::Runtime::new()?;
    let [links, shown] = [usize::MAX, 0].map(|from| {
        let sandbox = NativeSandbox::showing_from(from, &layout, store.clone());
        measure(&sandbox, tree, &directories, &runtime)
    });
    println!("{:44} {:>9} {:>9}", "milliseconds", "as links", "shown");
    for ((what, links), (_, shown)) in links?.into_iter().zip(shown?) {
        println!("{what:44} {links:9.1} {shown:9.1}");
    }
    Ok(())
}

/// How long each thing takes, in milliseconds; medians, but for what can be done but once.
fn measure(
    sandbox: &NativeSandbox,
    tree: DirectoryDigest,
    directories: &Directories<DiskBlobs>,
    runtime: &tokio::runtime::Runtime,
) -> Result<Vec<(String, f64)>, Failure> {
    let timed = |act: &dyn Fn() -> Result<(), Failure>| -> Result<f64, Failure> {
        let start = Instant::now();
        act()?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    };
    let stage = |tree| timed(&|| Ok(sandbox.stage(tree).map(drop)?));
    let mut all = vec![("stage it".to_owned(), stage(tree)?)];
    let mut similar = Vec::new();
    for _ in 0..ROUNDS {
        similar.push(stage(changed(tree, directories)?)?);
    }
    all.push((
        "stage one that differs in a file".to_owned(),
        median(&mut similar),
    ));
    for (what, script) in WORK {
        let (mut first, mut again) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            // Each in a tree that nobody has looked at.
            let other = changed(tree, directories)?;
            let kept = sandbox.stage(other)?;
            for times in [&mut first, &mut again] {
                times.push(timed(&|| runtime.block_on(work(sandbox, other, script)))?);
            }
            drop(kept);
        }
        all.push((format!("{what}, first"), median(&mut first)));
        all.push((format!("{what}, again"), median(&mut again)));
    }
    Ok(all)
}

fn import(root: &Path, directories: &Directories<DiskBlobs>) -> Result<DirectoryDigest, Failure> {
    let place = Place::host();
    let capture = Capture {
        store: directories,
        wanted: Wanted::default(),
    };
    let mut tree = Tree::empty();
    for name in TAKEN {
        let from = root.join(name);
        if from.is_dir() {
            let at = TreePath::new(&format!("usr/{name}"))?;
            let digest = capture.folder(&place, &from)?;
            tree.insert(&at, Node::Directory(digest), directories)?;
            let link = Node::Symlink(SymlinkNode::new(&format!("usr/{name}")));
            tree.insert(&TreePath::new(name)?, link, directories)?;
        }
    }
    Ok(tree.write(directories)?)
}

/// The same tree with another file among its headers.
fn changed(
    tree: DirectoryDigest,
    directories: &Directories<DiskBlobs>,
) -> Result<DirectoryDigest, Failure> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let content = format!("// {}\n", now.as_nanos());
    let file = FileNode::new(directories.store().write(content.into())?, false);
    let mut tree = Tree::stored(tree);
    let at = TreePath::new("usr/include/headstart.h")?;
    tree.insert(&at, Node::File(file), directories)?;
    Ok(tree.write(directories)?)
}

async fn work(sandbox: &NativeSandbox, root: DirectoryDigest, script: &str) -> Result<(), Failure> {
    let request = SandboxRequest {
        input_root: root,
        staged: None,
        base_root: None,
        arguments: ["sh", "-c", script].map(str::to_owned).to_vec(),
        environment: vec![("PATH".into(), "/usr/bin".into())],
        working_directory: TreePath::new("work")?,
        writable: WritablePaths::All,
        outputs: Vec::new(),
        properties: Default::default(),
        uid: 0,
        gid: 0,
        network: false,
        socket: None,
        binds: Vec::new(),
        streams: Streams::Captured { limit: 1 << 20 },
        nice: 0,
        timeout: None,
    };
    let outcome = sandbox.run(request, CancellationToken::new()).await?;
    match outcome.exit_code {
        0 => Ok(()),
        code => {
            let said = String::from_utf8_lossy(&outcome.stderr);
            Err(format!("{script}: exit code {code}: {said}").into())
        }
    }
}
