//! Marks what was made ahead of need in the store, as long as nobody has asked for it.

use std::collections::HashSet;

use headstart_execution::Answered;
use headstart_merkle::{ActionDigest, BlobDigest};
use headstart_reapi::reapi;
use headstart_speculation::{Event, Limits};
use headstart_store::StoreError;
use headstart_store_disk::Guesses;

use crate::config::SpeculationConfig;
use crate::speculator::Speculator;

/// Keeps the marks in step with what happens.
pub(crate) struct Marks {
    guesses: Guesses,
    /// What the real build has asked for in this session.
    asked: HashSet<ActionDigest>,
}

impl Marks {
    pub(crate) fn new(guesses: Guesses) -> Self {
        Self {
            guesses,
            asked: HashSet::new(),
        }
    }

    /// Marks what has ended, if nobody has asked for it; takes the mark from what is asked for.
    pub(crate) fn note(&mut self, event: &Event) {
        let done = match event {
            Event::Finished {
                action,
                outcome: Ok(outcome),
            } if outcome.answered == Answered::Executed && !self.asked.contains(action) => {
                self.guesses.add(*action, &blobs(outcome.result.message()))
            }
            Event::Asked { subaction, .. } if self.asked.insert(subaction.action) => {
                self.guesses.confirm(subaction.action).map(|_| ())
            }
            _ => Ok(()),
        };
        if let Err(error) = done {
            tracing::warn!(%error, "what nobody has asked for could not be marked");
        }
    }
}

/// The blobs that a result names.
fn blobs(result: &reapi::ActionResult) -> Vec<BlobDigest> {
    let files = result.output_files.iter().map(|file| &file.digest);
    let directories = result.output_directories.iter();
    let directories = directories.flat_map(|d| [&d.tree_digest, &d.root_directory_digest]);
    let streams = [&result.stdout_digest, &result.stderr_digest];
    let all = files.chain(directories).chain(streams).flatten();
    all.filter_map(|digest| BlobDigest::try_from(digest).ok())
        .collect()
}

/// Finds out, beside everything else, how much of the quota is left for what nobody has asked for,
/// and tells the primer. What is older than half of the quota is given up first.
pub(crate) fn tell_quota(marks: &Marks, config: &SpeculationConfig, speculator: &Speculator) {
    let (guesses, speculator) = (marks.guesses.clone(), speculator.clone());
    let (quota, session, element) = (config.store_quota, config.session, config.element);
    tokio::task::spawn_blocking(move || match left(&guesses, quota) {
        Ok(left) => {
            let bytes = session.bytes.map_or(left, |most| most.min(left));
            let session = Limits {
                bytes: Some(bytes),
                ..session
            };
            speculator.tell(Event::Limits { session, element });
        }
        Err(error) => tracing::warn!(%error, "what nobody has asked for could not be counted"),
    });
}

fn left(guesses: &Guesses, quota: u64) -> Result<u64, StoreError> {
    Ok(quota - guesses.shrink(quota / 2)?)
}
