//! Other people's plugins, hosted: keys and artifacts as in BuildStream.

mod building;
mod failing;
mod keys;
mod kinds;
mod manifest;
mod mirrors;
mod packages;
mod releases;
mod sources;
mod texts;

use crate::support::{BuildStream, Place, python, said};

/// The program with a Python that has BuildStream.
fn hosting(place: &Place) -> std::process::Command {
    let mut command = place.headstart();
    command.env("HEADSTART_PYTHON", python());
    command
}

/// What the program prints, which must succeed.
fn run(place: &Place, arguments: &[&str]) -> String {
    let output = hosting(place).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// What the program says, which must fail.
fn refused(place: &Place, arguments: &[&str]) -> String {
    refused_by(hosting(place).args(arguments))
}

/// The same of the program with whatever it is given besides.
fn refused_by(command: &mut std::process::Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(255), "{}", said(&output));
    said(&output)
}

/// What both programs show of an element and all that it depends on, which must be the same.
fn show_alike(place: &Place, bst: &BuildStream, format: &str, element: &str) -> String {
    let show = ["show", "--deps", "all", "--format", format, element];
    let ours = run(place, &show);
    assert_eq!(ours, bst.run(&show));
    ours
}
