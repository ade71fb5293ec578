//! What is known of today's build: trees of elements and results of adapted actions.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

use headstart_execution::ActionSpec;
use headstart_merkle::{ActionDigest, Directory, DirectoryDigest, Node, TreePath};
use headstart_store::StoredResult;

use super::compare::{Comparing, Comparison, Pair};
use super::pace::{Slices, Stop};
use crate::origin::ElementId;
use crate::outputs::Outputs;
use crate::storage::{SpeculationError, Storage, directory_at};

/// An element's number in this session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ElementNo(pub(crate) u32);

/// Something that becomes known by one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Sources(ElementNo),
    Artifact(ElementNo),
    Root(ElementNo),
    /// By the number of its name.
    Named(ElementNo, u32),
    /// The result of an element's action, adapted to today, by the action as it was.
    Action(ElementNo, ActionDigest),
}

/// What is known of a tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Known {
    #[default]
    NotYet,
    Tree(DirectoryDigest),
    /// It will not come.
    Gone,
}

/// What is known of an adapted action's result.
#[derive(Debug, Clone)]
pub(crate) enum ActionFact {
    NotYet,
    Done(Arc<Done>),
    /// There will be none that can be used.
    Gone,
}

/// What differs between two trees, as far as it is known.
#[derive(Debug)]
enum Compared {
    InPart(Comparing),
    Done(Arc<Comparison>),
}

/// A result that others' inputs come from.
#[derive(Debug)]
pub(crate) struct Done {
    action: ActionDigest,
    result: Arc<StoredResult>,
    outputs: OnceLock<Outputs>,
}

impl Done {
    pub(crate) fn new(action: ActionDigest, result: Arc<StoredResult>) -> Self {
        Self {
            action,
            result,
            outputs: OnceLock::new(),
        }
    }

    /// The output at `path` of the tree that the action ran in.
    pub(crate) fn output(
        &self,
        path: &TreePath,
        store: &dyn Storage,
    ) -> Result<Option<Node>, SpeculationError> {
        if let Some(outputs) = self.outputs.get() {
            return Ok(outputs.get(path).cloned());
        }
        let spec = ActionSpec::read(self.action, store.blobs())?;
        let outputs = Outputs::of(self.result.message(), &spec.working_directory, store)?;
        Ok(self.outputs.get_or_init(|| outputs).get(path).cloned())
    }

    fn is(&self, other: &Self) -> bool {
        self.action == other.action && self.result == other.result
    }
}

#[derive(Debug, Default)]
struct Facts {
    sources: Known,
    artifact: Known,
    root: Known,
    /// Whether all its actions that there will ever be are known.
    actions_settled: bool,
    /// Actions of it that others wait for.
    awaited: HashSet<ActionDigest>,
}

/// All that is known. Invariant: whoever changes it, says which keys changed.
#[derive(Debug, Default)]
pub(crate) struct Knowledge {
    numbers: HashMap<ElementId, ElementNo>,
    elements: Vec<(ElementId, Facts)>,
    names: HashMap<Arc<str>, u32>,
    named: HashMap<(ElementNo, u32), Known>,
    results: HashMap<(ElementNo, ActionDigest), ActionFact>,
    /// Actions as they were, what is known of which may be about to change.
    doubtful: HashSet<(ElementNo, ActionDigest)>,
    directories: HashMap<(DirectoryDigest, TreePath), Option<Arc<Directory>>>,
    /// How often something became known of a tree.
    version: u64,
    comparisons: HashMap<Pair, Compared>,
}

impl Knowledge {
    pub(crate) fn number(&mut self, element: &ElementId) -> ElementNo {
        if let Some(number) = self.numbers.get(element) {
            return *number;
        }
        let number = ElementNo(self.elements.len() as u32);
        self.numbers.insert(element.clone(), number);
        self.elements.push((element.clone(), Facts::default()));
        number
    }

    pub(crate) fn find(&self, element: &ElementId) -> Option<ElementNo> {
        self.numbers.get(element).copied()
    }

    pub(crate) fn id(&self, element: ElementNo) -> &ElementId {
        &self.elements[element.0 as usize].0
    }

    pub(crate) fn name(&mut self, name: &str) -> u32 {
        let next = self.names.len() as u32;
        if let Some(number) = self.names.get(name) {
            return *number;
        }
        self.names.insert(name.into(), next);
        next
    }

    /// What is known of a tree; nothing, if `key` is of an action.
    pub(crate) fn tree(&self, key: Key) -> Known {
        match key {
            Key::Sources(element) => self.facts(element).sources,
            Key::Artifact(element) => self.facts(element).artifact,
            Key::Root(element) => self.facts(element).root,
            Key::Named(element, name) => {
                let known = self.named.get(&(element, name));
                known.copied().unwrap_or_default()
            }
            Key::Action(..) => Known::NotYet,
        }
    }

    /// Sets what is known of a tree; says whether that is new. What is known does not get lost.
    pub(crate) fn set_tree(&mut self, key: Key, known: Known) -> bool {
        let place = match key {
            Key::Sources(element) => &mut self.facts_mut(element).sources,
            Key::Artifact(element) => &mut self.facts_mut(element).artifact,
            Key::Root(element) => &mut self.facts_mut(element).root,
            Key::Named(element, name) => self.named.entry((element, name)).or_default(),
            Key::Action(..) => return false,
        };
        let loses = known == Known::Gone && matches!(place, Known::Tree(_));
        if loses || *place == known {
            return false;
        }
        *place = known;
        self.version += 1;
        true
    }

    /// The same as long as nothing new is known of any tree.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn result(&self, element: ElementNo, action: ActionDigest) -> ActionFact {
        if let Some(result) = self.results.get(&(element, action)) {
            return result.clone();
        }
        let facts = self.facts(element);
        if facts.actions_settled || matches!(facts.artifact, Known::Tree(_)) {
            ActionFact::Gone
        } else {
            ActionFact::NotYet
        }
    }

    /// Sets what is known of a result; says whether that is new.
    pub(crate) fn set_result(
        &mut self,
        element: ElementNo,
        action: ActionDigest,
        result: ActionFact,
    ) -> bool {
        let old = self.result(element, action);
        let same = match (&old, &result) {
            (ActionFact::NotYet, ActionFact::NotYet) | (ActionFact::Gone, ActionFact::Gone) => true,
            (ActionFact::Done(old), ActionFact::Done(new)) => old.is(new),
            _ => false,
        };
        self.results.insert((element, action), result);
        !same
    }

    /// What is known of an action's result may be about to change, or is not any more.
    pub(crate) fn set_doubtful(&mut self, element: ElementNo, action: ActionDigest, yes: bool) {
        if yes {
            self.doubtful.insert((element, action));
        } else {
            self.doubtful.remove(&(element, action));
        }
    }

    pub(crate) fn is_doubtful(&self, element: ElementNo, action: ActionDigest) -> bool {
        self.doubtful.contains(&(element, action))
    }

    pub(crate) fn is_anything_doubtful(&self) -> bool {
        !self.doubtful.is_empty()
    }

    /// Someone waits for the result of an action.
    pub(crate) fn await_action(&mut self, element: ElementNo, action: ActionDigest) {
        self.facts_mut(element).awaited.insert(action);
    }

    /// No more actions of `element` will become known; gives those waited for in vain.
    pub(crate) fn settle_actions(&mut self, element: ElementNo) -> Vec<Key> {
        self.facts_mut(element).actions_settled = true;
        self.unknown_actions(element)
    }

    /// Actions of `element` that are waited for, and of which nothing was ever said.
    pub(crate) fn unknown_actions(&self, element: ElementNo) -> Vec<Key> {
        let awaited = self.facts(element).awaited.iter();
        let unknown = awaited.filter(|action| !self.results.contains_key(&(element, **action)));
        unknown
            .map(|action| Key::Action(element, *action))
            .collect()
    }

    /// The directory at `path` of a tree, remembered.
    pub(crate) fn directory(
        &mut self,
        tree: DirectoryDigest,
        path: &TreePath,
        store: &dyn Storage,
    ) -> Result<Option<Arc<Directory>>, SpeculationError> {
        let key = (tree, path.clone());
        if let Some(known) = self.directories.get(&key) {
            return Ok(known.clone());
        }
        let found = directory_at(store, tree, path)?;
        self.directories.insert(key, found.clone());
        Ok(found)
    }

    /// What differs between a tree as it was and as it is.
    pub(crate) fn comparison(&mut self, pair: Pair, store: &dyn Storage) -> Arc<Comparison> {
        // Without a clock no slice ends.
        let without_end = &mut Slices::default();
        loop {
            if let ControlFlow::Continue(done) = self.compare(pair, without_end, store) {
                return done;
            }
        }
    }

    /// Finds out what differs between a tree as it was and as it is, or more of it; it is remembered. Of
    /// a tree that is not there any more nobody knows.
    pub(crate) fn compare(
        &mut self,
        pair: Pair,
        slices: &mut Slices,
        store: &dyn Storage,
    ) -> ControlFlow<Stop, Arc<Comparison>> {
        let begin = || Compared::InPart(Comparing::new(pair));
        let compared = self.comparisons.entry(pair).or_insert_with(begin);
        loop {
            let done = match compared {
                Compared::Done(done) => return ControlFlow::Continue(Arc::clone(done)),
                Compared::InPart(comparing) => match comparing.step(store) {
                    Ok(()) if comparing.is_done() => std::mem::take(comparing).into_comparison(),
                    Ok(()) => {
                        slices.spend()?;
                        continue;
                    }
                    Err(_) => Comparison::default(),
                },
            };
            *compared = Compared::Done(done.into());
        }
    }

    fn facts(&self, element: ElementNo) -> &Facts {
        &self.elements[element.0 as usize].1
    }

    fn facts_mut(&mut self, element: ElementNo) -> &mut Facts {
        &mut self.elements[element.0 as usize].1
    }
}
