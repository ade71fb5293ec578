//! The upper layer of a sandbox before its command starts.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::links::unreadable;
use crate::modes::make_folders;
use crate::scratch::STAYING;
use headstart_execution::{SandboxError, SandboxRequest, WritablePaths};
use headstart_merkle::{DirectoryDigest, DirectoryReader, Node, TreeError, TreePath};
use headstart_store::{Directories, LocalBlobs, StoreError};

/// The upper layer before the command starts: the directories that must be there.
pub(crate) struct Prepared {
    pub(crate) upper: PathBuf,
    /// Where the outputs really are, symbolic links of the trees followed.
    pub(crate) outputs: Vec<TreePath>,
    pub(crate) writable: Option<Vec<PathBuf>>,
    /// The host's files and where they are mounted, in order: the socket last.
    pub(crate) binds: Vec<(PathBuf, PathBuf)>,
    /// Mount points that were made for them: no outputs.
    pub(crate) own: Vec<TreePath>,
}

impl Prepared {
    /// Makes in `upper`, which is empty but for folders that are [`STAYING`], what the request needs.
    pub(crate) fn new(
        request: &SandboxRequest,
        upper: PathBuf,
        store: &Directories<dyn LocalBlobs>,
    ) -> Result<Self, SandboxError> {
        let roots: Vec<_> = [Some(request.input_root), request.base_root]
            .into_iter()
            .flatten()
            .collect();
        let resolve = |path: &TreePath| resolve(path, &roots, store);
        let make = |path: &TreePath| -> Result<TreePath, SandboxError> {
            let path = resolve(path)?;
            let folder = upper.join(path.as_str());
            make_folders(&folder).map_err(|error| not_made(&folder, error))?;
            Ok(path)
        };
        let make_staying = |place: &str| {
            let place = TreePath::new(place).unwrap_or_default();
            let made = make(&place)?;
            if made != place {
                // It may be there from another sandbox, and would hide a link of the trees.
                let folder = upper.join(place.as_str());
                match fs::remove_dir(&folder) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(not_made(&folder, error));
                    }
                    _ => {}
                }
            }
            Ok(made)
        };
        let [dev, proc, tmp] = STAYING;
        make_staying(dev)?;
        make_staying(proc)?;
        let tmp = make_staying(tmp)?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o1777);
        let folder = upper.join(tmp.as_str());
        fs::set_permissions(&folder, mode).map_err(|error| not_made(&folder, error))?;
        make(&request.working_directory)?;
        let mut outputs = Vec::new();
        for output in &request.outputs {
            outputs.push(match output.split() {
                Some((parent, name)) => make(&parent)?.child(&name),
                None => TreePath::root(),
            });
        }
        let writable = match &request.writable {
            WritablePaths::All => None,
            WritablePaths::Only(paths) => {
                let mut writable = vec![PathBuf::from(tmp.as_str())];
                for path in paths
                    .iter()
                    .filter(|path| !matches!(path.as_str(), "dev" | "proc" | "tmp"))
                {
                    writable.push(make(path)?.as_str().into());
                }
                Some(writable)
            }
        };
        let mut binds = Vec::new();
        let mut own = Vec::new();
        let socket = request.socket.iter();
        let socket = socket.map(|socket| (&socket.host, &socket.inside));
        let wanted = request.binds.iter().map(|bind| (&bind.host, &bind.inside));
        for (host, inside) in wanted.chain(socket) {
            let inside = resolve(inside)?;
            let Some((parent, name)) = inside.split() else {
                continue;
            };
            if !is_there(&inside, &roots, store)? {
                let path = upper.join(make(&parent)?.child(&name).as_str());
                let made = match host.is_dir() {
                    true => make_folders(&path),
                    false => File::create(&path).map(drop),
                };
                made.map_err(|error| not_made(&path, error))?;
                own.push(inside.clone());
            }
            binds.push((host.clone(), PathBuf::from(inside.as_str())));
        }
        Ok(Self {
            upper,
            outputs,
            writable,
            binds,
            own,
        })
    }
}

pub(crate) fn not_made(path: &Path, error: io::Error) -> SandboxError {
    match error.kind() {
        io::ErrorKind::StorageFull => SandboxError::Store(StoreError::Full(path.to_owned())),
        _ => SandboxError::Step {
            step: format!("make {}", path.display()),
            reason: error.to_string(),
        },
    }
}

/// Follows the symbolic links of the trees on the way to `path`, so that a directory made there in
/// the upper layer hides none of them. What is not there stays as it is.
fn resolve(
    path: &TreePath,
    roots: &[DirectoryDigest],
    store: &Directories<dyn LocalBlobs>,
) -> Result<TreePath, SandboxError> {
    let mut pending: Vec<String> = path.components().rev().map(str::to_owned).collect();
    let mut resolved: Vec<String> = Vec::new();
    let mut followed = 0;
    while let Some(name) = pending.pop() {
        match name.as_str() {
            "." | "" => continue,
            ".." => {
                resolved.pop();
                continue;
            }
            _ => resolved.push(name),
        }
        let here = TreePath::normalized(&resolved.join("/")).unwrap_or_default();
        if let Some(target) = link_at(&here, roots, store)? {
            followed += 1;
            if followed > 40 {
                let step = format!("make {path}");
                let reason = "too many symbolic links on the way".to_owned();
                return Err(SandboxError::Step { step, reason });
            }
            resolved.pop();
            if target.starts_with('/') {
                resolved.clear();
            }
            pending.extend(target.split('/').rev().map(str::to_owned));
        }
    }
    Ok(TreePath::normalized(&resolved.join("/")).unwrap_or_default())
}

/// The target of the symbolic link at `path`, if there is one.
fn link_at(
    path: &TreePath,
    roots: &[DirectoryDigest],
    store: &Directories<dyn LocalBlobs>,
) -> Result<Option<String>, SandboxError> {
    Ok(match node_at(path, roots, store)? {
        Some(Node::Symlink(link)) => Some(link.target.to_string()),
        _ => None,
    })
}

fn is_there(
    path: &TreePath,
    roots: &[DirectoryDigest],
    store: &Directories<dyn LocalBlobs>,
) -> Result<bool, SandboxError> {
    Ok(node_at(path, roots, store)?.is_some())
}

/// What stands at `path` in the uppermost of the trees that has anything there.
fn node_at(
    path: &TreePath,
    roots: &[DirectoryDigest],
    store: &Directories<dyn LocalBlobs>,
) -> Result<Option<Node>, SandboxError> {
    let failed = |error: TreeError| unreadable(format!("find {path}"), error);
    'roots: for root in roots {
        let mut directory = store.read_directory(*root).map_err(failed)?;
        let mut components = path.components().peekable();
        while let Some(name) = components.next() {
            match directory.entries.get(name) {
                None => continue 'roots,
                Some(node) if components.peek().is_none() => return Ok(Some(node.clone())),
                Some(Node::Directory(child)) => {
                    directory = store.read_directory(*child).map_err(failed)?;
                }
                Some(_) => return Ok(None),
            }
        }
    }
    Ok(None)
}
