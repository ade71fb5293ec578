//! Servers that are not there, end in the middle, or have something else than they say.

use std::fs;
use std::time::{Duration, Instant};

use headstart_merkle::{BlobDigest, Directory, FileNode, Name, Node};

use crate::support::{Place, Server, object_in, said};

const PROJECT: &str = r"
== project.conf
name: shared
min-version: 2.0
element-path: elements
== elements/one.bst
kind: import
sources:
- kind: local
  path: files
config:
  target: /usr
== files/content
the content
== elements/all.bst
kind: stack
depends:
- one.bst
";

fn configure(place: &Place, server: &Server) -> std::path::PathBuf {
    let path = place.home().join("servers.conf");
    let text = format!(
        "artifacts: {{servers: [{{url: '{}', push: true, connection-config: {{retry-limit: 2, \
         retry-delay: 10, request-timeout: 5}}}}]}}\n",
        server.url()
    );
    fs::write(&path, text).unwrap();
    path
}

fn run(place: &Place, cache: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let cache = place.cache().with_file_name(cache);
    let mut command = crate::support::headstart(&place.project(), &cache, &place.home());
    command
        .arg("--config")
        .arg(place.home().join("servers.conf"));
    let output = command.args(arguments).output().unwrap();
    (output.status.code(), said(&output))
}

#[test]
fn a_build_goes_on_without_a_server_that_is_gone() {
    let place = Place::bare(PROJECT);
    let mut server = Server::ours();
    configure(&place, &server);
    let (code, said) = run(&place, "one", &["build", "all.bst"]);
    assert_eq!(code, Some(0), "{said}");
    server.stop();
    let begun = Instant::now();
    let (code, said) = run(&place, "two", &["build", "all.bst"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "{:?}",
        begun.elapsed()
    );
    assert!(said.contains("2 built"), "{said}");
    let complaints = said.matches("going on without it").count();
    assert_eq!(complaints, 1, "{said}");
    assert!(
        said.contains(&server.url()) && said.contains("UNAVAILABLE"),
        "{said}"
    );
    // A command that is about nothing else fails.
    let (code, said) = run(&place, "two", &["artifact", "push", "all.bst"]);
    assert_eq!(code, Some(255), "{said}");
    assert!(said.contains("UNAVAILABLE"), "{said}");
    server.run();
    let (code, said) = run(
        &place,
        "three",
        &["artifact", "pull", "--deps", "all", "all.bst"],
    );
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("2 pulled"), "{said}");
}

#[test]
fn what_a_server_says_falsely_is_not_believed() {
    let place = Place::bare(PROJECT);
    let server = Server::real();
    configure(&place, &server);
    let (code, said) = run(&place, "one", &["build", "all.bst"]);
    assert_eq!(code, Some(0), "{said}");
    // The content itself is here with the project, what holds it is not.
    let holds = |name: &str, node| Directory {
        entries: [(Name::new(name).unwrap(), node)].into(),
        ..Directory::default()
    };
    let file = FileNode::new(BlobDigest::of(b"the content\n"), false);
    let below = holds("content", Node::File(file)).digest();
    let root = holds("usr", Node::Directory(below));
    let (digest, encoded) = (root.digest(), root.encode());
    server.damage(&digest.hex(), &vec![b'x'; encoded.len()]);
    let (code, said) = run(&place, "two", &["build", "--deps", "all", "all.bst"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("built    one.bst"), "{said}");
    assert!(said.contains(&digest.to_string()), "{said}");
    assert!(said.contains("nothing of it is kept"), "{said}");
    let kept = object_in(&place.cache().with_file_name("two"), &digest.hex());
    assert_eq!(fs::read(kept).unwrap(), encoded);
}

#[test]
fn nothing_can_be_pulled_from_nowhere() {
    let place = Place::bare(PROJECT);
    fs::write(place.home().join("servers.conf"), "").unwrap();
    let (code, said) = run(&place, "one", &["artifact", "pull", "all.bst"]);
    assert_eq!(code, Some(255));
    assert!(
        said.contains("under `artifacts` in buildstream.conf"),
        "{said}"
    );
    let text = "artifacts:\n  servers:\n  - url: nowhere\n";
    fs::write(place.home().join("servers.conf"), text).unwrap();
    let (_, said) = run(&place, "one", &["artifact", "pull", "all.bst"]);
    assert!(said.contains("servers.conf:3:10"), "{said}");
}
