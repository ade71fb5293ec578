//! A project with a cache and a home of its own, and the program run in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use super::buildstream::BuildStream;
use super::compiler::{Compiler, copy_links};
use super::objects::object_in;
use super::report::Report;
use super::warm::output;

/// Options by which compilers are called directly.
pub(crate) const WITHOUT_RECC: [&str; 3] = ["--option", "recc", "off"];

/// A project in a folder of its own; all is removed with it.
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    /// A project with a compiler, cached already, and `files`: each begins with a line
    /// `== PATH`.
    pub(crate) fn new(files: &str) -> Self {
        let compiler = Compiler::shared();
        let place = Self::empty();
        copy_links(&compiler.cache, &place.cache());
        copy_links(&compiler.project, &place.project());
        place.write_all(files);
        place
    }

    /// A project with `files` and nothing else.
    pub(crate) fn bare(files: &str) -> Self {
        let place = Self::empty();
        place.write_all(files);
        place
    }

    fn empty() -> Self {
        // On the file system of the compiler, for links.
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let place = Self { folder };
        // Others may use this machine too, and are no concern of these tests.
        place.configure("speculation: {pause-above: 100}");
        place
    }

    /// Writes the user's `headstart.conf`.
    pub(crate) fn configure(&self, text: &str) {
        let folder = self.home().join(".config");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("headstart.conf"), text).unwrap();
    }

    fn write_all(&self, files: &str) {
        for file in files.split("== ").skip(1) {
            let (path, text) = file.split_once('\n').unwrap();
            self.write(path, text);
        }
    }

    pub(crate) fn project(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// Writes a file of the project.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.project().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // It may be a link to what others have.
        let _ = fs::remove_file(&path);
        fs::write(path, content).unwrap();
    }

    /// Replaces a text in a file of the project.
    pub(crate) fn edit(&self, path: &str, before: &str, after: &str) {
        let text = fs::read_to_string(self.project().join(path)).unwrap();
        assert!(text.contains(before), "{path} has no {before:?}");
        self.write(path, text.replace(before, after));
    }

    /// The program, to be given a command.
    pub(crate) fn headstart(&self) -> Command {
        headstart(&self.project(), &self.cache(), &self.home())
    }

    /// What the program prints, which must succeed.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let output = self.headstart().args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The real BuildStream, with a cache of its own, to be given a command.
    pub(crate) fn bst(&self) -> Command {
        BuildStream::beside(self, "cache-of-buildstream").command()
    }

    /// Copies a folder with all that is in it into the project.
    pub(crate) fn copy(&self, from: &Path, to: &str) {
        let to = self.project().join(to);
        finish(Command::new("cp").arg("-r").arg(from).arg(to));
    }

    /// Where the store keeps an object.
    pub(crate) fn object(&self, hash: &str) -> PathBuf {
        object_in(&self.cache(), hash)
    }

    /// Builds `element`, which must fail.
    pub(crate) fn build_fails(&self, element: &str, mode: &str) -> Report {
        let (output, report) = self.try_build(element, mode);
        assert_eq!(output.status.code(), Some(255), "{}", said(&output));
        report.unwrap().sound()
    }

    /// Builds `element`, whatever comes of it.
    pub(crate) fn try_build(&self, element: &str, mode: &str) -> (Output, Option<Report>) {
        let file = self.folder.path().join("report.json");
        let _ = fs::remove_file(&file);
        let mut command = self.headstart();
        command.args(["build", "--audit", "--speculation", mode, "--json"]);
        let output = command.arg(&file).arg(element).output().unwrap();
        (output, Report::read(&file))
    }

    /// Builds `element`.
    pub(crate) fn build(&self, element: &str, mode: &str) -> Report {
        let (output, report) = self.try_build(element, mode);
        assert!(output.status.success(), "{}", said(&output));
        report.unwrap().sound()
    }

    /// What is said of a session, as text.
    pub(crate) fn explain_text(&self, arguments: &[&str]) -> String {
        let mut explain = self.headstart();
        let output = explain.arg("explain").args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What is said of a session, as data.
    pub(crate) fn explain(&self, arguments: &[&str]) -> Value {
        let arguments = [arguments, &["--format", "json"]].concat();
        serde_json::from_str(&self.explain_text(&arguments)).unwrap()
    }

    /// A file of an element's artifact.
    pub(crate) fn file(&self, element: &str, path: &str) -> Vec<u8> {
        let out = TempDir::new_in(self.folder.path()).unwrap();
        let mut checkout = self.headstart();
        let checkout_of_one = ["artifact", "checkout", "--no-integrate", "--deps", "none"];
        checkout.args(checkout_of_one).arg("--directory");
        finish(checkout.arg(out.path()).arg(element));
        fs::read(out.path().join(path)).unwrap()
    }

    /// Builds `element` as [`Self::build`] does, after the same with nothing foreseen from the same
    /// cache; the artifacts of both must be the same.
    pub(crate) fn build_compared(&self, element: &str, mode: &str) -> Report {
        let before = self.folder.path().join("cache-before");
        copy_links(&self.cache(), &before);
        let without = self.build(element, "none");
        fs::remove_dir_all(self.cache()).unwrap();
        fs::rename(before, self.cache()).unwrap();
        let with = self.build(element, mode);
        assert_eq!(with.artifacts(), without.artifacts());
        with
    }
}

/// The program in a project, with nothing of the environment but where programs are.
pub(crate) fn headstart(project: &Path, cache: &Path, home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headstart"));
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", home)
        .env("GIT_CONFIG_GLOBAL", home.join("gitconfig"))
        .env("XDG_CACHE_HOME", home.join(".cache"))
        .current_dir(project)
        .arg("--cache-dir")
        .arg(cache);
    command
}

/// Runs a command that must succeed.
pub(crate) fn finish(command: &mut Command) {
    let output = output(command);
    assert!(output.status.success(), "{command:?}: {}", said(&output));
}

/// All that a command said.
pub(crate) fn said(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
