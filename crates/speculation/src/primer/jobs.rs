//! Recorded actions on their way to being adapted.

use std::sync::Arc;
use std::time::Duration;

use headstart_merkle::{ActionDigest, DirectoryDigest};

use super::adapt::Replacements;
use super::group::Output;
use super::knowledge::{ElementNo, Key, Knowledge, Known};
use super::shapes::{JobId, ShapeId, Shapes};
use crate::message::SpeculativeActions;

/// A recorded action of an element that is going to be built.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) element: ElementNo,
    pub(crate) plan: u32,
    pub(crate) base: ActionDigest,
    /// Older actions that it stands in for.
    pub(crate) also: Vec<ActionDigest>,
    pub(crate) base_root: DirectoryDigest,
    pub(crate) root: ShapeId,
    /// Trees that it mentions: how each is known today, and its digest as it was.
    pub(crate) mentions: Vec<(Key, DirectoryDigest)>,
    /// Actions of the same element that must not have changed, as they were.
    pub(crate) guards: Vec<ActionDigest>,
    /// What kind of call it is; empty if not known.
    pub(crate) kind: Arc<str>,
    pub(crate) duration: Duration,
    /// Its own time and that of the longest chain of actions that follow from it.
    pub(crate) chain: Duration,
    /// How probable it is that its prediction comes true, as far as is known when that is made.
    pub(crate) probability: f64,
    /// Whether it failed when it was recorded.
    pub(crate) failed: bool,
    pub(crate) state: JobState,
    /// What was predicted before it was corrected.
    pub(crate) earlier: Vec<ActionDigest>,
    /// The input tree that it was adapted to last, if that is all that its action depends on.
    pub(crate) adapted_to: Option<DirectoryDigest>,
    /// Its place among jobs that have to be looked at: the higher, the sooner.
    pub(crate) urgency: u64,
    /// Whether it has to be looked at: until then what it was adapted to may be wrong.
    pub(crate) marked: bool,
    /// When the last thing became known that it depends on beside its input tree.
    pub(crate) since: Duration,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobState {
    /// An input is not known yet.
    Pending,
    /// An input is gone.
    Refuted,
    /// It is this today.
    Adapted(ActionDigest),
    /// Its element was built before it was adapted, or before it was done.
    Cancelled(Option<ActionDigest>),
    /// Its element was built, and it was done by then.
    Settled(ActionDigest),
    /// The real build has asked for this in its place: it was predicted wrong, or not in time.
    Overtaken(ActionDigest),
}

/// Predictions less probable than this come after all others.
const UNLIKELY: f64 = 1.0 / 8.0;
/// Those less probable than this are not executed. They are still held against what is asked for, so
/// that this can change.
pub(crate) const GIVE_UP: f64 = 1.0 / 16.0;

/// What a job's inputs are today.
pub(crate) enum Inputs {
    Pending,
    Refuted,
    Ready {
        root: Option<DirectoryDigest>,
        texts: Replacements,
    },
}

impl Job {
    /// What it was adapted to last.
    pub(crate) fn adapted(&self) -> Option<ActionDigest> {
        match self.state {
            JobState::Adapted(action) | JobState::Settled(action) => Some(action),
            JobState::Cancelled(action) => action,
            JobState::Pending | JobState::Refuted | JobState::Overtaken(_) => None,
        }
    }

    /// What it was last thought to be, whether or not that was right.
    pub(crate) fn predicted(&self) -> Option<ActionDigest> {
        match self.state {
            JobState::Overtaken(_) => self.earlier.last().copied(),
            _ => self.adapted(),
        }
    }

    /// Its value compared with others: higher is better.
    ///
    /// In the order of building, `turn` being the element's place in it; and there what most time is
    /// expected to be saved by first: the time of the longest chain of actions that follows from it,
    /// times the probability that it is asked for. Once the element's real build runs, `place` orders
    /// them instead, as they were recorded: what it asks for next is then begun before it asks, and
    /// it is not left waiting for one action while others that it needs later are executed. What
    /// failed before, or is unlikely, is worth trying last.
    pub(crate) fn rank(&self, turn: u32, place: Option<JobId>) -> u64 {
        const WORTH_BITS: u32 = 40;
        const MOST: u64 = (1 << WORTH_BITS) - 1;
        const LAST_TURN: u32 = (1 << (64 - WORTH_BITS)) - 1;
        if self.failed {
            return 0;
        }
        let turn = if self.probability < UNLIKELY {
            LAST_TURN
        } else {
            turn.min(LAST_TURN)
        };
        let worth = match place {
            Some(place) => MOST - u64::from(place),
            None => (self.chain.as_micros() as f64 * self.probability) as u64,
        };
        u64::from(LAST_TURN - turn) << WORTH_BITS | worth.min(MOST)
    }

    /// It as it was recorded, and what it stands in for.
    pub(crate) fn bases(&self) -> impl Iterator<Item = ActionDigest> {
        std::iter::once(self.base).chain(self.also.iter().copied())
    }

    /// Whether it is still to be found out what it is today.
    pub(crate) fn is_live(&self) -> bool {
        matches!(
            self.state,
            JobState::Pending | JobState::Refuted | JobState::Adapted(_)
        )
    }

    pub(crate) fn inputs(&self, shapes: &Shapes, knowledge: &Knowledge) -> Inputs {
        let root = match shapes.output(self.root) {
            Output::Pending => return Inputs::Pending,
            Output::Refuted => return Inputs::Refuted,
            Output::Ready(root) => root,
        };
        let mut texts = Vec::new();
        for (key, old) in &self.mentions {
            match knowledge.tree(*key) {
                Known::NotYet => return Inputs::Pending,
                Known::Gone => return Inputs::Refuted,
                Known::Tree(new) if new == *old => {}
                Known::Tree(new) => texts.push((old.to_string(), new.to_string())),
            }
        }
        Inputs::Ready { root, texts }
    }
}

/// For each base action, its own time and that of the longest chain that follows from it.
pub(crate) fn chains(message: &SpeculativeActions) -> Vec<Duration> {
    let mut after = vec![Duration::ZERO; message.actions.len()];
    let mut chains = after.clone();
    for (place, action) in message.actions.iter().enumerate().rev() {
        // What took no time that is known still took some.
        let own = action.duration.max(Duration::from_millis(1));
        chains[place] = own.saturating_add(after[place]);
        for needed in &action.needs {
            // Reading a message makes sure that needed actions come earlier.
            if let Some(follows) = after.get_mut(*needed as usize) {
                *follows = (*follows).max(chains[place]);
            }
        }
    }
    chains
}
