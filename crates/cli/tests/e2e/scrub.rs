//! What `cache scrub` finds, and what it leaves alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use headstart_merkle::BlobDigest;
use headstart_reapi::Message;
use headstart_reapi::reapi;

use crate::support::{Place, said, sharded};

const PROJECT: &str = r"
== project.conf
name: scrubbed
min-version: 2.0
element-path: elements
== elements/one.bst
kind: import
sources:
- kind: local
  path: files
== files/first
the first
== files/second
the second
";

/// Scrubs with these arguments; gives the exit code and what was printed.
fn scrub(place: &Place, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command: Command = place.headstart();
    let output = command.args(["cache", "scrub"]).args(arguments).output();
    let output = output.unwrap();
    (output.status.code(), said(&output))
}

/// Puts a result of an action into the cache, as the store keeps it.
fn put_result(place: &Place, action: &str, result: &reapi::ActionResult) -> PathBuf {
    let hex = BlobDigest::of(action.as_bytes()).hex();
    let path = sharded(&place.cache().join("headstart/action-cache"), &hex);
    let encoded = result.encode_to_vec();
    let mut content = BlobDigest::of(&encoded).hash().to_vec();
    content.extend(encoded);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    path
}

fn with_output(content: &str) -> reapi::ActionResult {
    let output = reapi::OutputFile {
        path: "out".into(),
        digest: Some(BlobDigest::of(content.as_bytes()).into()),
        ..Default::default()
    };
    reapi::ActionResult {
        output_files: vec![output],
        ..Default::default()
    }
}

/// All files of the cache directory with their contents.
fn snapshot(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut pending = vec![folder.to_owned()];
    let mut found = Vec::new();
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => pending.push(path),
                false => found.push((path.clone(), fs::read(&path).unwrap())),
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_sound_cache_is_left_as_it_is() {
    let place = Place::bare(PROJECT);
    place.run(&["build", "one.bst"]);
    put_result(&place, "whole", &with_output("the second\n"));
    let before = snapshot(&place.cache());
    let (code, said) = scrub(&place, &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("and 1 results in"), "{said}");
    assert!(
        said.contains("0 damaged, 0 left behind, 0 results without"),
        "{said}"
    );
    assert_eq!(snapshot(&place.cache()), before);
}

#[test]
fn what_is_of_no_use_is_named_and_removed() {
    let place = Place::bare(PROJECT);
    place.run(&["build", "one.bst"]);
    let object = place.object(&BlobDigest::of(b"the first\n").hex());
    let sound = place.object(&BlobDigest::of(b"the second\n").hex());
    fs::write(&object, "the worst\n").unwrap();
    let leftover = place.cache().join("cas/tmp/headstart-999999999-0");
    fs::write(&leftover, "half").unwrap();
    let stranger = sound.with_file_name("README");
    fs::write(&stranger, "not an object").unwrap();
    let whole = put_result(&place, "whole", &with_output("the second\n"));
    let gone = put_result(&place, "gone", &with_output("the first\n"));
    let torn = put_result(&place, "torn", &with_output("the second\n"));
    fs::write(&torn, "torn").unwrap();
    let of_no_use = [&object, &leftover, &gone, &torn];

    let before = snapshot(&place.cache());
    let (code, said) = scrub(&place, &["--dry-run"]);
    assert_eq!(code, Some(1), "{said}");
    for path in of_no_use.iter().chain([&&stranger]) {
        assert!(
            said.contains(&path.display().to_string()),
            "{path:?}: {said}"
        );
    }
    let actual = BlobDigest::of(b"the worst\n");
    assert!(
        said.contains(&format!("its content has the digest {actual}")),
        "{said}"
    );
    assert!(
        said.contains("2 damaged, 1 left behind, 1 results without"),
        "{said}"
    );
    assert!(said.contains("nothing was removed"), "{said}");
    assert_eq!(snapshot(&place.cache()), before);

    let (code, said) = scrub(&place, &[]);
    assert_eq!(code, Some(1), "{said}");
    for path in of_no_use {
        assert!(!path.exists(), "{path:?} is still there");
    }
    for path in [&sound, &stranger, &whole] {
        assert!(path.exists(), "{path:?} is gone");
    }
    let (code, said) = scrub(&place, &[]);
    assert_eq!(code, Some(0), "{said}");
    // What was damaged is made anew.
    place.run(&["build", "one.bst"]);
    assert_eq!(fs::read(&object).unwrap(), b"the first\n");
}
