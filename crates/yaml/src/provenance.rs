//! Where a node came from, and the line of text to show for it.

use std::fmt;
use std::sync::Arc;

/// A file that nodes were read from.
#[derive(PartialEq, Eq)]
pub struct SourceFile {
    /// The name that people are shown.
    pub name: String,
    /// The whole text, for showing the line of an error.
    pub text: String,
}

/// A place in a file, or none for what the program itself made.
///
/// Shown as `file:line:column`, lines and columns (in characters) counted from one.
#[derive(Clone, PartialEq, Eq)]
pub struct Provenance {
    pub(crate) file: Option<Arc<SourceFile>>,
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) length: u32,
}

impl Provenance {
    /// The provenance of values that no file holds.
    pub const SYNTHETIC: Self = Self {
        file: None,
        line: 0,
        column: 0,
        length: 0,
    };

    /// Whether the program made the value itself.
    pub fn is_synthetic(&self) -> bool {
        self.file.is_none()
    }

    /// The name of the file, if there is one.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref().map(|file| file.name.as_str())
    }

    /// The line, counted from one.
    pub fn line(&self) -> u32 {
        self.line + 1
    }

    /// The column in characters, counted from one.
    pub fn column(&self) -> u32 {
        self.column + 1
    }

    /// The line of text and a line below it that underlines the place, or none if it is not in a
    /// file. Tabs are kept in the second line too, so that the two stay aligned.
    pub fn excerpt(&self) -> Option<(&str, String)> {
        let text = &self.file.as_ref()?.text;
        let line = text.split('\n').nth(self.line as usize)?;
        let line = line.strip_suffix('\r').unwrap_or(line);
        let column = self.column as usize;
        let mut below: String = line
            .chars()
            .take(column)
            .map(|char| if char == '\t' { '\t' } else { ' ' })
            .collect();
        let rest = line.chars().count().saturating_sub(column).max(1);
        below.push_str(&"^".repeat((self.length as usize).clamp(1, rest)));
        Some((line, below))
    }
}

impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{}:{}:{}", file.name, self.line(), self.column()),
            None => f.write_str("(built in)"),
        }
    }
}

impl fmt::Debug for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the whole text, which every node would repeat.
        fmt::Display::fmt(self, f)
    }
}
