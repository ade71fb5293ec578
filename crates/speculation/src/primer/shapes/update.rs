//! Bringing shapes up to what is known.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use headstart_merkle::{Directory, DirectoryDigest, Name, Node};

use super::{Look, Means, Shape, ShapeId, Shapes};
use crate::primer::group::{Group, GroupState, Output};
use crate::primer::knowledge::Key;
use crate::primer::pace::Stop;
use crate::primer::resolve::Outlook;
use crate::storage::{SpeculationError, Storage, content, directory};
use crate::table::RuleId;

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
        if !matches!(shape.look, Look::Unread | Look::Closed(_)) {
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

    /// Whether one rule stands for all in a shape and decides without looking into it. If so, it has
    /// been judged by that.
    fn is_judged_as_a_whole(&mut self, id: ShapeId, means: &mut Means<'_>) -> bool {
        let Some(shape) = self.shapes.get_mut(id as usize).and_then(Option::as_mut) else {
            return false;
        };
        let (Look::Closed(rule), [group]) = (shape.look, &mut shape.groups[..]) else {
            return false;
        };
        if !std::mem::take(&mut group.marked) {
            return true;
        }
        let source = self.plans[shape.plan as usize].source();
        let rule = source.message.rule(rule);
        group.state = match source.outlook(rule, means.knowledge) {
            Outlook::Open => return false,
            Outlook::Pending => GroupState::Pending,
            Outlook::Same => GroupState::Resolved(Vec::new()),
        };
        for key in source.watched(rule, means.knowledge) {
            if !group.watched.contains(&key) {
                group.watched.push(key);
                self.watchers.entry(key).or_default().push((id, 0));
            }
        }
        shape.changed = true;
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
        let mut groups: BTreeMap<RuleId, Vec<Name>> = BTreeMap::new();
        let mut children = Vec::new();
        for (name, node) in &here.entries {
            if let Node::Directory(child) = node {
                if let Some(below) = message.inputs.child(at, name) {
                    children.push((name.clone(), self.add(plan, *child, below, depth + 1)?));
                }
            } else if let Some(content) = content(node)
                && let Some(rule) = message.inputs.rule(at, name, content)
            {
                groups.entry(rule).or_default().push(name.clone());
            }
        }
        for (_, child) in &children {
            if let Some(child) = self.get_mut(*child) {
                child.parents.push(id);
            }
        }
        if let Some(shape) = self.get_mut(id) {
            // Since then it had to be looked into.
            shape.opened = shape
                .groups
                .first()
                .map_or(shape.opened, |group| group.since);
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
            for key in source.watched(source.message.rule(group.rule), means.knowledge) {
                if !group.watched.contains(&key) {
                    group.watched.push(key);
                    let watchers = self.watchers.entry(key).or_default();
                    watchers.push((id, number as u32));
                    if let Key::Action(element, action) = key {
                        means.knowledge.await_action(element, action);
                    }
                }
            }
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
        for group in &mut shape.groups {
            let GroupState::Resolved(changes) = &mut group.state else {
                continue;
            };
            for change in changes {
                if change.notable.is_none() {
                    change.notable = Some(means.scanner.is_notable(change, means.store));
                    means.slices.spend()?;
                }
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
        let own = shape.groups.iter().any(|group| match &group.state {
            GroupState::Resolved(changes) => changes.iter().any(|change| change.is_notable()),
            _ => false,
        });
        let mut children = shape.children.iter();
        own || children.any(|(_, child)| self.get(*child).is_some_and(|child| child.notable))
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
