//! Bringing shapes up to what is known.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use headstart_merkle::{Directory, DirectoryDigest, Node};

use super::{Look, Means, Shape, ShapeId, Shapes, Watchers};
use crate::primer::group::{Change, Group, GroupState, Output};
use crate::primer::knowledge::Key;
use crate::primer::pace::Stop;
use crate::primer::resolve::Outlook;
use crate::storage::{SpeculationError, Storage, content, directory};
use crate::table::RuleId;

/// How many changed files are scanned for directives at a time.
const SCANNED_TOGETHER: usize = 32;

impl Shapes {
    /// Brings a shape and all below it up to what is known. If that stops before its end, it is to be
    /// asked for again, and goes on from there.
    pub(crate) fn bring_up(&mut self, id: ShapeId, means: &mut Means<'_>) -> ControlFlow<Stop> {
        if !self.get(id).is_some_and(|shape| shape.marked) {
            return ControlFlow::Continue(());
        }
        self.look_into(id, means);
        let mut next = 0;
        while let Some(child) = self.child(id, next) {
            self.bring_up(child, means)?;
            next += 1;
        }
        self.resolve_groups(id, means)?;
        self.note_changes(id, means)?;
        self.work_out(id, means.store);
        means.slices.spend()
    }

    fn child(&self, id: ShapeId, number: usize) -> Option<ShapeId> {
        let (_, child) = self.get(id)?.children.get(number)?;
        Some(*child)
    }

    /// Reads a Directory and adds those below it, if nobody has, and if it need be.
    fn look_into(&mut self, id: ShapeId, means: &mut Means<'_>) {
        if self.is_judged_as_a_whole(id, means) {
            return;
        }
        let Some(shape) = self.get(id) else {
            return;
        };
        if !matches!(shape.look, Look::Unread | Look::Closed) {
            return;
        }
        let plan = shape.plan;
        let read = self.read(id, means.store);
        let broken = read.map_err(|error| self.problem(plan, error.to_string()));
        if let Some(shape) = self.get_mut(id) {
            shape.look = match broken {
                Ok(()) => Look::Open,
                Err(()) => Look::Broken,
            };
            shape.changed = true;
        }
    }

    /// Whether the rules that stand for all in a shape decide without looking into it. If so, it has been
    /// judged by them.
    fn is_judged_as_a_whole(&mut self, id: ShapeId, means: &mut Means<'_>) -> bool {
        let shape = self.shapes.get_mut(id as usize).and_then(Option::as_mut);
        let Some(shape) = shape.filter(|shape| shape.look == Look::Closed) else {
            return false;
        };
        let source = self.plans[shape.plan as usize].source();
        let rules = shape.groups.len();
        for group in shape.groups.iter_mut().filter(|group| group.marked) {
            let rule = source.message.rule(group.rule);
            let outlook = source.outlook(rule, means.knowledge);
            if !outlook.judges(rules) {
                return false;
            }
            group.state = match outlook {
                Outlook::Same => GroupState::Resolved(Vec::new()),
                _ => GroupState::Pending,
            };
        }
        for (number, group) in shape.groups.iter_mut().enumerate() {
            if !std::mem::take(&mut group.marked) {
                continue;
            }
            shape.changed = true;
            let rule = source.message.rule(group.rule);
            let keys = source.watched(rule, means.knowledge);
            watch(&mut self.watchers, (id, number), group, keys, means);
        }
        true
    }

    fn read(&mut self, id: ShapeId, store: &dyn Storage) -> Result<(), SpeculationError> {
        let Some(shape) = self.get(id) else {
            return Ok(());
        };
        let Shape {
            plan,
            base,
            at,
            depth,
            ..
        } = *shape;
        let message = Arc::clone(&self.plans[plan as usize].message);
        let here = directory(store, base)?;
        let mut groups: BTreeMap<RuleId, Vec<u32>> = BTreeMap::new();
        let mut children = Vec::new();
        for (place, (name, node)) in here.entries.iter().enumerate() {
            if let Node::Directory(child) = node {
                if let Some(below) = message.inputs.child(at, name) {
                    children.push((name.clone(), self.add(plan, *child, below, depth + 1)?));
                }
            } else if let Some(content) = content(node)
                && let Some(rule) = message.inputs.rule(at, name, content)
            {
                groups.entry(rule).or_default().push(place as u32);
            }
        }
        for (_, child) in &children {
            if let Some(child) = self.get_mut(*child) {
                child.parents.push(id);
            }
        }
        if let Some(shape) = self.get_mut(id) {
            // Since then it had to be looked into.
            let since = shape.groups.iter().map(|group| group.since).max();
            shape.opened = since.unwrap_or(shape.opened);
            shape.groups = groups.into_iter().map(Group::new).collect();
            shape.children = children;
        }
        Ok(())
    }

    fn resolve_groups(&mut self, id: ShapeId, means: &mut Means<'_>) -> ControlFlow<Stop> {
        let mut here: Option<Arc<Directory>> = None;
        let groups = self.get(id).map_or(0, |shape| match shape.look {
            Look::Open => shape.groups.len(),
            _ => 0,
        });
        for number in 0..groups {
            let Some(shape) = self.shapes.get_mut(id as usize).and_then(Option::as_mut) else {
                break;
            };
            let source = self.plans[shape.plan as usize].source();
            let group = &mut shape.groups[number];
            if means.knowledge.is_anything_doubtful()
                && let Some((element, action)) = source.doubtful(group.rule, means.knowledge)
            {
                return ControlFlow::Break(Stop::First(element, action));
            }
            if !std::mem::take(&mut group.marked) {
                continue;
            }
            let known = here
                .take()
                .map_or_else(|| directory(means.store, shape.base), Ok);
            let resolved = known.map_err(SpeculationError::from).and_then(|known| {
                let known = here.insert(known);
                group.resolve(&source, known, means.knowledge, means.store)
            });
            let keys = source.watched(source.message.rule(group.rule), means.knowledge);
            watch(&mut self.watchers, (id, number), group, keys, means);
            shape.changed = true;
            let plan = shape.plan;
            match resolved {
                Ok(state) => group.state = state,
                Err(error) => {
                    group.state = GroupState::Refuted;
                    self.problem(plan, error.to_string());
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// Finds out which of the changed files include others than they did.
    fn note_changes(&mut self, id: ShapeId, means: &mut Means<'_>) -> ControlFlow<Stop> {
        let Some(shape) = self.get_mut(id).filter(|shape| shape.changed) else {
            return ControlFlow::Continue(());
        };
        if !shape.changes().any(|change| change.notable.is_none()) {
            return ControlFlow::Continue(());
        }
        // What can't be read is told of when it is worked out.
        let Ok(here) = directory(means.store, shape.base) else {
            return ControlFlow::Continue(());
        };
        for group in &mut shape.groups {
            let GroupState::Resolved(changes) = &mut group.state else {
                continue;
            };
            for some in changes.chunks_mut(SCANNED_TOGETHER) {
                if some.iter().all(|change| change.notable.is_some()) {
                    continue;
                }
                means.scanner.judge(some, &here, means.store);
                means.slices.spend()?;
            }
        }
        ControlFlow::Continue(())
    }

    /// Works out what a shape becomes, all below it being as it should.
    fn work_out(&mut self, id: ShapeId, store: &dyn Storage) {
        let Some(shape) = self.get_mut(id) else {
            return;
        };
        shape.marked = false;
        if !std::mem::take(&mut shape.changed) {
            return;
        }
        let Some(shape) = self.get(id) else {
            return;
        };
        let (plan, since, notable) = (shape.plan, self.latest(shape), self.is_notable(shape));
        let new = self.compute(shape, store).unwrap_or_else(|error| {
            self.problem(plan, error.to_string());
            Output::Refuted
        });
        let Some(shape) = self.get_mut(id) else {
            return;
        };
        if new == shape.output && notable == shape.notable {
            return;
        }
        shape.output = new;
        shape.notable = notable;
        shape.since = since;
        let parents = std::mem::take(&mut shape.parents);
        for parent in &parents {
            if let Some(parent) = self.get_mut(*parent) {
                parent.changed = true;
            }
        }
        if let Some(shape) = self.get_mut(id) {
            shape.parents = parents;
        }
    }

    /// When the last of what a shape consists of became known.
    fn latest(&self, shape: &Shape) -> Duration {
        let groups = shape.groups.iter().map(|group| group.since);
        let children = shape.children.iter().map(|(_, child)| self.since(*child));
        let parts = groups.chain(children).max();
        parts.unwrap_or_default().max(shape.opened)
    }

    fn is_notable(&self, shape: &Shape) -> bool {
        let mut children = shape.children.iter();
        shape.changes().any(Change::is_notable)
            || children.any(|(_, child)| self.get(*child).is_some_and(|child| child.notable))
    }

    fn compute(&self, shape: &Shape, store: &dyn Storage) -> Result<Output, SpeculationError> {
        let groups = || shape.groups.iter().map(|group| group.state.output());
        let children = || shape.children.iter().map(|(_, child)| self.output(*child));
        let parts = || groups().chain(children());
        if shape.look == Look::Broken || parts().any(|part| part == Output::Refuted) {
            return Ok(Output::Refuted);
        }
        if parts().any(|part| part == Output::Pending) {
            return Ok(Output::Pending);
        }
        let mut children = Vec::new();
        for (name, child) in &shape.children {
            if let Some(child) = self.get(*child)
                && let Output::Ready(new) = child.output
                && new != Some(child.base)
            {
                children.push((name, new.map(Node::Directory)));
            }
        }
        if children.is_empty() && shape.changes().next().is_none() {
            return Ok(Output::Ready(Some(shape.base)));
        }
        let here = directory(store, shape.base)?;
        let files = shape.changes().filter_map(|change| {
            let (name, _) = here.entries.nth(change.place as usize)?;
            Some((name, change.new.clone()))
        });
        let mut new = Directory::clone(&here);
        for (name, node) in files.chain(children) {
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

/// Has a group, by its number in a shape, wait for `keys`.
fn watch(
    watchers: &mut Watchers,
    (id, number): (ShapeId, usize),
    group: &mut Group,
    keys: Vec<Key>,
    means: &mut Means<'_>,
) {
    for key in keys {
        if group.watched.contains(&key) {
            continue;
        }
        group.watched.push(key);
        watchers.entry(key).or_default().push((id, number as u32));
        if let Key::Action(element, action) = key {
            means.knowledge.await_action(element, action);
        }
    }
}
