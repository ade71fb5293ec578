//! `headstart explain`: why calls were missed, and why predictions were not asked for.

use headstart_merkle::BlobDigest;
use serde_json::Value;

use crate::support::{CHAIN, Calls, Place, said};

/// gen.bst ← user.bst. What gen installs is made of its source by commands that nobody sees, and
/// user makes a header of its own in the same way.
const SECRETIVE: &str = r"
== elements/gen.bst
kind: manual
build-depends:
- (@): include/gcc.yml
sources:
- kind: local
  path: files/gen
config:
  install-commands:
  - install -D -m 644 gen.h %{install-root}%{includedir}/gen.h
  - '! grep TWICE gen.h || sed -i s/GEN/GEN_GEN/ %{install-root}%{includedir}/gen.h'
== files/gen/gen.h
#define GEN 1
== elements/user.bst
kind: manual
build-depends:
- (@): include/gcc.yml
- gen.bst
sources:
- kind: local
  path: files/user
config:
  build-commands:
  - sed s/SOURCE/MADE/ made.in > made.h
  - gcc -I. -c user.c -o user.o
  install-commands:
  - install -D user.o %{install-root}%{libdir}/user.o
== files/user/made.in
#define SOURCE 1
== files/user/user.c
#include <gen.h>
#include <made.h>
int user(void) { return MADE; }
";

/// The calls with an outcome, of the only element there is anything to say of.
fn calls<'a>(explanation: &'a Value, outcome: &str) -> Vec<&'a Value> {
    let elements = explanation["elements"].as_array().unwrap();
    let calls = elements
        .iter()
        .flat_map(|element| element["calls"].as_array().unwrap());
    calls.filter(|call| call["outcome"] == outcome).collect()
}

fn digest(content: &str) -> String {
    BlobDigest::of(content.as_bytes()).to_string()
}

#[test]
fn a_constant_that_changes_is_named_with_all_three_contents() {
    let place = Place::new(SECRETIVE);
    place.build("user.bst", "full");
    place.edit("files/user/made.in", "SOURCE 1", "SOURCE 2");
    let again = place.build("user.bst", "full");
    assert_eq!(again.calls("user.bst"), Calls::missed(1));
    let explanation = place.explain(&["user.bst"]);
    let [missed] = calls(&explanation, "missed")[..] else {
        panic!("{explanation:#}");
    };
    assert_eq!(missed["outputs"], serde_json::json!(["user.o"]));
    let reason = &missed["reason"];
    assert_eq!(reason["why"], "differs");
    let input = &reason["difference"];
    assert_eq!(input["in"], "input");
    assert_eq!(input["path"], "buildstream/e2e/user.bst/made.h");
    let [old, asked] = ["1", "2"].map(|value| digest(&format!("#define MADE {value}\n")));
    assert_eq!(input["old"]["content"], old);
    assert_eq!(input["predicted"]["content"], old);
    assert_eq!(input["asked"]["content"], asked);
    for side in ["old", "predicted", "asked"] {
        assert_eq!(input[side]["origins"], Value::Array(Vec::new()), "{side}");
    }
    let text = place.explain_text(&["user.bst"]);
    assert!(
        text.contains("input buildstream/e2e/user.bst/made.h"),
        "{text}"
    );
    assert!(text.contains(&format!("asked     {asked}")), "{text}");
}

#[test]
fn a_guess_from_a_source_that_the_artifact_contradicts_is_wasted_or_corrected() {
    let place = Place::new(SECRETIVE);
    place.build("user.bst", "full");
    // It is installed as it is, until now.
    place.write("files/gen/gen.h", "/* TWICE */\n#define GEN 2\n");
    let again = place.build("user.bst", "full");
    assert_eq!(again.calls("user.bst"), Calls::foreseen(1));
    let explanation = place.explain(&["user.bst", "user.o"]);
    let element = &explanation["elements"][0];
    assert_eq!(element["counts"]["corrected"], 1, "{explanation:#}");
    // What was executed for the guess, if there was time to, was not asked for.
    let wasted = calls(&explanation, "wasted");
    for call in &wasted {
        assert_eq!(call["reason"]["why"], "corrected");
    }
    assert_eq!(wasted.len() as u64, again.account("user.bst", "wasted"));
    // All that happened to the call is told, in order.
    let all = element["calls"].as_array().unwrap();
    let asked = all.iter().find(|call| call["outcome"] != "wasted").unwrap();
    let events = asked["events"].as_array().unwrap();
    let kinds: Vec<&str> = events.iter().map(|e| e["what"].as_str().unwrap()).collect();
    for expected in ["resolved", "corrected", "recorded"] {
        assert!(kinds.contains(&expected), "{expected} is not in {kinds:?}");
    }
    let times: Vec<f64> = events.iter().map(|e| e["at"].as_f64().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
}

#[test]
fn an_argument_is_named_and_what_was_executed_for_the_old_one() {
    let place = Place::new(CHAIN);
    place.build("app.bst", "full");
    place.edit(
        "elements/liba.bst",
        "gcc -I. -c two.c",
        "gcc -I. -DTWO -c two.c",
    );
    place.edit("files/base/base.h", "BASE 1", "BASE 2");
    place.build("app.bst", "full");
    let explanation = place.explain(&["e2e:liba.bst"]);
    let [missed] = calls(&explanation, "missed")[..] else {
        panic!("{explanation:#}");
    };
    let difference = &missed["reason"]["difference"];
    assert_eq!(difference["in"], "argument", "{missed:#}");
    assert_eq!(difference["asked"], "-DTWO", "{missed:#}");
    for call in calls(&explanation, "wasted") {
        assert_eq!(call["reason"]["why"], "differs", "{call:#}");
        assert_eq!(call["reason"]["asked"], missed["action"], "{call:#}");
    }
    // Any call can be asked about, by its hash too.
    let hash = &missed["action"].as_str().unwrap()[..12];
    let one = place.explain(&["liba.bst", hash]);
    assert_eq!(calls(&one, "missed").len(), 1);
}

#[test]
fn what_was_executed_for_a_build_that_fails_is_explained_by_that() {
    let place = Place::new(CHAIN);
    place.build("app.bst", "full");
    // liba's first call fails; the others are not come to.
    place.edit("files/liba/one.c", "return BASE;", "return BASE; }}");
    place.edit("files/base/base.h", "BASE 1", "BASE 2");
    let failed = place.build_fails("app.bst", "full");
    assert_eq!(failed.state("liba.bst"), "failed");
    let explanation = place.explain(&["liba.bst"]);
    assert_eq!(explanation["elements"][0]["state"], "failed");
    for call in calls(&explanation, "wasted") {
        let why = call["reason"]["why"].as_str().unwrap();
        assert!(
            ["build-failed", "execution-failed"].contains(&why),
            "{call:#}"
        );
    }
    // Nobody came to app.
    let explanation = place.explain(&["app.bst"]);
    assert_eq!(explanation["elements"][0]["state"], "not-built");
    for call in calls(&explanation, "left") {
        assert_eq!(call["reason"]["why"], "not-built", "{call:#}");
    }
}

#[test]
fn sessions_are_told_apart_by_name_and_unknown_ones_refused() {
    let place = Place::new(SECRETIVE);
    let said_of = |arguments: &[&str]| {
        let mut explain = place.headstart();
        said(&explain.arg("explain").args(arguments).output().unwrap())
    };
    assert!(said_of(&[]).contains("there is no session"));
    place.build("user.bst", "full");
    place.build("user.bst", "full");
    let sessions = place.explain_text(&["--sessions"]);
    let sessions: Vec<&str> = sessions.lines().collect();
    assert_eq!(sessions.len(), 2, "{sessions:?}");
    // Nothing was built in the last one.
    assert_eq!(place.explain(&[])["session"], sessions[1]);
    let first = place.explain(&["--session", sessions[0], "user.bst"]);
    let [missed] = calls(&first, "missed")[..] else {
        panic!("{first:#}");
    };
    assert_eq!(missed["reason"]["why"], "nothing-stored");
    assert!(said_of(&["--session", "none"]).contains("no session \"none\""));
    assert!(said_of(&["other.bst"]).contains("did not build other.bst"));
}
