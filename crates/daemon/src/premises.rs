//! What a machine offers to build tools on it, beyond what any server on a network does.

use std::path::{Path, PathBuf};

use headstart_merkle::DirectoryDigest;
use headstart_reapi::localcas::GetInstanceNameForRemotesRequest;
use tonic::Status;

use crate::tenant::Tenant;

/// How a tree is to be staged.
#[derive(Debug, Clone)]
pub struct StageWanted {
    /// The tree.
    pub root: DirectoryDigest,
    /// Whether it will only be read, and so may be shared with others.
    pub read_only: bool,
    /// Where; an empty folder or none. `None` for a place of the machine's choice.
    pub path: Option<PathBuf>,
    /// Who will use it: user and group.
    pub owner: Option<(u32, u32)>,
}

/// A tree as files, which are removed when it is dropped.
pub trait StagedTree: Send {
    /// Where it is.
    fn path(&self) -> &Path;

    /// Why something of it could not be read, if anything could not: what came of it is not to be trusted.
    fn failure(&self) -> Option<Status> {
        None
    }
}

/// How full the disk is with what is stored, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskUsage {
    /// What is stored.
    pub used: u64,
    /// What may be stored at most; `None` if nothing was set.
    pub quota: Option<u64>,
}

/// A machine with a store on its disk.
pub trait Premises: Send + Sync {
    /// The folder above `objects`.
    fn storage_root(&self) -> &Path;

    /// How full it is.
    fn usage(&self) -> DiskUsage;

    /// Stages a tree. Reads and writes many files: not to be called where that holds others up.
    #[allow(clippy::result_large_err)]
    fn stage(&self, wanted: &StageWanted) -> Result<Box<dyn StagedTree>, Status>;

    /// A new tenant with other servers behind it.
    #[allow(clippy::result_large_err)]
    fn remotes(&self, wanted: &GetInstanceNameForRemotesRequest) -> Result<Tenant, Status>;
}
