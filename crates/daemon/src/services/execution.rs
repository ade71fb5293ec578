//! Executing actions.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use headstart_execution::{
    Answered, ExecutionError, Executor, Outcome, Priority, Request as ActionRequest, Subaction,
};
use headstart_merkle::ActionDigest;
use headstart_reapi::Message;
use headstart_reapi::longrunning::{Operation, operation};
use headstart_reapi::reapi;
use headstart_reapi::reapi::execution_server::Execution;
use headstart_reapi::reapi::execution_stage::Value as Stage;
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::action_cache::Inline;
use super::{check_instance, digest};
use crate::status;
use crate::tenant::Tenant;

/// How long an operation goes on that nobody waits for: a client whose connection broke may come
/// back for it with WaitExecution.
const GRACE: Duration = Duration::from_secs(10);

type Operations = Arc<Mutex<HashMap<String, Weak<watch::Sender<Operation>>>>>;

pub(crate) struct ExecutionService {
    tenant: Tenant,
    operations: Operations,
}

impl ExecutionService {
    pub(crate) fn new(tenant: Tenant) -> Self {
        Self {
            tenant,
            operations: Operations::default(),
        }
    }

    /// Starts an operation, and gives what it will send.
    fn start(
        &self,
        action: ActionDigest,
        request: reapi::ExecuteRequest,
    ) -> watch::Receiver<Operation> {
        static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("operations/{number}");
        let first = Operation {
            name: name.clone(),
            metadata: Some(metadata(action, Stage::Queued)),
            ..Default::default()
        };
        let (sender, receiver) = watch::channel(first);
        let sender = Arc::new(sender);
        let mut operations = self
            .operations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        operations.insert(name.clone(), Arc::downgrade(&sender));
        drop(operations);
        let (tenant, operations) = (self.tenant.clone(), Arc::clone(&self.operations));
        tokio::spawn(async move {
            let cancel = tenant.cancel().child_token();
            tokio::select! {
                response = respond(&tenant, action, request, cancel.clone()) => {
                    sender.send_modify(|operation| finish(operation, action, &response));
                    // Kept until those who wait have seen it.
                    tokio::time::timeout(GRACE, sender.closed()).await.ok();
                }
                () = abandoned(&sender) => cancel.cancel(),
            }
            operations
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&name);
        });
        receiver
    }
}

/// Returns when nobody has waited for the operation for a while.
async fn abandoned(sender: &watch::Sender<Operation>) {
    loop {
        sender.closed().await;
        tokio::time::sleep(GRACE).await;
        if sender.is_closed() {
            return;
        }
    }
}

async fn respond(
    tenant: &Tenant,
    action: ActionDigest,
    request: reapi::ExecuteRequest,
    cancel: CancellationToken,
) -> reapi::ExecuteResponse {
    let priority = request
        .execution_policy
        .as_ref()
        .map_or(0, |policy| policy.priority);
    let asked = ActionRequest {
        action,
        // What a sandbox waits for is real, however humble: speculation is never asked for inside.
        priority: Priority(priority.min(0)),
        skip_cache_lookup: request.skip_cache_lookup,
        cancel,
    };
    match tenant.executor().execute(asked).await {
        Ok(outcome) => {
            let Outcome {
                result,
                answered,
                duration,
            } = outcome;
            let mut message = result.message().clone();
            tenant.answered(Subaction {
                action,
                result,
                answered,
                duration,
            });
            let inline = Inline {
                stdout: request.inline_stdout,
                stderr: request.inline_stderr,
                files: request.inline_output_files,
            };
            inline.apply(&mut message, tenant.executor().store().as_ref());
            reapi::ExecuteResponse {
                result: Some(message),
                cached_result: answered == Answered::Cached,
                ..Default::default()
            }
        }
        Err(error) => failure(&error),
    }
}

fn failure(error: &ExecutionError) -> reapi::ExecuteResponse {
    let status = status::message(&status::of_execution(error));
    let message = status.message.clone();
    reapi::ExecuteResponse {
        status: Some(status),
        message,
        ..Default::default()
    }
}

fn finish(operation: &mut Operation, action: ActionDigest, response: &reapi::ExecuteResponse) {
    operation.metadata = Some(metadata(action, Stage::Completed));
    operation.done = true;
    operation.result = Some(operation::Result::Response(any(
        "ExecuteResponse",
        response,
    )));
}

fn metadata(action: ActionDigest, stage: Stage) -> prost_types::Any {
    let metadata = reapi::ExecuteOperationMetadata {
        stage: stage as i32,
        action_digest: Some(action.into()),
        ..Default::default()
    };
    any("ExecuteOperationMetadata", &metadata)
}

fn any(name: &str, message: &impl Message) -> prost_types::Any {
    prost_types::Any {
        type_url: format!("type.googleapis.com/build.bazel.remote.execution.v2.{name}"),
        value: message.encode_to_vec(),
    }
}

/// Sends an operation's states until it is done.
fn states(receiver: watch::Receiver<Operation>) -> OperationStream {
    Box::pin(Finite(Box::pin(WatchStream::new(receiver).map(Ok))))
}

type OperationStream = Pin<Box<dyn Stream<Item = Result<Operation, Status>> + Send>>;

/// Ends a stream of states right after the last, without waiting for the sender to go.
struct Finite(OperationStream);

impl Stream for Finite {
    type Item = Result<Operation, Status>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        let polled = self.0.as_mut().poll_next(context);
        if let std::task::Poll::Ready(Some(Ok(operation))) = &polled
            && operation.done
        {
            self.0 = Box::pin(tokio_stream::empty());
        }
        polled
    }
}

#[tonic::async_trait]
impl Execution for ExecutionService {
    type ExecuteStream = OperationStream;
    type WaitExecutionStream = OperationStream;

    async fn execute(
        &self,
        request: Request<reapi::ExecuteRequest>,
    ) -> Result<Response<Self::ExecuteStream>, Status> {
        let request = request.into_inner();
        check_instance(&request.instance_name)?;
        let action: ActionDigest = digest(request.action_digest.as_ref(), "action_digest")?;
        Ok(Response::new(states(self.start(action, request))))
    }

    async fn wait_execution(
        &self,
        request: Request<reapi::WaitExecutionRequest>,
    ) -> Result<Response<Self::WaitExecutionStream>, Status> {
        let name = &request.get_ref().name;
        let operations = self
            .operations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let sender = operations.get(name).and_then(Weak::upgrade);
        let sender = sender.ok_or_else(|| {
            Status::not_found(format!(
                "there is no operation {name:?}, or it ended long ago"
            ))
        })?;
        Ok(Response::new(states(sender.subscribe())))
    }
}
