//! Plain scalars within brackets, as libyaml 0.1.7 delimits them.
//!
//! There a `:` with anything but white space behind it is an error, in such a scalar and where the
//! scalar ends, and a `?` is always the mark of a key, which can't follow a scalar. Later versions
//! take both for text.

use libyaml_safer::Mark;

/// A character that can't be where it is; lines and columns count from zero.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unexpected {
    pub(super) char: char,
    pub(super) line: u64,
    pub(super) column: u64,
}

/// The first character of the plain scalar between two marks, or behind it, that can't be there.
pub(super) fn unexpected(text: &str, start: Mark, end: Mark) -> Option<Unexpected> {
    let scalar = usize::try_from(start.index).ok()?..usize::try_from(end.index).ok()?;
    let mut chars = text.get(scalar.start..)?.char_indices().peekable();
    let (mut line, mut column) = (start.line, start.column);
    if scalar.is_empty() {
        return None;
    }
    while let Some((offset, char)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        let is_inside = scalar.start + offset < scalar.end;
        let is_wrong = match char {
            ':' => !next.is_none_or(is_white),
            '?' => is_inside,
            _ => false,
        };
        if is_wrong {
            return Some(Unexpected { char, line, column });
        }
        if !is_inside && !is_white(char) {
            return None;
        }
        if is_break(char) && (char, next) != ('\r', Some('\n')) {
            (line, column) = (line + 1, 0);
        } else {
            column += 1;
        }
    }
    None
}

fn is_white(char: char) -> bool {
    matches!(char, ' ' | '\t' | '\0') || is_break(char)
}

fn is_break(char: char) -> bool {
    matches!(char, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}
