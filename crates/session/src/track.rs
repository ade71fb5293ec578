//! Tracking: the newest `ref`s of sources, written into the project's files.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use headstart_project::{Element, ElementId, Source};
use headstart_sources::NewRef;
use headstart_yaml::{Provenance, set_keys};

use crate::build::{Notice, Watcher};
use crate::error::SessionError;
use crate::session::{Loaded, Session};

mod refs;

/// Where references are that are not kept with their sources.
const REFS: &str = "project.refs";

/// What tracking came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TrackReport {
    /// Sources that have a new `ref`.
    pub changed: usize,
    /// Elements with a source that could not be tracked.
    pub failed: usize,
}

/// A `ref` that is to be written.
struct Change {
    /// The element's full name.
    element: Arc<str>,
    /// The names of its project and file.
    place: (Arc<str>, Arc<str>),
    index: usize,
    at: Provenance,
    new: NewRef,
}

impl Session {
    /// Tracks all sources of the elements that `select` chooses, and writes new `ref`s to where the
    /// sources are. Some sources are tracked by the help of those before them: when those have
    /// changed, they are written and read again first.
    pub fn track_sources(
        &self,
        targets: &[String],
        select: &dyn Fn(&Loaded) -> Vec<ElementId>,
        watcher: &dyn Watcher,
    ) -> Result<TrackReport, SessionError> {
        let mut report = TrackReport::default();
        // The sources of each element that are done with.
        let mut done: HashMap<Arc<str>, usize> = HashMap::new();
        loop {
            let loaded = self.load_anew(targets)?;
            let elements = select(&loaded);
            let round = Round {
                session: self,
                loaded: &loaded,
                watcher,
                done: Mutex::new(std::mem::take(&mut done)),
                changes: Mutex::default(),
                failed: Mutex::default(),
            };
            self.each(&elements, |id| round.track(id))?;
            done = into_inner(round.done);
            report.failed += into_inner(round.failed);
            let changes = into_inner(round.changes);
            report.changed += changes.len();
            if changes.is_empty() {
                return Ok(report);
            }
            self.write(&changes)?;
            self.check_written(targets, &changes)?;
        }
    }

    /// Writes changes into the project's files: where the sources are, or into `project.refs`.
    fn write(&self, changes: &[Change]) -> Result<(), SessionError> {
        if self.project().keeps_refs_apart() {
            return self.write_refs(changes);
        }
        let mut by_file: BTreeMap<&str, Vec<&Change>> = BTreeMap::new();
        for change in changes {
            let file = change.at.file().unwrap_or_default();
            by_file.entry(file).or_default().push(change);
        }
        for (file, mut changes) in by_file {
            let path = self.root.join(file);
            let io = |source| SessionError::Io {
                path: path.clone(),
                source,
            };
            let mut text = fs::read_to_string(&path).map_err(io)?;
            // From the end on, so that the places of those before stay right.
            changes.sort_by_key(|change| (change.at.line(), change.at.column()));
            for change in changes.iter().rev() {
                text = set_keys(&text, &change.at, &change.new.keys())?;
            }
            replace_file(&path, &text).map_err(io)?;
        }
        Ok(())
    }

    fn write_refs(&self, changes: &[Change]) -> Result<(), SessionError> {
        let path = self.root.join(REFS);
        let io = |source| SessionError::Io {
            path: path.clone(),
            source,
        };
        let mut text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read.map_err(io)?,
        };
        for change in changes {
            text = refs::set(&text, &change.place, change.index, &change.new.keys())?;
        }
        replace_file(&path, &text).map_err(io)
    }

    /// Makes sure that the project now says what was found: another file, or a condition, may have
    /// the last word.
    fn check_written(&self, targets: &[String], changes: &[Change]) -> Result<(), SessionError> {
        let loaded = self.load_anew(targets)?;
        for change in changes {
            let source = loaded.graph.find(&change.element);
            let source = source.and_then(|id| loaded.graph[id].sources.get(change.index));
            if source.and_then(NewRef::current).as_ref() != Some(&change.new) {
                return Err(SessionError::RefElsewhere(change.at.to_string()));
            }
        }
        Ok(())
    }
}

/// Tracking as far as the files on disk allow.
struct Round<'a> {
    session: &'a Session,
    loaded: &'a Loaded,
    watcher: &'a dyn Watcher,
    done: Mutex<HashMap<Arc<str>, usize>>,
    changes: Mutex<Vec<Change>>,
    failed: Mutex<usize>,
}

impl Round<'_> {
    /// Tracks the sources of an element, up to one that needs those before it as they will be.
    fn track(&self, id: ElementId) -> bool {
        let element = &self.loaded.graph[id];
        let name = &element.full_name;
        let lock = || self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = lock().get(name).copied().unwrap_or(0);
        let mut changed = false;
        for (index, source) in element.sources.iter().enumerate().skip(begin) {
            if source.tracks_previous() && changed {
                break;
            }
            match self.newest(id, index, source) {
                Ok(None) => {}
                Ok(Some(new)) => {
                    changed = true;
                    self.note(element, index, source, new);
                }
                Err(error) => {
                    lock().insert(name.clone(), element.sources.len());
                    *self.failed.lock().unwrap_or_else(PoisonError::into_inner) += 1;
                    self.watcher.notice(&Notice::Failed {
                        element: name,
                        error: &error.to_string(),
                        log: None,
                    });
                    return false;
                }
            }
            lock().insert(name.clone(), index + 1);
        }
        true
    }

    /// The new `ref` of a source, if it is another than it has.
    fn newest(
        &self,
        id: ElementId,
        index: usize,
        source: &Source,
    ) -> Result<Option<NewRef>, SessionError> {
        let sources = &self.session.sources;
        let previous = match source.tracks_previous() {
            true => {
                let element = &self.loaded.graph[id];
                Some(sources.stage_first(element, id, &self.loaded.keys, index)?)
            }
            false => None,
        };
        let new = sources.track(source, previous)?;
        Ok(new.filter(|new| NewRef::current(source).as_ref() != Some(new)))
    }

    fn note(&self, element: &Element, index: usize, source: &Source, new: NewRef) {
        self.watcher.notice(&Notice::Tracked {
            element: &element.full_name,
            source: source.kind.name(),
            reference: &new.to_string(),
        });
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        changes.push(Change {
            element: element.full_name.clone(),
            place: (element.project.clone(), element.name.clone()),
            index,
            at: source.at.clone(),
            new,
        });
    }
}

fn into_inner<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Replaces a file in one step, with the mode that it had.
fn replace_file(path: &Path, text: &str) -> io::Result<()> {
    // A link stays one: what it leads to is replaced.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().unwrap_or(Path::new("."));
    let file = tempfile::Builder::new()
        .prefix(".headstart-")
        .tempfile_in(folder)?;
    fs::write(file.path(), text)?;
    let permissions = match fs::metadata(&path) {
        Ok(metadata) => metadata.permissions(),
        Err(_) => Permissions::from_mode(0o644),
    };
    fs::set_permissions(file.path(), permissions)?;
    file.persist(&path)?;
    Ok(())
}
