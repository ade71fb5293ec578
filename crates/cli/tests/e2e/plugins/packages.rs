//! Kinds of sources of BuildStream's packages that are not built in: tracked and fetched from servers of
//! this machine by the user's plugins, as BuildStream does it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::{refused, run, show_alike};
use crate::sources::sha256;
use crate::support::{Answer, BuildStream, Place, finish, serve};

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
- {kind: cpan, index: 'cpan:', name: 'Some::Module', directory: perl}
== elements/python.bst
kind: import
sources:
- {kind: local, path: files}
- {kind: pip, url: 'index:', packages: [demo], directory: python}
== elements/known.bst
kind: import
sources:
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
    tar.arg(format!("--transform=s,^[.],{name},"));
    finish(
        tar.arg("--file")
            .arg(to)
            .arg("--directory")
            .arg(folder)
            .arg("."),
    );
    fs::read(to).unwrap()
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
    let mut layers = Vec::new();
    for (name, path) in [
        ("one", "etc/gone"),
        ("one", "etc/stays"),
        ("two", "etc/.wh.gone"),
    ] {
        file(&format!("{name}/{path}"), path);
    }
    for name in ["one", "two"] {
        let path = folder.join(format!("{name}.tar.gz"));
        let layer = pack(&folder.join(name), ".", &path);
        let hash = sha256(&path);
        layers.push(format!(
            r#"{{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": "sha256:{hash}", "size": {}}}"#,
            layer.len()
        ));
        contents.insert(format!("/v2/some/image/blobs/sha256%3A{hash}"), layer);
    }
    let manifest = format!(
        r#"{{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": [{}]}}"#,
        layers.join(", ")
    );
    file("manifest", &manifest);
    let hash = sha256(folder.join("manifest"));
    for name in ["latest", &format!("sha256%3A{hash}")] {
        contents.insert(
            format!("/v2/some/image/manifests/{name}"),
            manifest.clone().into(),
        );
    }
    let digest = format!("Docker-Content-Digest: sha256:{hash}");

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
            path if path.contains("/manifests/") => Answer::found(body).with(&digest),
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
    let address = serve(move |request| match contents.get(&request.path) {
        Some(answer) => answer.clone(),
        None => Answer::refused("404 Nothing"),
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
            &["image/etc/stays", "perl/lib/Some/Module.pm"][..],
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
        assert!(!listed.contains("image/etc/gone"), "{listed}");
    }
}

/// Has both programs track, fetch and build an element; gives the list of what is in its artifact.
fn tracked_and_built(place: &Place, bst: &BuildStream, name: &str, tracked: &str) -> String {
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
    let said = refused(&place, &["show", "deb.bst"]);
    for text in [
        "elements/deb.bst:3:10",
        "the source plugin 'deb' of the Python package 'buildstream-plugins-community'",
        "arpy",
    ] {
        assert!(said.contains(text), "{text}: {said}");
    }
}
