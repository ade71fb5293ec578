//! What artifacts say of their elements, and what is shown of elements: BuildStream's, to the byte.

use std::fs;
use std::path::Path;

use headstart_reapi::{Message as _, buildstream};

use crate::support::{BuildStream, Place, WITHOUT_RECC, object_in};

/// Values of all sorts, in all the places that metadata is made of.
const PROJECT: &str = r##"
== elements/files.bst
kind: import
sources: [{kind: local, path: files}]
config: {target: '/usr/share/%{element-name}'}
variables:
  odd: "it's: #1"
  yes-or-no: yes
  number: 0x1F
  spaced: ' a '
  lines: |
    one
      two
  "empty": ""
  tab: "a\tb"
  percent: '%{odd} %{number}'
  dash: '- x'
  words: "é \U0001F980 \x7f"
public:
  bst:
    integration-commands:
    - |
      touch /integrated
      echo "it's %{odd}"
    - 'true'
    split-rules: {some: [/usr/share, '#'], devel: {(>): [/more]}}
    overlap-whitelist: ['*', '']
  other: {empty: {}, list: [], nested: [[a, [b]], {c: d, e: [f]}], text: ''}
== files/text
hello
== files/more
hello
== elements/made.bst
kind: manual
description: Made
build-depends: [toolchain.bst, files.bst]
environment: {ZED: 'off', ALPHA: "1", QUOTED: "'", BLANK: ''}
environment-nocache: [ZED]
sandbox: {build-uid: 7, build-gid: 8}
config:
  install-commands:
  - |
    mkdir -p %{install-root}
    echo $ALPHA "$QUOTED" > %{install-root}/out
== elements/composed.bst
kind: compose
build-depends: [files.bst, made.bst]
config: {integrate: false}
public: {bst: {split-rules: {}}}
== elements/filtered.bst
kind: filter
build-depends: [files.bst]
config: {include: [some], pass-integration: true}
== elements/stack.bst
kind: stack
depends: [filtered.bst, composed.bst]
== elements/scripted.bst
kind: script
build-depends:
- filename: toolchain.bst
- filename: files.bst
  config: {location: /here}
config: {commands: ['cp /here/usr/share/files.bst/text %{install-root}/']}
== elements/everything.bst
kind: stack
depends: [stack.bst, made.bst, scripted.bst]
"##;

/// The texts of an artifact in a cache: environment and sandbox, variables, public data.
fn texts(cache: &Path, element: &str, key: &str) -> [String; 3] {
    let file = cache.join("artifacts/refs/e2e").join(element).join(key);
    let artifact = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let artifact = buildstream::Artifact::decode(&*artifact).unwrap();
    let texts = [
        artifact.low_diversity_meta,
        artifact.high_diversity_meta,
        artifact.public_data,
    ];
    texts.map(|digest| {
        let digest = digest.unwrap();
        fs::read_to_string(object_in(cache, &digest.hash)).unwrap()
    })
}

#[test]
fn metadata_and_what_is_shown_of_it_are_buildstreams() {
    let place = Place::new(PROJECT);
    let bst = BuildStream::beside(&place, "cache-of-buildstream");
    let ours = |arguments: &[&str]| place.run(&[&WITHOUT_RECC[..], arguments].concat());
    let theirs = |arguments: &[&str]| bst.run(&[&WITHOUT_RECC[..], arguments].concat());
    for format in [
        "%{name}\n%{vars}",
        "%{name}\n%{env}",
        "%{name}\n%{public}",
        "%{name}\n%{config}",
        "%{name} %{kind} %{description} %{workspaced} %{key: >12}\n%{deps}\n%{build-deps}\n%{runtime-deps}",
    ] {
        let show = ["show", "--format", format, "everything.bst"];
        assert_eq!(ours(&show), theirs(&show), "{format}");
    }
    ours(&["build", "everything.bst"]);
    theirs(&["build", "everything.bst"]);
    let show = ["show", "--format", "%{name} %{full-key}", "everything.bst"];
    let shown = ours(&show);
    assert_eq!(shown, theirs(&show));
    // The compiler's artifact was there before, made with other options that are no part of its key.
    let made_here = |line: &&str| !line.starts_with("toolchain.bst");
    for line in shown.lines().filter(made_here) {
        let (name, key) = line.split_once(' ').unwrap();
        let element = name.strip_suffix(".bst").unwrap().replace('/', "-");
        let [ours, theirs] = [&place.cache(), bst.cache()].map(|cache| texts(cache, &element, key));
        assert_eq!(ours, theirs, "{name}");
    }
    assert!(shown.lines().count() > 6, "{shown}");
}
