//! The scheduler of a build: which element is looked up, fetched and built when.
//!
//! A state machine without IO, clock or threads: [`Pipeline::handle`] takes what happened and says
//! what to do next. The session does it and reports back; a simulator can do the same in virtual
//! time. Each element goes through *look up → fetch → build*; what is cached is only looked up, and
//! what nobody needs is not touched. Speculation hangs on the same events, beside the build and
//! never in its way, so that nothing here waits for it.
//!
//! Cost: each dependency edge is looked at a constant number of times. The run closures that a
//! sandbox holds are counted along the edges, never written out.

mod graph;
mod pipeline;

pub use graph::Graph;
pub use pipeline::{Decision, Effect, Event, Found, Limits, OnError, Pipeline, Progress, State};
