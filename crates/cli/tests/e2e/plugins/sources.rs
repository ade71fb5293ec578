//! Sources of plugins' kinds: keys, fetching, tracking and staging as in BuildStream.

use std::fs;

use super::{refused, run, show_alike};
use crate::support::{BuildStream, Place};

const PROJECT: &str = r#"
== project.conf
name: e2e
min-version: 2.0
element-path: elements
aliases: {here: 'file://%{project-root}/'}
plugins:
- origin: local
  path: plugins
  sources: [copied, listed, virtual, download]
sources:
  copied: {config: {suffix: '.txt'}}
== plugins/copied.py
import hashlib
import os
import shutil

from buildstream import Source, SourceError


class Copied(Source):
    """A file of the project, known by its content; mirrored before it is staged."""

    BST_MIN_VERSION = "2.0"

    def configure(self, node):
        node.validate_keys(["path", "ref", "suffix", *Source.COMMON_CONFIG_KEYS])
        self.suffix = node.get_str("suffix", "")
        self.path = self.node_get_project_path(node.get_scalar("path"), check_is_file=True)
        self.load_ref(node)

    def preflight(self):
        pass

    def get_unique_key(self):
        return [self.ref, self.suffix]

    def load_ref(self, node):
        self.ref = node.get_str("ref", None)

    def get_ref(self):
        return self.ref

    def set_ref(self, ref, node):
        node["ref"] = self.ref = ref

    def _mirror(self):
        return os.path.join(self.get_mirror_directory(), self.ref)

    def is_cached(self):
        return os.path.isfile(self._mirror())

    def _now(self):
        with open(os.path.join(self.get_project_directory(), self.path), "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()

    def track(self):
        with self.timed_activity("Tracking"):
            return self._now()

    def fetch(self):
        if self._now() != self.ref:
            raise SourceError("the file is another now", reason="changed")
        with self.tempdir() as folder:
            copy = os.path.join(folder, "copy")
            self.call(["cp", os.path.join(self.get_project_directory(), self.path), copy], fail="no copy")
            os.rename(copy, self._mirror())

    def stage(self, directory):
        target = os.path.join(directory, os.path.basename(self.path) + self.suffix)
        shutil.copyfile(self._mirror(), target)
        os.chmod(target, 0o755)
        os.symlink(os.path.basename(target), os.path.join(directory, "link"))


def setup():
    return Copied
== plugins/listed.py
import os

from buildstream import Source, SourceError


class Listed(Source):
    """What is there before it, as a list; tracked and staged by what is there."""

    BST_MIN_VERSION = "2.0"
    BST_REQUIRES_PREVIOUS_SOURCES_TRACK = True
    BST_REQUIRES_PREVIOUS_SOURCES_FETCH = True
    BST_REQUIRES_PREVIOUS_SOURCES_STAGE = True

    def configure(self, node):
        self.load_ref(node)

    def preflight(self):
        pass

    def get_unique_key(self):
        return {"files": self.files}

    def load_ref(self, node):
        files = node.get_sequence("ref", None)
        self.files = None if files is None else [{k: v.as_str() for k, v in f.items()} for f in files]

    def get_ref(self):
        return self.files

    def set_ref(self, ref, node):
        node["ref"] = self.files = ref

    def is_cached(self):
        return os.path.isfile(os.path.join(self.get_mirror_directory(), "seen"))

    def track(self, *, previous_sources_dir):
        return [{"name": name} for name in sorted(os.listdir(previous_sources_dir))]

    def fetch(self, *, previous_sources_dir):
        if sorted(os.listdir(previous_sources_dir)) != [file["name"] for file in self.files]:
            raise SourceError("something else is there")
        with open(os.path.join(self.get_mirror_directory(), "seen"), "w") as seen:
            seen.write("seen")

    def stage(self, directory):
        names = sorted(os.listdir(directory))
        for name in names:
            os.rename(os.path.join(directory, name), os.path.join(directory, "old-" + name))
        with open(os.path.join(directory, "list"), "w") as file:
            file.write("\n".join(names))


def setup():
    return Listed
== plugins/virtual.py
from buildstream import Source


class Virtual(Source):
    """Made of nothing, right into a tree."""

    BST_MIN_VERSION = "2.0"
    BST_STAGE_VIRTUAL_DIRECTORY = True

    def configure(self, node):
        self.lines = node.get_str_list("lines")

    def preflight(self):
        pass

    def get_unique_key(self):
        return self.lines

    def load_ref(self, node):
        pass

    def get_ref(self):
        return None

    def set_ref(self, ref, node):
        pass

    def is_resolved(self):
        return True

    def is_cached(self):
        return True

    def fetch(self):
        pass

    def stage_directory(self, directory):
        with directory.open_directory("made", create=True).open_file("lines", mode="w") as file:
            file.write("".join(line + "\n" for line in self.lines))


def setup():
    return Virtual
== plugins/download.py
import os
import shutil

from buildstream import DownloadableFileSource


class Download(DownloadableFileSource):
    BST_MIN_VERSION = "2.0"

    def configure(self, node):
        super().configure(node)
        self.name_ = node.get_str("name")

    def get_unique_key(self):
        return [*super().get_unique_key(), self.name_]

    def stage(self, directory):
        shutil.copyfile(self._get_mirror_file(), os.path.join(directory, self.name_))


def setup():
    return Download
== files/one
one
== files/two
two
== elements/tracked.bst
kind: import
sources:
# Comments stay.
- kind: copied
  path: files/one
  directory: below
- kind: listed   # as they are
  directory: below
- kind: virtual
  lines: [a, b]
- kind: download
  url: here:files/two
  name: second
"#;

#[test]
fn sources_of_plugins_are_tracked_fetched_and_staged_as_buildstream_does_it() {
    let place = Place::bare(PROJECT);
    let element = place.project().join("elements/tracked.bst");
    let written = fs::read_to_string(&element).unwrap();
    let bst = BuildStream::beside(&place, "cache-of-buildstream");
    let format = "%{name} %{full-key} %{state}";
    assert!(show_alike(&place, &bst, format, "tracked.bst").contains("no reference"));
    bst.run(&["source", "track", "tracked.bst"]);
    let theirs = fs::read_to_string(&element).unwrap();
    fs::write(&element, &written).unwrap();
    run(&place, &["source", "track", "tracked.bst"]);
    let ours = fs::read_to_string(&element).unwrap();
    assert!(
        ours.contains("# Comments stay.") && ours.contains("# as they are"),
        "{ours}"
    );
    let key = run(&place, &["show", "--format", "%{full-key}", "tracked.bst"]);
    fs::write(&element, &theirs).unwrap();
    assert_eq!(
        key,
        run(&place, &["show", "--format", "%{full-key}", "tracked.bst"]),
        "{ours}"
    );
    // Once more changes nothing.
    run(&place, &["source", "track", "tracked.bst"]);
    assert_eq!(fs::read_to_string(&element).unwrap(), theirs);

    show_alike(&place, &bst, format, "tracked.bst");
    for (command, state) in [
        (["source", "fetch"].as_slice(), "buildable"),
        (&["build"], "cached"),
    ] {
        run(&place, &[command, &["tracked.bst"]].concat());
        bst.run(&[command, &["tracked.bst"]].concat());
        let format = "%{name} %{full-key} %{state} %{artifact-cas-digest}";
        let shown = show_alike(&place, &bst, format, "tracked.bst");
        assert!(shown.contains(state), "{shown}");
    }
    let out = place.home().join("out");
    let folder = out.to_str().unwrap();
    run(
        &place,
        &[
            "artifact",
            "checkout",
            "--deps",
            "none",
            "--directory",
            folder,
            "tracked.bst",
        ],
    );
    for (file, expected) in [("below/list", "link\none.txt"), ("made/lines", "a\nb\n")] {
        assert_eq!(fs::read_to_string(out.join(file)).unwrap(), expected);
    }
}

#[test]
fn sources_are_found_where_buildstream_has_put_them() {
    let place = Place::bare(PROJECT);
    let bst = BuildStream::new(&place.project(), &place.cache(), &place.home());
    bst.run(&["source", "track", "tracked.bst"]);
    bst.run(&["source", "fetch", "tracked.bst"]);
    // They can't be fetched again.
    place.write("files/one", "another\n");
    let state = run(&place, &["show", "--format", "%{state}", "tracked.bst"]);
    assert_eq!(state, "buildable\n");
    run(&place, &["build", "tracked.bst"]);
}

#[test]
fn what_a_source_refuses_is_told_with_its_place() {
    let place = Place::bare(PROJECT);
    run(&place, &["source", "track", "tracked.bst"]);
    // Tracking has fetched what the second is tracked by.
    fs::remove_dir_all(place.cache()).unwrap();
    place.write("files/one", "another\n");
    let said = refused(&place, &["source", "fetch", "tracked.bst"]);
    assert!(said.contains("elements/tracked.bst:4:3"), "{said}");
    assert!(said.contains("the file is another now"), "{said}");
}
