//! Reading ahead what recorded actions that will be looked at soon are made of: their input trees are
//! read in the background while those before them are looked at.

use std::collections::VecDeque;
use std::sync::Arc;

use headstart_merkle::{ActionDigest, Ahead, Digest, DirectoryDigest};
use headstart_reapi::reapi;
use headstart_store::{decode_message, read_message};

use super::Primer;
use super::plan::Unjudged;
use crate::message::SpeculativeActions;
use crate::storage::{SpeculationError, Storage};
use crate::table::Table;

/// How many actions are read ahead of at a time. Their input trees are in memory until they are looked
/// at.
const TOGETHER: usize = 16;

/// The recorded actions of a message, in order, of which some are read ahead.
#[derive(Default)]
pub(super) struct Recorded {
    /// How many have been read.
    read: usize,
    /// Input trees of those that were read last.
    ahead: VecDeque<(ActionDigest, Result<DirectoryDigest, SpeculationError>)>,
}

impl Recorded {
    /// The input tree of the next action of `message`, which is `action`. Those that are left out are not
    /// asked for later.
    pub(super) fn input_root(
        &mut self,
        message: &SpeculativeActions,
        action: ActionDigest,
        guide: &Arc<Unjudged>,
        store: &dyn Storage,
    ) -> Result<DirectoryDigest, SpeculationError> {
        loop {
            // Always one lot more than the one that is being taken in.
            while self.ahead.len() <= TOGETHER && self.read < message.actions.len() {
                self.read_some(message, guide, store);
            }
            match self.ahead.pop_front() {
                Some((other, root)) if other == action => return root,
                Some(_) => {}
                None => return input_root(action, store),
            }
        }
    }

    fn read_some(
        &mut self,
        message: &SpeculativeActions,
        guide: &Arc<Unjudged>,
        store: &dyn Storage,
    ) {
        let next = message.actions[self.read..].iter().take(TOGETHER);
        self.read += next.len();
        let usable = next.filter(|action| action.usable);
        let digests: Vec<ActionDigest> = usable.map(|action| action.digest).collect();
        let roots = input_roots(&digests, store);
        let trees = roots.iter().flatten().map(|root| Ahead {
            directory: *root,
            from: Some(Table::ROOT),
        });
        store.read_ahead(trees.collect(), Arc::clone(guide) as _);
        self.ahead.extend(digests.into_iter().zip(roots));
    }
}

/// The input trees of actions.
fn input_roots(
    actions: &[ActionDigest],
    store: &dyn Storage,
) -> Vec<Result<DirectoryDigest, SpeculationError>> {
    let blobs: Vec<_> = actions.iter().map(|action| action.blob()).collect();
    let read = store.blobs().read_all(&blobs).into_iter();
    let read = actions.iter().zip(read);
    let roots = read.map(|(digest, bytes)| root_in(decode_message(*digest, bytes?, "an Action")?));
    roots.collect()
}

/// The input tree of one action.
pub(super) fn input_root(
    action: ActionDigest,
    store: &dyn Storage,
) -> Result<DirectoryDigest, SpeculationError> {
    root_in(read_message(store.blobs(), action, "an Action")?)
}

fn root_in(action: reapi::Action) -> Result<DirectoryDigest, SpeculationError> {
    Digest::required(action.input_root_digest.as_ref())
        .map_err(|error| SpeculationError::Message(error.to_string()))
}

impl Primer {
    /// Has read what the next of many marked actions will be brought up to what is known with.
    pub(super) fn read_for_next(&mut self, store: &dyn Storage) {
        let upcoming = self.upcoming;
        self.upcoming = upcoming.saturating_sub(1);
        if upcoming >= TOGETHER || self.marked.len() < upcoming + TOGETHER {
            return;
        }
        let next = self.marked.iter().skip(upcoming).take(TOGETHER);
        let mut lists: Vec<(u32, Vec<Ahead>)> = Vec::new();
        for (_, id) in next {
            let job = &self.jobs[*id as usize];
            let guide = self.shapes.plans[job.plan as usize].guide(&self.knowledge);
            if lists.last().is_none_or(|(plan, _)| *plan != job.plan) {
                lists.push((job.plan, Vec::new()));
            }
            if let Some((_, list)) = lists.last_mut() {
                self.shapes.add_what_will_be_read(job.root, &guide, list);
            }
        }
        for (plan, list) in lists {
            let guide = self.shapes.plans[plan as usize].guide(&self.knowledge);
            store.read_ahead(list, guide as _);
        }
        self.upcoming = upcoming + TOGETHER - 1;
    }
}
