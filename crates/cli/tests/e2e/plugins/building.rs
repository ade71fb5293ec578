//! Elements of plugins' kinds, built: the same artifacts as BuildStream's.

use std::path::Path;

use headstart_reapi::{Message as _, buildstream};

use super::{hosting, refused, run, show_alike};
use crate::support::{BuildStream, CHAIN, Calls, Place, finish, object_in, python, said};

/// Made with the compiler's project: commands are run.
const PROJECT: &str = r##"
== plugins/stamped.py
from buildstream import BuildElement


class Stamped(BuildElement):
    BST_MIN_VERSION = "2.0"

    def assemble(self, sandbox):
        collected = super().assemble(sandbox)
        root = sandbox.get_virtual_directory()
        with root.open_directory(collected.lstrip("/")).open_file("stamp", mode="w") as stamp:
            stamp.write(f"{self.name} of {self.project_name} for {self.get_variable('prefix')}\n")
        return collected


def setup():
    return Stamped
== plugins/listing.py
import os

from buildstream import Element


class Listing(Element):
    """Works on trees alone: writes, reads, removes, links and imports, and tells who follows."""

    BST_MIN_VERSION = "2.0"
    BST_RUN_COMMANDS = False
    BST_FORBID_SOURCES = True

    def configure(self, node):
        self.domains = node.get_str_list("domains", [])

    def preflight(self):
        pass

    def get_unique_key(self):
        return self.domains

    def configure_sandbox(self, sandbox):
        pass

    def stage(self, sandbox):
        with self.timed_activity("Staging", silent_nested=True):
            self.stage_dependency_artifacts(sandbox, path="/input")
            for dependency in self.dependencies(recurse=False):
                dependency.stage_artifact(sandbox, path="/some", include=self.domains, orphans=False)

    def assemble(self, sandbox):
        root = sandbox.get_virtual_directory()
        output = root.open_directory("output/lists", create=True)
        for dependency in self.dependencies():
            name = dependency.normal_name + "-of-" + dependency.project_name
            with output.open_file(name, mode="w") as file:
                for path in dependency.compute_manifest():
                    file.write(path + "\n")
                bst = dependency.get_public_data("bst")
                file.write(str(bst.get_str_list("integration-commands", [])) + "\n")
                file.write(str(len(dependency.get_artifact_name().rsplit("/")[-1])) + "\n")
        with output.open_file("some", mode="w") as file:
            paths = root.open_directory("some").list_relative_paths()
            file.write("\n".join(sorted(paths)))
        with output.open_file("script", mode="w") as file:
            file.write("#!/bin/sh\n")
            os.chmod(file.fileno(), 0o755)
        output.import_files(root.open_directory("input"), filter_callback=lambda path: "header" in path)
        public = self.get_public_data("bst")
        public["integration-commands"] = ["touch /from-%s" % self.normal_name]
        self.set_public_data("bst", public)
        self.set_public_data("listing", self.get_public_data("bst").get_mapping("split-rules"))
        self.info("Listed", detail="all of it")
        return "/output"


def setup():
    return Listing
== plugins/combined.py
from buildstream import Element, ElementError


class Combined(Element):
    """Runs commands one by one and in batches, in two sandboxes."""

    BST_MIN_VERSION = "2.0"

    def configure(self, node):
        self.fails = node.get_bool("fails", False)

    def preflight(self):
        pass

    def get_unique_key(self):
        return {"fails": self.fails}

    def configure_sandbox(self, sandbox):
        sandbox.set_environment({"PATH": self.get_environment()["PATH"], "COMBINED": "it's so"})
        sandbox.set_work_directory("/combined")
        sandbox.mark_directory("/combined")
        with self.subsandbox(sandbox) as other:
            self.stage_dependency_artifacts(other)
            self.trees = other.get_virtual_directory()._get_digest().hash

    def stage(self, sandbox):
        self.stage_dependency_artifacts(sandbox)
        with sandbox.batch():
            for dependency in self.dependencies():
                dependency.integrate(sandbox)
        self.stage_sources(sandbox, "/combined/sources")

    def assemble(self, sandbox):
        if sandbox.run(["sh", "-c", "exit 3"], root_read_only=True) != 3:
            raise ElementError("a command's exit code is lost")
        sandbox.run(["sh", "-c", "echo one > out; ls sources >> out"], root_read_only=True)
        with sandbox.batch(root_read_only=True, collect="/combined"):
            sandbox.run(["sh", "-c", "echo $COMBINED >> out"], root_read_only=True, label="Second")
            if self.fails:
                sandbox.run(["sh", "-c", "echo gone wrong >&2; exit 1"], root_read_only=True, label="Bad")
        root = sandbox.get_virtual_directory()
        with root.open_directory("combined").open_file("out") as file:
            assert "it's so" in file.read()
        with root.open_directory("combined").open_file("trees", mode="w") as file:
            file.write(self.trees)
        return "/combined"


def setup():
    return Combined
== files/header.h
#define HEADER 1
== files/main.c
#include <header.h>
int main(void) { return HEADER - 1; }
== elements/headers.bst
kind: import
sources: [{kind: local, path: files}]
config: {target: /usr/include}
public:
  bst: {integration-commands: [touch /integrated]}
== elements/stamped.bst
kind: stamped
build-depends:
- (@): include/gcc.yml
- headers.bst
sources: [{kind: local, path: files}]
config:
  build-commands: ['test -f /integrated', gcc -c main.c -o main.o, gcc main.o -o main]
  install-commands: ['install -D main %{install-root}%{bindir}/main']
public: {bst: {split-rules: {program: ['%{bindir}/main']}}}
== elements/listing.bst
kind: listing
build-depends: [headers.bst, stamped.bst]
config: {domains: [program, devel]}
== elements/combined.bst
kind: combined
build-depends:
- (@): include/gcc.yml
- listing.bst
sources: [{kind: local, path: files}]
== elements/after.bst
kind: manual
build-depends:
- (@): include/gcc.yml
- combined.bst
- listing.bst
config:
  install-commands: ['ls / > %{install-root}/all']
== elements/usable.bst
kind: stack
depends: [toolchain.bst, headers.bst, listing.bst]
== elements/all.bst
kind: stack
depends: [after.bst, usable.bst]
== elements/told.bst
kind: stamped
build-depends:
- (@): include/gcc.yml
- {filename: headers.bst, config: {location: /headers}}
- {filename: headers.bst, config: {digest-environment: HEADERS}}
environment: {OWN: of-the-element, ZLAST: z}
sources: [{kind: local, path: files}]
config:
  build-commands: ['echo $HEADERS > told']
  install-commands: ['install -D told %{install-root}/told']
== elements/plain.bst
kind: manual
build-depends:
- (@): include/gcc.yml
- {filename: headers.bst, config: {location: /headers}}
- {filename: headers.bst, config: {digest-environment: HEADERS}}
- {filename: listing.bst, config: {digest-environment: AGAIN}}
environment: {OWN: of-the-element, ZLAST: z, AGAIN: first}
config:
  install-commands: ['mkdir %{install-root}/$OWN']
== elements/failing.bst
kind: combined
build-depends:
- (@): include/gcc.yml
config: {fails: true}
"##;

fn place() -> Place {
    let place = Place::new(PROJECT);
    let conf = std::fs::read_to_string(place.project().join("project.conf")).unwrap();
    let plugins =
        "\nplugins:\n- {origin: local, path: plugins, elements: [stamped, listing, combined]}\n";
    let conf = conf.replace("default: remote", "default: 'off'");
    place.write("project.conf", conf + plugins);
    place
}

#[test]
fn elements_of_plugins_are_built_as_buildstream_builds_them() {
    let place = place();
    run(&place, &["build", "all.bst"]);
    let bst = BuildStream::beside(&place, "cache-of-buildstream");
    bst.run(&["build", "all.bst"]);
    let format = "%{name} %{full-key} %{state} %{artifact-cas-digest}";
    let shown = show_alike(&place, &bst, format, "all.bst");
    assert!(shown.contains("listing.bst"), "{shown}");

    // What is checked out is integrated, by what plugins have made public too.
    let checked_out = |integrate: &str, theirs: bool| {
        let folder = place.home().join(format!("out{integrate}-{theirs}"));
        let option = ["artifact", "checkout", "--hardlinks"];
        let arguments = [
            integrate,
            "--directory",
            folder.to_str().unwrap(),
            "usable.bst",
        ];
        let arguments = [&option[..], &arguments].concat();
        match theirs {
            true => bst.run(&arguments),
            false => run(&place, &arguments),
        };
        let names = std::fs::read_dir(folder).unwrap();
        let names = names.map(|it| it.unwrap().file_name().into_string().unwrap());
        names.collect::<std::collections::BTreeSet<String>>()
    };
    assert_eq!(
        checked_out("--no-integrate", false),
        checked_out("--no-integrate", true)
    );
    let integrated = checked_out("--integrate", false);
    assert_eq!(integrated, checked_out("--integrate", true));
    for made in ["integrated", "from-listing"] {
        assert!(integrated.contains(made), "{integrated:?}");
    }
}

/// The artifact of an element in a cache.
fn artifact(cache: &Path, element: &str, key: &str) -> buildstream::Artifact {
    let file = cache.join("artifacts/refs/e2e").join(element).join(key);
    buildstream::Artifact::decode(&*std::fs::read(file).unwrap()).unwrap()
}

#[test]
fn artifacts_say_what_commands_were_told_of_trees() {
    let place = place();
    let bst = BuildStream::beside(&place, "cache-of-buildstream");
    for element in ["told", "plain"] {
        let file = format!("{element}.bst");
        let build = ["--cache-buildtrees", "always", "build", &file];
        run(&place, &build);
        bst.run(&build);
        let format = "%{full-key}";
        let shown = show_alike(&place, &bst, format, &file);
        let key = shown.lines().last().unwrap();
        let parts = |cache: &Path| {
            let artifact = artifact(cache, element, key);
            (
                artifact
                    .low_diversity_meta
                    .map(|digest| std::fs::read_to_string(object_in(cache, &digest.hash)).unwrap()),
                artifact.buildsandbox,
                artifact.files,
            )
        };
        let ours = parts(&place.cache());
        assert_eq!(ours, parts(bst.cache()), "{element}");
        let text = ours.0.unwrap();
        assert!(
            text.lines().any(|line| line.starts_with("  HEADERS: ")),
            "{text}"
        );
    }
}

#[test]
fn shells_and_checkouts_of_plugins_elements_are_buildstreams() {
    let place = place();
    run(
        &place,
        &["--cache-buildtrees", "always", "build", "told.bst"],
    );
    let bst = BuildStream::new(&place.project(), &place.cache(), &place.home());
    for shell in [
        &["shell", "--build", "told.bst", "--"][..],
        &["shell", "--use-buildtree", "told.bst", "--"],
        &["shell", "--build", "--isolate", "told.bst", "--"],
    ] {
        let look = [
            "sh",
            "-c",
            "pwd; ls; ls /headers; echo $OWN $HEADERS; cat main.c",
        ];
        let arguments = [shell, &look].concat();
        let ours = run(&place, &arguments);
        assert_eq!(ours, bst.run(&arguments), "{shell:?}");
        assert!(
            ours.contains("of-the-element") && ours.contains("header.h"),
            "{ours}"
        );
    }
    // All that it is built with, without itself.
    let checked_out = |deps: &str, theirs: bool| {
        let folder = place.home().join(format!("out-{deps}-{theirs}"));
        let mut command = match theirs {
            true => bst.command(),
            false => hosting(&place),
        };
        command.args([
            "artifact",
            "checkout",
            "--hardlinks",
            "--no-integrate",
            "--deps",
            deps,
        ]);
        command.arg("told.bst").arg("--directory").arg(&folder);
        finish(&mut command);
        let mut find = std::process::Command::new("find");
        let output = find.arg(".").current_dir(folder).output().unwrap();
        let mut names: Vec<String> = said(&output).lines().map(str::to_owned).collect();
        names.sort();
        names
    };
    for (deps, has_itself) in [("build", false), ("none", true), ("all", true)] {
        let ours = checked_out(deps, false);
        assert_eq!(ours, checked_out(deps, true), "{deps}");
        assert_eq!(
            ours.iter().any(|path| path == "./told"),
            has_itself,
            "{deps}"
        );
    }
}

#[test]
fn compiler_calls_of_plugins_elements_are_foreseen() {
    let place = Place::new(CHAIN);
    let python = python();
    place.configure(&format!(
        "speculation: {{pause-above: 100}}\nplugins: {{python: {}}}",
        python.display()
    ));
    let conf = std::fs::read_to_string(place.project().join("project.conf")).unwrap();
    let plugins = "\nplugins:\n- {origin: local, path: plugins, elements: [wrapped]}\n";
    place.write("project.conf", conf + plugins);
    place.write("plugins/wrapped.py", WRAPPED);
    for element in ["elements/liba.bst", "elements/app.bst"] {
        place.edit(element, "kind: manual", "kind: wrapped");
    }
    let first = place.build("app.bst", "full");
    assert_eq!(first.calls("liba.bst"), Calls::missed(3));
    place.edit("files/base/base.h", "BASE 1", "BASE 2");
    let again = place.build_compared("app.bst", "full");
    assert_eq!(again.calls("liba.bst"), Calls::foreseen(3));
    assert_eq!(again.calls("app.bst"), Calls::foreseen(2));
}

/// Builds as any build element, but by code of its own.
const WRAPPED: &str = r#"
from buildstream import BuildElement


class Wrapped(BuildElement):
    BST_MIN_VERSION = "2.0"

    def assemble(self, sandbox):
        return super().assemble(sandbox)


def setup():
    return Wrapped
"#;

#[test]
fn a_plugins_failed_command_is_told_with_its_log() {
    let place = place();
    refused(&place, &["build", "failing.bst"]);
    let log = run(&place, &["artifact", "log", "failing.bst"]);
    assert!(log.contains("gone wrong"), "{log}");
    assert!(
        log.contains("Command 'Bad' failed with exitcode 1"),
        "{log}"
    );
}
