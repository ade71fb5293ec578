//! `headstart speculation show`: what is stored of an element, in all layouts, and what is stored in
//! the prototype's layout used.

use std::fs;

use headstart_merkle::BlobDigest;
use headstart_reapi::{Message, buildstream};
use serde_json::Value;

use crate::support::{CHAIN, Calls, Place, said};

impl Place {
    fn show(&self, arguments: &[&str]) -> Vec<u8> {
        let mut show = self.headstart();
        let output = show.args(["speculation", "show"]).args(arguments).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", said(&output));
        output.stdout
    }
}

#[test]
fn what_is_stored_is_shown_readable_and_as_data() {
    let place = Place::new(CHAIN);
    let mut show = place.headstart();
    let nothing = show.args(["speculation", "show", "liba.bst"]).output();
    let nothing = said(&nothing.unwrap());
    assert!(
        nothing.contains("nothing is stored of liba.bst"),
        "{nothing}"
    );
    place.build("app.bst", "full");
    let data: Value =
        serde_json::from_slice(&place.show(&["liba.bst", "--format", "json"])).unwrap();
    assert_eq!(data["found_under"], "strict-key");
    let actions = data["actions"].as_array().unwrap();
    assert_eq!(actions.len(), 3, "{data:#}");
    assert_eq!(actions[2]["needs"], serde_json::json!([0, 1]));
    assert_eq!(actions[0]["outputs"], serde_json::json!(["one.o"]));
    // The header is base's source, and what base installed.
    let inputs = data["inputs"].as_array().unwrap();
    let header = inputs
        .iter()
        .find(|input| input["path"] == "usr/include/base.h");
    let header = header.unwrap()["origins"].as_array().unwrap();
    let kinds: Vec<_> = header
        .iter()
        .map(|origin| origin["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["source", "artifact"]);
    assert_eq!(header[0]["element"], "e2e:base.bst");
    // The library is the third action's output.
    let library = data["artifact"].as_array().unwrap().iter();
    let mut library = library.filter(|file| file["path"] == "usr/lib/liba.a");
    let library = &library.next().unwrap()["origins"][0];
    assert_eq!(library["action"], actions[2]["action"]);

    let text = String::from_utf8(place.show(&["liba.bst"])).unwrap();
    assert!(text.contains("3 actions:"), "{text}");
    assert!(text.contains("after #0 after #1"), "{text}");
    assert!(text.contains("from source . of e2e:base.bst"), "{text}");
    let one = String::from_utf8(place.show(&["liba.bst", "one.o"])).unwrap();
    assert!(one.contains("usr/include/base.h"), "{one}");
    assert!(!one.contains("two.c"), "{one}");
    // A dependency changes, and then the element itself.
    let under = |expected: &str| {
        let data = place.show(&["liba.bst", "--format", "json"]);
        let data: Value = serde_json::from_slice(&data).unwrap();
        assert_eq!(data["found_under"], expected);
    };
    place.edit("files/base/base.h", "BASE 1", "BASE 2");
    under("weak-key");
    place.edit("files/liba/two.c", "2 * base()", "base() + BASE");
    under("lineage");
}

#[test]
fn what_is_stored_in_the_prototypes_layout_is_primed() {
    let place = Place::new(CHAIN);
    let first = place.build("app.bst", "full");
    // The artifacts refer to messages in the other layout now, and there is no lineage.
    for element in ["base.bst", "liba.bst", "app.bst"] {
        let message = place.show(&[element, "--format", "prototype"]);
        let read = buildstream::SpeculativeActions::decode(&*message).unwrap();
        assert!(read.version == 0 && !read.actions.is_empty(), "{element}");
        let digest = BlobDigest::of(&message);
        let object = place.object(&digest.hex());
        fs::create_dir_all(object.parent().unwrap()).unwrap();
        fs::write(object, &message).unwrap();
        let mut artifact = place.artifact(&first, element);
        artifact.speculative_actions = Some(digest.into());
        let name = element.trim_end_matches(".bst");
        let refs = place.cache().join("artifacts/refs/e2e").join(name);
        for key in fs::read_dir(refs).unwrap() {
            let path = key.unwrap().path();
            fs::remove_file(&path).unwrap();
            fs::write(path, artifact.encode_to_vec()).unwrap();
        }
    }
    fs::remove_dir_all(place.cache().join("headstart/lineage")).unwrap();
    let data = place.show(&["liba.bst", "--format", "json"]);
    let data: Value = serde_json::from_slice(&data).unwrap();
    assert_eq!(data["prototype"], true);
    place.edit("files/base/base.h", "BASE 1", "BASE 2");
    let again = place.build("app.bst", "full");
    // Of base itself nothing is known under its new key.
    assert_eq!(again.calls("base.bst"), Calls::missed(1));
    assert_eq!(again.calls("liba.bst"), Calls::foreseen(3));
    assert_eq!(again.calls("app.bst"), Calls::foreseen(2));
}
