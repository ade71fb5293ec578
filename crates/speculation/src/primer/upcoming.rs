//! Reading ahead what recorded actions that will be looked at soon are made of: their input trees are
//! read in the background while those before them are looked at.

use std::collections::VecDeque;
use std::sync::Arc;

use headstart_merkle::{ActionDigest, Ahead, Digest, DirectoryDigest};
use headstart_reapi::reapi;
use headstart_store::{decode_message, read_message};

use super::Primer;
use super::plan::Unjudged;
use super::shapes::ShapeId;
use crate::message::SpeculativeActions;
use crate::storage::{SpeculationError, Storage};
use crate::table::Table;

/// How many actions are read ahead of at a time. Their input trees are in memory until they are looked
/// at.
const TOGETHER: usize = 16;

/// The usable actions of a message, of which some are read ahead. Each is asked for, in order.
#[derive(Default)]
pub(super) struct Recorded {
    /// How many actions of the message have been passed.
    read: usize,
    /// Input trees of those that were read and not asked for yet.
    ahead: VecDeque<Result<DirectoryDigest, SpeculationError>>,
}

impl Recorded {
    /// The input tree of the next usable action of `message`, which is `action`.
    pub(super) fn input_root(
        &mut self,
        message: &SpeculativeActions,
        action: ActionDigest,
        guide: &Arc<Unjudged>,
        store: &dyn Storage,
    ) -> Result<DirectoryDigest, SpeculationError> {
        // Always one lot more than the one that is being taken in.
        while self.ahead.len() <= TOGETHER && self.read < message.actions.len() {
            self.read_some(message, guide, store);
        }
        let next = self.ahead.pop_front();
        next.unwrap_or_else(|| input_root(action, store))
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
        self.ahead.extend(roots);
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
        let next = next.map(|(_, id)| &self.jobs[*id as usize]);
        let next: Vec<(u32, ShapeId)> = next.map(|job| (job.plan, job.root)).collect();
        for of_one in next.chunk_by(|(one, _), (other, _)| one == other) {
            let [(plan, _), ..] = of_one else {
                continue;
            };
            let guide = self.shapes.plans[*plan as usize].guide(&self.knowledge);
            let mut list = Vec::new();
            for (_, root) in of_one {
                self.shapes.add_what_will_be_read(*root, &guide, &mut list);
            }
            store.read_ahead(list, guide as _);
        }
        self.upcoming = upcoming + TOGETHER - 1;
    }
}
