//! What a C or C++ file includes, read from its text.
//!
//! Conditions are not judged: what stands in a branch that is not compiled is listed too. Source of
//! the syntax: C17, 6.10.2, and the GNU preprocessor's manual for `import` and `include_next`.

use std::collections::BTreeSet;

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
    let text = String::from_utf8_lossy(content)
        .replace("\\\r\n", "")
        .replace("\\\n", "");
    let mut found = Includes::default();
    let mut in_comment = false;
    for line in text.lines() {
        let line = without_comments(line, &mut in_comment);
        let Some(directive) = line.trim_start().strip_prefix('#') else {
            continue;
        };
        let directive = directive.trim_start();
        let word = directive.find(|c: char| !c.is_ascii_alphabetic() && c != '_');
        let (word, name) = directive.split_at(word.unwrap_or(directive.len()));
        match word {
            "include" | "import" => match named(name.trim_start()) {
                Some(include) => _ = found.named.insert(include),
                None => found.computed = true,
            },
            "include_next" => found.computed = true,
            _ => {}
        }
    }
    found
}

fn named(text: &str) -> Option<Include> {
    let (quoted, end) = match text.chars().next()? {
        '"' => (true, '"'),
        '<' => (false, '>'),
        _ => return None,
    };
    let (name, _) = text[1..].split_once(end)?;
    let name = name.to_owned();
    Some(Include { quoted, name })
}

/// The line without block comments, of which one may have begun on an earlier line.
fn without_comments(line: &str, in_comment: &mut bool) -> String {
    let mut left = String::new();
    let mut rest = line;
    loop {
        let mark = if *in_comment { "*/" } else { "/*" };
        match rest.split_once(mark) {
            Some((before, after)) => {
                if !*in_comment {
                    left.push_str(before);
                }
                *in_comment = !*in_comment;
                rest = after;
            }
            None if *in_comment => return left,
            None => return left + rest,
        }
    }
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
    }

    #[test]
    fn some_names_include_nothing() {
        assert!(["a.c", "b.hpp", "vector"].into_iter().all(may_include));
        assert!(!["a.o", "libz.so.1", "gen.py"].into_iter().any(may_include));
    }
}
