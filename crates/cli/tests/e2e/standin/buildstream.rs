//! Unmodified BuildStream with our executables first in PATH.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use headstart_reapi::{Message, reapi};
use tempfile::TempDir;

use super::daemon::links;
use crate::support::{CHAIN, Place, Server, VERSIONED, output, said};

/// BuildStream in a place, with our executables for it.
struct BuildStream<'a> {
    place: &'a Place,
    links: TempDir,
}

impl<'a> BuildStream<'a> {
    fn new(place: &'a Place) -> Self {
        Self::with(place, "")
    }

    /// The same with more in the user's configuration.
    fn with(place: &'a Place, more: &str) -> Self {
        let config = format!(
            "cachedir: {}\nscheduler:\n  builders: 2\n{more}",
            place.cache().display()
        );
        fs::write(place.home().join("buildstream.conf"), config).unwrap();
        Self {
            place,
            links: links(),
        }
    }

    /// The same with a daemon that foresees nothing.
    fn without_speculation(place: &'a Place) -> Self {
        let bst = Self::new(place);
        let program = env!("CARGO_BIN_EXE_headstart");
        bst.script(
            "buildbox-casd",
            &format!("exec {program} casd --speculation=false \"$@\""),
        );
        bst
    }

    /// Puts a script in place of one of our executables.
    fn script(&self, name: &str, text: &str) {
        let path = self.links.path().join(name);
        fs::remove_file(&path).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Has the results kept that the runner writes.
    fn keep_results(&self) -> Results {
        let folder = TempDir::new().unwrap();
        let kept = folder.path().display();
        let program = env!("CARGO_BIN_EXE_headstart");
        let script = format!(
            "{program} runner \"$@\"; code=$?\n\
             for word in \"$@\"; do case \"$word\" in\n\
             --action-result=*) cp \"${{word#*=}}\" {kept}/newest;;\n\
             esac; done; exit $code"
        );
        self.script("buildbox-run", &script);
        Results(folder)
    }

    /// All that the daemons said.
    fn daemon_log(&self) -> String {
        let folder = self.place.home().join(".cache/buildstream/logs/_casd");
        let logs = fs::read_dir(folder).unwrap().flatten();
        let texts = logs.map(|log| fs::read_to_string(log.path()).unwrap());
        texts.collect()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let bst = std::env::var_os("HEADSTART_BST").map(PathBuf::from);
        let bst = bst.expect("HEADSTART_BST must be the bst program of BuildStream 2.8");
        let path = std::env::var("PATH").unwrap();
        let path = format!(
            "{}:{}:{path}",
            self.links.path().display(),
            bst.parent().unwrap().display()
        );
        let mut command = Command::new(bst);
        command
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.place.home())
            .env("LC_ALL", "C.UTF-8")
            .current_dir(self.place.project())
            .args(["--no-interactive", "--config"])
            .arg(self.place.home().join("buildstream.conf"))
            .args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let output = output(&mut self.command(arguments));
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        output
    }

    /// What `show` prints of elements.
    fn show(&self, format: &str, element: &str) -> String {
        let output = self.run(&["show", "--format", format, element]);
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines()
            .filter(|line| !line.is_empty())
            .collect::<Vec<_>>()
            .join("\n")
    }
}

/// Results of parent actions.
struct Results(TempDir);

impl Results {
    fn newest(&self) -> reapi::ActionResult {
        let bytes = fs::read(self.0.path().join("newest")).unwrap();
        reapi::ActionResult::decode(&*bytes).unwrap()
    }
}

/// What our own `show` prints.
fn show(place: &Place, format: &str, element: &str) -> String {
    let output = place
        .headstart()
        .args(["show", "--format", format, element])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout)
        .unwrap()
        .trim_end()
        .to_owned()
}

#[test]
fn buildstream_builds_what_we_build() {
    let ours = Place::new(CHAIN);
    ours.build("app.bst", "none");
    let place = Place::new(CHAIN);
    let bst = BuildStream::new(&place);
    bst.run(&["build", "app.bst"]);
    let format = "%{name} %{full-key} %{state} %{artifact-cas-digest}";
    assert_eq!(bst.show(format, "app.bst"), show(&ours, format, "app.bst"));

    // Everything is there the second time, for both.
    let again = said(&bst.run(&["build", "app.bst"]));
    assert!(again.contains("Build Queue: processed 0"), "{again}");
    let out = place.home().join("out");
    let out = out.to_str().unwrap();
    bst.run(&[
        "artifact",
        "checkout",
        "--deps",
        "none",
        "--directory",
        out,
        "app.bst",
    ]);
    let program = fs::read(Path::new(out).join("usr/bin/app")).unwrap();
    assert_eq!(program, ours.file("app.bst", "usr/bin/app"));
}

/// An element that compiles twice, after a while of configuring.
const SLOW: &str = r"
== elements/slow.bst
kind: manual
build-depends:
- (@): include/gcc.yml
sources:
- kind: local
  path: files/slow
config:
  configure-commands:
  - sleep 4
  build-commands:
  - gcc -I. -c one.c -o one.o
  - gcc -I. -c two.c -o two.o
  install-commands:
  - install -D one.o %{install-root}/one.o
  - install -D two.o %{install-root}/two.o
== files/slow/value.h
#define VALUE 1
== files/slow/one.c
#include <value.h>
int one(void) { return VALUE; }
== files/slow/two.c
#include <value.h>
int two(void) { return 2 * VALUE; }
";

#[test]
fn buildstream_gains_from_what_the_daemon_foresees() {
    let place = Place::new(SLOW);
    let bst = BuildStream::new(&place);
    let results = bst.keep_results();
    bst.run(&["build", "slow.bst"]);
    let first = results.newest();
    assert_eq!(first.subactions.len(), 2, "{first:?}");
    place.edit("files/slow/value.h", "1", "2");
    bst.run(&["build", "slow.bst"]);
    let second = results.newest();
    assert_eq!(second.subactions.len(), 2);
    assert!(
        first
            .subactions
            .iter()
            .all(|one| !second.subactions.contains(one))
    );
    let log = bst.daemon_log();
    let expected = "2 known, 2 executed ahead of need; of 2 asked for 2 were hits";
    assert!(log.contains(expected), "{log}");

    // Switched off, it does nothing, and what is built is the same.
    place.edit("files/slow/value.h", "2", "3");
    bst.run(&["build", "slow.bst"]);
    let with = bst.show("%{artifact-cas-digest}", "slow.bst");
    let other = Place::new(SLOW);
    other.edit("files/slow/value.h", "1", "3");
    let without = BuildStream::without_speculation(&other);
    without.run(&["build", "slow.bst"]);
    assert_eq!(without.show("%{artifact-cas-digest}", "slow.bst"), with);
    assert!(!without.daemon_log().contains("ahead of need"));
    assert!(!other.cache().join("headstart/lineage/+actions").exists());
}

#[test]
fn what_has_a_server_behind_it_is_foreseen_too() {
    let place = Place::new(SLOW);
    let server = Server::ours();
    let services = format!(
        "cache: {{storage-service: {{url: '{0}'}}}}\n\
         remote-execution: {{action-cache-service: {{url: '{0}', push: true}}}}\n",
        server.url()
    );
    let bst = BuildStream::with(&place, &services);
    bst.run(&["build", "slow.bst"]);
    place.edit("files/slow/value.h", "1", "2");
    bst.run(&["build", "slow.bst"]);
    let log = bst.daemon_log();
    let expected = "2 known, 2 executed ahead of need; of 2 asked for 2 were hits";
    assert!(log.contains(expected), "{log}");
}

#[test]
fn what_the_daemon_foresees_follows_headers_to_other_directories_and_in_front_of_others() {
    let place = Place::new(VERSIONED);
    let bst = BuildStream::new(&place);
    let results = bst.keep_results();
    bst.run(&["build", "app.bst"]);
    let first = results.newest();
    assert_eq!(first.subactions.len(), 2, "{first:?}");
    place.edit("elements/base.bst", "base-1.9", "base-1.10");
    bst.run(&["build", "app.bst"]);
    let hits = || {
        let log = bst.daemon_log();
        (log.matches("of 2 asked for 2 were hits").count(), log)
    };
    let (times, log) = hits();
    assert_eq!(times, 1, "{log}");
    assert!(log.contains("2 known, 2 executed ahead of need"), "{log}");
    // A header of its own, found only where the file itself is.
    let include = "#include \"detail/detail.h\"";
    place.edit("files/app/two.c", "#include <detail/detail.h>", include);
    bst.run(&["build", "app.bst"]);
    place.write("files/app/detail/detail.h", "#define DETAIL 3\n");
    bst.run(&["build", "app.bst"]);
    let (times, log) = hits();
    assert_eq!(times, 3, "{log}");
}

#[test]
fn shells_have_the_callers_streams() {
    let place = Place::new(SLOW);
    let bst = BuildStream::new(&place);
    bst.run(&["build", "slow.bst"]);
    let script = "cat; cat value.h; ls /dev/null; exit 3";
    let mut shell = bst.command(&["shell", "--build", "slow.bst", "--", "sh", "-c", script]);
    let mut shell = shell
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = shell.stdin.take().unwrap();
    stdin.write_all(b"typed\n").unwrap();
    drop(stdin);
    let output = shell.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("typed\n#define VALUE 1\n/dev/null"), "{text}");
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn failures_are_builds_too_and_an_interrupted_one_leaves_nothing() {
    let place = Place::new(SLOW);
    let bst = BuildStream::new(&place);
    place.edit("files/slow/two.c", "VALUE;", "VALUE");
    let failed = output(&mut bst.command(&["build", "slow.bst"]));
    assert!(!failed.status.success());
    assert!(
        said(&failed).contains("failed with exitcode"),
        "{}",
        said(&failed)
    );
    assert!(
        bst.show("%{name} %{state}", "slow.bst")
            .ends_with("slow.bst failed")
    );

    let mark = format!("sleep {}.5", 1000 + std::process::id());
    place.edit("elements/slow.bst", "sleep 4", &mark);
    let mut build = bst.command(&["build", "slow.bst"]);
    let mut build = build
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until(|| running(&mark));
    let id = rustix::process::Pid::from_child(&build);
    // BuildStream itself leaves its daemon alone when it gets another signal.
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    build.wait().unwrap();
    wait_until(|| !running(&mark));
    let left = fs::read_dir(place.cache().join("headstart/sandboxes"))
        .into_iter()
        .flatten();
    assert_eq!(left.count(), 0, "folders of sandboxes are left");
}

fn wait_until(mut is: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "waited for too long"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Whether a process with exactly this command line runs.
fn running(command: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let mut lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    lines.any(|line| {
        let words = line
            .split(|byte| *byte == 0)
            .filter(|word| !word.is_empty());
        let words: Vec<_> = words.map(String::from_utf8_lossy).collect();
        words.join(" ") == command
    })
}
