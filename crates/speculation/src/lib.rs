//! Speculation: recorded actions are adapted to today's inputs and executed ahead of need.
//!
//! Pure and synchronous: no clock, no file, no socket. Trees and messages are read and written
//! through [`Storage`]; time is passed in; everything else comes as values.
//!
//! - [`generate`] looks at what an element's build asked for, and finds where each input came from.
//! - [`SpeculativeActions`] is what is stored of that.
//! - [`Primer`] is told by [`Event`]s what becomes known of the next build, and answers with
//!   [`Effect`]s: what to look up, what to execute. It keeps an [`Account`] for each element.
//!
//! Invariants: an action with an input that is not known yet is never executed, and neither is one
//! that depends on an input that is gone; the same action is never executed twice; whatever goes
//! wrong here, the build itself goes on as if there were no speculation.

mod account;
mod codec;
mod event;
mod explain;
mod generate;
mod includes;
mod inspect;
mod message;
mod mode;
mod note;
mod odds;
mod origin;
mod outputs;
mod primer;
mod prototype;
mod storage;
mod table;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use account::Account;
pub use event::{Effect, Event, Unavailable};
pub use explain::{Calls, Difference, Explainer, Explanation, Input, InputDifference, Today};
pub use generate::{Dependency, Generated, Generation, Staged, generate, generate_again};
pub use message::{BaseAction, NamedTree, SpeculativeActions};
pub use mode::{Mode, UnknownMode};
pub use note::{Note, NoteKind};
pub use odds::{Odds, kind_of};
pub use origin::{ElementId, Origin, Overlay};
pub use primer::{Config, Limits, Primer};
pub use storage::{SpeculationError, Storage};
