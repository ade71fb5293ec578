//! What stands today where a file came from: it is there, it is gone, or it is not known yet.

use headstart_merkle::{ActionDigest, DirectoryDigest, Name, Node, TreePath};

use super::knowledge::{ActionFact, ElementNo, Key, Knowledge, Known};
use super::moves::may_move;
use crate::message::{Owned, SpeculativeActions};
use crate::storage::{SpeculationError, Storage, lookup};
use crate::table::{Candidate, Kind, Rule, RuleId};

/// What is known of one file of an input tree.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Resolution {
    /// What stands there today; nothing, if the file has been removed at its origin.
    Resolved(Option<Node>),
    /// It depends on what is not known yet.
    Pending(Key),
    /// Its origin is gone.
    Refuted,
}

/// What one candidate says.
enum Answer {
    Node(Node),
    Absent,
    Gone,
    NotYet(Key),
}

/// What is known of all files whose candidates are in the same trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outlook {
    /// They are as they were: the tree that decides has not changed.
    Same,
    /// They depend on what is not known yet.
    Pending,
    /// Each has to be looked at.
    Open,
}

impl Outlook {
    /// Whether it decides on files that have one of so many rules. Of several some may be known, and can
    /// be looked at while the others are waited for.
    pub(crate) fn judges(self, rules: usize) -> bool {
        match self {
            Self::Same => true,
            Self::Pending => rules == 1,
            Self::Open => false,
        }
    }
}

/// A stored message, its elements numbered for this session.
pub(crate) struct Source<'a> {
    pub(crate) message: &'a SpeculativeActions,
    pub(crate) elements: &'a [ElementNo],
}

impl Source<'_> {
    /// What a candidate waits for.
    pub(crate) fn key(&self, candidate: &Candidate) -> Key {
        let element = self.elements[candidate.element as usize];
        match candidate.kind {
            Kind::Source => Key::Sources(element),
            Kind::Artifact => Key::Artifact(element),
            Kind::Root => Key::Root(element),
            Kind::Action(place) => Key::Action(element, self.message.action_at(place)),
        }
    }

    /// Whether what a candidate is in is as it was.
    fn is_same(&self, candidate: &Candidate, today: DirectoryDigest) -> bool {
        self.was(candidate) == Some(today)
    }

    /// The tree that a candidate is in, as it was.
    fn was(&self, candidate: &Candidate) -> Option<DirectoryDigest> {
        let owned = match candidate.kind {
            Kind::Source => Owned::Sources,
            Kind::Artifact => Owned::Artifact,
            Kind::Root => Owned::Root,
            Kind::Action(_) => return None,
        };
        let was = self.message.trees.get(&(candidate.element, owned));
        was.copied()
    }

    /// The directory of a candidate in today's tree, if it is there as that of another version.
    pub(crate) fn moved(
        &self,
        candidate: &Candidate,
        today: DirectoryDigest,
        knowledge: &mut Knowledge,
        store: &dyn Storage,
    ) -> Option<TreePath> {
        if !may_move(self.key(candidate)) {
            return None;
        }
        let was = self.was(candidate)?;
        let comparison = knowledge.comparison((was, today), store);
        comparison.moves.today(&candidate.directory)
    }

    /// What is known of the files of `rule`, all candidates of which are in trees, without looking
    /// into these. Agrees with [`Source::resolve`] on each of them.
    pub(crate) fn outlook(&self, rule: &Rule, knowledge: &Knowledge) -> Outlook {
        let judge = |candidate: &Candidate, today| {
            if self.is_same(candidate, today) {
                Outlook::Same
            } else {
                Outlook::Open
            }
        };
        let artifacts = rule.0.iter().rev().filter(|c| c.kind == Kind::Artifact);
        for candidate in artifacts {
            if let Known::Tree(today) = knowledge.tree(self.key(candidate)) {
                return judge(candidate, today);
            }
        }
        for candidate in &rule.0 {
            match knowledge.tree(self.key(candidate)) {
                Known::Tree(today) => return judge(candidate, today),
                Known::NotYet => return Outlook::Pending,
                Known::Gone => {}
            }
        }
        Outlook::Open
    }

    /// What can still change the resolution of `rule`: nothing once the artifact that staged the
    /// file is known.
    pub(crate) fn watched(&self, rule: &Rule, knowledge: &Knowledge) -> Vec<Key> {
        if self.truth(rule, knowledge).is_some() {
            return Vec::new();
        }
        let keys = rule.0.iter().map(|candidate| self.key(candidate));
        let open = keys.filter(|key| !matches!(knowledge.tree(*key), Known::Tree(_)));
        let mut open: Vec<Key> = open.collect();
        open.dedup();
        open
    }

    /// What `rule` depends on that may be about to change: an action of an element.
    pub(crate) fn doubtful(
        &self,
        rule: RuleId,
        knowledge: &Knowledge,
    ) -> Option<(ElementNo, ActionDigest)> {
        let rule = self.message.rule(rule);
        let keys = rule.0.iter().map(|candidate| self.key(candidate));
        let mut actions = keys.filter_map(|key| match key {
            Key::Action(element, action) => Some((element, action)),
            _ => None,
        });
        let doubtful = actions.find(|(element, action)| knowledge.is_doubtful(*element, *action));
        doubtful.filter(|_| self.truth(rule, knowledge).is_none())
    }

    /// The last candidate, if it is an artifact that is known: what it says is no guess.
    fn truth<'r>(&self, rule: &'r Rule, knowledge: &Knowledge) -> Option<&'r Candidate> {
        let last = rule.0.last()?;
        let known = matches!(knowledge.tree(self.key(last)), Known::Tree(_));
        (last.kind == Kind::Artifact && known).then_some(last)
    }

    /// What stands today for the file `name` that was `base`.
    ///
    /// An artifact that is known decides: the nearer to where the file was staged, the better.
    /// Else the candidates are asked in order, and the first that is not known yet is waited for.
    pub(crate) fn resolve(
        &self,
        rule: &Rule,
        name: &Name,
        base: &Node,
        knowledge: &mut Knowledge,
        store: &dyn Storage,
    ) -> Result<Resolution, SpeculationError> {
        let last = rule.0.len().wrapping_sub(1);
        let artifacts = rule.0.iter().enumerate().rev();
        for (place, candidate) in artifacts.filter(|(_, c)| c.kind == Kind::Artifact) {
            match self.ask(candidate, name, base, knowledge, store)? {
                Answer::Node(node) => return Ok(Resolution::Resolved(Some(node))),
                Answer::Absent if place == last => return Ok(Resolution::Resolved(None)),
                _ => {}
            }
        }
        let mut absent = false;
        for candidate in &rule.0 {
            absent = false;
            match self.ask(candidate, name, base, knowledge, store)? {
                Answer::Node(node) => return Ok(Resolution::Resolved(Some(node))),
                Answer::Absent => absent = true,
                Answer::Gone => {}
                Answer::NotYet(key) => return Ok(Resolution::Pending(key)),
            }
        }
        Ok(if absent {
            Resolution::Resolved(None)
        } else {
            Resolution::Refuted
        })
    }

    fn ask(
        &self,
        candidate: &Candidate,
        name: &Name,
        base: &Node,
        knowledge: &mut Knowledge,
        store: &dyn Storage,
    ) -> Result<Answer, SpeculationError> {
        let key = self.key(candidate);
        let found = if let Key::Action(element, action) = key {
            match knowledge.result(element, action) {
                ActionFact::NotYet => return Ok(Answer::NotYet(key)),
                ActionFact::Gone => return Ok(Answer::Gone),
                ActionFact::Done(done) => done.output(&candidate.path(name), store)?,
            }
        } else {
            let tree = match knowledge.tree(key) {
                Known::NotYet => return Ok(Answer::NotYet(key)),
                Known::Gone => return Ok(Answer::Gone),
                Known::Tree(tree) if self.is_same(candidate, tree) => {
                    return Ok(Answer::Node(base.clone()));
                }
                Known::Tree(tree) => tree,
            };
            let mut at = candidate.directory.clone();
            let mut directory = knowledge.directory(tree, &at, store)?;
            if directory.is_none()
                && let Some(moved) = self.moved(candidate, tree, knowledge, store)
            {
                directory = knowledge.directory(tree, &moved, store)?;
                at = moved;
            }
            let there = candidate.name.as_ref().unwrap_or(name);
            let node = directory.and_then(|directory| directory.entries.get(there).cloned());
            match (&node, base) {
                (Some(Node::Symlink(_)), Node::File(_)) => {
                    lookup(store, tree, &at.child(there), true)?
                }
                _ => node,
            }
        };
        Ok(match found {
            Some(Node::Directory(_)) | None => Answer::Absent,
            Some(node) => Answer::Node(like(base, node)),
        })
    }
}

/// `node`, told of as `base` was: whoever recorded no properties will record none today.
fn like(base: &Node, mut node: Node) -> Node {
    let had = match base {
        Node::File(file) => !file.properties.is_empty(),
        Node::Symlink(link) => !link.properties.is_empty(),
        Node::Directory(_) => true,
    };
    if !had {
        match &mut node {
            Node::File(file) => file.properties = headstart_merkle::Properties::default(),
            Node::Symlink(link) => link.properties = headstart_merkle::Properties::default(),
            Node::Directory(_) => {}
        }
    }
    node
}
