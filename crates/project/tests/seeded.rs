//! Thousands of conditions and variables, each made of valid ones: an element is loaded or refused with a
//! place in its file, soon and in little memory.

// The library is pure, its tests are not; and the lints' exception for tests does not see helpers.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use headstart_project::{
    Contents, ElementGraph, Host, Keys, LoadError, MemoryFiles, Nothing, Projects, Settings,
};

#[path = "../../yaml/tests/support/dice.rs"]
mod dice;

use dice::Dice;

const CONF: &str = "name: p\nmin-version: 2.0\noptions:\n  debug: {type: bool, description: d, default: false}\n  \
                    level: {type: enum, description: d, values: [a, b], default: a, variable: level}\n  \
                    parts: {type: flags, description: d, values: [x, y, z], default: [x]}\n";

/// Expressions that have a value.
const CONDITIONS: &[&str] = &[
    "debug",
    "not debug",
    "level == \"a\"",
    "level != 'b' and not debug",
    "level in (\"a\", 'b')",
    "\"x\" in parts or \"y\" in parts",
    "level not in ['c', 'd']",
    "(debug or (level == 'a' and 'z' not in parts))",
    "1 < 2 <= 3 and 2 >= 1 > 0",
    "true and not false",
    "none == none",
    "not (not (not debug))",
];

const TOKENS: &[&str] = &[
    "(",
    ")",
    "[",
    "]",
    ",",
    "==",
    "!=",
    "<",
    ">=",
    " in ",
    " not ",
    " and ",
    " or ",
    "debug",
    "level",
    "parts",
    "'",
    "\"",
    "'a'",
    "\"x\"",
    "1",
    "99999999999999999999",
    "-",
    "+",
    ".",
    "|",
    "{{",
    "}}",
    "%}",
    "#",
    "~",
    "\\",
    "\\'",
    "é",
    "((((((((",
    "not not not not ",
    "none",
    "true",
    " if ",
    " is ",
    "\t",
    "_",
    "0x1",
    "1.5",
    "*",
    "//",
];

/// Values of variables.
const VALUES: &[&str] = &[
    "text",
    "%{v0}",
    "%{v1}/%{v2}",
    "%{prefix}/lib/%{project-name}",
    "a %{v3} b %{v3} c",
    "%{element-name}",
    "%{{v1}}",
    "%{level}",
    "%{v4}%{v5}%{v6}%{v7}",
];

const REFERENCES: &[&str] = &[
    "%",
    "{",
    "}",
    "%{",
    "%{v0}",
    "%{v9}",
    "%{nothing}",
    "%{-}",
    "%%{v1}",
    "%{v1",
    "%{ v1 }",
    "%{é}",
    "\\",
    "$",
    "%{v1}%{v1}",
];

fn load(element: &str) -> Result<ElementGraph, LoadError> {
    let mut files = MemoryFiles::default();
    files.insert("project.conf", CONF);
    files.insert("a.bst", element);
    let host = Host {
        system: "Linux".to_owned(),
        machine: "x86_64".to_owned(),
        max_jobs: 2,
    };
    let settings = Settings::new(host, "/p");
    let graph =
        Projects::load(Arc::new(files), Arc::new(Nothing), settings)?.load_elements(&["a.bst"])?;
    Keys::compute(&graph, &Contents::default());
    Ok(graph)
}

/// Loads an element; whether it could be. An error must have a place in its file.
fn is_loaded(element: &str) -> bool {
    let start = Instant::now();
    let loaded = load(element);
    assert!(start.elapsed() < Duration::from_secs(1), "{element}");
    let Err(error) = loaded else { return true };
    let at = error
        .provenance()
        .unwrap_or_else(|| panic!("{error} has no place: {element}"));
    assert_eq!(at.file(), Some("a.bst"), "{error}: {element}");
    let (_, below) = at.excerpt().unwrap_or_else(|| panic!("{error}: {element}"));
    assert!(below.contains('^'), "{error}: {element}");
    false
}

/// As YAML takes any text for a string.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[test]
fn conditions_are_evaluated_or_refused_with_a_place() {
    let mut dice = Dice(3);
    let (mut loaded, cases) = (0, 3000);
    for _ in 0..cases {
        let mut condition = dice.one(CONDITIONS).to_owned();
        if dice.roll(3) == 0 {
            let other = dice.one(CONDITIONS);
            condition = format!(
                "{condition}{}{other}",
                dice.one(&[" and ", " or ", " == ", " in ", " "])
            );
        }
        for _ in 0..dice.roll(4) {
            dice.spoil(&mut condition, TOKENS, 4);
        }
        let condition = quoted(&condition);
        let element = format!("kind: manual\nvariables:\n  (?):\n  - {condition}:\n      v: x\n");
        loaded += usize::from(is_loaded(&element));
    }
    assert!(
        loaded > cases / 10 && loaded < cases * 9 / 10,
        "{loaded} of {cases} are loaded"
    );
}

#[test]
fn variables_are_expanded_or_refused_with_a_place() {
    let mut dice = Dice(5);
    let (mut loaded, cases) = (0, 3000);
    for _ in 0..cases {
        let mut element = "kind: manual\nvariables:\n".to_owned();
        for index in 0..10 {
            // Most refer to later ones only, so that not all of them are circles.
            let mut value = dice.one(VALUES).to_owned();
            if dice.roll(8) > 0 {
                for low in 0..=index {
                    value = value.replace(
                        &format!("%{{v{low}}}"),
                        &format!("%{{v{}}}", (index + 1).min(9)),
                    );
                }
                if index == 9 {
                    value = value.replace("%{v9}", "end");
                }
            }
            if dice.roll(12) == 0 {
                dice.spoil(&mut value, REFERENCES, 3);
            }
            element += &format!("  v{index}: {}\n", quoted(&value));
        }
        element += "config:\n  build-commands:\n  - \"%{v0} %{v5}\"\n";
        loaded += usize::from(is_loaded(&element));
    }
    assert!(
        loaded > cases / 10 && loaded < cases * 9 / 10,
        "{loaded} of {cases} are loaded"
    );
}

/// Each variable holds the next one several times over.
#[test]
fn variables_that_multiply_are_refused() {
    let mut element = "kind: manual\nvariables:\n".to_owned();
    for index in 0..60 {
        let next = format!("%{{v{}}}", index + 1);
        element += &format!("  v{index}: \"{}\"\n", next.repeat(8));
    }
    element += "  v60: some text\n";
    assert!(!is_loaded(&element));
}

#[test]
fn deep_conditions_are_refused() {
    for (open, close) in [("(", ")"), ("[", "]"), ("not ", ""), ("(not ", ")")] {
        let depth = 100_000;
        let condition = format!("{}debug{}", open.repeat(depth), close.repeat(depth));
        let element = format!("kind: manual\n(?):\n- \"{condition}\":\n    variables: {{}}\n");
        is_loaded(&element);
    }
    assert!(is_loaded(
        "kind: manual\n(?):\n- \"((((debug))))\":\n    variables: {}\n"
    ));
}
