//! Modules of Go: the same keys, refs and trees as BuildStream's plugin makes of them, whichever release of it
//! a project has.

use std::fs;

use crate::support::{
    BuildStream, COMMUNITY, Place, Upstream, earlier_plugins, output, plugins_of, said,
};

/// Sources that ask for modules in all ways that lead to other commits, directories or lines of the list.
const PROJECT: &str = r#"
== project.conf
name: go
min-version: 2.4
element-path: elements
aliases: {repos: 'REPOS'}
plugins:
- {origin: local, path: plugins/sources, sources: [go_module]}
== go/go.mod
module example.org/main

go 1.20

require (
	github.com/example/part v1.2.0
	github.com/example/part/v2 v2.1.0
	github.com/example/many/tools v0.3.0
	github.com/example/old v2.0.0+incompatible // indirect
	REPLACED v1.0.0
)
REPLACE
== go/go.sum
github.com/example/part v1.2.0 h1:abc=
github.com/example/part v1.2.0/go.mod h1:def=
github.com/example/part/v2 v2.1.0 h1:abc=
github.com/example/many/tools v0.3.0/go.mod h1:abc=
github.com/example/many/tools v0.3.0 h1:abc=
github.com/example/old v2.0.0+incompatible h1:abc=
github.com/example/loose v0.0.0-20210105120005-LOOSE h1:abc=
github.com/example/fork v1.0.0 h1:abc=
== elements/modules.bst
kind: import
sources:
- {kind: local, path: go}
- {kind: go_module, url: 'repos:part', module: github.com/example/part}
- {kind: go_module, url: 'repos:part', module: github.com/example/part/v2}
- {kind: go_module, url: 'repos:many', module: github.com/example/many/tools}
- {kind: go_module, url: 'repos:old', module: github.com/example/old}
- {kind: go_module, url: 'repos:loose', module: github.com/example/loose}
- {kind: go_module, url: 'repos:fork', module: github.com/example/fork}
== elements/below.bst
kind: import
sources:
- {kind: local, path: go, directory: src}
- kind: go_module
  url: repos:part
  module: github.com/example/part
  directory: src
"#;

fn repositories(upstream: &Upstream) -> String {
    let tag = |name: &str, tag: &str| {
        let repository = upstream.repository(name);
        repository.git(&["tag", "--annotate", tag, "--message", tag]);
    };
    upstream
        .repository("part")
        .write("go.mod", "module github.com/example/part\n\ngo 1.20\n")
        .write("part.go", "package part\n")
        .write("inner/deep/deep.go", "package deep\n")
        .write("inner/inner.txt", "text\n")
        .write("b/b.go", "package b\n")
        .commit("part");
    tag("part", "v1.2.0");
    upstream
        .repository("part")
        .write("v2/go.mod", "module github.com/example/part/v2\n")
        .write("v2/part.go", "package part\n")
        .commit("two");
    tag("part", "v2.1.0");
    upstream
        .repository("many")
        .write(
            "tools/go.mod",
            "go 1.18\nmodule github.com/example/many/tools\n",
        )
        .write("tools/tool.go", "package tools\n")
        .write("other.go", "package other\n")
        .commit("many");
    tag("many", "tools/v0.3.0");
    upstream
        .repository("old")
        .write("old.go", "package old\n")
        .commit("old");
    tag("old", "v2.0.0");
    upstream
        .repository("fork")
        .write("go.mod", "module github.com/example/forked\ngo 1.21\n")
        .write("fork.go", "package fork\n")
        .commit("fork");
    tag("fork", "v1.0.0");
    let loose = upstream.repository("loose");
    loose.write("loose.go", "package loose\n").commit("loose");
    loose.write("more.go", "package loose\n").commit("more")
}

/// A project with a release of the plugin, and a BuildStream for it.
fn place(upstream: &Upstream, earlier: bool, loose: &str) -> (Place, BuildStream) {
    let (replaced, replace) = match earlier {
        // It does not know of replacements.
        true => ("github.com/example/fork", ""),
        false => (
            "github.com/example/forked",
            "replace github.com/example/forked v1.0.0 => github.com/example/fork v1.0.0",
        ),
    };
    let text = PROJECT
        .replace("REPOS", &upstream.git_url())
        .replace("REPLACED", replaced)
        .replace("REPLACE", replace)
        .replace("LOOSE", &loose[..12]);
    let place = Place::bare(&text);
    let release = match earlier {
        true => earlier_plugins(),
        false => plugins_of(COMMUNITY),
    };
    place.copy(&release, "plugins");
    let bst = BuildStream::beside(&place, "cache-of-buildstream");
    (place, bst)
}

/// Has both programs track and build an element, ours without any Python; gives the list of modules.
fn tracked_and_built(place: &Place, bst: &BuildStream, name: &str, list: &str) -> String {
    let element = place.project().join("elements").join(name);
    let written = fs::read_to_string(&element).unwrap();
    bst.run(&["source", "track", name]);
    let theirs = fs::read_to_string(&element).unwrap();
    fs::write(&element, &written).unwrap();
    place.run(&["source", "track", name]);
    let ours = fs::read_to_string(&element).unwrap();
    // What is quoted is as much a matter of taste as where lines end.
    let words = |text: &str| {
        let words = text.split_whitespace();
        words.map(|word| word.replace('\'', "")).collect::<Vec<_>>()
    };
    assert_eq!(words(&ours), words(&theirs));
    let show = ["show", "--format", "%{name} %{full-key}", name];
    let key = place.run(&show);
    assert_eq!(key, bst.run(&show));
    fs::write(&element, &theirs).unwrap();
    assert_eq!(key, place.run(&show), "{ours}\n{theirs}");

    bst.run(&["build", name]);
    place.run(&["build", name]);
    let show = ["show", "--format", "%{state} %{artifact-cas-digest}", name];
    let shown = place.run(&show);
    assert_eq!(shown, bst.run(&show));
    assert!(shown.starts_with("cached "), "{shown}");
    let out = place.home().join(format!("out-of-{name}"));
    let to = out.to_str().unwrap();
    place.run(&["artifact", "checkout", name, "--directory", to]);
    fs::read_to_string(out.join(list)).unwrap()
}

#[test]
fn modules_are_tracked_and_staged_as_buildstream_does_it() {
    let upstream = Upstream::start();
    let loose = repositories(&upstream);
    let (place, bst) = place(&upstream, false, &loose);
    let listed = tracked_and_built(&place, &bst, "modules.bst", "vendor/modules.txt");
    let expected = "\
# github.com/example/part v1.2.0
## explicit; go 1.20
github.com/example/part
github.com/example/part/b
github.com/example/part/inner/deep
# github.com/example/part/v2 v2.1.0
## explicit
github.com/example/part/v2
# github.com/example/many/tools v0.3.0
## explicit; go 1.18
github.com/example/many/tools
# github.com/example/old v2.0.0+incompatible
## explicit
github.com/example/old
# github.com/example/loose
github.com/example/loose
# github.com/example/forked v1.0.0 => github.com/example/fork v1.0.0
## explicit
";
    assert_eq!(listed, expected);
    let below = tracked_and_built(&place, &bst, "below.bst", "src/vendor/modules.txt");
    assert!(expected.starts_with(&below), "{below}");

    // What earlier releases have written is of no account, but for keys.
    place.edit(
        "elements/below.bst",
        "git-ref:",
        "explicit: false\n    git-ref:",
    );
    let show = ["show", "--format", "%{name} %{full-key}", "below.bst"];
    assert_eq!(place.run(&show), bst.run(&show));
    let said = said(&output(place.headstart().args(show)));
    assert!(
        said.contains("'explicit' is deprecated and ignored"),
        "{said}"
    );
}

#[test]
fn modules_are_those_of_the_plugin_that_a_project_has() {
    let upstream = Upstream::start();
    let loose = repositories(&upstream);
    let (place, bst) = place(&upstream, true, &loose);
    let listed = tracked_and_built(&place, &bst, "modules.bst", "vendor/modules.txt");
    let end = "\
# github.com/example/loose
github.com/example/loose
# github.com/example/fork v1.0.0
## explicit; go 1.21
github.com/example/fork
";
    assert!(listed.ends_with(end), "{listed}");

    // Another one is nobody's: it can't be run here, and that is told.
    let plugin = place.project().join("plugins/sources/go_module.py");
    let code = fs::read_to_string(&plugin).unwrap();
    fs::write(&plugin, format!("# Mine.\n{code}")).unwrap();
    let said = said(&output(place.headstart().args(["show", "below.bst"])));
    let told = "the source kind 'go_module' is built in, and the plugin in 'plugins/sources'";
    assert!(said.contains(told), "{said}");
}
