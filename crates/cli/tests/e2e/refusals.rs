//! Projects that can't be built as they are: what people are told, word for word, and that the
//! mended project builds.

use std::fs;
use std::path::Path;

use headstart_merkle::BlobDigest;

use crate::support::{Place, said};

const PROJECT: &str = r"
== project.conf
name: e2e
min-version: 2.0
element-path: elements
aliases:
  files: '%{project-root-uri}/downloads/'
== elements/top.bst
kind: stack
depends:
- lib.bst
== elements/lib.bst
kind: import
sources:
- kind: local
  path: files/lib
== files/lib/readme
Read me.
";

/// Builds `top.bst`, which must end with exit code 1 and say `expected` to standard error.
fn assert_refused(place: &Place, expected: &str) {
    let (output, _) = place.try_build("top.bst", "full");
    assert_eq!(output.status.code(), Some(255), "{}", said(&output));
    let project = place.project().display().to_string();
    let errors = String::from_utf8(output.stderr).unwrap();
    let errors: String = untimed(&errors).collect();
    assert_eq!(errors.replace(&project, "PROJECT"), expected);
}

/// Lines without the time before them.
fn untimed(lines: &str) -> impl Iterator<Item = &str> {
    lines
        .split_inclusive('\n')
        .map(|line| match line.split_once("] ") {
            Some((time, rest)) if time.starts_with('[') => rest,
            _ => line,
        })
}

/// Each file with what makes it wrong, and what is said of it.
const WRONG: &[(&str, &str, &str)] = &[
    // Text that is no YAML.
    (
        "elements/top.bst",
        "kind: stack\ndepends: [lib.bst]]\n",
        "\
error: elements/top.bst:2:19: invalid YAML: did not find expected key while parsing a \
block mapping that begins at 1:1
    depends: [lib.bst]]
                      ^
",
    ),
    (
        "elements/top.bst",
        "kind: stack\ndepends: [lib.bst\n",
        "\
error: elements/top.bst:3:1: invalid YAML: did not find expected ',' or ']' while parsing a flow \
sequence that begins at 2:10
",
    ),
    (
        "elements/top.bst",
        "kind: stack\nkind: stack\n",
        "\
error: elements/top.bst:2:1: the key 'kind' is already in this mapping
    kind: stack
    ^^^^
",
    ),
    (
        "elements/top.bst",
        "",
        "error: elements/top.bst:1:1: expected the key 'kind' in this mapping\n",
    ),
    // Kinds.
    (
        "elements/top.bst",
        "kind: stak\n",
        "\
error: elements/top.bst:1:7: there is no element kind 'stak'
    kind: stak
          ^^^^
hint: did you mean 'stack'?
",
    ),
    (
        "elements/lib.bst",
        "kind: import\nsources:\n- kind: lokal\n  path: files/lib\n",
        "\
error: elements/lib.bst:3:9: there is no source kind 'lokal'
    - kind: lokal
            ^^^^^
hint: did you mean 'local'?
",
    ),
    (
        "elements/top.bst",
        "kind: cmake\n",
        "\
error: elements/top.bst:1:7: the element kind 'cmake' comes from the package 'buildstream-plugins', \
which project.conf does not name as its origin
    kind: cmake
          ^^^^^
hint: add 'cmake' to a plugin origin 'pip' with the package 'buildstream-plugins' in project.conf
",
    ),
    // Dependencies.
    (
        "elements/top.bst",
        "kind: stack\ndepends:\n- lib.bst\n- lab.bst\n",
        "\
error: elements/top.bst:4:3: there is no element 'lab.bst' in 'elements'
    - lab.bst
      ^^^^^^^
hint: did you mean 'lib.bst'?
",
    ),
    (
        "elements/lib.bst",
        "kind: stack\ndepends:\n- top.bst\n",
        "\
error: elements/lib.bst:3:3: the element 'top.bst' depends on itself: top.bst -> lib.bst -> top.bst
    - top.bst
      ^^^^^^^
",
    ),
    // Variables.
    (
        "elements/lib.bst",
        "kind: import\nsources:\n- kind: local\n  path: files/lib\nconfig:\n  target: '%{share}/lib'\n",
        "\
error: elements/lib.bst:6:11: the variable 'share' is not defined
      target: '%{share}/lib'
              ^^^^^^^^^^^^^^
",
    ),
    (
        "elements/lib.bst",
        "kind: import\nvariables:\n  a: '%{b}'\n  b: '%{a}'\nsources:\n- kind: local\n  path: files/lib\n\
         config:\n  target: '%{a}'\n",
        "\
error: elements/lib.bst:3:6: the variable 'a' refers to itself: a -> b -> a
      a: '%{b}'
         ^^^^^^
",
    ),
    // Sources.
    (
        "elements/lib.bst",
        "kind: import\nsources:\n- kind: local\n  path: files/lab\n",
        "\
error: elements/lib.bst:4:9: the path 'files/lab' does not exist
      path: files/lab
            ^^^^^^^^^
",
    ),
    (
        "elements/lib.bst",
        "kind: import\nsources:\n- kind: local\n  path: files/../../../etc\n",
        "\
error: elements/lib.bst:4:9: the path 'files/../../../etc' leads out of the project's directory
      path: files/../../../etc
            ^^^^^^^^^^^^^^^^^^
",
    ),
    (
        "elements/lib.bst",
        "kind: import\nsources:\n- kind: tar\n  url: fills:lib.tar\n",
        "\
error: elements/lib.bst:4:8: the alias 'fills' is not defined in project.conf
      url: fills:lib.tar
           ^^^^^^^^^^^^^
",
    ),
    (
        "elements/lib.bst",
        "kind: import\nsources:\n- kind: local\n  paht: files/lib\n",
        "\
error: elements/lib.bst:4:3: unexpected key 'paht': expected one of 'kind', 'directory', 'provenance', \
'path'
      paht: files/lib
      ^^^^
hint: did you mean 'path'?
",
    ),
    // The project.
    (
        "project.conf",
        "name: e2e\nmin-version: 2.0\nelement-path: elments\n",
        "\
error: project.conf:3:15: the path 'elments' does not exist
    element-path: elments
                  ^^^^^^^
",
    ),
    (
        "project.conf",
        "name: e2e\nmin-version: 9.0\nelement-path: elements\n",
        "\
error: project.conf:2:14: the project needs BuildStream 9.0, this is as BuildStream 2.8
    min-version: 9.0
                 ^^^
",
    ),
];

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let place = Place::bare(PROJECT);
    for (file, wrong, expected) in WRONG {
        let right = fs::read(place.project().join(file)).unwrap();
        place.write(file, wrong);
        assert_refused(&place, expected);
        place.write(file, right);
        place.build("top.bst", "full");
    }
}

#[test]
fn what_is_not_there_is_said() {
    let place = Place::bare(PROJECT);
    let lib = fs::read(place.project().join("elements/lib.bst")).unwrap();
    fs::remove_file(place.project().join("elements/lib.bst")).unwrap();
    assert_refused(
        &place,
        "\
error: elements/top.bst:3:3: there is no element 'lib.bst' in 'elements'
    - lib.bst
      ^^^^^^^
",
    );
    place.write("elements/lib.bst", lib);
    fs::remove_dir_all(place.project().join("files/lib")).unwrap();
    assert_refused(
        &place,
        "\
error: elements/lib.bst:4:9: the path 'files/lib' does not exist
      path: files/lib
            ^^^^^^^^^
",
    );
    place.write("files/lib/readme", "Read me.\n");
    place.build("top.bst", "full");

    let (output, _) = place.try_build("tap.bst", "full");
    assert_eq!(output.status.code(), Some(255));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        errors,
        "error: there is no element 'tap.bst' in 'elements'\nhint: did you mean 'top.bst'?\n"
    );
    fs::remove_file(place.project().join("project.conf")).unwrap();
    assert_refused(
        &place,
        "error: there is no project.conf in PROJECT, nor in any folder above it\n",
    );
}

/// `lib.bst` made of a tar of `entries`, each a type, a name and a content or target.
fn import_tar(place: &Place, entries: &[(tar::EntryType, &str, &str)]) {
    let mut archive = tar::Builder::new(Vec::new());
    for (kind, name, content) in entries {
        let mut header = tar::Header::new_ustar();
        // Not `set_path`, which refuses what is tried here.
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_mode(0o644);
        header.set_entry_type(*kind);
        let data = match kind {
            tar::EntryType::Regular => content.as_bytes(),
            _ => {
                header.as_mut_bytes()[157..157 + content.len()].copy_from_slice(content.as_bytes());
                &[]
            }
        };
        header.set_size(data.len() as u64);
        header.set_cksum();
        archive.append(&header, data).unwrap();
    }
    import_archive(place, &archive.into_inner().unwrap());
}

fn import_archive(place: &Place, content: &[u8]) {
    place.write("downloads/lib.tar", content);
    let digest = BlobDigest::of(content).hex();
    let element = format!(
        "kind: import\nsources:\n- kind: tar\n  url: files:lib.tar\n  base-dir: ''\n  ref: {digest}\n"
    );
    place.write("elements/lib.bst", element);
}

/// What is said when fetching or staging lib.bst's only source fails.
fn failed(reason: &str) -> String {
    format!("failed   lib.bst: elements/lib.bst:3:3: files:lib.tar{reason}\n")
}

#[test]
fn hostile_archives_are_refused() {
    use tar::EntryType::{Link, Regular, Symlink};
    let place = Place::bare(PROJECT);
    let outside = place.project().with_file_name("outside");
    let absolute = outside.display().to_string();
    for (entries, reason) in [
        (
            &[(Regular, "right", ""), (Regular, "../outside", "")][..],
            "\"../outside\" in it leads outside: \"../outside\" is not a path inside a tree: `..` leads \
             out of it",
        ),
        (
            &[(Regular, "a/../../outside", "")],
            "\"a/../../outside\" in it leads outside: \"a/../../outside\" is not a path inside a tree: \
             `..` leads out of it",
        ),
        (
            &[(Regular, "/etc/passwd", "")],
            "\"/etc/passwd\" in it leads outside: it is absolute",
        ),
        (
            &[(Symlink, "way", "/etc"), (Regular, "way/passwd", "")],
            "\"way/passwd\" in it is misplaced: way is not a directory",
        ),
        (
            &[(Link, "way", "../../outside")],
            "\"../../outside\" in it leads outside: \"../../outside\" is not a path inside a tree: `..` \
             leads out of it",
        ),
        (
            &[(Link, "way", "nowhere")],
            "\"way\" is a link to \"nowhere\", which is not in it",
        ),
    ] {
        import_tar(&place, entries);
        assert_refused(&place, &failed(&format!(": {reason}")));
        assert!(!Path::new(&absolute).exists());
    }
    import_tar(&place, &[(Regular, "right", "content")]);
    place.build("top.bst", "full");
    assert_eq!(place.file("lib.bst", "right"), b"content");
}

#[test]
fn archives_that_are_none_are_refused() {
    let place = Place::bare(PROJECT);
    import_archive(&place, &b"\x1b[31mnot a tar".repeat(200));
    let (output, _) = place.try_build("top.bst", "full");
    let errors = String::from_utf8(output.stderr).unwrap();
    let errors: String = untimed(&errors).collect();
    assert!(
        errors.starts_with(failed(": it is no archive, or damaged: ").trim_end()),
        "{errors}"
    );
    assert!(!errors.contains('\x1b'), "{errors:?}");
}

#[test]
fn a_source_that_is_not_what_its_ref_says_is_refused() {
    let place = Place::bare(PROJECT);
    import_tar(&place, &[(tar::EntryType::Regular, "right", "content")]);
    let right = fs::read(place.project().join("downloads/lib.tar")).unwrap();
    let expected = BlobDigest::of(&right).hex();
    let found = BlobDigest::of(b"other").hex();
    place.write("downloads/lib.tar", "other");
    let fetch = " can't be fetched: file://PROJECT/downloads/lib.tar: ";
    let reason = format!("{fetch}its SHA-256 is {found}, expected the `ref` {expected}");
    assert_refused(&place, &failed(&reason));
    fs::remove_file(place.project().join("downloads/lib.tar")).unwrap();
    let reason = format!("{fetch}No such file or directory (os error 2)");
    assert_refused(&place, &failed(&reason));
    place.write("downloads/lib.tar", right);
    place.build("top.bst", "full");
    assert_eq!(place.file("lib.bst", "right"), b"content");

    place.edit("elements/lib.bst", &format!("  ref: {expected}\n"), "");
    let message = "\
failed   lib.bst: elements/lib.bst:3:3: the source has no `ref`: track it first
";
    assert_refused(&place, message);
}
