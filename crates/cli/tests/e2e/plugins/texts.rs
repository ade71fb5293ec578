//! Texts that plugins read are BuildStream's, to the last blank.

use super::show_alike;
use crate::support::{BuildStream, Place};

const PROJECT: &str = r#"
== project.conf
name: texts
min-version: 2.0
element-path: elements
variables:
  nothing: ''
  percent: '%'
  name: ' as written '
  wide: '%{nothing} wide %{nothing}'
  line: "%{nothing}\n"
  literal: '%{percent}{name}'
environment: {WIDE: '%{wide}', LITERAL: '%{literal}'}
aliases: {alias: 'https://example.org/'}
plugins:
- {origin: local, path: plugins, elements: [telling], sources: [said]}
== plugins/telling.py
from buildstream import BuildElement


class Telling(BuildElement):
    BST_MIN_VERSION = "2.0"

    def configure(self, node):
        super().configure(node.get_mapping("commands"))
        self.text = node.get_str("text")
        self.list = node.get_str_list("list")
        self.deep = node.get_mapping("deep").strip_node_info()
        self.copied = node.get_mapping("deep").clone().strip_node_info()
        self.again = self.node_subst_vars(node.get_scalar("literal"))
        self.lists = self.node_subst_sequence_vars(node.get_sequence("list"))
        self.number = node.get_int("number")
        self.flag = node.get_bool("flag")

    def configure_dependencies(self, dependencies):
        self.said = [
            [it.config and it.config.strip_node_info(), it.element.get_variable("wide")]
            for it in dependencies
        ]
        super().configure_dependencies([])

    def get_unique_key(self):
        names = ["nothing", "percent", "name", "wide", "line", "literal", "own", "missing"]
        key = {
            **super().get_unique_key(),
            "variables": {name: self.get_variable(name) for name in names},
            "environment": self.get_environment(),
        }
        for name in ("text", "list", "deep", "copied", "again", "lists", "number", "flag", "said"):
            key[name] = getattr(self, name)
        return key


def setup():
    return Telling
== plugins/telling.yaml
variables: {own: '%{wide}%{element-name}%{wide}'}
== plugins/said.py
from buildstream import Source, SourceInfo


class Said(Source):
    BST_MIN_VERSION = "2.0"

    def configure(self, node):
        node.validate_keys(["text", "list", *Source.COMMON_CONFIG_KEYS])
        self.text = node.get_str("text")
        self.list = node.get_str_list("list")

    def preflight(self):
        pass

    def get_unique_key(self):
        return [self.text, self.list]

    def is_resolved(self):
        return True

    def is_cached(self):
        return True

    def get_ref(self):
        return None

    def load_ref(self, node):
        pass

    def set_ref(self, ref, node):
        pass

    def fetch(self):
        pass

    def stage(self, directory):
        pass


def setup():
    return Said
== elements/base.bst
kind: manual
config: {build-commands: ['%{wide}', '%{literal} %{line}']}
public: {mine: {wide: '%{wide}', list: ['%{line}', '%{literal}'], plain: a}}
== elements/telling.bst
kind: telling
sources: [{kind: said, text: '%{wide}', list: ['%{literal}', 'a%{line}']}]
build-depends:
- base.bst
- {filename: other.bst, config: {wide: '%{wide}', deep: [['%{line}', '%{literal}']]}}
variables: {own: "%{line} %{own-too}", own-too: '%{name} %{nothing}'}
environment: {OWN: '%{own}'}
public: {mine: {own: '%{own}', deep: {list: [['%{wide}']]}}}
config:
  commands:
    build-commands: ['%{nothing} first', 'second %{nothing}', "%{nothing}\tthird\n%{nothing}"]
    install-commands: ['%{literal}']
  text: '%{wide}'
  literal: '%{literal}'
  list: ['%{own}', '%{line}', ' plain ', '%{percent}%{percent}']
  deep: {text: '%{wide}', '%{wide}': {list: ['%{own}', [{a: '%{line}'}]]}}
  number: '%{nothing} 7 %{nothing}'
  flag: 'True'
== elements/other.bst
kind: telling
config: {commands: {}, text: '', literal: '', list: [], deep: {}, number: 1, flag: false}
public: {mine: {}}
"#;

#[test]
fn blanks_and_signs_that_variables_bring_are_kept_as_buildstream_keeps_them() {
    let place = Place::bare(PROJECT);
    let bst = BuildStream::beside(&place, "cache-of-buildstream");
    let format = "%{name} %{full-key}\n%{vars}%{env}%{public}";
    let shown = show_alike(&place, &bst, format, "telling.bst");
    assert!(shown.contains("WIDE: ' wide '"), "{shown}");
}
