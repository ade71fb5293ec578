//! Writes the history of a session as it happens.
//!
//! What happened is with the kernel as soon as the primer has nothing else to do, so it survives the
//! end of this process, however it ends. Histories are bounded in number and size; the oldest go
//! first. That a history can't be written is logged, and concerns nobody else.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use headstart_merkle::{ActionDigest, Digest};
use headstart_speculation::{ElementId, Event, Mode, Note, NoteKind};

use crate::clock;
use crate::history::{Fact, Header, Histories, Line, VERSION};

/// How many histories are kept.
const MAX_HISTORIES: usize = 50;
/// How large all histories together may be, in bytes, before the oldest go.
const MAX_TOTAL: u64 = 256 << 20;
/// How large one history may be, in bytes: what some 150,000 actions come to.
const MAX_SIZE: u64 = 128 << 20;
/// How much is put together before it is written, in bytes.
const BUFFER: usize = 64 << 10;

/// The history of this session, being written.
pub(crate) struct Journal {
    /// Locked, so that others can tell that it is being written.
    file: File,
    pending: Vec<u8>,
    written: u64,
    limit: u64,
    elements: HashMap<ElementId, u32>,
    actions: HashMap<ActionDigest, u32>,
    /// Whether there was more than may be kept: then only its end is still told.
    full: bool,
    /// Whether it can't be written any further.
    broken: bool,
}

impl Journal {
    /// Begins the history of a session, and removes old ones.
    ///
    /// # Errors
    /// When the file can't be made.
    pub(crate) fn begin(
        histories: &Histories,
        project: &str,
        mode: Mode,
        targets: Vec<String>,
    ) -> io::Result<Self> {
        fs::create_dir_all(histories.folder())?;
        if let Err(error) = remove_old(histories) {
            tracing::warn!(%error, "old histories could not be removed");
        }
        let name = format!("{}-{}", clock::stamp(), std::process::id());
        // This process may have had a session in this very second.
        let names = std::iter::once(name.clone()).chain((2..).map(|n| format!("{name}-{n}")));
        let mut files = names.map(|name| create(&histories.path(&name)));
        let file = loop {
            match files.next() {
                Some(Err(error)) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Some(file) => break file?,
                None => return Err(io::ErrorKind::AlreadyExists.into()),
            }
        };
        let mut journal = Self {
            file,
            pending: Vec::with_capacity(BUFFER),
            written: 0,
            limit: MAX_SIZE,
            elements: HashMap::new(),
            actions: HashMap::new(),
            full: false,
            broken: false,
        };
        let begun = SystemTime::now().duration_since(UNIX_EPOCH);
        journal.line(&Line::Session(Header {
            version: VERSION,
            begun: begun.unwrap_or_default().as_secs(),
            project: project.to_owned(),
            mode: mode.name().to_owned(),
            targets,
        }));
        journal.flush();
        Ok(journal)
    }

    /// Writes down what an event tells that no note does. With `records`, what is asked for is recorded
    /// for the next build.
    pub(crate) fn event(&mut self, at: Duration, event: &Event, records: bool) {
        match event {
            Event::Sources { element, tree } => self.fact(at, element, Fact::Sources, *tree),
            Event::Artifact { element, tree } => self.fact(at, element, Fact::Artifact, *tree),
            Event::ElementStarted { element } => {
                let (at, element) = (micros(at), self.element(element));
                self.line(&Line::Started { at, element });
            }
            Event::ElementBuilt { element } => {
                let (at, element) = (micros(at), self.element(element));
                self.line(&Line::Ended { at, element });
            }
            Event::CacheAnswered {
                action,
                result: Some(_),
            } => self.execution(at, NoteKind::Cached, *action, Duration::ZERO),
            Event::Finished { action, outcome } => {
                let took = outcome.as_ref().map_or(Duration::ZERO, |o| o.duration);
                let good = outcome
                    .as_ref()
                    .is_ok_and(|o| o.result.message().exit_code == 0);
                let kind = match good {
                    true => NoteKind::Finished,
                    false => NoteKind::Failed,
                };
                self.execution(at, kind, *action, took);
            }
            Event::Asked { element, subaction } if records => self.note(
                at,
                &Note {
                    kind: NoteKind::Recorded,
                    element: Some(element.clone()),
                    base: None,
                    action: Some(subaction.action),
                    took: subaction.duration,
                },
            ),
            _ => {}
        }
    }

    /// Writes down what happened to an action that nobody in particular wants.
    pub(crate) fn execution(
        &mut self,
        at: Duration,
        kind: NoteKind,
        action: ActionDigest,
        took: Duration,
    ) {
        self.note(
            at,
            &Note {
                kind,
                element: None,
                base: None,
                action: Some(action),
                took,
            },
        );
    }

    /// Writes down what happened to an action.
    pub(crate) fn note(&mut self, at: Duration, note: &Note) {
        let line = Line::Note {
            at: micros(at),
            kind: note.kind,
            element: note.element.as_ref().map(|element| self.element(element)),
            base: note.base.map(|action| self.action(action)),
            action: note.action.map(|action| self.action(action)),
            took: micros(note.took),
        };
        self.line(&line);
    }

    /// Writes down what became known of an element.
    pub(crate) fn fact<K>(
        &mut self,
        at: Duration,
        element: &ElementId,
        what: Fact,
        digest: Digest<K>,
    ) {
        let line = Line::Known {
            at: micros(at),
            element: self.element(element),
            what,
            digest: digest.to_string(),
        };
        self.line(&line);
    }

    /// Ends the history.
    pub(crate) fn end(mut self, at: Duration) {
        self.line(&Line::End { at: micros(at) });
        self.flush();
    }

    /// Hands what is pending to the kernel.
    pub(crate) fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        if let Err(error) = self.file.write_all(&self.pending) {
            tracing::warn!(%error, "the history of this session can't be written any further");
            self.broken = true;
        }
        self.written += self.pending.len() as u64;
        self.pending.clear();
    }

    fn element(&mut self, id: &ElementId) -> u32 {
        if let Some(number) = self.elements.get(id) {
            return *number;
        }
        let number = self.elements.len() as u32;
        self.elements.insert(id.clone(), number);
        self.line(&Line::Element {
            number,
            project: id.project.to_string(),
            name: id.name.to_string(),
        });
        number
    }

    fn action(&mut self, action: ActionDigest) -> u32 {
        if let Some(number) = self.actions.get(&action) {
            return *number;
        }
        let number = self.actions.len() as u32;
        self.actions.insert(action, number);
        self.line(&Line::Action {
            number,
            digest: action.to_string(),
        });
        number
    }

    fn line(&mut self, line: &Line) {
        let size = self.written + self.pending.len() as u64;
        let full = size >= self.limit && !matches!(line, Line::End { .. });
        if self.broken || full && self.full {
            return;
        }
        self.full |= full;
        let line = if full { &Line::Full } else { line };
        if serde_json::to_writer(&mut self.pending, line).is_ok() {
            self.pending.push(b'\n');
        }
        if self.pending.len() >= BUFFER {
            self.flush();
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn create(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .append(true)
        .create_new(true)
        .open(path)?;
    file.lock()?;
    Ok(file)
}

/// Removes the oldest histories until there is room for one more. One that is being written stays.
fn remove_old(histories: &Histories) -> io::Result<()> {
    let mut total = 0;
    for (newer, name) in histories.names()?.iter().rev().enumerate() {
        let path = histories.path(name);
        let file = File::open(&path)?;
        total += file.metadata()?.len();
        if (newer + 1 >= MAX_HISTORIES || total > MAX_TOTAL) && file.try_lock().is_ok() {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use headstart_merkle::BlobDigest;

    use super::*;
    use crate::history::History;

    fn histories() -> (tempfile::TempDir, Histories) {
        let folder = tempfile::tempdir().unwrap();
        let histories = Histories::new(folder.path());
        (folder, histories)
    }

    fn begin(histories: &Histories) -> Journal {
        Journal::begin(histories, "demo", Mode::Full, vec!["app.bst".to_owned()]).unwrap()
    }

    fn only(histories: &Histories) -> History {
        let names = histories.names().unwrap();
        assert_eq!(names.len(), 1, "{names:?}");
        histories.read(&names[0]).unwrap().unwrap()
    }

    fn note(kind: NoteKind, base: &str, action: Option<&str>) -> Note {
        let digest = |text: &str| BlobDigest::of(text.as_bytes()).cast();
        Note {
            kind,
            element: Some(ElementId::new("demo", "app.bst")),
            base: Some(digest(base)),
            action: action.map(digest),
            took: Duration::from_millis(7),
        }
    }

    #[test]
    fn what_is_written_is_read_again_also_while_it_is_being_written() {
        let (_folder, histories) = histories();
        let mut journal = begin(&histories);
        let at = Duration::from_micros(1500);
        let notes = [
            note(NoteKind::Resolved, "a", Some("b")),
            note(NoteKind::Refuted, "a", None),
        ];
        for note in &notes {
            journal.note(at, note);
        }
        let element = ElementId::new("demo", "app.bst");
        let record = BlobDigest::of(b"record");
        journal.fact(at, &element, Fact::Earlier, record);
        let started = Event::ElementStarted {
            element: element.clone(),
        };
        journal.event(at, &started, true);
        journal.flush();
        let history = only(&histories);
        assert_eq!(history.notes, notes.map(|note| (at, note)));
        assert_eq!(history.header.targets, ["app.bst"]);
        assert_eq!((history.took, history.whole), (None, true));
        let [app] = &history.elements[..] else {
            panic!("{history:?}");
        };
        assert_eq!(
            (app.id.clone(), app.started, app.ended),
            (element, true, false)
        );
        assert_eq!(app.earlier, [record]);
        journal.end(Duration::from_secs(2));
        assert_eq!(only(&histories).took, Some(Duration::from_secs(2)));
    }

    #[test]
    fn a_torn_or_foreign_line_costs_no_other() {
        let (_folder, histories) = histories();
        let mut journal = begin(&histories);
        let expected = note(NoteKind::Resolved, "a", Some("b"));
        journal.note(Duration::ZERO, &expected);
        journal
            .pending
            .extend(b"{\"unheard\":{}}\n{\"note\":{\"at\":");
        journal.flush();
        let history = only(&histories);
        assert_eq!(history.notes, [(Duration::ZERO, expected)]);
        assert!(!history.whole);
        assert!(histories.read("none").unwrap().is_none());
        fs::write(histories.path("other"), "{\"session\":7}\n").unwrap();
        assert!(histories.read("other").unwrap().is_none());
    }

    #[test]
    fn a_history_is_bounded_and_tells_its_end() {
        let (_folder, histories) = histories();
        let mut journal = begin(&histories);
        journal.limit = 1000;
        for number in 0..100 {
            let note = note(NoteKind::Resolved, &number.to_string(), None);
            journal.note(Duration::ZERO, &note);
        }
        journal.end(Duration::from_secs(1));
        let history = only(&histories);
        assert!((1..20).contains(&history.notes.len()), "{history:?}");
        assert_eq!(history.took, Some(Duration::from_secs(1)));
        assert!(!history.whole);
    }

    #[test]
    fn the_oldest_histories_go_but_none_that_is_being_written() {
        let (_folder, histories) = histories();
        let first = begin(&histories);
        let [running] = &histories.names().unwrap()[..] else {
            panic!("there is one");
        };
        for number in 0..MAX_HISTORIES {
            fs::write(histories.path(&format!("0000-{number:03}")), "").unwrap();
        }
        // It is now the oldest.
        fs::rename(histories.path(running), histories.path("0000")).unwrap();
        drop(begin(&histories));
        let names = histories.names().unwrap();
        assert_eq!(names.len(), MAX_HISTORIES + 1);
        assert_eq!(names[..2], ["0000", "0000-001"]);
        drop(first);
        drop(begin(&histories));
        let names = histories.names().unwrap();
        assert_eq!(names.len(), MAX_HISTORIES);
        assert_eq!(names[0], "0000-002");
    }
}
