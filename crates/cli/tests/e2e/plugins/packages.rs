//! Kinds of sources of BuildStream's packages: tracked and fetched from servers of this machine as BuildStream does
//! it, images by this program, the others by the user's plugins.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use headstart_merkle::BlobDigest;

use super::{hosting, refused_by, run, show_alike};
use crate::support::{Answer, BuildStream, Place, Request, finish, serve};

const PROJECT: &str = "
== project.conf
name: e2e
min-version: 2.5
element-path: elements
aliases: {registry: 'REGISTRY', cpan: 'REGISTRY/cpan/', index: 'REGISTRY/simple/'}
plugins:
- origin: pip
  package-name: buildstream-plugins
  sources: [docker, pip]
- origin: pip
  package-name: buildstream-plugins-community
  sources: [cpan, deb]
== elements/tracked.bst
kind: import
sources:
- {kind: docker, registry-url: 'registry:', image: some/image, track: latest, architecture: amd64, os: linux, directory: image}
- {kind: docker, url: 'registry:/secret', track: latest, architecture: arm64, directory: secret}
- {kind: cpan, index: 'cpan:', name: 'Some::Module', directory: perl}
== elements/python.bst
kind: import
sources:
- {kind: local, path: files}
- {kind: pip, url: 'index:', packages: [demo], directory: python}
== elements/known.bst
kind: import
sources:
- {kind: docker, url: 'registry:/a/b', version: '3', ref: 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03}
- {kind: docker, image: library/alpine, ref: 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03}
- {kind: pip, packages: [a], ref: \"a==1.0\\nb==2.0\"}
- {kind: cpan, name: 'A::B', suffix: authors/id/A/A-B-1.0.tar.gz, sha256sum: 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03}
== files/first
first
== elements/deb.bst
kind: import
sources:
- {kind: deb, url: 'registry:a.deb', ref: 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03}
";

/// Builds the package that pip is given, as far as pip wants that to download it.
const BACKEND: &str = r#"
import os


def prepare_metadata_for_build_wheel(directory, config_settings=None):
    name = "demo-1.2.dist-info"
    os.makedirs(os.path.join(directory, name))
    with open(os.path.join(directory, name, "METADATA"), "w") as file:
        file.write("Metadata-Version: 2.1\nName: demo\nVersion: 1.2\n")
    return name
"#;

/// Packs a folder's content, below a name, as the same bytes whenever it is done.
fn pack(folder: &Path, name: &str, to: &Path) -> Vec<u8> {
    let mut tar = Command::new("tar");
    tar.args([
        "--create",
        "--gzip",
        "--sort=name",
        "--mtime=@0",
        "--owner=0",
        "--group=0",
    ]);
    tar.arg(match name {
        // As registries have it: nothing stands before the first names.
        "." => "--transform=s,^[.]/,,".to_owned(),
        name => format!("--transform=s,^[.],{name},"),
    });
    finish(
        tar.arg("--file")
            .arg(to)
            .arg("--directory")
            .arg(folder)
            .arg("."),
    );
    fs::read(to).unwrap()
}

/// A digest as registries write it.
fn digest(content: &[u8]) -> String {
    format!("sha256:{}", BlobDigest::of(content).hex())
}

/// Adds an image of two layers to what a registry has; gives its manifest.
fn add_image(
    contents: &mut BTreeMap<String, Vec<u8>>,
    folder: &Path,
    image: &str,
    layers: [&str; 2],
) -> String {
    let layers = layers.map(|name| {
        let layer = pack(
            &folder.join(name),
            ".",
            &folder.join(format!("{name}.tar.gz")),
        );
        let digest = digest(&layer);
        let described = format!(
            r#"{{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": "{digest}", "size": {}}}"#,
            layer.len()
        );
        let path = digest.replace(':', "%3A");
        contents.insert(format!("/v2/{image}/blobs/{path}"), layer);
        described
    });
    let manifest = format!(
        r#"{{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": [{}]}}"#,
        layers.join(", ")
    );
    let path = digest(manifest.as_bytes()).replace(':', "%3A");
    contents.insert(
        format!("/v2/{image}/manifests/{path}"),
        manifest.clone().into(),
    );
    manifest
}

/// What a registry, and whoever it trusts, answers to those who show nothing.
fn challenge(request: &Request) -> Option<Answer> {
    let shown = "Authorization: Bearer opensesame";
    if !request.path.starts_with("/v2/secret/") || request.head.iter().any(|line| line == shown) {
        return None;
    }
    let host = request
        .head
        .iter()
        .find_map(|line| line.strip_prefix("Host: "));
    Some(Answer::refused("401 Who are you").with(format!(
        r#"Www-Authenticate: Bearer realm="http://{}/token",service="here",scope="repository:secret:pull""#,
        host.unwrap()
    )))
}

/// What a registry of images, an index of Perl modules and one of Python packages have.
fn contents(folder: &Path) -> BTreeMap<String, Answer> {
    let file = |path: &str, text: &str| {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let mut contents = BTreeMap::new();
    // Two layers, the second of which takes something of the first away.
    for (path, text) in [
        ("one/etc/gone", "gone"),
        ("one/etc/stays", "stays"),
        ("two/etc/.wh.gone", ""),
        // What a link leads to is gone, all that was in a directory too, and devices do not count.
        ("three/a", "a"),
        ("three/hidden/x", "x"),
        ("three/dev/zero", "0"),
        ("three/tool", "#!/bin/sh"),
        ("four/.wh.a", ""),
        ("four/hidden/.wh..wh..opq", ""),
        ("four/hidden/y", "y"),
    ] {
        file(path, text);
    }
    fs::hard_link(folder.join("three/a"), folder.join("three/b")).unwrap();
    symlink("nowhere", folder.join("three/hidden/link")).unwrap();
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder.join("three/tool"), executable).unwrap();
    let image = add_image(&mut contents, folder, "some/image", ["one", "two"]);
    contents.insert("/v2/some/image/manifests/latest".to_owned(), image.into());
    let image = add_image(&mut contents, folder, "secret", ["three", "four"]);
    let other = digest(b"other");
    let list = format!(
        r#"{{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
            {{"digest": "{other}", "platform": {{"architecture": "amd64", "os": "linux"}}}},
            {{"digest": "{}", "platform": {{"architecture": "arm64", "os": "linux"}}}}]}}"#,
        digest(image.as_bytes())
    );
    contents.insert("/v2/secret/manifests/latest".to_owned(), list.into());
    contents.insert(
        "/token?service=here&scope=repository:secret:pull".to_owned(),
        r#"{"token": "opensesame"}"#.into(),
    );

    file("module/lib/Some/Module.pm", "package Some::Module;\n1;\n");
    let module = pack(
        &folder.join("module"),
        "Some-Module-1.5",
        &folder.join("module.tar.gz"),
    );
    contents.insert(
        "/cpan/authors/id/S/SO/Some-Module-1.5.tar.gz".to_owned(),
        module,
    );
    file(
        "listing",
        "File: x\n\nSome::Module  1.5  S/SO/Some-Module-1.5.tar.gz\n",
    );
    finish(Command::new("gzip").arg("-n").arg(folder.join("listing")));
    let listing = fs::read(folder.join("listing.gz")).unwrap();
    contents.insert(
        "/cpan/modules/02packages.details.txt.gz".to_owned(),
        listing,
    );

    // What builds it is in it: nothing else has to be fetched for that.
    file(
        "demo/pyproject.toml",
        "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n",
    );
    file("demo/backend.py", BACKEND);
    let package = pack(
        &folder.join("demo"),
        "demo-1.2",
        &folder.join("demo.tar.gz"),
    );
    contents.insert("/files/demo-1.2.tar.gz".to_owned(), package);
    let page = r#"<!DOCTYPE html><html><body><a href="/files/demo-1.2.tar.gz">demo-1.2.tar.gz</a></body></html>"#;
    contents.insert("/simple/demo/".to_owned(), page.into());

    let answer = |(path, body): (String, Vec<u8>)| {
        let answer = match path.as_str() {
            path if path.contains("/manifests/") => {
                let digest = format!("Docker-Content-Digest: {}", digest(&body));
                Answer::found(body).with(digest)
            }
            "/simple/demo/" => Answer::found(body).with("Content-Type: text/html"),
            _ => Answer::found(body),
        };
        (path, answer)
    };
    contents.into_iter().map(answer).collect()
}

fn place() -> Place {
    let place = Place::bare(PROJECT);
    fs::create_dir_all(place.home()).unwrap();
    let contents = contents(&place.home().join("served"));
    let address = serve(move |request| {
        let found = || contents.get(&request.path).cloned();
        let answer = challenge(request).or_else(found);
        answer.unwrap_or_else(|| Answer::refused("404 Nothing"))
    });
    let conf = fs::read_to_string(place.project().join("project.conf")).unwrap();
    place.write("project.conf", conf.replace("REGISTRY", &address));
    place
}

#[test]
fn sources_of_packages_are_tracked_and_fetched_as_buildstream_does_it() {
    let place = place();
    let bst = BuildStream::beside(&place, "cache-of-buildstream");
    let format = "%{name} %{full-key} %{state}";
    show_alike(&place, &bst, format, "known.bst");
    for (name, tracked, contents) in [
        (
            "tracked",
            "Some-Module-1.5.tar.gz",
            &[
                "image/etc/stays",
                "secret/b",
                "secret/hidden/y",
                "perl/lib/Some/Module.pm",
            ][..],
        ),
        (
            "python",
            "demo==1.2",
            &["python/.bst_pip_downloads/demo-1.2.tar.gz"],
        ),
    ] {
        let listed = tracked_and_built(&place, &bst, name, tracked);
        for path in contents {
            assert!(listed.contains(path), "{path}: {listed}");
        }
        for path in ["image/etc/gone", "secret/a\n", "secret/hidden/x", "zero"] {
            assert!(!listed.contains(path), "{path}: {listed}");
        }
    }
}

/// Has both programs track, fetch and build an element; gives the list of what is in its artifact.
pub(super) fn tracked_and_built(
    place: &Place,
    bst: &BuildStream,
    name: &str,
    tracked: &str,
) -> String {
    let file = format!("{name}.bst");
    let element = place.project().join("elements").join(&file);
    let written = fs::read_to_string(&element).unwrap();
    bst.run(&["source", "track", &file]);
    let theirs = fs::read_to_string(&element).unwrap();
    fs::write(&element, &written).unwrap();
    run(place, &["source", "track", &file]);
    let key = |text: &str| {
        fs::write(&element, text).unwrap();
        run(place, &["show", "--format", "%{full-key}", &file])
    };
    let ours = fs::read_to_string(&element).unwrap();
    assert_eq!(key(&ours), key(&theirs), "{ours}\n{theirs}");
    assert!(ours.contains(tracked), "{ours}");
    fetched_and_built(place, bst, name)
}

/// Has both programs fetch and build an element; gives the list of what is in its artifact.
fn fetched_and_built(place: &Place, bst: &BuildStream, name: &str) -> String {
    let file = format!("{name}.bst");
    for command in [&["source", "fetch"][..], &["build"]] {
        run(place, &[command, &[&file]].concat());
        bst.run(&[command, &[&file]].concat());
    }
    let format = "%{name} %{full-key} %{state} %{artifact-cas-digest}";
    let shown = show_alike(place, bst, format, &file);
    assert!(shown.contains(" cached "), "{shown}");
    run(place, &["artifact", "list-contents", &file])
}

#[test]
fn what_a_package_of_plugins_lacks_is_named() {
    let place = place();
    // Found before the one that is installed.
    let lacking = place.home().join("lacking");
    fs::create_dir_all(&lacking).unwrap();
    let module = "raise ModuleNotFoundError(\"No module named 'arpy'\", name='arpy')\n";
    fs::write(lacking.join("arpy.py"), module).unwrap();
    let mut command = hosting(&place);
    command.env("PYTHONPATH", &lacking);
    let said = refused_by(command.args(["show", "deb.bst"]));
    for text in [
        "elements/deb.bst:3:10",
        "the source plugin 'deb' of the Python package 'buildstream-plugins-community'",
        "arpy",
    ] {
        assert!(said.contains(text), "{text}: {said}");
    }
}
