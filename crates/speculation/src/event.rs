//! What the primer is told, and what it wants done.

use std::sync::Arc;
use std::time::Duration;

use headstart_execution::{Outcome, Subaction};
use headstart_merkle::{ActionDigest, DirectoryDigest};
use headstart_store::StoredResult;

use crate::message::SpeculativeActions;
use crate::note::Note;
use crate::odds::Odds;
use crate::origin::ElementId;
use crate::primer::Limits;

/// Something that happened. The order of events is free: whatever comes first, what is executed in
/// the end is the same.
#[derive(Debug, Clone)]
pub enum Event {
    /// An element is going to be built, and this is what is known of an earlier build of it. May
    /// come several times for an element, the newest message first: of an older one only what the
    /// newer ones do not tell of is used. So what a failed build did not come to is not lost.
    Planned {
        /// The element.
        element: ElementId,
        /// What was found under its weak key, or else under its lineage.
        message: Arc<SpeculativeActions>,
        /// Its place in the order in which elements are going to be built: actions of earlier ones
        /// are executed first.
        turn: u32,
    },
    /// Today's sources of an element are known; for one that is going to be built, or not.
    Sources {
        /// The element.
        element: ElementId,
        /// All its sources as they are staged together.
        tree: DirectoryDigest,
    },
    /// Today's artifact of an element is known: it was cached, or has been built.
    Artifact {
        /// The element.
        element: ElementId,
        /// Its files.
        tree: DirectoryDigest,
    },
    /// The tree that the element's own commands will run in is known.
    Root {
        /// The element.
        element: ElementId,
        /// The tree.
        tree: DirectoryDigest,
    },
    /// Today's tree behind a name is known (`digest-environment`).
    NamedTree {
        /// The element whose commands mention it.
        element: ElementId,
        /// Its name: that of the variable.
        name: Arc<str>,
        /// The tree.
        tree: DirectoryDigest,
    },
    /// Something will not come: the element is not in the graph, or failed.
    Unavailable {
        /// The element.
        element: ElementId,
        /// What will not come.
        what: Unavailable,
    },
    /// A look-up was answered.
    CacheAnswered {
        /// The action.
        action: ActionDigest,
        /// Its result, if there is one.
        result: Option<StoredResult>,
    },
    /// An execution ended.
    Finished {
        /// The action.
        action: ActionDigest,
        /// What came of it, or why there is no result.
        outcome: Result<Outcome, String>,
    },
    /// There is time for what is left to be done: see [`Primer::in_slices`](crate::Primer::in_slices).
    GoOn,
    /// How many actions may be in flight has changed.
    Slots(usize),
    /// How much may be spent on executions has changed. Nothing is limited at first.
    Limits {
        /// By the whole session.
        session: Limits,
        /// For each element.
        element: Limits,
    },
    /// What was learned of an element in earlier sessions. To be told before [`Event::Planned`].
    Learned {
        /// The element.
        element: ElementId,
        /// How often predictions came true.
        odds: Arc<Odds>,
    },
    /// The real build of an element has started.
    ElementStarted {
        /// The element.
        element: ElementId,
    },
    /// The real build of an element has ended, well or not: nobody will ask for its actions.
    ElementBuilt {
        /// The element.
        element: ElementId,
    },
    /// The real build of an element has asked for an action, and there is no result yet. It will
    /// be joined if it is running already, and else be executed by the real build; then
    /// [`Event::Asked`] follows, or else [`Event::ElementBuilt`].
    Wanted {
        /// The element.
        element: ElementId,
        /// The action.
        action: ActionDigest,
    },
    /// The real build of an element has asked for an action and been answered.
    Asked {
        /// The element.
        element: ElementId,
        /// The action, its result, and how it was answered.
        subaction: Subaction,
    },
}

/// What of an element will not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unavailable {
    /// Its sources.
    Sources,
    /// Its artifact.
    Artifact,
    /// Recorded actions: nothing is stored of it.
    Actions,
    /// Any of these.
    Everything,
}

/// What the primer wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Look these up in the action cache, and answer each with [`Event::CacheAnswered`].
    LookUp(Vec<ActionDigest>),
    /// Execute this at low priority, and answer with [`Event::Finished`]. It, its command and its
    /// Directories are in the store.
    Execute {
        /// The action.
        action: ActionDigest,
        /// Its value compared with others: higher is better.
        rank: u64,
        /// How long it took when it was recorded; zero if not known.
        expected: Duration,
        /// Since when it might have been handed out: all its inputs were known, and a slot was free.
        ready: Duration,
    },
    /// Nobody needs this execution any more. It is answered with [`Event::Finished`] all the same.
    Cancel(ActionDigest),
    /// Speculation could not go on with something; the build is not concerned. To be logged.
    Problem {
        /// The element.
        element: ElementId,
        /// What went wrong.
        reason: String,
    },
    /// Something happened to an action. To be kept for whoever wants to know why.
    Note(Note),
}
