//! From text to nodes, through the events of libyaml.
//!
//! libyaml's own event stream is used because what it does with folding, escapes and tabs is what
//! BuildStream sees, and every scalar enters cache keys. BuildStream's is that of an older libyaml
//! (0.1.7), which refuses some of what newer ones take for plain scalars: [`flow`] does too.

mod flow;
mod quiet;

use std::sync::Arc;

use libyaml_safer::{
    Encoding, Event, EventData, MappingStyle, Mark, Parser, ScalarStyle, SequenceStyle,
};

use crate::{Error, Key, Mapping, Node, Problem, Provenance, Scalar, Sequence, SourceFile};

/// Levels of mappings and lists in one file. Real files have a dozen; what walks nodes recurses.
pub const MAX_DEPTH: usize = 100;

/// Bytes in one file.
pub const MAX_SIZE: usize = 16 << 20;

const CORE_TAGS: &str = "tag:yaml.org,2002:";

/// Removes white space at both ends, as Python's `str.strip` does: what Unicode calls white space,
/// and the four separators U+001C to U+001F.
pub fn strip(text: &str) -> &str {
    text.trim_matches(|char: char| char.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&char))
}

/// The mapping that a file holds; nothing but comments is an empty mapping.
///
/// `name` is what errors call the file.
pub fn parse(name: &str, text: &str) -> Result<Mapping, Error> {
    let file = Arc::new(SourceFile {
        name: name.to_owned(),
        text: text.to_owned(),
    });
    let root = Mapping::new(place(&file, 0, 0, 0));
    if text.len() > MAX_SIZE {
        return Err(Error::new(&root.at, Problem::TooLarge(MAX_SIZE)));
    }
    // The library takes a byte order mark for a column of the first line; and its scanner asserts
    // that something follows a backslash or a block scalar.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = if text.ends_with('\n') {
        text
    } else {
        &format!("{text}\n")
    };
    let mut builder = Builder {
        root,
        file,
        text,
        open: Vec::new(),
        documents: 0,
    };
    let mut input = text.as_bytes();
    let mut parser = Parser::new();
    // Told, because the library takes any first byte 0xEF for a byte order mark.
    parser.set_encoding(Encoding::Utf8);
    parser.set_input_string(&mut input);
    loop {
        // The library still has assertions that malformed text can reach (a tag before a comma, for
        // one). The parser is not used again afterwards, so nothing broken is seen.
        let event = quiet::catch(|| parser.parse()).map_err(|_| {
            let problem = Problem::Syntax("the text can't be parsed".to_owned());
            Error::new(&builder.last_place(), problem)
        })?;
        let event = event.map_err(|error| builder.syntax(&error))?;
        if matches!(event.data, EventData::StreamEnd) {
            return Ok(builder.root);
        }
        builder.event(event)?;
    }
}

fn place(file: &Arc<SourceFile>, line: u64, column: u64, length: u64) -> Provenance {
    // Files are limited to less than 2^32 bytes.
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    Provenance {
        file: Some(file.clone()),
        line: small(line),
        column: small(column),
        length: small(length),
    }
}

/// A mapping or list that has begun and not ended.
enum Open {
    Mapping(Mapping, Option<Key>),
    Sequence(Sequence),
}

struct Builder<'a> {
    file: Arc<SourceFile>,
    /// What the parser sees.
    text: &'a str,
    root: Mapping,
    /// Each with whether it is written with brackets.
    open: Vec<(Open, bool)>,
    documents: usize,
}

impl Builder<'_> {
    fn place(&self, start: Mark, end: Mark) -> Provenance {
        let length = if start.line == end.line {
            end.column.saturating_sub(start.column)
        } else {
            0
        };
        place(&self.file, start.line, start.column, length)
    }

    fn last_place(&self) -> Provenance {
        match self.open.last().map(|(open, _)| open) {
            Some(Open::Mapping(_, Some(key))) => key.at.clone(),
            Some(Open::Mapping(mapping, None)) => mapping.at.clone(),
            Some(Open::Sequence(sequence)) => sequence.at.clone(),
            None => self.root.at.clone(),
        }
    }

    fn syntax(&self, error: &libyaml_safer::Error) -> Error {
        let at = error.problem_mark().map_or_else(
            || self.last_place(),
            |mark| place(&self.file, mark.line, mark.column, 0),
        );
        let mut text = error.problem().to_owned();
        if let Some(context) = error.context().filter(|context| !context.is_empty()) {
            text += &format!(" {context}");
            if let Some(begin) = error.context_mark()
                && Some(begin) != error.problem_mark()
            {
                text += &format!(" that begins at {}:{}", begin.line + 1, begin.column + 1);
            }
        }
        Error::new(&at, Problem::Syntax(text))
    }

    fn event(&mut self, event: Event) -> Result<(), Error> {
        let at = self.place(event.start_mark, event.end_mark);
        match event.data {
            EventData::DocumentStart { .. } => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Error::new(&at, Problem::MoreDocuments));
                }
            }
            EventData::Alias { .. } => return Err(Error::new(&at, Problem::Anchor)),
            EventData::Scalar {
                anchor,
                tag,
                value,
                style,
                ..
            } => {
                check(&at, anchor.as_deref(), tag.as_deref())?;
                if style == ScalarStyle::Plain && matches!(self.open.last(), Some((_, true))) {
                    self.check_flow(event.start_mark, event.end_mark)?;
                }
                self.scalar(at, value)?;
            }
            // Tags of what is no scalar are nobody's concern.
            EventData::SequenceStart { anchor, style, .. } => {
                check(&at, anchor.as_deref(), None)?;
                let items = Vec::new();
                let open = |at| Open::Sequence(Sequence { at, items });
                self.begin(&at, open, style == SequenceStyle::Flow)?;
            }
            EventData::MappingStart { anchor, style, .. } => {
                check(&at, anchor.as_deref(), None)?;
                let open = |at| Open::Mapping(Mapping::new(at), None);
                self.begin(&at, open, style == MappingStyle::Flow)?;
            }
            EventData::SequenceEnd | EventData::MappingEnd => match self.open.pop() {
                Some((Open::Sequence(sequence), _)) => self.value(sequence.into()),
                Some((Open::Mapping(mapping, _), _)) => self.value(mapping.into()),
                None => {}
            },
            _ => {}
        }
        Ok(())
    }

    /// Refuses what is plain only for newer libyamls.
    fn check_flow(&self, start: Mark, end: Mark) -> Result<(), Error> {
        let Some(unexpected) = flow::unexpected(self.text, start, end) else {
            return Ok(());
        };
        let at = place(&self.file, unexpected.line, unexpected.column, 1);
        let problem = format!(
            "found unexpected '{}' in a string within brackets: put the string in quotes",
            unexpected.char
        );
        Err(Error::new(&at, Problem::Syntax(problem)))
    }

    fn scalar(&mut self, at: Provenance, text: String) -> Result<(), Error> {
        match self.open.last_mut().map(|(open, _)| open) {
            None => Err(Error::new(&at, Problem::NotAMapping("a string"))),
            Some(Open::Mapping(mapping, key @ None)) => {
                if mapping.contains(&text) {
                    return Err(Error::new(&at, Problem::DuplicateKey(text)));
                }
                let text = text.into();
                *key = Some(Key { at, text });
                Ok(())
            }
            Some(_) => {
                let value = strip(&text);
                let value = if value.len() == text.len() {
                    text.into()
                } else {
                    value.into()
                };
                self.value(Scalar { at, value }.into());
                Ok(())
            }
        }
    }

    fn begin(
        &mut self,
        at: &Provenance,
        open: impl FnOnce(Provenance) -> Open,
        in_brackets: bool,
    ) -> Result<(), Error> {
        // What the library calls a mapping's extent is one character or none.
        let open = open(Provenance {
            length: 0,
            ..at.clone()
        });
        match (self.open.last().map(|(open, _)| open), &open) {
            (None, Open::Sequence(_)) => {
                return Err(Error::new(at, Problem::NotAMapping("a list")));
            }
            (Some(Open::Mapping(_, None)), _) => return Err(Error::new(at, Problem::KeyNotScalar)),
            _ if self.open.len() >= MAX_DEPTH => {
                return Err(Error::new(at, Problem::TooDeep(MAX_DEPTH)));
            }
            _ => {}
        }
        self.open.push((open, in_brackets));
        Ok(())
    }

    /// Puts a complete value where it belongs.
    fn value(&mut self, value: Node) {
        match (self.open.last_mut().map(|(open, _)| open), value) {
            (Some(Open::Mapping(mapping, key)), value) => {
                if let Some(key) = key.take() {
                    mapping.insert(key, value);
                }
            }
            (Some(Open::Sequence(sequence)), value) => sequence.items.push(value),
            (None, Node::Mapping(mapping)) => self.root = mapping,
            (None, _) => {}
        }
    }
}

fn check(at: &Provenance, anchor: Option<&str>, tag: Option<&str>) -> Result<(), Error> {
    if anchor.is_some() {
        return Err(Error::new(at, Problem::Anchor));
    }
    match tag {
        Some(tag) if !tag.starts_with(CORE_TAGS) => {
            Err(Error::new(at, Problem::Tag(tag.to_owned())))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::to_text;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let result = match parse("f.bst", text) {
            Ok(mapping) => to_text(&mapping),
            Err(error) => error.to_string(),
        };
        assert_eq!(result.trim_end(), expected, "{text:?}");
    }

    #[test]
    fn every_scalar_is_a_stripped_string() {
        check("# only a comment", "{}");
        check("", "{}");
        check("a:\nb: ~\nc: no\nd: 1.0", "a:\nb: ~\nc: no\nd: 1.0");
        check("a: '  x '\n'b ': |\n  z\n\n", "a: x\n'b ': z");
        check("a: \"\\x1f\\u3000é\\u2029\"", "a: é");
        check("a: !!int 3\nb: !mine [x]", "a: 3\nb:\n- x");
        check("\u{feff}a: x\nb: x", "a: x\nb: x");
        check("a: |\n\n    text  ", "a: text");
    }

    #[test]
    fn errors_name_the_place() {
        check(
            "a: [1\nb: 2",
            "f.bst:2:2: invalid YAML: did not find expected ',' or ']' while parsing a flow sequence that begins at 1:4",
        );
        check(
            "a: 1\n\tb: 2",
            "f.bst:2:1: invalid YAML: found a tab character that violates indentation while scanning a plain scalar that begins at 1:4",
        );
        check(
            "a: 1\nb: 2\na: 3",
            "f.bst:3:1: the key 'a' is already in this mapping",
        );
        check("a: &x 1", "f.bst:1:4: anchors and aliases are not allowed");
        check("a: *x", "f.bst:1:4: anchors and aliases are not allowed");
        check(
            "a: !mine 1",
            "f.bst:1:4: the tag '!mine' is not allowed: only the core tags are",
        );
        check(
            "[a]",
            "f.bst:1:1: expected the file to hold a mapping, found a list",
        );
        check(
            "a",
            "f.bst:1:1: expected the file to hold a mapping, found a string",
        );
        check(
            "? [a]\n: b",
            "f.bst:1:3: expected a string as key of the mapping",
        );
        check(
            "a: 1\n---\nb: 2",
            "f.bst:2:1: expected one document in the file, found another",
        );
    }

    #[test]
    fn strings_within_brackets_are_as_an_older_libyaml_reads_them() {
        let place = |text: &str| match parse("f.bst", text) {
            Ok(_) => "taken".to_owned(),
            Err(error) => error.at.to_string(),
        };
        for (text, expected) in [
            ("a: [b.bst:c.bst]", "f.bst:1:10"),
            ("a: ['b.bst:c.bst', d]", "taken"),
            ("a: {b:c}", "f.bst:1:6"),
            ("a: {b: c}", "taken"),
            ("a: {b:}", "f.bst:1:6"),
            ("a: {b :,}", "f.bst:1:7"),
            ("a: {b\u{2028} \r\n :,}", "f.bst:3:2"),
            ("a: {'b':c}", "taken"),
            ("a: [b?]", "f.bst:1:6"),
            ("a: b:c?", "taken"),
        ] {
            assert_eq!(place(text), expected, "{text:?}");
        }
        check(
            "a: [b:c]",
            "f.bst:1:6: invalid YAML: found unexpected ':' in a string within brackets: put the string in quotes",
        );
    }

    #[test]
    fn limits_hold() {
        let deep = format!("a: {}", "[".repeat(MAX_DEPTH));
        check(
            &deep,
            "f.bst:1:103: nested too deeply: at most 100 levels are read",
        );
        let just = format!(
            "a: {}{}",
            "[".repeat(MAX_DEPTH - 1),
            "]".repeat(MAX_DEPTH - 1)
        );
        assert!(parse("f.bst", &just).is_ok());
        let large = "#".repeat(MAX_SIZE + 1);
        check(
            &large,
            "f.bst:1:1: the file is too large: at most 16777216 bytes are read",
        );
    }

    #[test]
    fn excerpts_underline_the_place() {
        let mapping = parse(
            "f.bst",
            "key:\n\tvalue: [one, two]\n".replace('\t', "  ").as_str(),
        );
        let mapping = mapping.unwrap();
        let list = mapping.mapping("key").unwrap().unwrap();
        let two = &list.sequence("value").unwrap().unwrap().items[1];
        assert_eq!(two.at().to_string(), "f.bst:2:16");
        let (line, below) = two.at().excerpt().unwrap();
        assert_eq!(
            format!("{line}\n{below}"),
            "  value: [one, two]\n               ^^^"
        );
    }

    #[test]
    fn nonsense_is_an_error_and_no_panic() {
        for bad in [
            "a: \"\\", "\"\\", "[!a,]", "{!!str,", "%", "%TAG", "!<%", "a: !%ff", "- |9",
            "\u{feff}", "? ? ?", ": : :",
        ] {
            let _ = parse("bad", bad);
        }
        assert!(parse("bad", "a: [!x,]").is_err());
    }

    proptest::proptest! {
        // What fails is told by the test itself; nothing is written beside the sources.
        #![proptest_config(proptest::test_runner::Config { failure_persistence: None, ..Default::default() })]

        #[test]
        fn any_text_is_parsed_or_refused(text in "[-a\\\\\"'!&*%|>\\[\\]{},:?# \n\t0-9\u{e9}]{0,60}") {
            let _ = parse("any", &text);
        }
    }
}
