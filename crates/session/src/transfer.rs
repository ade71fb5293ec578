//! Many artifacts or sources from and to servers, apart from building anything.

use std::sync::atomic::{AtomicUsize, Ordering};

use headstart_project::ElementId;

use crate::build::{Notice, Watcher};
use crate::error::SessionError;
use crate::push::Pushed;
use crate::remotes::Purpose;
use crate::session::{Loaded, Session};

/// What came of a transfer: numbers of elements.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TransferReport {
    /// Transferred.
    pub done: usize,
    /// Already where they were to go.
    pub already: usize,
    /// Nowhere to be had.
    pub absent: usize,
    /// Of projects for which there is no server.
    pub without_server: usize,
    /// Failed; the watcher was told.
    pub failed: usize,
}

impl std::ops::AddAssign for TransferReport {
    fn add_assign(&mut self, other: Self) {
        self.done += other.done;
        self.already += other.already;
        self.absent += other.absent;
        self.without_server += other.without_server;
        self.failed += other.failed;
    }
}

#[derive(Default)]
struct Counts {
    done: AtomicUsize,
    already: AtomicUsize,
    absent: AtomicUsize,
    without_server: AtomicUsize,
    failed: AtomicUsize,
}

impl Counts {
    fn report(self) -> TransferReport {
        TransferReport {
            done: self.done.into_inner(),
            already: self.already.into_inner(),
            absent: self.absent.into_inner(),
            without_server: self.without_server.into_inner(),
            failed: self.failed.into_inner(),
        }
    }
}

fn count(number: &AtomicUsize) {
    number.fetch_add(1, Ordering::Relaxed);
}

impl Session {
    /// Pulls the artifacts of elements that are not here, with what is known of their subactions.
    pub fn pull_artifacts(
        &self,
        loaded: &Loaded,
        elements: &[ElementId],
        watcher: &dyn Watcher,
    ) -> Result<TransferReport, SessionError> {
        let counts = Counts::default();
        self.each(elements, |id| {
            let element = &loaded.graph[id];
            let name = &*element.full_name;
            let pull = || {
                let group = self.servers(Purpose::Artifacts, element.project_id)?;
                if !group.can_pull() {
                    count(&counts.without_server);
                    return Ok(());
                }
                match self.find_or_pull(loaded, id)? {
                    (Some(_), true) => {
                        self.pull_records(loaded, id);
                        watcher.notice(&Notice::Pulled(name));
                        count(&counts.done);
                    }
                    (Some(_), false) => count(&counts.already),
                    (None, _) => count(&counts.absent),
                }
                Ok::<_, SessionError>(())
            };
            self.noted(name, pull(), &counts, watcher)
        })?;
        Ok(counts.report())
    }

    /// Pushes the artifacts of elements, which must be here.
    pub fn push_artifacts(
        &self,
        loaded: &Loaded,
        elements: &[ElementId],
        watcher: &dyn Watcher,
    ) -> Result<TransferReport, SessionError> {
        self.pull_missing(loaded, elements)?;
        let push = |id| self.push_artifact(loaded, id);
        self.push_each(loaded, elements, watcher, push)
    }

    /// Pushes the sources of elements, which are fetched if they are not here.
    pub fn push_all_sources(
        &self,
        loaded: &Loaded,
        elements: &[ElementId],
        watcher: &dyn Watcher,
    ) -> Result<TransferReport, SessionError> {
        self.push_each(loaded, elements, watcher, |id| {
            if !loaded.graph[id].sources.is_empty() {
                self.obtain_sources(loaded, id)?;
            }
            self.push_sources(loaded, id)
        })
    }

    fn push_each(
        &self,
        loaded: &Loaded,
        elements: &[ElementId],
        watcher: &dyn Watcher,
        push: impl Fn(ElementId) -> Result<Pushed, SessionError> + Sync,
    ) -> Result<TransferReport, SessionError> {
        let counts = Counts::default();
        self.each(elements, |id| {
            let name = &*loaded.graph[id].full_name;
            let pushed = push(id).map(|pushed| match pushed {
                Pushed::Now => {
                    watcher.notice(&Notice::Pushed(name));
                    count(&counts.done);
                }
                Pushed::Already => count(&counts.already),
                Pushed::Nowhere => count(&counts.without_server),
                Pushed::Never => count(&counts.absent),
                Pushed::Incomplete => {
                    tracing::warn!(
                        "{name} is not pushed: what its build has left is not here; with \
                         --pull-buildtrees it is brought here first"
                    );
                    count(&counts.absent);
                }
            });
            self.noted(name, pushed, &counts, watcher)
        })?;
        Ok(counts.report())
    }

    /// Tells the watcher of a failure. Says whether there was none.
    fn noted(
        &self,
        element: &str,
        result: Result<(), SessionError>,
        counts: &Counts,
        watcher: &dyn Watcher,
    ) -> bool {
        let Err(error) = result else {
            return true;
        };
        count(&counts.failed);
        let error = error.to_string();
        watcher.notice(&Notice::Failed {
            element,
            error: &error,
            log: None,
        });
        false
    }
}
