//! How long a server waits for its clients, and how many of them it takes.
//!
//! Those elsewhere may be gone without a word, or mean no good: a connection that asks for nothing and a
//! request that gets no further are ended. Processes on the machine are known to be there as long as
//! their sockets are, and may have been stopped by somebody who goes on tomorrow; so they have all the
//! time they want.
//!
//! A connection is watched from below, where its bytes come ([`Watched`]), and its requests are counted
//! from above ([`Attentive`]); [`Presence`] is what both know of it.

mod connection;
mod requests;

use std::future::Future as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

pub(crate) use connection::watched;
pub(crate) use requests::Attention;

/// How long a server waits for its clients, and how many of them it takes. Without a time it waits for
/// ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How long a new connection may take to ask for something.
    pub greeting: Option<Duration>,
    /// How long a connection may ask for nothing while it waits for nothing.
    pub idle: Option<Duration>,
    /// How long the next part of a request may take to come, and a part of an answer to be taken.
    pub stall: Option<Duration>,
    /// After how long a silent client is asked whether it is still there.
    pub silence: Option<Duration>,
    /// How many connections there are at a time; more have to wait.
    pub connections: usize,
}

impl Patience {
    /// With processes on the machine.
    pub const fn with_neighbours() -> Self {
        Self {
            greeting: None,
            idle: None,
            stall: None,
            silence: None,
            connections: 4096,
        }
    }

    /// With those in a sandbox, who are on the machine but may be anything.
    pub const fn with_guests() -> Self {
        Self {
            stall: Some(Duration::from_secs(600)),
            connections: 1024,
            ..Self::with_neighbours()
        }
    }

    /// With clients elsewhere.
    pub const fn with_strangers() -> Self {
        Self {
            greeting: Some(Duration::from_secs(60)),
            idle: Some(Duration::from_secs(3600)),
            stall: Some(Duration::from_secs(120)),
            silence: Some(Duration::from_secs(60)),
            connections: 1024,
        }
    }
}

/// Tells whether a time has passed that may be put off meanwhile. It is only set anew when it goes off: it
/// is asked by the thousands.
struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// One for a time, or for none.
    fn at(end: Option<Instant>) -> Self {
        Self(end.map(|end| Box::pin(sleep_until(end))))
    }

    /// Whether the time has passed, which by now is `end`; whoever asks is woken when it has.
    fn is_over(&mut self, end: impl Fn() -> Option<Instant>, context: &mut Context<'_>) -> bool {
        let Some(sleep) = &mut self.0 else {
            return false;
        };
        while sleep.as_mut().poll(context).is_ready() {
            match end() {
                Some(end) if end <= Instant::now() => return true,
                Some(end) => sleep.as_mut().reset(end),
                None => {
                    self.0 = None;
                    return false;
                }
            }
        }
        false
    }
}

/// Whether a connection is used.
#[derive(Debug)]
pub(crate) struct Presence {
    patience: Patience,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// How many requests are under way.
    requests: usize,
    /// Whether there ever was one.
    greeted: bool,
    /// Since when there has been none.
    since: Instant,
}

impl Presence {
    fn new(patience: Patience) -> Self {
        let state = State {
            requests: 0,
            greeted: false,
            since: Instant::now(),
        };
        Self {
            patience,
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the connection is to be looked at next, if nothing happens: it is to be ended if that has
    /// passed.
    fn end(&self) -> Option<Instant> {
        let state = self.state();
        match (state.requests, state.greeted) {
            (0, false) => Some(state.since + self.patience.greeting.or(self.patience.idle)?),
            (0, true) => Some(state.since + self.patience.idle?),
            _ => Some(Instant::now() + self.patience.idle?),
        }
    }
}

/// A request that is under way until this is dropped.
pub(crate) struct Underway(Arc<Presence>);

impl Underway {
    fn new(presence: Arc<Presence>) -> Self {
        let mut state = presence.state();
        state.requests += 1;
        state.greeted = true;
        drop(state);
        Self(presence)
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.requests -= 1;
        state.since = Instant::now();
    }
}
