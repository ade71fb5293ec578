//! Git repositories: run by the machine's `git`, with whatever the user has set up for it.
//!
//! What a repository or a project says never becomes an option of `git`: commits are resolved to
//! hashes first, addresses stand behind `--`. No hook of a repository or a template is run.

mod checkout;
mod clone;
mod history;
mod mirror;
mod module;
mod objects;
mod repo;
mod shallow;
mod submodules;
mod track;

use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

pub(crate) use clone::{fetch_clone, stage_clone};
pub(crate) use mirror::{fetch_mirror, stage_mirror};
pub(crate) use module::track_module;
pub(crate) use repo::{
    fetch_commit, fetch_described, fetch_repo, files_of, stage_commit, stage_repo,
};
pub(crate) use track::{describe, full_commit, newest_ref, track_git, track_repo, track_tag};

use crate::error::SourceError;

/// One run of `git`.
pub(crate) struct Git(Command);

impl Git {
    /// `git`, to be given a command.
    pub(crate) fn new() -> Self {
        let mut command = Command::new("git");
        // Of another repository, if we are called from within one.
        for variable in [
            "GIT_DIR",
            "GIT_WORK_TREE",
            "GIT_INDEX_FILE",
            "GIT_OBJECT_DIRECTORY",
            "GIT_ALTERNATE_OBJECT_DIRECTORIES",
            "GIT_NAMESPACE",
            "GIT_COMMON_DIR",
        ] {
            command.env_remove(variable);
        }
        command
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C")
            .args(["-c", "core.hooksPath=/dev/null"])
            .args(["-c", "gc.auto=0", "-c", "maintenance.auto=false"])
            .args(["-c", "advice.detachedHead=false"]);
        Self(command)
    }

    /// `git` in a bare repository.
    pub(crate) fn of(repository: &Path) -> Self {
        let mut git = Self::new();
        git.0.arg("--git-dir").arg(repository);
        git
    }

    /// `git` in a folder with a repository.
    pub(crate) fn within(folder: &Path) -> Self {
        let mut git = Self::new();
        git.0.arg("-C").arg(folder);
        git
    }

    /// Without what the user or the machine has set up, where only the repository is to count.
    pub(crate) fn isolated(mut self) -> Self {
        self.0
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_ATTR_NOSYSTEM", "1");
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.0.args(arguments);
        self
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.0.arg(argument);
        self
    }

    /// Runs it, whatever comes of it.
    pub(crate) fn output(mut self) -> Result<Output, SourceError> {
        self.0.stdin(Stdio::null()).output().map_err(cannot_run)
    }

    /// Runs it with a text to read.
    pub(crate) fn output_of(mut self, input: &[u8]) -> Result<Output, SourceError> {
        let mut child = self
            .0
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(cannot_run)?;
        let mut stdin = child.stdin.take();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                // It may end before it has read all.
                let _ = stdin.as_mut().map(|stdin| stdin.write_all(input));
            });
            child.wait_with_output().map_err(cannot_run)
        })
    }

    /// What it prints, or none if it fails.
    pub(crate) fn ask(self) -> Result<Option<String>, SourceError> {
        let output = self.output()?;
        Ok(output.status.success().then(|| {
            String::from_utf8_lossy(&output.stdout)
                .trim_end()
                .to_owned()
        }))
    }

    /// What it prints; that it fails is an error, which begins with `doing`.
    pub(crate) fn run(self, doing: &str) -> Result<String, SourceError> {
        let output = self.output()?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(failed(doing, &output))
    }
}

fn cannot_run(error: io::Error) -> SourceError {
    match error.kind() {
        io::ErrorKind::NotFound => SourceError::NoProgram {
            program: "git",
            purpose: "fetch sources from Git repositories",
        },
        _ => SourceError::io(Path::new("git"), error),
    }
}

/// The error of a command that failed.
pub(crate) fn failed(doing: &str, output: &Output) -> SourceError {
    SourceError::Tool {
        doing: doing.to_owned(),
        said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    }
}

/// The commit that a name stands for in a repository, if it is there.
pub(crate) fn resolve(repository: &Path, name: &str) -> Result<Option<String>, SourceError> {
    Git::of(repository)
        .args(["rev-parse", "--verify", "--quiet", "--end-of-options"])
        .arg(format!("{name}^{{commit}}"))
        .ask()
}

/// As [`resolve`]; that it is not there is an error.
pub(crate) fn require(repository: &Path, name: &str, url: &str) -> Result<String, SourceError> {
    resolve(repository, name)?.ok_or_else(|| SourceError::NoCommit {
        name: name.to_owned(),
        url: url.to_owned(),
    })
}
