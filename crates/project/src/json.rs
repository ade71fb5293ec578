//! JSON as it is hashed into cache keys.
//!
//! The text is that of Python's `ujson.dumps(value, sort_keys=True, escape_forward_slashes=False)`:
//! no white space, keys sorted by code point, everything beyond ASCII as `\uXXXX` in lower case
//! (two of them beyond U+FFFF), U+007F and `/` as they are.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use headstart_yaml::{Mapping, Node};

/// A JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A string.
    Str(Arc<str>),
    /// A list.
    List(Vec<Json>),
    /// An object, sorted by key.
    Map(BTreeMap<Arc<str>, Json>),
    /// A value whose text somebody else has written, by the same rules.
    Written(Arc<str>),
}

impl Json {
    /// A list of strings.
    pub fn strings<S: Into<Self>>(items: impl IntoIterator<Item = S>) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }

    /// An object.
    pub fn map<K: Into<Arc<str>>>(entries: impl IntoIterator<Item = (K, Self)>) -> Self {
        let entries = entries.into_iter();
        Self::Map(entries.map(|(key, value)| (key.into(), value)).collect())
    }

    /// Writes the text at the end of `out`.
    pub fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(true) => out.push_str("true"),
            Self::Bool(false) => out.push_str("false"),
            Self::Int(number) => {
                let _ = write!(out, "{number}");
            }
            Self::Str(text) => write_string(text, out),
            Self::Written(text) => out.push_str(text),
            Self::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Self::Map(entries) => {
                out.push('{');
                for (index, (key, value)) in entries.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write_string(key, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }

    /// The text.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::Str(text.into())
    }
}

impl From<&Arc<str>> for Json {
    fn from(text: &Arc<str>) -> Self {
        Self::Str(text.clone())
    }
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<&Node> for Json {
    fn from(node: &Node) -> Self {
        match node {
            Node::Scalar(scalar) => Self::Str(scalar.value.clone()),
            Node::Sequence(sequence) => Self::List(sequence.items.iter().map(Self::from).collect()),
            Node::Mapping(mapping) => mapping.into(),
        }
    }
}

impl From<&Mapping> for Json {
    fn from(mapping: &Mapping) -> Self {
        let entries = mapping.iter();
        Self::Map(
            entries
                .map(|(key, value)| (key.text.clone(), value.into()))
                .collect(),
        )
    }
}

/// Writes a string with its quotes.
pub(crate) fn write_string(text: &str, out: &mut String) {
    let is_plain = |byte: u8| (b' '..=0x7f).contains(&byte) && byte != b'"' && byte != b'\\';
    out.push('"');
    let mut rest = text;
    loop {
        let plain = rest.bytes().take_while(|byte| is_plain(*byte)).count();
        out.push_str(&rest[..plain]);
        let mut chars = rest[plain..].chars();
        match chars.next() {
            None => break,
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\u{8}') => out.push_str("\\b"),
            Some('\u{c}') => out.push_str("\\f"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some(char) => {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
        rest = chars.as_str();
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_as_ujson_does() {
        let text = Json::from("a/\"\\\u{8}\u{c}\n\r\t\u{1}\u{7f}<é🦀\u{ffff}").to_text();
        let expected =
            r#""a/\"\\\b\f\n\r\t\u0001"#.to_owned() + "\u{7f}" + r#"<\u00e9\ud83e\udd80\uffff""#;
        assert_eq!(text, expected);
    }

    #[test]
    fn keys_are_sorted_by_code_point() {
        let map = Json::map([
            ("b", Json::Null),
            ("\u{ffff}", Json::Int(-1)),
            ("\u{10000}", Json::Bool(true)),
            ("B", Json::List(vec![Json::from("x"), Json::Bool(false)])),
        ]);
        assert_eq!(
            map.to_text(),
            r#"{"B":["x",false],"b":null,"\uffff":-1,"\ud800\udc00":true}"#
        );
    }
}
