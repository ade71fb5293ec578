//! What happened to one action: a line of a session's history.

use std::time::Duration;

use headstart_merkle::ActionDigest;

use crate::origin::ElementId;

/// Something that happened to one action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What happened.
    pub kind: NoteKind,
    /// Whose build it concerns; `None` for executions, which several may share.
    pub element: Option<ElementId>,
    /// The action as it was recorded, where there is a prediction.
    pub base: Option<ActionDigest>,
    /// The action as it is today, if that is known.
    pub action: Option<ActionDigest>,
    /// How long its command ran, or is thought to run; zero if not known.
    pub took: Duration,
}

/// What may happen to an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum NoteKind {
    /// The real build asked for it, and this will be remembered.
    Recorded,
    /// Stored with where its inputs came from, to be adapted next time.
    Generated,
    /// Stored, but it can't be adapted.
    Unusable,
    /// All its inputs are known: it is this today.
    Resolved,
    /// It was thought to be something else before.
    Corrected,
    /// An input is not known any more.
    Unresolved,
    /// An input is gone, or it could not be read: it is given up.
    Refuted,
    /// Its element was built first: it is given up.
    Cancelled,
    /// The real build has asked for something else in its place.
    Overtaken,
    /// The action cache has its result already.
    Cached,
    /// Not handed out to be executed: all that may be spent is spent.
    Withheld,
    /// Handed out to be executed ahead of need.
    Submitted,
    /// Executed ahead of need, with a result that others can use.
    Finished,
    /// Executed ahead of need, in vain: it failed or was given up.
    Failed,
    /// Asked for, and the predicted result was there.
    Hit,
    /// Asked for while its prediction was running.
    Joined,
    /// Asked for while its prediction waited for a slot.
    Promoted,
    /// Asked for, not predicted, and the cache had it.
    Found,
    /// Asked for, not predicted, and executed.
    Missed,
    /// Asked for, and its command failed.
    Unsuccessful,
    /// Executed ahead of need, and nobody will ask.
    Wasted,
    /// Executed ahead of need for a build that was not come to.
    Left,
}

impl NoteKind {
    /// Its name, for people and in histories.
    pub fn name(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Generated => "generated",
            Self::Unusable => "unusable",
            Self::Resolved => "resolved",
            Self::Corrected => "corrected",
            Self::Unresolved => "unresolved",
            Self::Refuted => "refuted",
            Self::Cancelled => "cancelled",
            Self::Overtaken => "overtaken",
            Self::Cached => "cached",
            Self::Withheld => "withheld",
            Self::Submitted => "submitted",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Hit => "hit",
            Self::Joined => "joined",
            Self::Promoted => "promoted",
            Self::Found => "found",
            Self::Missed => "missed",
            Self::Unsuccessful => "unsuccessful",
            Self::Wasted => "wasted",
            Self::Left => "left",
        }
    }

    /// Whether it says that the real build asked for the action, and how that was answered.
    pub fn is_request(self) -> bool {
        matches!(
            self,
            Self::Hit
                | Self::Joined
                | Self::Promoted
                | Self::Found
                | Self::Missed
                | Self::Unsuccessful
        )
    }
}
