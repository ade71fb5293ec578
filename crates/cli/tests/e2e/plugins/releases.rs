//! Kinds of sources that are built in, in projects that have one or the other release of their plugins, or
//! plugins of their own by the same names.

use std::fs;
use std::path::Path;

use super::run;
use crate::support::{BuildStream, COMMUNITY, Place, earlier_plugins, output, plugins_of, said};

/// Each kind of sources that the packages have and that is built in.
const PROJECT: &str = r"
== project.conf
name: releases
min-version: 2.0
element-path: elements
plugins:
- {origin: local, path: own/sources, sources: [bzr, docker, git, patch]}
- origin: local
  path: community/sources
  sources: [cargo2, cpan, gen_cargo_lock, git_module, git_repo, git_tag, go_module, ostree, patch_queue, pypi, zip]
== files/text
one
== patches/first.patch
--- a/text
+++ b/text
@@ -1 +1 @@
-one
+two
== elements/all.bst
kind: import
sources:
- {kind: local, path: files}
- {kind: bzr, url: 'https://example.org/b', track: main, ref: '7'}
- {kind: docker, registry-url: 'https://example.org', image: a/b, ref: SHA256}
- {kind: git, url: 'https://example.org/g', ref: SHA1, checkout-submodules: false}
- {kind: patch, path: patches/first.patch}
- {kind: patch_queue, path: patches}
- kind: cargo2
  ref: [{kind: registry, name: a, version: 1.0.0, sha: SHA256}]
- {kind: cpan, name: 'A::B', suffix: authors/id/A/A.tar.gz, sha256sum: SHA256}
- {kind: gen_cargo_lock, ref: YQo=}
- {kind: git_repo, url: 'https://example.org/g', ref: v1-2-gSHA1}
- {kind: git_tag, url: 'https://example.org/g', track: main, ref: SHA1}
- {kind: git_module, url: 'https://example.org/m', path: m, ref: SHA1}
- {kind: go_module, url: 'https://example.org/g', module: example.org/g, ref: {go-version: v1.0.0, git-ref: SHA1, explicit: true}}
- {kind: ostree, url: 'https://example.org/o', ref: SHA256}
- {kind: pypi, name: a, ref: {sha256sum: SHA256, suffix: aa/a.tar.gz}}
- {kind: zip, url: 'https://example.org/z', ref: SHA256}
";

const SHOW: [&str; 4] = ["show", "--format", "%{name} %{full-key}", "all.bst"];

/// A project with the plugins in a folder, and a BuildStream for it.
fn place(community: &Path) -> (Place, BuildStream) {
    let text = PROJECT
        .replace("SHA256", &"ab".repeat(32))
        .replace("SHA1", &"cd".repeat(20));
    let place = Place::bare(&text);
    let own = plugins_of("buildstream_plugins");
    place.copy(&own, "own");
    place.copy(community, "community");
    let bst = BuildStream::beside(&place, "cache-of-buildstream");
    (place, bst)
}

#[test]
fn what_is_built_in_makes_the_keys_of_all_releases() {
    for community in [plugins_of(COMMUNITY), earlier_plugins()] {
        let (place, bst) = place(&community);
        let shown = output(place.headstart().args(SHOW));
        assert!(shown.status.success(), "{}", said(&shown));
        assert_eq!(String::from_utf8_lossy(&shown.stdout), bst.run(&SHOW));
        // No Python was needed for that.
        assert!(!said(&shown).contains("is built in"), "{}", said(&shown));
    }
}

#[test]
fn a_plugin_that_makes_other_keys_is_not_taken_for_the_built_in_one() {
    let (place, bst) = place(&plugins_of(COMMUNITY));
    let before = run(&place, &SHOW);
    for (kind, old, new) in [
        ("cargo2", "            \"a\",\n", "            \"x\",\n"),
        ("git_repo", "\"bugfix\": 1", "\"bugfix\": 2"),
    ] {
        let file = place.project().join(format!("community/sources/{kind}.py"));
        let code = fs::read_to_string(&file).unwrap();
        assert_eq!(code.matches(old).count(), 1, "{kind}");
        fs::write(&file, code.replace(old, new)).unwrap();
        let hosted = run(&place, &SHOW);
        assert_eq!(hosted, bst.run(&SHOW), "{kind}");
        assert_ne!(hosted, before, "{kind}");
        // Where nobody runs it, that is told.
        let alone = said(&output(place.headstart().args(SHOW)));
        let told =
            format!("the source kind '{kind}' is built in, and the plugin in 'community/sources'");
        assert!(alone.contains(&told), "{alone}");
        // What it does besides is of no account.
        fs::write(&file, format!("# Mine.\n{code}")).unwrap();
        assert_eq!(run(&place, &SHOW), before, "{kind}");
        let alone = said(&output(place.headstart().args(SHOW)));
        assert!(!alone.contains("is built in"), "{alone}");
    }
}
