//! BuildStream's own tests, from its source distribution, with this program first in PATH under the names of
//! buildbox-casd and buildbox-run.
//!
//! Those that want to download a root file system to run commands in are skipped by BuildStream itself, unless
//! its option for that is given. What fails without being known to, or no longer fails, is an error.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::peers::{make_environment, pip};
use crate::{cargo, run, target};

const RELEASE: &str = "2.8.1";

/// What the tests need, besides BuildStream.
const PACKAGES: [&str; 8] = [
    "buildstream-plugins==2.8.0",
    "pexpect==4.9.0",
    "pyftpdlib==2.2.0",
    "pytest==9.0.3",
    "pytest-datafiles==3.0.1",
    "pytest-env==1.6.0",
    "pytest-timeout==2.4.0",
    "pytest-xdist==3.8.0",
];

/// The tests that fail: a line for each, with the reason in a comment above.
const KNOWN: &str = include_str!("bst_tests/known.txt");

/// Runs all tests, or those that are named as pytest names them.
pub(crate) fn run_all(root: &Path, named: &[String]) -> Result<(), String> {
    let root = root
        .canonicalize()
        .map_err(|error| format!("{}: {error}", root.display()))?;
    let home = root.join("target/bst-tests");
    fs::create_dir_all(&home).map_err(|error| format!("{}: {error}", home.display()))?;
    run(cargo(
        &root,
        &["build", "--release", "--package", "headstart"],
    ))?;
    let links = link(&home, &target(&root).join("release/headstart"))?;
    let tests = obtain(&home)?;
    let failed = pytest(&home, &tests, &links, named)?;
    judge(&failed, named.is_empty())
}

/// A folder with the program under both names.
fn link(home: &Path, program: &Path) -> Result<PathBuf, String> {
    let links = home.join("links");
    let _ = fs::remove_dir_all(&links);
    let failed = |error: std::io::Error| format!("{}: {error}", links.display());
    fs::create_dir_all(&links).map_err(failed)?;
    for name in ["buildbox-casd", "buildbox-run"] {
        symlink(program, links.join(name)).map_err(failed)?;
    }
    Ok(links)
}

/// Installs BuildStream and what its tests need, and unpacks them.
fn obtain(home: &Path) -> Result<PathBuf, String> {
    let tests = home.join(format!("buildstream-{RELEASE}"));
    let complete = home.join(format!("obtained-{RELEASE}"));
    if complete.exists() {
        return Ok(tests);
    }
    let venv = home.join("venv");
    let release = format!("BuildStream=={RELEASE}");
    make_environment(&venv, &[&[&*release], &PACKAGES[..]].concat())?;
    let mut download = pip(&venv);
    download
        .args([
            "download",
            "--no-deps",
            "--no-binary",
            "BuildStream",
            "--dest",
        ])
        .arg(home)
        .arg(&release);
    run(download)?;
    let mut unpack = Command::new("tar");
    unpack.arg("--extract").arg("--gzip").arg("--file");
    unpack.arg(home.join(format!("buildstream-{RELEASE}.tar.gz")));
    unpack.arg("--directory").arg(home);
    run(unpack)?;
    let mut sample = pip(&venv);
    sample
        .arg("install")
        .arg(tests.join("tests/plugins/sample-plugins"));
    run(sample)?;
    fs::write(&complete, "").map_err(|error| format!("{}: {error}", complete.display()))?;
    Ok(tests)
}

/// Runs the tests; gives those that failed.
fn pytest(
    home: &Path,
    tests: &Path,
    links: &Path,
    named: &[String],
) -> Result<BTreeSet<String>, String> {
    let venv = home.join("venv/bin");
    let path = env::var("PATH").unwrap_or_default();
    let mut pytest = Command::new(venv.join("python"));
    pytest
        .current_dir(tests)
        .env(
            "PATH",
            format!("{}:{}:{path}", links.display(), venv.display()),
        )
        .env("HOME", home.join("home"))
        // Options of their own configuration are replaced, the rest of it holds.
        .args([
            "-m",
            "pytest",
            "--override-ini=addopts=",
            "--quiet",
            "--no-header",
        ])
        .args(["-rfE", "--numprocesses=auto", "--timeout=300", "--basetemp"])
        .arg(home.join("tmp"))
        .args(if named.is_empty() { &[][..] } else { named })
        .stdout(Stdio::piped());
    eprintln!("+ pytest {}", named.join(" "));
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
        // All passed; some failed.
        Some(0 | 1) => Ok(found),
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

/// The known failures, with the reasons.
fn known() -> BTreeMap<&'static str, String> {
    let mut reason = String::new();
    let mut after_test = false;
    let mut known = BTreeMap::new();
    for line in KNOWN.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line.strip_prefix('#') {
            Some(text) => {
                if std::mem::take(&mut after_test) {
                    reason.clear();
                }
                reason += text;
            }
            None => {
                after_test = true;
                known.insert(line, reason.trim().to_owned());
            }
        }
    }
    known
}

/// Whether what failed is what is known to. If only some were run, the rest says nothing.
fn judge(failed: &BTreeSet<String>, all: bool) -> Result<(), String> {
    let known = known();
    let mut wrong = Vec::new();
    for test in failed {
        match known.get(test.as_str()) {
            Some(reason) => println!("known to fail: {test}: {reason}"),
            None => wrong.push(format!("{test} failed")),
        }
    }
    if all {
        let passed = known.keys().filter(|test| !failed.contains(**test));
        wrong.extend(passed.map(|test| format!("{test} is known to fail, and did not")));
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n"))
    }
}
