//! Elements' own actions, run on this machine.

use std::path::Path;
use std::sync::Arc;

use headstart_assemble::RunAction;
use headstart_daemon::{LocalExecutor, ParentRequest};
use headstart_execution::{BoxFuture, CancellationToken, ExecutionError, SubactionRecorder};
use headstart_merkle::ActionDigest;
use headstart_reapi::reapi;

/// Runs an element's own actions, beside the slots.
pub(crate) struct ParentRunner<'a> {
    pub(crate) executor: &'a LocalExecutor,
    /// Who is told of what they ask for.
    pub(crate) recorder: Arc<dyn SubactionRecorder>,
    pub(crate) allow_cache_update: bool,
    pub(crate) cancel: CancellationToken,
}

impl RunAction for ParentRunner<'_> {
    fn run<'a>(
        &'a self,
        action: ActionDigest,
        log: &'a Path,
    ) -> BoxFuture<'a, Result<reapi::ActionResult, ExecutionError>> {
        let request = ParentRequest {
            action,
            log: log.to_owned(),
            recorder: Arc::clone(&self.recorder),
            allow_cache_update: self.allow_cache_update,
            cancel: self.cancel.clone(),
        };
        Box::pin(async move { Ok(self.executor.run_parent(request).await?.result) })
    }
}
