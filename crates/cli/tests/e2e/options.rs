//! The command line is BuildStream's: each of its commands and options is known, and does the same.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::sources::sha256;
use crate::support::{Answer, BuildStream, Place, headstart, output, said, serve};

/// What a command says of itself.
fn help(mut program: Command, command: &[&str]) -> String {
    let output = output(program.args(command).arg("--help"));
    assert!(output.status.success(), "{command:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// The commands that a help of BuildStream's lists.
fn commands(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = lines.filter_map(|line| line.split_whitespace().next());
    names.map(str::to_owned).collect()
}

/// The options that a help lists, each with all ways to write it and the values that it may have.
fn options(help: &str) -> Vec<(Vec<String>, Vec<String>)> {
    let lines = help.lines().filter_map(|line| {
        let line = line.trim_start();
        line.starts_with('-').then_some(line)
    });
    let options = lines.map(|line| {
        let (written, _) = line.split_once("  ").unwrap_or((line, ""));
        // An option that may be repeated has dots behind it.
        let words = written.split([' ', ',', '/', '=']);
        let words: Vec<&str> = words.map(|word| word.trim_end_matches('.')).collect();
        let names = words.iter().filter(|word| word.starts_with('-'));
        let values = words
            .iter()
            .find_map(|word| word.strip_prefix('[')?.strip_suffix(']'));
        let values = values.into_iter().flat_map(|values| values.split('|'));
        (
            names.map(|name| (*name).to_owned()).collect(),
            values.map(str::to_owned).collect(),
        )
    });
    options.collect()
}

/// Each command of BuildStream's.
fn all_commands(bst: &BuildStream) -> Vec<Vec<String>> {
    let mut found = vec![Vec::new()];
    let mut pending = vec![Vec::new()];
    while let Some(command) = pending.pop() {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        for name in commands(&help(bst.command(), &words)) {
            let mut below = command.clone();
            below.push(name);
            // It takes the names of commands, and has no help of its own.
            if below == ["help"] {
                continue;
            }
            found.push(below.clone());
            pending.push(below);
        }
    }
    found
}

/// A place with nothing in it.
fn nowhere() -> Place {
    let place = Place::bare("");
    fs::create_dir_all(place.project()).unwrap();
    fs::create_dir_all(place.home()).unwrap();
    place
}

#[test]
fn every_command_and_option_of_buildstream_is_known() {
    let place = nowhere();
    let bst = BuildStream::beside(&place, "cache-of-buildstream");
    let mut unknown = BTreeSet::new();
    let mut count = 0;
    for command in all_commands(&bst) {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let ours = options(&help(place.headstart(), &words));
        let ours: BTreeSet<String> = ours.into_iter().flat_map(|(names, _)| names).collect();
        for (names, values) in options(&help(bst.command(), &words)) {
            count += 1;
            unknown.extend(
                names
                    .iter()
                    .filter(|name| !ours.contains(*name))
                    .map(|name| format!("{} {name}", words.join(" "))),
            );
            for value in values {
                let name = names.last().unwrap();
                let mut known = place.headstart();
                known.args(&words).args([&**name, &*value, "--help"]);
                if !known.output().unwrap().status.success() {
                    unknown.insert(format!("{} {name} {value}", words.join(" ")));
                }
            }
        }
    }
    assert!(count > 100, "only {count} options were found");
    assert_eq!(unknown, BTreeSet::new());
}

#[test]
fn projects_begin_as_buildstreams_do() {
    let place = nowhere();
    let bst = BuildStream::beside(&place, "cache-of-buildstream");
    let init = [
        "init",
        "--project-name",
        "fresh",
        "--min-version",
        "2.4",
        "--element-path",
        "parts",
    ];
    let ours = place.home().join("ours");
    let theirs = place.home().join("theirs");
    let begin = |mut command: Command, at: &std::path::Path| output(command.args(init).arg(at));
    for (output, folder) in [
        (begin(place.headstart(), &ours), &ours),
        (begin(bst.command(), &theirs), &theirs),
    ] {
        assert!(output.status.success(), "{}", said(&output));
        assert!(folder.join("parts").is_dir());
        fs::write(folder.join("parts/all.bst"), "kind: stack\n").unwrap();
    }
    // Each can do something with what the other has begun.
    let shown = ["show", "--format", "%{name} %{full-key}"];
    let shown_by_us = headstart(&theirs, &place.cache(), &place.home())
        .args(shown)
        .output()
        .unwrap();
    let other = BuildStream::new(&ours, &place.cache().with_file_name("other"), &place.home());
    assert_eq!(
        String::from_utf8_lossy(&shown_by_us.stdout),
        other.run(&shown)
    );
    for (arguments, reason) in [
        (&["--project-name", "fresh"][..], "project-exists"),
        (&["--force"], "unspecified-project-name"),
        (
            &["--force", "--project-name", "1st"],
            "invalid-project-name",
        ),
        (
            &["--force", "--project-name", "a", "--min-version", "3.0"],
            "invalid-min-version",
        ),
        (
            &["--force", "--project-name", "a", "--element-path", "../b"],
            "invalid-element-path",
        ),
    ] {
        let file = place.home().join("error.json");
        let mut command = place.headstart();
        command.env("HEADSTART_ERROR_FILE", &file);
        let refused = output(command.arg("init").args(arguments).arg(&ours));
        assert!(!refused.status.success(), "{arguments:?}");
        let error = fs::read_to_string(&file).unwrap();
        assert!(
            error.contains(&format!("\"reason\":\"{reason}\"")),
            "{error}"
        );
        let refused = output(bst.command().arg("init").args(arguments).arg(&theirs));
        assert!(!refused.status.success(), "{arguments:?}");
    }
}

/// A server that has a greeting, but refuses so many requests first.
fn reluctant(mut refusals: usize) -> String {
    serve(move |_| {
        if refusals == 0 {
            return Answer::found("hello\n");
        }
        refusals -= 1;
        Answer::refused("404 Later")
    })
}

#[test]
fn fetching_is_tried_again_as_often_as_is_said_and_told_in_the_log_file() {
    let place = Place::bare("== project.conf\nname: net\nmin-version: 2.0\n== text\nhello\n");
    let hash = sha256(place.project().join("text"));
    let bst = BuildStream::beside(&place, "cache-of-buildstream");
    let fetch = |mut command: Command, retries: &str| {
        let address = reluctant(2);
        let source = format!(
            "kind: import\nsources: [{{kind: remote, url: '{address}/text', ref: {hash}}}]\n"
        );
        place.write("text.bst", source);
        command.args(["--network-retries", retries, "source", "fetch", "text.bst"]);
        output(&mut command)
    };
    let log = place.home().join("messages.log");
    for (retries, succeeds) in [("1", false), ("2", true)] {
        assert_eq!(fetch(bst.command(), retries).status.success(), succeeds);
        let mut ours = place.headstart();
        ours.args(["-v", "--log-file"]).arg(&log);
        let output = fetch(ours, retries);
        assert_eq!(output.status.success(), succeeds, "{}", said(&output));
        let logged = fs::read_to_string(&log).unwrap();
        assert!(
            logged.contains("404") && logged.contains("trying again"),
            "{logged}"
        );
        for line in logged.lines() {
            assert!(said(&output).contains(line), "{line}");
        }
    }
}

#[test]
fn as_much_is_shown_of_failures_as_is_said() {
    let place = Place::new(
        "== elements/long.bst\nkind: manual\nbuild-depends: [toolchain.bst]\n\
         config: {build-commands: ['for i in 1 2 3 4 5 6; do echo line-$i; done; false']}\n",
    );
    let build = |options: &[&str]| {
        let mut command = place.headstart();
        command.args(["--option", "recc", "off"]).args(options);
        said(&command.args(["build", "-r", "long.bst"]).output().unwrap())
    };
    let all = build(&[]);
    assert!(
        all.contains("line-1\n") && all.contains("line-6\n"),
        "{all}"
    );
    let few = build(&["--error-lines", "2"]);
    assert!(
        !few.contains("line-1\n") && few.contains("line-6\n"),
        "{few}"
    );
}

#[test]
fn what_nobody_reads_any_more_ends_quietly() {
    for command in [
        &["runner", "--capabilities"][..],
        &["casd", "--version", "/"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut program = Command::new(env!("CARGO_BIN_EXE_headstart"));
        let output = program.args(command).stdout(writer).output().unwrap();
        assert_eq!(output.status.code(), Some(128 + 13), "{command:?}");
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(told, "", "{command:?}");
    }
}
