//! This machine, as the daemon offers it to build tools on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use headstart_daemon::{DiskUsage, Premises, StageWanted, StagedTree, Tenant};
use headstart_execution::SandboxError;
use headstart_hostfs::{HostError, write_out};
use headstart_merkle::extent;
use headstart_reapi::localcas::GetInstanceNameForRemotesRequest;
use headstart_sandbox::NativeSandbox;
use headstart_store::{Directories, LocalBlobs};
use headstart_store_disk::{DiskBlobs, Layout};
use tonic::Status;

use crate::proxies::{Behind, Proxies};

/// A machine with a cache directory.
pub(crate) struct Home {
    root: PathBuf,
    staging: PathBuf,
    sandbox: Arc<NativeSandbox>,
    store: DiskBlobs,
    directories: Directories<dyn LocalBlobs>,
    number: AtomicU64,
    proxies: Arc<Proxies>,
}

impl Home {
    pub(crate) fn new(
        layout: &Layout,
        store: &DiskBlobs,
        sandbox: Arc<NativeSandbox>,
        proxies: Arc<Proxies>,
    ) -> Self {
        let local: Arc<dyn LocalBlobs> = Arc::new(store.clone());
        Self {
            root: layout.root().join("cas"),
            staging: layout.staging(),
            sandbox,
            store: store.clone(),
            directories: Directories::new(local),
            number: AtomicU64::new(0),
            proxies,
        }
    }

    /// Writes a tree out for somebody who may change it.
    #[allow(clippy::result_large_err)]
    fn write_out(&self, wanted: &StageWanted) -> Result<WrittenTree, Status> {
        let folder = match &wanted.path {
            Some(path) => path.clone(),
            None => {
                let number = self.number.fetch_add(1, Ordering::Relaxed);
                self.staging
                    .join(format!("{}-{number}", std::process::id()))
            }
        };
        let failed =
            |error: std::io::Error| Status::internal(format!("{}: {error}", folder.display()));
        if folder.is_relative() {
            return Err(Status::invalid_argument(format!(
                "{} is relative: expected an absolute path to stage to",
                folder.display()
            )));
        }
        let extent = extent(&self.directories, wanted.root);
        let extent = extent.map_err(|error| of_host(&error.into()))?;
        if !extent.is_usable() {
            let root = wanted.root;
            return Err(of_sandbox(&SandboxError::TooLarge { root, extent }));
        }
        fs::create_dir_all(&folder).map_err(failed)?;
        if fs::read_dir(&folder).map_err(failed)?.next().is_some() {
            return Err(Status::invalid_argument(format!(
                "{}: expected an empty folder to stage to",
                folder.display()
            )));
        }
        // Owned from here on, so that it is removed if it is only half written.
        let tree = WrittenTree {
            path: folder.clone(),
            keep_folder: wanted.path.is_some(),
        };
        write_out(wanted.root, &folder, &self.directories).map_err(|error| of_host(&error))?;
        if let Some((user, group)) = wanted.owner {
            give(&folder, user, group).map_err(failed)?;
        }
        Ok(tree)
    }
}

fn of_sandbox(error: &SandboxError) -> Status {
    use headstart_store::StoreError;
    let message = error.to_string();
    match error {
        SandboxError::Store(StoreError::Missing(_)) => Status::not_found(message),
        SandboxError::Store(StoreError::Full(_)) => Status::resource_exhausted(message),
        SandboxError::TooLarge { .. } => Status::invalid_argument(message),
        _ => Status::internal(message),
    }
}

fn of_host(error: &HostError) -> Status {
    use headstart_merkle::TreeError;
    use headstart_store::StoreError;
    match error {
        HostError::Tree(TreeError::Missing(_)) | HostError::Store(StoreError::Missing(_)) => {
            Status::not_found(error.to_string())
        }
        HostError::Store(StoreError::Full(_)) => Status::resource_exhausted(error.to_string()),
        _ => Status::internal(error.to_string()),
    }
}

/// Gives a tree to the user who will work in it, if this process may do that.
fn give(folder: &Path, user: u32, group: u32) -> std::io::Result<()> {
    if !rustix::process::geteuid().is_root() || (user == 0 && group == 0) {
        return Ok(());
    }
    std::os::unix::fs::lchown(folder, Some(user), Some(group))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => give(&entry.path(), user, group)?,
            false => std::os::unix::fs::lchown(entry.path(), Some(user), Some(group))?,
        }
    }
    Ok(())
}

impl Premises for Home {
    fn storage_root(&self) -> &Path {
        &self.root
    }

    fn usage(&self) -> DiskUsage {
        let (used, quota) = self.store.usage().unwrap_or_default();
        DiskUsage { used, quota }
    }

    fn stage(&self, wanted: &StageWanted) -> Result<Box<dyn StagedTree>, Status> {
        if wanted.read_only && wanted.path.is_none() {
            let tree = self.sandbox.stage(wanted.root);
            let tree = tree.map_err(|error| of_sandbox(&error))?;
            let since = Instant::now();
            return Ok(Box::new(SharedTree { tree, since }));
        }
        Ok(Box::new(self.write_out(wanted)?))
    }

    fn remotes(&self, wanted: &GetInstanceNameForRemotesRequest) -> Result<Tenant, Status> {
        let opened = self.proxies.open(&Behind::of(wanted));
        opened.map_err(|error| Status::invalid_argument(error.to_string()))
    }
}

/// A tree that others use too.
struct SharedTree {
    tree: Arc<headstart_sandbox::StagedTree>,
    since: Instant,
}

impl StagedTree for SharedTree {
    fn path(&self) -> &Path {
        self.tree.path()
    }

    fn failure(&self) -> Option<Status> {
        let error = self.tree.failure(self.since)?;
        Some(of_sandbox(&SandboxError::Store(error)))
    }
}

/// A tree that was written out for one client.
struct WrittenTree {
    path: PathBuf,
    /// Whether the folder itself was there before.
    keep_folder: bool,
}

impl StagedTree for WrittenTree {
    fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for WrittenTree {
    fn drop(&mut self) {
        headstart_sandbox::remove_tree(&self.path);
        if self.keep_folder
            && let Err(error) = fs::create_dir(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "a folder could not be emptied");
        }
    }
}

/// Removes what killed daemons left staged.
pub(crate) fn sweep(layout: &Layout) {
    let Ok(entries) = fs::read_dir(layout.staging()) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.split('-').next());
        if owner.is_some_and(|owner| !Path::new("/proc").join(owner).exists()) {
            headstart_sandbox::remove_tree(&entry.path());
        }
    }
}
