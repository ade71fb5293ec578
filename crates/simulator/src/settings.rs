//! How a session is set up.

use std::time::Duration;

use headstart_pipeline::OnError;
use headstart_speculation::{Limits, Mode};

/// How much there is of everything, and how long what is no action takes.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How much is speculated.
    pub mode: Mode,
    /// How many actions the executor runs at a time.
    pub slots: usize,
    /// How many elements are built at a time.
    pub builders: usize,
    /// How many steps of an element's build are under way at a time: `make -j`.
    pub jobs: usize,
    /// How long an element's build takes before its first step.
    pub configure: Duration,
    /// How long it takes after its last one.
    pub install: Duration,
    /// How many steps of work the primer does before it says what to do.
    pub slice: usize,
    /// What all that is left to chance follows from.
    pub seed: u64,
    /// What goes wrong.
    pub disorder: Disorder,
}

/// What goes wrong. By default nothing does.
#[derive(Debug, Clone)]
pub struct Disorder {
    /// How much later the primer may be told of what has happened, each event by itself; only what one
    /// real build has to tell stays in order.
    pub delay: Duration,
    /// One of so many executions ahead of need comes to nothing, unless the real build waits for it;
    /// none if 0.
    pub losses: u64,
    /// What the primer may spend, on all and on each element.
    pub limits: Option<(Limits, Limits)>,
    /// From when to when the primer may have nothing in flight.
    pub pause: Option<(Duration, Duration)>,
    /// The element whose real build never begins, by place.
    pub held: Option<usize>,
    /// After so many happenings a real build fails: the one at this place of those that run, counted
    /// in a circle.
    pub failure: Option<(u64, usize)>,
    /// After so many happenings the user ends the session.
    pub interruption: Option<u64>,
    /// What the failure of an element means for others.
    pub on_error: OnError,
}

impl Default for Disorder {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            losses: 0,
            limits: None,
            pause: None,
            held: None,
            failure: None,
            interruption: None,
            on_error: OnError::Continue,
        }
    }
}
