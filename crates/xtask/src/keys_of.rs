//! Whether elements of a project have the same keys as in BuildStream, which is installed for that.
//!
//! The strict key is a hash of the weak one and of all that is built with, so that these are compared too. What
//! a project needs from a network that is not there can be stubbed: a copy of the project is given projects of
//! our own in place of those that it joins ([`stub`]).

mod stub;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::peers::{self, Peers, source_distribution};
use crate::{cargo, run, target};

/// Differences that are listed.
const LISTED: usize = 20;

/// What is asked of both programs.
const SHOW: [&str; 5] = ["show", "--deps", "all", "--format", "%{name} %{full-key}"];

/// Compares the keys of elements of a project and of all that they depend on. `arguments` are the project's
/// directory, `--stub`, and elements: without any the project's default ones. Without a project it is the one
/// that BuildStream tests its own keys with.
pub(crate) fn compare(root: &Path, arguments: &[String]) -> Result<(), String> {
    let (options, arguments): (Vec<_>, Vec<_>) =
        arguments.iter().partition(|it| it.starts_with("--"));
    let stubbed = match &options[..] {
        [] => false,
        [option] if *option == "--stub" => true,
        _ => return Err(format!("unexpected options: {options:?}")),
    };
    run(cargo(
        root,
        &["build", "--release", "--package", "headstart"],
    ))?;
    let [project, elements @ ..] = &arguments[..] else {
        return compare_own_project(root);
    };
    let mut both = Both::new(root)?;
    both.project = real(Path::new(project))?;
    if stubbed {
        stub::stub(&mut both)?;
    }
    let elements: Vec<&str> = elements.iter().map(|it| it.as_str()).collect();
    both.compare(&elements)
}

/// Compares the keys of the project that BuildStream tests its own keys with, by the program that is built.
pub(crate) fn compare_own_project(root: &Path) -> Result<(), String> {
    let mut both = Both::new(root)?;
    both.project = real(&both.own_project()?)?;
    both.compare(&[])
}

fn real(path: &Path) -> Result<PathBuf, String> {
    path.canonicalize()
        .map_err(|error| format!("{}: {error}", path.display()))
}

/// Both programs, each with a cache of its own.
struct Both {
    project: PathBuf,
    home: PathBuf,
    headstart: PathBuf,
    peers: Peers,
}

impl Both {
    fn new(root: &Path) -> Result<Self, String> {
        let root = &real(root)?;
        let home = root.join("target/keys-of");
        let failed = |error: std::io::Error| format!("{}: {error}", home.display());
        fs::create_dir_all(&home).map_err(failed)?;
        let conf = format!("cachedir: {}/theirs\n", home.display());
        fs::write(home.join("bst.conf"), conf).map_err(failed)?;
        Ok(Self {
            project: PathBuf::new(),
            headstart: target(root).join("release/headstart"),
            peers: peers::install(root)?,
            home,
        })
    }

    /// The project that BuildStream tests its own keys with.
    fn own_project(&self) -> Result<PathBuf, String> {
        let bin = self.peers.bst.parent();
        let environment = bin
            .and_then(Path::parent)
            .ok_or("there is no environment")?;
        let unpacked = source_distribution(environment, &self.home)?;
        Ok(unpacked.join("tests/cachekey/project"))
    }

    /// This program in the project.
    fn headstart(&self) -> Command {
        let mut command = Command::new(&self.headstart);
        command
            .env("HEADSTART_PYTHON", self.peers.bst.with_file_name("python"))
            .env("XDG_CONFIG_HOME", &self.home)
            .arg("--cache-dir")
            .arg(self.home.join("ours"))
            .arg("--directory")
            .arg(&self.project);
        command
    }

    fn buildstream(&self) -> Command {
        let mut command = Command::new(&self.peers.bst);
        command
            .env("XDG_CACHE_HOME", self.home.join("theirs"))
            .args(["--no-interactive", "--config"])
            .arg(self.home.join("bst.conf"))
            .arg("--directory")
            .arg(&self.project);
        command
    }

    fn compare(&self, elements: &[&str]) -> Result<(), String> {
        let ours = keys(self.headstart().args(SHOW).args(elements))?;
        let theirs = keys(self.buildstream().args(SHOW).args(elements))?;
        let names = ours.keys().chain(theirs.keys());
        let mut differing: Vec<_> = names
            .filter(|name| ours.get(*name) != theirs.get(*name))
            .collect();
        differing.sort();
        differing.dedup();
        let known = ours.values().filter(|key| !key.contains('?')).count();
        println!(
            "{} elements, {known} of them with keys; {} differ",
            ours.len(),
            differing.len()
        );
        if differing.is_empty() {
            return Ok(());
        }
        let key = |of: &BTreeMap<String, String>, name: &str| {
            of.get(name).map_or("none", String::as_str).to_owned()
        };
        for name in differing.iter().take(LISTED) {
            println!(
                "{name}: {}, BuildStream {}",
                key(&ours, name),
                key(&theirs, name)
            );
        }
        Err("keys differ".to_owned())
    }
}

/// The keys of elements by their names, as a command shows them.
fn keys(command: &mut Command) -> Result<BTreeMap<String, String>, String> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{command:?}: {}: {said}", output.status));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let pairs = text.lines().filter_map(|line| line.rsplit_once(' '));
    Ok(pairs
        .map(|(name, key)| (name.to_owned(), key.to_owned()))
        .collect())
}
