//! What a C or C++ file includes, read from its text.
//!
//! Conditions are not judged: what stands in a branch that is not compiled is listed too. Source of
//! the syntax: C17, 6.10.2, and the GNU preprocessor's manual for `import` and `include_next`.

use std::borrow::Cow;
use std::collections::BTreeSet;

use memchr::{memchr, memchr_iter, memchr2, memchr3, memmem};

/// The directives of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Includes {
    pub(crate) named: BTreeSet<Include>,
    /// Whether a name is made by macros, or depends on where the file itself was found.
    pub(crate) computed: bool,
}

/// A directive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Include {
    /// Whether it is written in quotes: then the including file's own directory comes first.
    pub(crate) quoted: bool,
    pub(crate) name: String,
}

/// Endings of files that may include others. C++'s own headers have none.
const ENDINGS: &[&str] = &[
    "c", "cc", "cpp", "cxx", "c++", "C", "m", "mm", "S", "h", "hh", "hpp", "hxx", "h++", "H",
    "inc", "inl", "ipp", "tcc", "tpp", "def", "x",
];

/// Whether a file of this name may include others.
pub(crate) fn may_include(name: &str) -> bool {
    match name.rsplit_once('.') {
        Some((_, ending)) => ENDINGS.contains(&ending),
        None => true,
    }
}

/// Reads the directives of a file. What is no text has none.
pub(crate) fn includes(content: &[u8]) -> Includes {
    let joined = joined(content);
    let mut text = Text {
        bytes: &joined,
        at: 0,
        line: 0,
    };
    let mut found = Includes::default();
    while let Some(next) = memchr3(b'#', b'/', b'"', text.rest()) {
        text.at += next;
        match text.bytes[text.at] {
            b'#' if text.begins_line() => text.directive(&mut found),
            b'/' => text.comment(),
            b'"' => text.string(),
            _ => text.at += 1,
        }
    }
    found
}

/// Lines that go on in the next one, made one.
fn joined(content: &[u8]) -> Cow<'_, [u8]> {
    let mut joined = Vec::new();
    let mut copied = 0;
    for at in memchr_iter(b'\\', content) {
        let end = match content[at + 1..] {
            [b'\n', ..] => at + 2,
            [b'\r', b'\n', ..] => at + 3,
            _ => continue,
        };
        joined.extend_from_slice(&content[copied..at]);
        copied = end;
    }
    if copied == 0 {
        return Cow::Borrowed(content);
    }
    joined.extend_from_slice(&content[copied..]);
    Cow::Owned(joined)
}

/// A text that is read from its beginning to its end.
struct Text<'a> {
    bytes: &'a [u8],
    at: usize,
    /// A place up to which there are only comments and blanks in its line.
    line: usize,
}

impl Text<'_> {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    /// Whether there are only comments and blanks in front in this line.
    fn begins_line(&self) -> bool {
        let before = &self.bytes[self.line..self.at];
        let last = before.iter().rfind(|byte| !is_blank(**byte));
        last.is_none_or(|byte| *byte == b'\n')
    }

    /// Goes past the comment here, if it is one.
    fn comment(&mut self) {
        let begins_line = self.begins_line();
        let end = match self.rest() {
            [b'/', b'*', inside @ ..] => memmem::find(inside, b"*/").map(|end| end + 4),
            [b'/', b'/', line @ ..] => memchr(b'\n', line).map(|end| end + 2),
            _ => Some(1),
        };
        let is_block = self.rest().get(1) == Some(&b'*');
        self.at = end.map_or(self.bytes.len(), |end| self.at + end);
        if begins_line && is_block {
            self.line = self.at;
        }
    }

    /// Goes past the string here, which ends with its line at the latest.
    fn string(&mut self) {
        self.at += 1;
        while let Some(next) = memchr3(b'"', b'\\', b'\n', self.rest()) {
            self.at += next;
            match self.bytes[self.at] {
                b'"' => {
                    self.at += 1;
                    return;
                }
                b'\\' => self.at = self.bytes.len().min(self.at + 2),
                _ => return,
            }
        }
        self.at = self.bytes.len();
    }

    /// Goes past blanks and block comments.
    fn blanks(&mut self) {
        loop {
            match self.rest() {
                [byte, ..] if is_blank(*byte) => self.at += 1,
                [b'/', b'*', ..] => self.comment(),
                _ => return,
            }
        }
    }

    /// Reads the directive that begins here, as far as its name goes.
    fn directive(&mut self, found: &mut Includes) {
        self.at += 1;
        self.blanks();
        let rest = self.rest();
        let end = |byte: &u8| !byte.is_ascii_alphabetic() && *byte != b'_';
        let word = &rest[..rest.iter().position(end).unwrap_or(rest.len())];
        let is_plain = matches!(word, b"include" | b"import");
        found.computed |= word == b"include_next";
        self.at += word.len();
        if is_plain {
            self.blanks();
            match self.name() {
                Some(include) => _ = found.named.insert(include),
                None => found.computed = true,
            }
        }
    }

    /// Reads the name of a file in quotes or brackets.
    fn name(&mut self) -> Option<Include> {
        let (quoted, end) = match self.rest().first()? {
            b'"' => (true, b'"'),
            b'<' => (false, b'>'),
            _ => return None,
        };
        let name = &self.rest()[1..];
        let length = memchr2(end, b'\n', name).filter(|at| name[*at] == end)?;
        let name = String::from_utf8_lossy(&name[..length]).into_owned();
        self.at += length + 2;
        Some(Include { quoted, name })
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_found_however_they_are_written() {
        let check = |text: &str, expected: &[&str], computed: bool| {
            let found = includes(text.as_bytes());
            let written = |include: &Include| match include.quoted {
                true => format!("\"{}\"", include.name),
                false => format!("<{}>", include.name),
            };
            let mut names: Vec<_> = found.named.iter().map(written).collect();
            names.sort();
            assert_eq!(names, expected, "{text}");
            assert_eq!(found.computed, computed, "{text}");
        };
        check(
            "#include <a.h>\n  #  include\t\"b/c.h\" // why\r\n",
            &["\"b/c.h\"", "<a.h>"],
            false,
        );
        check(
            "#inc\\\nlude <a.h>\n#import <b.h>",
            &["<a.h>", "<b.h>"],
            false,
        );
        check(
            "/* #include <a.h>\n#include <b.h>\n*/ #include <c.h>",
            &["<c.h>"],
            false,
        );
        check("/**/#include/* x */<a.h>", &["<a.h>"], false);
        check("// #include <a.h>\nint include; #include <b.h>", &[], false);
        check("#include NAME\n", &[], true);
        check("#include_next <a.h>\n", &[], true);
        check("#include <a.h\n", &[], true);
        check("#includes <a.h>\n\u{0}\u{ff}", &[], false);
        check("#include", &[], true);
        check("#", &[], false);
        check(
            "#include <a.h>/*\n#include <b.h>\n*/\n#include <c.h>",
            &["<a.h>", "<c.h>"],
            false,
        );
    }

    #[test]
    fn what_looks_like_a_comment_in_a_string_or_another_comment_is_none() {
        let names = |text: &str| includes(text.as_bytes()).named.len();
        assert_eq!(names("char *all = \"/*\";\n#include <a.h>"), 1);
        assert_eq!(names("char *one = \"\\\"/*\";\n#include <a.h>"), 1);
        assert_eq!(names("// as /*\n#include <a.h>"), 1);
        assert_eq!(names("x = '\"'; /*\n*/\n#include <a.h>"), 1);
        assert_eq!(names("/* // */ #include <a.h>"), 1);
        assert_eq!(names("int i; /* */ #include <a.h>"), 0);
        assert_eq!(names("/* never closed\n#include <a.h>"), 0);
        assert_eq!(names("\"never closed\n#include <a.h>"), 1);
        assert_eq!(names("\"\\"), 0);
        assert_eq!(names("a / b\n#include <a.h>\n/"), 1);
    }

    #[test]
    fn some_names_include_nothing() {
        assert!(["a.c", "b.hpp", "vector"].into_iter().all(may_include));
        assert!(!["a.o", "libz.so.1", "gen.py"].into_iter().any(may_include));
    }
}
