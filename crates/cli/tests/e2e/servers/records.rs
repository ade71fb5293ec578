//! What is known of subactions goes with the artifacts: another machine foresees from it.

use std::fs;
use std::path::Path;

use crate::support::{CHAIN, Calls, Place, Report, Server, said};

fn configure(place: &Place, server: &Server) {
    let text = format!(
        "artifacts: {{servers: [{{url: '{}', push: true}}]}}\n",
        server.url()
    );
    fs::write(place.home().join("servers.conf"), text).unwrap();
}

/// Builds with a cache of its own, as on another machine.
fn build(place: &Place, cache: &Path, element: &str) -> Report {
    let report = place.home().join("report.json");
    let mut command = crate::support::headstart(&place.project(), cache, &place.home());
    command
        .arg("--config")
        .arg(place.home().join("servers.conf"))
        .args(["build", "--audit", "--json"])
        .arg(&report)
        .arg(element);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    Report::read(&report).unwrap().sound()
}

/// Pulled with its artifacts, then edited; never pulled at all, and edited all the same.
fn elsewhere(server: &Server) {
    let place = Place::new(CHAIN);
    configure(&place, server);
    build(&place, &place.cache(), "app.bst");

    let second = place.cache().with_file_name("second");
    let report = build(&place, &second, "app.bst");
    assert_eq!(report.state("app.bst"), "cached");
    place.edit("files/base/base.h", "BASE 1", "BASE 2");
    let report = build(&place, &second, "app.bst");
    assert_eq!(report.calls("liba.bst"), Calls::foreseen(3));
    assert_eq!(report.calls("base.bst"), Calls::foreseen(1));

    // Only known by its lineage: all keys have changed, and nothing of it was ever here.
    place.edit("files/base/base.h", "BASE 2", "BASE 3");
    let report = build(&place, &place.cache().with_file_name("third"), "app.bst");
    assert_eq!(report.calls("base.bst"), Calls::foreseen(1));
    assert_eq!(report.calls("liba.bst"), Calls::foreseen(3));
}

#[test]
fn with_our_server() {
    elsewhere(&Server::ours());
}

#[test]
fn with_the_real_server() {
    elsewhere(&Server::real());
}
