//! What is stored of an element for later builds.

use std::fs;

use headstart_merkle::{BlobDigest, TreePath};
use headstart_reapi::{Message, buildstream};
use headstart_speculation::{Origin, SpeculativeActions};

use super::place::Place;
use super::report::Report;

/// The record of an element's build, as its artifact refers to it.
#[derive(Debug, PartialEq)]
pub(crate) struct Record(SpeculativeActions);

impl Place {
    /// The artifact of `element` after the build reported by `report`.
    pub(crate) fn artifact(&self, report: &Report, element: &str) -> buildstream::Artifact {
        let name = element.trim_end_matches(".bst");
        let refs = self.cache().join("artifacts/refs/e2e").join(name);
        let artifact = fs::read(refs.join(report.key(element))).unwrap();
        buildstream::Artifact::decode(&*artifact).unwrap()
    }

    /// The record that this artifact refers to.
    pub(crate) fn record(&self, report: &Report, element: &str) -> Option<Record> {
        let digest = self.artifact(report, element).speculative_actions?;
        let message = fs::read(self.object(&digest.hash)).unwrap();
        Some(Record(SpeculativeActions::decode(&message).unwrap()))
    }
}

impl Record {
    /// Where an input of the recorded actions came from, best first, each as one letter: Source,
    /// aCtion, Artifact.
    pub(crate) fn origins(&self, path: &str, content: &[u8]) -> String {
        let path = TreePath::normalized(path).unwrap();
        let origins = self.0.input_origins(&path, Some(BlobDigest::of(content)));
        let letters = origins.iter().map(|origin| match origin {
            Origin::Source { .. } => 'S',
            Origin::Action { .. } => 'C',
            Origin::Artifact { .. } => 'A',
            Origin::Root { .. } => 'R',
        });
        letters.collect()
    }

    /// How many actions it has.
    pub(crate) fn actions(&self) -> usize {
        self.0.actions().len()
    }
}
