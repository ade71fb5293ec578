//! Executing actions.

use std::sync::Arc;

use headstart_execution::{Answered, ExecutionError, Outcome, Request as ActionRequest, Subaction};
use headstart_merkle::ActionDigest;
use headstart_reapi::Message;
use headstart_reapi::longrunning::operation;
use headstart_reapi::reapi;
use headstart_reapi::reapi::execution_server::Execution;
use headstart_reapi::reapi::execution_stage::Value as Stage;
use tonic::{Request, Response, Status};

use super::action_cache::Inline;
use super::digest;
use super::operations::{Handle, OperationStream, Operations};
use crate::instances::Instances;
use crate::status;
use crate::tenant::Tenant;

pub(crate) struct ExecutionService {
    instances: Instances,
    operations: Operations,
}

impl ExecutionService {
    pub(crate) fn new(instances: Instances, operations: Operations) -> Self {
        Self {
            instances,
            operations,
        }
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
        let tenant = self.instances.find(&request.instance_name)?;
        let action: ActionDigest = digest(request.action_digest.as_ref(), "action_digest")?;
        let queued = metadata(action, Stage::Queued, None);
        let (handle, states) = self.operations.start(queued, tenant.cancel());
        let handle = Arc::new(handle);
        tokio::spawn(async move {
            let work = carry_out(Arc::clone(&handle), &tenant, action, request);
            handle.drive(work).await;
        });
        Ok(Response::new(states))
    }

    async fn wait_execution(
        &self,
        request: Request<reapi::WaitExecutionRequest>,
    ) -> Result<Response<Self::WaitExecutionStream>, Status> {
        Ok(Response::new(
            self.operations.wait(&request.get_ref().name)?,
        ))
    }
}

/// Executes the action, and puts what comes of it into the operation.
async fn carry_out(
    operation: Arc<Handle>,
    tenant: &Tenant,
    action: ActionDigest,
    request: reapi::ExecuteRequest,
) {
    let priority = request
        .execution_policy
        .as_ref()
        .map_or(0, |policy| policy.priority);
    let asked = ActionRequest {
        action,
        priority: tenant.priority(priority),
        skip_cache_lookup: request.skip_cache_lookup,
        cancel: operation.cancel().clone(),
    };
    let began = || {
        let executing = metadata(action, Stage::Executing, None);
        operation.change(|state| state.metadata = Some(executing));
    };
    let outcome = {
        let _waiting = tenant.wait();
        tenant.executor().execute_and_tell(asked, began).await
    };
    let response = match outcome {
        Ok(outcome) => success(tenant, action, request, outcome),
        Err(error) => failure(&error),
    };
    let times = response
        .result
        .as_ref()
        .and_then(|result| result.execution_metadata.clone());
    operation.change(|state| {
        state.metadata = Some(metadata(action, Stage::Completed, times));
        state.done = true;
        state.result = Some(operation::Result::Response(any(
            "ExecuteResponse",
            &response,
        )));
    });
}

fn success(
    tenant: &Tenant,
    action: ActionDigest,
    request: reapi::ExecuteRequest,
    outcome: Outcome,
) -> reapi::ExecuteResponse {
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

fn failure(error: &ExecutionError) -> reapi::ExecuteResponse {
    let status = status::message(&status::of_execution(error));
    let message = status.message.clone();
    reapi::ExecuteResponse {
        status: Some(status),
        message,
        ..Default::default()
    }
}

fn metadata(
    action: ActionDigest,
    stage: Stage,
    times: Option<reapi::ExecutedActionMetadata>,
) -> prost_types::Any {
    let metadata = reapi::ExecuteOperationMetadata {
        stage: stage as i32,
        action_digest: Some(action.into()),
        partial_execution_metadata: times,
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
