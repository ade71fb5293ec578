//! What is stored of an element: its recorded actions, and where their inputs came from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use headstart_merkle::{ActionDigest, BlobDigest, DirectoryDigest, Name, Node, TreePath};
use headstart_reapi::reapi;
use headstart_store::read_message;

use crate::origin::{ElementId, Origin, Overlay};
use crate::storage::{MAX_DEPTH, SpeculationError, Storage, content, directory};
use crate::table::{Candidate, Kind, Rule, RuleId, Table};

/// How an element's recorded actions can be adapted, and where the files of its artifact come
/// from: the `SpeculativeActions` message, read.
///
/// Invariant: numbers inside refer to something that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpeculativeActions {
    /// The first is the element itself.
    pub(crate) elements: Vec<ElementId>,
    pub(crate) actions: Vec<BaseAction>,
    /// Actions of other elements.
    pub(crate) others: Vec<ActionDigest>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) inputs: Table,
    pub(crate) artifact: Table,
    pub(crate) named_trees: Vec<NamedTree>,
    pub(crate) trees: Trees,
    /// What it follows from, if that can be told.
    pub(crate) fingerprint: Option<Fingerprint>,
}

/// A SHA-256 hash of all that a record follows from, but for how long actions ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint(pub(crate) [u8; 32]);

/// Trees of elements, as they were, by the element's place.
pub(crate) type Trees = BTreeMap<(u32, Owned), DirectoryDigest>;

/// The element itself, in the list of elements.
pub(crate) const SELF: u32 = 0;

/// Which of an element's trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Owned {
    Sources,
    Artifact,
    /// What its own commands ran in.
    Root,
}

/// A recorded action, as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseAction {
    /// The action.
    pub digest: ActionDigest,
    /// How long its command ran; zero if not known.
    pub duration: Duration,
    /// Whether its exit code was other than zero. Such a result is nobody's hit, but the action
    /// may do better with other inputs.
    pub failed: bool,
    /// What kind of call it is, as [`kind_of`](crate::kind_of) says; empty if not known.
    pub kind: Arc<str>,
    /// Whether it can be adapted: it can be read, and all its inputs can be followed.
    pub usable: bool,
    /// Places of the earlier actions whose outputs are among its inputs, in order.
    pub(crate) needs: Vec<u32>,
    /// Places of the earlier actions whose outputs went into files among its inputs that nobody can
    /// foresee: static libraries. It can be adapted only as long as none of these changes. In order.
    pub(crate) guards: Vec<u32>,
    /// Places of the named trees that its command or platform mentions, in order.
    pub(crate) named_trees: Vec<u32>,
}

/// A tree that the build knows by name and mentions by digest, such as the one behind
/// `chrootRootDigest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedTree {
    /// The name: the variable that BuildStream's `digest-environment` names.
    pub name: String,
    /// The tree.
    pub tree: DirectoryDigest,
}

impl SpeculativeActions {
    /// Nothing known of `element`.
    pub fn empty(element: ElementId) -> Self {
        Self {
            elements: vec![element],
            actions: Vec::new(),
            others: Vec::new(),
            rules: Vec::new(),
            inputs: Table::default(),
            artifact: Table::default(),
            named_trees: Vec::new(),
            trees: Trees::new(),
            fingerprint: None,
        }
    }

    /// The element it is about.
    pub fn element(&self) -> &ElementId {
        &self.elements[0]
    }

    /// The recorded actions, in the order in which they were asked for.
    pub fn actions(&self) -> &[BaseAction] {
        &self.actions
    }

    /// All elements that origins are in, the element itself first.
    pub fn elements(&self) -> &[ElementId] {
        &self.elements
    }

    /// How many of the recorded actions can't be adapted.
    pub(crate) fn unusable(&self) -> usize {
        self.actions.iter().filter(|action| !action.usable).count()
    }

    /// Whether it says nothing, and need not be stored.
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty() && self.artifact.is_empty()
    }

    /// Where the file at `path` of the element's artifact came from, best first.
    pub fn artifact_origins(&self, path: &TreePath, content: BlobDigest) -> Vec<Origin> {
        let Some((parent, name)) = path.split() else {
            return Vec::new();
        };
        let rule = self.artifact_rule(&parent, &name, content);
        rule.map(|rule| self.origins(rule, &name))
            .unwrap_or_default()
    }

    /// Where the file at `path` of the recorded input trees came from, best first; nowhere, if it
    /// had no such content or is not known to have come from anywhere.
    pub fn input_origins(&self, path: &TreePath, content: Option<BlobDigest>) -> Vec<Origin> {
        let (Some((parent, name)), Some(content)) = (path.split(), content) else {
            return Vec::new();
        };
        let directory = self.inputs.find(&parent);
        let rule = directory.and_then(|at| self.inputs.rule(at, &name, content));
        rule.map(|rule| self.origins(rule, &name))
            .unwrap_or_default()
    }

    pub(crate) fn artifact_rule(
        &self,
        parent: &TreePath,
        name: &Name,
        content: BlobDigest,
    ) -> Option<RuleId> {
        let directory = self.artifact.find(parent)?;
        self.artifact.rule(directory, name, content)
    }

    pub(crate) fn rule(&self, id: RuleId) -> &Rule {
        &self.rules[id as usize]
    }

    /// The action that a candidate's kind refers to.
    pub(crate) fn action_at(&self, place: u32) -> ActionDigest {
        let place = place as usize;
        match self.actions.get(place) {
            Some(action) => action.digest,
            None => self.others[place - self.actions.len()],
        }
    }

    pub(crate) fn origins(&self, rule: RuleId, name: &Name) -> Vec<Origin> {
        let candidates = self.rule(rule).0.iter();
        candidates.map(|c| self.origin(c, name)).collect()
    }

    fn origin(&self, candidate: &Candidate, name: &Name) -> Origin {
        let element = self.elements[candidate.element as usize].clone();
        let path = candidate.path(name);
        match candidate.kind {
            Kind::Source => Origin::Source { element, path },
            Kind::Artifact => Origin::Artifact { element, path },
            Kind::Root => Origin::Root { element, path },
            Kind::Action(place) => Origin::Action {
                element,
                action: self.action_at(place),
                path,
            },
        }
    }

    /// What of the store adapting the recorded actions takes: their Actions, Commands and
    /// Directories, but no files. To be kept as long as the message, and to be sent along with it.
    /// Those that are missing are left out, in order of digest.
    pub fn protected(&self, store: &dyn Storage) -> Vec<BlobDigest> {
        let mut found = BTreeSet::new();
        let mut pending = Vec::new();
        for action in self.actions.iter().filter(|action| action.usable) {
            let read = read_message::<reapi::Action, _>(store.blobs(), action.digest, "an Action");
            let Ok(message) = read else {
                continue;
            };
            found.insert(action.digest.blob());
            let command = BlobDigest::required(message.command_digest.as_ref());
            found.extend(command);
            let root = DirectoryDigest::required(message.input_root_digest.as_ref());
            pending.extend(root);
        }
        while let Some(digest) = pending.pop() {
            if found.contains(&digest.blob()) {
                continue;
            }
            if let Ok(directory) = directory(store, digest) {
                found.insert(digest.blob());
                let nodes = directory.entries.values();
                pending.extend(nodes.filter_map(|node| match node {
                    Node::Directory(child) => Some(*child),
                    _ => None,
                }));
            }
        }
        found.into_iter().collect()
    }

    /// The overlays of the input tree `root` of one of the recorded actions, in the order of a
    /// walk. For people and for other formats; priming itself never lists them.
    pub fn overlays(
        &self,
        root: DirectoryDigest,
        store: &dyn Storage,
    ) -> Result<Vec<Overlay>, SpeculationError> {
        self.overlays_in(&self.inputs, root, store)
    }

    pub(crate) fn overlays_in(
        &self,
        rules: &Table,
        root: DirectoryDigest,
        store: &dyn Storage,
    ) -> Result<Vec<Overlay>, SpeculationError> {
        let mut found = Vec::new();
        let mut pending = vec![(TreePath::root(), root, Table::ROOT, 0)];
        while let Some((at, digest, table, depth)) = pending.pop() {
            if depth > MAX_DEPTH {
                return Err(SpeculationError::TooDeep(at));
            }
            let here = directory(store, digest)?;
            let mut below = Vec::new();
            for (name, node) in &here.entries {
                if let Node::Directory(child) = node {
                    if let Some(table) = rules.child(table, name) {
                        below.push((at.child(name), *child, table, depth + 1));
                    }
                } else {
                    found.extend(content(node).and_then(|content| {
                        let rule = rules.rule(table, name, content)?;
                        Some(Overlay {
                            path: at.child(name),
                            content,
                            origins: self.origins(rule, name),
                        })
                    }));
                }
            }
            pending.extend(below.into_iter().rev());
        }
        Ok(found)
    }
}
