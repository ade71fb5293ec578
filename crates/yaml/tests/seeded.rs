//! Thousands of texts, each made of a valid one: what comes of it is a mapping that reads the same once
//! it is written again, or an error with a place in the text.

// The library is pure, its tests are not; and the lints' exception for tests does not see helpers.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use std::fs;
use std::time::{Duration, Instant};

use headstart_yaml::{Error, parse, to_text};

#[path = "support/dice.rs"]
mod dice;

use dice::Dice;

const CASES: usize = 20_000;

/// Where no case takes longer, and all of them no more memory; both are a hundred times what is usual.
const LONGEST: Duration = Duration::from_secs(1);
const MEMORY: usize = 256 << 20;

const VALID: &[&str] = &[
    "kind: manual\n\nbuild-depends:\n- base/gcc.bst\n- filename: sub.bst:tool.bst\n  config:\n    location: /opt\n\
     variables:\n  opt: \"-O2 %{flags}\"\n  (?):\n  - arch == \"x86_64\":\n      flags: '-mfoo'\n",
    "config:\n  build-commands:\n  - |\n    make -j${JOBS}\n      deeper\n\n    end\n  - >-\n    folded\n    text\n\n    here\n",
    "sources: [{kind: local, path: files}, {kind: tar, url: 'up:x-1.0.tar', ref: \"ab\\x41\\u00e9\\n\"}]\n",
    "a: {b: {c: {d: [e, [f, {g: h}]]}}}\nlist:\n- - a\n  - b\n-\n  c: d\n",
    "%YAML 1.1\n--- # comment\nname: p # more\n? complex\n: value\nempty:\ntilde: ~\n...\n",
    "public:\n  bst:\n    split-rules:\n      devel:\n        (>):\n        - '%{libdir}/cmake/**'\n    overlap-whitelist: ['*']\n",
    "text: \"one\n  two\\\n  three\n\n  four\"\nother: 'it''s\n  here'\nplain: more\n  of it\n\n  still\n",
    "é: 🦀\n'quoted key': !!str 3\ntagged: !!map {a: b}\n\"k\\t\": [\n  x , y\n]\n",
];

const PIECES: &[&str] = &[
    " ",
    "\n",
    "\n\n",
    "  ",
    "\t",
    "\r",
    ":",
    ": ",
    "- ",
    "-",
    "? ",
    "?",
    ",",
    "[",
    "]",
    "{",
    "}",
    "#",
    " #",
    "&a ",
    "*a",
    "!",
    "!!str ",
    "!x,",
    "!<",
    "%",
    "|",
    ">",
    "|2-\n",
    "'",
    "\"",
    "\\",
    "\\u",
    "\\x4",
    "---",
    "...",
    "\u{feff}",
    "\u{85}",
    "\u{2028}",
    "\0",
    "\u{7f}",
    "é",
    "🦀",
    "[[[[[[[[",
    "{a: {a: {a: ",
    "- - - - - ",
    "a: b\n",
    "<<: ",
    "0x",
    "@",
    "`",
    "\u{fffe}",
    "%TAG ! x\n",
    "- a: b\n  c",
    "\n  ",
    "\n    - ",
];

#[test]
fn spoilt_texts_are_read_or_refused_with_a_place() {
    let mut dice = Dice(7);
    let before = peak();
    let (mut read, mut refused) = (0, 0);
    for case in 0..CASES {
        let mut text = VALID[dice.roll(VALID.len())].to_owned();
        if dice.roll(4) == 0 {
            text += VALID[dice.roll(VALID.len())];
        }
        for _ in 0..dice.roll(5) {
            dice.spoil(&mut text, PIECES, 6);
        }
        let start = Instant::now();
        match parse("file", &text) {
            Ok(mapping) => {
                let written = to_text(&mapping);
                let again = parse("written", &written);
                let again = again.unwrap_or_else(|error| {
                    panic!("case {case}: {error}: {written:?} of {text:?}")
                });
                assert_eq!(to_text(&again), written, "case {case}: {text:?}");
                read += 1;
            }
            Err(error) => {
                check_place(&error, &text);
                refused += 1;
            }
        }
        assert!(start.elapsed() < LONGEST, "case {case}: {text:?}");
    }
    assert!(
        read > CASES / 10 && refused > CASES / 10,
        "{read} are read, {refused} refused"
    );
    assert!(peak() - before < MEMORY, "{} bytes", peak() - before);
}

/// Texts that are bombs for other readers: what is small stays small, what is deep is refused.
#[test]
fn bombs_do_no_harm() {
    let before = peak();
    let mut aliases = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for letter in b'b'..=b'z' {
        let (this, last) = (letter as char, (letter - 1) as char);
        aliases += &format!(
            "{this}: &{this} [*{last}, *{last}, *{last}, *{last}, *{last}, *{last}, *{last}, *{last}]\n"
        );
    }
    let keys: String = (0..100_000).map(|index| format!("k{index}: v\n")).collect();
    for (text, is_read) in [
        (aliases, false),
        (format!("a: {}", "[".repeat(1_000_000)), false),
        (format!("a: {}", "{a: ".repeat(250_000)), false),
        ("- ".repeat(500_000), false),
        ("? ".repeat(500_000), false),
        ("\n".repeat(1_000_000), true),
        (format!("a: {}", "x".repeat(4_000_000)), true),
        (format!("a: [{}]", "x, ".repeat(300_000)), true),
        (format!("a: \"{}\"", "\\n\\\n".repeat(300_000)), true),
        (format!("{keys}{keys}"), false),
        (keys, true),
        (format!("a: |\n{}", "  x\n\n".repeat(200_000)), true),
        (format!("#{}", "#".repeat(4_000_000)), true),
        (
            format!("%TAG !a! {}\n--- {{}}", "x".repeat(1_000_000)),
            true,
        ),
    ] {
        let start = Instant::now();
        let parsed = parse("file", &text);
        let begin: String = text.chars().take(40).collect();
        assert_eq!(parsed.is_ok(), is_read, "{begin:?}: {:?}", parsed.err());
        assert!(
            start.elapsed() < 5 * LONGEST,
            "{begin:?}: {:?}",
            start.elapsed()
        );
    }
    assert!(peak() - before < 4 * MEMORY, "{} bytes", peak() - before);
}

/// The place is in the text, or just behind it; and what is shown of it has a caret.
#[track_caller]
fn check_place(error: &Error, text: &str) {
    let is_break = |char: char| matches!(char, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}');
    let lines = text.split(is_break).count();
    assert_eq!(error.at.file(), Some("file"), "{error}");
    assert!(error.at.line() as usize <= lines + 1, "{error}: {text:?}");
    assert!(
        error.at.column() as usize <= text.chars().count() + 2,
        "{error}: {text:?}"
    );
    assert!(!error.problem.to_string().is_empty());
    if let Some((_, below)) = error.at.excerpt() {
        assert!(below.contains('^'), "{error}");
    }
}

/// The most memory that the process has had, in bytes.
fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.unwrap().trim().trim_end_matches(" kB");
    number.parse::<usize>().unwrap() << 10
}
