//! What sources say of their provenance, and the manifest that is made of it.

use super::{run, show_alike};
use crate::support::{BuildStream, Place};

const PROJECT: &str = r#"
== project.conf
name: e2e
min-version: 2.5
element-path: elements
aliases: {here: 'file://%{project-root}/'}
source-provenance-attributes: {homepage: where it lives, license: what it costs}
plugins:
- origin: pip
  package-name: buildstream-plugins-community
  elements: [collect_manifest]
  sources: [zip, patch_queue, git_repo]
- origin: pip
  package-name: buildstream-plugins
  sources: [patch]
== files/one
one
== files/two-1.2.3.txt
two
== files/change.patch
--- a/one
+++ b/one
@@ -1 +1 @@
-one
+another
== elements/base.bst
kind: import
sources:
- kind: local
  path: files
  provenance: {homepage: 'https://example.com', license: MIT}
- kind: remote
  url: here:files/two-1.2.3.txt
  ref: 27dd8ed44a83ff94d557f9fd0412ed5a8cbca69ea04922d88c01184a07300a5a
- kind: patch
  path: files/change.patch
public: {cpe: {product: base, version: 1.0}}
== elements/more.bst
kind: import
sources: [{kind: local, path: files, directory: below}]
depends: [base.bst]
== elements/manifest.bst
kind: collect_manifest
build-depends: [more.bst]
config: {path: /usr/manifest.json}
== elements/spdx.bst
kind: collect_manifest
build-depends: [base.bst]
config: {path: /usr/spdx.json, output-type: spdx, spdx-info: {name: all, created: 0, doc-namespace: 'https://example.com/spdx'}}
== elements/again.bst
kind: collect_manifest
build-depends: [manifest.bst]
config: {path: /usr/again.json}
== elements/all.bst
kind: stack
depends: [manifest.bst, spdx.bst, again.bst]
"#;

#[test]
fn sources_say_what_they_are_as_in_buildstream() {
    let place = Place::bare(PROJECT);
    let bst = BuildStream::beside(&place, "cache-of-buildstream");
    let show = ["show", "--format", "%{name}: %{source-info}", "more.bst"];
    // Between elements BuildStream leaves lines empty.
    let lines = |text: String| {
        let lines = text.lines().filter(|line| !line.is_empty());
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let shown = lines(run(&place, &show));
    assert_eq!(shown, lines(bst.run(&show)));
    let shown = shown.join("\n");
    for expected in ["license: MIT", "version-guess: 1.2.3", "medium: local"] {
        assert!(shown.contains(expected), "{shown}");
    }
}

#[test]
fn manifests_are_made_as_buildstream_makes_them() {
    let place = Place::bare(PROJECT);
    run(&place, &["build", "all.bst"]);
    let bst = BuildStream::beside(&place, "cache-of-buildstream");
    bst.run(&["build", "all.bst"]);
    let format = "%{name} %{full-key} %{state} %{artifact-cas-digest}";
    show_alike(&place, &bst, format, "all.bst");
}
