//! Executing actions on a farm.

mod inputs;
mod outputs;

use std::sync::Arc;
use std::time::Instant;

use headstart_execution::{
    ActionSpec, Answered, BoxFuture, CancellationToken, Elsewhere, ExecutionError, Outcome,
    Priority, duration_of,
};
use headstart_merkle::ActionDigest;
use headstart_reapi::longrunning::operations_client::OperationsClient;
use headstart_reapi::longrunning::{CancelOperationRequest, Operation, operation};
use headstart_reapi::{Message, reapi, rpc};
use headstart_store::{BlobStore, StoredResult, is_complete};
use tonic::{Code, Response, Status, Streaming};

use crate::error::RemoteError;
use crate::remote::{Remote, blocking};
use crate::retry::Attempts;
use inputs::Inputs;

/// How often an action is begun anew because the farm has lost its inputs or its outputs.
const LOSSES: u32 = 2;

/// The servers that make up a farm; often the same one three times.
#[derive(Clone)]
pub struct Farm {
    /// Where inputs and outputs are.
    pub storage: Remote,
    /// What executes; `None` for a farm that only remembers.
    pub execution: Option<Remote>,
    /// Where results are looked for first.
    pub results: Remote,
    /// Whether results that were come by here are given to that.
    pub keeps_results: bool,
}

/// Executes actions on a farm; inputs come from a store and outputs go there, at once or when somebody
/// reads them.
///
/// Identical actions in flight are joined by the farm, as the API asks of it.
#[derive(Clone)]
pub struct RemoteExecutor {
    farm: Farm,
    store: Arc<dyn BlobStore>,
    /// That store with the farm's storage behind it, where outputs are left there.
    backed: Option<Arc<dyn BlobStore>>,
    inputs: Arc<Inputs>,
}

/// What a farm did with an action.
enum Ended {
    Done(Box<reapi::ExecuteResponse>),
    /// Something that it should have had was gone.
    Lost(String),
}

impl RemoteExecutor {
    /// Executes what is in `store` on `farm`.
    pub fn new(farm: Farm, store: Arc<dyn BlobStore>) -> Self {
        Self {
            farm,
            store,
            backed: None,
            inputs: Arc::default(),
        }
    }

    /// The same, with outputs left on the farm until somebody reads them through `backed`: the store with
    /// the farm's storage behind it. Those of what is executed ahead of need are brought all the same, as
    /// whoever asks for it is in a sandbox here and then waits for them.
    #[must_use]
    pub fn leaving_outputs(self, backed: Arc<dyn BlobStore>) -> Self {
        Self {
            backed: Some(backed),
            ..self
        }
    }

    /// The known result of an action, its outputs to be had here.
    pub async fn look_up(
        &self,
        action: ActionDigest,
        priority: Priority,
    ) -> Result<Option<Outcome>, ExecutionError> {
        let found = self.farm.results.find_result(action).await;
        let Some(result) = found.map_err(service)? else {
            return Ok(None);
        };
        match self.secure_outputs(&result, priority).await? {
            None => Ok(Some(outcome(result, Answered::Cached))),
            Some(missing) => {
                tracing::warn!(%action, %missing, "the farm knows a result and has lost an output of it");
                Ok(None)
            }
        }
    }

    /// Executes an action whose result is not known.
    ///
    /// # Errors
    /// [`ExecutionError::Service`] if the farm can't do it now.
    pub async fn run(
        &self,
        spec: &ActionSpec,
        priority: Priority,
        skip_cache_lookup: bool,
        cancel: &CancellationToken,
    ) -> Result<Outcome, ExecutionError> {
        tokio::select! {
            ended = self.run_to_end(spec, priority, skip_cache_lookup, cancel) => ended,
            () = cancel.cancelled() => Err(ExecutionError::Cancelled),
        }
    }

    async fn run_to_end(
        &self,
        spec: &ActionSpec,
        priority: Priority,
        mut skip_cache_lookup: bool,
        cancel: &CancellationToken,
    ) -> Result<Outcome, ExecutionError> {
        let Some(execution) = &self.farm.execution else {
            let url = self.farm.results.url();
            return Err(ExecutionError::Service(format!("{url} executes nothing")));
        };
        let mut losses = 0;
        loop {
            self.send_inputs(spec).await?;
            let request = reapi::ExecuteRequest {
                instance_name: execution.instance(),
                skip_cache_lookup,
                action_digest: Some(spec.digest.into()),
                execution_policy: Some(reapi::ExecutionPolicy {
                    priority: priority.0,
                }),
                ..Default::default()
            };
            let ended = self.execute_once(execution, spec, request, cancel).await?;
            let lost = match ended {
                Ended::Lost(what) => what,
                Ended::Done(response) => {
                    let result = response.result.unwrap_or_default().into();
                    match self.secure_outputs(&result, priority).await? {
                        None => {
                            let answered = match response.cached_result {
                                true => Answered::Cached,
                                false => Answered::Executed,
                            };
                            return Ok(outcome(result, answered));
                        }
                        Some(missing) => {
                            skip_cache_lookup = true;
                            format!("the output {missing}")
                        }
                    }
                }
            };
            losses += 1;
            if losses > LOSSES {
                let url = execution.url();
                return Err(ExecutionError::Service(format!(
                    "{url}: {} can't be executed: {lost} is lost again and again",
                    spec.digest
                )));
            }
            tracing::debug!(action = %spec.digest, lost, "the farm has lost something: once more");
            self.inputs.forget();
        }
    }

    /// Has the farm execute an action, and waits until it has; comes back for it if the connection
    /// breaks.
    async fn execute_once(
        &self,
        remote: &Remote,
        spec: &ActionSpec,
        request: reapi::ExecuteRequest,
        cancel: &CancellationToken,
    ) -> Result<Ended, ExecutionError> {
        remote.refuse_while_resting("Execute").map_err(service)?;
        let mut attempts = Attempts::new(remote.settings(), "Execute");
        let mut following = Following {
            remote,
            cancel,
            name: String::new(),
        };
        loop {
            let known = !following.name.is_empty();
            let begun = Instant::now();
            let mut client = remote.execution();
            let opened = match known {
                false => remote.in_time(client.execute(request.clone())).await,
                true => {
                    let name = following.name.clone();
                    let wait = reapi::WaitExecutionRequest { name };
                    remote.in_time(client.wait_execution(wait)).await
                }
            };
            let status = match following.follow(opened).await {
                Ok(response) => {
                    following.name.clear();
                    let status = response.status.clone().unwrap_or_default();
                    match Code::from(status.code) {
                        Code::Ok => return Ok(Ended::Done(response.into())),
                        Code::DeadlineExceeded => {
                            let seconds = spec.timeout.unwrap_or_default().as_secs();
                            let action = spec.digest;
                            return Err(ExecutionError::TimedOut { action, seconds });
                        }
                        Code::FailedPrecondition => return Ok(Ended::Lost(lost(&status))),
                        code => Status::new(code, status.message),
                    }
                }
                // It is forgotten there, or was never known to whoever answers now.
                Err(status)
                    if known && matches!(status.code(), Code::NotFound | Code::Unimplemented) =>
                {
                    following.name.clear();
                    continue;
                }
                Err(status) if status.code() == Code::FailedPrecondition => {
                    return Ok(Ended::Lost(status.message().to_owned()));
                }
                Err(status) => status,
            };
            // Actions may take longer than connections last.
            if begun.elapsed() > remote.settings().request_timeout {
                attempts.progressed();
            }
            remote
                .noted(attempts.failed(&status).await)
                .map_err(service)?;
        }
    }

    async fn send_inputs(&self, spec: &ActionSpec) -> Result<(), ExecutionError> {
        // What was made there may be known there only.
        let from = self.backed.as_ref().unwrap_or(&self.store);
        let sent = self.inputs.send(spec, &self.farm.storage, from).await;
        sent.map_err(service)
    }

    /// Sees to it that all that a result refers to is here, or can be read from the farm's storage when it
    /// is needed. Gives what the farm does not have of it.
    async fn secure_outputs(
        &self,
        result: &StoredResult,
        priority: Priority,
    ) -> Result<Option<String>, ExecutionError> {
        let backed = self.backed.as_ref().filter(|_| !priority.is_speculative());
        let Some(backed) = backed.map(Arc::clone) else {
            let missing = outputs::fetch(result.message(), &self.farm.storage, &self.store).await;
            return Ok(missing.map_err(service)?.map(|it| it.to_string()));
        };
        let result = result.clone();
        let complete = blocking(move || Ok(is_complete(result.message(), &*backed)?));
        let complete = complete.await.map_err(service)?;
        Ok((!complete).then(|| "one of its outputs".to_owned()))
    }
}

/// An operation that is waited for. When nobody does any more, the farm is told.
struct Following<'a> {
    remote: &'a Remote,
    cancel: &'a CancellationToken,
    name: String,
}

impl Following<'_> {
    /// Reads an operation's states until it is done. The first has to come in time, as farms tell at
    /// once that they have a request; all others may take any.
    async fn follow(
        &mut self,
        opened: Result<Response<Streaming<Operation>>, Status>,
    ) -> Result<reapi::ExecuteResponse, Status> {
        let mut states = opened?.into_inner();
        let mut next = self.remote.in_time(states.message()).await?;
        while let Some(state) = next {
            if !state.name.is_empty() {
                self.name = state.name;
            }
            if state.done {
                return response(state.result);
            }
            next = states.message().await?;
        }
        Err(Status::unavailable(
            "the stream of the operation ended before it was done",
        ))
    }
}

impl Drop for Following<'_> {
    fn drop(&mut self) {
        if self.name.is_empty() || !self.cancel.is_cancelled() {
            return;
        }
        let (name, remote) = (std::mem::take(&mut self.name), self.remote.clone());
        let Ok(handle) = self.remote.wire().handle() else {
            return;
        };
        handle.spawn(async move {
            let mut client = OperationsClient::new(remote.channel());
            // Farms that offer no such thing notice that nobody listens.
            let _ = remote
                .in_time(client.cancel_operation(CancelOperationRequest { name }))
                .await;
        });
    }
}

fn response(result: Option<operation::Result>) -> Result<reapi::ExecuteResponse, Status> {
    match result {
        Some(operation::Result::Response(any)) => reapi::ExecuteResponse::decode(&*any.value)
            .map_err(|error| Status::data_loss(format!("no ExecuteResponse: {error}"))),
        Some(operation::Result::Error(status)) => {
            Err(Status::new(Code::from(status.code), status.message))
        }
        None => Err(Status::data_loss("the operation is done and has no result")),
    }
}

/// What a farm says is missing.
fn lost(status: &rpc::Status) -> String {
    let violations = status.details.iter().filter_map(|any| {
        let failure = rpc::PreconditionFailure::decode(&*any.value).ok()?;
        Some(failure.violations)
    });
    let subjects: Vec<String> = violations
        .flatten()
        .map(|violation| violation.subject)
        .collect();
    match subjects.is_empty() {
        true => status.message.clone(),
        false => subjects.join(", "),
    }
}

fn outcome(result: StoredResult, answered: Answered) -> Outcome {
    Outcome {
        duration: duration_of(result.message()),
        result,
        answered,
    }
}

fn service(error: RemoteError) -> ExecutionError {
    match error {
        RemoteError::Store(error) => error.into(),
        error => ExecutionError::Service(error.to_string()),
    }
}

impl Elsewhere for RemoteExecutor {
    fn executes(&self) -> bool {
        self.farm.execution.is_some()
    }

    fn look_up(
        &self,
        action: ActionDigest,
        priority: Priority,
    ) -> BoxFuture<'_, Result<Option<Outcome>, ExecutionError>> {
        Box::pin(Self::look_up(self, action, priority))
    }

    fn run<'a>(
        &'a self,
        spec: &'a ActionSpec,
        priority: Priority,
        skip_cache_lookup: bool,
        cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<Outcome, ExecutionError>> {
        Box::pin(Self::run(self, spec, priority, skip_cache_lookup, cancel))
    }

    fn keep<'a>(
        &'a self,
        action: ActionDigest,
        result: &'a StoredResult,
    ) -> BoxFuture<'a, Result<(), ExecutionError>> {
        Box::pin(async move {
            if !self.farm.keeps_results {
                return Ok(());
            }
            // Whoever finds the result needs its outputs, and whoever adapts it the action.
            let store = self.backed.as_ref().unwrap_or(&self.store);
            let (message, from) = (result.clone(), Arc::clone(store));
            let outputs = blocking(move || Ok(outputs::blobs(message.message(), &*from)?));
            let outputs = outputs.await.map_err(service)?;
            let storage = &self.farm.storage;
            let sent = storage.send_blobs(outputs, store).await;
            sent.map_err(service)?;
            let put = self
                .farm
                .results
                .put_result(action, result.message().clone());
            put.await.map_err(service)
        })
    }
}
