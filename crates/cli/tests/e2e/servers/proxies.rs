//! Our daemon between unmodified BuildStream and servers of artifacts and sources.

use std::fs;
use std::process::Command;

use headstart_merkle::BlobDigest;

use crate::standin::daemon::links;
use crate::support::{BuildStream, Place, Server, output, said};

use super::exchange::PROJECT;

/// BuildStream, with our daemon in place of its own, that uses a server.
fn bst(place: &Place, cache: &str, extra: &str, links: &tempfile::TempDir) -> Command {
    let cache = place.cache().with_file_name(cache);
    let stream = BuildStream::new(&place.project(), &cache, &place.home());
    stream.configure(extra);
    let mut command = stream.command();
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", links.path().display()));
    command
}

fn run(command: &mut Command) -> String {
    let output = output(command);
    assert!(output.status.success(), "{command:?}: {}", said(&output));
    said(&output)
}

fn exchange(server: &Server) {
    let (place, links) = (Place::bare(PROJECT), links());
    let extra = server.as_caches();
    let said = run(bst(&place, "one", &extra, &links).args(["build", "top.bst"]));
    assert!(said.contains("Pushed artifact"), "{said}");
    let said = run(bst(&place, "two", &extra, &links).args(["build", "--deps", "all", "top.bst"]));
    assert!(said.contains("Pulled artifact"), "{said}");
    assert!(!said.contains("Running commands"), "{said}");
    let checkout = place.home().join("checkout");
    let mut command = bst(&place, "two", &extra, &links);
    command.args(["artifact", "checkout", "top.bst", "--directory"]);
    run(command.arg(&checkout));
    let file = checkout.join("usr/share/folder/other");
    assert_eq!(fs::read_to_string(file).unwrap(), "other\n");
    let mut push = bst(&place, "one", &extra, &links);
    let said = run(push.args(["source", "push", "other.bst"]));
    assert!(!said.contains("FAILURE"), "{said}");
}

#[test]
fn buildstream_exchanges_artifacts_through_our_daemon_with_ours() {
    exchange(&Server::ours());
}

#[test]
fn buildstream_exchanges_artifacts_through_our_daemon_with_the_real_one() {
    exchange(&Server::real());
}

#[test]
fn a_server_that_is_gone_is_told_of_by_buildstream() {
    let (place, links) = (Place::bare(PROJECT), links());
    let mut server = Server::ours();
    let extra = server.as_caches();
    server.stop();
    let said = run(bst(&place, "one", &extra, &links).args(["build", "base.bst"]));
    assert!(said.contains("Failed to initialize remote"), "{said}");
}

#[test]
fn contents_may_be_on_another_server() {
    let (place, links) = (Place::bare(PROJECT), links());
    let server = Server::real();
    let extra = format!("cache:\n  storage-service:\n    url: {}\n", server.url());
    run(bst(&place, "one", &extra, &links).args(["build", "top.bst"]));
    let content = BlobDigest::of(b"other\n").hex();
    assert!(server.object(&content).is_file(), "it is handed on");
}
