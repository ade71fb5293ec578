//! BuildStream's own tests, from its source distribution, with this program first in PATH under the names of
//! buildbox-casd and buildbox-run.
//!
//! They are run three times, as BuildStream's options ask for it: those that need nothing else, those that need
//! a server for artifacts, and those that execute elsewhere. Server and farm are this program too. What fails
//! without being known to, or no longer fails, is an error.

mod farm;
mod premises;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::{cargo, run, target};
use farm::Farm;
use premises::Premises;

/// What is run: the name, BuildStream's options for it, and those that are chosen of all tests.
const SUITES: [(&str, &[&str]); 3] = [
    ("tests on this machine", &["--integration"]),
    (
        "tests with a server",
        &["--integration", "--remote-cache", "-m", "remotecache"],
    ),
    (
        "tests with a farm",
        &[
            "--integration",
            "--remote-execution",
            "-m",
            "remoteexecution",
        ],
    ),
];

/// The tests that fail: a line for each, with the reason in a comment above.
const KNOWN: &str = include_str!("bst_tests/known.txt");

/// Runs all tests, or those that are named as pytest names them.
pub(crate) fn run_all(root: &Path, named: &[String]) -> Result<(), String> {
    let root = root
        .canonicalize()
        .map_err(|error| format!("{}: {error}", root.display()))?;
    run(cargo(
        &root,
        &["build", "--release", "--package", "headstart"],
    ))?;
    let program = target(&root).join("release/headstart");
    let premises = Premises::prepare(&root.join("target/bst-tests"), &program)?;
    let farm = Farm::start(&program, &premises.home.join("farm"))?;
    let mut failed = BTreeSet::new();
    for (name, options) in SUITES {
        println!("{name}:");
        failed.extend(pytest(&premises, &farm, options, named)?);
    }
    judge(&failed, named.is_empty())
}

/// Runs a suite; gives the tests that failed.
fn pytest(
    premises: &Premises,
    farm: &Farm,
    options: &[&str],
    named: &[String],
) -> Result<BTreeSet<String>, String> {
    let mut pytest = Command::new(premises.python());
    pytest
        .current_dir(&premises.tests)
        .env("PATH", premises.path(&env::var("PATH").unwrap_or_default()))
        .env("HOME", premises.home.join("home"))
        .env("INTEGRATION_CACHE", premises.home.join("cache"))
        .env("ARTIFACT_CACHE_SERVICE", farm.url())
        .env("REMOTE_EXECUTION_SERVICE", farm.url())
        // Options of their own configuration are replaced, the rest of it holds.
        .args(["-m", "pytest", "--override-ini=addopts="])
        .args(["--quiet", "--no-header", "-rfEs"])
        .args(["--numprocesses=auto", "--timeout=600", "--basetemp"])
        .arg(premises.home.join("tmp"))
        .args(options)
        .args(named)
        .stdout(Stdio::piped());
    eprintln!("+ pytest {} {}", options.join(" "), named.join(" "));
    let failed = |error: std::io::Error| format!("pytest: {error}");
    let mut child = pytest.spawn().map_err(failed)?;
    let mut found = BTreeSet::new();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line.map_err(failed)?;
            found.extend(failure(&line).map(str::to_owned));
            println!("{line}");
        }
    }
    match child.wait().map_err(failed)?.code() {
        // All passed; some failed; none of those that are named is among these.
        Some(0 | 1) => Ok(found),
        Some(5) if !named.is_empty() => Ok(found),
        other => Err(format!("pytest could not run the tests: {other:?}")),
    }
}

/// The test that a line of the summary says has failed.
fn failure(line: &str) -> Option<&str> {
    let test = line
        .strip_prefix("FAILED ")
        .or_else(|| line.strip_prefix("ERROR "))?;
    Some(test.split(" - ").next().unwrap_or(test))
}

/// A test that is known to fail.
struct Known {
    reason: String,
    /// Whether it does so on each machine.
    everywhere: bool,
}

/// The known failures.
fn known() -> BTreeMap<&'static str, Known> {
    let mut reason = String::new();
    let mut after_test = false;
    let mut known = BTreeMap::new();
    for line in KNOWN.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(text) = line.strip_prefix('#') {
            if std::mem::take(&mut after_test) {
                reason.clear();
            }
            reason += text;
            continue;
        }
        after_test = true;
        let (test, everywhere) = match line.strip_prefix("? ") {
            Some(test) => (test, false),
            None => (line, true),
        };
        let reason = reason.trim().to_owned();
        known.insert(test, Known { reason, everywhere });
    }
    known
}

/// Whether what failed is what is known to. If only some were run, the rest says nothing.
fn judge(failed: &BTreeSet<String>, all: bool) -> Result<(), String> {
    let known = known();
    let mut wrong = Vec::new();
    for test in failed {
        match known.get(test.as_str()) {
            Some(Known { reason, .. }) => println!("known to fail: {test}: {reason}"),
            None => wrong.push(format!("{test} failed")),
        }
    }
    if all {
        let passed = known
            .iter()
            .filter(|(test, known)| known.everywhere && !failed.contains(**test));
        wrong.extend(passed.map(|(test, _)| format!("{test} is known to fail, and did not")));
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n"))
    }
}
