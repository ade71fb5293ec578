//! Fetching sources, apart from building anything.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use headstart_pipeline::OnError;
use headstart_project::ElementId;

use crate::build::{Notice, Watcher};
use crate::error::SessionError;
use crate::session::{Loaded, Session};

impl Session {
    /// Fetches and stages the sources of elements, as many at a time as the configuration says.
    /// Gives the number of those that failed, of which `watcher` has been told.
    pub fn fetch_sources(
        &self,
        loaded: &Loaded,
        elements: &[ElementId],
        watcher: &dyn Watcher,
    ) -> Result<usize, SessionError> {
        let failed = AtomicUsize::new(0);
        self.each(elements, |id| {
            let element = &loaded.graph[id];
            if element.sources.is_empty() {
                return true;
            }
            let name = &*element.full_name;
            watcher.notice(&Notice::Fetching(name));
            match self.obtain_sources(loaded, id) {
                Ok(_) => {
                    watcher.notice(&Notice::Fetched(name));
                    true
                }
                Err(error) => {
                    failed.fetch_add(1, Ordering::Relaxed);
                    let error = error.to_string();
                    watcher.notice(&Notice::Failed {
                        element: name,
                        error: &error,
                        log: None,
                    });
                    false
                }
            }
        })?;
        Ok(failed.into_inner())
    }

    /// Does something for each of the elements, `fetchers` at a time. If it says that it failed, no
    /// others are begun, unless the configuration says that failures don't matter.
    pub(crate) fn each(
        &self,
        elements: &[ElementId],
        task: impl Fn(ElementId) -> bool + Sync,
    ) -> Result<(), SessionError> {
        let stop = AtomicBool::new(false);
        let next = Mutex::new(elements.iter());
        let work = || {
            while !stop.load(Ordering::Relaxed) {
                let taken = next.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some(id) = taken else {
                    return;
                };
                if !task(*id) && self.config.on_error != OnError::Continue {
                    stop.store(true, Ordering::Relaxed);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..self.config.fetchers.clamp(1, elements.len().max(1)) {
                let spawned = std::thread::Builder::new().spawn_scoped(scope, work);
                spawned.map_err(|source| SessionError::Io {
                    path: "a thread".into(),
                    source,
                })?;
            }
            Ok(())
        })
    }
}
