//! Where sources come from: servers of files and of Git repositories on this machine, which end
//! with the value.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::buildstream::python;

/// Files behind `http://` and repositories behind `git://`.
pub(crate) struct Upstream {
    folder: TempDir,
    files: Server,
    repositories: Server,
}

struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Upstream {
    pub(crate) fn start() -> Self {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let config = "[user]\nname = Tester\nemail = tester@example.org\n";
        fs::write(folder.path().join("gitconfig"), config).unwrap();
        let files = Server::start(|port| {
            let mut command = Command::new(python());
            command
                .args(["-m", "http.server", "--bind", "127.0.0.1", "--directory"])
                .arg(folder.path())
                .arg(port.to_string());
            command
        });
        let exec_path = Command::new("git").arg("--exec-path").output().unwrap();
        let exec_path = String::from_utf8(exec_path.stdout).unwrap();
        let repositories = Server::start(|port| {
            let mut command = Command::new(Path::new(exec_path.trim()).join("git-daemon"));
            command
                .args(["--export-all", "--reuseaddr", "--listen=127.0.0.1"])
                .arg(format!("--port={port}"))
                .arg(format!("--base-path={}", folder.path().display()))
                .arg(folder.path());
            command
        });
        Self {
            folder,
            files,
            repositories,
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What addresses of files begin with.
    pub(crate) fn files_url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.files.port)
    }

    /// What addresses of repositories begin with.
    pub(crate) fn git_url(&self) -> String {
        format!("git://127.0.0.1:{}/", self.repositories.port)
    }

    /// Stops serving, as if there were no network.
    pub(crate) fn disconnect(&mut self) {
        for server in [&mut self.files, &mut self.repositories] {
            server.child.kill().unwrap();
            server.child.wait().unwrap();
        }
    }

    pub(crate) fn repository(&self, name: &str) -> Repository<'_> {
        let repository = Repository {
            upstream: self,
            path: self.folder.path().join(name),
        };
        if !repository.path.is_dir() {
            fs::create_dir(&repository.path).unwrap();
            repository.git(&["init", "--quiet", "--initial-branch=main"]);
        }
        repository
    }
}

impl Server {
    /// Starts a server on a port that was free a moment ago, again if somebody else was faster.
    fn start(command: impl Fn(u16) -> Command) -> Self {
        for _ in 0..10 {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = free.local_addr().unwrap().port();
            drop(free);
            let mut command = command(port);
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            let mut server = Self {
                child: command.spawn().unwrap(),
                port,
            };
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(20) {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return server;
                }
                if server.child.try_wait().unwrap().is_some() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        panic!("no server could be started");
    }
}

/// A repository with a working tree.
pub(crate) struct Repository<'a> {
    upstream: &'a Upstream,
    path: PathBuf,
}

impl Repository<'_> {
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let date = "2020-01-01T00:00:00Z";
        let output = Command::new("git")
            .env(
                "GIT_CONFIG_GLOBAL",
                self.upstream.folder().join("gitconfig"),
            )
            .env("GIT_AUTHOR_DATE", date)
            .env("GIT_COMMITTER_DATE", date)
            .args(["-c", "protocol.file.allow=always"])
            .args(arguments)
            .current_dir(&self.path)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(crate) fn write(&self, path: &str, text: &str) -> &Self {
        let path = self.path.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// Commits all that is there; gives the commit.
    pub(crate) fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
        self.git(&["rev-parse", "HEAD"])
    }
}
