//! What one program has pushed the other pulls, and builds nothing.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{BuildStream, Place, Server, finish, output, said};

/// A stack on an element with a local source, built without a compiler.
pub(crate) const PROJECT: &str = r"
== project.conf
name: shared
min-version: 2.0
element-path: elements
== elements/base.bst
kind: import
sources:
- kind: local
  path: files/base
== files/base/usr/share/base
base
== elements/middle.bst
kind: compose
build-depends:
- base.bst
== elements/top.bst
kind: stack
depends:
- middle.bst
- other.bst
== elements/other.bst
kind: import
sources:
- kind: local
  path: files/other
== files/other/usr/share/folder/other
other
";

/// A configuration of BuildStream's, which both programs read.
pub(super) fn configure(place: &Place, name: &str, server: &Server) -> std::path::PathBuf {
    let path = place.home().join(name);
    fs::write(&path, server.as_caches()).unwrap();
    path
}

pub(super) fn run(command: &mut Command) -> String {
    let output = output(command);
    assert!(output.status.success(), "{command:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
}

pub(super) fn ours(place: &Place, config: &Path, cache: &str) -> Command {
    let cache = place.cache().with_file_name(cache);
    let mut command = crate::support::headstart(&place.project(), &cache, &place.home());
    command.arg("--config").arg(config);
    command
}

pub(super) fn theirs(place: &Place, config: &Path, cache: &str) -> Command {
    let stream = BuildStream::new(
        &place.project(),
        &place.cache().with_file_name(cache),
        &place.home(),
    );
    stream.configure(&fs::read_to_string(config).unwrap());
    stream.command()
}

/// Whatever the server, what BuildStream pushes is pulled.
fn buildstream_pushes(server: &Server) {
    let place = Place::bare(PROJECT);
    let config = configure(&place, "servers.conf", server);
    run(theirs(&place, &config, "theirs").args(["build", "top.bst"]));
    let said = run(ours(&place, &config, "ours").args(["build", "--deps", "all", "top.bst"]));
    assert!(said.contains("0 built, 4 cached"), "{said}");
    assert!(said.contains("pulled   other.bst"), "{said}");
    let checkout = place.home().join("checkout");
    let mut command = ours(&place, &config, "ours");
    command.args(["artifact", "checkout", "top.bst", "--directory"]);
    run(command.arg(&checkout));
    let file = checkout.join("usr/share/folder/other");
    assert_eq!(fs::read_to_string(file).unwrap(), "other\n");
    // Sources come from there too, even if they are nowhere else any more.
    let sources = place.project().join("files/base/usr/share/base");
    assert!(sources.exists());
    let said = run(ours(&place, &config, "fresh").args(["artifact", "pull", "base.bst"]));
    assert!(
        said.contains("1 pulled, 0 here already, 0 on no server"),
        "{said}"
    );
}

/// And what we push BuildStream pulls.
fn headstart_pushes(server: &Server) {
    let place = Place::bare(PROJECT);
    let config = configure(&place, "servers.conf", server);
    let said = run(ours(&place, &config, "ours").args(["build", "top.bst"]));
    assert!(
        said.contains("4 built") && said.contains("pushed   middle.bst"),
        "{said}"
    );
    let said =
        run(ours(&place, &config, "ours").args(["artifact", "push", "--deps", "all", "top.bst"]));
    assert!(
        said.contains("0 pushed, 4 on all servers already"),
        "{said}"
    );
    let said = run(theirs(&place, &config, "theirs").args(["build", "--deps", "all", "top.bst"]));
    let built = said
        .lines()
        .filter(|line| line.contains("Build Queue") || line.contains("Build:"));
    let built: Vec<_> = built.collect();
    assert!(
        built.iter().any(|line| line.contains("processed 0")),
        "BuildStream built something: {said}"
    );
    let checkout = place.home().join("checkout");
    let mut command = theirs(&place, &config, "theirs");
    command.args(["artifact", "checkout", "top.bst", "--directory"]);
    run(command.arg(&checkout));
    let file = checkout.join("usr/share/folder/other");
    assert_eq!(fs::read_to_string(file).unwrap(), "other\n");
}

#[test]
fn what_buildstream_pushes_to_the_real_server_is_pulled() {
    buildstream_pushes(&Server::real());
}

#[test]
fn what_buildstream_pushes_to_our_server_is_pulled() {
    buildstream_pushes(&Server::ours());
}

#[test]
fn what_is_pushed_to_the_real_server_buildstream_pulls() {
    headstart_pushes(&Server::real());
}

#[test]
fn what_is_pushed_to_our_server_buildstream_pulls() {
    headstart_pushes(&Server::ours());
}

#[test]
fn sources_are_exchanged() {
    let server = Server::real();
    let place = Place::bare(PROJECT);
    let config = configure(&place, "servers.conf", &server);
    run(theirs(&place, &config, "theirs").args(["source", "push", "base.bst"]));
    let said = run(ours(&place, &config, "ours").args(["source", "push", "other.bst", "base.bst"]));
    assert!(
        said.contains("1 pushed, 1 on all servers already"),
        "{said}"
    );
    let mut fetch = theirs(&place, &config, "others");
    let said = run(fetch.args(["source", "fetch", "other.bst"]));
    assert!(said.contains("Pulled source"), "{said}");
}

#[test]
fn index_and_storage_may_be_apart_and_projects_may_name_them() {
    apart(&Server::real(), &Server::ours());
    apart(&Server::ours(), &Server::real());
}

fn apart(index: &Server, storage: &Server) {
    let place = Place::bare(PROJECT);
    let mut text = fs::read_to_string(place.project().join("project.conf")).unwrap();
    text += &format!(
        "artifacts:\n- {{url: '{}', type: index, push: true}}\n- {{url: '{}', type: storage, push: true}}\n",
        index.url(),
        storage.url()
    );
    place.write("project.conf", text);
    let nothing = place.home().join("nothing.conf");
    fs::write(&nothing, "").unwrap();
    let said = run(ours(&place, &nothing, "one").args(["build", "base.bst"]));
    assert!(said.contains("pushed   base.bst"), "{said}");
    let said = run(ours(&place, &nothing, "two").args(["build", "base.bst"]));
    assert!(said.contains("pulled   base.bst"), "{said}");
    let ignored = ["build", "--ignore-project-artifact-remotes", "base.bst"];
    let said = run(ours(&place, &nothing, "three").args(ignored));
    assert!(said.contains("1 built, 0 cached"), "{said}");
    let remote = format!("--artifact-remote=url={},type=all,push=true", storage.url());
    finish(ours(&place, &nothing, "one").args(["artifact", "push", &remote, "base.bst"]));
    let said = run(ours(&place, &nothing, "four").args(["artifact", "pull", &remote, "base.bst"]));
    assert!(said.contains("1 pulled"), "{said}");
}
