//! Generating what was generated before: a build that asked for the same, of the same, leaves the same
//! record, and nothing need be looked at to know it.

use std::collections::HashMap;
use std::time::Duration;

use headstart_merkle::{ActionDigest, BlobDigest, Digest, Hasher};

use super::{Generated, Generation, Staged, distinct};
use crate::message::{Fingerprint, SpeculativeActions};
use crate::origin::ElementId;

/// To be changed whenever the same build leaves another record than it did.
const GENERATOR: &str = "2";

/// What [`generate`](super::generate) would give, if `earlier` is known to follow from the same build
/// but for how long its actions ran.
pub fn generate_again(build: &Generation, earlier: &SpeculativeActions) -> Option<Generated> {
    let fingerprint = earlier.fingerprint.as_ref()?;
    if build.fingerprint().as_ref() != Some(fingerprint) {
        return None;
    }
    let distinct = distinct(&build.subactions).into_iter();
    let durations: HashMap<ActionDigest, Duration> =
        distinct.map(|one| (one.action, one.duration)).collect();
    let mut message = earlier.clone();
    for action in &mut message.actions {
        action.duration = *durations.get(&action.digest)?;
    }
    Some(Generated {
        recorded: message.actions.len(),
        unusable: message.unusable(),
        message,
        problems: Vec::new(),
    })
}

impl Generation {
    /// A hash of all that decides on the record, but for how long actions ran; `None` if a record of a
    /// dependency does not tell what it follows from.
    pub(super) fn fingerprint(&self) -> Option<Fingerprint> {
        let mut hash = Writer::default();
        hash.text(GENERATOR);
        hash.text(env!("CARGO_PKG_VERSION"));
        hash.text(self.mode.name());
        hash.element(&self.element);
        let subactions = distinct(&self.subactions);
        hash.count(subactions.len());
        for one in subactions {
            hash.digest(&one.action);
            hash.bytes(one.result.bytes());
        }
        hash.staged(self.sources.as_ref());
        hash.count(self.dependencies.len());
        for dependency in &self.dependencies {
            hash.element(&dependency.element);
            hash.digest(&dependency.tree);
            hash.text(dependency.at.as_str());
            match &dependency.actions {
                Some(actions) => hash.bytes(&actions.fingerprint.as_ref()?.0),
                None => hash.bytes(&[]),
            }
        }
        for tree in [self.artifact, self.root] {
            hash.count(usize::from(tree.is_some()));
            if let Some(tree) = &tree {
                hash.digest(tree);
            }
        }
        hash.count(self.named_trees.len());
        for named in &self.named_trees {
            hash.text(&named.name);
            hash.digest(&named.tree);
        }
        let digest: BlobDigest = hash.0.finish();
        Some(Fingerprint(*digest.hash()))
    }
}

/// Hashes values one after another, each with its length.
#[derive(Default)]
struct Writer(Hasher);

impl Writer {
    fn count(&mut self, count: usize) {
        self.0.update(&(count as u64).to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.update(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn digest<K>(&mut self, digest: &Digest<K>) {
        self.0.update(digest.hash());
        self.0.update(&digest.size().to_le_bytes());
    }

    fn element(&mut self, element: &ElementId) {
        self.text(&element.project);
        self.text(&element.name);
    }

    fn staged(&mut self, staged: Option<&Staged>) {
        self.count(usize::from(staged.is_some()));
        if let Some(staged) = staged {
            self.digest(&staged.tree);
            self.text(staged.at.as_str());
        }
    }
}
