//! Files of one Directory that share a rule, and so wait for the same.

use std::time::Duration;

use headstart_merkle::{Directory, DirectoryDigest, Node};

use super::knowledge::{Key, Knowledge};
use super::resolve::{Resolution, Source};
use crate::storage::{SpeculationError, Storage};
use crate::table::RuleId;

/// What a Directory becomes today.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// Something in it is not known yet.
    Pending,
    /// Something in it is gone.
    Refuted,
    /// This; nothing, if all that was in it is removed.
    Ready(Option<DirectoryDigest>),
}

/// Files of one Directory that have the same rule.
pub(crate) struct Group {
    pub(crate) rule: RuleId,
    /// Their places among the entries of the recorded Directory, in order.
    pub(crate) files: Box<[u32]>,
    pub(crate) state: GroupState,
    /// Keys that this group is in the list of.
    pub(crate) watched: Vec<Key>,
    /// Whether it has to be resolved, again or for the first time.
    pub(crate) marked: bool,
    /// Since when its state can be what it is.
    pub(crate) since: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum GroupState {
    Pending,
    Refuted,
    /// What differs from how it was.
    Resolved(Vec<Change>),
}

/// A file of the group that is not what it was.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Change {
    /// Its place among the entries of the recorded Directory.
    pub(crate) place: u32,
    /// `None` if it is there no more.
    pub(crate) new: Option<Node>,
    /// Whether it is there no more, or includes others than it did, once that is known.
    pub(crate) notable: Option<bool>,
}

impl Change {
    pub(crate) fn is_notable(&self) -> bool {
        self.notable == Some(true)
    }
}

impl Group {
    pub(crate) fn new((rule, files): (RuleId, Vec<u32>)) -> Self {
        Self {
            rule,
            files: files.into(),
            state: GroupState::Pending,
            watched: Vec::new(),
            marked: true,
            since: Duration::ZERO,
        }
    }

    pub(crate) fn resolve(
        &self,
        source: &Source<'_>,
        here: &Directory,
        knowledge: &mut Knowledge,
        store: &dyn Storage,
    ) -> Result<GroupState, SpeculationError> {
        let rule = source.message.rule(self.rule);
        let mut changes = Vec::new();
        let mut pending = false;
        for place in &self.files {
            let Some((name, base)) = here.entries.nth(*place as usize) else {
                continue;
            };
            match source.resolve(rule, name, base, knowledge, store)? {
                Resolution::Refuted => return Ok(GroupState::Refuted),
                Resolution::Pending(_) => pending = true,
                Resolution::Resolved(node) if node.as_ref() != Some(base) => {
                    changes.push(Change {
                        place: *place,
                        new: node,
                        notable: None,
                    });
                }
                Resolution::Resolved(_) => {}
            }
        }
        Ok(if pending {
            GroupState::Pending
        } else {
            GroupState::Resolved(changes)
        })
    }
}

impl GroupState {
    pub(crate) fn output(&self) -> Output {
        match self {
            Self::Pending => Output::Pending,
            Self::Refuted => Output::Refuted,
            Self::Resolved(_) => Output::Ready(None),
        }
    }
}
