//! A server that keeps the contents of this machine's cache too.

use std::fs;
use std::path::Path;

use headstart_merkle::BlobDigest;

use super::exchange;
use crate::support::{Place, Server, object_in};

const PROJECT: &str = r"
== project.conf
name: kept
min-version: 2.0
element-path: elements
== elements/one.bst
kind: import
sources:
- kind: local
  path: files
== files/content
content that is kept
== elements/all.bst
kind: stack
depends:
- one.bst
";

/// What a command says, with a user's configuration, which must succeed.
fn run(place: &Place, cache: &str, config: &str, arguments: &[&str]) -> String {
    let file = place.home().join(format!("{cache}.conf"));
    fs::write(&file, config).unwrap();
    exchange::run(exchange::ours(place, &file, cache).args(arguments))
}

/// Whether the content of the project's only file is in a cache directory.
fn has_content(cache: &Path) -> bool {
    let content = BlobDigest::of(b"content that is kept\n").hex();
    object_in(cache, &content).is_file()
}

fn contents_are_kept_at(storage: &Server) {
    let place = Place::bare(PROJECT);
    let own = format!("cache: {{storage-service: {{url: '{}'}}}}\n", storage.url());
    let said = run(&place, "one", &own, &["build", "all.bst"]);
    assert!(said.contains("2 built"), "{said}");
    assert!(has_content(&storage.cache()), "{said}");

    // What has gone since is brought back, and not built again.
    let one = place.cache().with_file_name("one");
    fs::remove_dir_all(one.join("cas/objects")).unwrap();
    let said = run(&place, "one", &own, &["build", "all.bst"]);
    assert!(said.contains("0 built"), "{said}");

    // Another machine finds it there, if a server tells it the name.
    let index = Server::ours();
    let both = format!(
        "{own}artifacts: {{servers: [{{url: '{}', type: index, push: true}}]}}\n",
        index.url()
    );
    // What nobody needed has not come back yet.
    for act in ["pull", "push"] {
        let arguments = ["artifact", act, "--deps", "all", "all.bst"];
        run(&place, "one", &both, &arguments);
    }
    assert!(!has_content(&index.cache()), "an index keeps no contents");
    let said = run(&place, "two", &both, &["build", "all.bst"]);
    assert!(said.contains("0 built"), "{said}");
    assert!(has_content(&place.cache().with_file_name("two")), "{said}");
}

#[test]
fn contents_are_kept_at_our_server() {
    contents_are_kept_at(&Server::ours());
}

#[test]
fn contents_are_kept_at_the_real_one() {
    contents_are_kept_at(&Server::real());
}
