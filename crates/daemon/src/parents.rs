//! Whoever follows parent actions: commands that ask for others from inside their sandboxes.

use std::sync::Arc;

use headstart_execution::SubactionRecorder;
use headstart_merkle::ActionDigest;

/// Is told of parents before they run.
pub trait Parents: Send + Sync {
    /// A parent is about to run; it, its command and its Directories are in the store.
    fn begin(&self, parent: ActionDigest) -> Arc<dyn ParentRun>;
}

/// One run of a parent, which is told of what is asked for inside.
pub trait ParentRun: SubactionRecorder {
    /// It has ended: by itself and well, or else it was broken off or failed.
    fn ended(&self, well: bool);

    /// Itself as a recorder.
    fn recorder(self: Arc<Self>) -> Arc<dyn SubactionRecorder>;
}
