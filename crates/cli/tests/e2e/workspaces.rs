//! Open workspaces, beside the real BuildStream's in the same project with the same cache.

use std::fs;
use std::path::PathBuf;

use headstart_reapi::{Message, buildstream};

use crate::support::{BuildStream, Place, WITHOUT_RECC, said};

/// base.bst ← tool.bst ← user.bst; part.bst is a filter of tool.bst.
const PROJECT: &str = r"
== elements/base.bst
kind: import
sources:
- kind: local
  path: files/base
== files/base/usr/share/base
base
== elements/sub/tool.bst
kind: manual
build-depends:
- toolchain.bst
depends:
- base.bst
sources:
- kind: local
  path: files/tool
config:
  configure-commands:
  - echo configured >> log
  build-commands:
  - cat sub/in /usr/share/base > out; echo built >> log
  install-commands:
  - install -D -m 644 out %{install-root}/usr/share/tool/out
  - install -D -m 644 log %{install-root}/usr/share/tool/log
== files/tool/sub/in
in
== files/tool/other
other
== elements/part.bst
kind: filter
build-depends:
- sub/tool.bst
== elements/user.bst
kind: manual
build-depends:
- toolchain.bst
- sub/tool.bst
config:
  install-commands:
  - install -D -m 644 /usr/share/tool/out %{install-root}/usr/share/user
";

struct Both {
    place: Place,
    peer: BuildStream,
}

impl Both {
    fn new() -> Self {
        let place = Place::new(PROJECT);
        let peer = BuildStream::new(&place.project(), &place.cache(), &place.home());
        Self { place, peer }
    }

    fn ours(&self, arguments: &[&str]) -> String {
        self.place.run(&[&WITHOUT_RECC[..], arguments].concat())
    }

    fn theirs(&self, arguments: &[&str]) -> String {
        self.peer.run(&[&WITHOUT_RECC[..], arguments].concat())
    }

    /// What both print.
    fn same(&self, arguments: &[&str]) -> String {
        let ours = self.ours(arguments);
        assert_eq!(ours, self.theirs(arguments), "{arguments:?}");
        ours
    }

    fn refused(&self, arguments: &[&str]) {
        let ours = self
            .place
            .headstart()
            .args(WITHOUT_RECC)
            .args(arguments)
            .output()
            .unwrap();
        let theirs = self.peer.output(&[&WITHOUT_RECC[..], arguments].concat());
        let codes = [&ours, &theirs].map(|output| output.status.code());
        assert_eq!(
            codes,
            [Some(255); 2],
            "{arguments:?}: {}\n{}",
            said(&ours),
            said(&theirs)
        );
    }

    fn shown(&self) -> String {
        let format = "%{name} %{state} %{full-key} [%{workspaced}] [%{workspace-dirs}]";
        self.same(&[
            "show", "--deps", "all", "--format", format, "user.bst", "part.bst",
        ])
    }

    /// The files that say which workspaces there are, and whose this is.
    fn files(&self) -> [String; 2] {
        let project = self.place.project();
        [
            project.join(".bst2/workspaces.yml"),
            project.join("work/.bstproject.yaml"),
        ]
        .map(|path| fs::read_to_string(path).unwrap())
    }

    /// A file of an element's artifact.
    fn file(&self, element: &str, path: &str) -> String {
        let out = tempfile::tempdir().unwrap();
        let folder = out.path().to_str().unwrap();
        self.ours(&[
            "artifact",
            "checkout",
            "--deps",
            "none",
            "--directory",
            folder,
            element,
        ]);
        fs::read_to_string(out.path().join(path)).unwrap()
    }

    fn log(&self) -> String {
        self.file("sub/tool.bst", "usr/share/tool/log")
    }

    fn artifact(&self) -> buildstream::Artifact {
        let show = [
            "show",
            "--deps",
            "none",
            "--format",
            "%{full-key}",
            "sub/tool.bst",
        ];
        let key = self.same(&show);
        let path = self
            .place
            .cache()
            .join("artifacts/refs/e2e/sub-tool")
            .join(key.trim());
        Message::decode(&*fs::read(path).unwrap()).unwrap()
    }

    fn work(&self) -> PathBuf {
        self.place.project().join("work")
    }
}

#[test]
fn workspaces_are_shared_with_buildstream() {
    let both = Both::new();
    both.ours(&["build", "user.bst"]);
    let before = both.shown();
    both.same(&["workspace", "list"]);
    // A filter stands for what it filters.
    let open = ["workspace", "open", "--directory", "work", "part.bst"];
    both.ours(&open);
    let files = both.files();
    both.same(&["workspace", "list"]);
    assert_ne!(both.shown(), before);
    both.refused(&["workspace", "open", "--directory", "else", "sub/tool.bst"]);
    both.refused(&["workspace", "close", "base.bst"]);
    both.refused(&["workspace", "reset", "base.bst"]);
    let inside = [
        "--directory",
        "work/sub",
        "show",
        "--format",
        "%{name} %{full-key}",
    ];
    assert_eq!(both.same(&inside).lines().count(), 3);
    both.theirs(&["workspace", "close", "--remove-dir", "part.bst"]);
    // What other readers take for a number is a text as any.
    let number = ["workspace", "open", "--directory", "0b1", "sub/tool.bst"];
    let state = || fs::read_to_string(both.place.project().join(".bst2/workspaces.yml")).unwrap();
    both.ours(&number);
    let ours = state();
    both.same(&["workspace", "list"]);
    both.ours(&["workspace", "close", "--remove-dir", "sub/tool.bst"]);
    both.theirs(&number);
    assert_eq!(state(), ours);
    both.theirs(&["workspace", "close", "--remove-dir", "sub/tool.bst"]);
    assert_eq!(both.shown(), before);
    assert!(!both.work().exists());

    both.theirs(&open);
    assert_eq!(both.files(), files);
    both.shown();
    both.refused(&["workspace", "open", "--directory", "work", "base.bst"]);
    both.refused(&["workspace", "open", "user.bst"]);
    both.ours(&["workspace", "close", "sub/tool.bst"]);
    assert_eq!(both.shown(), before);
    assert!(both.work().join("sub/in").exists());
    assert!(!both.work().join(".bstproject.yaml").exists());
    both.ours(&[
        "workspace",
        "open",
        "--no-checkout",
        "--directory",
        "work",
        "sub/tool.bst",
    ]);
    both.shown();
    both.ours(&["workspace", "close", "--all"]);
    both.same(&["workspace", "list"]);
    both.ours(&["workspace", "open", "--force", "sub/tool.bst", "base.bst"]);
    assert!(both.place.project().join("sub/tool/sub/in").exists());
    both.same(&["workspace", "list"]);
    both.ours(&["workspace", "open", "--force", "sub/tool.bst"]);
    both.theirs(&["workspace", "close", "--all", "--remove-dir"]);
    assert_eq!(both.shown(), before);
}

#[test]
fn builds_in_workspaces_go_on_from_the_last() {
    let both = Both::new();
    both.ours(&["workspace", "open", "--directory", "work", "sub/tool.bst"]);
    both.shown();
    both.ours(&["build", "user.bst"]);
    both.shown();
    assert_eq!(both.log(), "configured\nbuilt\n");
    let artifact = both.artifact();
    assert!(artifact.was_workspaced && artifact.sources.is_some());
    assert!(both.files()[0].contains(&format!("last_build: {}\n", artifact.strong_key)));

    let edit = |text: &str| fs::write(both.work().join("sub/in"), text).unwrap();
    edit("edited\n");
    both.ours(&["build", "user.bst"]);
    assert_eq!(both.log(), "configured\nbuilt\nbuilt\n");
    assert_eq!(both.file("user.bst", "usr/share/user"), "edited\nbase\n");

    // BuildStream goes on from here, and this from there.
    fs::write(both.work().join("new"), "").unwrap();
    both.theirs(&["build", "user.bst"]);
    assert_eq!(both.log(), "configured\nbuilt\nbuilt\nbuilt\n");
    let theirs = both.artifact();
    edit("once more\n");
    both.ours(&["build", "user.bst"]);
    both.shown();
    assert_eq!(both.log(), "configured\nbuilt\nbuilt\nbuilt\nbuilt\n");
    let ours = both.artifact();
    let constant = |artifact: &buildstream::Artifact| {
        (
            artifact.buildsandbox.clone(),
            artifact.build_deps.clone(),
            artifact.was_workspaced,
        )
    };
    assert_eq!(constant(&ours), constant(&theirs));

    // Not from another compiler's work.
    both.place.write("files/base/usr/share/base", "another");
    both.ours(&["build", "user.bst"]);
    assert_eq!(both.log(), "configured\nbuilt\n");
    // Nor if that is not wanted.
    both.ours(&["workspace", "reset", "--soft", "sub/tool.bst"]);
    edit("reset\n");
    both.ours(&["build", "user.bst"]);
    assert_eq!(both.log(), "configured\nbuilt\n");
    both.ours(&["workspace", "reset", "sub/tool.bst"]);
    assert_eq!(fs::read(both.work().join("sub/in")).unwrap(), b"in\n");
    both.shown();
}

#[test]
fn a_workspace_that_has_gone_is_told_of() {
    let both = Both::new();
    both.ours(&["workspace", "open", "--directory", "work", "sub/tool.bst"]);
    fs::remove_dir_all(both.work()).unwrap();
    assert!(both.shown().contains("sub/tool.bst no reference"));
    both.ours(&["workspace", "close", "sub/tool.bst"]);
    both.place.write(
        ".bst2/workspaces.yml",
        "format-version: 3\nworkspaces: {}\n",
    );
    both.refused(&["show", "user.bst"]);
    both.place.write(
        ".bst2/workspaces.yml",
        "format-version: 4\nworkspaces: {a.bst: {path: []}}\n",
    );
    both.refused(&["show", "user.bst"]);
}
