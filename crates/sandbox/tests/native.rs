//! Real commands in real sandboxes, in a root made of this machine's own programs: in trees that are made of links,
//! and, as part of another test program, in those that are shown.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use headstart_execution::{
    CancellationToken, Sandbox, SandboxError, SandboxOutcome, SandboxRequest, SocketMount, Streams,
    WritablePaths,
};
use headstart_merkle::{BlobDigest, DirectoryDigest, FileNode, Node, SymlinkNode, Tree, TreePath};
use headstart_sandbox::NativeSandbox;
use headstart_store::{BlobStore, Directories, LocalBlobs};
use headstart_store_disk::{DiskBlobs, Layout};

const PROGRAMS: &[&str] = &[
    "sh", "cat", "ls", "id", "mkdir", "rm", "cp", "mv", "ln", "sleep", "env", "touch", "chmod",
    "stat", "head", "kill", "mkfifo", "hostname", "true", "setsid", "seq", "readlink", "bash",
];

/// The files of this machine that the programs need: themselves and what `ldd` names.
fn files_needed() -> &'static Vec<PathBuf> {
    static FILES: OnceLock<Vec<PathBuf>> = OnceLock::new();
    FILES.get_or_init(|| {
        let mut files = Vec::new();
        for program in PROGRAMS {
            let found = ["/usr/bin", "/bin"]
                .iter()
                .map(|folder| Path::new(folder).join(program));
            let program = found.into_iter().find(|path| path.exists()).unwrap();
            let output = Command::new("ldd").arg(&program).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let paths = text.split_whitespace().filter(|word| word.starts_with('/'));
            files.extend(paths.map(PathBuf::from));
            files.push(program);
        }
        files.sort();
        files.dedup();
        files
    })
}

/// How many entries a tree has at least that is shown.
fn shown_from() -> usize {
    match module_path!().starts_with("shown") {
        true => 0,
        false => usize::MAX,
    }
}

/// Whether this user may use FUSE on this machine. Where not, large trees are made like all others.
pub(crate) fn can_show() -> bool {
    let device = fs::File::options().read(true).write(true).open("/dev/fuse");
    device.is_ok()
}

/// A script that sleeps, or a time to sleep, by which the processes of a test are found: the same test of the other kind
/// may be running.
fn marked(text: &str) -> String {
    match shown_from() {
        0 => text.replace("47", "48"),
        _ => text.to_owned(),
    }
}

pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) layout: Layout,
    pub(crate) store: Arc<DiskBlobs>,
    pub(crate) directories: Directories<DiskBlobs>,
    pub(crate) sandbox: NativeSandbox,
    root: DirectoryDigest,
}

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path().join("cache, with: marks"));
        let store = Arc::new(DiskBlobs::open(&layout).unwrap());
        let directories = Directories::new(Arc::clone(&store));
        let local: Arc<dyn LocalBlobs> = store.clone();
        let sandbox = NativeSandbox::showing_from(shown_from(), &layout, local);
        let mut tree = Tree::empty();
        for file in files_needed() {
            let digest = store.write(fs::read(file).unwrap().into()).unwrap();
            let at = TreePath::normalized(file.to_str().unwrap()).unwrap();
            tree.insert(&at, Node::File(FileNode::new(digest, true)), &directories)
                .unwrap();
        }
        let root = tree.write(&directories).unwrap();
        Self {
            folder,
            layout,
            store,
            directories,
            sandbox,
            root,
        }
    }

    pub(crate) fn with(&self, files: &[(&str, &str)]) -> DirectoryDigest {
        let mut tree = Tree::stored(self.root);
        for (name, content) in files {
            let node = match content.strip_prefix("-> ") {
                Some(target) => Node::Symlink(SymlinkNode::new(target)),
                None => {
                    let digest = self.store.write(content.to_string().into()).unwrap();
                    Node::File(FileNode::new(digest, false))
                }
            };
            tree.insert(&path(name), node, &self.directories).unwrap();
        }
        tree.write(&self.directories).unwrap()
    }

    pub(crate) fn request(&self, script: &str) -> SandboxRequest {
        SandboxRequest {
            input_root: self.root,
            staged: None,
            base_root: None,
            arguments: ["sh", "-c", script].map(str::to_owned).to_vec(),
            environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
            working_directory: path("work"),
            writable: WritablePaths::All,
            outputs: Vec::new(),
            uid: 0,
            gid: 0,
            network: false,
            socket: None,
            binds: Vec::new(),
            properties: Default::default(),
            streams: Streams::Captured { limit: 1 << 20 },
            nice: 0,
            timeout: None,
        }
    }

    pub(crate) async fn run(
        &self,
        request: SandboxRequest,
    ) -> Result<SandboxOutcome, SandboxError> {
        self.sandbox.run(request, CancellationToken::new()).await
    }

    /// Runs a script and gives what it wrote to standard output.
    async fn say(&self, script: &str) -> String {
        let outcome = self.run(self.request(script)).await.unwrap();
        assert_eq!(
            outcome.exit_code,
            0,
            "{}",
            String::from_utf8_lossy(&outcome.stderr)
        );
        String::from_utf8(outcome.stdout.to_vec()).unwrap()
    }

    fn read(&self, node: &Node) -> String {
        let Node::File(file) = node else {
            panic!("{node:?} is no file")
        };
        String::from_utf8(self.store.read(file.digest).unwrap().to_vec()).unwrap()
    }

    fn at(&self, root: DirectoryDigest, name: &str) -> Option<Node> {
        Tree::stored(root)
            .get(&path(name), &self.directories)
            .unwrap()
    }
}

#[tokio::test]
async fn exit_codes_and_streams_are_exact() {
    let world = World::new();
    let outcome = world
        .run(world.request("echo out; echo err >&2; exit 7"))
        .await
        .unwrap();
    assert_eq!(outcome.exit_code, 7);
    assert_eq!(
        (&outcome.stdout[..], &outcome.stderr[..]),
        (&b"out\n"[..], &b"err\n"[..])
    );
    let outcome = world.run(world.request("kill -TERM $$")).await.unwrap();
    assert_eq!(outcome.exit_code, 128 + 15);
}

#[tokio::test]
async fn it_is_a_world_of_its_own() {
    let world = World::new();
    assert_eq!(world.say("id -u; id -g; echo $$").await, "0\n0\n2\n");
    assert_eq!(
        world
            .say("pwd; hostname; env | head -n 9")
            .await
            .lines()
            .next(),
        Some("/work")
    );
    assert_eq!(
        world.say("cat /proc/net/dev").await.lines().count(),
        3,
        "only lo"
    );
    assert_eq!(world.say("ls /proc | head -n 1; echo $HOME").await, "1\n\n");
    let host = world.folder.path().display().to_string();
    assert_eq!(
        world
            .say(&format!("ls -d {host} 2>/dev/null || echo unseen"))
            .await,
        "unseen\n"
    );
    let nobody = SandboxRequest {
        uid: 1000,
        gid: 1000,
        ..world.request("id -u; id -g")
    };
    assert_eq!(
        &world.run(nobody).await.unwrap().stdout[..],
        b"1000\n1000\n"
    );
    assert_eq!(
        world
            .say("cat < /dev/null; head -c 3 /dev/zero > /dev/shm/x; echo ok")
            .await,
        "ok\n"
    );
}

#[tokio::test]
async fn only_what_is_writable_can_be_written_to() {
    let world = World::new();
    let writable = WritablePaths::Only(vec![path("build/here")]);
    let script =
        "echo a > /build/here/a && echo b > /tmp/b && ! echo c > /build/c && ! rm /usr/bin/env";
    let request = SandboxRequest {
        writable,
        outputs: vec![path("build/here")],
        ..world.request(script)
    };
    let outcome = world.run(request).await.unwrap();
    assert_eq!(
        outcome.exit_code,
        0,
        "{}",
        String::from_utf8_lossy(&outcome.stderr)
    );
    let [(_, Node::Directory(tree))] = outcome.outputs[..] else {
        panic!()
    };
    assert_eq!(world.read(&world.at(tree, "a").unwrap()), "a\n");
}

#[tokio::test]
async fn nothing_reaches_the_store() {
    let world = World::new();
    let root = world.with(&[("work/file", "content"), ("work/other", "content")]);
    let digest = BlobDigest::of(b"content");
    let script = "chmod 777 file; echo changed > file; touch other; ln other third; echo x >> third; \
                  chmod 777 /usr/bin/true; : > /usr/bin/true";
    let outcome = world
        .run(SandboxRequest {
            input_root: root,
            ..world.request(script)
        })
        .await
        .unwrap();
    assert_eq!(
        outcome.exit_code,
        0,
        "{}",
        String::from_utf8_lossy(&outcome.stderr)
    );
    assert_eq!(world.store.read(digest).unwrap(), &b"content"[..]);
    let file = world.store.file(digest, false).unwrap();
    assert_eq!(
        fs::metadata(file).unwrap().permissions().mode() & 0o777,
        0o644
    );
    assert_eq!(world.say("true && echo fine").await, "fine\n");
}

#[tokio::test]
async fn outputs_are_what_is_there_afterwards() {
    let world = World::new();
    let root = world.with(&[
        ("work/kept/a", "a"),
        ("work/kept/b", "b"),
        ("work/kept/deep/c", "c"),
        ("work/replaced/old", "old"),
    ]);
    let script = "echo x > made; chmod 700 made; ln -s made link; mkfifo pipe; \
                  rm kept/b; echo n > kept/n; rm -r replaced; mkdir replaced; echo r > replaced/new; \
                  mkdir -p hard/to; echo h > hard/to/read; chmod 0 hard/to/read hard/to";
    let names = [
        "made",
        "link",
        "pipe",
        "absent",
        "kept",
        "replaced",
        "hard",
        "un/made/x",
    ];
    let request = SandboxRequest {
        input_root: root,
        outputs: names
            .iter()
            .map(|name| path(&format!("work/{name}")))
            .collect(),
        ..world.request(script)
    };
    let outcome = world.run(request).await.unwrap();
    assert_eq!(
        outcome.exit_code,
        0,
        "{}",
        String::from_utf8_lossy(&outcome.stderr)
    );
    let found: Vec<_> = outcome
        .outputs
        .iter()
        .map(|(path, _)| path.as_str())
        .collect();
    assert_eq!(
        found,
        [
            "work/made",
            "work/link",
            "work/kept",
            "work/replaced",
            "work/hard"
        ]
    );
    let nodes: Vec<_> = outcome.outputs.iter().map(|(_, node)| node).collect();
    assert!(matches!(nodes[0], Node::File(file) if file.executable));
    assert!(matches!(nodes[1], Node::Symlink(link) if &*link.target == "made"));
    let tree = |node: &Node| match node {
        Node::Directory(tree) => *tree,
        other => panic!("{other:?}"),
    };
    let (kept, replaced, hard) = (tree(nodes[2]), tree(nodes[3]), tree(nodes[4]));
    assert_eq!(world.at(kept, "b"), None);
    assert_eq!(world.read(&world.at(kept, "n").unwrap()), "n\n");
    assert_eq!(world.read(&world.at(kept, "deep/c").unwrap()), "c");
    assert_eq!(world.at(replaced, "old"), None);
    assert_eq!(world.read(&world.at(replaced, "new").unwrap()), "r\n");
    assert_eq!(world.read(&world.at(hard, "to/read").unwrap()), "h\n");
}

#[tokio::test]
async fn the_whole_root_can_be_an_output() {
    let world = World::new();
    let request = SandboxRequest {
        outputs: vec![TreePath::root()],
        ..world.request("echo new > /etc-file; rm /usr/bin/env; echo t > /tmp/t")
    };
    let outcome = world.run(request).await.unwrap();
    let [(_, Node::Directory(root))] = outcome.outputs[..] else {
        panic!()
    };
    assert_eq!(world.read(&world.at(root, "etc-file").unwrap()), "new\n");
    assert_eq!(world.at(root, "usr/bin/env"), None);
    assert!(world.at(root, "usr/bin/cat").is_some());
}

#[tokio::test]
async fn the_base_root_is_seen_below_the_input_root() {
    let world = World::new();
    let mut input = Tree::empty();
    for (name, content) in [("work/in", "input"), ("usr/share/both", "from input")] {
        let digest = world.store.write(content.into()).unwrap();
        input
            .insert(
                &path(name),
                Node::File(FileNode::new(digest, false)),
                &world.directories,
            )
            .unwrap();
    }
    let request = SandboxRequest {
        input_root: input.write(&world.directories).unwrap(),
        base_root: Some(world.with(&[
            ("usr/share/both", "from base"),
            ("lib-link", "-> usr/share"),
        ])),
        working_directory: path("lib-link/here"),
        outputs: vec![path("lib-link/out")],
        ..world.request("cat /work/in /usr/share/both; echo o > /usr/share/out; pwd -P")
    };
    let outcome = world.run(request).await.unwrap();
    let said = String::from_utf8_lossy(&outcome.stdout).into_owned();
    assert_eq!(
        said, "inputfrom input/usr/share/here\n",
        "links of the tree are followed"
    );
    assert_eq!(world.read(&outcome.outputs[0].1), "o\n");
}

#[tokio::test]
async fn a_socket_is_seen_inside_and_is_no_output() {
    let world = World::new();
    let host = world.folder.path().join("socket");
    let _listener = UnixListener::bind(&host).unwrap();
    let request = SandboxRequest {
        writable: WritablePaths::Only(vec![path("work")]),
        socket: Some(SocketMount {
            host,
            inside: path("tmp/casd.sock"),
        }),
        outputs: vec![path("tmp")],
        ..world.request("test -S /tmp/casd.sock && echo seen; echo x > /tmp/x")
    };
    let outcome = world.run(request).await.unwrap();
    assert_eq!(&outcome.stdout[..], b"seen\n");
    let [(_, Node::Directory(tmp))] = outcome.outputs[..] else {
        panic!()
    };
    assert_eq!(world.at(tmp, "casd.sock"), None);
    assert!(world.at(tmp, "x").is_some());
}

#[tokio::test]
async fn a_log_takes_both_streams() {
    let world = World::new();
    let log = world.folder.path().join("log");
    fs::write(&log, "before\n").unwrap();
    let request = SandboxRequest {
        streams: Streams::Log(log.clone()),
        ..world.request("echo a; echo b >&2")
    };
    world.run(request).await.unwrap();
    assert_eq!(fs::read_to_string(log).unwrap(), "before\na\nb\n");
}

/// Whether a process with this argument runs anywhere on the machine.
fn runs(mark: &str) -> bool {
    find(mark).is_some()
}

/// The id of a process with this argument.
fn find(mark: &str) -> Option<u32> {
    fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let id = entry.file_name().to_str()?.parse().ok()?;
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        line.split('\0').any(|word| word == mark).then_some(id)
    })
}

/// The child of this process that a process descends from.
fn child_above(process: u32) -> u32 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // proc_pid_stat(5): the parent is the field 4, after a name in parentheses.
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let parent = fields.split_whitespace().nth(1).unwrap().parse().unwrap();
    match parent == std::process::id() {
        true => process,
        false => child_above(parent),
    }
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_ends_every_process_inside() {
    let world = Arc::new(World::new());
    let cancel = CancellationToken::new();
    let request = world.request(&marked("setsid sleep 4711.1 & sleep 4711.2"));
    let running = {
        let (world, cancel) = (Arc::clone(&world), cancel.clone());
        tokio::spawn(async move { world.sandbox.run(request, cancel).await })
    };
    tokio::task::spawn_blocking(|| {
        wait_until("the command did not start", || {
            runs(&marked("4711.1")) && runs(&marked("4711.2"))
        });
    })
    .await
    .unwrap();
    cancel.cancel();
    assert!(matches!(
        running.await.unwrap(),
        Err(SandboxError::Cancelled)
    ));
    wait_until("something still runs", || {
        !runs(&marked("4711.1")) && !runs(&marked("4711.2"))
    });
}

#[test]
fn a_runtime_that_is_shut_down_ends_what_it_runs() {
    let world = Arc::new(World::new());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let request = world.request(&marked("sleep 4713.1"));
    let running = Arc::clone(&world);
    runtime.spawn(async move { running.run(request).await });
    wait_until("the command did not start", || runs(&marked("4713.1")));
    let begun = Instant::now();
    runtime.shutdown_timeout(Duration::from_secs(20));
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "it was waited for"
    );
    wait_until("something still runs", || !runs(&marked("4713.1")));
}

#[tokio::test]
async fn what_a_command_leaves_running_ends_with_it() {
    let world = World::new();
    world
        .say(&marked("setsid sleep 4712.1 > /dev/null 2>&1 & echo done"))
        .await;
    wait_until("something still runs", || !runs(&marked("4712.1")));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_what_made_a_sandbox_is_killed_everything_inside_ends() {
    let world = Arc::new(World::new());
    let request = world.request(&marked("setsid sleep 4715.1 & sleep 4715.2"));
    let running = {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.run(request).await })
    };
    tokio::task::spawn_blocking(|| {
        wait_until("the command did not start", || {
            runs(&marked("4715.1")) && runs(&marked("4715.2"))
        });
        let nursery = child_above(find(&marked("4715.2")).unwrap()).to_string();
        let killed = Command::new("kill").args(["-9", &nursery]).status();
        assert!(killed.unwrap().success());
    })
    .await
    .unwrap();
    let error = running.await.unwrap().unwrap_err();
    assert!(matches!(error, SandboxError::Step { .. }), "{error}");
    wait_until("something still runs", || {
        !runs(&marked("4715.1")) && !runs(&marked("4715.2"))
    });
    assert_eq!(world.say("echo again").await, "again\n");
}

/// The processor time of all that ended below this process's children, in the kernel's units.
fn time_of_ended() -> u64 {
    let threads = fs::read_dir("/proc/self/task").unwrap().flatten();
    let children = threads.map(|thread| fs::read_to_string(thread.path().join("children")));
    let children = children.flatten().collect::<String>();
    let times = children.split_whitespace().map(|child| {
        // proc_pid_stat(5): cutime and cstime are the fields 16 and 17, after a name in parentheses.
        let stat = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let times = fields.split_whitespace().skip(13).take(2);
        times.map(|time| time.parse::<u64>().unwrap()).sum::<u64>()
    });
    times.sum()
}

/// The network that a process has.
const NETWORK: &str = "readlink /proc/self/ns/net";

#[tokio::test]
async fn a_network_serves_again_as_long_as_nobody_used_it() {
    let world = World::new();
    let first = world.say(NETWORK).await;
    assert_eq!(world.say(NETWORK).await, first);
    let send = format!("{NETWORK}; bash -c 'echo something >/dev/udp/127.0.0.1/9'");
    assert_eq!(world.say(&send).await, first);
    let state = format!("{NETWORK}; cat /proc/net/dev; cat /proc/net/sockstat");
    let next = world.say(&state).await;
    let mut lines = next.lines();
    assert_ne!(lines.next(), first.lines().next());
    let loopback = lines.find(|it| it.trim_start().starts_with("lo:")).unwrap();
    let mut counters = loopback.split_whitespace().skip(1);
    assert!(counters.all(|it| it == "0"), "{loopback}");
    // Not as root of that network, but as anybody.
    let ports = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start";
    assert_eq!(world.say(ports).await, "0\n");
}

#[tokio::test]
async fn networks_are_shared_with_the_host_if_that_is_wanted_and_with_nobody_else() {
    let world = World::new();
    let long = format!("{NETWORK}; sleep 0.3");
    let said = tokio::join!(world.say(&long), world.say(&long), world.say(&long));
    let host = fs::read_link("/proc/self/ns/net").unwrap();
    let host = format!("{}\n", host.display());
    let mut networks = vec![said.0, said.1, said.2, host.clone()];
    networks.sort();
    networks.dedup();
    assert_eq!(networks.len(), 4, "{networks:?}");
    let request = SandboxRequest {
        network: true,
        ..world.request(NETWORK)
    };
    assert_eq!(world.run(request).await.unwrap().stdout, host);
}

#[tokio::test]
async fn the_time_that_sandboxes_used_is_known_to_be_ours() {
    let world = World::new();
    let count = "i=0; while [ $i -lt 300000 ]; do i=$((i + 1)); done; echo $i";
    assert_eq!(world.say(count).await, "300000\n");
    wait_until("the time is lost", || time_of_ended() >= 10);
}

#[tokio::test]
async fn what_takes_too_long_or_says_too_much_is_ended() {
    let world = World::new();
    let timeout = Some(Duration::from_millis(200));
    let slow = SandboxRequest {
        timeout,
        ..world.request(&marked("sleep 4713.1"))
    };
    assert!(matches!(
        world.run(slow).await,
        Err(SandboxError::TimedOut(_))
    ));
    assert!(!runs(&marked("4713.1")));
    let chatty = SandboxRequest {
        streams: Streams::Captured { limit: 1000 },
        ..world.request("while :; do echo and so on; done")
    };
    assert!(matches!(
        world.run(chatty).await,
        Err(SandboxError::TooMuchOutput { limit: 1000 })
    ));
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let world = World::new();
    let arguments = vec!["nonesuch".to_owned()];
    let error = world
        .run(SandboxRequest {
            arguments,
            ..world.request("")
        })
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("\"nonesuch\"") && text.contains("/usr/bin:/bin"),
        "{text}"
    );

    let absent = BlobDigest::of(b"absent");
    let mut tree = Tree::stored(world.root);
    let node = Node::File(FileNode::new(absent, false));
    tree.insert(&path("work/absent"), node, &world.directories)
        .unwrap();
    let input_root = tree.write(&world.directories).unwrap();
    let error = world
        .run(SandboxRequest {
            input_root,
            ..world.request("")
        })
        .await
        .unwrap_err();
    assert!(error.to_string().contains(&absent.to_string()), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_run_at_a_time_and_nothing_stays() {
    let world = Arc::new(World::new());
    let tasks: Vec<_> = (0..20)
        .map(|number| {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                let request = SandboxRequest {
                    outputs: vec![path("work/out")],
                    ..world.request(&format!("seq {number} > out"))
                };
                let outcome = world.run(request).await.unwrap();
                world.read(&outcome.outputs[0].1).lines().count()
            })
        })
        .collect();
    for (number, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.await.unwrap(), number);
    }
    let World {
        folder: _folder,
        layout,
        sandbox,
        ..
    } = Arc::into_inner(world).unwrap();
    drop(sandbox);
    let left = layout.own().join("sandboxes");
    assert_eq!(fs::read_dir(left).unwrap().count(), 0);
}

#[tokio::test]
async fn what_was_done_in_a_sandbox_is_not_seen_in_later_ones() {
    let world = World::new();
    let here = world.with(&[("tmp/mine", "content"), ("usr/share/mine", "")]);
    let look = "ls -A / /tmp /usr/share; stat -c '%n %a' / /tmp /dev /proc; cat /tmp/mine; ";
    let harm = "rm -rf /tmp /usr/share /work; mkdir /tmp /folder; touch /tmp/left /.left /tmp/.left /dev/left; \
        mkdir -m 0 /tmp/closed; mkfifo /pipe; ln -s / /link; chmod 0 /tmp; chmod 500 /";
    let script = format!("{look} {harm}");
    let seen = async |input_root| {
        let request = SandboxRequest {
            input_root,
            ..world.request(&script)
        };
        let outcome = world.run(request).await.unwrap();
        (
            outcome.exit_code,
            String::from_utf8(outcome.stdout.to_vec()).unwrap(),
        )
    };
    let first = seen(here).await;
    assert_eq!(first.0, 0);
    assert!(first.1.contains("/tmp 1777"), "{}", first.1);
    assert!(first.1.ends_with("content"), "{}", first.1);
    for _ in 0..20 {
        assert_eq!(seen(here).await, first);
    }
    // What nearly all trees have as a folder is a link in this.
    let linked = world.with(&[("tmp", "-> var/tmp")]);
    let request = SandboxRequest {
        input_root: linked,
        outputs: vec![path("var/tmp/out")],
        ..world.request("stat -c %F /tmp; echo content > /tmp/out")
    };
    let outcome = world.run(request).await.unwrap();
    assert_eq!(&outcome.stdout[..], b"symbolic link\n");
    assert_eq!(world.read(&outcome.outputs[0].1), "content\n");
}

/// Run again by itself, as a process to be killed.
#[tokio::test]
async fn sleep_in_a_sandbox_when_told_to() {
    if std::env::var_os("SLEEP_IN_A_SANDBOX").is_some() {
        let world = World::new();
        world
            .run(world.request(&marked("sleep 4714.1 & sleep 4714.2")))
            .await
            .unwrap();
    }
}

#[test]
fn when_this_process_is_killed_everything_inside_ends() {
    let folder = tempfile::tempdir().unwrap();
    // Below the name of the test program.
    let name = concat!(module_path!(), "::sleep_in_a_sandbox_when_told_to");
    let name = name.split_once("::").unwrap().1.to_owned();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &name, "--nocapture"])
        .env("SLEEP_IN_A_SANDBOX", "1")
        .env("TMPDIR", folder.path())
        .spawn()
        .unwrap();
    wait_until("the command did not start", || {
        runs(&marked("4714.1")) && runs(&marked("4714.2"))
    });
    let mounted = || {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        mounts.contains(folder.path().to_str().unwrap())
    };
    assert_eq!(mounted(), shown_from() == 0 && can_show());
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("something still runs", || {
        !runs(&marked("4714.1")) && !runs(&marked("4714.2"))
    });
    wait_until("something is still mounted", || !mounted());
}
