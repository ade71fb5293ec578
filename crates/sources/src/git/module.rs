//! Tracking `git_module`: the commit that the sources before it have for the submodule.

use headstart_merkle::DirectoryDigest;
use headstart_project::GitModule;

use super::Git;
use super::checkout::temporary;
use super::submodules::commit_at;
use crate::Store;
use crate::capture::write_out;
use crate::error::SourceError;

/// The commit of the submodule in `previous`, the tree of the sources before it.
pub(crate) fn track_module(
    module: &GitModule,
    previous: DirectoryDigest,
    store: &Store,
) -> Result<String, SourceError> {
    let folder = temporary()?;
    write_out(previous, folder.path(), store)?;
    let repository = folder.path().join(".git");
    let head = Git::of(&repository)
        .isolated()
        .args(["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])
        .ask()?;
    let commit = match head {
        Some(head) => commit_at(&repository, &head, module.path.trim_end_matches('/'))?,
        None => None,
    };
    commit.ok_or_else(|| SourceError::Tool {
        doing: "it can't be tracked".to_owned(),
        said: format!(
            "the sources before it have no submodule at '{}'",
            module.path
        ),
    })
}
