//! A stored message as it is used in this session.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use headstart_merkle::{DirectoryDigest, Guide, Name};

use super::knowledge::{ElementNo, Knowledge};
use super::resolve::{Outlook, Source};
use super::shapes::ShapeId;
use crate::message::SpeculativeActions;
use crate::table::{DirId, Kind, RuleId};

/// How many rules may stand for a directory with all below it.
const MOST_COMMON: usize = 32;

/// An element's stored message, with the shapes of its input trees.
pub(crate) struct Plan {
    pub(crate) message: Arc<SpeculativeActions>,
    pub(crate) elements: Vec<ElementNo>,
    pub(crate) shapes: HashMap<(DirectoryDigest, DirId), ShapeId>,
    pub(crate) common: Arc<Common>,
    /// What the last guide was made of.
    guide: Option<(u64, Arc<Unjudged>)>,
}

/// For each directory of the table rules that stand for all at and below it, if a few do.
pub(crate) type Common = [Option<Arc<[RuleId]>>];

/// Leads to the Directories that have to be looked into, since no rules that stand for all in them
/// decide.
pub(crate) struct Unjudged {
    message: Arc<SpeculativeActions>,
    common: Arc<Common>,
    /// For each rule.
    outlooks: Vec<Outlook>,
}

impl Unjudged {
    /// Whether what is in a directory of the table is judged without looking into it.
    pub(crate) fn is_judged(&self, at: DirId) -> bool {
        let rules = self.common[at as usize].as_deref();
        rules.is_some_and(|rules| {
            let mut outlooks = rules.iter().map(|rule| self.outlooks[*rule as usize]);
            outlooks.all(|one| one.judges(rules.len()))
        })
    }
}

impl Guide for Unjudged {
    fn enter(&self, at: DirId, name: &Name) -> Option<DirId> {
        let below = self.message.inputs.child(at, name);
        below.filter(|below| !self.is_judged(*below))
    }
}

impl Plan {
    pub(crate) fn new(message: Arc<SpeculativeActions>, knowledge: &mut Knowledge) -> Self {
        let elements = message.elements.iter();
        Self {
            elements: elements.map(|element| knowledge.number(element)).collect(),
            common: common_rules(&message).into(),
            message,
            shapes: HashMap::new(),
            guide: None,
        }
    }

    /// Leads to what has to be looked into, as far as is known by now.
    pub(crate) fn guide(&mut self, knowledge: &Knowledge) -> Arc<Unjudged> {
        let version = knowledge.version();
        if let Some((_, guide)) = self.guide.as_ref().filter(|(of, _)| *of == version) {
            return Arc::clone(guide);
        }
        let source = self.source();
        let rules = self.message.rules.iter();
        let guide = Arc::new(Unjudged {
            outlooks: rules.map(|rule| source.outlook(rule, knowledge)).collect(),
            message: Arc::clone(&self.message),
            common: Arc::clone(&self.common),
        });
        self.guide = Some((version, Arc::clone(&guide)));
        guide
    }

    pub(crate) fn source(&self) -> Source<'_> {
        Source {
            message: &self.message,
            elements: &self.elements,
        }
    }
}

/// For each directory of the table a few rules whose candidates are in the same trees as those of all
/// rules at and below it, if there are such and none of them follows an action.
fn common_rules(message: &SpeculativeActions) -> Vec<Option<Arc<[RuleId]>>> {
    // For each rule the first that is in the same trees.
    let mut firsts: HashMap<Vec<(Kind, u32)>, RuleId> = HashMap::new();
    let rules = message.rules.iter().zip(0..).map(|(rule, id)| {
        let trees = rule.0.iter().map(|c| (c.kind, c.element));
        let in_trees = !trees
            .clone()
            .any(|(kind, _)| matches!(kind, Kind::Action(_)));
        in_trees.then(|| *firsts.entry(trees.collect()).or_insert(id))
    });
    let rules: Vec<Option<RuleId>> = rules.collect();
    let directories = &message.inputs.directories;
    let mut common: Vec<Option<Arc<[RuleId]>>> = vec![None; directories.len()];
    // Children have higher numbers than their parents.
    for (at, directory) in directories.iter().enumerate().rev() {
        let mut all = BTreeSet::new();
        let here = directory.rules().map(|rule| rules[rule as usize]);
        let known = here.fold(true, |known, rule| {
            all.extend(rule);
            known && rule.is_some()
        });
        let mut below = directory.children.values();
        let known = known
            && below.all(|child| {
                let rules = common[*child as usize].as_deref();
                all.extend(rules.unwrap_or_default());
                rules.is_some() && all.len() <= MOST_COMMON
            });
        let few = known && all.len() <= MOST_COMMON;
        common[at] = few.then(|| all.into_iter().collect());
    }
    common
}
