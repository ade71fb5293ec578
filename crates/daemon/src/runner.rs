//! From an action to a command in a sandbox.

use headstart_execution::{
    ActionSpec, InvalidAction, SandboxRequest, SocketMount, Streams, WritablePaths,
};
use headstart_merkle::{DirectoryDigest, DirectoryReader, Node, Tree, TreePath};
use headstart_store::{BlobStore, Directories, StoreError};

/// The node property by which BuildStream marks what is read-only in a tree.
const READ_ONLY: &str = "SubtreeReadOnly";

/// An output that is wanted: as the command names it, and where that is in the tree.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WantedOutput {
    pub(crate) name: String,
    pub(crate) path: TreePath,
}

/// How an action is to be run, beyond what it says itself.
pub(crate) struct Manner {
    pub(crate) streams: Streams,
    pub(crate) nice: i32,
    pub(crate) socket: Option<SocketMount>,
}

/// The outputs that `spec` names.
pub(crate) fn wanted_outputs(spec: &ActionSpec) -> Result<Vec<WantedOutput>, InvalidAction> {
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
pub(crate) fn socket_path(spec: &ActionSpec) -> Result<Option<TreePath>, InvalidAction> {
    let Some(path) = spec.property("remoteApisSocketPath") else {
        return Ok(None);
    };
    TreePath::normalized(path)
        .map(Some)
        .map_err(|error| invalid(spec, format!("remoteApisSocketPath: {error}")))
}

/// The request to the sandbox for `spec`.
pub(crate) fn sandbox_request<S: BlobStore + ?Sized + 'static>(
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
    let outputs: Vec<_> = wanted.iter().map(|output| output.path.clone()).collect();
    Ok(SandboxRequest {
        input_root: spec.input_root,
        base_root,
        arguments: spec.arguments.clone(),
        environment: spec.environment.clone(),
        working_directory: spec.working_directory.clone(),
        writable: writable(spec, &outputs, directories)?,
        outputs,
        uid: id("unixUID")?,
        gid: id("unixGID")?,
        network: spec.property("network") == Some("on"),
        socket: manner.socket,
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
