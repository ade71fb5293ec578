//! Why calls of a session were no hits, and why predictions were not asked for: from its history.

mod data;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use headstart_execution::ActionSpec;
use headstart_merkle::{ActionDigest, DirectoryDigest};
use headstart_reapi::reapi;
use headstart_speculation::{
    Calls, ElementId, Explainer, Explanation, Note, NoteKind, SpeculativeActions, Today,
};
use headstart_store::{ActionCache, BlobStore, Directories, StoreError};
use headstart_store_disk::{DiskActionCache, DiskBlobs, Layout};
use thiserror::Error;

use crate::config::UserConfig;
use crate::history::{ElementHistory, Histories, History};
use crate::records::Records;
use crate::report::seconds;
pub use data::{
    BuildState, Call, DifferenceData, ElementExplanation, InputData, OriginData, Reason,
    SessionExplanation, SideData, TimedEvent,
};

/// Why nothing can be explained.
#[derive(Debug, Error)]
pub enum ExplainError {
    /// Histories can't be read.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: std::path::PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The store can't be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no history.
    #[error("there is no session in {0} to explain: `headstart build` leaves one")]
    NoSession(std::path::PathBuf),
    /// There is no such history.
    #[error("there is no session {0:?}; `headstart explain --sessions` lists those there are")]
    UnknownSession(String),
    /// The session had nothing to do with the element.
    #[error("the session {session} did not build {element}")]
    UnknownElement {
        /// The session.
        session: String,
        /// The element.
        element: String,
    },
}

/// What is asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Question<'a> {
    /// The session's name; the last one, if none is named.
    pub session: Option<&'a str>,
    /// An element, as the project names it or with `PROJECT:` in front.
    pub element: Option<&'a str>,
    /// An action: the beginning of its hash, a path that it makes, or an argument of its command.
    /// Then all that happened to it is told, whatever became of it.
    pub action: Option<&'a str>,
}

/// A cache directory, opened to look back at sessions; no project is needed.
pub struct Hindsight {
    histories: Histories,
    directories: Arc<Directories<dyn BlobStore>>,
    results: DiskActionCache,
    records: Records,
}

impl Hindsight {
    /// Opens the cache directory of `config`.
    pub fn open(config: &UserConfig) -> Result<Self, ExplainError> {
        let layout = Layout::new(&config.cache_dir);
        let store: Arc<dyn BlobStore> = Arc::new(DiskBlobs::open(&layout)?);
        let directories = Arc::new(Directories::new(store));
        Ok(Self {
            histories: Histories::new(&layout.own()),
            results: DiskActionCache::open(&layout),
            records: Records::new(Arc::clone(&directories)),
            directories,
        })
    }

    /// The names of all sessions, oldest first.
    pub fn sessions(&self) -> Result<Vec<String>, ExplainError> {
        let failed = |source| self.failed(source);
        self.histories.names().map_err(failed)
    }

    fn failed(&self, source: io::Error) -> ExplainError {
        ExplainError::Io {
            path: self.histories.folder().to_owned(),
            source,
        }
    }

    /// Answers a question.
    pub fn explain(&self, question: Question<'_>) -> Result<SessionExplanation, ExplainError> {
        let history = self.history(question.session)?;
        let elements = history.elements.iter();
        let elements = elements.filter(|element| match question.element {
            Some(name) => *element.id.name == *name || element.id.to_string() == name,
            // Of most only the artifact is known.
            None => element.started || !element.earlier.is_empty(),
        });
        let noted = Noted::new(&history);
        let at_end = AtEnd::new(&history, &self.results);
        let elements: Vec<ElementExplanation> = elements
            .map(|element| {
                ElementSession::new(self, &noted, &at_end, element).explain(question.action)
            })
            .collect();
        if let Some(name) = question.element.filter(|_| elements.is_empty()) {
            return Err(ExplainError::UnknownElement {
                session: history.name,
                element: name.to_owned(),
            });
        }
        Ok(SessionExplanation {
            session: history.name,
            header: history.header,
            seconds: history.took.map(seconds),
            whole: history.whole,
            elements,
        })
    }

    fn history(&self, name: Option<&str>) -> Result<History, ExplainError> {
        let failed = |source| self.failed(source);
        if let Some(name) = name {
            let history = self.histories.read(name).map_err(failed)?;
            return history.ok_or_else(|| ExplainError::UnknownSession(name.to_owned()));
        }
        for name in self.sessions()?.iter().rev() {
            // One that is removed meanwhile, or another program's, is passed over.
            if let Some(history) = self.histories.read(name).map_err(failed)? {
                return Ok(history);
            }
        }
        let folder = self.histories.folder();
        Err(ExplainError::NoSession(folder.to_owned()))
    }
}

/// A note, and when it was taken.
type TimedNote = (Duration, Note);

/// The notes of a session by what they are of, each list in order.
struct Noted<'a> {
    elements: HashMap<&'a ElementId, Vec<&'a TimedNote>>,
    /// Of executions, which are no single element's.
    executions: HashMap<ActionDigest, Vec<&'a TimedNote>>,
}

impl<'a> Noted<'a> {
    fn new(history: &'a History) -> Self {
        let mut noted = Self {
            elements: HashMap::new(),
            executions: HashMap::new(),
        };
        for timed in &history.notes {
            match (&timed.1.element, timed.1.action) {
                (Some(element), _) => noted.elements.entry(element).or_default().push(timed),
                (None, Some(action)) => noted.executions.entry(action).or_default().push(timed),
                (None, None) => {}
            }
        }
        noted
    }

    fn executions(&self, action: ActionDigest) -> impl Iterator<Item = &'a TimedNote> {
        self.executions.get(&action).into_iter().flatten().copied()
    }
}

/// What is known at the end of a session.
struct AtEnd<'a> {
    elements: HashMap<&'a ElementId, &'a ElementHistory>,
    adapted: HashMap<(&'a ElementId, ActionDigest), ActionDigest>,
    results: &'a DiskActionCache,
}

impl<'a> AtEnd<'a> {
    fn new(history: &'a History, results: &'a DiskActionCache) -> Self {
        let elements = history.elements.iter();
        let mut adapted = HashMap::new();
        for (_, note) in &history.notes {
            if let Note {
                kind: NoteKind::Resolved | NoteKind::Corrected | NoteKind::Overtaken,
                element: Some(element),
                base: Some(base),
                action: Some(action),
                ..
            } = note
            {
                adapted.insert((element, *base), *action);
            }
        }
        Self {
            elements: elements.map(|element| (&element.id, element)).collect(),
            adapted,
            results,
        }
    }
}

impl Today for AtEnd<'_> {
    fn sources(&self, element: &ElementId) -> Option<DirectoryDigest> {
        self.elements.get(element)?.sources
    }

    fn artifact(&self, element: &ElementId) -> Option<DirectoryDigest> {
        self.elements.get(element)?.artifact
    }

    fn adapted(&self, element: &ElementId, base: ActionDigest) -> Option<ActionDigest> {
        self.adapted.get(&(element, base)).copied()
    }

    fn result(&self, action: ActionDigest) -> Option<reapi::ActionResult> {
        let result = self.results.get(action).ok()??;
        Some(result.message().clone())
    }
}

/// One element's part of a session.
struct ElementSession<'a> {
    hindsight: &'a Hindsight,
    element: &'a ElementHistory,
    at_end: &'a AtEnd<'a>,
    noted: &'a Noted<'a>,
    /// What was noted of the element's actions.
    notes: &'a [&'a TimedNote],
    earlier: Vec<Arc<SpeculativeActions>>,
    newest: Option<Arc<SpeculativeActions>>,
    /// What each recorded action was last predicted to be.
    predictions: Vec<(ActionDigest, Option<ActionDigest>)>,
    calls: Calls,
}

impl<'a> ElementSession<'a> {
    fn new(
        hindsight: &'a Hindsight,
        noted: &'a Noted<'a>,
        at_end: &'a AtEnd<'a>,
        element: &'a ElementHistory,
    ) -> Self {
        let notes = noted.elements.get(&element.id);
        let notes = notes.map(Vec::as_slice).unwrap_or_default();
        let mut predictions = BTreeMap::new();
        for (_, note) in notes {
            match (note.kind, note.base) {
                (NoteKind::Resolved | NoteKind::Corrected, Some(base)) => {
                    predictions.insert(base, note.action);
                }
                (NoteKind::Refuted | NoteKind::Unresolved, Some(base)) => {
                    predictions.insert(base, None);
                }
                _ => {}
            }
        }
        let directories = &*hindsight.directories;
        let asked = notes.iter().filter(|(_, note)| note.kind.is_request());
        let asked = asked.filter_map(|(_, note)| note.action);
        let records = &hindsight.records;
        let read = |digest, files| records.get(digest, &element.id, files);
        let earlier = element.earlier.iter();
        Self {
            calls: Calls::read(asked, directories),
            predictions: predictions.into_iter().collect(),
            earlier: earlier.filter_map(|record| read(*record, None)).collect(),
            newest: element
                .newest
                .and_then(|record| read(record, element.artifact)),
            at_end,
            noted,
            notes,
            element,
            hindsight,
        }
    }

    fn explain(&self, action: Option<&str>) -> ElementExplanation {
        let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
        for (_, note) in self.notes {
            *counts.entry(note.kind.name()).or_default() += 1;
        }
        let explainers = self.earlier.iter().map(|record| {
            Explainer::new(record, &self.predictions, &*self.hindsight.directories)
                .with_today(self.at_end)
                .with_newest(self.newest.as_deref())
        });
        let explainers: Vec<Explainer<'_>> = explainers.collect();
        let mut calls = Vec::new();
        for (at, note) in self.notes {
            let listed = match (action, note.kind) {
                (_, NoteKind::Missed | NoteKind::Wasted | NoteKind::Left) => true,
                (Some(_), kind) => kind.is_request(),
                (None, _) => false,
            };
            let Some(digest) = note.action.filter(|_| listed) else {
                continue;
            };
            let spec = ActionSpec::read(digest, self.hindsight.directories.store().as_ref()).ok();
            if action.is_some_and(|wanted| !is_meant(wanted, note, spec.as_ref())) {
                continue;
            }
            let reason = match note.kind {
                NoteKind::Missed => Some(self.missed(&explainers, *at, digest)),
                NoteKind::Wasted | NoteKind::Left => self.wasted(&explainers, note, digest),
                _ => None,
            };
            let events = match action {
                Some(_) => self.events(digest, note.base),
                None => Vec::new(),
            };
            calls.push(Call::new(*at, note, digest, spec.as_ref(), reason, events));
        }
        ElementExplanation {
            name: self.element.id.to_string(),
            state: self.state(),
            counts,
            calls,
        }
    }

    fn state(&self) -> BuildState {
        match self.element {
            ElementHistory { started: false, .. } => BuildState::NotBuilt,
            ElementHistory { ended: false, .. } => BuildState::BrokenOff,
            ElementHistory { artifact: None, .. } => BuildState::Failed,
            _ => BuildState::Built,
        }
    }

    /// Why a request was not predicted, by the newest record that has heard of such a thing.
    fn missed(&self, explainers: &[Explainer<'_>], at: Duration, asked: ActionDigest) -> Reason {
        let mut unheard = Reason::NothingStored;
        for explainer in explainers {
            match explainer.explain(asked) {
                Ok(Explanation::NothingStored) => {}
                Ok(Explanation::Unheard) => unheard = Reason::Unheard,
                Ok(Explanation::Predicted) => return self.too_late(at, asked),
                Ok(explanation) => return explanation.into(),
                Err(error) => {
                    let error = error.to_string();
                    return Reason::Unreadable { error };
                }
            }
        }
        unheard
    }

    /// It was predicted, after it had been asked for.
    fn too_late(&self, at: Duration, asked: ActionDigest) -> Reason {
        let resolved = self.notes.iter().find(|(_, note)| {
            let kind = matches!(note.kind, NoteKind::Resolved | NoteKind::Corrected);
            kind && note.action == Some(asked)
        });
        let late = resolved.map(|(resolved, _)| resolved.saturating_sub(at));
        Reason::TooLate {
            seconds: seconds(late.unwrap_or_default()),
        }
    }

    /// Why nobody asked for what was executed.
    fn wasted(
        &self,
        explainers: &[Explainer<'_>],
        note: &Note,
        predicted: ActionDigest,
    ) -> Option<Reason> {
        let base = note.base?;
        let now = self.predictions.iter().find(|(other, _)| *other == base);
        let now = now.and_then(|(_, action)| *action);
        if let Some(now) = now.filter(|now| *now != predicted) {
            let now = now.to_string();
            return Some(Reason::Corrected { now });
        }
        // What is given up ends without a result too, sooner or later: because it is predicted no
        // more, or when the element is built.
        let given_up = self
            .notes
            .iter()
            .any(|(_, note)| note.kind == NoteKind::Cancelled && note.action == Some(predicted));
        let mut executions = self.noted.executions(predicted);
        if now.is_some() && !given_up && executions.any(|(_, note)| note.kind == NoteKind::Failed) {
            return Some(Reason::ExecutionFailed);
        }
        let state = self.state();
        if state == BuildState::NotBuilt {
            return Some(Reason::NotBuilt);
        }
        for explainer in explainers {
            match explainer.explain_unasked(base, predicted, &self.calls) {
                Ok(Some((asked, difference))) => {
                    return Some(Reason::called(base, predicted, asked, &difference));
                }
                Ok(None) => {}
                Err(error) => {
                    let error = error.to_string();
                    return Some(Reason::Unreadable { error });
                }
            }
        }
        Some(match state {
            BuildState::Failed => Reason::BuildFailed,
            BuildState::BrokenOff => Reason::BrokenOff,
            _ if now.is_none() => Reason::Refuted,
            _ => Reason::NotCalled,
        })
    }

    /// All that happened to an action and to what it was adapted from, in order.
    fn events(&self, action: ActionDigest, base: Option<ActionDigest>) -> Vec<TimedEvent> {
        let adapted = self.notes.iter();
        let adapted = adapted.filter(|(_, note)| note.action == Some(action));
        let bases = adapted.filter_map(|(_, note)| note.base).chain(base);
        let bases: Vec<ActionDigest> = bases.collect();
        let concerns = |note: &Note| {
            note.action == Some(action) || note.base.is_some_and(|base| bases.contains(&base))
        };
        let of_element = self.notes.iter().copied();
        let of_element = of_element.filter(|(_, note)| concerns(note));
        let mut notes: Vec<&TimedNote> = of_element.collect();
        notes.extend(self.noted.executions(action));
        notes.sort_by_key(|(at, _)| *at);
        let events = notes.into_iter();
        events
            .map(|(at, note)| TimedEvent::new(*at, note))
            .collect()
    }
}

/// Whether `wanted` is the beginning of the action's hash, a path that it makes, or an argument.
fn is_meant(wanted: &str, note: &Note, spec: Option<&ActionSpec>) -> bool {
    let mut digests = note.action.into_iter().chain(note.base);
    let is_hash = wanted.len() >= 6 && wanted.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hash && digests.any(|digest| digest.hex().starts_with(&wanted.to_ascii_lowercase())) {
        return true;
    }
    let Some(spec) = spec else { return false };
    let ends_so = |path: &String| path == wanted || path.ends_with(&format!("/{wanted}"));
    spec.outputs.paths.iter().any(ends_so) || spec.arguments.iter().any(ends_so)
}
