//! Keys and metadata compared with those that the real BuildStream makes of the same projects.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::buildstream::Peer;
use crate::compare::{check, load};

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sample")
}

#[test]
fn the_sample_has_the_same_keys() {
    check(&sample(), &[], &["all.bst", "image.bst"]);
}

#[test]
fn options_change_keys_in_the_same_way() {
    let options = [
        ("debug", "true"),
        ("flavour", "sour"),
        ("parts", "c, b"),
        ("masked", "all.bst,apps/auto.bst"),
    ];
    check(&sample(), &options, &["image.bst"]);
}

/// Every kind of source, with all that can be said of it.
#[test]
fn all_sources_have_the_same_keys() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sources");
    check(&root, &[], &["all.bst"]);
}

/// More dependencies than the sort's simple part handles, so that it merges, in an order and with
/// relations that make its comparison inconsistent.
#[test]
fn many_dependencies_are_sorted_in_the_same_way() {
    let root = tempfile::TempDir::new().unwrap();
    let write = |path: &str, text: String| {
        fs::write(root.path().join(path), text).unwrap();
    };
    write("project.conf", "name: many\nmin-version: 2.0\n".to_owned());
    write("data.txt", "data".to_owned());
    let mut state: u32 = 1;
    let mut random = |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    };
    let name = |index: usize| format!("e{:03}.bst", index * 7919 % 1000);
    let mut all = String::from("kind: manual\ndepends:\n");
    for index in 0..300 {
        let mut text =
            String::from("kind: import\nsources: [{kind: local, path: data.txt}]\ndepends:\n");
        let mut chosen = BTreeSet::new();
        for _ in 0..random(4).min(index) {
            let dependency = random(index);
            if chosen.insert(dependency) {
                let kind = ["build", "runtime", "all"][random(3)];
                text += &format!("- {{filename: {}, type: {kind}}}\n", name(dependency));
            }
        }
        if chosen.is_empty() {
            text = text.replace("depends:\n", "");
        }
        write(&name(index), text);
        let kind = ["build", "runtime", "all"][random(3)];
        all += &format!("- {{filename: {}, type: {kind}}}\n", name(299 - index));
    }
    // Each is mentioned before it is written; that is of no account.
    write("all.bst", all);
    check(root.path(), &[], &["all.bst"]);
}

#[test]
fn buildstream_reads_our_metadata_back() {
    let (graph, _) = load(&sample(), &[], &["all.bst", "image.bst"]);
    let peer = Peer::new();
    let mut files = Vec::new();
    let mut write = |name: String, text: String| {
        let path = peer.home.path().join(name);
        fs::write(&path, text).unwrap();
        files.push(path);
    };
    for (id, element) in graph.iter() {
        write(format!("{}.low", id.0), element.low_diversity_meta(None));
        write(format!("{}.high", id.0), element.high_diversity_meta());
        write(format!("{}.public", id.0), element.public_data(None));
    }
    let read = peer.read(&files);
    let find = |name: String| &read[peer.home.path().join(name).to_str().unwrap()];
    for (id, element) in graph.iter() {
        let high = &find(format!("{}.high", id.0))["variables"];
        assert_eq!(
            high.as_object().unwrap().len(),
            element.variables.iter().count()
        );
        for (name, value) in element.variables.iter() {
            // BuildStream strips what it reads, here too.
            assert_eq!(high[&**name], value.trim(), "{}", element.name);
        }
        let low = find(format!("{}.low", id.0));
        for (name, value) in element.environment.iter() {
            // BuildStream strips what it reads, here too.
            assert_eq!(
                low["environment"][&**name],
                value.trim(),
                "{}",
                element.name
            );
        }
        assert_eq!(
            low["sandbox-config"]["build-arch"],
            element.sandbox.build_arch
        );
        let public = find(format!("{}.public", id.0));
        let written: serde_json::Value =
            serde_json::from_str(&headstart_project::Json::from(&element.public.data).to_text())
                .unwrap();
        assert_eq!(*public, written, "{}", element.name);
    }
}
