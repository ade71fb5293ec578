//! Builds that are ended before they are done: nothing finished is lost, nothing is left behind.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Calls, Place, said};

/// first.bst ← second.bst, which takes its time after the first of two calls: in its own command,
/// and in an action.
const SLOW: &str = r"
== elements/first.bst
kind: manual
build-depends:
- (@): include/gcc.yml
sources:
- kind: local
  path: files/first
config:
  build-commands:
  - gcc -c first.c -o first.o
  install-commands:
  - install -D first.o %{install-root}%{libdir}/first.o
== files/first/first.c
int first;
== elements/second.bst
kind: manual
build-depends:
- (@): include/gcc.yml
- first.bst
sources:
- kind: local
  path: files/second
config:
  build-commands:
  - gcc -c second.c -o second.o
  - |
    RECC_FORCE_REMOTE=1 RECC_DEPS_OVERRIDE=slow.sh,second.o RECC_OUTPUT_FILES_OVERRIDE=slept \
    recc /usr/bin/sh slow.sh
  install-commands:
  - install -D second.o %{install-root}%{libdir}/second.o
== files/second/second.c
int second;
== files/second/slow.sh
sleep 5.0625
touch slept
";

/// How long processes may take to start or end, on however loaded a machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process: its id, and when it started, as ids are used again.
type Process = (u32, String);

fn processes() -> Vec<(Process, u32)> {
    let ids = fs::read_dir("/proc").unwrap().flatten();
    let ids = ids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter_map(|id| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        // A zombie has ended; that nobody has asked for its exit code is no matter of ours.
        (fields[0] != "Z").then(|| ((id, fields[19].to_owned()), fields[1].parse().unwrap()))
    })
    .collect()
}

/// All that a process started, directly or not.
fn descendants(of: u32) -> BTreeSet<Process> {
    let all = processes();
    let mut found = BTreeSet::new();
    let mut pending = vec![of];
    while let Some(parent) = pending.pop() {
        for (process, _) in all.iter().filter(|(_, above)| *above == parent) {
            pending.push(process.0);
            found.insert(process.clone());
        }
    }
    found
}

fn is_running(processes: &BTreeSet<Process>, program: &str) -> bool {
    processes.iter().any(|(id, _)| {
        let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line)
            .replace('\0', " ")
            .contains(program)
    })
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what} takes too long");
        sleep(Duration::from_millis(5));
    }
}

/// A build of `second.bst` that has come to its slow action, and all that it has started.
fn slow_build(place: &Place) -> (Child, BTreeSet<Process>) {
    let mut command = place.headstart();
    command.args(["build", "second.bst"]);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.unwrap();
    let mut below = BTreeSet::new();
    wait_until("coming to the slow action", || {
        assert_eq!(child.try_wait().unwrap(), None, "it ended by itself");
        below = descendants(child.id());
        is_running(&below, "sleep 5.0625")
    });
    (child, below)
}

fn assert_nothing_left(place: &Place, started: &BTreeSet<Process>) {
    wait_until("ending all that was started", || {
        let running: BTreeSet<Process> = processes().into_iter().map(|(it, _)| it).collect();
        running.is_disjoint(started)
    });
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let cache = place.cache().display().to_string();
    assert!(!mounts.contains(&cache), "{mounts}");
}

fn assert_swept(place: &Place) {
    for folder in ["headstart/sandboxes", "cas/tmp"] {
        let left: Vec<_> = fs::read_dir(place.cache().join(folder)).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

fn end(child: &Child, signal: Signal) {
    let id = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(id, signal).unwrap();
}

#[test]
fn a_killed_build_goes_on_where_it_was() {
    let place = Place::new(SLOW);
    let (child, started) = slow_build(&place);
    end(&child, Signal::KILL);
    child.wait_with_output().unwrap();
    assert_nothing_left(&place, &started);
    let history = place.explain(&["second.bst"]);
    assert_eq!(history["seconds"], serde_json::Value::Null);
    let second = &history["elements"][0];
    assert_eq!(second["state"], "broken-off");
    assert_eq!(second["counts"]["missed"], 1, "{history:#}");
    let again = place.build("second.bst", "full");
    assert_eq!(again.state("first.bst"), "cached");
    assert_eq!(again.state("second.bst"), "built");
    // The call that was finished is found, though the element was not.
    let calls = Calls {
        asked: 2,
        found: 1,
        missed: 1,
        ..Calls::default()
    };
    assert_eq!(again.calls("second.bst"), calls);
    assert_swept(&place);
}

#[test]
fn an_interrupted_build_says_so_and_goes_on_where_it_was() {
    for signal in [Signal::INT, Signal::TERM] {
        let place = Place::new(SLOW);
        let (child, started) = slow_build(&place);
        end(&child, signal);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{}", said(&output));
        let errors = String::from_utf8_lossy(&output.stderr);
        let expected = "\
error: interrupted: what was running has been ended, what was finished is kept
";
        assert!(
            errors.contains("\nending what is running; again to end at once\n"),
            "{errors}"
        );
        assert!(errors.ends_with(expected), "{errors}");
        assert_nothing_left(&place, &started);
        assert_swept(&place);
        place.edit("files/second/slow.sh", "sleep 5.0625", "");
        let again = place.build("second.bst", "full");
        assert_eq!(again.state("first.bst"), "cached");
        assert_eq!(again.state("second.bst"), "built");
    }
}

/// Runs the program with its cache on a file system of its own, first of `small` then of `large`
/// bytes.
fn build_on_a_disk_of(place: &Place, small: &str, large: &str) -> std::process::Output {
    let script = r#"
        mount -t tmpfs -o "size=$1" none "$3"
        shift
        large=$1
        shift
        cache=$1
        shift
        "$@" || echo "first: $?"
        mount -o "remount,size=$large" "$cache"
        "$@" && echo "second: $?"
    "#;
    fs::create_dir_all(place.cache()).unwrap();
    let build = place.headstart();
    let mut command = Command::new("unshare");
    command
        .args([
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-e",
            "-c",
            script,
            "sh",
            small,
            large,
        ])
        .arg(place.cache())
        .arg(build.get_program())
        .args(build.get_args())
        .args(["build", "top.bst"])
        .current_dir(place.project());
    command.output().unwrap()
}

#[test]
fn a_full_disk_is_named_and_mended_by_space() {
    let place = Place::bare(
        r"
== project.conf
name: e2e
min-version: 2.0
element-path: elements
== elements/top.bst
kind: import
sources:
- kind: local
  path: files
",
    );
    let noise: Vec<u8> = (0..6_000_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    place.write("files/large", noise);
    let output = build_on_a_disk_of(&place, "4m", "64m");
    assert!(output.status.success(), "{}", said(&output));
    let lines = String::from_utf8(output.stdout).unwrap();
    assert!(lines.starts_with("first: 255\n"), "{lines}");
    assert!(lines.ends_with("second: 0\n"), "{lines}");
    let errors = String::from_utf8(output.stderr).unwrap();
    let expected =
        "error: no space is left in the cache: free some, or point the cache at another disk\n";
    assert!(errors.starts_with(expected), "{errors}");
}
