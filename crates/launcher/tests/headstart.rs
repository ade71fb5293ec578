//! The launcher against our own endpoint, executor and sandbox, in a root made of this machine's
//! own compiler.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use headstart_daemon::{Endpoint, LocalExecutor, Resources, Tenant};
use headstart_execution::{CancellationToken, Subaction, SubactionRecorder};
use headstart_merkle::{DirectoryDigest, FileNode, Node, SymlinkNode, Tree, TreePath};
use headstart_sandbox::NativeSandbox;
use headstart_store::{ActionCache, BlobStore, Directories, LocalBlobs};
use headstart_store_disk::{DiskActionCache, DiskBlobs, Layout};

#[derive(Default)]
struct Recorder(Mutex<Vec<Subaction>>);

impl SubactionRecorder for Recorder {
    fn answered(&self, subaction: Subaction) {
        self.0.lock().unwrap().push(subaction);
    }
}

/// The compiler's programs, and the shared libraries that they need.
fn toolchain() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for name in ["cc1", "collect2", "lto-wrapper", "as", "ld"] {
        let printed = Command::new("gcc")
            .arg(format!("-print-prog-name={name}"))
            .output()
            .unwrap();
        let printed = String::from_utf8(printed.stdout).unwrap();
        files.push(Path::new("/usr/bin").join(printed.trim()));
    }
    let plugin = Command::new("gcc")
        .arg("-print-file-name=liblto_plugin.so")
        .output()
        .unwrap();
    files.push(String::from_utf8(plugin.stdout).unwrap().trim().into());
    files.push("/usr/bin/gcc".into());
    for program in files.clone() {
        let needed = Command::new("ldd").arg(program).output().unwrap();
        let needed = String::from_utf8(needed.stdout).unwrap();
        let paths = needed
            .split_whitespace()
            .filter(|word| word.starts_with('/'));
        files.extend(paths.map(PathBuf::from));
    }
    files.sort();
    files.dedup();
    files
}

/// Files at their real places; `/lib` and its like are links, as on most systems.
fn root(store: &Arc<DiskBlobs>) -> DirectoryDigest {
    let directories = Directories::new(Arc::clone(store));
    let mut tree = Tree::empty();
    let mut put = |path: &Path, node: Node| {
        let place = TreePath::normalized(path.to_str().unwrap()).unwrap();
        tree.insert(&place, node, &directories).unwrap();
    };
    for file in toolchain() {
        let folder = file.parent().unwrap().canonicalize().unwrap();
        let digest = store.write(fs::read(&file).unwrap().into()).unwrap();
        let name = file.file_name().unwrap();
        put(&folder.join(name), Node::File(FileNode::new(digest, true)));
    }
    for name in ["lib", "lib64"] {
        if let Ok(target) = fs::read_link(Path::new("/").join(name)) {
            let link = SymlinkNode::new(target.to_str().unwrap());
            put(Path::new(name), Node::Symlink(link));
        }
    }
    tree.write(&directories).unwrap()
}

#[test]
fn a_program_is_compiled_linked_and_found_again() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(folder.path().join("cache"));
    let store = Arc::new(DiskBlobs::open(&layout).unwrap());
    let root = root(&store);
    let cache: Arc<dyn ActionCache> = Arc::new(DiskActionCache::open(&layout));
    let local: Arc<dyn LocalBlobs> = store.clone();
    let sandbox = Arc::new(NativeSandbox::new(&layout, local));
    let executor = LocalExecutor::new(Resources {
        store,
        cache,
        sandbox,
        slots: 2,
    });
    let recorder = Arc::new(Recorder::default());
    let told = Arc::clone(&recorder) as Arc<dyn SubactionRecorder>;
    let tenant = Tenant::new(executor, told, false, CancellationToken::new());
    let endpoint = runtime
        .block_on(async { Endpoint::open(tenant, &TreePath::default()) })
        .unwrap();

    let project = folder.path().canonicalize().unwrap().join("project");
    fs::create_dir(&project).unwrap();
    fs::write(project.join("a.h"), "#define TEXT \"it runs\"\n").unwrap();
    let source =
        "#include <stdio.h>\n#include \"a.h\"\nint main(void) { return puts(TEXT) < 0; }\n";
    fs::write(project.join("a.c"), source).unwrap();
    let recc = |line: &str, expected: &str| {
        let started = Instant::now();
        let ran = Command::new(env!("CARGO_BIN_EXE_headstart-launcher"))
            .args(line.split_whitespace())
            .current_dir(&project)
            .env_clear()
            .env("PATH", "/usr/bin")
            .env(
                "RECC_SERVER",
                format!("unix:{}", endpoint.socket().display()),
            )
            .env("RECC_DEPS_GLOBAL_PATHS", "1")
            .env("RECC_NO_PATH_REWRITE", "1")
            .env("RECC_LINK", "1")
            .env("RECC_LOG_LEVEL", "info")
            .env("RECC_REMOTE_PLATFORM_chrootRootDigest", root.to_string())
            .output()
            .unwrap();
        let said = String::from_utf8(ran.stderr).unwrap();
        assert!(ran.status.success(), "{line}: {said}");
        assert!(said.contains(expected), "{line}: {said}");
        println!("{line}: {expected}, {} ms", started.elapsed().as_millis());
    };
    let compile = "/usr/bin/gcc -MD -c a.c -o deep/er/a.o";
    let link = "/usr/bin/gcc deep/er/a.o -o a";
    for expected in ["Executing action remotely", "Action Cache hit"] {
        recc(compile, expected);
        assert!(project.join("deep/er/a.d").is_file());
        recc(link, expected);
        let ran = Command::new(project.join("a")).output().unwrap();
        assert_eq!(ran.stdout, b"it runs\n");
        fs::remove_dir_all(project.join("deep")).unwrap();
        fs::remove_file(project.join("a")).unwrap();
    }
    runtime.block_on(endpoint.close());
    runtime.shutdown_timeout(Duration::from_secs(5));
    let told = recorder.0.lock().unwrap();
    assert_eq!(told.len(), 4, "each call is a subaction");
}
