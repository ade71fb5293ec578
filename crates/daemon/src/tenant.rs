//! Whom an endpoint serves: what it may do, and who is told of what it does.

use std::sync::{Arc, Mutex, PoisonError};

use headstart_execution::{CancellationToken, Subaction, SubactionRecorder};
use headstart_merkle::ActionDigest;

use crate::executor::LocalExecutor;

/// Those inside one sandbox.
#[derive(Clone)]
pub struct Tenant(Arc<Inner>);

struct Inner {
    executor: LocalExecutor,
    recorder: Arc<dyn SubactionRecorder>,
    may_update_cache: bool,
    cancel: CancellationToken,
    asked: Mutex<Vec<ActionDigest>>,
}

impl Tenant {
    /// A tenant whose actions `executor` runs. When `cancel` is cancelled, so is what it waits for.
    pub fn new(
        executor: LocalExecutor,
        recorder: Arc<dyn SubactionRecorder>,
        may_update_cache: bool,
        cancel: CancellationToken,
    ) -> Self {
        let asked = Mutex::default();
        Self(Arc::new(Inner {
            executor,
            recorder,
            may_update_cache,
            cancel,
            asked,
        }))
    }

    pub(crate) fn executor(&self) -> &LocalExecutor {
        &self.0.executor
    }

    pub(crate) fn may_update_cache(&self) -> bool {
        self.0.may_update_cache
    }

    pub(crate) fn cancel(&self) -> &CancellationToken {
        &self.0.cancel
    }

    /// Notes a subaction that has been answered.
    pub(crate) fn answered(&self, subaction: Subaction) {
        self.0
            .asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(subaction.action);
        self.0.recorder.answered(subaction);
    }

    /// Notes that there was no result for an action.
    pub(crate) fn missed(&self, action: ActionDigest) {
        self.0.recorder.missed(action);
    }

    /// The subactions answered so far, in order.
    pub(crate) fn take_asked(&self) -> Vec<ActionDigest> {
        std::mem::take(&mut self.0.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A recorder for sandboxes whose subactions nobody records: those of subactions.
pub(crate) struct NobodyToTell;

impl SubactionRecorder for NobodyToTell {
    fn answered(&self, _: Subaction) {}
}
