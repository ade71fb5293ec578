//! Operations: executions that outlive the call which started them.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use headstart_reapi::longrunning::operations_server::Operations as OperationsApi;
use headstart_reapi::longrunning::{
    CancelOperationRequest, DeleteOperationRequest, GetOperationRequest, ListOperationsRequest,
    ListOperationsResponse, Operation,
};
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

/// How long an operation goes on, or stays known when it is done, while nobody waits for it: a client
/// whose connection broke may come back for it with WaitExecution.
const GRACE: Duration = Duration::from_secs(10);
/// Operations in one answer to ListOperations, unless the client wants fewer.
const PAGE: usize = 1000;

/// The operations of one server.
#[derive(Clone, Default)]
pub(crate) struct Operations(Arc<Mutex<HashMap<String, Known>>>);

struct Known {
    states: watch::Sender<Operation>,
    cancel: CancellationToken,
}

/// One operation, for whoever carries it out.
pub(crate) struct Handle {
    operations: Operations,
    name: String,
    states: watch::Sender<Operation>,
    cancel: CancellationToken,
}

/// An operation's states until it is done.
pub(crate) type OperationStream = Pin<Box<dyn Stream<Item = Result<Operation, Status>> + Send>>;

impl Operations {
    /// A new operation, cancelled with `parent`, and what its client will be sent.
    pub(crate) fn start(
        &self,
        metadata: prost_types::Any,
        parent: &CancellationToken,
    ) -> (Handle, OperationStream) {
        let name = new_name();
        let first = Operation {
            name: name.clone(),
            metadata: Some(metadata),
            ..Default::default()
        };
        let (states, receiver) = watch::channel(first);
        let cancel = parent.child_token();
        let known = Known {
            states: states.clone(),
            cancel: cancel.clone(),
        };
        self.known().insert(name.clone(), known);
        let handle = Handle {
            operations: self.clone(),
            name,
            states,
            cancel,
        };
        (handle, states_until_done(receiver))
    }

    /// The states of an operation from now on.
    #[allow(clippy::result_large_err)]
    pub(crate) fn wait(&self, name: &str) -> Result<OperationStream, Status> {
        let known = self.known();
        let known = known.get(name).ok_or_else(|| unknown(name))?;
        Ok(states_until_done(known.states.subscribe()))
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handle {
    /// Cancelled when the client wants it, or when nobody has waited for a while.
    pub(crate) fn cancel(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Changes the state, and tells who waits.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Operation)) {
        self.states.send_modify(change);
    }

    /// Carries out `work`, unless it is given up.
    pub(crate) async fn drive(&self, work: impl Future<Output = ()>) {
        tokio::pin!(work);
        let ended = tokio::select! {
            () = &mut work => true,
            () = self.abandoned() => false,
        };
        if ended {
            // Kept until those who wait have seen it.
            tokio::time::timeout(GRACE, self.states.closed()).await.ok();
        } else {
            self.cancel.cancel();
            work.await;
        }
        self.operations.known().remove(&self.name);
    }

    /// Returns when nobody has waited for the operation for a while.
    async fn abandoned(&self) {
        loop {
            self.states.closed().await;
            tokio::time::sleep(GRACE).await;
            if self.states.is_closed() {
                return;
            }
        }
    }
}

/// A name that no operation of an earlier process had, so that nobody comes back for another's.
fn new_name() -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    static STARTED: std::sync::OnceLock<u128> = std::sync::OnceLock::new();
    let started = STARTED.get_or_init(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.unwrap_or_default().as_nanos()
    });
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("operations/{started:x}-{number}")
}

fn unknown(name: &str) -> Status {
    Status::not_found(format!(
        "there is no operation {name:?}, or it ended long ago"
    ))
}

fn states_until_done(receiver: watch::Receiver<Operation>) -> OperationStream {
    Box::pin(Finite(Box::pin(WatchStream::new(receiver).map(Ok))))
}

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

/// `google.longrunning.Operations`.
pub(crate) struct OperationsService(Operations);

impl OperationsService {
    pub(crate) fn new(operations: Operations) -> Self {
        Self(operations)
    }
}

#[tonic::async_trait]
impl OperationsApi for OperationsService {
    async fn list_operations(
        &self,
        request: Request<ListOperationsRequest>,
    ) -> Result<Response<ListOperationsResponse>, Status> {
        let request = request.into_inner();
        let size = usize::try_from(request.page_size).unwrap_or(0);
        let size = if size == 0 { PAGE } else { size.min(PAGE) };
        let known = self.0.known();
        let mut names: Vec<&String> = known.keys().collect();
        names.sort();
        let begin = names.partition_point(|name| **name <= request.page_token);
        let page = &names[begin..(begin + size).min(names.len())];
        let operations = page.iter().map(|name| known[*name].states.borrow().clone());
        let more = begin + page.len() < names.len();
        Ok(Response::new(ListOperationsResponse {
            operations: operations.collect(),
            next_page_token: match page.last() {
                Some(last) if more => (*last).clone(),
                _ => String::new(),
            },
        }))
    }

    async fn get_operation(
        &self,
        request: Request<GetOperationRequest>,
    ) -> Result<Response<Operation>, Status> {
        let name = &request.get_ref().name;
        let known = self.0.known();
        let known = known.get(name).ok_or_else(|| unknown(name))?;
        Ok(Response::new(known.states.borrow().clone()))
    }

    async fn delete_operation(
        &self,
        request: Request<DeleteOperationRequest>,
    ) -> Result<Response<()>, Status> {
        // The client says that it is not interested; others may be, so it goes by itself.
        let name = &request.get_ref().name;
        let known = self.0.known();
        known.get(name).ok_or_else(|| unknown(name))?;
        Ok(Response::new(()))
    }

    async fn cancel_operation(
        &self,
        request: Request<CancelOperationRequest>,
    ) -> Result<Response<()>, Status> {
        let name = &request.get_ref().name;
        let known = self.0.known();
        let known = known.get(name).ok_or_else(|| unknown(name))?;
        known.cancel.cancel();
        Ok(Response::new(()))
    }
}
