//! What the recorded actions left behind, to be found by path and content.

use std::collections::{BTreeSet, HashMap};

use headstart_merkle::{BlobDigest, Name, TreePath};

use super::Recorded;
use super::suffix::Suffixes;
use crate::outputs::Outputs;
use crate::storage::{Storage, content};

/// An output: its path in the tree of the action that made it, and that action's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) path: TreePath,
    pub(crate) producer: u32,
}

/// Outputs of all recorded actions that went well. What several actions left alike belongs to the
/// first of them.
#[derive(Default)]
pub(crate) struct OutputIndex {
    by_directory: HashMap<TreePath, HashMap<(Name, BlobDigest), u32>>,
    by_end: Suffixes<Output>,
    /// `None` where several paths have the same content.
    by_content: HashMap<BlobDigest, Option<Output>>,
    first_by_content: HashMap<BlobDigest, u32>,
}

impl OutputIndex {
    pub(crate) fn of(
        recorded: &[Recorded<'_>],
        store: &dyn Storage,
        problems: &mut Vec<String>,
    ) -> Self {
        let mut index = Self::default();
        for (place, one) in recorded.iter().enumerate() {
            let result = one.subaction.result.message();
            let Some(spec) = one.spec.as_ref().filter(|_| result.exit_code == 0) else {
                continue;
            };
            match Outputs::of(result, &spec.working_directory, store) {
                Ok(outputs) => index.add(place as u32, &outputs),
                Err(error) => problems.push(error.to_string()),
            }
        }
        index.by_end.seal();
        index
    }

    fn add(&mut self, producer: u32, outputs: &Outputs) {
        for (path, node) in outputs.iter() {
            let (Some((parent, name)), Some(content)) = (path.split(), content(node)) else {
                continue;
            };
            let output = Output {
                path: path.clone(),
                producer,
            };
            let here = self.by_directory.entry(parent).or_default();
            here.entry((name, content)).or_insert(producer);
            self.by_end.add(path.clone(), content, output.clone());
            self.first_by_content.entry(content).or_insert(producer);
            let same = self.by_content.entry(content);
            same.and_modify(|known| {
                if known
                    .as_ref()
                    .is_some_and(|known| known.path != output.path)
                {
                    *known = None;
                }
            })
            .or_insert(Some(output));
        }
    }

    /// The outputs in one directory.
    pub(crate) fn in_directory(
        &self,
        directory: &TreePath,
    ) -> Option<&HashMap<(Name, BlobDigest), u32>> {
        self.by_directory.get(directory)
    }

    /// The output with this content whose path ends alike, and how far.
    pub(crate) fn by_end(&self, path: &TreePath, content: BlobDigest) -> Option<(&Output, usize)> {
        self.by_end.find(path, content)
    }

    /// The places of the actions that made any of these contents.
    pub(crate) fn makers(&self, contents: &[BlobDigest]) -> Vec<u32> {
        let made = contents.iter().filter(|content| content.size() > 0);
        made.filter_map(|content| self.first_by_content.get(content).copied())
            .collect()
    }

    /// The places of all actions before `place` that made something.
    pub(crate) fn makers_before(&self, place: u32) -> Vec<u32> {
        let makers: BTreeSet<u32> = self.first_by_content.values().copied().collect();
        makers.range(..place).copied().collect()
    }

    /// The only output with this content, if it is not empty.
    pub(crate) fn by_content(&self, content: BlobDigest) -> Option<&Output> {
        let output = self.by_content.get(&content)?.as_ref();
        output.filter(|_| content.size() > 0)
    }
}
