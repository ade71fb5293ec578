//! Input trees as a graph: each Directory at each path once, whoever has it.
//!
//! What becomes known is not followed at once. It marks what depends on it, up to the jobs, which
//! takes no reading; a job that is looked at then has the marked shapes below it brought up to date
//! ([`update`]), one after another, so that this can stop at each.
//!
//! Invariant: above a marked shape all are marked, and all their jobs are known to have to be looked
//! at.

mod pieces;
mod update;

use std::collections::HashMap;
use std::collections::hash_map::IntoIter;
use std::sync::Arc;
use std::time::Duration;

use headstart_merkle::{Ahead, DirectoryDigest, Name, Node, TreePath};
use smallvec::SmallVec;

use super::group::{Change, Group, GroupState, Output};
use super::knowledge::{ElementNo, Key, Knowledge};
use super::pace::Slices;
use super::plan::{Plan, Unjudged};
use super::scanner::Scanner;
use crate::storage::{MAX_DEPTH, SpeculationError, Storage, directory};
use crate::table::{DirId, RuleId, Table};
use pieces::Pieces;

/// How many directories the input trees of one element may have, each path counted.
const MAX_SHAPES: usize = 4_000_000;

/// How many shapes are forgotten at a time.
const FORGOTTEN_AT_ONCE: usize = 256;

pub(crate) type ShapeId = u32;
pub(crate) type JobId = u32;

/// Nearly always one, or two.
type Few<T> = SmallVec<[T; 2]>;

/// A Directory at a path of an element's input trees.
struct Shape {
    plan: u32,
    base: DirectoryDigest,
    at: DirId,
    depth: u32,
    look: Look,
    groups: Vec<Group>,
    children: Vec<(Name, ShapeId)>,
    parents: Few<ShapeId>,
    jobs: Few<JobId>,
    /// Whether something at or below it may not be as it should.
    marked: bool,
    /// Whether what it consists of has changed since its output was worked out.
    changed: bool,
    /// Whether something at or below it may change what is included: see [`Changed`].
    notable: bool,
    output: Output,
    /// Since when it has to be looked into, if it has not been from the beginning.
    opened: Duration,
    /// When the last thing became known that its output depends on.
    since: Duration,
}

/// How far a shape has been looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// Nobody has asked yet.
    Unread,
    /// A few rules stand for all in it, and are its groups.
    Closed,
    Open,
    /// It can't be read.
    Broken,
}

/// A file that is there no more, or includes others than it did.
pub(crate) struct Changed {
    pub(crate) path: TreePath,
    pub(crate) old: Node,
    /// `None` if it is there no more.
    pub(crate) new: Option<Node>,
}

/// Files of recorded inputs that wait for something.
pub(crate) enum Waiting<'a> {
    /// Those at these places of a Directory.
    Files(DirectoryDigest, &'a [u32]),
    /// All below a Directory.
    Tree(DirectoryDigest),
    /// Which they are has not been looked into, or does not matter any more.
    Unknown,
}

/// What it takes to bring shapes up to date.
pub(crate) struct Means<'a> {
    pub(crate) knowledge: &'a mut Knowledge,
    pub(crate) scanner: &'a mut Scanner,
    pub(crate) slices: &'a mut Slices,
    pub(crate) store: &'a dyn Storage,
}

/// Groups, by their numbers in shapes, by what they wait for.
type Watchers = HashMap<Key, Vec<(ShapeId, u32)>>;

/// The graph.
#[derive(Default)]
pub(crate) struct Shapes {
    pub(crate) plans: Vec<Plan>,
    shapes: Pieces<Option<Shape>>,
    watchers: Watchers,
    /// Jobs that have to be looked at, since something in their inputs has been marked.
    pub(crate) woken: Vec<JobId>,
    pub(crate) problems: Vec<(ElementNo, String)>,
    /// Shapes that nobody needs any more.
    forgotten: Vec<IntoIter<(DirectoryDigest, DirId), ShapeId>>,
}

impl Shapes {
    /// The shape of the input tree `root` for `job`.
    pub(crate) fn add_root(
        &mut self,
        plan: u32,
        root: DirectoryDigest,
        job: JobId,
    ) -> Result<ShapeId, SpeculationError> {
        let id = self.add(plan, root, Table::ROOT, 0)?;
        if let Some(shape) = self.get_mut(id) {
            shape.jobs.push(job);
        }
        Ok(id)
    }

    fn add(
        &mut self,
        number: u32,
        base: DirectoryDigest,
        at: DirId,
        depth: u32,
    ) -> Result<ShapeId, SpeculationError> {
        let plan = &mut self.plans[number as usize];
        if let Some(known) = plan.shapes.get(&(base, at)) {
            return Ok(*known);
        }
        if depth as usize > MAX_DEPTH {
            return Err(SpeculationError::TooDeep(TreePath::root()));
        }
        if plan.shapes.len() >= MAX_SHAPES {
            let whose = plan.message.element().to_string();
            return Err(SpeculationError::TooLarge(whose, MAX_SHAPES));
        }
        let closed = plan.common[at as usize].clone();
        let shape = Shape::new(number, base, at, depth, closed);
        let id = self.shapes.push(Some(shape)) as ShapeId;
        plan.shapes.insert((base, at), id);
        Ok(id)
    }

    /// What `key` stands for has changed, since then: those who depend on it are marked.
    pub(crate) fn wake(&mut self, key: Key, since: Duration) {
        for (id, group) in self.watchers.remove(&key).unwrap_or_default() {
            let Some(shape) = self.get_mut(id) else {
                continue;
            };
            if let Some(group) = shape.groups.get_mut(group as usize) {
                group.watched.retain(|other| *other != key);
                if !group.marked {
                    group.marked = true;
                    group.since = since;
                }
            }
            self.mark(id);
        }
    }

    /// What waits for `key`: the first group that does, the second, and so on.
    pub(crate) fn waiting(&self, key: Key, number: usize) -> Option<Waiting<'_>> {
        let (id, group) = *self.watchers.get(&key)?.get(number)?;
        let shape = self.get(id);
        let group = shape.and_then(|shape| Some((shape, shape.groups.get(group as usize)?)));
        Some(match group {
            Some((shape, group)) if shape.look == Look::Open => {
                Waiting::Files(shape.base, &group.files)
            }
            Some((shape, _)) if shape.groups.len() == 1 => Waiting::Tree(shape.base),
            _ => Waiting::Unknown,
        })
    }

    /// What `key` stands for may be about to change: those who depend on it are in doubt.
    pub(crate) fn doubt(&mut self, key: Key) {
        let watchers = self.watchers.get(&key).into_iter().flatten();
        let shapes: Vec<ShapeId> = watchers.map(|(id, _)| *id).collect();
        for id in shapes {
            self.mark(id);
        }
    }

    fn mark(&mut self, id: ShapeId) {
        let mut pending = vec![id];
        while let Some(id) = pending.pop() {
            let shape = self.shapes.get_mut(id as usize).and_then(Option::as_mut);
            let Some(shape) = shape.filter(|shape| !shape.marked) else {
                continue;
            };
            shape.marked = true;
            self.woken.extend(&shape.jobs);
            pending.extend(&shape.parents);
        }
    }

    pub(crate) fn output(&self, id: ShapeId) -> Output {
        self.get(id).map_or(Output::Refuted, |shape| shape.output)
    }

    /// When the last thing became known that the output of `id` depends on.
    pub(crate) fn since(&self, id: ShapeId) -> Duration {
        self.get(id).map_or(Duration::ZERO, |shape| shape.since)
    }

    /// Whether anything below `id` was removed or includes others than it did.
    pub(crate) fn changes_includes(&self, id: ShapeId) -> bool {
        self.get(id).is_some_and(|shape| shape.notable)
    }

    /// What below `id` was removed or includes others than it did.
    pub(crate) fn changed(
        &self,
        id: ShapeId,
        store: &dyn Storage,
    ) -> Result<Vec<Changed>, SpeculationError> {
        let mut changed = Vec::new();
        let mut pending = vec![(TreePath::root(), id)];
        while let Some((at, id)) = pending.pop() {
            let Some(shape) = self.get(id).filter(|shape| shape.notable) else {
                continue;
            };
            let notable: Vec<&Change> = shape.changes().filter(|c| c.is_notable()).collect();
            if !notable.is_empty() {
                let here = directory(store, shape.base)?;
                changed.extend(notable.into_iter().filter_map(|change| {
                    let (name, old) = here.entries.nth(change.place as usize)?;
                    Some(Changed {
                        path: at.child(name),
                        old: old.clone(),
                        new: change.new.clone(),
                    })
                }));
            }
            let children = shape.children.iter();
            pending.extend(children.map(|(name, child)| (at.child(name), *child)));
        }
        Ok(changed)
    }

    /// Adds what will be read to bring `id` and all below it up to what is known, as `guide` leads on from
    /// there; says whether there is anything.
    pub(crate) fn add_what_will_be_read(
        &self,
        id: ShapeId,
        guide: &Unjudged,
        list: &mut Vec<Ahead>,
    ) -> bool {
        let Some(shape) = self.get(id).filter(|shape| shape.marked) else {
            return false;
        };
        let (is_read, from) = match shape.look {
            Look::Open => {
                let here = shape.groups.iter().any(|group| group.marked);
                let below = shape.children.iter().fold(false, |any, (_, child)| {
                    self.add_what_will_be_read(*child, guide, list) || any
                });
                // It is written again if something below is another.
                (here || below, None)
            }
            Look::Closed => (!guide.is_judged(shape.at), Some(shape.at)),
            Look::Unread => (true, Some(shape.at)),
            Look::Broken => (false, None),
        };
        let directory = shape.base;
        list.extend(is_read.then_some(Ahead { directory, from }));
        is_read
    }

    /// Forgets the shapes of a plan: nobody needs them any more.
    pub(crate) fn forget(&mut self, plan: u32) {
        let shapes = std::mem::take(&mut self.plans[plan as usize].shapes);
        self.forgotten.push(shapes.into_iter());
    }

    /// Whether there are shapes left to be [freed](Self::free_some).
    pub(crate) fn are_to_be_freed(&self) -> bool {
        !self.forgotten.is_empty()
    }

    /// Frees some of the shapes that were forgotten.
    pub(crate) fn free_some(&mut self) {
        let Some(shapes) = self.forgotten.last_mut() else {
            return;
        };
        for (_, id) in shapes.by_ref().take(FORGOTTEN_AT_ONCE) {
            if let Some(shape) = self.shapes.get_mut(id as usize) {
                *shape = None;
            }
        }
        if shapes.len() == 0 {
            self.forgotten.pop();
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
}

impl Shape {
    /// Files in it that are not what they were.
    fn changes(&self) -> impl Iterator<Item = &Change> {
        let states = self.groups.iter().map(|group| &group.state);
        states.flat_map(|state| match state {
            GroupState::Resolved(changes) => changes.as_slice(),
            _ => &[],
        })
    }

    fn new(
        plan: u32,
        base: DirectoryDigest,
        at: DirId,
        depth: u32,
        closed: Option<Arc<[RuleId]>>,
    ) -> Self {
        let look = closed.as_ref().map_or(Look::Unread, |_| Look::Closed);
        let rules = closed.iter().flat_map(|rules| rules.iter());
        let groups = rules.map(|rule| Group::new((*rule, Vec::new())));
        Self {
            plan,
            base,
            at,
            depth,
            look,
            groups: groups.collect(),
            children: Vec::new(),
            parents: Few::new(),
            jobs: Few::new(),
            marked: true,
            changed: true,
            notable: false,
            output: Output::Pending,
            opened: Duration::ZERO,
            since: Duration::ZERO,
        }
    }
}
