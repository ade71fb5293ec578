//! From nodes to text that any YAML reader takes back as the same strings.

use std::fmt::Write as _;

use crate::{Mapping, Node};

/// The text of a mapping in block style. Scalars are quoted wherever another reader could take them
/// for something else than a string.
pub fn to_text(mapping: &Mapping) -> String {
    let mut text = String::new();
    if mapping.is_empty() {
        text.push_str("{}\n");
    } else {
        write_mapping(&mut text, mapping, 0);
    }
    text
}

/// A scalar as it must be written.
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
        text.push_str(&quoted(&key.text));
        text.push(':');
        match value {
            Node::Scalar(scalar) => {
                text.push(' ');
                text.push_str(&quoted(&scalar.value));
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
                text.push_str(&quoted(&scalar.value));
                text.push('\n');
            }
            Node::Sequence(sequence) if sequence.items.is_empty() => text.push_str("[]\n"),
            Node::Mapping(mapping) if mapping.is_empty() => text.push_str("{}\n"),
            Node::Sequence(sequence) => write_items(text, &sequence.items, indent + 2),
            Node::Mapping(mapping) => write_mapping(text, mapping, indent + 2),
        }
    }
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
    let based = ["0x", "0o", "0b"].iter().any(|base| text.starts_with(base));
    let digits = |char: char| char.is_ascii_digit() || "_-.+eE".contains(char);
    let number = text.chars().all(digits) && text.matches('.').count() < 2;
    let word = |char: char| char.is_ascii_alphanumeric() || "_-.+".contains(char);
    !number && !based && text.chars().all(word)
}

fn double_quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            ' '..='~' => out.push(char),
            // Writing to a string can't fail.
            _ if (char as u32) < 0x1_0000 => {
                let _ = write!(out, "\\u{:04x}", char as u32);
            }
            _ => {
                let _ = write!(out, "\\U{:08x}", char as u32);
            }
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use crate::{Mapping, Node, Scalar, Sequence, parse, to_text};

    #[test]
    fn nested_values_are_read_back() {
        let text = "a:\n- b: c\n  d:\n  - - e\n    - f\n  - {}\n- []\nm:\n  k: v\n  e: {}\n";
        assert_eq!(to_text(&parse("f", text).unwrap()), text);
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
