//! Elements' own actions, run on this machine or on a farm.

use std::path::Path;
use std::sync::Arc;

use headstart_assemble::RunAction;
use headstart_daemon::{LocalExecutor, ParentPlace, ParentRequest};
use headstart_execution::{BoxFuture, CancellationToken, ExecutionError, SubactionRecorder};
use headstart_merkle::ActionDigest;
use headstart_project::Sandbox;
use headstart_reapi::reapi;

use crate::session::Session;

/// Runs an element's own actions, beside the slots.
pub(crate) struct ParentRunner<'a> {
    pub(crate) executor: &'a LocalExecutor,
    /// Who is told of what they ask for.
    pub(crate) recorder: Arc<dyn SubactionRecorder>,
    pub(crate) allow_cache_update: bool,
    pub(crate) place: ParentPlace,
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
            place: self.place,
            cancel: self.cancel.clone(),
        };
        Box::pin(async move { Ok(self.executor.run_parent(request).await?.result) })
    }
}

impl Session {
    /// Where an element's own commands are run. As in BuildStream that is the farm, if there is one; but not for
    /// elements that ask for single calls to be executed: those calls are what is foreseen, and go to the farm.
    pub(crate) fn place_of(&self, sandbox: &Sandbox) -> ParentPlace {
        let farm = self.config.farm.as_ref();
        let executes = farm.is_some_and(|farm| farm.execution.is_some());
        match self.settings.host.runs(sandbox) {
            false => ParentPlace::FarmOnly,
            true if executes && sandbox.remote_apis_socket.is_none() => ParentPlace::Farm,
            true => ParentPlace::Here,
        }
    }
}
