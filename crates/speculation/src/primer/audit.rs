//! Checking, apart from all that led to it, that what was executed agrees with what is known.

use std::collections::HashMap;

use headstart_merkle::{DirectoryDigest, Node};
use headstart_reapi::reapi;
use headstart_store::read_message;

use super::Primer;
use super::jobs::Job;
use super::knowledge::{Key, Known};
use super::resolve::Source;
use super::tasks::State;
use crate::origin::ElementId;
use crate::storage::{MAX_DEPTH, SpeculationError, Storage, content, directory, lookup};
use crate::table::{Candidate, DirId, Kind, Table};

/// Whether a tree agrees, by the plan, what it was, what it is, and where in the table it is.
type Checked = HashMap<(u32, DirectoryDigest, Option<DirectoryDigest>, DirId), bool>;

impl Primer {
    /// Looks again at each action of `element` that was executed ahead of need and not corrected,
    /// and holds its inputs against the artifacts that are known by now. Those that disagree are
    /// counted as stale in the element's account; gives their number, which should be 0.
    ///
    /// It looks at every input tree anew: for tests and demonstrations, not for each build.
    pub fn audit(
        &mut self,
        element: &ElementId,
        store: &dyn Storage,
    ) -> Result<usize, SpeculationError> {
        let Some(number) = self.knowledge.find(element) else {
            return Ok(0);
        };
        let Some(known) = self.elements.get(&number) else {
            return Ok(0);
        };
        let mut stale = 0;
        let mut checked = Checked::new();
        for id in &known.jobs {
            let job = &self.jobs[*id as usize];
            if let Some(root) = self.executed_root(job, store)?
                && !self.agrees(job.plan, job.base_root, Some(root), &mut checked, store)?
            {
                stale += 1;
            }
        }
        self.elements.entry(number).or_default().account.stale = stale;
        Ok(stale)
    }

    /// The input tree of what a job's action was executed as.
    fn executed_root(
        &self,
        job: &Job,
        store: &dyn Storage,
    ) -> Result<Option<DirectoryDigest>, SpeculationError> {
        let Some(action) = job.adapted() else {
            return Ok(None);
        };
        let task = self.tasks.get(action);
        // What was cancelled has left nothing.
        let done = |state: &State| matches!(state, State::Done(_) | State::Failed);
        if !task.is_some_and(|task| task.executed && done(&task.state)) {
            return Ok(None);
        }
        let action: reapi::Action = read_message(store.blobs(), action, "an Action")?;
        let root = action.input_root_digest.as_ref();
        Ok(root.and_then(|root| root.try_into().ok()))
    }

    fn agrees(
        &self,
        plan: u32,
        base: DirectoryDigest,
        today: Option<DirectoryDigest>,
        checked: &mut Checked,
        store: &dyn Storage,
    ) -> Result<bool, SpeculationError> {
        let source = self.shapes.plans[plan as usize].source();
        let mut pending = vec![(base, today, Table::ROOT, 0)];
        while let Some((base, today, at, depth)) = pending.pop() {
            if depth > MAX_DEPTH || checked.contains_key(&(plan, base, today, at)) {
                continue;
            }
            let was = directory(store, base)?;
            let is = today.map(|today| directory(store, today)).transpose()?;
            let is = is.unwrap_or_default();
            let mut agrees = true;
            for (name, old) in &was.entries {
                let new = is.entries.get(name);
                if let Node::Directory(old) = old {
                    if let Some(below) = source.message.inputs.child(at, name) {
                        let new = match new {
                            Some(Node::Directory(new)) => Some(*new),
                            _ => None,
                        };
                        pending.push((*old, new, below, depth + 1));
                    }
                } else if let Some(old_content) = content(old)
                    && let Some(rule) = source.message.inputs.rule(at, name, old_content)
                    && let Some(last) = source.message.rule(rule).0.last()
                    && let Some(truth) = self.staged(&source, last, name, old, store)?
                {
                    // What nothing includes any more is left out.
                    let new = new.and_then(content);
                    agrees &= new.is_none() || truth.as_ref().and_then(content) == new;
                }
            }
            if !agrees {
                return Ok(false);
            }
            checked.insert((plan, base, today, at), true);
        }
        Ok(true)
    }

    /// What the artifact that staged a file has there today, if it is known.
    fn staged(
        &self,
        source: &Source<'_>,
        last: &Candidate,
        name: &headstart_merkle::Name,
        base: &Node,
        store: &dyn Storage,
    ) -> Result<Option<Option<Node>>, SpeculationError> {
        let key = source.key(last);
        let (Kind::Artifact, Key::Artifact(_)) = (last.kind, key) else {
            return Ok(None);
        };
        let Known::Tree(tree) = self.knowledge.tree(key) else {
            return Ok(None);
        };
        let follow = matches!(base, Node::File(_));
        let found = lookup(store, tree, &last.path(name), follow)?;
        Ok(Some(
            found.filter(|node| !matches!(node, Node::Directory(_))),
        ))
    }
}
