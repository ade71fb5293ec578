//! Compiler calls and whole elements on another machine: as asked for, ahead of need, and here when it is gone.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{BuildStream, CHAIN, Calls, Place, Report, Server, WITHOUT_RECC, said};

/// Has the user's configuration name services of a server.
fn configure(place: &Place, server: &Server, services: &[(&str, &str)]) -> String {
    let mut text = "remote-execution:\n".to_owned();
    for (service, more) in services {
        text += &format!(
            "  {service}: {{url: '{}', connection-config: {{retry-limit: 1, retry-delay: 10}}{more}}}\n",
            server.url()
        );
    }
    fs::write(place.home().join("farm.conf"), &text).unwrap();
    text
}

const FARM: [(&str, &str); 2] = [("execution-service", ""), ("storage-service", "")];

fn command(place: &Place, element: &str, mode: &str, options: &[&str]) -> Command {
    let mut command = place.headstart();
    command
        .arg("--config")
        .arg(place.home().join("farm.conf"))
        .args(options)
        .args(["build", "--audit", "--speculation", mode, "--json"])
        .arg(place.home().join("report.json"))
        .arg(element);
    command
}

fn build_with(place: &Place, element: &str, mode: &str, options: &[&str]) -> (Report, String) {
    let output = command(place, element, mode, options).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let report = Report::read(&place.home().join("report.json")).unwrap();
    (report.sound(), said(&output))
}

fn build(place: &Place, element: &str, mode: &str) -> (Report, String) {
    build_with(place, element, mode, &[])
}

/// How many results the owner of a cache directory knows.
fn results(cache: &Path) -> usize {
    fn count(folder: &Path) -> usize {
        let Ok(entries) = fs::read_dir(folder) else {
            return 0;
        };
        let count = |entry: fs::DirEntry| match entry.path().is_dir() {
            true => count(&entry.path()),
            false => 1,
        };
        entries.flatten().map(count).sum()
    }
    count(&cache.join("headstart/action-cache"))
}

#[test]
fn compiler_calls_are_executed_elsewhere_and_foreseen_there() {
    let place = Place::new(CHAIN);
    let mut server = Server::ours();
    configure(&place, &server, &FARM);
    let (first, _) = build(&place, "app.bst", "full");
    let known = results(&server.cache());
    // base.o; one.o, two.o, liba.a; app.o and what links it.
    assert!(known >= 5, "{known} results on the server");

    place.edit("files/base/base.h", "BASE 1", "BASE 2");
    let (second, _) = build(&place, "app.bst", "full");
    assert_eq!(second.calls("liba.bst"), Calls::foreseen(3));
    assert!(
        results(&server.cache()) >= known + 3,
        "what is foreseen is executed there"
    );
    assert_ne!(second.artifacts(), first.artifacts());

    // Somebody else has asked for the same: nothing is executed again.
    let known = results(&server.cache());
    let other = Place::new(CHAIN);
    configure(&other, &server, &FARM);
    let (third, _) = build(&other, "app.bst", "none");
    assert_eq!(third.artifacts(), first.artifacts());
    assert_eq!(results(&server.cache()), known);

    server.stop();
    place.edit("files/base/base.h", "BASE 2", "BASE 3");
    let (fourth, said) = build(&place, "app.bst", "full");
    assert_eq!(fourth.state("app.bst"), "built");
    assert!(
        said.contains("what it can't execute is executed here"),
        "{said}"
    );
}

#[test]
fn elements_that_ask_for_no_calls_are_built_elsewhere_as_buildstream_has_them_built() {
    let direct = CHAIN.replace(" recc /usr/bin/", " /usr/bin/");
    let place = Place::new(&direct);
    let mut server = Server::ours();
    let services = configure(&place, &server, &FARM);
    let (there, _) = build_with(&place, "app.bst", "full", &WITHOUT_RECC);
    assert_eq!(there.state("app.bst"), "built");
    let known = results(&server.cache());
    assert!(known >= 3, "{known} results on the server");
    assert_eq!(results(&place.cache()), 0);
    let log = place.run(&[&WITHOUT_RECC[..], &["artifact", "log", "liba.bst"]].concat());
    assert!(log.contains("gcc -I. -c one.c -o one.o"), "{log}");

    let here = Place::new(&direct);
    fs::write(here.home().join("farm.conf"), "").unwrap();
    let (alone, _) = build_with(&here, "app.bst", "full", &WITHOUT_RECC);
    assert_eq!(alone.artifacts(), there.artifacts());

    // BuildStream asks for the very same actions.
    let bst = BuildStream::beside(&place, "bst");
    bst.configure(&services);
    bst.run(&[&WITHOUT_RECC[..], &["build", "app.bst"]].concat());
    assert_eq!(results(&server.cache()), known);

    place.edit("files/liba/two.c", "2 *", "2 * nothing *");
    let failed = command(&place, "app.bst", "full", &WITHOUT_RECC)
        .output()
        .unwrap();
    assert!(!failed.status.success());
    assert!(
        said(&failed).contains("'nothing' undeclared"),
        "{}",
        said(&failed)
    );

    server.stop();
    place.edit("files/liba/two.c", "2 * nothing *", "base() +");
    let (after, said) = build_with(&place, "app.bst", "full", &WITHOUT_RECC);
    assert_eq!(after.state("liba.bst"), "built");
    assert!(
        said.contains("what it can't execute is executed here"),
        "{said}"
    );
}

#[test]
fn what_is_for_another_kind_of_machine_is_not_tried_here() {
    let place = Place::new(CHAIN);
    let other = match std::env::consts::ARCH {
        "aarch64" => "x86-64",
        _ => "aarch64",
    };
    let sandbox = format!("kind: manual\nsandbox: {{build-arch: {other}}}");
    place.edit("elements/base.bst", "kind: manual", &sandbox);
    let (output, _) = place.try_build("base.bst", "none");
    assert!(!output.status.success());
    let said_alone = said(&output);
    assert!(
        said_alone.contains("another kind of machine"),
        "{said_alone}"
    );
    // A server that was never meant to execute anything is not complained of.
    let server = Server::ours();
    let services = [("action-cache-service", ""), ("storage-service", "")];
    configure(&place, &server, &services);
    let (output, _) = place.try_build("base.bst", "none");
    let said = said(&output);
    assert!(said.contains("another kind of machine"), "{said}");
    assert!(!said.contains("executes nothing"), "{said}");
}

#[test]
fn results_of_calls_are_shared_by_a_server_that_executes_nothing() {
    let server = Server::ours();
    let services = [
        ("action-cache-service", ", push: true"),
        ("storage-service", ""),
    ];
    let place = Place::new(CHAIN);
    configure(&place, &server, &services);
    let (first, _) = build(&place, "app.bst", "none");
    let known = results(&server.cache());
    assert!(known >= 5, "{known} results on the server");
    let other = Place::new(CHAIN);
    configure(&other, &server, &services);
    let (second, _) = build(&other, "app.bst", "none");
    assert_eq!(second.artifacts(), first.artifacts());
    assert_eq!(second.calls("liba.bst").found, 3);
}
