//! Commands that are run beside the queue: elements' own, and shells.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use headstart_execution::{
    ActionSpec, BindMount, CancellationToken, ExecutionError, Outcome, SandboxError, Streams,
    SubactionRecorder,
};
use headstart_merkle::{ActionDigest, BlobDigest};
use headstart_reapi::reapi;
use headstart_store::BlobStore;

use super::{LocalExecutor, manner};
use crate::runner::Manner;
use crate::tenant::{Tenant, nobody_to_tell};

/// An element's own command, to be run with an endpoint of its own.
pub struct ParentRequest {
    /// The action.
    pub action: ActionDigest,
    /// The file that its output is appended to.
    pub log: PathBuf,
    /// Who is told of what is asked for inside.
    pub recorder: Arc<dyn SubactionRecorder>,
    /// Whether those inside may write to the action cache.
    pub allow_cache_update: bool,
    /// Where it is run.
    pub place: ParentPlace,
    /// Ends it.
    pub cancel: CancellationToken,
}

/// Where an element's own command is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParentPlace {
    /// On this machine.
    Here,
    /// On the farm, if there is one that can; else on this machine. What is asked for inside is not told of then.
    Farm,
    /// On the farm: this machine is of another kind.
    FarmOnly,
}

/// A command for somebody at this process's terminal.
pub struct ShellRequest {
    /// The action.
    pub action: ActionDigest,
    /// Files of the host to be seen inside.
    pub binds: Vec<BindMount>,
    /// Whether those inside may write to the action cache.
    pub allow_cache_update: bool,
    /// Ends it.
    pub cancel: CancellationToken,
}

/// What came of an element's own command.
#[derive(Debug, Clone)]
pub struct ParentOutcome {
    /// The result, with all subactions in order; its exit code may be other than zero.
    pub result: reapi::ActionResult,
    /// How long the command ran.
    pub duration: Duration,
}

impl LocalExecutor {
    /// Runs an element's own command, beside the slots: it mostly waits for what it asks for
    /// inside. The cache of this machine is neither asked nor told.
    pub async fn run_parent(
        &self,
        request: ParentRequest,
    ) -> Result<ParentOutcome, ExecutionError> {
        let spec = ActionSpec::read(request.action, self.store().as_ref())?;
        if request.place != ParentPlace::Here
            && let Some(outcome) = self.run_parent_on_farm(&spec, &request).await?
        {
            return Ok(outcome);
        }
        let tenant = Tenant::new(
            self.clone(),
            request.recorder,
            request.allow_cache_update,
            request.cancel.child_token(),
        );
        let manner = manner(Streams::Log(request.log));
        let ran = self.run(&spec, tenant, manner, SystemTime::now(), &request.cancel);
        let (result, duration) = ran.await?;
        Ok(ParentOutcome { result, duration })
    }

    /// Has an element's own command run on the farm, unless there is none that can.
    async fn run_parent_on_farm(
        &self,
        spec: &ActionSpec,
        request: &ParentRequest,
    ) -> Result<Option<ParentOutcome>, ExecutionError> {
        let outcome = match self.0.farm.get() {
            None => None,
            Some(farm) => farm.run_parent(spec, &request.cancel).await?,
        };
        let Some(Outcome {
            result, duration, ..
        }) = outcome
        else {
            return match request.place {
                ParentPlace::FarmOnly => Err(ExecutionError::NotHere(spec.digest)),
                _ => Ok(None),
            };
        };
        let result = result.into_message();
        let (store, log) = (Arc::clone(self.store()), request.log.clone());
        let written = tokio::task::spawn_blocking(move || {
            append_streams(&result, &log, &*store)?;
            Ok(result)
        });
        let written = written
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)));
        let result = written.map_err(|error| SandboxError::Step {
            step: format!("write {}", request.log.display()),
            reason: error.to_string(),
        })?;
        Ok(Some(ParentOutcome { result, duration }))
    }

    /// Runs a command for somebody at this process's terminal, with an endpoint of its own, of which
    /// nobody is told. Gives its exit code.
    pub async fn run_shell(&self, request: ShellRequest) -> Result<i32, ExecutionError> {
        let spec = ActionSpec::read(request.action, self.store().as_ref())?;
        let tenant = Tenant::new(
            self.clone(),
            nobody_to_tell(),
            request.allow_cache_update,
            request.cancel.child_token(),
        );
        let manner = Manner {
            binds: request.binds,
            capture: false,
            ..manner(Streams::Inherited)
        };
        let ran = self.run(&spec, tenant, manner, SystemTime::now(), &request.cancel);
        Ok(ran.await?.0.exit_code)
    }
}

/// Appends to a log what a command has said elsewhere: its standard output, and then its standard error.
fn append_streams(
    result: &reapi::ActionResult,
    log: &Path,
    store: &dyn BlobStore,
) -> io::Result<()> {
    let mut log = OpenOptions::new().append(true).create(true).open(log)?;
    let streams = [
        (&result.stdout_digest, &result.stdout_raw),
        (&result.stderr_digest, &result.stderr_raw),
    ];
    for (digest, raw) in streams {
        match BlobDigest::required(digest.as_ref()) {
            Ok(digest) if raw.is_empty() => {
                let mut stream = store.open(digest).map_err(io::Error::other)?;
                io::copy(&mut stream, &mut log)?;
            }
            _ => log.write_all(raw)?,
        }
    }
    Ok(())
}
