//! All other kinds of elements and sources that BuildStream's packages have: their keys, and for sources
//! what is tracked, fetched and staged.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::packages::tracked_and_built;
use super::{run, show_alike};
use crate::sources::sha256;
use crate::support::{BuildStream, COMMUNITY, Place, Upstream, finish, output, plugins_of};

/// Each kind of elements of the packages that is not built in.
const ELEMENTS: &str = "
== project.conf
name: kinds
min-version: 2.4
element-path: elements
variables: {build-tool: tool}
plugins:
- origin: pip
  package-name: buildstream-plugins-community
  elements: [bazel_build, bazelize, dpkg_build, dpkg_deploy, oci, snap_image, tar_element, x86image]
- {origin: local, path: plugins/elements, elements: [fastboot_bootimg, fastboot_ext4, ostree]}
== files/text
hello
== elements/files.bst
kind: import
sources: [{kind: local, path: files}]
public:
  bst: {dpkg-data: {package: {name: package}}}
== elements/bazel.bst
kind: bazel_build
build-depends: [files.bst]
variables: {target: '//:all', bazel-build-global: --jobs 1}
== elements/bazel-local.bst
kind: bazel_build
variables: {bazel-startup-local: --batch, bazel-build-local: --jobs 1}
== elements/bazelize.bst
kind: bazelize
build-depends: [files.bst]
config: {include: [devel, runtime], include-orphans: false}
== elements/dpkg.bst
kind: dpkg_build
build-depends: [files.bst]
sources: [{kind: local, path: files}]
== elements/deploy.bst
kind: dpkg_deploy
build-depends:
- files.bst
- {filename: dpkg.bst, config: {input: true}}
== elements/bootimg.bst
kind: fastboot_bootimg
build-depends:
- files.bst
- {filename: tar.bst, config: {input: true}}
== elements/ext4.bst
kind: fastboot_ext4
build-depends:
- files.bst
- {filename: tar.bst, config: {input: true}}
== elements/oci.bst
kind: oci
build-depends: [files.bst, tar.bst]
config:
  images:
  - os: linux
    architecture: amd64
    layer: [files.bst]
    config: {User: me, Env: [A=b]}
== elements/docker.bst
kind: oci
build-depends: [files.bst]
config:
  mode: docker
  gzip: true
  images: [{os: linux, architecture: arm64, tags: [latest], layer: [files.bst], config: {Memory: 100}}]
== elements/ostree.bst
kind: ostree
environment: {PATH: /usr/bin}
build-depends:
- files.bst
- {filename: tar.bst, config: {sysroot: true}}
config: {ostree-branch: a/b, initial-commands: ['true']}
== elements/snap.bst
kind: snap_image
build-depends: [files.bst]
config: {directory: /usr, include: [runtime], metadata: {name: snap, version: 1.0, apps: [{a: b}]}}
== elements/tar.bst
kind: tar_element
build-depends: [files.bst]
config: {filename: all.tar, compression: xz}
== elements/x86image.bst
kind: x86image
build-depends:
- files.bst
- {filename: tar.bst, config: {input: true}}
== elements/all.bst
kind: stack
depends: [bazel.bst, bazel-local.bst, bazelize.bst, dpkg.bst, deploy.bst, bootimg.bst, ext4.bst, oci.bst, docker.bst, ostree.bst,
  snap.bst, tar.bst, x86image.bst]
";

/// Puts the package's plugins into the project: not all of them can be had by the package's name.
fn copy_plugins(place: &Place) {
    place.copy(&plugins_of(COMMUNITY), "plugins");
}

#[test]
fn every_kind_of_elements_of_the_packages_has_buildstreams_keys() {
    let place = Place::bare(ELEMENTS);
    copy_plugins(&place);
    let bst = BuildStream::beside(&place, "cache-of-buildstream");
    for strictness in ["--strict", "--no-strict"] {
        let show = [
            strictness,
            "show",
            "--format",
            "%{name} %{full-key}",
            "all.bst",
        ];
        let ours = run(&place, &show);
        assert_eq!(ours, bst.run(&show));
        assert_eq!(ours.lines().count(), 15, "{ours}");
    }
    // One that needs no tools is built too.
    run(&place, &["build", "tar.bst", "snap.bst", "bazelize.bst"]);
    bst.run(&["build", "tar.bst", "snap.bst", "bazelize.bst"]);
    let format = "%{name} %{state} %{artifact-cas-digest}";
    for element in ["snap.bst", "bazelize.bst"] {
        let shown = show_alike(&place, &bst, format, element);
        assert!(shown.contains(&format!("{element} cached ")), "{shown}");
    }
    // What is in a tar has the times at which it was packed.
    let shown = show_alike(&place, &bst, "%{name} %{state}", "tar.bst");
    assert!(shown.contains("tar.bst cached"), "{shown}");
}

/// Sources from servers of this machine.
const SOURCES: &str = r#"
== project.conf
name: sources
min-version: 2.4
element-path: elements
aliases: {files: 'FILES'}
plugins:
- origin: pip
  package-name: buildstream-plugins-community
  sources: [anitya, bazel_file, bazel_source, deb, quilt]
== bazel/.bst-sources
resolved = [
    {"original_attributes": {"name": "x", "urls": ["FILESx.txt"], "sha256": "XHASH"}},
    {"original_attributes": {"name": "here"}},
]
== quilt/text
one
== quilt/patches/series
first.patch
== quilt/patches/first.patch
--- a/text
+++ b/text
@@ -1 +1 @@
-one
+two
== elements/tracked.bst
kind: import
sources:
- {kind: anitya, project-id: 7, api-url: 'FILESapi/', url: 'files:x-{version}.tar', directory: anitya}
- {kind: bazel_file, url: 'files:x.txt', canonical-ids: [one], directory: bazel}
== elements/bazel.bst
kind: import
sources:
- {kind: local, path: bazel}
- {kind: bazel_source}
== elements/deb.bst
kind: import
sources:
- {kind: deb, url: 'files:x.deb'}
- {kind: deb, url: 'files:x.deb', base-dir: usr/share, directory: shared}
== elements/quilt.bst
kind: import
sources:
- {kind: local, path: quilt}
- {kind: quilt, path: patches}
"#;

/// As much of the tool of this name as the plugin asks of it.
const QUILT: &str = "#!/bin/sh
set -e
test \"$*\" = 'push -a'
while read -r name; do
    patch -p1 < \"$QUILT_PATCHES/$name\"
done < \"$QUILT_PATCHES/series\"
";

/// Makes a package for Debian of a file in `folder`, beside it.
fn pack_deb(folder: &Path) {
    let inside = folder.join("deb");
    fs::create_dir_all(inside.join("usr/share/doc")).unwrap();
    fs::copy(folder.join("x.txt"), inside.join("usr/share/doc/x")).unwrap();
    fs::write(inside.join("control"), "Package: x\n").unwrap();
    fs::write(inside.join("debian-binary"), "2.0\n").unwrap();
    let run = |program: &str, arguments: &[&str]| {
        finish(Command::new(program).args(arguments).current_dir(&inside));
    };
    run(
        "tar",
        &["--create", "--gzip", "--file=control.tar.gz", "./control"],
    );
    run(
        "tar",
        &["--create", "--gzip", "--file=data.tar.gz", "./usr"],
    );
    run(
        "ar",
        &[
            "rc",
            "../x.deb",
            "debian-binary",
            "control.tar.gz",
            "data.tar.gz",
        ],
    );
}

#[test]
fn further_sources_of_the_packages_are_tracked_and_fetched_as_buildstream_does_it() {
    let upstream = Upstream::start();
    let served = upstream.folder();
    fs::write(served.join("x.txt"), "x\n").unwrap();
    let mut tar = Command::new("tar");
    tar.args(["--create", "--file"])
        .arg(served.join("x-1.0.tar"));
    finish(
        tar.arg("--transform=s,^,x-1.0/,")
            .arg("--directory")
            .arg(served)
            .arg("x.txt"),
    );
    pack_deb(served);
    fs::create_dir_all(served.join("api/versions")).unwrap();
    fs::write(
        served.join("api/versions/index.html"),
        r#"{"stable_versions": ["1.0", "0.9"]}"#,
    )
    .unwrap();
    let text = SOURCES
        .replace("FILES", &upstream.files_url())
        .replace("XHASH", &sha256(served.join("x.txt")));
    let place = Place::bare(&text);
    copy_plugins(&place);
    let bst = BuildStream::beside(&place, "cache-of-buildstream");
    for (name, tracked, contents) in [
        (
            "tracked",
            "1.0",
            &["anitya/x.txt", "bazel/_bst_repository_cache"][..],
        ),
        ("bazel", "ref: ", &["_bst_distdir/x.txt"]),
        ("deb", "ref: ", &["share/doc/x", "shared/doc/x"]),
    ] {
        let listed = tracked_and_built(&place, &bst, name, tracked);
        for path in contents {
            assert!(listed.contains(path), "{path}: {listed}");
        }
    }

    // A tool of the machine.
    let tools = place.home().join("tools");
    fs::create_dir_all(&tools).unwrap();
    fs::write(tools.join("quilt"), QUILT).unwrap();
    fs::set_permissions(tools.join("quilt"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let show = [
        "show",
        "--format",
        "%{full-key} %{state} %{artifact-cas-digest}",
        "quilt.bst",
    ];
    let shown = [super::hosting(&place), bst.command()].map(|command| {
        let with = |arguments: &[&str]| {
            let mut again = Command::new(command.get_program());
            again.args(command.get_args()).current_dir(place.project());
            again.env_clear().envs(
                command
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            );
            again.env("PATH", &path).args(arguments);
            again
        };
        finish(&mut with(&["build", "quilt.bst"]));
        String::from_utf8(output(&mut with(&show)).stdout).unwrap()
    });
    assert_eq!(shown[0], shown[1]);
    assert!(shown[0].contains(" cached "), "{}", shown[0]);
}
