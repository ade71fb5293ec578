//! Bazel, as Debian has it: the daemon is its cache, and its farm.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::support::{Place, Server, said};

/// What Bazel's own packages load from the network although a C project needs nothing of it, and a
/// project with all kinds of outputs: files, a directory, what an executable says, a test's log.
const WORKSPACE: &str = r#"
== rules_cc/WORKSPACE
== rules_cc/cc/BUILD
== rules_cc/cc/defs.bzl
cc_binary = native.cc_binary
cc_library = native.cc_library
cc_proto_library = native.cc_proto_library
cc_toolchain = native.cc_toolchain
cc_toolchain_suite = native.cc_toolchain_suite
objc_library = native.objc_library
== rules_java/WORKSPACE
== rules_java/java/BUILD
== rules_java/java/defs.bzl
java_binary = native.java_binary
java_import = native.java_import
java_library = native.java_library
java_runtime = native.java_runtime
java_toolchain = native.java_toolchain
== remote_coverage_tools/WORKSPACE
== remote_coverage_tools/BUILD
[filegroup(name = name, visibility = ["//visibility:public"])
 for name in ["coverage_report_generator", "lcov_merger"]]
== project/WORKSPACE
== project/defs.bzl
def _folder(ctx):
    folder = ctx.actions.declare_directory(ctx.label.name)
    ctx.actions.run_shell(
        outputs = [folder],
        command = "mkdir -p $1/deep && echo one > $1/one && echo two > $1/deep/two",
        arguments = [folder.path],
    )
    return [DefaultInfo(files = depset([folder]))]

folder = rule(implementation = _folder)
== project/BUILD
load("//:defs.bzl", "folder")
# What the linker gold can, which is not in the demo's compiler root.
package(features = ["-supports_start_end_lib"])
folder(name = "words")
genrule(name = "header", outs = ["greeting.h"], cmd = "echo '#define GREETING \"hello\"' > $@")
cc_library(name = "greet", srcs = ["greet.c", "count.c", ":header"], hdrs = ["greet.h"])
cc_binary(name = "hello", srcs = ["hello.c"], deps = [":greet"])
cc_test(name = "greeting_test", size = "small", srcs = ["greeting_test.c"], deps = [":greet"])
genrule(
    name = "said",
    srcs = [":words"],
    outs = ["said.txt"],
    cmd = "($(location :hello) && cat $(location :words)/deep/two) > $@",
    tools = [":hello"],
)
== project/greet.h
const char *greeting(void);
int count(const char *text);
== project/greet.c
#include "greeting.h"
#include "greet.h"
const char *greeting(void) { return GREETING; }
== project/count.c
#include "greet.h"
int count(const char *text) { int n = 0; while (text[n]) n++; return n; }
== project/hello.c
#include <stdio.h>
#include "greet.h"
int main(void) { printf("%s has %d letters\n", greeting(), count(greeting())); return 0; }
== project/greeting_test.c
#include "greet.h"
int main(void) { return count(greeting()) != 5; }
"#;

/// A workspace with a Bazel of its own, which ends with it.
struct Bazel {
    folder: TempDir,
}

impl Bazel {
    fn new() -> Self {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        for file in WORKSPACE.split("== ").skip(1) {
            let (path, text) = file.split_once('\n').unwrap();
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self { folder }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("bazel");
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.folder.path())
            .current_dir(self.folder.path().join("project"))
            .arg(format!(
                "--output_user_root={}",
                self.folder.path().join("bazel").display()
            ))
            // Should the test be killed.
            .arg("--max_idle_secs=60")
            .args(arguments);
        command
    }

    /// Builds and tests everything; says how many actions were run in which way.
    fn test(&self, arguments: &[&str]) -> BTreeMap<String, usize> {
        let mut command = self.command(&["test", "//:all", "--color=no", "--curses=no"]);
        for name in ["rules_cc", "rules_java", "remote_coverage_tools"] {
            let path = self.folder.path().join(name);
            command.arg(format!("--override_repository={name}={}", path.display()));
        }
        let linker = ["--linkopt=-fuse-ld=bfd", "--host_linkopt=-fuse-ld=bfd"];
        let output = command.args(linker).args(arguments).output();
        let output = output.expect("Bazel can't be run: apt-get install bazel-bootstrap");
        assert!(output.status.success(), "{}", said(&output));
        let text = fs::read_to_string(self.output("said.txt")).unwrap();
        assert_eq!(text, "hello has 5 letters\ntwo\n");
        let said = said(&output);
        assert!(said.contains("1 test passes"), "{said}");
        processes(&said).unwrap_or_else(|| panic!("nothing is said of processes: {said}"))
    }

    fn output(&self, path: &str) -> PathBuf {
        self.folder.path().join("project/bazel-bin").join(path)
    }

    fn clean(&self) {
        let output = self.command(&["clean"]).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
    }
}

impl Drop for Bazel {
    fn drop(&mut self) {
        let _ = self.command(&["shutdown"]).output();
    }
}

/// Reads `INFO: 25 processes: 13 remote cache hit, 12 internal.`
fn processes(said: &str) -> Option<BTreeMap<String, usize>> {
    let line = said.lines().find(|line| line.contains(" processes: "))?;
    let kinds = line.split_once(" processes: ")?.1.trim_end_matches('.');
    let kinds = kinds.split(", ").map(|kind| {
        let (count, kind) = kind.split_once(' ')?;
        Some((kind.to_owned(), count.parse().ok()?))
    });
    kinds.collect()
}

#[test]
fn bazel_has_a_cache_and_a_farm() {
    let place = Place::new("");
    let compiler = place.build("toolchain.bst", "none");
    let root = place.artifact(&compiler, "toolchain.bst").files.unwrap();
    let bazel = Bazel::new();

    let cache = Server::ours();
    let cache = format!("--remote_cache={}", cache.url().replace("http", "grpc"));
    let local = ["--spawn_strategy=local", &cache];
    let first = bazel.test(&local);
    let run = first["local"];
    assert!(
        run >= 10 && !first.contains_key("remote cache hit"),
        "{first:?}"
    );
    bazel.clean();
    let again = bazel.test(&local);
    assert_eq!(again.get("remote cache hit"), Some(&run), "{again:?}");
    assert_eq!(again.get("local"), None, "{again:?}");

    let farm = Server::ours_on(place.cache());
    let farm = format!("--remote_executor={}", farm.url().replace("http", "grpc"));
    let root = format!(
        "--remote_default_exec_properties=chrootRootDigest={}/{}",
        root.hash, root.size_bytes
    );
    let remote = [&*farm, &*root];
    bazel.clean();
    let first = bazel.test(&remote);
    let run = first["remote"];
    assert!(run >= 10 && !first.contains_key("local"), "{first:?}");
    bazel.clean();
    let again = bazel.test(&remote);
    assert_eq!(again.get("remote cache hit"), Some(&run), "{again:?}");
    assert_eq!(again.get("remote"), None, "{again:?}");
}
