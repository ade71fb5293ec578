//! The real BuildStream, to compare with.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

/// BuildStream with a cache and configuration of its own.
pub(crate) struct Peer {
    bst: PathBuf,
    pub(crate) home: TempDir,
}

impl Peer {
    /// Panics with what to do if there is no BuildStream: a test without it would prove nothing.
    pub(crate) fn new() -> Self {
        let bst = std::env::var_os("HEADSTART_BST").expect(
            "HEADSTART_BST must be the path of a `bst` of BuildStream 2.8.1 with its two packages of \
             plugins in its virtual environment (`cargo xtask test` installs one)",
        );
        let home = TempDir::new().unwrap();
        let config = format!(
            "cachedir: {}/cache\nbuild:\n  max-jobs: 3\n",
            home.path().display()
        );
        fs::write(home.path().join("bst.conf"), config).unwrap();
        // BuildStream wants to see the tools of all kinds, even if it has no use for them.
        let tools = home.path().join("tools");
        fs::create_dir(&tools).unwrap();
        for tool in ["bzr", "ostree"] {
            fs::write(tools.join(tool), "#!/bin/sh\nexit 1\n").unwrap();
            let executable = fs::Permissions::from_mode(0o755);
            fs::set_permissions(tools.join(tool), executable).unwrap();
        }
        Self {
            bst: bst.into(),
            home,
        }
    }

    /// Every text that `bst show` hashes in a project, with its key.
    pub(crate) fn trace(&self, project: &Path, arguments: &[&str]) -> Vec<(String, String)> {
        let output = self.home.path().join("trace");
        let mut command = self.python("trace.py");
        command.arg(&output).arg("--no-interactive").arg("-c");
        command.arg(self.home.path().join("bst.conf"));
        command.args(arguments).current_dir(project);
        run(command);
        let lines = fs::read_to_string(output).unwrap();
        let parse = |line| serde_json::from_str(line).unwrap();
        lines.lines().map(parse).collect()
    }

    fn path(&self) -> String {
        let tools = self.home.path().join("tools");
        format!("{}:{}", std::env::var("PATH").unwrap(), tools.display())
    }

    /// `bst` as its users run it.
    pub(crate) fn bst(&self, project: &Path, arguments: &[&str]) -> String {
        let mut command = Command::new(&self.bst);
        command
            .env("PATH", self.path())
            .env("XDG_CACHE_HOME", self.home.path())
            .arg("--no-interactive")
            .arg("-c");
        command.arg(self.home.path().join("bst.conf"));
        command.args(arguments).current_dir(project);
        run(command)
    }

    /// The contents of YAML files as BuildStream reads them.
    pub(crate) fn read(&self, files: &[PathBuf]) -> Value {
        let mut command = self.python("read.py");
        command.args(files);
        serde_json::from_str(&run(command)).unwrap()
    }

    /// What so many numbered files in a folder hold, each with its place, or null if it is refused.
    pub(crate) fn documents(&self, folder: &Path, count: usize) -> Value {
        let mut command = self.python("documents.py");
        command.arg(folder).arg(count.to_string());
        serde_json::from_str(&run(command)).unwrap()
    }

    /// What loading `a.bst` of each project fails by: domain and reason.
    pub(crate) fn reasons(&self, projects: &[PathBuf]) -> Value {
        let mut command = self.python("reasons.py");
        command
            .arg(self.home.path().join("bst.conf"))
            .args(projects);
        serde_json::from_str(&run(command)).unwrap()
    }

    fn python(&self, script: &str) -> Command {
        let mut command = Command::new(self.bst.with_file_name("python"));
        command.env("PATH", self.path());
        command.env("XDG_CACHE_HOME", self.home.path());
        command.arg(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/peer")
                .join(script),
        );
        command
    }
}

fn run(mut command: Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
