//! A daemon on a port of this machine, as a server of artifacts, sources and actions.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::objects::object_in;

/// A running server; ends with the value.
pub(crate) struct Server {
    _folder: TempDir,
    cache: PathBuf,
    child: Option<Child>,
    port: u16,
    program: PathBuf,
    arguments: Vec<String>,
}

impl Server {
    /// Ours.
    pub(crate) fn ours() -> Self {
        Self::start(env!("CARGO_BIN_EXE_headstart").into(), &["casd"], None)
    }

    /// Ours, on a cache that is there.
    pub(crate) fn ours_on(cache: PathBuf) -> Self {
        let program = env!("CARGO_BIN_EXE_headstart").into();
        Self::start(program, &["casd"], Some(cache))
    }

    /// Ours, with further arguments.
    pub(crate) fn ours_with(arguments: &[String]) -> Self {
        let arguments = arguments.iter().map(String::as_str);
        let all: Vec<_> = ["casd"].into_iter().chain(arguments).collect();
        Self::start(env!("CARGO_BIN_EXE_headstart").into(), &all, None)
    }

    /// The real buildbox-casd.
    pub(crate) fn real() -> Self {
        let folder = std::env::var_os("HEADSTART_CASD")
            .expect("HEADSTART_CASD must be the folder of buildbox-casd and buildbox-run");
        Self::start(PathBuf::from(folder).join("buildbox-casd"), &[], None)
    }

    fn start(program: PathBuf, arguments: &[&str], cache: Option<PathBuf>) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut server = Self {
            cache: cache.unwrap_or_else(|| folder.path().join("cache")),
            _folder: folder,
            child: None,
            port: free.local_addr().unwrap().port(),
            program,
            arguments: arguments.iter().map(|&it| it.to_owned()).collect(),
        };
        drop(free);
        server.run();
        server
    }

    /// Starts it, again if it was stopped.
    pub(crate) fn run(&mut self) {
        let mut command = Command::new(&self.program);
        // The real one looks for its FUSE program there.
        let folder = self.program.parent().unwrap().display().to_string();
        let path = std::env::var("PATH").unwrap();
        let child = command
            .env("PATH", format!("{folder}:{path}"))
            .args(&self.arguments)
            .arg(format!("--bind=127.0.0.1:{}", self.port))
            .arg("--log-level=warning")
            .arg(self.cache())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let waited = start.elapsed();
            assert!(
                waited < Duration::from_secs(30),
                "the server does not start"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it at once.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Its address, as configurations have it.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A configuration by which artifacts and sources come from it and go to it.
    pub(crate) fn as_caches(&self) -> String {
        format!(
            "artifacts:\n  servers:\n  - url: {0}\n    push: true\n\
             source-caches:\n  servers:\n  - url: {0}\n    push: true\n",
            self.url()
        )
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.cache.clone()
    }

    /// The file of an object in its store.
    pub(crate) fn object(&self, hash: &str) -> PathBuf {
        object_in(&self.cache(), hash)
    }

    /// Replaces the content of an object in its store.
    pub(crate) fn damage(&self, hash: &str, content: &[u8]) {
        let path = self.object(hash);
        assert!(path.is_file(), "{hash} is not on the server");
        fs::remove_file(&path).unwrap();
        fs::write(path, content).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}
