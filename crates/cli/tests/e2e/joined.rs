//! Projects that are joined to others: fetched, staged where BuildStream stages them, and built.

use std::fs;

use headstart_merkle::BlobDigest;

use crate::support::{Place, output, said};

const PROJECT: &str = r"
== project.conf
name: e2e
min-version: 2.0
element-path: elements
aliases:
  files: '%{project-root-uri}/downloads/'
== elements/top.bst
kind: compose
build-depends:
- other.bst:lib.bst
== elements/other.bst
kind: junction
sources:
- kind: tar
  url: files:other.tar
  ref: REF
- kind: local
  path: further
config:
  options:
    greeting: hello
== further/files/lib/more
more
";

const OTHER: [(&str, &str); 3] = [
    (
        "other/project.conf",
        "name: other\nmin-version: 2.0\noptions:\n  greeting:\n    type: enum\n    values: [hello, bye]\n    \
         default: bye\n    variable: greeting\n    description: the name of a directory\n",
    ),
    (
        "other/lib.bst",
        "kind: import\nsources:\n- kind: local\n  path: files/lib\nconfig:\n  target: /%{greeting}\n",
    ),
    ("other/files/lib/readme", "Read me.\n"),
];

fn joined() -> Place {
    let place = Place::bare(PROJECT);
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in OTHER {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        archive
            .append_data(&mut header, path, content.as_bytes())
            .unwrap();
    }
    let archive = archive.into_inner().unwrap();
    place.edit("elements/other.bst", "REF", &BlobDigest::of(&archive).hex());
    place.write("downloads/other.tar", archive);
    place
}

#[test]
fn a_joined_project_is_fetched_staged_and_built() {
    let place = joined();
    let report = place.build("top.bst", "full");
    assert_eq!(report.state("other.bst:lib.bst"), "built");
    assert_eq!(place.file("top.bst", "hello/readme"), b"Read me.\n");
    assert_eq!(place.file("other.bst:lib.bst", "hello/more"), b"more\n");
    // BuildStream finds what was staged, and names everything alike.
    let format = ["show", "--format", "%{name} %{full-key}", "top.bst"];
    let ours = place.headstart().args(format).output().unwrap();
    assert!(ours.status.success(), "{}", said(&ours));
    let theirs = output(place.bst().args(format));
    assert!(theirs.status.success(), "{}", said(&theirs));
    assert_eq!(
        String::from_utf8(ours.stdout).unwrap(),
        String::from_utf8(theirs.stdout).unwrap()
    );
    let staged = place.project().join(".bst/staged-junctions/other.bst");
    assert_eq!(fs::read_dir(staged).unwrap().count(), 1);
}

#[test]
fn a_joined_project_that_can_not_be_had_is_named() {
    let place = joined();
    fs::remove_file(place.project().join("downloads/other.tar")).unwrap();
    let output = place
        .headstart()
        .args(["show", "top.bst"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(255), "{}", said(&output));
    let errors = String::from_utf8(output.stderr).unwrap();
    let expected =
        "error: elements/other.bst:1:1: the sources of the junction 'other.bst' can't be staged: ";
    assert!(errors.starts_with(expected), "{errors}");
    assert!(errors.contains("elements/other.bst:3:3: files:other.tar can't be fetched: "));
    let staged = place.project().join(".bst/staged-junctions/other.bst");
    assert!(!staged.exists());
}
