//! A build keeps the cache within its quota by itself.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use headstart_merkle::BlobDigest;

use crate::support::{Place, said};

const PROJECT: &str = r"
== project.conf
name: quota
min-version: 2.0
element-path: elements
== elements/first.bst
kind: import
sources:
- kind: local
  path: first
== elements/second.bst
kind: import
sources:
- kind: local
  path: second
";

/// Builds an element with 400 KiB for all; what was said.
fn build(place: &Place, element: &str, quota: &str) -> String {
    let config = place.home().join("quota.conf");
    fs::create_dir_all(place.home()).unwrap();
    fs::write(
        &config,
        format!("cache: {{quota: {quota}, low-watermark: 90%}}\n"),
    )
    .unwrap();
    let mut command = place.headstart();
    command.arg("--config").arg(config);
    let output = command.args(["build", element]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    said(&output)
}

/// The objects that are stored.
fn objects(place: &Place) -> Vec<PathBuf> {
    let shards = fs::read_dir(place.cache().join("cas/objects")).unwrap();
    let files = shards.flat_map(|shard| fs::read_dir(shard.unwrap().path()).unwrap());
    files.map(|file| file.unwrap().path()).collect()
}

/// Makes all that is stored look as if it had last been used an hour ago.
fn age(place: &Place) {
    let then = SystemTime::now() - Duration::from_secs(3600);
    for path in objects(place) {
        let times = fs::FileTimes::new().set_accessed(then);
        fs::File::open(path).unwrap().set_times(times).unwrap();
    }
}

fn stored(place: &Place) -> u64 {
    let sizes = objects(place).into_iter();
    sizes.map(|path| fs::metadata(path).unwrap().len()).sum()
}

/// The object with what is in a file of 300,000 bytes.
fn object(place: &Place, digit: &str) -> PathBuf {
    place.object(&BlobDigest::of(digit.repeat(300_000).as_bytes()).hex())
}

#[test]
fn what_was_not_used_for_longest_goes_at_the_end() {
    let place = Place::bare(PROJECT);
    place.write("first/content", "1".repeat(300_000));
    place.write("second/content", "2".repeat(300_000));
    build(&place, "first.bst", "400K");
    assert!(object(&place, "1").exists());
    age(&place);
    let said = build(&place, "second.bst", "400K");
    assert!(!said.contains("cache: quota"), "{said}");
    assert!(object(&place, "2").exists());
    assert!(!object(&place, "1").exists(), "it had to go");
    assert!(stored(&place) <= 400 * 1024, "{}", stored(&place));
    build(&place, "first.bst", "infinity");
    assert!(object(&place, "1").exists() && object(&place, "2").exists());
}

#[test]
fn what_a_build_used_stays_and_is_told_of() {
    let place = Place::bare(PROJECT);
    place.write("first/content", "1".repeat(300_000));
    let said = build(&place, "first.bst", "100K");
    assert!(said.contains("cache: quota"), "{said}");
    assert!(object(&place, "1").exists());
}
