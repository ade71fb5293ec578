//! From an action to a command in a sandbox.

use std::time::SystemTime;

use headstart_execution::{
    ActionSpec, BindMount, CapturedProperties, InvalidAction, SandboxOutcome, SandboxRequest,
    SocketMount, Streams, WritablePaths,
};
use headstart_merkle::{DirectoryDigest, DirectoryReader, Node, Tree, TreePath};
use headstart_reapi::reapi;
use headstart_store::{BlobStore, Directories, StoreError};

use crate::result::action_result;

/// The node property by which BuildStream marks what is read-only in a tree.
const READ_ONLY: &str = "SubtreeReadOnly";

/// An action, ready for a sandbox.
pub struct SandboxedAction {
    spec: ActionSpec,
    wanted: Vec<WantedOutput>,
    /// What the sandbox is to do.
    pub request: SandboxRequest,
}

/// How an action is to be run, beyond what it says itself.
#[derive(Debug, Clone)]
pub struct Manner {
    /// Where its output goes.
    pub streams: Streams,
    /// Added to its niceness.
    pub nice: i32,
    /// The socket that it finds its server at.
    pub socket: Option<SocketMount>,
    /// Files of the host to be seen inside.
    pub binds: Vec<BindMount>,
    /// Whether its outputs are captured.
    pub capture: bool,
}

impl SandboxedAction {
    /// Makes a sandbox's request of an action.
    pub fn new<S: BlobStore + ?Sized + 'static>(
        spec: ActionSpec,
        manner: Manner,
        directories: &Directories<S>,
    ) -> Result<Self, InvalidAction> {
        let mut wanted = wanted_outputs(&spec)?;
        let capture = manner.capture;
        let mut request = sandbox_request(&spec, &wanted, manner, directories)?;
        if !capture {
            // What may be written to is told by them, and is known now.
            wanted.clear();
            request.outputs.clear();
        }
        Ok(Self {
            spec,
            wanted,
            request,
        })
    }

    /// Makes an ActionResult of what came of it. `queued` is when it was first asked for.
    pub fn result<S: BlobStore + ?Sized + 'static>(
        &self,
        outcome: SandboxOutcome,
        queued: SystemTime,
        directories: &Directories<S>,
    ) -> Result<reapi::ActionResult, StoreError> {
        action_result(&self.spec, &self.wanted, outcome, queued, directories)
    }
}

/// An output that is wanted: as the command names it, and where that is in the tree.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WantedOutput {
    pub(crate) name: String,
    pub(crate) path: TreePath,
}

/// The outputs that `spec` names.
fn wanted_outputs(spec: &ActionSpec) -> Result<Vec<WantedOutput>, InvalidAction> {
    let wanted = spec.outputs.paths.iter().map(|name| {
        let path = TreePath::normalized(&format!("{}/{name}", spec.working_directory))
            .map_err(|error| invalid(spec, format!("output path {name:?}: {error}")))?;
        Ok(WantedOutput {
            name: name.clone(),
            path,
        })
    });
    wanted.collect()
}

/// Where the action wants the remote-apis socket, if it does.
pub fn socket_path(spec: &ActionSpec) -> Result<Option<TreePath>, InvalidAction> {
    let Some(path) = spec.property("remoteApisSocketPath") else {
        return Ok(None);
    };
    TreePath::normalized(path)
        .map(Some)
        .map_err(|error| invalid(spec, format!("remoteApisSocketPath: {error}")))
}

/// The request to the sandbox for `spec`.
fn sandbox_request<S: BlobStore + ?Sized + 'static>(
    spec: &ActionSpec,
    wanted: &[WantedOutput],
    manner: Manner,
    directories: &Directories<S>,
) -> Result<SandboxRequest, InvalidAction> {
    let id = |name: &str| match spec.property(name) {
        None => Ok(0),
        Some(value) => value
            .parse()
            .map_err(|_| invalid(spec, format!("{name}: {value:?} is not a number"))),
    };
    let base_root = spec
        .property("chrootRootDigest")
        .map(str::parse::<DirectoryDigest>);
    let base_root = base_root
        .transpose()
        .map_err(|error| invalid(spec, format!("chrootRootDigest: {error}")))?;
    let captured = |name: &str| spec.outputs.node_properties.iter().any(|n| n == name);
    let outputs: Vec<_> = wanted.iter().map(|output| output.path.clone()).collect();
    Ok(SandboxRequest {
        input_root: spec.input_root,
        staged: None,
        base_root,
        arguments: spec.arguments.clone(),
        environment: spec.environment.clone(),
        working_directory: spec.working_directory.clone(),
        writable: writable(spec, &outputs, directories)?,
        outputs,
        properties: CapturedProperties {
            mtime: captured("mtime"),
            unix_mode: captured("unix_mode"),
        },
        uid: id("unixUID")?,
        gid: id("unixGID")?,
        network: spec.property("network") == Some("on"),
        socket: manner.socket,
        binds: manner.binds,
        streams: manner.streams,
        nice: manner.nice,
        timeout: spec.timeout,
    })
}

/// What may be written to: everything, unless the root is marked as read-only. Then it is what is
/// marked otherwise among the outputs, the working directory and the root's own entries, which is
/// where BuildStream marks directories.
fn writable<S: BlobStore + ?Sized + 'static>(
    spec: &ActionSpec,
    outputs: &[TreePath],
    directories: &Directories<S>,
) -> Result<WritablePaths, InvalidAction> {
    let failed = |error: headstart_merkle::TreeError| match error {
        headstart_merkle::TreeError::Missing(digest) => StoreError::Missing(digest).into(),
        error => invalid(spec, format!("its input root can't be read: {error}")),
    };
    let root = directories
        .read_directory(spec.input_root)
        .map_err(failed)?;
    if root.properties.get(READ_ONLY) != Some("true") {
        return Ok(WritablePaths::All);
    }
    let mut candidates: Vec<TreePath> = root.entries.keys().cloned().map(TreePath::from).collect();
    candidates.push(spec.working_directory.clone());
    candidates.extend(outputs.iter().cloned());
    candidates.sort();
    candidates.dedup();
    let mut tree = Tree::stored(spec.input_root);
    let mut writable = Vec::new();
    for path in candidates {
        if let Some(Node::Directory(digest)) = tree.get(&path, directories).map_err(failed)? {
            let directory = directories.read_directory(digest).map_err(failed)?;
            if directory.properties.get(READ_ONLY) == Some("false") {
                writable.push(path);
            }
        }
    }
    Ok(WritablePaths::Only(writable))
}

fn invalid(spec: &ActionSpec, reason: String) -> InvalidAction {
    InvalidAction::Field {
        action: spec.digest,
        reason,
    }
}
