//! The executor and the endpoint, with a sandbox that does what the test says.

#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use headstart_daemon::{Endpoint, LocalExecutor, ParentPlace, ParentRequest, Resources, Tenant};
use headstart_execution::{
    Answered, BoxFuture, CancellationToken, ExecutionError, Executor, Priority, Request, Sandbox,
    SandboxError, SandboxOutcome, SandboxRequest, Subaction, SubactionRecorder, WritablePaths,
};
use headstart_merkle::{ActionDigest, BlobDigest, Directory, FileNode, Node, Properties, TreePath};
use headstart_reapi::reapi::action_cache_client::ActionCacheClient;
use headstart_reapi::reapi::content_addressable_storage_client::ContentAddressableStorageClient;
use headstart_reapi::reapi::execution_client::ExecutionClient;
use headstart_reapi::{Message, longrunning, reapi};
use headstart_store::{BlobStore, MemoryActionCache, MemoryBlobs};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tonic::Code;
use tonic::transport::{Channel, Endpoint as ClientEndpoint};

/// Writes each action's last argument to each of its outputs, when the test lets it.
struct Scripted {
    store: MemoryBlobs,
    gate: Semaphore,
    runs: AtomicUsize,
    requests: Mutex<Vec<SandboxRequest>>,
}

impl Sandbox for Scripted {
    fn run(
        &self,
        request: SandboxRequest,
        cancel: CancellationToken,
    ) -> BoxFuture<'_, Result<SandboxOutcome, SandboxError>> {
        Box::pin(async move {
            self.runs.fetch_add(1, Ordering::SeqCst);
            self.requests.lock().unwrap().push(request.clone());
            tokio::select! {
                permit = self.gate.acquire() => permit.unwrap().forget(),
                () = cancel.cancelled() => return Err(SandboxError::Cancelled),
            }
            let text = request.arguments.last().unwrap().clone();
            let digest = self.store.write(text.clone().into()).unwrap();
            let node = Node::File(FileNode::new(digest, false));
            Ok(SandboxOutcome {
                exit_code: i32::from(text == "fail"),
                stdout: Bytes::new(),
                stderr: Bytes::from_static(b"said"),
                outputs: request
                    .outputs
                    .iter()
                    .map(|path| (path.clone(), node.clone()))
                    .collect(),
                staging: Duration::ZERO,
                running: Duration::from_millis(5),
                capturing: Duration::ZERO,
            })
        })
    }
}

struct World {
    store: MemoryBlobs,
    sandbox: Arc<Scripted>,
    executor: LocalExecutor,
}

impl World {
    /// `permits` commands end by themselves, further ones when the test adds permits.
    fn new(slots: usize, permits: usize) -> Self {
        let store = MemoryBlobs::default();
        let sandbox = Arc::new(Scripted {
            store: store.clone(),
            gate: Semaphore::new(permits),
            runs: AtomicUsize::new(0),
            requests: Mutex::default(),
        });
        let executor = LocalExecutor::new(Resources {
            store: Arc::new(store.clone()),
            cache: Arc::new(MemoryActionCache::default()),
            sandbox: Arc::clone(&sandbox) as Arc<dyn Sandbox>,
            slots,
        });
        Self {
            store,
            sandbox,
            executor,
        }
    }

    fn action(&self, argument: &str) -> ActionDigest {
        self.action_with(argument, &Directory::default(), &[], false)
    }

    fn action_with(
        &self,
        argument: &str,
        root: &Directory,
        platform: &[(&str, &str)],
        do_not_cache: bool,
    ) -> ActionDigest {
        let write = |bytes: Vec<u8>| self.store.write(bytes.into()).unwrap();
        let command = reapi::Command {
            arguments: vec!["tool".into(), argument.into()],
            output_paths: vec!["out".into()],
            working_directory: "build".into(),
            ..Default::default()
        };
        let properties = platform
            .iter()
            .map(|(name, value)| reapi::platform::Property {
                name: (*name).into(),
                value: (*value).into(),
            });
        let action = reapi::Action {
            command_digest: Some(write(command.encode_to_vec()).into()),
            input_root_digest: Some(write(root.encode().to_vec()).into()),
            platform: Some(reapi::Platform {
                properties: properties.collect(),
            }),
            do_not_cache,
            ..Default::default()
        };
        write(action.encode_to_vec()).cast()
    }

    async fn execute(&self, action: ActionDigest) -> Result<Answered, ExecutionError> {
        let outcome = self
            .executor
            .execute(request(action, Priority::REAL))
            .await?;
        Ok(outcome.answered)
    }

    fn runs(&self) -> usize {
        self.sandbox.runs.load(Ordering::SeqCst)
    }

    /// Lets everything that can go on do so.
    async fn settle(&self) {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }
}

fn request(action: ActionDigest, priority: Priority) -> Request {
    Request {
        action,
        priority,
        skip_cache_lookup: false,
        cancel: CancellationToken::new(),
    }
}

#[tokio::test]
async fn an_action_is_run_once_and_then_found() {
    let world = World::new(2, 10);
    let action = world.action("a");
    assert_eq!(world.execute(action).await.unwrap(), Answered::Executed);
    assert_eq!(world.execute(action).await.unwrap(), Answered::Cached);
    let again = Request {
        skip_cache_lookup: true,
        ..request(action, Priority::REAL)
    };
    assert_eq!(
        world.executor.execute(again).await.unwrap().answered,
        Answered::Executed
    );
    assert_eq!(world.runs(), 2);
}

#[tokio::test]
async fn failures_and_uncacheable_results_are_not_remembered() {
    let world = World::new(2, 10);
    let failing = world.action("fail");
    let uncacheable = world.action_with("x", &Directory::default(), &[], true);
    for action in [failing, failing, uncacheable, uncacheable] {
        assert_eq!(world.execute(action).await.unwrap(), Answered::Executed);
    }
}

#[tokio::test]
async fn equal_actions_in_flight_are_joined_and_a_guess_is_promoted() {
    let world = World::new(1, 0);
    let [first, second] = ["a", "b"].map(|argument| world.action(argument));
    let ask = |action, priority| {
        let executor = world.executor.clone();
        tokio::spawn(async move { executor.execute(request(action, priority)).await })
    };
    let running = ask(first, Priority::REAL);
    world.settle().await;
    let guess = ask(second, Priority::SPECULATIVE);
    world.settle().await;
    let real = ask(second, Priority::REAL);
    world.settle().await;
    assert_eq!(world.runs(), 1, "there is one slot");
    world.sandbox.gate.add_permits(2);
    assert_eq!(running.await.unwrap().unwrap().answered, Answered::Executed);
    assert_eq!(guess.await.unwrap().unwrap().answered, Answered::Executed);
    assert_eq!(real.await.unwrap().unwrap().answered, Answered::Joined);
    let requests = world.sandbox.requests.lock().unwrap();
    assert_eq!(
        requests
            .iter()
            .map(|request| request.nice)
            .collect::<Vec<_>>(),
        [0, 0]
    );
}

#[tokio::test]
async fn what_is_cancelled_frees_its_slot_and_can_be_asked_for_again() {
    let world = World::new(1, 0);
    let action = world.action("a");
    let cancel = CancellationToken::new();
    let asked = Request {
        cancel: cancel.clone(),
        ..request(action, Priority::SPECULATIVE)
    };
    let executor = world.executor.clone();
    let guess = tokio::spawn(async move { executor.execute(asked).await });
    world.settle().await;
    cancel.cancel();
    assert!(matches!(
        guess.await.unwrap(),
        Err(ExecutionError::Cancelled)
    ));
    world.sandbox.gate.add_permits(1);
    assert_eq!(world.execute(action).await.unwrap(), Answered::Executed);
    assert_eq!(world.sandbox.requests.lock().unwrap()[0].nice, 10);
}

#[tokio::test]
async fn a_missing_or_nonsensical_action_is_refused() {
    let world = World::new(1, 1);
    let absent = ActionDigest::of(b"absent");
    assert!(matches!(
        world.execute(absent).await,
        Err(ExecutionError::Invalid(_))
    ));
    let wrong = world.action_with(
        "a",
        &Directory::default(),
        &[("chrootRootDigest", "nonsense")],
        false,
    );
    let error = world.execute(wrong).await.unwrap_err().to_string();
    assert!(error.contains("chrootRootDigest"), "{error}");
}

#[tokio::test]
async fn what_is_marked_writable_is_and_the_rest_is_not() {
    let world = World::new(1, 1);
    let marked = |value| Directory {
        properties: Properties::named("SubtreeReadOnly", value),
        ..Directory::default()
    };
    let mut root = marked("true");
    for (name, directory) in [("build", marked("false")), ("usr", Directory::default())] {
        world.store.write(directory.encode()).unwrap();
        let name = headstart_merkle::Name::new(name).unwrap();
        root.entries
            .insert(name, Node::Directory(directory.digest()));
    }
    world
        .execute(world.action_with("a", &root, &[("unixUID", "1000")], false))
        .await
        .unwrap();
    let requests = world.sandbox.requests.lock().unwrap();
    let build = TreePath::new("build").unwrap();
    assert_eq!(requests[0].writable, WritablePaths::Only(vec![build]));
    assert_eq!((requests[0].uid, requests[0].gid), (1000, 0));
    assert_eq!(requests[0].outputs, [TreePath::new("build/out").unwrap()]);
}

/// Remembers what it was told.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl SubactionRecorder for Told {
    fn answered(&self, subaction: Subaction) {
        self.0
            .lock()
            .unwrap()
            .push(format!("{:?}", subaction.answered));
    }

    fn missed(&self, _: ActionDigest) {
        self.0.lock().unwrap().push("missed".to_owned());
    }
}

async fn connect(endpoint: &Endpoint) -> Channel {
    let socket = endpoint.socket().to_owned();
    let connector = tower::service_fn(move |_| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    ClientEndpoint::from_static("http://sandbox")
        .connect_with_connector(connector)
        .await
        .unwrap()
}

fn response(operation: &longrunning::Operation) -> reapi::ExecuteResponse {
    match operation.result.as_ref().unwrap() {
        longrunning::operation::Result::Response(any) => {
            reapi::ExecuteResponse::decode(any.value.as_slice()).unwrap()
        }
        longrunning::operation::Result::Error(status) => panic!("{}", status.message),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_inside_looks_up_uploads_executes_and_is_recorded() {
    let world = World::new(2, 10);
    let told = Arc::new(Told::default());
    let tenant = Tenant::new(
        world.executor.clone(),
        told.clone(),
        false,
        CancellationToken::new(),
    );
    let endpoint = Endpoint::open(tenant, &TreePath::default()).unwrap();
    let channel = connect(&endpoint).await;
    let action = world.action("content");

    let get = reapi::GetActionResultRequest {
        action_digest: Some(action.into()),
        inline_output_files: vec!["out".into()],
        ..Default::default()
    };
    let mut results = ActionCacheClient::new(channel.clone());
    let missing = results.get_action_result(get.clone()).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);

    let execute = reapi::ExecuteRequest {
        action_digest: Some(action.into()),
        ..Default::default()
    };
    let mut execution = ExecutionClient::new(channel.clone());
    let mut stream = execution
        .execute(execute.clone())
        .await
        .unwrap()
        .into_inner();
    let mut last = longrunning::Operation::default();
    while let Some(operation) = stream.message().await.unwrap() {
        last = operation;
    }
    assert!(last.done);
    let executed = response(&last);
    assert_eq!(executed.result.unwrap().stderr_raw, &b"said"[..]);

    let found = results.get_action_result(get).await.unwrap().into_inner();
    assert_eq!(found.output_files[0].contents, &b"content"[..]);

    let update = reapi::UpdateActionResultRequest {
        action_digest: Some(action.into()),
        action_result: Some(reapi::ActionResult::default()),
        ..Default::default()
    };
    let denied = results.update_action_result(update).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);

    let wait = reapi::WaitExecutionRequest {
        name: "operations/none".into(),
    };
    assert_eq!(
        execution.wait_execution(wait).await.unwrap_err().code(),
        Code::NotFound
    );
    let elsewhere = reapi::ExecuteRequest {
        instance_name: "other".into(),
        ..execute
    };
    let refused = execution.execute(elsewhere).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);

    assert_eq!(*told.0.lock().unwrap(), ["missed", "Executed", "Cached"]);
    let folder = endpoint.socket().parent().unwrap().to_owned();
    endpoint.close().await;
    assert!(!folder.exists(), "nothing of it stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_are_checked_and_trees_are_listed() {
    let world = World::new(1, 0);
    let tenant = Tenant::new(
        world.executor.clone(),
        Arc::new(Told::default()),
        true,
        CancellationToken::new(),
    );
    let endpoint = Endpoint::open(tenant, &TreePath::default()).unwrap();
    let mut cas = ContentAddressableStorageClient::new(connect(&endpoint).await);
    let (good, claimed) = (BlobDigest::of(b"good"), BlobDigest::of(b"claimed"));
    let upload =
        |digest: BlobDigest, data: &'static [u8]| reapi::batch_update_blobs_request::Request {
            digest: Some(digest.into()),
            data: Bytes::from_static(data),
            ..Default::default()
        };
    let requests = vec![upload(good, b"good"), upload(claimed, b"something else")];
    let request = reapi::BatchUpdateBlobsRequest {
        requests,
        ..Default::default()
    };
    let responses = cas
        .batch_update_blobs(request)
        .await
        .unwrap()
        .into_inner()
        .responses;
    let codes: Vec<_> = responses
        .iter()
        .map(|r| r.status.as_ref().unwrap().code)
        .collect();
    assert_eq!(codes, [0, Code::InvalidArgument as i32]);

    let blob_digests = vec![good.into(), claimed.into()];
    let request = reapi::FindMissingBlobsRequest {
        blob_digests,
        ..Default::default()
    };
    let missing = cas.find_missing_blobs(request).await.unwrap().into_inner();
    assert_eq!(missing.missing_blob_digests, [claimed.into()]);

    let leaf = Directory::default();
    let mut root = Directory::default();
    for name in ["a", "b"] {
        let name = headstart_merkle::Name::new(name).unwrap();
        root.entries.insert(name, Node::Directory(leaf.digest()));
    }
    for directory in [&leaf, &root] {
        world.store.write(directory.encode()).unwrap();
    }
    let request = reapi::GetTreeRequest {
        root_digest: Some(root.digest().into()),
        ..Default::default()
    };
    let mut tree = cas.get_tree(request).await.unwrap().into_inner();
    let page = tree.message().await.unwrap().unwrap();
    assert_eq!(page.directories.len(), 2, "each directory once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parents_result_lists_its_subactions() {
    let world = World::new(1, 1);
    let child = world.action("child");
    world.execute(child).await.unwrap();
    let platform = [("remoteApisSocketPath", "tmp/casd.sock")];
    let parent = world.action_with("parent", &Directory::default(), &platform, false);
    let told = Arc::new(Told::default());
    let request = ParentRequest {
        action: parent,
        log: "/dev/null".into(),
        recorder: told.clone(),
        allow_cache_update: false,
        place: ParentPlace::Here,
        cancel: CancellationToken::new(),
    };
    let executor = world.executor.clone();
    let running = tokio::spawn(async move { executor.run_parent(request).await });
    let socket = loop {
        if let Some(request) = world.sandbox.requests.lock().unwrap().get(1) {
            break request.socket.clone().unwrap();
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(socket.inside.as_str(), "tmp/casd.sock");
    let connector = tower::service_fn(move |_| {
        let socket = socket.host.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    let channel = ClientEndpoint::from_static("http://x")
        .connect_with_connector(connector)
        .await
        .unwrap();
    let execute = reapi::ExecuteRequest {
        action_digest: Some(child.into()),
        ..Default::default()
    };
    let mut stream = ExecutionClient::new(channel)
        .execute(execute)
        .await
        .unwrap()
        .into_inner();
    while stream.message().await.unwrap().is_some() {}
    world.sandbox.gate.add_permits(1);
    let outcome = running.await.unwrap().unwrap();
    assert_eq!(outcome.result.subactions, [child.into()]);
    assert_eq!(*told.0.lock().unwrap(), ["Cached"]);
}
