//! What speculation was worth, for each element.

use std::time::Duration;

use headstart_merkle::ActionDigest;

/// What became of an element's predictions and requests. All numbers are of actions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Account {
    /// Known from an earlier build.
    pub stored: usize,
    /// Adapted to today's inputs so far.
    pub resolved: usize,
    /// Of those, the same as they were.
    pub unchanged: usize,
    /// Of those resolved, whose result the action cache had.
    pub cached: usize,
    /// Handed out to be executed ahead of need.
    pub primed: usize,
    /// Not handed out, because all that may be spent was spent.
    pub withheld: usize,
    /// Ended with a result that others can use.
    pub succeeded: usize,
    /// Ended without one.
    pub failed: usize,
    /// Given up because the element was built first.
    pub cancelled: usize,
    /// Given up because an input's origin is gone, or something they need could not be read.
    pub refuted: usize,
    /// Adapted again, because a guess was contradicted.
    pub corrected: usize,
    /// Executed with an input that was known to be wrong at the time. Always 0.
    pub stale: usize,
    /// Requests of the real build.
    pub asked: usize,
    /// Requests whose command failed: such results are remembered for nobody, so these can't be
    /// hits. They are counted here and nowhere else.
    pub unsuccessful: usize,
    /// Requests that found a result that was predicted.
    pub hit: usize,
    /// Of those, executed ahead of need in this session.
    pub hit_primed: usize,
    /// Requests that found their prediction still running.
    pub joined: usize,
    /// Requests that found their prediction still waiting for a slot: rightly predicted, and executed
    /// at once, for the real build.
    pub promoted: usize,
    /// Requests that found a result nobody had predicted.
    pub found: usize,
    /// Requests that nobody had predicted and that had to be executed.
    pub missed: usize,
    /// Executed ahead of need, and nobody asked for them.
    pub wasted: usize,
    /// Time of commands that the real build did not have to wait for. Of those joined only what had
    /// passed when they were wanted, which [`Event::Wanted`](crate::Event::Wanted) tells.
    pub saved: Duration,
    /// Time of commands that nobody asked for.
    pub wasted_time: Duration,
    /// The requests counted as missed, in order.
    #[cfg_attr(feature = "serde", serde(serialize_with = "as_text"))]
    pub misses: Vec<ActionDigest>,
}

impl Account {
    /// Adds what became of another element.
    pub fn add(&mut self, other: &Self) {
        self.stored += other.stored;
        self.resolved += other.resolved;
        self.unchanged += other.unchanged;
        self.cached += other.cached;
        self.primed += other.primed;
        self.withheld += other.withheld;
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.cancelled += other.cancelled;
        self.refuted += other.refuted;
        self.corrected += other.corrected;
        self.stale += other.stale;
        self.asked += other.asked;
        self.unsuccessful += other.unsuccessful;
        self.hit += other.hit;
        self.hit_primed += other.hit_primed;
        self.joined += other.joined;
        self.found += other.found;
        self.promoted += other.promoted;
        self.missed += other.missed;
        self.wasted += other.wasted;
        self.saved += other.saved;
        self.wasted_time += other.wasted_time;
        self.misses.extend_from_slice(&other.misses);
    }
}

#[cfg(feature = "serde")]
fn as_text<S: serde::Serializer>(list: &[ActionDigest], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter().map(ToString::to_string))
}
