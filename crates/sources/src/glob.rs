//! Shell patterns as Python's `fnmatch` reads them: `*` and `?` match `/` too.

use regex_lite::Regex;

/// A pattern.
pub(crate) struct Glob(Option<Regex>);

impl Glob {
    pub(crate) fn new(pattern: &str) -> Self {
        let mut expression = String::from("(?s)^");
        let mut chars = pattern.chars();
        while let Some(char) = chars.next() {
            match char {
                '*' => expression.push_str(".*"),
                '?' => expression.push('.'),
                '[' => match class(chars.as_str()) {
                    Some((class, rest)) => {
                        expression.push_str(&class);
                        chars = rest.chars();
                    }
                    None => expression.push_str("\\["),
                },
                char => expression.push_str(&regex_lite::escape(char.encode_utf8(&mut [0; 4]))),
            }
        }
        expression.push('$');
        // What is no expression, such as a range backwards, matches nothing.
        Self(Regex::new(&expression).ok())
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        self.0.as_ref().is_some_and(|regex| regex.is_match(text))
    }
}

/// A class of characters whose `[` has been read, and what follows it.
fn class(pattern: &str) -> Option<(String, &str)> {
    let (negated, body) = match pattern.strip_prefix('!') {
        Some(body) => (true, body),
        None => (false, pattern),
    };
    // A bracket at the beginning is one of the characters.
    let skipped = usize::from(body.starts_with(']'));
    let end = body[skipped..].find(']')? + skipped;
    let mut class = String::from(if negated { "[^" } else { "[" });
    for char in body[..end].chars() {
        if matches!(char, '\\' | '[' | ']' | '^' | '&' | '~') {
            class.push('\\');
        }
        class.push(char);
    }
    class.push(']');
    Some((class, &body[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::Glob;

    #[test]
    fn patterns_match_as_in_python() {
        for (pattern, text, expected) in [
            ("v*", "v1/2", true),
            ("v?", "v12", false),
            ("[!a-c]x", "dx", true),
            ("[!a-c]x", "bx", false),
            ("[]]x", "]x", true),
            ("[x", "[x", true),
            ("a.b", "aXb", false),
            ("*", "a\nb", true),
        ] {
            assert_eq!(
                Glob::new(pattern).matches(text),
                expected,
                "{pattern} {text}"
            );
        }
    }
}
