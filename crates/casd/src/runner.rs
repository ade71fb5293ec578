//! The runner: one action in one sandbox, for whoever started this process.
//!
//! The daemon stages the tree and keeps the socket that is seen inside; the sandbox is this process's
//! own, so that it has the caller's terminal and ends with it. Outputs go from the sandbox right into
//! the store on disk, which the daemon shares.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use headstart_daemon::{Manner, SandboxedAction, socket_path};
pub use headstart_execution::BindMount;
use headstart_execution::{
    ActionSpec, CancellationToken, InvalidAction, Sandbox, SandboxError, SandboxOutcome,
    SocketMount, Streams,
};
use headstart_merkle::{ActionDigest, BlobDigest, Digest, DirectoryDigest};
use headstart_reapi::localcas::local_content_addressable_storage_client::LocalContentAddressableStorageClient;
use headstart_reapi::localcas::{
    FetchMissingBlobsRequest, GetLocalServerDetailsRequest, StageTreeRequest, StageTreeResponse,
    UploadMissingBlobsRequest, UploadTreeRequest, stage_tree_request::Credentials,
};
use headstart_reapi::{Message, reapi};
use headstart_sandbox::NativeSandbox;
use headstart_store::{BlobStore, Directories, StoreError};
use headstart_store_disk::{DiskBlobs, Layout};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};

use crate::peer;

/// How much an action may write to each of its streams where they are captured, in bytes.
const STREAM_LIMIT: usize = 64 * 1024 * 1024;

/// How long what a server has said may take to be read when it has ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How an action is run.
#[derive(Debug, Clone)]
pub struct RunnerOptions {
    /// The daemon's address, as gRPC writes it.
    pub remote: String,
    /// Its instance.
    pub instance: String,
    /// A file with the Action message.
    pub action: PathBuf,
    /// The file to write the ActionResult to.
    pub result: Option<PathBuf>,
    /// Whether those inside may write to the action cache.
    pub nested_cache_update: bool,
    /// Files of the host to be seen inside.
    pub binds: Vec<BindMount>,
    /// Whether standard output and error become part of the result.
    pub capture_streams: bool,
}

/// Why an action could not be run.
#[derive(Debug, Error)]
pub enum RunnerError {
    /// A file of the command line can't be used.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The action is not one.
    #[error("{0} is not an Action message: {1}")]
    NoAction(PathBuf, String),
    /// The action can't be run as it is.
    #[error(transparent)]
    Invalid(#[from] InvalidAction),
    /// There is no daemon at the address.
    #[error("there is no server at {address}: {source}")]
    Connect {
        /// The address.
        address: String,
        /// Why.
        source: tonic::transport::Error,
    },
    /// The daemon was there, and is no more.
    #[error("the server at {0} has ended")]
    Gone(String),
    /// The daemon refused something.
    #[error("the server could not {what}: {message}")]
    Refused {
        /// What was asked for.
        what: &'static str,
        /// What it said.
        message: String,
    },
    /// The daemon is on another machine, or another user's.
    #[error("the server's store {0} can't be used by this process: {1}")]
    Elsewhere(PathBuf, String),
    /// The sandbox failed.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

type LocalCas = LocalContentAddressableStorageClient<Channel>;

/// Runs an action to its end and writes its result. That the command fails is no error; that the daemon ends
/// before it is one, and the command is ended too.
pub async fn run_action(
    options: &RunnerOptions,
    cancel: CancellationToken,
) -> Result<(), RunnerError> {
    let queued = SystemTime::now();
    let bytes = read(&options.action)?;
    let local = connect(&options.remote).await?;
    let mut running = pin!(run_by(local, options, bytes, queued, cancel));
    tokio::select! {
        ran = &mut running => return ran,
        () = peer::ended(&options.remote) => {}
    }
    let last = tokio::time::timeout(LAST_WORDS, running).await;
    last.unwrap_or_else(|_| Err(RunnerError::Gone(options.remote.clone())))
}

async fn run_by(
    mut local: LocalCas,
    options: &RunnerOptions,
    bytes: Bytes,
    queued: SystemTime,
    cancel: CancellationToken,
) -> Result<(), RunnerError> {
    let layout = shared_layout(&mut local, options).await?;
    let store = DiskBlobs::open(&layout)?;
    let action = store_action(&mut local, options, &store, bytes).await?;
    let mut spec = ActionSpec::read(action, &store)?;
    // What the action says of time is for those who execute it for others.
    spec.timeout = None;

    let staged = Staged::open(&mut local, options, &spec).await?;
    let directories = Directories::new(Arc::new(store.clone()) as Arc<dyn BlobStore>);
    let sandboxed = prepare(options, spec, &staged, &directories)?;
    let sandbox = NativeSandbox::new(&layout, Arc::new(store.clone()));
    let outcome = sandbox.run(sandboxed.request.clone(), cancel).await?;
    if options.capture_streams {
        pass_on(&outcome);
    }
    let mut result = sandboxed.result(outcome, queued, &directories)?;
    result.subactions = staged.close().await?;
    if !options.instance.is_empty() {
        upload(&mut local, &options.instance, &result).await?;
    }
    match &options.result {
        Some(path) => write(path, &result.encode_to_vec()),
        None => Ok(()),
    }
}

fn read(path: &Path) -> Result<Bytes, RunnerError> {
    let content = std::fs::read(path).map_err(|source| RunnerError::File {
        path: path.to_owned(),
        source,
    })?;
    Ok(content.into())
}

fn write(path: &Path, content: &[u8]) -> Result<(), RunnerError> {
    std::fs::write(path, content).map_err(|source| RunnerError::File {
        path: path.to_owned(),
        source,
    })
}

/// What was captured is seen as well.
fn pass_on(outcome: &SandboxOutcome) {
    // Whoever closed the streams does not want to see it.
    let _ = io::stdout().write_all(&outcome.stdout);
    let _ = io::stderr().write_all(&outcome.stderr);
}

async fn connect(address: &str) -> Result<LocalCas, RunnerError> {
    let failed = |source| RunnerError::Connect {
        address: address.to_owned(),
        source,
    };
    let endpoint = Endpoint::from_shared(address.to_owned()).map_err(failed)?;
    let channel = endpoint.connect().await.map_err(failed)?;
    Ok(LocalContentAddressableStorageClient::new(channel))
}

fn refused(what: &'static str) -> impl Fn(Status) -> RunnerError {
    move |status| RunnerError::Refused {
        what,
        message: status.message().to_owned(),
    }
}

/// The layout of the cache directory that the server keeps.
async fn shared_layout(
    local: &mut LocalCas,
    options: &RunnerOptions,
) -> Result<Layout, RunnerError> {
    let instance_name = options.instance.clone();
    let details = local
        .get_local_server_details(GetLocalServerDetailsRequest { instance_name })
        .await
        .map_err(refused("say where its store is"))?
        .into_inner();
    let root = PathBuf::from(details.storage_root);
    let elsewhere = |reason: &str| RunnerError::Elsewhere(root.clone(), reason.to_owned());
    if details.hostname.as_bytes() != rustix::system::uname().nodename().to_bytes() {
        return Err(elsewhere("it is on another machine"));
    }
    if details.process_uid != i64::from(rustix::process::getuid().as_raw()) {
        return Err(elsewhere("it is another user's"));
    }
    match root.parent() {
        Some(parent) if root.is_dir() => Ok(Layout::new(parent)),
        _ => Err(elsewhere("it is not there")),
    }
}

/// Puts the action into the store, and what it names too if that is not here yet.
async fn store_action(
    local: &mut LocalCas,
    options: &RunnerOptions,
    store: &DiskBlobs,
    bytes: Bytes,
) -> Result<ActionDigest, RunnerError> {
    let no_action = |reason: String| RunnerError::NoAction(options.action.clone(), reason);
    let action =
        reapi::Action::decode(bytes.clone()).map_err(|error| no_action(error.to_string()))?;
    let command: BlobDigest = Digest::required(action.command_digest.as_ref())
        .map_err(|error| no_action(format!("command_digest: {error}")))?;
    if !store.contains(command)? {
        let request = FetchMissingBlobsRequest {
            instance_name: options.instance.clone(),
            blob_digests: vec![command.into()],
        };
        let fetched = local.fetch_missing_blobs(request).await;
        let fetched = fetched.map_err(refused("fetch the command"))?.into_inner();
        if let Some(failed) = fetched.responses.into_iter().next() {
            let status = failed.status.unwrap_or_default();
            return Err(RunnerError::Refused {
                what: "fetch the command",
                message: status.message,
            });
        }
    }
    Ok(store.write(bytes)?.cast())
}

fn prepare(
    options: &RunnerOptions,
    spec: ActionSpec,
    staged: &Staged,
    directories: &Directories<dyn BlobStore>,
) -> Result<SandboxedAction, RunnerError> {
    let socket = socket_path(&spec)?.map(|inside| SocketMount {
        host: staged.socket.clone(),
        inside,
    });
    let streams = match options.capture_streams {
        true => Streams::Captured {
            limit: STREAM_LIMIT,
        },
        false => Streams::Inherited,
    };
    let manner = Manner {
        streams,
        nice: 0,
        socket,
        binds: options.binds.clone(),
        capture: true,
    };
    let mut sandboxed = SandboxedAction::new(spec, manner, directories)?;
    sandboxed.request.staged = Some(staged.path.clone());
    Ok(sandboxed)
}

/// A tree that the server keeps staged until this is closed, or this process ends.
struct Staged {
    path: PathBuf,
    socket: PathBuf,
    requests: mpsc::Sender<StageTreeRequest>,
    responses: Streaming<StageTreeResponse>,
}

impl Staged {
    async fn open(
        local: &mut LocalCas,
        options: &RunnerOptions,
        spec: &ActionSpec,
    ) -> Result<Self, RunnerError> {
        let refused = refused("stage the input root");
        let socket = socket_path(spec)?;
        let (requests, receiver) = mpsc::channel(1);
        let first = StageTreeRequest {
            instance_name: options.instance.clone(),
            root_digest: Some(DirectoryDigest::into(spec.input_root)),
            access_credentials: Some(Credentials {
                uid: rustix::process::getuid().as_raw().into(),
                gid: rustix::process::getgid().as_raw().into(),
            }),
            remote_apis_socket_path: socket
                .as_ref()
                .map(|path| path.as_str().to_owned())
                .unwrap_or_default(),
            read_only: true,
            nested_cache_update: options.nested_cache_update,
            parent_action: Some(spec.digest.into()),
            ..Default::default()
        };
        // There is room for one.
        let _ = requests.send(first).await;
        let responses = local.stage_tree(ReceiverStream::new(receiver)).await;
        let mut responses = responses.map_err(&refused)?.into_inner();
        let first = responses.message().await.map_err(&refused)?;
        let first = first.ok_or_else(|| refused(Status::internal("it said nothing")))?;
        let path = PathBuf::from(&first.path);
        // A server that knows nothing of shared trees puts the socket into the tree.
        let socket = match (first.socket.as_str(), socket) {
            ("", Some(inside)) => path.join(inside.as_str()),
            (socket, _) => PathBuf::from(socket),
        };
        Ok(Self {
            path,
            socket,
            requests,
            responses,
        })
    }

    /// Lets the tree go, and gives what was asked for inside.
    async fn close(mut self) -> Result<Vec<reapi::Digest>, RunnerError> {
        let refused = refused("keep the staged tree to the end");
        // If the server has gone there is nothing to be said to it.
        let _ = self.requests.send(StageTreeRequest::default()).await;
        let last = self.responses.message().await.map_err(refused)?;
        Ok(last.unwrap_or_default().subactions)
    }
}

/// Uploads what the result names to the servers behind an instance.
async fn upload(
    local: &mut LocalCas,
    instance: &str,
    result: &reapi::ActionResult,
) -> Result<(), RunnerError> {
    for directory in &result.output_directories {
        if let Some(root) = &directory.root_directory_digest {
            let request = UploadTreeRequest {
                instance_name: instance.to_owned(),
                root_digest: Some(root.clone()),
            };
            let uploaded = local.upload_tree(request).await;
            uploaded.map_err(refused("upload an output directory"))?;
        }
    }
    let trees = result.output_directories.iter();
    let files = result.output_files.iter();
    let digests = trees
        .filter_map(|directory| directory.tree_digest.clone())
        .chain(files.filter_map(|file| file.digest.clone()))
        .chain(result.stdout_digest.clone())
        .chain(result.stderr_digest.clone());
    let request = UploadMissingBlobsRequest {
        instance_name: instance.to_owned(),
        blob_digests: digests.collect(),
    };
    let uploaded = local.upload_missing_blobs(request).await;
    let uploaded = uploaded
        .map_err(refused("upload the outputs"))?
        .into_inner();
    match uploaded.responses.into_iter().next() {
        None => Ok(()),
        Some(failed) => Err(RunnerError::Refused {
            what: "upload the outputs",
            message: failed.status.unwrap_or_default().message,
        }),
    }
}
