//! Running one command in one tree.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use headstart_merkle::{DirectoryDigest, Extent, MAX_DEPTH, MAX_ENTRIES, Node, TreePath};
use headstart_store::StoreError;
use thiserror::Error;

use crate::executor::CancellationToken;

/// A future behind a `dyn` trait.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One command to be run in one tree, in namespaces of its own: no network unless asked for, no
/// processes and no files of the host, user id 0 inside without being root outside.
#[derive(Debug, Clone)]
pub struct SandboxRequest {
    /// The tree that the command sees as `/`.
    pub input_root: DirectoryDigest,
    /// Where that tree lies staged already, to be read only; `None` if it has to be staged.
    pub staged: Option<PathBuf>,
    /// A tree below it (`chrootRootDigest`): seen wherever the input root has nothing.
    pub base_root: Option<DirectoryDigest>,
    /// The program and its arguments. A program without `/` is looked for in the environment's
    /// PATH, inside the tree.
    pub arguments: Vec<String>,
    /// The whole environment.
    pub environment: Vec<(String, String)>,
    /// Where the command starts; made if it is not there.
    pub working_directory: TreePath,
    /// What it may write to; everything else is read-only. `/tmp`, `/dev/shm` are always writable.
    pub writable: WritablePaths,
    /// What to capture: paths from the root, of any kind. Those that are not there afterwards are
    /// left out of the outcome. The directories above them are made before the command starts.
    pub outputs: Vec<TreePath>,
    /// Node properties of what the command wrote that are captured with the outputs.
    pub properties: CapturedProperties,
    /// The user id inside; 0 unless `unixUID` says otherwise.
    pub uid: u32,
    /// The group id inside; 0 unless `unixGID` says otherwise.
    pub gid: u32,
    /// Whether the host's network is visible.
    pub network: bool,
    /// A socket to be seen inside.
    pub socket: Option<SocketMount>,
    /// Files and folders of the host to be seen inside, with all that the command may do to them.
    pub binds: Vec<BindMount>,
    /// Where its output goes.
    pub streams: Streams,
    /// Added to the process's niceness: 0 for what a build waits for.
    pub nice: i32,
    /// How long it may run.
    pub timeout: Option<Duration>,
}

/// What a command may write to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WritablePaths {
    /// Everything.
    All,
    /// These directories, which are made if they are not there.
    Only(Vec<TreePath>),
}

/// Node properties that are captured with outputs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CapturedProperties {
    /// Times of modification.
    pub mtime: bool,
    /// Permission bits.
    pub unix_mode: bool,
}

/// A file or folder of the host, to be seen at a path inside; it hides what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindMount {
    /// Where it is on the host.
    pub host: PathBuf,
    /// Where it is seen inside.
    pub inside: TreePath,
}

/// A unix socket of the host, to be seen at a path inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketMount {
    /// Where it is on the host.
    pub host: PathBuf,
    /// Where it is seen inside.
    pub inside: TreePath,
}

/// Where standard output and standard error go. Standard input is empty, unless it is inherited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Streams {
    /// Each into memory, up to a limit beyond which the command is ended.
    Captured {
        /// The limit of each, in bytes.
        limit: usize,
    },
    /// Both appended to this file as they come: an element's log.
    Log(PathBuf),
    /// Those of this process, standard input and its terminal too: for a process that is there for one
    /// command.
    Inherited,
}

/// What came of a command that ran to its end.
#[derive(Debug, Clone)]
pub struct SandboxOutcome {
    /// The exit code; 128 + N if signal N ended it.
    pub exit_code: i32,
    /// Standard output; empty if it went to a log.
    pub stdout: Bytes,
    /// Standard error; empty if it went to a log.
    pub stderr: Bytes,
    /// The outputs that are there, in the order asked for. Their content is in the store.
    pub outputs: Vec<(TreePath, Node)>,
    /// How long staging the tree took.
    pub staging: Duration,
    /// How long the command ran.
    pub running: Duration,
    /// How long capturing the outputs took.
    pub capturing: Duration,
}

/// Why a command could not be run, or not to its end.
#[derive(Debug, Error)]
pub enum SandboxError {
    /// The program is not in the tree.
    #[error("the program {program:?} is not in the sandbox: expected it {expected}")]
    NoProgram {
        /// As asked for.
        program: String,
        /// Where it was looked for.
        expected: String,
    },
    /// The machine doesn't let this user make sandboxes.
    #[error("no sandbox can be made on this machine: {0}")]
    Unavailable(String),
    /// An output can't be captured.
    #[error("the output {path} can't be captured: {reason}")]
    Output {
        /// Which.
        path: TreePath,
        /// Why.
        reason: String,
    },
    /// An input has more than any machine should be asked for.
    #[error(
        "the tree {root} has {} entries and directories {} deep in each other: expected {MAX_ENTRIES} and \
         {MAX_DEPTH} at most", extent.entries, extent.depth
    )]
    TooLarge {
        /// Which.
        root: DirectoryDigest,
        /// What it has.
        extent: Extent,
    },
    /// It wrote more than it may.
    #[error("the command wrote more than {limit} bytes to standard output or standard error")]
    TooMuchOutput {
        /// The limit of each.
        limit: usize,
    },
    /// It ran longer than it may.
    #[error("the command took longer than {0:?}")]
    TimedOut(Duration),
    /// It is no longer needed, and was ended.
    #[error("cancelled")]
    Cancelled,
    /// The store failed; most often an input is missing.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A step of making the sandbox failed.
    #[error("{step}: {reason}")]
    Step {
        /// Which, with the path if there is one.
        step: String,
        /// What the operating system said.
        reason: String,
    },
}

/// Whoever runs commands in sandboxes.
pub trait Sandbox: Send + Sync {
    /// Runs one command to its end. When `cancel` is cancelled all its processes are ended.
    /// However it ends, nothing of it is left running or mounted.
    fn run(
        &self,
        request: SandboxRequest,
        cancel: CancellationToken,
    ) -> BoxFuture<'_, Result<SandboxOutcome, SandboxError>>;
}
