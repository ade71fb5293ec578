//! All kinds of elements, with their defaults from packages and from projects.

use crate::compare::check;
use crate::fixture::write;

/// Elements of all kinds that are not in the sample, from the packages' own defaults.
const PACKAGES: &str = r#"
//- project.conf
name: kinds
min-version: 2.0
plugins:
- origin: pip
  package-name: buildstream-plugins
  elements: [pip, setuptools]
- origin: pip
  package-name: buildstream-plugins-community>=2
  elements:
  - cargo
  - makemaker
  - modulebuild
  - pyproject
  - qmake
  - collect_integration
  - collect_manifest
  - check_forbidden
  - flatpak_image
  - flatpak_repo
options:
  arch: {type: arch, description: arch, variable: arch, values: [x86_64, aarch64]}
variables:
  branch: main
elements:
  cargo:
    config:
      install-commands:
        (>): [extra]
//- data/file
data
//- base.bst
kind: import
sources: [{kind: local, path: data}]
public:
  bst: {integration-commands: [ldconfig]}
//- pip.bst
kind: pip
depends: [base.bst]
//- setuptools.bst
kind: setuptools
variables: {python: python3.12}
//- cargo.bst
kind: cargo
variables: {cargo-install-local: --locked}
//- makemaker.bst
kind: makemaker
//- modulebuild.bst
kind: modulebuild
//- pyproject.bst
kind: pyproject
variables: {build-args-local: -x}
//- qmake.bst
kind: qmake
variables: {notparallel: true}
//- integration.bst
kind: collect_integration
build-depends: [base.bst, pip.bst]
config: {script-path: '%{bindir}/post.sh', ignore: [pip.bst, base.bst, pip.bst]}
//- manifest.bst
kind: collect_manifest
build-depends: [base.bst]
config: {path: /manifest.json}
//- spdx.bst
kind: collect_manifest
build-depends: [base.bst]
config:
  output-type: spdx
  use-source-provenance: false
  spdx-info: {creators: [me, you], created: 12, name: '%{project-name}'}
//- nowhere.bst
kind: collect_manifest
build-depends: [base.bst]
//- forbidden.bst
kind: check_forbidden
build-depends: [base.bst]
config: {forbidden: [z.bst, a.bst, z.bst]}
//- platform.bst
kind: flatpak_image
build-depends:
- pip.bst
- filename: base.bst
  config: {location: /}
config:
  directory: '%{prefix}'
  exclude: [devel, debug]
  include: [runtime]
  component-ids: [org.example.Platform]
  metadata:
    Runtime: {name: org.example.Platform, runtime: 'org.example.Platform/%{arch}/%{branch}'}
    Extension org.example.GL: {directory: lib/GL}
//- app.bst
kind: flatpak_image
build-depends: [base.bst]
config: {directory: /app, metadata: {Application: {name: org.example.App}}}
//- images.bst
kind: stack
depends: [platform.bst, app.bst]
//- repo.bst
kind: flatpak_repo
build-depends:
- base.bst
- filename: app.bst
  config: {flatpak-image: true, branch: beta}
- filename: images.bst
  config: {flatpak-stack: true}
config:
  copy-refs: [{src: a/b, dest: c/d}]
//- all.bst
kind: stack
depends: [pip.bst, setuptools.bst, cargo.bst, makemaker.bst, modulebuild.bst, pyproject.bst,
  qmake.bst, integration.bst, manifest.bst, spdx.bst, nowhere.bst, forbidden.bst, repo.bst]
"#;

/// A plugin of the project's own that is like one that is built in, with other defaults.
const OWN: &str = r#"
//- project.conf
name: own
min-version: 2.0
plugins:
- origin: local
  path: plugins
  elements: [make, cmake]
elements:
  make:
    variables: {flags: -x}
//- plugins/make.py
from buildstream import BuildElement


class Make(BuildElement):
    BST_MIN_VERSION = "2.0"


def setup():
    return Make
//- plugins/make.yaml
variables: {flags: '', run: 'other-make %{flags}'}
config: {build-commands: ['%{run}']}
//- plugins/cmake.py
from buildstream import BuildElement


class CMake(BuildElement):
    BST_MIN_VERSION = "2.0"


def setup():
    return CMake
//- a.bst
kind: make
//- b.bst
kind: cmake
build-depends: [a.bst]
"#;

#[test]
fn kinds_of_packages_have_the_same_keys() {
    check(write(PACKAGES).path(), &[], &["all.bst"]);
}

#[test]
fn the_defaults_are_those_of_the_plugin_that_the_project_has() {
    check(write(OWN).path(), &[], &["b.bst"]);
}
