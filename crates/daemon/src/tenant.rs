//! Whom a server serves: what they may do, and who is told of what they do.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use headstart_execution::{AskedFor, CancellationToken, Priority, Subaction, SubactionRecorder};
use headstart_merkle::ActionDigest;
use headstart_remote::Remote;

use crate::executor::{JobKey, LocalExecutor};
use crate::parents::Parents;

/// Those inside one sandbox, or those outside of all.
#[derive(Clone)]
pub struct Tenant {
    inner: Arc<Inner>,
    /// The folder that paths begin at, for those who are bound to one.
    root: Option<Arc<Path>>,
    /// Who knows names for them, if not this machine.
    names: Option<Remote>,
    /// Where their contents are, if not on this machine alone.
    contents: Option<Remote>,
    /// Who follows their actions, for as long as they are there.
    parents: Option<Arc<dyn Parents>>,
}

struct Inner {
    executor: LocalExecutor,
    recorder: Arc<dyn SubactionRecorder>,
    may_update_cache: bool,
    cancel: CancellationToken,
    standing: Standing,
    asked: AskedFor<ActionDigest>,
}

/// Where a tenant is.
enum Standing {
    /// On the machine, or connected to it: a build tool, which knows what is urgent.
    Outside,
    /// In a sandbox.
    Inside(Option<Host>),
}

/// The job that a sandbox is.
struct Host {
    key: JobKey,
    priority: Priority,
    /// How many requests it waits for.
    waiting: Mutex<usize>,
}

impl Tenant {
    /// Those in the sandbox of an element's own command, which runs beside the slots. When `cancel` is
    /// cancelled, so is what they wait for.
    pub fn new(
        executor: LocalExecutor,
        recorder: Arc<dyn SubactionRecorder>,
        may_update_cache: bool,
        cancel: CancellationToken,
    ) -> Self {
        let standing = Standing::Inside(None);
        Self::with(executor, recorder, may_update_cache, cancel, standing)
    }

    /// Those in the sandbox of a job, which lends its slot while it waits for what they ask for.
    pub(crate) fn of_job(
        executor: LocalExecutor,
        recorder: Arc<dyn SubactionRecorder>,
        (key, priority): (JobKey, Priority),
        cancel: CancellationToken,
    ) -> Self {
        let host = Host {
            key,
            priority,
            waiting: Mutex::new(0),
        };
        let standing = Standing::Inside(Some(host));
        Self::with(executor, recorder, false, cancel, standing)
    }

    /// Build tools: they set priorities, and may write to the action cache if `may_update_cache`.
    pub fn outside(
        executor: LocalExecutor,
        may_update_cache: bool,
        cancel: CancellationToken,
    ) -> Self {
        let recorder = nobody_to_tell();
        let standing = Standing::Outside;
        Self::with(executor, recorder, may_update_cache, cancel, standing)
    }

    fn with(
        executor: LocalExecutor,
        recorder: Arc<dyn SubactionRecorder>,
        may_update_cache: bool,
        cancel: CancellationToken,
        standing: Standing,
    ) -> Self {
        let inner = Arc::new(Inner {
            executor,
            recorder,
            may_update_cache,
            cancel,
            standing,
            asked: AskedFor::default(),
        });
        Self {
            inner,
            root: None,
            names: None,
            contents: None,
            parents: None,
        }
    }

    /// The same, for those who see `root` as the root of the file system.
    pub(crate) fn bound_to(&self, root: PathBuf) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            root: Some(root.into()),
            names: self.names.clone(),
            contents: self.contents.clone(),
            parents: self.parents.clone(),
        }
    }

    /// The same, whose actions that ask for others are followed.
    pub fn followed_by(mut self, parents: Arc<dyn Parents>) -> Self {
        self.inner.executor.followed_by(&parents);
        self.parents = Some(parents);
        self
    }

    /// The same, for whom a server knows what names stand for.
    pub fn with_names_of(mut self, server: Remote) -> Self {
        self.names = Some(server);
        self
    }

    /// The same, whose executor's store has a server behind it.
    pub fn with_contents_of(mut self, server: Remote) -> Self {
        self.contents = Some(server);
        self
    }

    pub(crate) fn contents(&self) -> Option<&Remote> {
        self.contents.as_ref()
    }

    pub(crate) fn names(&self) -> Option<&Remote> {
        self.names.as_ref()
    }

    pub(crate) fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// Who executes their actions.
    pub fn executor(&self) -> &LocalExecutor {
        &self.inner.executor
    }

    pub(crate) fn may_update_cache(&self) -> bool {
        self.inner.may_update_cache
    }

    pub(crate) fn cancel(&self) -> &CancellationToken {
        &self.inner.cancel
    }

    pub(crate) fn is_inside(&self) -> bool {
        matches!(self.inner.standing, Standing::Inside(_))
    }

    /// How soon what they ask for with this priority is run.
    pub(crate) fn priority(&self, asked: i32) -> Priority {
        match &self.inner.standing {
            Standing::Outside => Priority(asked),
            // What a sandbox waits for is real, however humble: speculation is never asked for inside.
            Standing::Inside(None) => Priority(asked.min(0)),
            // What a running job waits for goes before jobs that have not begun, so that there are
            // never many half-done ones; but what nobody waits for stays that.
            Standing::Inside(Some(host)) if host.priority.is_speculative() => host.priority,
            Standing::Inside(Some(host)) => Priority(asked.min(host.priority.0).saturating_sub(1)),
        }
    }

    /// Notes that a request is waited for, until the guard is dropped.
    pub(crate) fn wait(&self) -> Waiting {
        self.count_waiting(|count| {
            *count += 1;
            (*count == 1).then_some(Lending::Begins)
        });
        Waiting(self.clone())
    }

    fn count_waiting(&self, change: impl FnOnce(&mut usize) -> Option<Lending>) {
        let Standing::Inside(Some(host)) = &self.inner.standing else {
            return;
        };
        // Held until the executor knows, so that it is told in order.
        let mut count = host.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match change(&mut count) {
            Some(Lending::Begins) => self.inner.executor.lend_slot(host.key),
            Some(Lending::Ends) => self.inner.executor.reclaim_slot(host.key),
            None => {}
        }
    }

    /// Notes a subaction that has been answered.
    pub(crate) fn answered(&self, subaction: Subaction) {
        if self.is_inside() {
            self.inner
                .asked
                .answered(subaction.action, subaction.action);
        }
        self.inner.recorder.answered(subaction);
    }

    /// Notes that there was no result for an action.
    pub(crate) fn missed(&self, action: ActionDigest) {
        if self.is_inside() {
            self.inner.asked.missed(action);
        }
        self.inner.recorder.missed(action);
    }

    /// The subactions answered so far, in the order in which they were asked for.
    pub fn take_asked(&self) -> Vec<ActionDigest> {
        self.inner.asked.take()
    }
}

enum Lending {
    Begins,
    Ends,
}

/// Says that a request is waited for.
pub(crate) struct Waiting(Tenant);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.count_waiting(|count| {
            *count -= 1;
            (*count == 0).then_some(Lending::Ends)
        });
    }
}

/// A recorder for those whose subactions nobody records.
pub fn nobody_to_tell() -> Arc<dyn SubactionRecorder> {
    Arc::new(NobodyToTell)
}

struct NobodyToTell;

impl SubactionRecorder for NobodyToTell {
    fn answered(&self, _: Subaction) {}
}
