//! Kinds that collect what is built before them: the same artifacts as BuildStream's.

use crate::support::{Place, output, said};

const PROJECT: &str = r##"
== project.conf
name: e2e
min-version: 2.0
element-path: elements
plugins:
- origin: pip
  package-name: buildstream-plugins-community
  elements: [collect_integration, check_forbidden, flatpak_image]
- origin: local
  path: plugins
  elements: [collect_initial_scripts]
== plugins/collect_initial_scripts.py
import os
import re

from buildstream import Element


class Scripts(Element):
    BST_MIN_VERSION = "2.0"
    BST_FORBID_RDEPENDS = True
    BST_FORBID_SOURCES = True

    def configure(self, node):
        self.path = node.get_str("path")

    def preflight(self):
        pass

    def get_unique_key(self):
        return {"path": self.path}

    def configure_sandbox(self, sandbox):
        pass

    def stage(self, sandbox):
        pass

    def assemble(self, sandbox):
        number = 0
        root = sandbox.get_virtual_directory()
        for dependency in self.dependencies():
            data = dependency.get_public_data("initial-script")
            if not data:
                continue
            number += 1
            name = "%03d-%s" % (number, re.sub("[^A-Za-z0-9]", "_", dependency.name))
            folder = root.open_directory(self.path.strip("/"), create=True)
            with folder.open_file(name, mode="w") as script:
                script.write(data.get_str("script"))
                os.chmod(script.fileno(), 0o755)
        return "/"


def setup():
    return Scripts
== files/etc/conf
configured
== files/usr/lib/libx.so
library
== files/usr/include/x.h
header
== files/usr/share/readme
Read me.
== elements/base.bst
kind: import
sources: [{kind: local, path: files}]
public:
  bst: {integration-commands: [ldconfig, 'echo "%{prefix}"']}
  initial-script: {script: "#!/bin/sh\ntouch %{prefix}/first"}
== elements/more.bst
kind: import
sources: [{kind: local, path: files/usr/share}]
depends: [base.bst]
public:
  bst: {integration-commands: []}
  initial-script: {script: "second"}
== elements/hidden.bst
kind: import
sources: [{kind: local, path: files/etc}]
public: {bst: {integration-commands: [hidden]}}
== elements/integration.bst
kind: collect_integration
build-depends: [more.bst, hidden.bst]
config: {script-path: /usr/libexec/post.sh, ignore: [hidden.bst]}
== elements/scripts.bst
kind: collect_initial_scripts
build-depends: [more.bst, hidden.bst]
config: {path: /etc/scripts}
== elements/allowed.bst
kind: check_forbidden
build-depends: [more.bst]
config: {forbidden: [hidden.bst]}
== elements/runtime.bst
kind: flatpak_image
build-depends: [base.bst]
config:
  directory: '%{prefix}'
  exclude: [devel]
  metadata:
    Runtime: {name: org.example.Platform, runtime: org.example.Platform/x86_64/1}
    Extension org.example.GL: {directory: lib/GL, version: '1'}
== elements/app.bst
kind: flatpak_image
build-depends: [base.bst]
config: {directory: /usr, metadata: {Application: {name: org.example.App}}}
== elements/all.bst
kind: stack
depends: [integration.bst, scripts.bst, allowed.bst, runtime.bst, app.bst]
== elements/forbidden.bst
kind: check_forbidden
build-depends: [more.bst]
config: {forbidden: [base.bst]}
"##;

#[test]
fn what_is_collected_is_what_buildstream_collects() {
    let place = Place::bare(PROJECT);
    place.build("all.bst", "full");
    let built = output(place.bst().args(["build", "all.bst"]));
    assert!(built.status.success(), "{}", said(&built));
    let format = "%{name} %{full-key} %{state} %{artifact-cas-digest}";
    let show = ["show", "--format", format, "all.bst"];
    let ours = place.headstart().args(show).output().unwrap();
    let theirs = output(place.bst().args(show));
    assert_eq!(
        String::from_utf8(ours.stdout).unwrap(),
        String::from_utf8(theirs.stdout).unwrap()
    );
}

#[test]
fn what_is_forbidden_is_named_with_the_way_to_it() {
    let place = Place::bare(PROJECT);
    let (output, _) = place.try_build("forbidden.bst", "full");
    assert!(
        said(&output).contains("'base.bst' is forbidden: more.bst -> base.bst"),
        "{}",
        said(&output)
    );
}
