//! Builds that are not strict, beside the real BuildStream's.

use std::path::Path;

use headstart_reapi::{Message, buildstream};

use crate::support::{BuildStream, Place, WITHOUT_RECC, copy_links, headstart, said};

/// base.bst ← lib.bst ← app.bst ← all.bst; image.bst is composed of app.bst, and strict.bst is strict
/// about base.bst.
const PROJECT: &str = r"
== elements/base.bst
kind: import
sources:
- kind: local
  path: files/base
== files/base/usr/share/base
one
== elements/lib.bst
kind: manual
build-depends:
- toolchain.bst
depends:
- base.bst
config:
  install-commands:
  - install -D -m 644 /usr/share/base %{install-root}/usr/share/lib
== elements/app.bst
kind: manual
build-depends:
- toolchain.bst
- lib.bst
sources:
- kind: local
  path: files/app
config:
  install-commands:
  - install -D -m 644 /usr/share/lib %{install-root}/usr/share/app
  - '! grep broken /usr/share/base app'
== files/app/app
app
== elements/strict.bst
kind: manual
build-depends:
- toolchain.bst
- filename: base.bst
  strict: true
config:
  install-commands:
  - install -D -m 644 /usr/share/base %{install-root}/usr/share/strict
== elements/image.bst
kind: compose
build-depends:
- app.bst
== elements/all.bst
kind: stack
depends:
- app.bst
- image.bst
- strict.bst
";

struct Both {
    place: Place,
    theirs: BuildStream,
}

impl Both {
    /// A project that is built, strictly, in two caches.
    fn new() -> Self {
        let place = Place::new(PROJECT);
        let theirs = BuildStream::beside(&place, "cache-of-buildstream");
        let both = Self { place, theirs };
        both.build(&["build", "all.bst"]);
        copy_links(&both.place.cache(), both.theirs.cache());
        both
    }

    fn ours(&self, cache: &Path, arguments: &[&str]) -> (i32, String) {
        let mut command = headstart(&self.place.project(), cache, &self.place.home());
        let output = command.args(WITHOUT_RECC).args(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        match arguments.contains(&"show") {
            true => (output.status.code().unwrap(), text),
            false => (output.status.code().unwrap(), said(&output)),
        }
    }

    fn build(&self, arguments: &[&str]) -> String {
        let (code, said) = self.ours(&self.place.cache(), arguments);
        assert_eq!(code, 0, "{said}");
        said
    }

    fn their_build(&self, arguments: &[&str]) {
        self.theirs.run(&[&WITHOUT_RECC[..], arguments].concat());
    }

    /// What is shown of all elements in each mode, of one cache: both must show the same.
    fn shown(&self, cache: &Path) -> [String; 2] {
        let peer = BuildStream::new(&self.place.project(), cache, &self.place.home());
        ["--strict", "--no-strict"].map(|mode| {
            let format = "%{name} %{state} %{full-key} %{key}";
            let mut all = String::new();
            for deps in ["all", "none"] {
                let show = [
                    mode, "show", "--deps", deps, "--format", format, "all.bst", "app.bst",
                ];
                let (code, ours) = self.ours(cache, &show);
                assert_eq!(code, 0, "{ours}");
                assert_eq!(
                    ours,
                    peer.run(&[&WITHOUT_RECC[..], &show].concat()),
                    "{mode} {deps}"
                );
                if deps == "all" {
                    all = ours;
                }
            }
            all
        })
    }

    /// Artifacts by element and key, with what does not tell one build from another left out.
    fn artifacts(&self, cache: &Path) -> Vec<(String, buildstream::Artifact)> {
        let refs = cache.join("artifacts/refs/e2e");
        let mut found = Vec::new();
        for element in ["base", "lib", "app", "strict", "image", "all"] {
            for entry in std::fs::read_dir(refs.join(element)).unwrap() {
                let entry = entry.unwrap();
                let bytes = std::fs::read(entry.path()).unwrap();
                let artifact: buildstream::Artifact = Message::decode(&*bytes).unwrap();
                let name = format!("{element}/{}", entry.file_name().into_string().unwrap());
                let kept = buildstream::Artifact {
                    logs: Vec::new(),
                    public_data: None,
                    low_diversity_meta: None,
                    high_diversity_meta: None,
                    speculative_actions: None,
                    ..artifact
                };
                found.push((name, kept));
            }
        }
        found.sort_by(|left, right| left.0.cmp(&right.0));
        found
    }
}

fn state<'a>(shown: &'a str, element: &str) -> &'a str {
    let line = shown
        .lines()
        .find(|line| line.starts_with(element))
        .unwrap();
    line.split(' ').nth(1).unwrap()
}

#[test]
fn states_keys_and_artifacts_are_buildstreams() {
    let both = Both::new();
    let caches = [both.place.cache(), both.theirs.cache().to_owned()];
    both.shown(&caches[0]);

    // A low element changes: what is built with it counts as cached all the same, unless its kind or
    // its dependency is strict.
    both.place.write("files/base/usr/share/base", "two");
    let [strict, weak] = both.shown(&caches[0]);
    assert_eq!(
        ["lib.bst", "app.bst"].map(|it| state(&strict, it)),
        ["waiting"; 2]
    );
    for (element, expected) in [
        ("base.bst", "buildable"),
        ("lib.bst", "cached"),
        ("app.bst", "cached"),
        ("strict.bst", "waiting"),
    ] {
        assert_eq!(state(&weak, element), expected, "{weak}");
    }
    let said = both.build(&["--no-strict", "build", "--deps", "all", "all.bst"]);
    assert!(
        said.contains("built    base.bst") && !said.contains("built    lib.bst"),
        "{said}"
    );
    both.their_build(&["--no-strict", "build", "--deps", "all", "all.bst"]);
    assert_eq!(both.artifacts(&caches[0]), both.artifacts(&caches[1]));
    let shown = both.shown(&caches[0]);
    assert_eq!(shown, both.shown(&caches[1]));

    // A build on top of what is not as it would be now.
    both.place.write("files/app/app", "changed");
    both.shown(&caches[0]);
    both.build(&["--no-strict", "build", "--deps", "all", "all.bst"]);
    both.their_build(&["--no-strict", "build", "--deps", "all", "all.bst"]);
    assert_eq!(both.artifacts(&caches[0]), both.artifacts(&caches[1]));
    let shown = both.shown(&caches[0]);
    assert_eq!(shown, both.shown(&caches[1]));
    assert!(
        shown[1].lines().all(|line| line.contains(" cached ")),
        "{}",
        shown[1]
    );

    // Strictly, everything is built anew; and then both modes see the same.
    both.build(&["build", "--deps", "all", "all.bst"]);
    both.their_build(&["build", "--deps", "all", "all.bst"]);
    assert_eq!(both.artifacts(&caches[0]), both.artifacts(&caches[1]));
    let shown = both.shown(&caches[0]);
    assert_eq!(shown[0], shown[1]);
}

#[test]
fn what_failed_with_other_dependencies_is_tried_again() {
    let both = Both::new();
    let fails = |cache: &Path| {
        let (code, said) = both.ours(cache, &["--no-strict", "build", "app.bst"]);
        assert_eq!(code, 255, "{said}");
    };
    both.place.write("files/app/app", "broken");
    fails(&both.place.cache());
    let [_, weak] = both.shown(&both.place.cache());
    assert_eq!(state(&weak, "app.bst"), "failed", "{weak}");
    // As nothing has changed it is not tried again.
    let (_, said) = both.ours(&both.place.cache(), &["--no-strict", "build", "app.bst"]);
    assert!(said.contains("in an earlier build"), "{said}");
    both.place.write("files/base/usr/share/base", "two");
    let (_, said) = both.ours(&both.place.cache(), &["--no-strict", "build", "app.bst"]);
    assert!(!said.contains("in an earlier build"), "{said}");
    assert!(said.contains("building app.bst"), "{said}");
}

#[test]
fn the_configuration_says_whether_builds_are_strict() {
    let both = Both::new();
    both.place.write("files/base/usr/share/base", "two");
    let config = both.place.home().join(".config/buildstream.conf");
    std::fs::write(config, "projects: {e2e: {strict: false}}\n").unwrap();
    let cache = both.place.cache();
    let show = ["show", "--deps", "none", "--format", "%{state}", "app.bst"];
    assert_eq!(both.ours(&cache, &show).1, "cached\n");
    let strict = [&["--strict"], &show[..]].concat();
    assert_eq!(both.ours(&cache, &strict).1, "waiting\n");
}
