//! Histories of sessions: what happened to each action, one file a session, below
//! `headstart/sessions/` of the cache directory.
//!
//! A file has one JSON object a line, in the order in which things happened. Elements and actions
//! are numbered where they are first mentioned. Lines are only ever appended and each stands for
//! itself, so that a killed process costs at most its last line. A line that can't be read is passed
//! over.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use headstart_merkle::{ActionDigest, BlobDigest, DirectoryDigest};
use headstart_speculation::{ElementId, Note, NoteKind};
use serde::{Deserialize, Serialize};

/// The version of the format.
pub(crate) const VERSION: u32 = 1;
/// What names of histories end with.
const SUFFIX: &str = ".jsonl";

/// A line. Times are microseconds since the beginning.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Line {
    /// The first line.
    Session(Header),
    Element {
        number: u32,
        project: String,
        name: String,
    },
    Action {
        number: u32,
        digest: String,
    },
    Note {
        at: u64,
        kind: NoteKind,
        #[serde(skip_serializing_if = "Option::is_none")]
        element: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        base: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        action: Option<u32>,
        #[serde(skip_serializing_if = "is_zero", default)]
        took: u64,
    },
    /// Something became known of an element.
    Known {
        at: u64,
        element: u32,
        what: Fact,
        digest: String,
    },
    /// The element's real build began.
    Started {
        at: u64,
        element: u32,
    },
    /// It ended.
    Ended {
        at: u64,
        element: u32,
    },
    /// There was more than may be kept.
    Full,
    /// The session came to its end.
    End {
        at: u64,
    },
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What a session was about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The format's version.
    pub version: u32,
    /// When it began, in seconds since 1970.
    pub begun: u64,
    /// The project's name.
    pub project: String,
    /// How much was speculated.
    pub mode: String,
    /// The elements that were asked for.
    pub targets: Vec<String>,
}

/// What may become known of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Fact {
    /// Today's sources.
    Sources,
    /// Today's artifact.
    Artifact,
    /// The record of an earlier build.
    Earlier,
    /// The record of today's build.
    Newest,
}

/// What is known of a session.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) name: String,
    pub(crate) header: Header,
    pub(crate) elements: Vec<ElementHistory>,
    /// When each note was taken, since the beginning.
    pub(crate) notes: Vec<(Duration, Note)>,
    /// How long the session took; `None` if it was broken off.
    pub(crate) took: Option<Duration>,
    /// Whether all that happened is here.
    pub(crate) whole: bool,
}

/// What is known of an element's part of a session.
#[derive(Debug)]
pub(crate) struct ElementHistory {
    pub(crate) id: ElementId,
    pub(crate) started: bool,
    pub(crate) ended: bool,
    pub(crate) sources: Option<DirectoryDigest>,
    pub(crate) artifact: Option<DirectoryDigest>,
    pub(crate) earlier: Vec<BlobDigest>,
    pub(crate) newest: Option<BlobDigest>,
}

/// The histories in a cache directory.
#[derive(Debug, Clone)]
pub(crate) struct Histories {
    folder: PathBuf,
}

impl Histories {
    /// Those of the cache directory whose own folder `own` is.
    pub(crate) fn new(own: &Path) -> Self {
        Self {
            folder: own.join("sessions"),
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}{SUFFIX}"))
    }

    /// The names of all sessions, oldest first.
    ///
    /// # Errors
    /// When the folder can't be read. That there is none is no error.
    pub(crate) fn names(&self) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            let name = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
            names.extend(name.map(str::to_owned));
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The history of a session; `None` if there is none, or not one that this program understands.
    ///
    /// # Errors
    /// When the file can't be read.
    pub(crate) fn read(&self, name: &str) -> io::Result<Option<History>> {
        let text = match fs::read(self.path(name)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Reader::read(name, &text))
    }
}

/// A history on its way to being read.
struct Reader {
    history: History,
    /// Places in the history by number.
    elements: HashMap<u32, usize>,
    actions: HashMap<u32, ActionDigest>,
}

impl Reader {
    fn read(name: &str, text: &[u8]) -> Option<History> {
        let mut lines = text.split(|byte| *byte == b'\n');
        let Ok(Line::Session(header)) = serde_json::from_slice(lines.next()?) else {
            return None;
        };
        if header.version != VERSION {
            return None;
        }
        let history = History {
            name: name.to_owned(),
            header,
            elements: Vec::new(),
            notes: Vec::new(),
            took: None,
            whole: true,
        };
        let mut reader = Self {
            history,
            elements: HashMap::new(),
            actions: HashMap::new(),
        };
        for line in lines.filter(|line| !line.is_empty()) {
            let read = serde_json::from_slice(line);
            if read.ok().and_then(|line| reader.line(line)).is_none() {
                reader.history.whole = false;
            }
        }
        Some(reader.history)
    }

    /// Takes in a line; `None` if it refers to what is not there.
    fn line(&mut self, line: Line) -> Option<()> {
        match line {
            Line::Session(_) => return None,
            Line::Full => self.history.whole = false,
            Line::Element {
                number,
                project,
                name,
            } => {
                self.elements.insert(number, self.history.elements.len());
                self.history.elements.push(ElementHistory {
                    id: ElementId::new(&project, &name),
                    started: false,
                    ended: false,
                    sources: None,
                    artifact: None,
                    earlier: Vec::new(),
                    newest: None,
                });
            }
            Line::Action { number, digest } => {
                self.actions.insert(number, digest.parse().ok()?);
            }
            Line::Note {
                at,
                kind,
                element,
                base,
                action,
                took,
            } => {
                let note = Note {
                    kind,
                    element: match element {
                        Some(element) => Some(self.element(element)?.id.clone()),
                        None => None,
                    },
                    base: self.action(base)?,
                    action: self.action(action)?,
                    took: Duration::from_micros(took),
                };
                self.history.notes.push((Duration::from_micros(at), note));
            }
            Line::Known {
                element,
                what,
                digest,
                ..
            } => {
                let element = self.element(element)?;
                match what {
                    Fact::Sources => element.sources = Some(digest.parse().ok()?),
                    Fact::Artifact => element.artifact = Some(digest.parse().ok()?),
                    Fact::Earlier => element.earlier.push(digest.parse().ok()?),
                    Fact::Newest => element.newest = Some(digest.parse().ok()?),
                }
            }
            Line::Started { element, .. } => self.element(element)?.started = true,
            Line::Ended { element, .. } => self.element(element)?.ended = true,
            Line::End { at } => self.history.took = Some(Duration::from_micros(at)),
        }
        Some(())
    }

    fn element(&mut self, number: u32) -> Option<&mut ElementHistory> {
        let place = self.elements.get(&number)?;
        self.history.elements.get_mut(*place)
    }

    /// `None` if there is no such action; a line that names none is right too.
    fn action(&self, number: Option<u32>) -> Option<Option<ActionDigest>> {
        match number {
            None => Some(None),
            Some(number) => self.actions.get(&number).copied().map(Some),
        }
    }
}
