//! Keys of elements whose kinds are plugins of the project, of a project that it is joined to, and of
//! a package.

use super::{run, show_alike};
use crate::support::{BuildStream, Place};

const PROJECT: &str = r#"
== project.conf
name: e2e
min-version: 2.0
element-path: elements
options: {flavour: {type: enum, values: [sweet, sour], default: sweet, description: Taste}}
variables: {taste: '%{flavour-name}', flavour-name: plain}
fatal-warnings: [overlaps]
plugins:
- origin: local
  path: plugins
  elements: [builder, painter, {kind: strict, allow-deprecated: true}]
- origin: junction
  junction: other.bst
  elements: [archive]
- origin: pip
  package-name: buildstream-plugins-community >= 2.0
  elements: [tar_element]
elements:
  painter:
    config: {colours: {red: '1.50', green: 'yes'}}
    variables: {brush: '%{taste}-brush'}
== plugins/builder.py
from buildstream import BuildElement


class Builder(BuildElement):
    BST_MIN_VERSION = "2.0"

    def configure(self, node):
        extra = node.get_str("extra", "")
        del node["extra"]
        super().configure(node)
        self.extra = extra

    def get_unique_key(self):
        return {**super().get_unique_key(), "extra": self.extra, "prefix": self.get_variable("prefix")}


def setup():
    return Builder
== plugins/builder.yaml
config:
  extra: '%{taste}'
  build-commands: ['make %{taste}']
environment: {FROM_PLUGIN: 'is %{taste}', PRIVATE: x}
environment-nocache: [PRIVATE]
public: {bst: {split-rules: {paint: ['%{prefix}/paint/**']}}}
== plugins/painter.py
from buildstream import Element, ElementError, MappingNode


class Painter(Element):
    BST_MIN_VERSION = "2.1"
    BST_ARTIFACT_VERSION = 7
    BST_FORBID_RDEPENDS = True
    BST_RUN_COMMANDS = False

    def configure(self, node):
        node.validate_keys(["colours", "layers", "file", "ratio", "deep"])
        self.colours = {name: value.as_str() for name, value in node.get_mapping("colours").items()}
        self.layers = [layer.as_int() for layer in node.get_sequence("layers", [])]
        self.file = node.get_str("file", None)
        self.deep = node.get_mapping("deep", {}).strip_node_info()
        if self.file is not None:
            self.node_get_project_path(node.get_scalar("file"), check_is_file=True)

    def configure_dependencies(self, dependencies):
        self.canvases = []
        for dependency in dependencies:
            assert dependency.element.get_kind() in ("import", "builder", "strict")
            config = dependency.config
            self.canvases.append(
                [
                    dependency.element.project_name,
                    dependency.element.name,
                    dependency.element.normal_name,
                    dependency.path,
                    None if config is None else config.get_bool("wet", False),
                    dependency.element.get_variable("taste"),
                ]
            )

    def preflight(self):
        if not self.colours:
            raise ElementError("no colours", reason="no-colours")

    def get_unique_key(self):
        names = [dependency.name for dependency in self.dependencies()]
        return {
            "colours": self.colours,
            "layers": self.layers,
            "file": self.file,
            "ratio": 1.5,
            "none": None,
            "canvases": self.canvases,
            "dependencies": names,
            "deep": self.deep,
            "brush": self.get_variable("brush"),
            "umlaut": "ä/ß",
        }


def setup():
    return Painter
== plugins/strict.py
from buildstream import ScriptElement


class Strict(ScriptElement):
    BST_MIN_VERSION = "2.0"
    BST_STRICT_REBUILD = True
    BST_PLUGIN_DEPRECATED = True

    def configure(self, node):
        node.validate_keys(["commands"])
        self.set_work_dir()
        self.set_install_root()
        self.set_root_read_only(True)
        self.add_commands("first", node.get_str_list("commands"))

    def configure_dependencies(self, dependencies):
        for dependency in dependencies:
            location = "/"
            if dependency.config:
                dependency.config.validate_keys(["location"])
                location = dependency.config.get_str("location")
            self.layout_add(dependency.element, dependency.path, location)


def setup():
    return Strict
== other/project.conf
name: other
min-version: 2.0
plugins: [{origin: local, path: more/plugins, elements: [archive]}]
== other/more/plugins/archive.py
from buildstream import Element, FastEnum


class Format(FastEnum):
    TAR = "tar"
    ZIP = "zip"


class Archive(Element):
    BST_MIN_VERSION = "2.0"

    def configure(self, node):
        self.format = node.get_enum("format", Format)

    def preflight(self):
        pass

    def get_unique_key(self):
        return [self.format.value, self.project_name]


def setup():
    return Archive
== other/base.bst
kind: import
sources: [{kind: local, path: files}]
== other/files/readme
Read me.
== files/a
a
== elements/other.bst
kind: junction
sources: [{kind: local, path: other}]
== elements/base.bst
kind: import
sources: [{kind: local, path: files}]
== elements/built.bst
kind: builder
sources: [{kind: local, path: files, directory: below}]
depends: [base.bst]
variables: {prefix: /opt}
config: {install-commands: ['cp %{build-root}/a %{install-root}']}
environment: {OWN: '%{taste}'}
== elements/moved.bst
kind: builder
build-depends: [{filename: base.bst, config: {location: /here, digest-environment: HERE}}]
config: {extra: 'more'}
sandbox: {build-uid: 100}
== elements/script.bst
kind: strict
build-depends: [base.bst, {filename: built.bst, config: {location: /there}}]
config: {commands: ['ls %{install-root}']}
== elements/painted.bst
kind: painter
build-depends: [{filename: base.bst, config: {wet: true}}, {filename: base.bst, config: {}}, 'other.bst:base.bst', built.bst, script.bst]
config:
  layers: [3, 2]
  file: files/a
  colours: {blue: '%{taste}'}
  deep:
    list: [{a: b}, [c]]
    (?):
    - flavour != "sour":
        sugar: 'yes'
public: {painter: {size: '%{taste}'}}
== elements/archive.bst
kind: archive
depends: ['other.bst:base.bst']
config: {format: zip}
== elements/tar.bst
kind: tar_element
build-depends: [base.bst]
config: {filename: a.tar, compression: gzip}
== elements/all.bst
kind: stack
depends: [painted.bst, moved.bst, tar.bst, archive.bst]
"#;

#[test]
fn keys_are_buildstreams_wherever_the_plugin_is_from() {
    let place = Place::bare(PROJECT);
    let bst = BuildStream::beside(&place, "cache-of-buildstream");
    let format = "%{name} %{full-key} %{state}";
    let shown = show_alike(&place, &bst, format, "all.bst");
    assert_eq!(shown.lines().count(), 9, "{shown}");
    let other = [
        "--option",
        "flavour",
        "sour",
        "show",
        "--format",
        "%{full-key}",
        "painted.bst",
    ];
    let sour = run(&place, &other);
    assert_eq!(sour, bst.run(&other));
    assert!(!shown.contains(sour.lines().last().unwrap()), "{shown}");
    // Not strict: strong keys are weak ones as long as nothing is built.
    let loose = [
        "--no-strict",
        "show",
        "--format",
        "%{name} %{full-key}",
        "all.bst",
    ];
    assert_eq!(run(&place, &loose), bst.run(&loose));
}
