//! What origins have today.

use headstart_execution::ActionSpec;
use headstart_merkle::{ActionDigest, BlobDigest, DirectoryDigest, TreePath};
use headstart_reapi::reapi;

use crate::origin::{ElementId, Origin};
use crate::outputs::Outputs;
use crate::storage::{Storage, content, lookup};

/// What is known of today's trees and results.
pub trait Today {
    /// The sources of an element, as they are staged together.
    fn sources(&self, element: &ElementId) -> Option<DirectoryDigest>;
    /// The files of an element's artifact.
    fn artifact(&self, element: &ElementId) -> Option<DirectoryDigest>;
    /// What a recorded action of an element was adapted to.
    fn adapted(&self, element: &ElementId, base: ActionDigest) -> Option<ActionDigest>;
    /// The result of an action.
    fn result(&self, action: ActionDigest) -> Option<reapi::ActionResult>;
}

/// What is at `origin` today: the content of a file or of a link's target; `None` if nothing is, or
/// if it is not known.
pub(super) fn content_of(
    today: &dyn Today,
    origin: &Origin,
    store: &dyn Storage,
) -> Option<BlobDigest> {
    let in_tree = |root: Option<DirectoryDigest>, path: &TreePath| {
        let node = lookup(store, root?, path, false).ok()??;
        content(&node)
    };
    match origin {
        Origin::Source { element, path } => in_tree(today.sources(element), path),
        Origin::Artifact { element, path } => in_tree(today.artifact(element), path),
        Origin::Action {
            element,
            action,
            path,
        } => {
            let action = today.adapted(element, *action)?;
            let home = ActionSpec::read(action, store.blobs())
                .ok()?
                .working_directory;
            let outputs = Outputs::of(&today.result(action)?, &home, store).ok()?;
            outputs.get(path).and_then(content)
        }
        // Of a host that tells of no elements nothing is known afterwards.
        Origin::Root { .. } => None,
    }
}
