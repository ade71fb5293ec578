//! Split domains: which of an artifact's files belong to `runtime`, `devel` and so on.
//!
//! Patterns are shell patterns on absolute paths: `*` and `?` stop at `/`, `**` does not, `[...]`
//! is a set that may hold it. Matching is linear in pattern and path, whatever the pattern.

use std::sync::Arc;

use crate::element::Public;

/// A shell pattern on a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Char(char),
    /// `?`: one character but `/`.
    One,
    /// `*`: any number of characters but `/`.
    Many,
    /// `**`: any number of characters.
    Deep,
    Set {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Pattern {
    /// Reads a pattern. There are no invalid ones: a `[` that is not closed stands for itself.
    pub fn new(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(char) = rest.chars().next() {
            rest = &rest[char.len_utf8()..];
            parts.push(match char {
                '*' => match rest.strip_prefix('*') {
                    Some(after) => {
                        rest = after;
                        Part::Deep
                    }
                    None => Part::Many,
                },
                '?' => Part::One,
                '[' => match set(rest) {
                    Some((set, after)) => {
                        rest = after;
                        set
                    }
                    None => Part::Char('['),
                },
                char => Part::Char(char),
            });
        }
        Self { parts }
    }

    /// Whether it matches the whole of an absolute path.
    pub fn matches(&self, path: &str) -> bool {
        let len = self.parts.len();
        // For each part whether what comes before it may have matched what has been read.
        let mut at = vec![false; len + 1];
        let mut next = vec![false; len + 1];
        at[0] = true;
        self.skip_empty(&mut at);
        for char in path.chars() {
            next.fill(false);
            for (index, part) in self.parts.iter().enumerate() {
                if at[index] && part.takes(char) {
                    let stays = matches!(part, Part::Many | Part::Deep);
                    next[if stays { index } else { index + 1 }] = true;
                }
            }
            self.skip_empty(&mut next);
            std::mem::swap(&mut at, &mut next);
            if !at.contains(&true) {
                return false;
            }
        }
        at[len]
    }

    /// `*` and `**` can be nothing.
    fn skip_empty(&self, at: &mut [bool]) {
        for (index, part) in self.parts.iter().enumerate() {
            if at[index] && matches!(part, Part::Many | Part::Deep) {
                at[index + 1] = true;
            }
        }
    }
}

impl Part {
    fn takes(&self, char: char) -> bool {
        match self {
            Self::Char(own) => *own == char,
            Self::One | Self::Many => char != '/',
            Self::Deep => true,
            Self::Set { negated, ranges } => {
                let found = ranges
                    .iter()
                    .any(|(first, last)| (*first..=*last).contains(&char));
                found != *negated
            }
        }
    }
}

/// The set that begins behind a `[`, and what follows it; none if it is not closed.
fn set(text: &str) -> Option<(Part, &str)> {
    let (negated, body) = match text.strip_prefix('!') {
        Some(body) => (true, body),
        None => (false, text),
    };
    // A `]` at the beginning is one of the characters.
    let first = body.starts_with(']');
    let end = body[usize::from(first)..].find(']')? + usize::from(first);
    let chars: Vec<char> = body[..end].chars().collect();
    let mut ranges = Vec::new();
    let mut index = 0;
    while let Some(&char) = chars.get(index) {
        match chars.get(index + 1..index + 3) {
            Some(&['-', last]) => {
                ranges.push((char, last));
                index += 3;
            }
            _ => {
                ranges.push((char, char));
                index += 1;
            }
        }
    }
    Some((Part::Set { negated, ranges }, &body[end + 1..]))
}

/// An element's split rules, ready to match.
#[derive(Clone, Debug)]
pub struct Splits {
    domains: Vec<(Arc<str>, Vec<Pattern>)>,
}

/// Which files of an artifact are taken.
#[derive(Clone, Debug)]
pub struct SplitFilter<'a> {
    /// The patterns of each domain, whether it is included, whether it is excluded.
    domains: Vec<(&'a [Pattern], bool, bool)>,
    include_orphans: bool,
}

impl Splits {
    /// The rules that an element's public data holds, its own or those of its artifact.
    pub fn new(public: &Public) -> Self {
        let rules = public.split_rules.iter();
        Self {
            domains: rules
                .map(|(domain, patterns)| (domain.clone(), compile(patterns)))
                .collect(),
        }
    }

    /// Whether there is a domain of this name.
    pub fn contains(&self, domain: &str) -> bool {
        self.domains.iter().any(|(name, _)| &**name == domain)
    }

    /// What takes the files of the domains `include` (of all if it is empty) that are in none of
    /// `exclude`, and with `include_orphans` those in no domain at all. None if it takes everything.
    /// Domains that the element does not have are ignored.
    pub fn filter(
        &self,
        include: &[Arc<str>],
        exclude: &[Arc<str>],
        include_orphans: bool,
    ) -> Option<SplitFilter<'_>> {
        if include_orphans && include.is_empty() && exclude.is_empty() {
            return None;
        }
        let domains = self.domains.iter().map(|(name, patterns)| {
            let included = include.is_empty() || include.contains(name);
            (&patterns[..], included, exclude.contains(name))
        });
        Some(SplitFilter {
            domains: domains.collect(),
            include_orphans,
        })
    }
}

impl SplitFilter<'_> {
    /// Whether the file at a path below the artifact's root is taken.
    pub fn takes(&self, path: &str) -> bool {
        let path = absolute(path);
        let (mut included, mut excluded, mut orphan) = (false, false, true);
        for (patterns, include, exclude) in &self.domains {
            if patterns.iter().any(|pattern| pattern.matches(&path)) {
                orphan = false;
                included |= include;
                excluded |= exclude;
            }
        }
        (included || orphan && self.include_orphans) && !excluded
    }
}

impl Public {
    /// Patterns of the paths that may hide other elements' files, ready to match absolute paths.
    pub fn whitelist(&self) -> Vec<Pattern> {
        compile(&self.overlap_whitelist)
    }
}

fn compile(patterns: &[Arc<str>]) -> Vec<Pattern> {
    patterns
        .iter()
        .map(|pattern| Pattern::new(pattern))
        .collect()
}

fn absolute(path: &str) -> String {
    format!("/{}", path.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use headstart_yaml::parse;

    #[track_caller]
    fn check(pattern: &str, matches: &[&str], others: &[&str]) {
        let compiled = Pattern::new(pattern);
        for path in matches {
            assert!(compiled.matches(path), "{pattern} {path}");
        }
        for path in others {
            assert!(!compiled.matches(path), "{pattern} {path}");
        }
    }

    #[test]
    fn patterns_match_as_in_buildstream() {
        check(
            "/usr/bin",
            &["/usr/bin"],
            &["/usr/bin/", "/usr/binx", "x/usr/bin"],
        );
        check("/usr/*", &["/usr/a", "/usr/"], &["/usr/a/b", "/usr"]);
        check("/usr/**", &["/usr/a/b", "/usr/", "/usr/\n"], &["/usr"]);
        check(
            "/l/lib*.so*",
            &["/l/libx.so", "/l/lib.so.1"],
            &["/l/lib/x.so"],
        );
        check("/a?c", &["/abc", "/aéc"], &["/a/c", "/ac"]);
        check("/[a-c]x", &["/ax", "/cx"], &["/dx", "/x"]);
        check("/[!a-c]x", &["/dx", "//x"], &["/ax"]);
        check("/[]a]", &["/]", "/a"], &["/[]a]"]);
        check("/[^a]", &["/^", "/a"], &["/b"]);
        check("/[a-]", &["/a", "/-"], &["/b"]);
        check("/a[b", &["/a[b"], &["/ab"]);
        check("/a.c\\d", &["/a.c\\d"], &["/abc1"]);
        check(
            &"/*a".repeat(20),
            &[],
            &[&"/aaaaaaaaaaaaaaaaaaaaaaaa".repeat(19)],
        );
    }

    #[test]
    fn domains_are_included_and_excluded() {
        let rules = "bst: {split-rules: {bin: [/bin/**], doc: [/doc/**, /bin/man]}}";
        let public = Public::load(parse("f", rules).unwrap()).unwrap();
        let splits = Splits::new(&public);
        let taken = |include: &[&str], exclude: &[&str], orphans| {
            let names = |names: &[&str]| {
                names
                    .iter()
                    .map(|name| Arc::from(*name))
                    .collect::<Vec<_>>()
            };
            let filter = splits.filter(&names(include), &names(exclude), orphans);
            ["bin/sh", "bin/man", "doc/x", "else"]
                .into_iter()
                .filter(|path| filter.as_ref().is_none_or(|filter| filter.takes(path)))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert!(splits.contains("doc") && !splits.contains("devel"));
        assert_eq!(taken(&[], &[], true), "bin/sh bin/man doc/x else");
        assert_eq!(taken(&[], &[], false), "bin/sh bin/man doc/x");
        assert_eq!(taken(&["bin"], &[], false), "bin/sh bin/man");
        assert_eq!(taken(&["bin"], &["doc"], true), "bin/sh else");
        assert_eq!(taken(&[], &["bin"], true), "doc/x else");
        assert_eq!(taken(&["none"], &[], true), "else");
    }
}
