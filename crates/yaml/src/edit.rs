//! Changing keys of one mapping in a file's text, with all else of the text left as it is: comments,
//! order, quotes, line ends.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use libyaml_safer::{Encoding, Event, EventData, MappingStyle, Mark, Parser, SequenceStyle};
use thiserror::Error;

use crate::write::{write_items, write_mapping, written};
use crate::{Node, Provenance, quoted};

/// Why a text can't be changed.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum EditError {
    /// The text has changed since it was read.
    #[error("{0}: there is no mapping here any more")]
    Moved(String),
    /// The text is no YAML.
    #[error("{0}: the file can't be read any more")]
    Unreadable(String),
}

/// The text with each key of the mapping at `at` given a value, or taken away where there is none.
///
/// # Errors
/// If the text has no mapping there, because it is not the one that `at` came from.
pub fn set_keys(
    text: &str,
    at: &Provenance,
    changes: &[(&str, Option<Node>)],
) -> Result<String, EditError> {
    let mut text = text.to_owned();
    for (key, value) in changes {
        let entries = Found::read(&text, at)?;
        text = match (entries.position(key), value) {
            (Some(index), Some(value)) => entries.replace(&text, index, value),
            (Some(index), None) => entries.remove(&text, index),
            (None, Some(value)) => entries.add(&text, key, value),
            (None, None) => text,
        };
    }
    Ok(text)
}

/// Where a mapping and its entries are in a text, in bytes.
struct Found {
    /// Whether it is written as `{…}`.
    flow: bool,
    /// The column, in characters, of its keys.
    indent: usize,
    entries: Vec<Entry>,
    /// Where its `}` is.
    end: usize,
}

struct Entry {
    key: String,
    start: usize,
    /// Behind the key's colon, or where its value begins.
    value: usize,
    /// Behind the last thing in its value that is no comment.
    end: usize,
    /// The column of its first dash, if its value is a list in block style.
    dashes: Option<usize>,
}

impl Found {
    fn read(text: &str, at: &Provenance) -> Result<Self, EditError> {
        let lines = Lines::of(text);
        let mut events = Events::of(text);
        let unreadable = || EditError::Unreadable(at.to_string());
        loop {
            let event = events.next().ok_or_else(unreadable)?;
            match event.data {
                EventData::StreamEnd => return Err(EditError::Moved(at.to_string())),
                EventData::MappingStart { style, .. }
                    if event.start_mark.line == u64::from(at.line)
                        && event.start_mark.column == u64::from(at.column) =>
                {
                    let mut found = Self {
                        flow: style == MappingStyle::Flow,
                        indent: usize::try_from(event.start_mark.column).unwrap_or(0),
                        entries: Vec::new(),
                        end: 0,
                    };
                    found
                        .read_entries(&lines, &mut events)
                        .ok_or_else(unreadable)?;
                    return Ok(found);
                }
                _ => {}
            }
        }
    }

    fn read_entries(&mut self, lines: &Lines<'_>, events: &mut Events) -> Option<()> {
        loop {
            let event = events.next()?;
            let key = match event.data {
                EventData::MappingEnd => {
                    self.end = lines.offset(event.start_mark);
                    return Some(());
                }
                EventData::Scalar { value, .. } => value,
                _ => return None,
            };
            let (start, key_end) = (lines.offset(event.start_mark), lines.offset(event.end_mark));
            let first = events.next()?;
            let dashes = match first.data {
                EventData::SequenceStart {
                    style: SequenceStyle::Block,
                    ..
                } => usize::try_from(first.start_mark.column).ok(),
                _ => None,
            };
            let begin = lines.offset(first.start_mark);
            let end = value_end(lines, events, first, key_end)?;
            let colon = lines.text[key_end..]
                .find(':')
                .map_or(key_end, |at| key_end + at + 1);
            self.entries.push(Entry {
                key,
                start,
                value: if end > colon { begin.max(colon) } else { colon },
                end: end.max(colon),
                dashes,
            });
        }
    }

    fn position(&self, key: &str) -> Option<usize> {
        self.entries.iter().position(|entry| entry.key == *key)
    }

    fn replace(&self, text: &str, index: usize, value: &Node) -> String {
        let entry = &self.entries[index];
        let colon = entry.start + entry.key_length(text);
        let written = match value {
            // What is written in quotes stays so.
            Node::Scalar(scalar) => match text.as_bytes().get(entry.value) {
                Some(b'\'') => format!("'{}'", scalar.value.replace('\'', "''")),
                Some(b'"') if is_simple(&scalar.value) => format!("\"{}\"", scalar.value),
                _ => self.scalar(&scalar.value).into_owned(),
            },
            value => return self.replace_collection(text, entry, colon, value),
        };
        let (before, after) = (&text[..entry.value], &text[entry.end..]);
        if entry.dashes.is_some() || text[colon..entry.value].contains('\n') {
            // It began on a line below its key.
            return format!("{} {written}{after}", &text[..colon]);
        }
        let space = if before.ends_with(':') { " " } else { "" };
        format!("{before}{space}{written}{after}")
    }

    /// A text as a value, which no colon can run into.
    fn scalar<'v>(&self, value: &'v str) -> Cow<'v, str> {
        match self.flow || value.is_empty() {
            true => quoted(value).into(),
            false => written(value),
        }
    }

    fn replace_collection(&self, text: &str, entry: &Entry, colon: usize, value: &Node) -> String {
        let indent = entry.dashes.unwrap_or(self.indent);
        let written = self.collection(value, indent);
        format!("{}{written}{}", &text[..colon], &text[entry.end..])
    }

    /// What stands behind a key's colon for a mapping or list.
    fn collection(&self, value: &Node, dashes: usize) -> String {
        if self.flow {
            return format!(" {}", flow_text(value));
        }
        let mut written = String::from("\n");
        match value {
            Node::Sequence(list) if list.items.is_empty() => return " []".to_owned(),
            Node::Mapping(mapping) if mapping.is_empty() => return " {}".to_owned(),
            Node::Sequence(list) => write_items(&mut written, &list.items, dashes),
            Node::Mapping(mapping) => write_mapping(&mut written, mapping, self.indent + 2),
            Node::Scalar(scalar) => return format!(" {}", self.scalar(&scalar.value)),
        }
        // The line's own end is there already.
        written.truncate(written.trim_end_matches('\n').len());
        written
    }

    fn add(&self, text: &str, key: &str, value: &Node) -> String {
        let entry = format!("{key}:{}", self.collection(value, self.indent));
        let Some(last) = self.entries.last() else {
            return format!("{}{entry}{}", &text[..self.end], &text[self.end..]);
        };
        if self.flow {
            return format!("{}, {entry}{}", &text[..last.end], &text[last.end..]);
        }
        // Behind a comment on the same line.
        let rest = &text[last.end..];
        let at = last.end + rest.find('\n').unwrap_or(rest.len());
        let at = if text[..at].ends_with('\r') {
            at - 1
        } else {
            at
        };
        let line_end = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let indent = " ".repeat(self.indent);
        format!("{}{line_end}{indent}{entry}{}", &text[..at], &text[at..])
    }

    fn remove(&self, text: &str, index: usize) -> String {
        let entry = &self.entries[index];
        let next = self.entries.get(index + 1);
        let previous = index.checked_sub(1).map(|index| &self.entries[index]);
        let (from, to) = match (self.flow, previous, next) {
            // With the comma before it, or after it.
            (true, Some(previous), _) => (previous.end, entry.end),
            (true, None, Some(next)) => (entry.start, next.start),
            // The first key of a list's item stands behind its dash.
            (false, None, Some(next)) => (entry.start, next.start),
            (false, ..) => {
                let from = text[..entry.start].rfind('\n').map_or(0, |at| at + 1);
                let rest = &text[entry.end..];
                let to = rest.find('\n').map_or(text.len(), |at| entry.end + at + 1);
                (from, to)
            }
            (true, None, None) => (entry.start, entry.end),
        };
        format!("{}{}", &text[..from], &text[to..])
    }
}

impl Entry {
    /// The length in bytes of the key with its colon.
    fn key_length(&self, text: &str) -> usize {
        let from = self.start + self.key.len();
        text[from..]
            .find(':')
            .map_or(self.key.len(), |at| self.key.len() + at + 1)
    }
}

/// Behind the last thing of a value that `first` begins; `after` is where its key ends.
fn value_end(lines: &Lines<'_>, events: &mut Events, first: Event, after: usize) -> Option<usize> {
    let mut end = after;
    let mut depth = 0_usize;
    let mut event = first;
    loop {
        match event.data {
            EventData::Scalar { .. } => {
                // A block scalar ends on the next line.
                let text = &lines.text[..lines.offset(event.end_mark)];
                let text = text.strip_suffix('\n').unwrap_or(text);
                end = end.max(text.strip_suffix('\r').unwrap_or(text).len());
            }
            EventData::MappingStart { .. } | EventData::SequenceStart { .. } => {
                depth += 1;
                end = end.max(lines.offset(event.start_mark));
            }
            EventData::MappingEnd | EventData::SequenceEnd => {
                depth = depth.checked_sub(1)?;
                // Only a bracket has any extent.
                if event.end_mark.index > event.start_mark.index {
                    end = end.max(lines.offset(event.end_mark));
                }
            }
            _ => return None,
        }
        if depth == 0 {
            return Some(end);
        }
        event = events.next()?;
    }
}

/// Whether a text is the same within double quotes.
fn is_simple(text: &str) -> bool {
    text.chars()
        .all(|char| !char.is_control() && char != '"' && char != '\\')
}

/// A value as it is written inside of `{…}`.
fn flow_text(value: &Node) -> String {
    match value {
        Node::Scalar(scalar) => quoted(&scalar.value),
        Node::Sequence(list) => {
            let items: Vec<String> = list.items.iter().map(flow_text).collect();
            format!("[{}]", items.join(", "))
        }
        Node::Mapping(mapping) => {
            let entries = mapping.iter();
            let entries =
                entries.map(|(key, value)| format!("{}: {}", quoted(&key.text), flow_text(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

/// The events of a text, until it ends or can't be read.
struct Events(std::vec::IntoIter<Event>);

impl Events {
    fn of(text: &str) -> Self {
        let padded = format!("{}\n", text.strip_prefix('\u{feff}').unwrap_or(text));
        let mut bytes = padded.as_bytes();
        let mut parser = Parser::new();
        parser.set_encoding(Encoding::Utf8);
        parser.set_input_string(&mut bytes);
        let mut events = Vec::new();
        // As in `parse`: malformed text can reach assertions of the library.
        while let Ok(Ok(event)) = catch_unwind(AssertUnwindSafe(|| parser.parse())) {
            let ended = matches!(event.data, EventData::StreamEnd);
            events.push(event);
            if ended {
                break;
            }
        }
        Self(events.into_iter())
    }

    fn next(&mut self) -> Option<Event> {
        self.0.next()
    }
}

/// From lines and columns, which are in characters, to bytes.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        let begin = if text.starts_with('\u{feff}') { 3 } else { 0 };
        Self {
            text,
            starts: std::iter::once(begin).chain(breaks).collect(),
        }
    }

    fn offset(&self, mark: Mark) -> usize {
        let line = usize::try_from(mark.line).unwrap_or(usize::MAX);
        let Some(start) = self.starts.get(line) else {
            return self.text.len();
        };
        let column = usize::try_from(mark.column).unwrap_or(usize::MAX);
        let rest = &self.text[*start..];
        let below = rest
            .char_indices()
            .nth(column)
            .map_or(rest.len(), |(at, _)| at);
        start + below
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mapping, Scalar, Sequence, parse};

    /// Changes keys of the first of the sources in `text`.
    fn edit(text: &str, changes: &[(&str, Option<Node>)]) -> String {
        let parsed = parse("f", text).unwrap();
        let sources = parsed.sequence("sources").unwrap().unwrap();
        let at = sources.items[0].at().clone();
        let edited = set_keys(text, &at, changes).unwrap();
        // It is what was asked for.
        let again = parse("f", &edited).unwrap();
        let again = again
            .sequence("sources")
            .unwrap()
            .unwrap()
            .mappings()
            .unwrap();
        for (key, value) in changes {
            let wanted = value.as_ref().map(flow_text);
            assert_eq!(again[0].get(key).map(flow_text), wanted, "{edited}");
        }
        edited
    }

    fn scalar(text: &str) -> Option<Node> {
        Some(Scalar::synthetic(text).into())
    }

    fn list(texts: &[&str]) -> Option<Node> {
        let items = texts.iter().map(|text| {
            let mut item = Mapping::default();
            item.insert("name", Scalar::synthetic(*text));
            item.insert("sha", Scalar::synthetic("abcdefg"));
            item.into()
        });
        let items = items.collect();
        Some(
            Sequence {
                at: Provenance::SYNTHETIC,
                items,
            }
            .into(),
        )
    }

    #[test]
    fn a_value_is_replaced_and_nothing_else() {
        let text = "# first\nkind:   import\nsources:\n- kind: tar # archive\n  ref: abcdef1 # old\n  url: 'x:y'\n\n# last\n";
        assert_eq!(
            edit(text, &[("ref", scalar("abcdef2"))]),
            text.replace("abcdef1", "abcdef2")
        );
        let quoted = text.replace("abcdef1", "\"abcdef1\"");
        assert_eq!(
            edit(&quoted, &[("ref", scalar("abcdef2"))]),
            quoted.replace("abcdef1", "abcdef2")
        );
        let folded = text.replace("abcdef1 # old", "|\n    abcdef1");
        assert_eq!(
            edit(&folded, &[("ref", scalar("abcdef2"))]),
            text.replace("abcdef1 # old", "abcdef2")
        );
        // All that is read is a string, also without quotes.
        for plain in ["12e45", "True", "null", "2026-11-25"] {
            let replaced = text.replace("abcdef1", plain);
            assert_eq!(edit(text, &[("ref", scalar(plain))]), replaced);
        }
        for (value, quoted) in [("- a", "'- a'"), ("a: b", "'a: b'"), ("", "''")] {
            let replaced = text.replace("abcdef1", quoted);
            assert_eq!(edit(text, &[("ref", scalar(value))]), replaced);
        }
        let flow = "{kind: tar, ref: abcdef1}";
        for (value, quoted) in [("a, b", "'a, b'"), ("v1", "v1")] {
            let replaced = flow.replace("abcdef1", quoted);
            let sources = |source| format!("sources: [{source}]");
            let edited = edit(&sources(flow), &[("ref", scalar(value))]);
            assert_eq!(edited, sources(&replaced));
        }
    }

    #[test]
    fn a_key_is_added_at_the_end() {
        let text = "sources:\n- kind: tar\n  url: x:y # where\n\n# next\n- kind: local\n";
        assert_eq!(
            edit(text, &[("ref", scalar("abcdef2"))]),
            "sources:\n- kind: tar\n  url: x:y # where\n  ref: abcdef2\n\n# next\n- kind: local\n"
        );
        assert_eq!(
            edit(
                "sources: [{kind: tar, url: é}]",
                &[("ref", scalar("abcdef2"))]
            ),
            "sources: [{kind: tar, url: é, ref: abcdef2}]"
        );
        assert_eq!(
            edit("sources:\r\n- kind: tar\r\n", &[("ref", scalar("abcdef2"))]),
            "sources:\r\n- kind: tar\r\n  ref: abcdef2\r\n"
        );
        assert_eq!(
            edit(
                "sources:\n- kind: tar\n  ref:\n  url: x\n",
                &[("ref", scalar("abcdef2"))]
            ),
            "sources:\n- kind: tar\n  ref: abcdef2\n  url: x\n"
        );
    }

    #[test]
    fn lists_are_replaced_as_they_are_indented() {
        let text = "sources:\n- kind: cargo2\n  ref:\n    - name: one # c\n      sha: a\n    # end\n  url: x\n";
        assert_eq!(
            edit(text, &[("ref", list(&["twotwo", "three3"]))]),
            "sources:\n- kind: cargo2\n  ref:\n    - name: twotwo\n      sha: abcdefg\n    - name: three3\n      sha: abcdefg\n    # end\n  url: x\n"
        );
        assert_eq!(
            edit(
                "sources:\n- kind: git\n  ref: x\n",
                &[("tags", list(&["one123"]))]
            ),
            "sources:\n- kind: git\n  ref: x\n  tags:\n  - name: one123\n    sha: abcdefg\n"
        );
        assert_eq!(
            edit(
                "sources:\n- kind: cargo2\n  ref: []\n",
                &[("ref", list(&["one123"]))]
            ),
            "sources:\n- kind: cargo2\n  ref:\n  - name: one123\n    sha: abcdefg\n"
        );
    }

    #[test]
    fn keys_are_taken_away() {
        let text = "sources:\n- kind: git\n  tags:\n  - a\n  - b # c\n  url: x\n";
        assert_eq!(
            edit(text, &[("tags", None)]),
            "sources:\n- kind: git\n  url: x\n"
        );
        assert_eq!(
            edit(
                "sources: [{tags: [a], kind: git, b: c}]",
                &[("tags", None), ("b", None)]
            ),
            "sources: [{kind: git}]"
        );
    }

    #[test]
    fn a_text_that_has_changed_is_not_touched() {
        let parsed = parse("f", "sources:\n- kind: tar\n").unwrap();
        let at = parsed.sequence("sources").unwrap().unwrap().items[0]
            .at()
            .clone();
        let changes = [("ref", scalar("x"))];
        let error = set_keys("a: b\n", &at, &changes).unwrap_err();
        assert_eq!(error, EditError::Moved("f:2:3".to_owned()));
        assert!(set_keys("a: [\n", &at, &changes).is_err());
    }
}
