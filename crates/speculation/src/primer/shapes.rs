//! Input trees as a graph: each Directory at each path once, whoever has it, adapted as soon as all
//! in it is known, and again when something in it changes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use headstart_merkle::{Directory, DirectoryDigest, Name, Node, TreePath};

use super::group::{Group, GroupState, Output};
use super::knowledge::{ElementNo, Key, Knowledge};
use super::plan::Plan;
use super::resolve::Outlook;
use crate::storage::{MAX_DEPTH, SpeculationError, Storage, directory};
use crate::table::{DirId, RuleId, Table};

/// How many directories the input trees of one element may have, each path counted.
const MAX_SHAPES: usize = 4_000_000;

/// In a list of watchers, instead of a group: the shape as a whole, while it is not looked into.
const CLOSED: u32 = u32::MAX;

pub(crate) type ShapeId = u32;
pub(crate) type JobId = u32;

/// A Directory at a path of an element's input trees.
struct Shape {
    plan: u32,
    base: DirectoryDigest,
    at: DirId,
    depth: u32,
    /// While it is not looked into: the rule that stands for all in it.
    closed: Option<RuleId>,
    groups: Vec<Group>,
    children: Vec<(Name, ShapeId)>,
    parents: Vec<ShapeId>,
    jobs: Vec<JobId>,
    /// How many groups and children are pending.
    pending: usize,
    /// How many groups and children are refuted.
    refuted: usize,
    output: Output,
}

/// A file that is not what it was.
pub(crate) struct Changed {
    pub(crate) path: TreePath,
    pub(crate) old: Node,
    /// `None` if it is there no more.
    pub(crate) new: Option<Node>,
}

/// What a Directory consists of.
#[derive(Default)]
struct Parts {
    here: Arc<Directory>,
    groups: Vec<Group>,
    children: Vec<(Name, ShapeId)>,
}

/// The graph.
#[derive(Default)]
pub(crate) struct Shapes {
    pub(crate) plans: Vec<Plan>,
    shapes: Vec<Option<Shape>>,
    watchers: HashMap<Key, Vec<(ShapeId, u32)>>,
    /// Shapes to be looked at again, by depth: what is below comes first.
    dirty: BTreeSet<(u32, ShapeId)>,
    pub(crate) problems: Vec<(ElementNo, String)>,
}

impl Shapes {
    /// The shape of the input tree `root` for `job`; `None` if nothing in it has an origin.
    pub(crate) fn add_root(
        &mut self,
        plan: u32,
        root: DirectoryDigest,
        job: JobId,
        knowledge: &mut Knowledge,
        store: &dyn Storage,
    ) -> Result<Option<ShapeId>, SpeculationError> {
        let shape = self.add(plan, root, Table::ROOT, 0, knowledge, store)?;
        if let Some(shape) = shape.and_then(|id| self.get_mut(id)) {
            shape.jobs.push(job);
        }
        Ok(shape)
    }

    fn add(
        &mut self,
        plan: u32,
        base: DirectoryDigest,
        at: DirId,
        depth: u32,
        knowledge: &mut Knowledge,
        store: &dyn Storage,
    ) -> Result<Option<ShapeId>, SpeculationError> {
        let message = Arc::clone(&self.plans[plan as usize].message);
        if let Some(known) = self.plans[plan as usize].shapes.get(&(base, at)) {
            return Ok(*known);
        }
        if depth as usize > MAX_DEPTH {
            return Err(SpeculationError::TooDeep(TreePath::root()));
        }
        if self.plans[plan as usize].shapes.len() >= MAX_SHAPES {
            let whose = message.element().to_string();
            return Err(SpeculationError::TooLarge(whose, MAX_SHAPES));
        }
        let closed = self.plans[plan as usize].common[at as usize];
        let parts = match closed {
            Some(_) => Parts::default(),
            None => self.look_into(plan, base, at, depth, knowledge, store)?,
        };
        let id = (closed.is_some() || !parts.is_empty()).then(|| {
            let id = self.shapes.len() as ShapeId;
            self.shapes
                .push(Some(Shape::new(plan, base, at, depth, closed)));
            id
        });
        self.plans[plan as usize].shapes.insert((base, at), id);
        if let Some(id) = id {
            match closed {
                Some(_) => self.resolve_closed(id, knowledge, store),
                None => self.connect(id, parts, knowledge, store),
            }
            self.refresh(id, store);
        }
        Ok(id)
    }

    /// Reads a Directory and adds those below it.
    fn look_into(
        &mut self,
        plan: u32,
        base: DirectoryDigest,
        at: DirId,
        depth: u32,
        knowledge: &mut Knowledge,
        store: &dyn Storage,
    ) -> Result<Parts, SpeculationError> {
        let message = Arc::clone(&self.plans[plan as usize].message);
        let here = directory(store, base)?;
        let mut groups: BTreeMap<RuleId, Vec<Name>> = BTreeMap::new();
        let mut children = Vec::new();
        for (name, node) in &here.entries {
            if let Node::Directory(child) = node {
                let Some(below) = message.inputs.child(at, name) else {
                    continue;
                };
                let shape = self.add(plan, *child, below, depth + 1, knowledge, store)?;
                children.extend(shape.map(|shape| (name.clone(), shape)));
            } else if let Some(content) = crate::storage::content(node)
                && let Some(rule) = message.inputs.rule(at, name, content)
            {
                groups.entry(rule).or_default().push(name.clone());
            }
        }
        Ok(Parts {
            here,
            groups: groups.into_iter().map(Group::new).collect(),
            children,
        })
    }

    /// Gives a shape its parts, brought up to what is known.
    fn connect(
        &mut self,
        id: ShapeId,
        parts: Parts,
        knowledge: &mut Knowledge,
        store: &dyn Storage,
    ) {
        let groups = parts.groups.len();
        for (_, child) in &parts.children {
            if let Some(child) = self.get_mut(*child) {
                child.parents.push(id);
                let output = child.output;
                self.count(id, None, Some(output));
            }
        }
        if let Some(shape) = self.get_mut(id) {
            shape.groups = parts.groups;
            shape.children = parts.children;
        }
        for group in 0..groups {
            self.count(id, None, Some(Output::Pending));
            self.resolve_group(id, group as u32, &parts.here, knowledge, store);
        }
    }

    /// Judges a shape that is not looked into, and looks into it if it must be.
    fn resolve_closed(&mut self, id: ShapeId, knowledge: &mut Knowledge, store: &dyn Storage) {
        let Some(shape) = self.get(id) else {
            return;
        };
        let (plan, base, at, depth) = (shape.plan, shape.base, shape.at, shape.depth);
        let Some(rule) = shape.closed else {
            return;
        };
        let source = self.plans[plan as usize].source();
        let rule = source.message.rule(rule);
        let outlook = source.outlook(rule, knowledge);
        let watched = source.watched(rule, knowledge);
        if outlook != Outlook::Open {
            for key in watched {
                self.watchers.entry(key).or_default().push((id, CLOSED));
            }
            if let Some(shape) = self.get_mut(id) {
                shape.pending = usize::from(outlook == Outlook::Pending);
            }
            return;
        }
        if let Some(shape) = self.get_mut(id) {
            shape.closed = None;
            shape.pending = 0;
        }
        match self.look_into(plan, base, at, depth, knowledge, store) {
            Ok(parts) => self.connect(id, parts, knowledge, store),
            Err(error) => {
                self.problem(plan, error.to_string());
                self.count(id, None, Some(Output::Refuted));
            }
        }
    }

    /// What `key` stands for has changed: those who depend on it are looked at again.
    pub(crate) fn wake(&mut self, key: Key, knowledge: &mut Knowledge, store: &dyn Storage) {
        for (id, group) in self.watchers.remove(&key).unwrap_or_default() {
            let Some(shape) = self.get_mut(id) else {
                continue;
            };
            let (base, depth, plan) = (shape.base, shape.depth, shape.plan);
            if group == CLOSED {
                self.resolve_closed(id, knowledge, store);
                self.dirty.insert((depth, id));
                continue;
            }
            shape.groups[group as usize]
                .watched
                .retain(|other| *other != key);
            match directory(store, base) {
                Ok(here) => self.resolve_group(id, group, &here, knowledge, store),
                Err(error) => {
                    self.problem(plan, error.to_string());
                    self.set_group(id, group, GroupState::Refuted);
                }
            }
            self.dirty.insert((depth, id));
        }
    }

    /// Looks at the next shape that may have changed; gives the jobs that are concerned.
    /// `None` when there is nothing more to look at.
    pub(crate) fn step(&mut self, store: &dyn Storage) -> Option<Vec<JobId>> {
        let (_, id) = self.dirty.pop_last()?;
        Some(self.refresh(id, store))
    }

    pub(crate) fn output(&self, id: ShapeId) -> Output {
        self.get(id).map_or(Output::Refuted, |shape| shape.output)
    }

    /// What differs below `id` from how it was.
    pub(crate) fn changed(&self, id: ShapeId) -> Vec<Changed> {
        let mut changed = Vec::new();
        let mut pending = vec![(TreePath::root(), id)];
        while let Some((at, id)) = pending.pop() {
            let Some(shape) = self.get(id) else {
                continue;
            };
            for group in &shape.groups {
                if let GroupState::Resolved(changes) = &group.state {
                    changed.extend(changes.iter().map(|change| Changed {
                        path: at.child(&change.name),
                        old: change.old.clone(),
                        new: change.new.clone(),
                    }));
                }
            }
            // What has not changed has nothing changed in it.
            let below = shape.children.iter().filter(|(_, child)| {
                self.get(*child)
                    .is_some_and(|shape| shape.output != Output::Ready(Some(shape.base)))
            });
            pending.extend(below.map(|(name, child)| (at.child(name), *child)));
        }
        changed
    }

    /// Forgets the shapes of a plan: nobody needs them any more.
    pub(crate) fn forget(&mut self, plan: u32) {
        for (_, id) in std::mem::take(&mut self.plans[plan as usize].shapes) {
            if let Some(id) = id {
                self.shapes[id as usize] = None;
            }
        }
    }

    fn get(&self, id: ShapeId) -> Option<&Shape> {
        self.shapes.get(id as usize)?.as_ref()
    }

    fn get_mut(&mut self, id: ShapeId) -> Option<&mut Shape> {
        self.shapes.get_mut(id as usize)?.as_mut()
    }

    fn problem(&mut self, plan: u32, reason: String) {
        let element = self.plans[plan as usize].elements[0];
        self.problems.push((element, reason));
    }

    fn resolve_group(
        &mut self,
        id: ShapeId,
        number: u32,
        here: &Directory,
        knowledge: &mut Knowledge,
        store: &dyn Storage,
    ) {
        let Some(shape) = self.shapes.get_mut(id as usize).and_then(Option::as_mut) else {
            return;
        };
        let plan = shape.plan;
        let source = self.plans[plan as usize].source();
        let group = &mut shape.groups[number as usize];
        let resolved = group.resolve(&source, here, knowledge, store);
        for key in source.watched(source.message.rule(group.rule), knowledge) {
            if !group.watched.contains(&key) {
                group.watched.push(key);
                self.watchers.entry(key).or_default().push((id, number));
                if let Key::Action(element, action) = key {
                    knowledge.await_action(element, action);
                }
            }
        }
        let state = resolved.unwrap_or_else(|error| {
            self.problem(plan, error.to_string());
            GroupState::Refuted
        });
        self.set_group(id, number, state);
    }

    fn set_group(&mut self, id: ShapeId, group: u32, state: GroupState) {
        let new = state.output();
        if let Some(shape) = self.get_mut(id) {
            let group = &mut shape.groups[group as usize];
            let old = std::mem::replace(&mut group.state, state).output();
            self.count(id, Some(old), Some(new));
        }
    }

    /// A part of `id` has changed from one output to another.
    fn count(&mut self, id: ShapeId, old: Option<Output>, new: Option<Output>) {
        if let Some(shape) = self.get_mut(id) {
            let is = |output: Option<Output>, kind| usize::from(output == Some(kind));
            shape.pending += is(new, Output::Pending);
            shape.pending -= is(old, Output::Pending);
            shape.refuted += is(new, Output::Refuted);
            shape.refuted -= is(old, Output::Refuted);
        }
    }

    /// Works out what a shape becomes, and tells those above; gives the jobs that are concerned.
    fn refresh(&mut self, id: ShapeId, store: &dyn Storage) -> Vec<JobId> {
        let Some(shape) = self.get(id) else {
            return Vec::new();
        };
        let (plan, old) = (shape.plan, shape.output);
        let new = self.compute(shape, store).unwrap_or_else(|error| {
            self.problem(plan, error.to_string());
            Output::Refuted
        });
        let Some(shape) = self.get_mut(id).filter(|_| new != old) else {
            return Vec::new();
        };
        shape.output = new;
        let (jobs, parents) = (shape.jobs.clone(), shape.parents.clone());
        for parent in parents {
            self.count(parent, Some(old), Some(new));
            if let Some(depth) = self.get(parent).map(|shape| shape.depth) {
                self.dirty.insert((depth, parent));
            }
        }
        jobs
    }

    fn compute(&self, shape: &Shape, store: &dyn Storage) -> Result<Output, SpeculationError> {
        if shape.refuted > 0 {
            return Ok(Output::Refuted);
        }
        if shape.pending > 0 {
            return Ok(Output::Pending);
        }
        let mut changes: Vec<(&Name, Option<Node>)> = Vec::new();
        for group in &shape.groups {
            if let GroupState::Resolved(list) = &group.state {
                changes.extend(list.iter().map(|change| (&change.name, change.new.clone())));
            }
        }
        for (name, child) in &shape.children {
            if let Some(child) = self.get(*child)
                && let Output::Ready(new) = child.output
                && new != Some(child.base)
            {
                changes.push((name, new.map(Node::Directory)));
            }
        }
        if changes.is_empty() {
            return Ok(Output::Ready(Some(shape.base)));
        }
        let mut new = Directory::clone(&*directory(store, shape.base)?);
        for (name, node) in changes {
            match node {
                Some(node) => new.entries.insert(name.clone(), node),
                None => new.entries.remove(name),
            };
        }
        if new.entries.is_empty() {
            return Ok(Output::Ready(None));
        }
        let encoded = new.encode();
        let digest = DirectoryDigest::of(&encoded);
        store.write_directory(digest, encoded)?;
        Ok(Output::Ready(Some(digest)))
    }
}

impl Shape {
    fn new(
        plan: u32,
        base: DirectoryDigest,
        at: DirId,
        depth: u32,
        closed: Option<RuleId>,
    ) -> Self {
        Self {
            plan,
            base,
            at,
            depth,
            closed,
            groups: Vec::new(),
            children: Vec::new(),
            parents: Vec::new(),
            jobs: Vec::new(),
            pending: 0,
            refuted: 0,
            output: Output::Pending,
        }
    }
}

impl Parts {
    fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.children.is_empty()
    }
}
