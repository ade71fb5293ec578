//! Actions by what they make: which of them comes nearest to another.

use std::collections::HashMap;

use headstart_execution::ActionSpec;
use headstart_merkle::{ActionDigest, TreePath};

use crate::storage::Storage;

/// Actions of one build, by what they make.
#[derive(Debug, Default)]
pub struct Calls(HashMap<Vec<TreePath>, Vec<ActionSpec>>);

impl Calls {
    /// Reads `actions`, in order. What can't be read can't be near.
    pub fn read(actions: impl IntoIterator<Item = ActionDigest>, store: &dyn Storage) -> Self {
        let mut calls = Self::default();
        for action in actions {
            if let Ok(spec) = ActionSpec::read(action, store.blobs()) {
                calls.0.entry(spec.output_paths()).or_default().push(spec);
            }
        }
        calls
    }

    /// The one with the same outputs; of several the one with the most arguments alike, and of
    /// those equally alike the first.
    pub(super) fn nearest(&self, to: &ActionSpec) -> Option<&ActionSpec> {
        let same = self.0.get(&to.output_paths())?;
        let alike = |spec: &ActionSpec| {
            let pairs = spec.arguments.iter().zip(&to.arguments);
            pairs.filter(|(a, b)| a == b).count()
        };
        same.iter().rev().max_by_key(|spec| alike(spec))
    }
}
