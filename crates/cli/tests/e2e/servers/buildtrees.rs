//! What builds have left goes to servers, and comes from there where it is wanted.

use std::fs;
use std::process::Command;

use super::exchange::{configure, ours, run, theirs};
use crate::support::{Place, Server, WITHOUT_RECC, output, said};

const PROJECT: &str = "
== elements/tool.bst
kind: manual
build-depends:
- toolchain.bst
config:
  build-commands:
  - echo left > left
  install-commands:
  - mkdir -p %{install-root}/usr
  - cp left %{install-root}/usr/installed
";

const PULLING: &str = "--pull-buildtrees";

/// One of the programs, with a cache of a name.
type Program<'a> = &'a dyn Fn(&str) -> Command;

/// What one program has pushed with what its build has left, the other finds.
fn exchanged(server: &Server, place: &Place, pushing: Program<'_>, pulling: Program<'_>) {
    let config = configure(place, "servers.conf", server);
    let mut build = place.headstart();
    build.args(WITHOUT_RECC);
    run(build.args(["build", "--cache-buildtrees", "always", "tool.bst"]));
    // From the cache of the place.
    run(pushing("cache").args(["artifact", "push", "tool.bst"]));

    let look = ["shell", "--use-buildtree", "tool.bst", "--", "true"];
    let pull = ["artifact", "pull", "tool.bst"];
    run(pulling("without").args(pull));
    let refused = output(pulling("without").args(look));
    let text = said(&refused).to_lowercase();
    assert_eq!(refused.status.code(), Some(255), "{text}");
    assert!(
        text.contains("not cached locally") || text.contains("not in the cache"),
        "{text}"
    );
    // What lacks a part can't be given to others.
    let pushed = output(pulling("without").args(["artifact", "push", "tool.bst"]));
    assert!(!said(&pushed).contains("1 pushed"), "{}", said(&pushed));

    // Where it is wanted, it is brought for the command that needs it, and with what is pulled.
    for cache in ["without", "with"] {
        let mut shell = pulling(cache);
        shell.arg(PULLING).args(&look[..4]);
        let text = run(shell.args(["cat", "left"]));
        assert!(text.starts_with("left\n"), "{text}");
    }
    run(pulling("pulled").arg(PULLING).args(pull));
    fs::remove_file(&config).unwrap();
    fs::write(&config, "").unwrap();
    let text = run(pulling("pulled").args(&look[..4]).args(["cat", "left"]));
    assert!(text.starts_with("left\n"), "{text}");
}

fn with<'a>(
    place: &'a Place,
    program: impl Fn(&Place, &std::path::Path, &str) -> Command + 'a,
) -> impl Fn(&str) -> Command + 'a {
    move |cache| {
        let mut command = program(place, &place.home().join("servers.conf"), cache);
        command.args(WITHOUT_RECC);
        command
    }
}

#[test]
fn what_our_builds_have_left_buildstream_pulls() {
    let place = Place::new(PROJECT);
    let (pushing, pulling) = (with(&place, ours), with(&place, theirs));
    exchanged(&Server::ours(), &place, &pushing, &pulling);
}

#[test]
fn what_buildstream_pushes_with_build_trees_is_pulled() {
    let place = Place::new(PROJECT);
    let (pushing, pulling) = (with(&place, theirs), with(&place, ours));
    exchanged(&Server::real(), &place, &pushing, &pulling);
}

#[test]
fn artifacts_go_and_come_by_their_own_names() {
    let server = Server::ours();
    let place = Place::bare(super::exchange::PROJECT);
    let config = configure(&place, "servers.conf", &server);
    let ours = |cache: &str| ours(&place, &config, cache);
    run(theirs(&place, &config, "theirs").args(["build", "base.bst"]));
    let shown = run(ours("one").args([
        "show",
        "--deps",
        "none",
        "--format",
        "%{full-key}",
        "base.bst",
    ]));
    let name = format!("shared/base/{}", shown.lines().next().unwrap());
    let show = ["artifact", "show", &name];
    assert!(run(ours("one").args(show)).contains("available"));
    let said = run(ours("one").args(["artifact", "pull", &name]));
    assert!(said.contains("1 pulled, 0 here already"), "{said}");
    assert!(run(ours("one").args(show)).contains(" cached"));
    // Two of them: to a directory, and right from the server to a compressed tar.
    let out = place.home().join("out");
    run(ours("one")
        .args(["artifact", "checkout", &name, "--directory"])
        .arg(&out));
    assert_eq!(
        fs::read_to_string(out.join("usr/share/base")).unwrap(),
        "base\n"
    );
    let tar = place.home().join("out.tar.xz");
    let packed = [
        "artifact",
        "checkout",
        "base.bst",
        "--compression",
        "xz",
        "--tar",
    ];
    run(ours("two").args(packed).arg(&tar));
    let mut list = Command::new("tar");
    assert!(run(list.arg("-tJf").arg(&tar)).contains("usr/share/base"));
    let theirs_log = run(theirs(&place, &config, "theirs").args(["artifact", "log", &name]));
    let log = run(ours("one").args(["artifact", "log", &name]));
    assert!(
        theirs_log.starts_with(&log) && log.contains("SUCCESS"),
        "{log}"
    );

    // To another server, by name too.
    let other = Server::ours();
    let remote = format!("--artifact-remote=url={},push=true", other.url());
    let said = run(ours("one").args(["artifact", "push", &remote, &name]));
    assert!(said.contains("1 pushed"), "{said}");
    let mut pull = theirs(&place, &config, "more-of-theirs");
    run(pull.args([
        "artifact",
        "pull",
        &format!("--artifact-remote={}", other.url()),
        &name,
    ]));
}
