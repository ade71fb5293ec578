//! A stored message as it is used in this session.

use std::collections::HashMap;
use std::sync::Arc;

use headstart_merkle::DirectoryDigest;

use super::knowledge::{ElementNo, Knowledge};
use super::resolve::Source;
use super::shapes::ShapeId;
use crate::message::SpeculativeActions;
use crate::table::{DirId, Kind, RuleId};

/// An element's stored message, with the shapes of its input trees.
pub(crate) struct Plan {
    pub(crate) message: Arc<SpeculativeActions>,
    pub(crate) elements: Vec<ElementNo>,
    pub(crate) shapes: HashMap<(DirectoryDigest, DirId), ShapeId>,
    /// For each directory of the table a rule that stands for all at and below it, if one does.
    pub(crate) common: Vec<Option<RuleId>>,
}

impl Plan {
    pub(crate) fn new(message: Arc<SpeculativeActions>, knowledge: &mut Knowledge) -> Self {
        let elements = message.elements.iter();
        Self {
            elements: elements.map(|element| knowledge.number(element)).collect(),
            common: common_rules(&message),
            message,
            shapes: HashMap::new(),
        }
    }

    pub(crate) fn source(&self) -> Source<'_> {
        Source {
            message: &self.message,
            elements: &self.elements,
        }
    }
}

/// For each directory of the table a rule whose candidates are in the same trees as those of all
/// rules at and below it, if there is one and none of them follows an action.
fn common_rules(message: &SpeculativeActions) -> Vec<Option<RuleId>> {
    let same = |a: RuleId, b: RuleId| {
        let trees = |rule: RuleId| message.rule(rule).0.iter().map(|c| (c.kind, c.element));
        a == b || trees(a).eq(trees(b))
    };
    let in_trees = |rule: RuleId| {
        let mut candidates = message.rule(rule).0.iter();
        candidates.all(|candidate| !matches!(candidate.kind, Kind::Action(_)))
    };
    let directories = &message.inputs.directories;
    // `Err`: there are several.
    let mut common: Vec<Result<Option<RuleId>, ()>> = vec![Ok(None); directories.len()];
    // Children have higher numbers than their parents.
    for (at, directory) in directories.iter().enumerate().rev() {
        let below = directory
            .children
            .values()
            .map(|child| common[*child as usize]);
        let here = directory.rules().map(|rule| Ok(Some(rule)));
        let mut all = Ok(None);
        for rule in below.chain(here) {
            all = match (all, rule) {
                (Ok(None), Ok(Some(rule))) if in_trees(rule) => Ok(Some(rule)),
                (Ok(Some(one)), Ok(Some(other))) if same(one, other) => Ok(Some(one)),
                (all, Ok(None)) => all,
                _ => Err(()),
            };
        }
        common[at] = all;
    }
    common.into_iter().map(|rule| rule.ok().flatten()).collect()
}
