//! Mirrors whose kinds are plugins: of the project, of one that it is joined to, and of a package.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::{hosting, refused, run, show_alike};
use crate::sources::sha256;
use crate::support::{Answer, BuildStream, Place, said, serve};

const HELLO: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

const PROJECT: &str = r#"
== project.conf
name: e2e
min-version: 2.2
element-path: elements
aliases: {here: 'file:///nowhere/', there: 'file:///nowhere/else/', plain: 'file:///nor/here/'}
plugins:
- origin: local
  path: plugins
  sources: [download]
  source-mirrors: [shelf]
- origin: junction
  junction: other.bst
  source-mirrors: [cellar]
- origin: pip
  package-name: buildstream-plugins
  source-mirrors: [simple_mirror]
mirrors:
- name: empty
  kind: simple_mirror
  config: {url: 'file:///nothing/{alias}/', aliases: [here]}
- name: cellar
  kind: cellar
- name: plain
  aliases: {plain: ['file://%{project-root}/files/']}
- name: shelf
  kind: shelf
  config: {root: 'file://%{project-root}/'}
== plugins/shelf.py
from buildstream import SourceMirror


class Shelf(SourceMirror):
    """Has what it is asked for in `files`, and notes what that was."""

    BST_MIN_VERSION = "2.2"

    def configure(self, node):
        node.validate_keys(["root"])
        self.set_supported_aliases(["here", "plain"])
        self.root = node.get_str("root")

    def translate_url(self, *, alias, alias_url, source_url, extra_data):
        with open(self._get_project().directory + "/asked", "a") as asked:
            asked.write(f"{alias} {alias_url} {source_url}\n")
        return self.root + "files/" + source_url


def setup():
    return Shelf
== plugins/download.py
import os
import shutil

from buildstream import DownloadableFileSource


class Download(DownloadableFileSource):
    BST_MIN_VERSION = "2.0"

    def stage(self, directory):
        shutil.copyfile(self._get_mirror_file(), os.path.join(directory, "downloaded"))


def setup():
    return Download
== other/project.conf
name: other
min-version: 2.2
aliases: {theirs: 'file:///theirs/', own: 'file:///own/'}
plugins: [{origin: local, path: kinds, source-mirrors: [cellar]}]
== other/kinds/cellar.py
from buildstream import SourceMirror


class Cellar(SourceMirror):
    BST_MIN_VERSION = "2.2"

    def configure(self, node):
        node.validate_keys([])
        self.set_supported_aliases(["there"])

    def translate_url(self, *, alias, alias_url, source_url, extra_data):
        return "file://" + self._get_project().directory + "/cellar/" + source_url


def setup():
    return Cellar
== other/far.bst
kind: import
sources:
- {kind: remote, url: 'theirs:hello', ref: HELLO}
== files/hello
hello
== cellar/hello
hello
== elements/other.bst
kind: junction
sources: [{kind: local, path: other}]
config: {aliases: {theirs: here}}
== elements/near.bst
kind: import
sources:
- {kind: remote, url: 'here:hello', ref: HELLO, directory: a}
- {kind: remote, url: 'there:hello', ref: HELLO, directory: b}
- {kind: remote, url: 'plain:hello', ref: HELLO, directory: c}
- {kind: download, url: 'here:hello', ref: HELLO, directory: d}
- {kind: tar, url: 'here:packed.tar', ref: PACKED, directory: e, base-dir: ''}
== elements/all.bst
kind: stack
depends: [near.bst, 'other.bst:far.bst']
"#;

/// The project, with an archive among its files.
fn place() -> Place {
    let place = Place::bare(&PROJECT.replace("HELLO", HELLO));
    let packed = place.project().join("files/packed.tar");
    let mut archive = tar::Builder::new(fs::File::create(&packed).unwrap());
    archive
        .append_path_with_name(place.project().join("files/hello"), "inside")
        .unwrap();
    archive.finish().unwrap();
    place.edit("elements/near.bst", "PACKED", &sha256(packed));
    place
}

/// What the mirror `shelf` was asked for since this was last looked at, sorted.
fn asked(place: &Place) -> Vec<String> {
    let path = place.project().join("asked");
    let asked = fs::read_to_string(&path).unwrap_or_default();
    let _ = fs::remove_file(path);
    let mut lines: Vec<String> = asked.lines().map(str::to_owned).collect();
    lines.sort();
    lines.dedup();
    lines
}

#[test]
fn sources_come_from_mirrors_that_are_plugins() {
    let place = place();
    let bst = BuildStream::beside(&place, "cache-of-buildstream");
    let format = "%{name} %{full-key} %{state}";
    show_alike(&place, &bst, format, "all.bst");
    // Plugins of mirrors are asked when something is fetched, not before.
    assert_eq!(asked(&place), [] as [&str; 0]);
    bst.run(&["source", "fetch", "--deps", "all", "all.bst"]);
    let theirs = asked(&place);
    run(&place, &["source", "fetch", "--deps", "all", "all.bst"]);
    assert_eq!(asked(&place), theirs);
    for line in [
        "here file:///theirs/ hello",
        "here file:///nowhere/ packed.tar",
    ] {
        assert!(theirs.iter().any(|asked| asked == line), "{theirs:?}");
    }
    bst.run(&["build", "all.bst"]);
    run(&place, &["build", "all.bst"]);
    let format = "%{name} %{full-key} %{state} %{artifact-cas-digest}";
    let shown = show_alike(&place, &bst, format, "all.bst");
    assert!(
        shown.contains("near.bst") && !shown.contains("fetch needed"),
        "{shown}"
    );
    // Newer versions are looked for at the alias itself, and at mirrors only if the user says so.
    place.edit("elements/near.bst", HELLO, "''");
    let track = ["source", "track", "near.bst"];
    let text = refused(&place, &track);
    assert!(text.contains("file:///nowhere/hello"), "{text}");
    assert!(!bst.output(&track).status.success());
    let config = place.home().join(".config/buildstream.conf");
    fs::write(config, "track: {source: all}\n").unwrap();
    run(&place, &track);
    assert_eq!(
        fs::read_to_string(place.project().join("elements/near.bst"))
            .unwrap()
            .matches(HELLO)
            .count(),
        4
    );
}

#[test]
fn what_is_wrong_with_a_mirror_is_told_with_its_place() {
    let place = place();
    place.edit("project.conf", "kind: shelf", "kind: shell");
    let text = refused(&place, &["show", "near.bst"]);
    let place_of_it = "project.conf:25:9: there is no source-mirror kind 'shell'";
    assert!(text.contains(place_of_it), "{text}");

    place.edit("project.conf", "kind: shell", "kind: shelf");
    place.edit("project.conf", "config: {root:", "config: {shoot: 1, root:");
    let bst = BuildStream::beside(&place, "cache-of-buildstream");
    let error = place.home().join("error.json");
    // Known when the project is loaded, whatever is asked for.
    for arguments in [&["show", "near.bst"][..], &["source", "fetch", "all.bst"]] {
        let output = bst.output(arguments);
        assert!(!output.status.success(), "{}", said(&output));
        let mut ours = hosting(&place);
        ours.env("HEADSTART_ERROR_FILE", &error).args(arguments);
        let output = ours.output().unwrap();
        assert_eq!(output.status.code(), Some(255), "{}", said(&output));
        for text in [
            "project.conf:25:9: the source-mirror plugin 'shelf'",
            "project.conf:26:19: Unexpected key: shoot",
        ] {
            assert!(said(&output).contains(text), "{text}: {}", said(&output));
        }
        let error = fs::read_to_string(&error).unwrap();
        assert!(error.contains(r#""reason":"INVALID_DATA""#), "{error}");
    }
    // Without plugins a project can be looked at all the same.
    let mut alone = place.headstart();
    alone.env("HEADSTART_PYTHON", "/nowhere/python");
    place.write("elements/near.bst", "kind: stack\n");
    let output = alone.args(["show", "near.bst"]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn that_a_mirror_is_deprecated_is_told_unless_that_is_known() {
    let place = place();
    place.edit(
        "plugins/shelf.py",
        "    BST_MIN_VERSION = \"2.2\"\n",
        "    BST_MIN_VERSION = \"2.2\"\n    BST_PLUGIN_DEPRECATED = True\n    \
         BST_PLUGIN_DEPRECATION_MESSAGE = \"A cupboard has more room\"\n",
    );
    let shown = |allowed: bool| {
        let output = hosting(&place).args(["show", "near.bst"]).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(
            !said(&output).contains("A cupboard has more room"),
            allowed,
            "{}",
            said(&output)
        );
    };
    shown(false);
    place.edit(
        "project.conf",
        "source-mirrors: [shelf]",
        "source-mirrors: [{kind: shelf, allow-deprecated: true}]",
    );
    shown(true);
}

/// Answers requests for `hello` from a server of this machine, if they show a token.
fn server() -> String {
    const PATH: &str =
        "/api/v4/projects/mirrors%2Fhere/repository/files/hello/raw?ref=master&lfs=true";
    serve(|request| {
        let shows = |line: &String| line == "Authorization: Bearer s3\"cret";
        match request.path == PATH && request.head.iter().any(shows) {
            true => Answer::found("hello\n"),
            false => Answer::refused("401 No"),
        }
    })
}

#[test]
fn servers_of_mirrors_are_shown_the_users_token() {
    let place = place();
    place.edit(
        "project.conf",
        "source-mirrors: [simple_mirror]",
        "source-mirrors: [gitlab_lfs_mirror]",
    );
    place.edit(
        "project.conf",
        "kind: simple_mirror\n  config: {url: 'file:///nothing/{alias}/', aliases: [here]}",
        &format!(
            "kind: gitlab_lfs_mirror\n  config: {{url: '{}/', project: 'mirrors/{{alias}}', aliases: [here]}}",
            server()
        ),
    );
    place.write(
        "elements/near.bst",
        format!("kind: import\nsources: [{{kind: remote, url: 'here:hello', ref: {HELLO}}}]\n"),
    );
    fs::remove_file(place.project().join("files/hello")).unwrap();
    let fetch = ["source", "fetch", "near.bst"];
    let denied = hosting(&place).args(fetch).output().unwrap();
    assert!(said(&denied).contains("401"), "{}", said(&denied));

    let netrc = place.home().join(".netrc");
    fs::write(&netrc, "machine 127.0.0.1 login me password s3\"cret\n").unwrap();
    fs::set_permissions(&netrc, fs::Permissions::from_mode(0o600)).unwrap();
    let bst = BuildStream::beside(&place, "cache-of-buildstream");
    bst.run(&fetch);
    run(&place, &fetch);
    show_alike(&place, &bst, "%{name} %{full-key} %{state}", "near.bst");
}
