//! Caches that somebody or some disk has damaged: it is noticed, and the next build mends it.

use std::fs;
use std::path::Path;

use headstart_merkle::BlobDigest;

use crate::support::{CHAIN, Calls, Compiler, Place, Report, said, sharded};

/// Changes a byte of a file, of whatever else it is a link to not.
fn flip(path: &Path) {
    let mut content = fs::read(path).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 1;
    fs::remove_file(path).unwrap();
    fs::write(path, content).unwrap();
}

/// Builds `app.bst`, which must fail and say that the object `damaged` is; the next build must
/// succeed. Gives that.
fn mended(place: &Place, damaged: BlobDigest) -> Report {
    let (output, _) = place.try_build("app.bst", "full");
    assert_eq!(output.status.code(), Some(255), "{}", said(&output));
    let expected = format!("the stored object {damaged} is damaged");
    assert!(said(&output).contains(&expected), "{}", said(&output));
    assert!(said(&output).contains("build again"));
    place.build("app.bst", "full")
}

#[test]
fn a_damaged_file_of_an_artifact_is_never_built_with() {
    let place = Place::new(CHAIN);
    let first = place.build("app.bst", "full");
    let library = BlobDigest::of(&place.file("liba.bst", "usr/lib/liba.a"));
    flip(&place.object(&library.hex()));
    // Of the elements only app is to be built, with that library.
    place.edit("files/app/app.c", "int main", "/* Changed. */ int main");
    let second = mended(&place, library);
    assert_eq!(second.state("liba.bst"), "built");
    assert_eq!(
        second.artifacts()["liba.bst"],
        first.artifacts()["liba.bst"]
    );
    let third = place.build("app.bst", "full");
    assert_eq!(third.state("app.bst"), "cached");
}

#[test]
fn a_damaged_executable_is_never_run() {
    let place = Place::new(CHAIN);
    place.build("app.bst", "none");
    let compiler = Compiler::root().join("usr/bin/ar");
    let compiler = BlobDigest::of(&fs::read(compiler).unwrap());
    flip(&place.object(&compiler.hex()));
    // The copy that is executable was made from it before.
    let copies = place.cache().join("headstart/executables");
    flip(&sharded(&copies, &compiler.hex()));
    place.edit("files/base/base.h", "BASE 1", "BASE 2");
    mended(&place, compiler);
}

#[test]
fn a_damaged_source_is_staged_again() {
    let place = Place::new(CHAIN);
    place.build("app.bst", "full");
    let source = BlobDigest::of(&fs::read(place.project().join("files/liba/one.c")).unwrap());
    flip(&place.object(&source.hex()));
    place.edit("files/base/base.h", "BASE 1", "BASE 2");
    let second = mended(&place, source);
    assert_eq!(second.state("app.bst"), "built");
}

#[test]
fn damaged_directories_and_references_are_as_good_as_none() {
    let place = Place::new(CHAIN);
    let first = place.build("app.bst", "full");
    // A Directory of one artifact, the reference to another.
    let files = place.artifact(&first, "liba.bst").files.unwrap();
    flip(&place.object(&files.hash));
    let refs = place.cache().join("artifacts/refs/e2e/base");
    fs::write(refs.join(first.key("base.bst")), b"\xff\xff\xff").unwrap();
    // Without need nobody looks.
    place.edit("files/app/app.c", "int main", "/* Changed. */ int main");
    let second = place.build("app.bst", "full");
    for element in ["base.bst", "liba.bst"] {
        assert_eq!(second.state(element), "built");
        assert_eq!(second.artifacts()[element], first.artifacts()[element]);
    }
}

#[test]
fn damaged_records_cost_their_predictions_only() {
    let place = Place::new(CHAIN);
    let first = place.build("app.bst", "full");
    let digest = place
        .artifact(&first, "liba.bst")
        .speculative_actions
        .unwrap();
    flip(&place.object(&digest.hash));
    // All that the action cache has of results is cut short.
    let results = place.cache().join("headstart/action-cache");
    for folder in fs::read_dir(&results).unwrap().flatten() {
        for result in fs::read_dir(folder.path()).unwrap().flatten() {
            fs::write(result.path(), b"torn").unwrap();
        }
    }
    place.edit("files/base/base.h", "BASE 1", "BASE 2");
    let second = place.build_compared("app.bst", "full");
    assert_eq!(second.calls("liba.bst"), Calls::missed(3));
    assert_eq!(second.calls("app.bst"), Calls::foreseen(2));
    place.edit("files/base/base.h", "BASE 2", "BASE 3");
    let third = place.build("app.bst", "full");
    assert_eq!(third.calls("liba.bst"), Calls::foreseen(3));
}
