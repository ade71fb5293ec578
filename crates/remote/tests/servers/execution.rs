//! Executions whose connection breaks, whose inputs get lost, that nobody wants any more.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use headstart_execution::{ActionSpec, Answered, CancellationToken, ExecutionError, Priority};
use headstart_merkle::{ActionDigest, BlobDigest, Directory};
use headstart_reapi::longrunning::operations_server::{Operations, OperationsServer};
use headstart_reapi::longrunning::{
    CancelOperationRequest, DeleteOperationRequest, GetOperationRequest, ListOperationsRequest,
    ListOperationsResponse, Operation, operation,
};
use headstart_reapi::reapi::execution_server::{Execution, ExecutionServer};
use headstart_reapi::{Message, reapi, rpc};
use headstart_remote::{Farm, RemoteExecutor};
use headstart_store::{BlobStore, MemoryBlobs};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use crate::support::{Fake, Script};

/// What a stream of an operation gives before it ends.
#[derive(Clone, Debug)]
enum Step {
    /// The operation goes on; the connection does not.
    Breaks,
    /// It is done.
    Done(Box<reapi::ExecuteResponse>),
    /// It goes on for ever.
    Stays,
    /// There is no such operation.
    Unknown,
}

/// A farm that follows a list of steps, and notes what it is asked.
#[derive(Clone, Default)]
struct Scripted {
    steps: Arc<Mutex<VecDeque<Step>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

type States = Pin<Box<dyn Stream<Item = Result<Operation, Status>> + Send>>;

impl Scripted {
    fn note(&self, what: String) {
        self.asked.lock().unwrap().push(what);
    }

    fn states(&self) -> Result<Response<States>, Status> {
        let step = self.steps.lock().unwrap().pop_front();
        let state = Operation {
            name: "operations/7".to_owned(),
            ..Default::default()
        };
        let going = vec![Ok(state.clone())];
        Ok(Response::new(match step.expect("it was asked too often") {
            Step::Unknown => return Err(Status::not_found("no such operation")),
            Step::Breaks => {
                let broken = Err(Status::unavailable("broken off"));
                Box::pin(tokio_stream::iter(going.into_iter().chain([broken])))
            }
            Step::Stays => {
                let stays = tokio_stream::pending();
                Box::pin(tokio_stream::StreamExt::chain(
                    tokio_stream::iter(going),
                    stays,
                ))
            }
            Step::Done(response) => {
                let response = prost_types::Any {
                    type_url: "type.googleapis.com/build.bazel.remote.execution.v2.ExecuteResponse"
                        .into(),
                    value: response.encode_to_vec(),
                };
                let done = Operation {
                    done: true,
                    result: Some(operation::Result::Response(response)),
                    ..state
                };
                Box::pin(tokio_stream::iter(going.into_iter().chain([Ok(done)])))
            }
        }))
    }
}

#[tonic::async_trait]
impl Execution for Scripted {
    type ExecuteStream = States;
    type WaitExecutionStream = States;

    async fn execute(
        &self,
        request: Request<reapi::ExecuteRequest>,
    ) -> Result<Response<States>, Status> {
        let priority = request
            .get_ref()
            .execution_policy
            .as_ref()
            .unwrap()
            .priority;
        self.note(format!("execute {priority}"));
        self.states()
    }

    async fn wait_execution(
        &self,
        request: Request<reapi::WaitExecutionRequest>,
    ) -> Result<Response<States>, Status> {
        self.note(format!("wait {}", request.get_ref().name));
        self.states()
    }
}

#[tonic::async_trait]
impl Operations for Scripted {
    async fn list_operations(
        &self,
        _: Request<ListOperationsRequest>,
    ) -> Result<Response<ListOperationsResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn get_operation(
        &self,
        _: Request<GetOperationRequest>,
    ) -> Result<Response<Operation>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn delete_operation(
        &self,
        _: Request<DeleteOperationRequest>,
    ) -> Result<Response<()>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn cancel_operation(
        &self,
        request: Request<CancelOperationRequest>,
    ) -> Result<Response<()>, Status> {
        self.note(format!("cancel {}", request.get_ref().name));
        Ok(Response::new(()))
    }
}

struct Place {
    fake: Fake,
    farm: Scripted,
    store: MemoryBlobs,
    spec: ActionSpec,
    executor: RemoteExecutor,
}

impl Place {
    /// A farm that will do these steps, and an action for it.
    fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        let farm = Scripted::default();
        farm.steps.lock().unwrap().extend(steps);
        let services = tonic::service::Routes::new(ExecutionServer::new(farm.clone()))
            .add_service(OperationsServer::new(farm.clone()));
        let fake = Fake::start_also(Script::new(), services);
        let store = MemoryBlobs::default();
        let root = Directory::default();
        store.write(root.encode()).unwrap();
        let command = reapi::Command {
            arguments: vec!["true".to_owned()],
            ..Default::default()
        };
        let command = store.write(command.encode_to_vec().into()).unwrap();
        let action = reapi::Action {
            command_digest: Some(command.into()),
            input_root_digest: Some(root.digest().into()),
            ..Default::default()
        };
        let action = store.write(action.encode_to_vec().into()).unwrap();
        let spec = ActionSpec::read(action.cast(), &store).unwrap();
        let remote = fake.remote();
        let farm_servers = Farm {
            storage: remote.clone(),
            execution: Some(remote.clone()),
            results: remote,
            keeps_results: false,
        };
        let executor = RemoteExecutor::new(farm_servers, Arc::new(store.clone()));
        Self {
            fake,
            farm,
            store,
            spec,
            executor,
        }
    }

    fn run(
        &self,
        priority: Priority,
        cancel: &CancellationToken,
    ) -> Result<headstart_execution::Outcome, ExecutionError> {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(self.executor.run(&self.spec, priority, false, cancel))
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.farm.asked.lock().unwrap())
    }
}

fn done(result: reapi::ActionResult) -> Step {
    Step::Done(Box::new(reapi::ExecuteResponse {
        result: Some(result),
        ..Default::default()
    }))
}

fn failed(code: tonic::Code) -> Step {
    Step::Done(Box::new(reapi::ExecuteResponse {
        status: Some(rpc::Status {
            code: code as i32,
            message: "blobs/x is missing".to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    }))
}

#[test]
fn an_execution_is_come_back_for() {
    let place = Place::new([
        Step::Breaks,
        Step::Breaks,
        Step::Unknown,
        Step::Breaks,
        done(reapi::ActionResult::default()),
    ]);
    let outcome = place
        .run(Priority::SPECULATIVE, &CancellationToken::new())
        .unwrap();
    assert_eq!(outcome.answered, Answered::Executed);
    let asked = [
        "execute 1",
        "wait operations/7",
        "wait operations/7",
        "execute 1",
        "wait operations/7",
    ];
    assert_eq!(place.asked(), asked);
    let action: ActionDigest = place.spec.digest;
    let sent = place.fake.script.blobs.missing(&[action.blob()]).unwrap();
    assert_eq!(sent, [], "its inputs are there");
}

#[test]
fn what_the_farm_has_lost_is_sent_again() {
    let output = BlobDigest::of(b"made");
    let result = reapi::ActionResult {
        output_files: vec![reapi::OutputFile {
            path: "out".to_owned(),
            digest: Some(output.into()),
            ..Default::default()
        }],
        ..Default::default()
    };
    let place = Place::new([
        failed(tonic::Code::FailedPrecondition),
        done(result.clone()),
    ]);
    place.fake.script.blobs.write(b"made"[..].into()).unwrap();
    place
        .run(Priority::REAL, &CancellationToken::new())
        .unwrap();
    assert_eq!(place.asked(), ["execute 0", "execute 0"]);
    assert_eq!(
        place.store.read(output).unwrap(),
        &b"made"[..],
        "brought here"
    );

    let place = Place::new([done(result.clone()), done(result.clone()), done(result)]);
    let error = place
        .run(Priority::REAL, &CancellationToken::new())
        .unwrap_err();
    assert!(
        error.to_string().contains("lost again and again"),
        "{error}"
    );
}

#[test]
fn what_nobody_waits_for_is_cancelled_there() {
    let place = Place::new([Step::Stays]);
    let cancel = CancellationToken::new();
    let soon = cancel.clone();
    let canceller = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        soon.cancel();
    });
    let error = place.run(Priority::REAL, &cancel).unwrap_err();
    assert!(matches!(error, ExecutionError::Cancelled), "{error}");
    canceller.join().unwrap();
    for _ in 0..200 {
        if place.farm.asked.lock().unwrap().len() == 2 {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(place.asked(), ["execute 0", "cancel operations/7"]);
}
