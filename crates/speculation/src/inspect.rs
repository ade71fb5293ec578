//! Looking at a stored message: for people, and for other formats.

use headstart_execution::ActionSpec;
use headstart_merkle::DirectoryDigest;

use crate::message::{BaseAction, NamedTree, SpeculativeActions};
use crate::origin::Overlay;
use crate::storage::{SpeculationError, Storage};

impl SpeculativeActions {
    /// Where the files of the element's artifact came from, in the order of a walk.
    ///
    /// # Errors
    /// When a Directory of the artifact can't be read.
    pub fn artifact_overlays(
        &self,
        artifact: DirectoryDigest,
        store: &dyn Storage,
    ) -> Result<Vec<Overlay>, SpeculationError> {
        self.overlays_in(&self.artifact, artifact, store)
    }

    /// Where the inputs of one of the recorded actions came from, in the order of a walk, and the
    /// action itself.
    ///
    /// # Errors
    /// When the action or a Directory of it can't be read.
    pub fn read_action(
        &self,
        action: &BaseAction,
        store: &dyn Storage,
    ) -> Result<(ActionSpec, Vec<Overlay>), SpeculationError> {
        let spec = ActionSpec::read(action.digest, store.blobs())?;
        let overlays = self.overlays(spec.input_root, store)?;
        Ok((spec, overlays))
    }

    /// The trees that commands and platforms mention by digest.
    pub fn named_trees(&self) -> &[NamedTree] {
        &self.named_trees
    }
}

impl BaseAction {
    /// Places of the earlier actions whose outputs are among its inputs, in order.
    pub fn needs(&self) -> &[u32] {
        &self.needs
    }

    /// Places of the earlier actions that must not have changed if it is to be adapted, in order.
    pub fn guards(&self) -> &[u32] {
        &self.guards
    }
}
