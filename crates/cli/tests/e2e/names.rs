//! Elements by patterns of their names, and names that were probably meant.

use crate::support::{Place, output, said};

const PROJECT: &str = r"
== project.conf
name: names
min-version: 2.0
element-path: elements
variables:
  greeting: hello
options:
  colour:
    type: enum
    description: A colour
    values: [red, green]
    default: red
== elements/base.bst
kind: stack
== elements/sub/one.bst
kind: stack
depends: [base.bst]
== elements/sub/two.bst
kind: stack
== elements/sub/below/three.bst
kind: stack
== elements/typo.bst
kind: stack
variables:
  text: '%{greetign}'
== elements/key.bst
kind: stack
desciption: x
";

fn place() -> Place {
    Place::bare(PROJECT)
}

#[test]
fn patterns_stand_for_the_elements_that_buildstream_finds() {
    let place = place();
    let show = |arguments: &[&str]| {
        let arguments = [
            &["show", "--order", "alpha", "--format", "%{name}"],
            arguments,
        ]
        .concat();
        let ours = place.headstart().args(&arguments).output().unwrap();
        assert!(ours.status.success(), "{}", said(&ours));
        let theirs = output(place.bst().args(&arguments));
        assert!(theirs.status.success(), "{}", said(&theirs));
        assert_eq!(ours.stdout, theirs.stdout, "{arguments:?}");
        String::from_utf8(ours.stdout).unwrap()
    };
    assert_eq!(show(&["sub/*.bst"]), "base.bst\nsub/one.bst\nsub/two.bst\n");
    show(&["sub/**.bst"]);
    show(&["sub/?n[a-f].bst", "base.bst"]);
    let except = [
        "show",
        "--format",
        "%{name}",
        "--except",
        "ba*.bst",
        "sub/*.bst",
    ];
    let left = place.headstart().args(except).output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&left.stdout),
        "sub/one.bst\nsub/two.bst\n"
    );
    let none = place.headstart().args(["show", "x*.bst"]).output().unwrap();
    assert_eq!(none.status.code(), Some(255));
    assert!(
        said(&none).contains("no element is called like x*.bst"),
        "{}",
        said(&none)
    );
    let mut built = place.headstart();
    let built = built.args(["build", "sub/**.bst"]).output().unwrap();
    assert!(
        said(&built).contains("built    sub/below/three.bst"),
        "{}",
        said(&built)
    );
}

#[test]
fn what_was_probably_meant_is_told() {
    let place = place();
    for (arguments, meant) in [
        (&["show", "sub/tow.bst"][..], "did you mean 'sub/two.bst'?"),
        (&["show", "elements/base.bst"], "did you mean 'base.bst'?"),
        (
            &["--option", "color", "red", "show", "base.bst"],
            "did you mean 'colour'?",
        ),
        (&["show", "typo.bst"], "did you mean 'greeting'?"),
        (&["show", "key.bst"], "did you mean 'description'?"),
    ] {
        let output = place.headstart().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(255), "{}", said(&output));
        assert!(
            said(&output).contains(meant),
            "{arguments:?}: {}",
            said(&output)
        );
    }
}
