//! Work in slices, so that what is known already need not wait for the rest.

use std::ops::ControlFlow;
use std::time::Duration;

use headstart_merkle::{ActionDigest, TreeError};

use super::knowledge::ElementNo;
use crate::storage::SpeculationError;

/// How long a slice is. It ends after the Directory, file of directives, or recorded action that was
/// looked at last: each takes some ten microseconds, if storage is local.
const SLICE: Duration = Duration::from_millis(1);

/// Tells the time, since any fixed time.
pub(crate) type Clock = Box<dyn FnMut() -> Duration + Send>;

/// Why work stops before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The slice is over. What was done is kept.
    Over,
    /// What this recorded action of an element is today has to be found out first.
    First(ElementNo, ActionDigest),
}

/// Slices by the host's clock; without one all is done at once.
#[derive(Default)]
pub(crate) struct Slices {
    clock: Option<Clock>,
    until: Duration,
}

impl Slices {
    pub(crate) fn by(clock: Clock) -> Self {
        Self {
            clock: Some(clock),
            until: Duration::ZERO,
        }
    }

    pub(crate) fn are_wanted(&self) -> bool {
        self.clock.is_some()
    }

    pub(crate) fn begin(&mut self) {
        if let Some(clock) = &mut self.clock {
            self.until = clock() + SLICE;
        }
    }

    /// A little work was done.
    pub(crate) fn spend(&mut self) -> ControlFlow<Stop> {
        let now = self.clock.as_mut().map(|clock| clock());
        match now.is_some_and(|now| now >= self.until) {
            true => ControlFlow::Break(Stop::Over),
            false => ControlFlow::Continue(()),
        }
    }
}

/// Why looking at an action comes to no end.
pub(super) enum Halt {
    /// The slice is over. What was read is known when it is tried again.
    Over,
    Failed(SpeculationError),
}

impl From<SpeculationError> for Halt {
    fn from(error: SpeculationError) -> Self {
        Self::Failed(error)
    }
}

impl From<TreeError> for Halt {
    fn from(error: TreeError) -> Self {
        Self::Failed(error.into())
    }
}
