//! What to do about an element that failed, asked at a terminal.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::{Place, at_terminal, line, said};

/// Two elements that have nothing to do with each other; one fails before `deadline`.
fn project(deadline: u64) -> Place {
    Place::new(&format!(
        "
== elements/broken.bst
kind: manual
build-depends:
- toolchain.bst
config:
  build-commands:
  - echo what is left > left
  - test $(date +%s) -ge {deadline}
== elements/fine.bst
kind: manual
build-depends:
- toolchain.bst
== elements/all.bst
kind: stack
depends:
- broken.bst
- fine.bst
"
    ))
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// What is said when somebody builds everything and types this.
fn build(place: &Place, options: &[&str], steps: &[(&str, &str)]) -> String {
    let mut command = place.headstart();
    command
        .args(["--option", "recc", "off", "--builders", "1"])
        .args(options);
    command.args(["build", "all.bst"]).env("PAGER", "cat");
    let script = format!("{}; echo ended with $?", line(&command));
    let output = at_terminal(&command, &script, steps);
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_failure_can_be_looked_at_and_tried_again() {
    let place = project(u64::MAX >> 1);
    // When everything else is ready.
    let deadline = now() + 15;
    let never = (u64::MAX >> 1).to_string();
    place.edit("elements/broken.bst", &never, &deadline.to_string());
    let wait = format!("while test $(date +%s) -lt {deadline}; do sleep 1; done; cat left; exit\n");
    let text = build(
        &place,
        &[],
        &[
            ("Choice", "nonsense\n"),
            ("Choice", "log\n"),
            ("Choice", "sh\n"),
            ("]$ ", &wait),
            ("Choice", "r\n"),
        ],
    );
    for expected in [
        "that is none of them",
        "Build of broken.bst",
        "\nwhat is left",
        "built    broken.bst",
        "3 built",
        "ended with 0",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn a_failure_can_end_a_build_or_not() {
    let never = u64::MAX >> 1;
    let place = project(never);
    let text = build(&place, &[], &[("Choice", "quit\n")]);
    assert!(
        text.contains("ended with 255") && text.contains("1 failed"),
        "{text}"
    );
    // It failed in an earlier build; that is asked about too.
    let text = build(&place, &[], &[("Choice", "\n")]);
    assert!(
        text.contains("ended with 255") && text.contains("1 failed, 1 skipped"),
        "{text}"
    );
    for options in [&["--on-error", "quit"][..], &["--no-interactive"]] {
        let text = build(&place, options, &[]);
        assert!(
            text.contains("ended with 255") && !text.contains("Choice"),
            "{text}"
        );
    }
}
