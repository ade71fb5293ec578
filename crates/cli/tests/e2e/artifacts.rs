//! Looking at artifacts and removing them, as the real BuildStream does it in the same cache.

use std::os::unix::fs::PermissionsExt as _;

use crate::support::{BuildStream, Place, said};

const PROJECT: &str = r"
== project.conf
name: artifacts
min-version: 2.0
element-path: elements
== elements/base.bst
kind: import
sources:
- kind: local
  path: files
== elements/sub/empty.bst
kind: stack
depends:
- base.bst
== elements/never.bst
kind: import
sources:
- kind: local
  path: files
  directory: below
== files/z
last
== files/tool
#!/bin/sh
== files/d/b/c
c
== files/d/a
a
";

#[test]
fn artifacts_are_shown_listed_and_removed_as_buildstream_does() {
    let place = Place::bare(PROJECT);
    let files = place.project().join("files");
    std::os::unix::fs::symlink("d/a", files.join("link")).unwrap();
    std::fs::create_dir(files.join("d/none")).unwrap();
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(files.join("tool"), executable).unwrap();
    place.run(&["build", "sub/empty.bst"]);
    let peer = BuildStream::new(&place.project(), &place.cache(), &place.home());
    let show = [
        "show",
        "--deps",
        "none",
        "--format",
        "%{full-key}",
        "base.bst",
    ];
    let key = place.run(&show);
    let name = format!("artifacts/base/{}", key.trim());

    for arguments in [
        &[
            "artifact",
            "show",
            "--deps",
            "all",
            "sub/empty.bst",
            "never.bst",
        ][..],
        &["artifact", "show", &name],
        &["artifact", "list-contents", "base.bst", "sub/empty.bst"],
        &["artifact", "list-contents", "--long", "base.bst"],
        &["artifact", "list-contents", &name],
        &["artifact", "list-contents", "artifacts/sub-*/*"],
    ] {
        assert_eq!(place.run(arguments), peer.run(arguments), "{arguments:?}");
    }

    let deleted = place.run(&["artifact", "delete", "base.bst"]);
    assert!(deleted.contains(&format!("Removed: {name}\n")), "{deleted}");
    assert_eq!(deleted.lines().count(), 2, "{deleted}");
    let show = ["artifact", "show", "--deps", "all", "sub/empty.bst"];
    assert_eq!(
        place.run(&show),
        "  not cached base.bst\n      cached sub/empty.bst\n\n"
    );
    assert_eq!(place.run(&show), peer.run(&show));
    assert_eq!(
        place.run(&["artifact", "delete", &name]),
        "No artifacts were removed\n"
    );
    let list = ["artifact", "list-contents", "base.bst"];
    let output = place.headstart().args(list).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert_eq!(peer.output(&list).status.code(), Some(1));
    let wrong = ["artifact", "show", "base"];
    let output = place.headstart().args(wrong).output().unwrap();
    assert!(
        said(&output).contains("neither an element"),
        "{}",
        said(&output)
    );
}
