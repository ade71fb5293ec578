//! Other machines, which execute what they can. What they can't is executed here.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use headstart_execution::{
    ActionSpec, CancellationToken, Elsewhere, ExecutionError, Outcome, Priority,
};
use headstart_merkle::ActionDigest;
use headstart_store::StoredResult;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Other machines, as an executor here sees them.
pub(crate) struct Farm {
    machines: Arc<dyn Elsewhere>,
    /// How many of what they can't execute are executed here at a time.
    here: Semaphore,
    complained: AtomicBool,
    /// Actions that were executed here, and that nobody has asked for yet.
    made_here: Mutex<MadeHere>,
}

/// The last actions that were executed here and that nobody has asked for yet. Many are never asked for, so that
/// older ones are forgotten.
#[derive(Default)]
struct MadeHere {
    new: HashSet<ActionDigest>,
    old: HashSet<ActionDigest>,
}

/// So many are remembered at least, and twice as many at most.
const REMEMBERED: usize = 1 << 16;

impl MadeHere {
    fn insert(&mut self, action: ActionDigest) {
        if self.new.len() == REMEMBERED {
            self.old = std::mem::take(&mut self.new);
        }
        self.new.insert(action);
    }

    /// Takes one out; whether it was remembered.
    fn remove(&mut self, action: ActionDigest) -> bool {
        let in_old = self.old.remove(&action);
        self.new.remove(&action) || in_old
    }
}

/// Where an action is executed.
pub(crate) enum Where<'a> {
    /// On other machines, where it has ended.
    There(Box<Outcome>),
    /// Here, as long as the permit is kept if there is one.
    Here(Option<SemaphorePermit<'a>>),
}

impl Farm {
    pub(crate) fn new(machines: Arc<dyn Elsewhere>, here: usize) -> Self {
        Self {
            machines,
            here: Semaphore::new(here.max(1)),
            complained: AtomicBool::new(false),
            made_here: Mutex::default(),
        }
    }

    /// A result of the action that is known there.
    pub(crate) async fn look_up(
        &self,
        action: ActionDigest,
        priority: Priority,
    ) -> Result<Option<Outcome>, ExecutionError> {
        match self.machines.look_up(action, priority).await {
            Err(ExecutionError::Service(error)) => {
                self.complain(&error);
                Ok(None)
            }
            found => found,
        }
    }

    /// Remembers the result of an action there too.
    pub(crate) async fn keep(&self, action: ActionDigest, result: &StoredResult) {
        if let Err(error) = self.machines.keep(action, result).await {
            self.complain(&error.to_string());
        }
    }

    /// Notes that an action was executed here, with a result that is worth remembering.
    pub(crate) fn note_made_here(&self, action: ActionDigest) {
        self.made_here().insert(action);
    }

    /// Remembers a result there too that was made here, when it is first asked for.
    pub(crate) async fn share(
        &self,
        action: ActionDigest,
        result: &StoredResult,
        priority: Priority,
    ) {
        if !priority.is_speculative() && self.made_here().remove(action) {
            self.keep(action, result).await;
        }
    }

    fn made_here(&self) -> MutexGuard<'_, MadeHere> {
        self.made_here
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Has an action executed there, unless it has to be executed here. Where nothing ever is executed
    /// there, this machine's own queue says what is executed when.
    pub(crate) async fn run(
        &self,
        spec: &ActionSpec,
        priority: Priority,
        skip_cache_lookup: bool,
        cancel: &CancellationToken,
    ) -> Result<Where<'_>, ExecutionError> {
        if !self.machines.executes() {
            return Ok(Where::Here(None));
        }
        let ran = self.machines.run(spec, priority, skip_cache_lookup, cancel);
        match ran.await {
            Ok(outcome) => Ok(Where::There(outcome.into())),
            Err(ExecutionError::Service(error)) => {
                self.complain(&error);
                if priority.is_speculative() {
                    // Few run here, and none of them may be one that nobody asked for: who has joined it
                    // meanwhile begins anew.
                    return Err(ExecutionError::Cancelled);
                }
                tokio::select! {
                    permit = self.here.acquire() => Ok(Where::Here(permit.ok())),
                    () = cancel.cancelled() => Err(ExecutionError::Cancelled),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Has an element's own command run there, unless its result is known there; `None` if that can't be. It is
    /// none of those of which only a few run here.
    pub(crate) async fn run_parent(
        &self,
        spec: &ActionSpec,
        cancel: &CancellationToken,
    ) -> Result<Option<Outcome>, ExecutionError> {
        if let Some(known) = self.look_up(spec.digest, Priority::REAL).await? {
            return Ok(Some(known));
        }
        if !self.machines.executes() {
            return Ok(None);
        }
        match self.machines.run(spec, Priority::REAL, false, cancel).await {
            Ok(outcome) => Ok(Some(outcome)),
            Err(ExecutionError::Service(error)) => {
                self.complain(&error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Says that the farm is of no use at the moment; once.
    fn complain(&self, error: &str) {
        if !self.complained.swap(true, Ordering::Relaxed) {
            tracing::warn!("{error}; what it can't execute is executed here");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_asks_for_is_forgotten_some_time() {
        let action = |number: usize| ActionDigest::of(&number.to_le_bytes());
        let mut made = MadeHere::default();
        for number in 0..3 * REMEMBERED {
            made.insert(action(number));
            assert!(made.new.len() + made.old.len() <= 2 * REMEMBERED);
        }
        assert!(!made.remove(action(0)));
        // It counts once.
        for number in [2 * REMEMBERED, 3 * REMEMBERED - 1] {
            assert!(made.remove(action(number)));
            assert!(!made.remove(action(number)));
        }
    }
}
