//! A daemon in a process of its own, ours or the real one, and connections to it.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

use crate::support::object_in;

/// A folder with links of the names that build tools look for, to put first in PATH.
pub(crate) fn links() -> TempDir {
    let folder = TempDir::new().unwrap();
    for name in ["buildbox-casd", "buildbox-run"] {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_headstart"), folder.path().join(name))
            .unwrap();
    }
    folder
}

/// The folder of the real programs.
pub(crate) fn real() -> PathBuf {
    std::env::var_os("HEADSTART_CASD")
        .map(PathBuf::from)
        .expect("HEADSTART_CASD must be the folder of buildbox-casd and buildbox-run")
}

/// A running daemon; ends with the test.
pub(crate) struct Daemon {
    pub(crate) folder: TempDir,
    command: Command,
    child: Child,
}

impl Daemon {
    /// Ours.
    pub(crate) fn ours() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_headstart"));
        command.arg("casd");
        Self::start(command, TempDir::new().unwrap(), &[])
    }

    /// The real one.
    pub(crate) fn real() -> Self {
        let mut command = Command::new(real().join("buildbox-casd"));
        // It looks for its FUSE program there.
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", real().display()));
        Self::start(command, TempDir::new().unwrap(), &[])
    }

    /// A daemon with a cache in `folder` and further arguments, on a socket there.
    pub(crate) fn start(mut command: Command, folder: TempDir, arguments: &[&str]) -> Self {
        let socket = folder.path().join("socket");
        command
            .arg(format!("--bind=unix:{}", socket.display()))
            .arg("--log-level=warning")
            .args(arguments);
        let cache = folder.path().join("cache");
        Self::start_as_told(command, folder, &cache)
    }

    /// A daemon that a command starts, with a cache where the command finds `cache`; its socket lies in
    /// `folder`.
    pub(crate) fn start_as_told(mut command: Command, folder: TempDir, cache: &Path) -> Self {
        let child = command.arg(cache).spawn().unwrap();
        let daemon = Self {
            folder,
            command,
            child,
        };
        daemon.wait(None);
        daemon
    }

    /// Ours in `folder`, with a variable that all it starts inherit.
    pub(crate) fn start_marked(
        folder: TempDir,
        arguments: &[&str],
        (name, value): (&str, PathBuf),
    ) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_headstart"));
        command.arg("casd").env(name, value);
        Self::start(command, folder, arguments)
    }

    /// Starts it again as it was, when it has ended.
    pub(crate) fn start_again(&mut self) {
        let ended = self.process_id();
        self.child = self.command.spawn().unwrap();
        self.wait(Some(ended));
    }

    /// Waits until it takes connections. They may be taken still at the socket of one that has ended: a process that
    /// it forked has that too until it becomes another program.
    fn wait(&self, ended: Option<u32>) {
        let socket = self.folder.path().join("socket");
        let start = Instant::now();
        let listens = |stream: UnixStream| {
            let listener = rustix::net::sockopt::socket_peercred(stream).unwrap().pid;
            ended != Some(listener.as_raw_nonzero().get().cast_unsigned())
        };
        while !UnixStream::connect(&socket).is_ok_and(listens) {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "the daemon does not start"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it with no chance to do anything about it.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Where build tools find it.
    pub(crate) fn address(&self) -> String {
        format!("unix:{}", self.folder.path().join("socket").display())
    }

    pub(crate) async fn connect(&self) -> Channel {
        let endpoint = Endpoint::from_shared(self.address()).unwrap();
        endpoint.connect().await.unwrap()
    }

    /// A file beside the cache, made with all folders above it.
    pub(crate) fn write(&self, path: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    /// Where its store keeps an object.
    pub(crate) fn object(&self, hash: &str) -> PathBuf {
        object_in(&self.cache(), hash)
    }

    /// Whether an object is in its store.
    pub(crate) fn has(&self, hash: &str) -> bool {
        self.object(hash).exists()
    }

    /// Ends it as build tools do, and gives its exit code.
    pub(crate) fn end(&mut self) -> Option<i32> {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How much memory a process has resident, in KiB.
pub(crate) fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(Path::new("/proc").join(process.to_string()).join("status"));
    let status = status.unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
