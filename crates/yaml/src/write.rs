//! From nodes to text that any YAML reader takes back as the same strings.

use std::borrow::Cow;

use crate::{Mapping, Node};

/// The text of a mapping in block style, as BuildStream writes it, to the byte: nothing is anything but
/// a string there, so that scalars are quoted only where they would be read as something else.
pub fn to_text(mapping: &Mapping) -> String {
    let mut text = String::new();
    if mapping.is_empty() {
        text.push_str("{}\n");
    } else {
        write_mapping(&mut text, mapping, 0);
    }
    text
}

/// A scalar in the middle of a line: quoted wherever another reader could take it for something else than a
/// string.
pub fn quoted(text: &str) -> String {
    if text.chars().any(|char| {
        char.is_control()
            || matches!(
                char,
                '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
            )
    }) {
        double_quoted(text)
    } else if is_plain(text) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

pub(crate) fn write_mapping(text: &mut String, mapping: &Mapping, indent: usize) {
    for (index, (key, value)) in mapping.iter().enumerate() {
        // The first entry of a list's item stands behind its dash.
        if index > 0 || !text.ends_with("- ") {
            text.push_str(&" ".repeat(indent));
        }
        match key.text.is_empty() {
            true => text.push_str("''"),
            false => text.push_str(&written(&key.text)),
        }
        text.push(':');
        match value {
            Node::Scalar(scalar) if scalar.value.is_empty() => text.push('\n'),
            Node::Scalar(scalar) => {
                text.push(' ');
                text.push_str(&written(&scalar.value));
                text.push('\n');
            }
            Node::Sequence(sequence) if sequence.items.is_empty() => text.push_str(" []\n"),
            Node::Mapping(mapping) if mapping.is_empty() => text.push_str(" {}\n"),
            Node::Sequence(sequence) => {
                text.push('\n');
                write_items(text, &sequence.items, indent);
            }
            Node::Mapping(mapping) => {
                text.push('\n');
                write_mapping(text, mapping, indent + 2);
            }
        }
    }
}

pub(crate) fn write_items(text: &mut String, items: &[Node], indent: usize) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 || !text.ends_with("- ") {
            text.push_str(&" ".repeat(indent));
        }
        text.push_str("- ");
        match item {
            Node::Scalar(scalar) => {
                text.push_str(&written(&scalar.value));
                text.push('\n');
            }
            Node::Sequence(sequence) if sequence.items.is_empty() => text.push_str("[]\n"),
            Node::Mapping(mapping) if mapping.is_empty() => text.push_str("{}\n"),
            Node::Sequence(sequence) => write_items(text, &sequence.items, indent + 2),
            Node::Mapping(mapping) => write_mapping(text, mapping, indent + 2),
        }
    }
}

/// A scalar in block style as BuildStream's library writes it: plain where that can be read, else in single
/// quotes, and in double ones if there are single quotes, line breaks or unprintable characters in it.
pub(crate) fn written(text: &str) -> Cow<'_, str> {
    if can_be_plain(text) {
        return text.into();
    }
    let only_double = text
        .chars()
        .any(|char| char == '\'' || is_break(char) || is_special(char));
    match only_double {
        true => double_quoted_by(text, ruled_escape).into(),
        false => format!("'{text}'").into(),
    }
}

fn is_break(char: char) -> bool {
    matches!(char, '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Whether a character can't stand for itself.
fn is_special(char: char) -> bool {
    !matches!(char,
        '\n' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}'
        | '\u{10000}'..)
}

fn can_be_plain(text: &str) -> bool {
    let is_blank = |char: char| is_break(char) || matches!(char, '\0' | ' ' | '\t' | '\r');
    // Whether a blank, or nothing, follows what is before `rest`.
    let ends = |rest: &str| rest.chars().next().is_none_or(is_blank);
    let Some(first) = text.chars().next() else {
        return true;
    };
    let rest = &text[first.len_utf8()..];
    let indicator = match first {
        '?' | ':' | '-' => ends(rest),
        _ => "#,[]{}&*!|>'\"%@`".contains(first),
    };
    if indicator
        || ["---", "..."].iter().any(|mark| text.starts_with(mark))
        || text.starts_with(' ')
        || text.ends_with(' ')
        || text.chars().any(|char| is_break(char) || is_special(char))
    {
        return false;
    }
    let inner = || rest.char_indices();
    let key = inner().any(|(at, char)| char == ':' && ends(&rest[at + 1..]));
    let comment = inner().any(|(at, char)| {
        let before = rest[..at].chars().next_back().unwrap_or(first);
        char == '#' && is_blank(before)
    });
    !key && !comment
}

/// How BuildStream's library writes a character in double quotes, if not as it is.
fn ruled_escape(char: char) -> Option<String> {
    let short = match char {
        '\0' => '0',
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\u{b}' => 'v',
        '\u{c}' => 'f',
        '\r' => 'r',
        '\u{1b}' => 'e',
        '"' => '"',
        '\\' => '\\',
        '\u{85}' => 'N',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        _ if !is_special(char) => return None,
        _ => {
            let code = u32::from(char);
            return Some(match code {
                ..0x100 => format!("\\x{code:02X}"),
                0x100..0x1_0000 => format!("\\u{code:04X}"),
                _ => format!("\\U{code:08X}"),
            });
        }
    };
    Some(format!("\\{short}"))
}

/// Whether the text needs no quotes: letters first, nothing that YAML gives a meaning, and no word
/// that YAML 1.1 takes for a boolean or null.
fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "true", "false", "on", "off", "null"];
    let mut chars = text.chars();
    let Some(first) = chars.next() else {
        return false;
    };
    if first.is_ascii_digit() {
        return is_code(text);
    }
    (first.is_alphabetic() || matches!(first, '/' | '_' | '('))
        && chars.all(|char| char.is_alphanumeric() || " /_-.()=+$<>?".contains(char))
        && !text.ends_with(' ')
        && !WORDS.contains(&&*text.to_ascii_lowercase())
}

/// Whether a text that begins with a digit is no number for any reader, such as a hash or `1.2.3`.
fn is_code(text: &str) -> bool {
    let based = [("0x", 16), ("0o", 8), ("0b", 2)]
        .iter()
        .any(|(base, radix)| {
            let digits = text.strip_prefix(base);
            digits.is_some_and(|digits| {
                digits
                    .chars()
                    .all(|char| char == '_' || char.is_digit(*radix))
            })
        });
    let digits = |char: char| char.is_ascii_digit() || "_-.+eE".contains(char);
    let number = text.chars().all(digits) && text.matches('.').count() < 2;
    let word = |char: char| char.is_ascii_alphanumeric() || "_-.+".contains(char);
    !number && !based && text.chars().all(word)
}

fn double_quoted(text: &str) -> String {
    double_quoted_by(text, |char| {
        let code = u32::from(char);
        Some(match char {
            '"' => "\\\"".to_owned(),
            '\\' => "\\\\".to_owned(),
            '\n' => "\\n".to_owned(),
            '\t' => "\\t".to_owned(),
            ' '..='~' => return None,
            _ if code < 0x1_0000 => format!("\\u{code:04x}"),
            _ => format!("\\U{code:08x}"),
        })
    })
}

fn double_quoted_by(text: &str, escape: impl Fn(char) -> Option<String>) -> String {
    let mut out = String::from("\"");
    for char in text.chars() {
        match escape(char) {
            Some(escaped) => out.push_str(&escaped),
            None => out.push(char),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use crate::{Mapping, Node, Scalar, Sequence, parse, quoted, to_text};

    #[test]
    fn nested_values_are_read_back() {
        let text = "a:\n- b: c\n  d:\n  - - e\n    - f\n  - {}\n- []\nm:\n  k: v\n  e: {}\n";
        assert_eq!(to_text(&parse("f", text).unwrap()), text);
    }

    #[test]
    fn only_what_is_a_number_for_some_reader_is_quoted() {
        let hash = "0b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944";
        for plain in [hash, "0x1g", "0o18", "1.2.3", "3e6f", "v1"] {
            assert_eq!(quoted(plain), plain);
        }
        for number in ["0b01", "0x1f", "0o17", "1_000", "1.5", "3e6", "2026-11-28"] {
            assert_eq!(quoted(number), format!("'{number}'"));
        }
    }

    proptest::proptest! {
        // What fails is told by the test itself; nothing is written beside the sources.
        #![proptest_config(proptest::test_runner::Config { failure_persistence: None, ..Default::default() })]

        #[test]
        fn any_string_is_read_back(key in "\\PC{0,8}", value in "[\\PC\n\t\u{1}\u{7f}\u{85}]{0,12}") {
            let value = crate::strip(&value).to_owned();
            let mut mapping = Mapping::default();
            let scalar = Node::Scalar(Scalar::synthetic(value.as_str()));
            let items = vec![scalar.clone()];
            mapping.insert(key.as_str(), scalar);
            mapping.insert("list of it", Sequence { at: mapping.at.clone(), items });
            let text = to_text(&mapping);
            let again = parse("f", &text).unwrap();
            proptest::prop_assert_eq!(again.string(&key).unwrap(), Some(value.as_str()), "{}", text);
            proptest::prop_assert_eq!(&again.strings("list of it").unwrap(), &[value.into()]);
        }
    }
}
