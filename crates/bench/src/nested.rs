//! Trivial actions through everything that a compiler call inside a sandbox goes through: gRPC on a
//! unix socket, the queue, a sandbox in a compiler's root, the capture of one output.
//!
//! The command is a static program that ends at once, so that what is measured is all ours.

use std::path::Path;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use bytes::Bytes;
use headstart_daemon::{Endpoint, LocalExecutor, Resources, Tenant};
use headstart_embed::LAUNCHER;
use headstart_execution::{CancellationToken, Subaction, SubactionRecorder};
use headstart_merkle::{ActionDigest, Directory, DirectoryDigest, FileNode, Name, Node, TreePath};
use headstart_reapi::reapi::execution_client::ExecutionClient;
use headstart_reapi::{Message, longrunning, reapi};
use headstart_sandbox::{NativeSandbox, check_available};
use headstart_store::BlobStore;
use headstart_store_disk::{DiskActionCache, DiskBlobs, Layout};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint as ClientEndpoint};

use crate::Failure;

type Client = ExecutionClient<Channel>;

/// Files of the compiler's root, and of each action's own inputs.
pub(crate) const ROOT_FILES: usize = 20_000;
const INPUT_FILES: usize = 300;
/// Actions one after another, and at a time.
const ACTIONS: usize = 300;
const IN_FLIGHT: usize = 8;

/// Runs the actions with a cache directory in `folder`, and prints what they took.
pub(crate) fn run(folder: &Path) -> Result<(), Failure> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(measure(folder))
}

async fn measure(folder: &Path) -> Result<(), Failure> {
    check_available()?;
    let layout = Layout::new(folder);
    let store = Arc::new(DiskBlobs::open(&layout)?);
    let sandbox = NativeSandbox::new(&layout, store.clone());
    let slots = available_parallelism().map_or(1, usize::from);
    let executor = LocalExecutor::new(Resources {
        store: store.clone(),
        cache: Arc::new(DiskActionCache::open(&layout)),
        sandbox: Arc::new(sandbox),
        slots,
    });
    let stop = CancellationToken::new();
    let endpoint = Endpoint::open(
        Tenant::new(executor, Arc::new(Nobody), false, stop),
        &TreePath::default(),
    )?;
    let client = connect(&endpoint).await?;
    let work = Work::new(&*store)?;

    let start = Instant::now();
    execute(client.clone(), work.action(&*store)?).await?;
    println!(
        "the first, with a root of {ROOT_FILES} files: {:.1} ms",
        millis(start.elapsed())
    );

    let mut times = Vec::new();
    for _ in 0..ACTIONS {
        let action = work.action(&*store)?;
        let start = Instant::now();
        execute(client.clone(), action).await?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let at = |share: f64| millis(times[((times.len() - 1) as f64 * share) as usize]);
    println!(
        "one after another, {INPUT_FILES} inputs each: p50 {:.1} ms, p95 {:.1} ms, most {:.1} ms",
        at(0.5),
        at(0.95),
        at(1.0)
    );

    let actions = (0..ACTIONS).map(|_| work.action(&*store));
    let actions: Vec<_> = actions.collect::<Result<_, _>>()?;
    let start = Instant::now();
    let mut clients = tokio::task::JoinSet::new();
    for share in actions.chunks(ACTIONS.div_ceil(IN_FLIGHT)) {
        let (share, client) = (share.to_vec(), client.clone());
        clients.spawn(async move {
            for action in share {
                execute(client.clone(), action).await?;
            }
            Ok::<_, Failure>(())
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    let rate = ACTIONS as f64 / start.elapsed().as_secs_f64();
    println!("{IN_FLIGHT} in flight, {slots} slots: {rate:.0} actions a second");
    endpoint.close().await;
    Ok(())
}

/// Trees of the actions, which differ in one variable.
pub(crate) struct Work {
    /// The compiler's root.
    pub(crate) root: DirectoryDigest,
    inputs: DirectoryDigest,
    /// The inputs, with the program.
    plain: DirectoryDigest,
    /// Different in each run, so that no cache knows the actions.
    salt: u128,
    made: std::sync::atomic::AtomicUsize,
}

impl Work {
    pub(crate) fn new(store: &dyn BlobStore) -> Result<Self, Failure> {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        let program = FileNode::new(store.write(Bytes::from_static(LAUNCHER))?, true);
        let mut bin = Directory::default();
        bin.entries.insert(Name::new("true")?, Node::File(program));
        let bin = store.write(bin.encode())?.cast();
        let mut root = folder(store, "library", ROOT_FILES)?;
        root.entries.insert(Name::new("bin")?, Node::Directory(bin));
        let inputs = folder(store, "header", INPUT_FILES)?;
        let mut plain = inputs.clone();
        plain
            .entries
            .insert(Name::new("bin")?, Node::Directory(bin));
        Ok(Self {
            root: store.write(root.encode())?.cast(),
            inputs: store.write(inputs.encode())?.cast(),
            plain: store.write(plain.encode())?.cast(),
            salt: since.as_nanos(),
            made: Default::default(),
        })
    }

    /// A command that no other is equal to.
    fn command(&self) -> reapi::Command {
        let number = self.made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let variable = reapi::command::EnvironmentVariable {
            name: "NUMBER".to_owned(),
            value: format!("{}-{number}", self.salt),
        };
        reapi::Command {
            arguments: vec!["/bin/true".to_owned(), "--version".to_owned()],
            environment_variables: vec![variable],
            ..Default::default()
        }
    }

    fn action(&self, store: &dyn BlobStore) -> Result<ActionDigest, Failure> {
        let command = self.command();
        let property = reapi::platform::Property {
            name: "chrootRootDigest".to_owned(),
            value: self.root.to_string(),
        };
        self.action_of(store, command, self.inputs, vec![property])
    }

    /// The same with the program among its inputs, and no other root.
    pub(crate) fn plain_action(&self, store: &dyn BlobStore) -> Result<ActionDigest, Failure> {
        self.action_of(store, self.command(), self.plain, Vec::new())
    }

    fn action_of(
        &self,
        store: &dyn BlobStore,
        command: reapi::Command,
        inputs: DirectoryDigest,
        properties: Vec<reapi::platform::Property>,
    ) -> Result<ActionDigest, Failure> {
        let command = store.write(command.encode_to_vec().into())?;
        let action = reapi::Action {
            command_digest: Some(command.into()),
            input_root_digest: Some(inputs.into()),
            platform: Some(reapi::Platform { properties }),
            ..Default::default()
        };
        Ok(store.write(action.encode_to_vec().into())?.cast())
    }
}

/// A tree of `count` small files, a hundred to a folder.
pub(crate) fn folder(
    store: &dyn BlobStore,
    name: &str,
    count: usize,
) -> Result<Directory, Failure> {
    let mut root = Directory::default();
    for first in (0..count).step_by(100) {
        let mut folder = Directory::default();
        for number in first..count.min(first + 100) {
            let digest = store.write(format!("{name} {number}").into())?;
            let node = Node::File(FileNode::new(digest, false));
            folder
                .entries
                .insert(Name::new(&format!("{name}{number}"))?, node);
        }
        let digest = store.write(folder.encode())?.cast();
        root.entries.insert(
            Name::new(&format!("{name}s{first}"))?,
            Node::Directory(digest),
        );
    }
    Ok(root)
}

pub(crate) async fn execute(mut client: Client, action: ActionDigest) -> Result<(), Failure> {
    let request = reapi::ExecuteRequest {
        action_digest: Some(action.into()),
        ..Default::default()
    };
    let mut stream = client.execute(request).await?.into_inner();
    let mut last = longrunning::Operation::default();
    while let Some(operation) = stream.message().await? {
        last = operation;
    }
    let Some(longrunning::operation::Result::Response(response)) = last.result else {
        return Err(format!("the action {action} ended without a response").into());
    };
    let response = reapi::ExecuteResponse::decode(response.value.as_slice())?;
    match response.result {
        Some(result) if result.exit_code == 0 => Ok(()),
        other => Err(format!("the action {action}: {other:?}").into()),
    }
}

async fn connect(endpoint: &Endpoint) -> Result<Client, Failure> {
    let socket = endpoint.socket().to_owned();
    let connector = tower::service_fn(move |_| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    let channel = ClientEndpoint::from_static("http://sandbox")
        .connect_with_connector(connector)
        .await?;
    Ok(ExecutionClient::new(channel))
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

struct Nobody;

impl SubactionRecorder for Nobody {
    fn answered(&self, _: Subaction) {}

    fn missed(&self, _: ActionDigest) {}
}
