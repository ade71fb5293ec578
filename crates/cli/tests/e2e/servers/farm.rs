//! Compiler calls on another machine: as asked for, ahead of need, and here when it is gone.

use std::fs;
use std::path::Path;

use crate::support::{CHAIN, Calls, Place, Report, Server, said};

fn configure(place: &Place, server: &Server) {
    let text = format!(
        "remote-execution:\n\
         \x20 execution-service: {{url: '{0}', connection-config: {{retry-limit: 1, retry-delay: 10}}}}\n\
         \x20 storage-service: {{url: '{0}', connection-config: {{retry-limit: 1, retry-delay: 10}}}}\n",
        server.url()
    );
    fs::write(place.home().join("farm.conf"), text).unwrap();
}

fn build(place: &Place, element: &str, mode: &str) -> (Report, String) {
    let report = place.home().join("report.json");
    let mut command = place.headstart();
    command
        .arg("--config")
        .arg(place.home().join("farm.conf"))
        .args(["build", "--audit", "--speculation", mode, "--json"])
        .arg(&report)
        .arg(element);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    (Report::read(&report).unwrap().sound(), said(&output))
}

/// How many results a server knows.
fn results(server: &Server) -> usize {
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
    count(&server.cache().join("headstart/action-cache"))
}

#[test]
fn compiler_calls_are_executed_elsewhere_and_foreseen_there() {
    let place = Place::new(CHAIN);
    let mut server = Server::ours();
    configure(&place, &server);
    let (first, _) = build(&place, "app.bst", "full");
    let known = results(&server);
    // base.o; one.o, two.o, liba.a; app.o and what links it.
    assert!(known >= 5, "{known} results on the server");

    place.edit("files/base/base.h", "BASE 1", "BASE 2");
    let (second, _) = build(&place, "app.bst", "full");
    assert_eq!(second.calls("liba.bst"), Calls::foreseen(3));
    assert!(
        results(&server) >= known + 3,
        "what is foreseen is executed there"
    );
    assert_ne!(second.artifacts(), first.artifacts());

    // Somebody else has asked for the same: nothing is executed again.
    let known = results(&server);
    let other = Place::new(CHAIN);
    configure(&other, &server);
    let (third, _) = build(&other, "app.bst", "none");
    assert_eq!(third.artifacts(), first.artifacts());
    assert_eq!(results(&server), known);

    server.stop();
    place.edit("files/base/base.h", "BASE 2", "BASE 3");
    let (fourth, said) = build(&place, "app.bst", "full");
    assert_eq!(fourth.state("app.bst"), "built");
    assert!(
        said.contains("what it can't execute is executed here"),
        "{said}"
    );
}
