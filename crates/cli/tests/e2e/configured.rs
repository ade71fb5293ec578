//! The user's configuration: what BuildStream refuses is refused, for the same reason, and what it does not
//! say is as there.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{BuildStream, Place, output, python, said};

const PROJECT: &str = "
== project.conf
name: p
min-version: 2.0
options: {o: {type: bool, description: d, default: true}}
== a.bst
kind: import
sources: [{kind: local, path: project.conf}]
runtime-depends: [b.bst]
== b.bst
kind: import
sources: [{kind: local, path: project.conf}]
build-depends: [c.bst]
== c.bst
kind: stack
";

/// Configurations, good and bad ones, one a line, in which `\\n` and `\\t` stand for what they usually do.
///
/// Not among them is what only one of the two programs refuses: numbers below zero, which BuildStream takes
/// for amounts of tasks and lines too, digits of other scripts, and what it looks at only when a server is
/// used: `connection-config`, the form of addresses, and what is said of servers for projects that are not
/// loaded. Lists in place of the formats in `logging`, which have no default here, are refused as wrong values.
const CONFIGURATIONS: &str = include_str!("configurations.txt");

/// What our program refuses a configuration by, as `configs.py` tells it of BuildStream.
fn refused(place: &Place, config: &Path) -> Value {
    let file = place.home().join("error.json");
    let _ = fs::remove_file(&file);
    let mut show = place.headstart();
    show.env("HEADSTART_ERROR_FILE", &file)
        .arg("--config")
        .arg(config);
    let shown = output(show.args(["show", "a.bst"]));
    if shown.status.success() {
        return Value::Null;
    }
    assert_eq!(shown.status.code(), Some(255), "{}", said(&shown));
    let error: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let of = |key: &str| error[key].clone();
    json!([of("domain"), of("reason"), of("line"), of("column")])
}

/// Whether both mean the same.
fn agree(ours: &Value, theirs: &Value) -> bool {
    if theirs[0] == "BUG" {
        // It fails by a mistake of its own.
        return ours[0] == "LOAD";
    }
    // Keys that are not known are pointed to here, and their values there; and what can't be laid over the
    // defaults here, and the whole there.
    let place = |refusal: &Value| (refusal[2].as_u64(), refusal[3].as_u64());
    let near = match (place(ours), place(theirs)) {
        (_, (None, None)) => true,
        ((Some(line), Some(column)), (Some(their_line), Some(their_column))) => {
            line == their_line && (column <= their_column || theirs[1] == "ILLEGAL_COMPOSITE")
        }
        _ => false,
    };
    (ours.is_null() == theirs.is_null()) && ours[0] == theirs[0] && ours[1] == theirs[1] && near
}

#[test]
fn what_buildstream_refuses_is_refused_for_the_same_reason() {
    let place = Place::bare(PROJECT);
    let folder = place.home().join("configurations");
    fs::create_dir_all(folder.join("a-directory")).unwrap();
    fs::write(folder.join("latin"), b"cachedir: \"\xe4\"\n").unwrap();
    let mut files = vec![
        folder.join("missing"),
        folder.join("a-directory"),
        folder.join("latin"),
    ];
    for (number, text) in CONFIGURATIONS.lines().enumerate() {
        let file = folder.join(number.to_string());
        fs::write(&file, text.replace("\\n", "\n").replace("\\t", "\t") + "\n").unwrap();
        files.push(file);
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/support/configs.py");
    let mut peer = Command::new(python());
    peer.arg(script).args(&files).current_dir(place.project());
    let said_by_peer = peer.env("HOME", place.home()).output().unwrap();
    assert!(said_by_peer.status.success(), "{}", said(&said_by_peer));
    let theirs: Vec<Value> = serde_json::from_slice(&said_by_peer.stdout).unwrap();
    assert_eq!(theirs.len(), files.len());
    assert!(theirs.iter().filter(|refusal| !refusal.is_null()).count() > 150);
    let mut different = Vec::new();
    for (file, theirs) in files.iter().zip(&theirs) {
        let ours = refused(&place, file);
        if !agree(&ours, theirs) {
            let text = fs::read_to_string(file).unwrap_or_default();
            different.push(format!("{text:?}: {ours}, and there {theirs}"));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn what_is_built_with_targets_is_what_the_configuration_says() {
    let place = Place::bare(PROJECT);
    let bst = BuildStream::beside(&place, "cache-of-buildstream");
    let config = place.home().join(".config/buildstream.conf");
    let show = [
        "show",
        "--deps",
        "all",
        "--format",
        "%{name} %{state}",
        "a.bst",
    ];
    let before = fs::read_to_string(bst.config()).unwrap();
    for (configured, options, expected) in [
        (
            "build: {dependencies: none}",
            &[][..],
            "c.bst buildable\nb.bst waiting\na.bst cached\n",
        ),
        (
            "build: {dependencies: all}",
            &["--deps", "none"],
            "c.bst buildable\nb.bst waiting\na.bst cached\n",
        ),
        ("", &[], "c.bst cached\nb.bst cached\na.bst cached\n"),
    ] {
        fs::write(&config, configured).unwrap();
        fs::write(bst.config(), format!("{before}{configured}\n")).unwrap();
        let build = [&["build"], options, &["a.bst"]].concat();
        place.run(&build);
        bst.run(&build);
        assert_eq!(place.run(&show), expected, "{configured} {options:?}");
        assert_eq!(bst.run(&show), expected, "{configured} {options:?}");
    }
    // How elements are shown.
    let shown = "logging: {key-length: 5, element-format: '%{key}|%{name}'}\n";
    fs::write(&config, shown).unwrap();
    fs::write(bst.config(), format!("{before}{shown}")).unwrap();
    let ours = place.run(&["show", "a.bst"]);
    assert_eq!(ours, bst.run(&["show", "a.bst"]));
    assert!(ours.lines().all(|line| line.find('|') == Some(5)), "{ours}");
    // So are their logs named.
    for run in [&["artifact", "delete", "a.bst"][..], &["build", "a.bst"]] {
        place.run(run);
        bst.run(run);
    }
    let ours = short_logs(&place.cache().join("logs/p/a"));
    assert_eq!(ours.len(), 1, "{ours:?}");
    assert_eq!(ours, short_logs(&bst.cache().join("logs/p/a")));
}

/// The names of logs of builds that begin with five digits of a key, without times.
fn short_logs(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        name.split('.').next().unwrap_or_default().to_owned()
    });
    names
        .filter(|name| name.find("-build") == Some(5))
        .collect()
}
