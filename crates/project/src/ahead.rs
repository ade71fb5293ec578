//! Element files that are read and parsed before the loader asks for them.
//!
//! The loader looks at one element after another, in an order that decides which errors are told.
//! Beside it further threads parse the files that it is going to need, as far as what has been parsed
//! names them. What they find, errors too, counts only when the loader asks for the file; until then
//! it's only kept. So the result is that of loading alone, whatever the threads do.
//!
//! They go through the files in about the loader's order, just before it: so there is something for all to do
//! until the end. When a file is not ready yet, the loader parses others as they do.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::num::NonZero;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::dependency::ElementFile;
use crate::files::{FileError, Files};
use crate::in_order::lock;

/// Threads at most, with the loader's own: more have nothing to do.
const MAX_THREADS: usize = 8;

/// What comes of reading a file: it can't be read, it isn't YAML, or its content.
pub(crate) type Parsed = Result<Result<ElementFile, headstart_yaml::Error>, FileError>;

/// The processors that are there beside the one that the caller runs on.
pub(crate) fn spare_processors() -> usize {
    let all = thread::available_parallelism().map_or(1, NonZero::get);
    all.min(MAX_THREADS) - 1
}

/// Files that are being parsed, or have been: for one time that elements are loaded.
#[derive(Default)]
pub(crate) struct Ahead {
    state: Mutex<State>,
    /// There is something to parse, or nothing will be any more.
    work: Condvar,
    /// A file has been parsed.
    parsed: Condvar,
}

#[derive(Default)]
struct State {
    /// Whether there are threads for it.
    serves: bool,
    ended: bool,
    files: HashMap<String, File>,
    /// What is to be parsed, the last first, as the loader goes down before it goes on.
    todo: Vec<Wanted>,
    /// Threads that have nothing to do. Waking is not free where nobody sleeps.
    idle: usize,
    /// Whether the loader waits for a file.
    is_awaited: bool,
}

impl State {
    /// Takes the next file to parse, which is busy from now on.
    fn take(&mut self) -> Option<Wanted> {
        while let Some(wanted) = self.todo.pop() {
            if let Some(file @ File::Wanted) = self.files.get_mut(&wanted.file) {
                *file = File::Busy;
                return Some(wanted);
            }
        }
        None
    }
}

enum File {
    Wanted,
    Busy,
    Done(Box<Parsed>),
    /// By the loader, which asks for each file once.
    Taken,
}

/// An element file, with where its project has its elements.
struct Wanted {
    file: String,
    elements: String,
}

/// Ends the threads' work when the loader ends, however it does.
struct End<'a>(&'a Ahead);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.work.notify_all();
    }
}

/// A file that a thread parses. If it panics, the loader doesn't wait for it.
struct Busy<'a> {
    ahead: &'a Ahead,
    file: String,
    parsed: Option<Parsed>,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let file = std::mem::take(&mut self.file);
        let parsed = self.parsed.take().map(Box::new);
        let mut state = self.ahead.lock();
        let parsed = parsed.map_or(File::Taken, File::Done);
        state.files.insert(file, parsed);
        if state.is_awaited {
            self.ahead.parsed.notify_one();
        }
    }
}

impl Ahead {
    /// Does the loader's work, while what [`Self::parse`] is about to be asked for is parsed by other
    /// threads.
    pub(crate) fn beside<T>(&self, files: &dyn Files, load: impl FnOnce() -> T) -> T {
        let threads = spare_processors();
        self.lock().serves = threads > 0;
        thread::scope(|scope| {
            let _end = End(self);
            for _ in 0..threads {
                scope.spawn(|| self.work(files));
            }
            load()
        })
    }

    /// The content of the element `name` of a project that has its elements in a directory.
    pub(crate) fn parse(&self, files: &dyn Files, elements: &str, name: &str) -> Parsed {
        let file = below(elements, name);
        let mut state = self.lock();
        if !state.serves || state.ended {
            drop(state);
            return read(files, &file);
        }
        while let Some(File::Busy) = state.files.get(&file) {
            state = self.parse_next(files, state, |mut state| {
                state.is_awaited = true;
                state = wait(&self.parsed, state);
                state.is_awaited = false;
                state
            });
        }
        if let Some(File::Done(parsed)) = state.files.insert(file.clone(), File::Taken) {
            return *parsed;
        }
        drop(state);
        let parsed = read(files, &file);
        self.want(elements, &parsed);
        parsed
    }

    /// Notes what a file names.
    fn want(&self, elements: &str, parsed: &Parsed) {
        let Ok(Ok(element)) = parsed else { return };
        let names = element.names();
        if names.is_empty() {
            return;
        }
        let mut state = self.lock();
        let State {
            files, todo, idle, ..
        } = &mut *state;
        for name in names.into_iter().rev() {
            if let Entry::Vacant(entry) = files.entry(below(elements, &name)) {
                todo.push(Wanted {
                    file: entry.key().clone(),
                    elements: elements.to_owned(),
                });
                entry.insert(File::Wanted);
            }
        }
        if *idle > 0 && !todo.is_empty() {
            self.work.notify_all();
        }
    }

    fn work(&self, files: &dyn Files) {
        let mut state = self.lock();
        while !state.ended {
            state = self.parse_next(files, state, |mut state| {
                state.idle += 1;
                state = wait(&self.work, state);
                state.idle -= 1;
                state
            });
        }
    }

    /// Parses the next file that somebody will want, or waits if there is none.
    fn parse_next<'a>(
        &'a self,
        files: &dyn Files,
        mut state: MutexGuard<'a, State>,
        wait: impl FnOnce(MutexGuard<'a, State>) -> MutexGuard<'a, State>,
    ) -> MutexGuard<'a, State> {
        let Some(Wanted { file, elements }) = state.take() else {
            return wait(state);
        };
        drop(state);
        let mut busy = Busy {
            ahead: self,
            file,
            parsed: None,
        };
        let parsed = read(files, &busy.file);
        self.want(&elements, &parsed);
        busy.parsed = Some(parsed);
        drop(busy);
        self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn wait<'a>(condition: &Condvar, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
    let waited = condition.wait(state);
    waited.unwrap_or_else(PoisonError::into_inner)
}

/// The path of a file below a directory, which may be the top one.
fn below(directory: &str, name: &str) -> String {
    match directory {
        "" => name.to_owned(),
        directory => format!("{directory}/{name}"),
    }
}

fn read(files: &dyn Files, file: &str) -> Parsed {
    let parsed = headstart_yaml::parse(file, &files.read(file)?);
    Ok(parsed.map(ElementFile::new))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::MemoryFiles;

    #[test]
    fn what_is_parsed_ahead_is_what_is_parsed_when_it_is_asked_for() {
        let mut files = MemoryFiles::default();
        let depends = |names: &[String]| format!("kind: stack\ndepends: [{}]\n", names.join(", "));
        let names: Vec<String> = (0..300).map(|index| format!("e{index}.bst")).collect();
        files.insert("elements/all.bst", depends(&names));
        for (index, name) in names.iter().enumerate() {
            let content = match index % 50 {
                // Not YAML; not there; of itself and of another.
                7 => "kind: [".to_owned(),
                8 => continue,
                _ => depends(&[name.clone(), names[index / 2].clone()]),
            };
            files.insert(format!("elements/{name}"), content);
        }
        let alone = Ahead::default();
        let ahead = Ahead::default();
        ahead.beside(&files, || {
            for name in ["all.bst".to_owned()].iter().chain(&names) {
                let parsed = ahead.parse(&files, "elements", name);
                let same = alone.parse(&files, "elements", name);
                assert_eq!(format!("{parsed:?}"), format!("{same:?}"), "{name}");
            }
        });
    }

    #[test]
    fn it_ends_with_the_loader_whatever_is_still_to_be_parsed() {
        let mut files = MemoryFiles::default();
        files.insert("a.bst", "depends: [b.bst, c.bst, d.bst]");
        let ahead = Ahead::default();
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            ahead.beside(&files, || {
                let parsed = ahead.parse(&files, "", "a.bst");
                let dependencies = parsed.unwrap().unwrap().dependencies.unwrap();
                assert_eq!(dependencies.unwrap().len(), 4, "one less, for a panic");
            });
        }));
        assert!(caught.is_err());
    }
}
