//! `git_repo`: a bare repository for each address, `sources/git_repo/ADDRESS.git`, with what was
//! asked for: commits with as much history as there is since their tags.

use std::path::{Path, PathBuf};

use headstart_merkle::{DirectoryDigest, Node, Tree};
use headstart_project::{Address, DescribedRef, GitRepo};

use super::checkout::checkout;
use super::history::History;
use super::mirror::Mirror;
use super::{Git, require, resolve, shallow};
use crate::download::directory_name;
use crate::error::SourceError;
use crate::places::{fetch_from_first, track_at_first};
use crate::{Store, tree_path};

/// Fetches a source into `folder`, if it is not there.
pub(crate) fn fetch_repo(source: &GitRepo, folder: &Path) -> Result<(), SourceError> {
    let reference = source.reference.as_ref().ok_or(SourceError::Unresolved)?;
    fetch_described(&source.address, reference, folder)
}

/// Fetches a commit, with its history since the tag that describes it, into `folder`, if it is not there.
pub(crate) fn fetch_described(
    address: &Address,
    reference: &DescribedRef,
    folder: &Path,
) -> Result<(), SourceError> {
    let mirror = Mirror::open_at(path(address, folder))?;
    if is_cached(&mirror.path, reference)? {
        return Ok(());
    }
    let fetched = fetch_from_first(address, |place| {
        fetch_from(&mirror, &place.url, reference)?;
        match is_cached(&mirror.path, reference)? {
            true => Ok(()),
            false => Err(SourceError::not_there(format!(
                "it has no {}",
                reference.written
            ))),
        }
    });
    if fetched.is_err() && has_commits(&mirror.path, reference)? {
        tracing::warn!(
            url = %address.url,
            "the history between a tag and the commit can't be fetched: `git describe` will not work"
        );
        return Ok(());
    }
    fetched
}

/// The tree of a fetched source.
pub(crate) fn stage_repo(
    source: &GitRepo,
    folder: &Path,
    store: &Store,
) -> Result<DirectoryDigest, SourceError> {
    let reference = source.reference.as_ref().ok_or(SourceError::Unresolved)?;
    let (mirror, commit) = fetched(&source.address, &reference.commit, folder)?;
    let mut tree = Tree::stored(checkout(&mirror, &commit, true, store)?);
    let tag = reference.tag.as_ref().map(|(tag, _)| &**tag);
    let _held = Mirror::hold(&mirror)?;
    let history = History::since(&mirror, &commit, tag)?.stage(store)?;
    tree.insert(&tree_path(".git")?, Node::Directory(history), store)?;
    Ok(tree.write(store)?)
}

/// Fetches one commit into `folder`, if it is not there.
pub(crate) fn fetch_commit(
    address: &Address,
    commit: &str,
    folder: &Path,
) -> Result<(), SourceError> {
    let reference = DescribedRef {
        written: commit.into(),
        tag: None,
        commit: commit.into(),
    };
    fetch_described(address, &reference, folder)
}

/// The tree of a fetched commit, with a repository that has nothing else.
pub(crate) fn stage_commit(
    address: &Address,
    commit: &str,
    folder: &Path,
    store: &Store,
) -> Result<DirectoryDigest, SourceError> {
    let (mirror, commit) = fetched(address, commit, folder)?;
    let mut tree = Tree::stored(checkout(&mirror, &commit, true, store)?);
    let history = History::alone(&mirror, &commit)?.stage(store)?;
    tree.insert(&tree_path(".git")?, Node::Directory(history), store)?;
    Ok(tree.write(store)?)
}

/// The tree of a fetched commit, without a repository.
pub(crate) fn files_of(
    address: &Address,
    commit: &str,
    folder: &Path,
    store: &Store,
) -> Result<DirectoryDigest, SourceError> {
    let (mirror, commit) = fetched(address, commit, folder)?;
    checkout(&mirror, &commit, true, store)
}

/// Fetches all that an address has; gives the mirror.
pub(crate) fn fetch_all(address: &Address, folder: &Path) -> Result<PathBuf, SourceError> {
    let mirror = Mirror::open_at(path(address, folder))?;
    track_at_first(address, |place| fetch_everything(&mirror, &place.url))?;
    Ok(mirror.path)
}

fn path(address: &Address, folder: &Path) -> PathBuf {
    let url = address.url.strip_suffix(".git").unwrap_or(&address.url);
    folder.join(format!("{}.git", directory_name(url)))
}

/// The mirror that a commit was fetched into, and the commit's hash.
fn fetched(
    address: &Address,
    commit: &str,
    folder: &Path,
) -> Result<(PathBuf, String), SourceError> {
    let mirror = path(address, folder);
    let commit = require(&mirror, commit, &address.url)?;
    Ok((mirror, commit))
}

fn is_cached(mirror: &Path, reference: &DescribedRef) -> Result<bool, SourceError> {
    if !has_commits(mirror, reference)? {
        return Ok(false);
    }
    let Some((tag, _)) = &reference.tag else {
        return Ok(true);
    };
    // BuildStream may have fetched it, or others in it, with less of its history.
    let git = Git::of(mirror).args(["merge-base", "--is-ancestor", "--end-of-options"]);
    let leads = git
        .arg(format!("refs/tags/{tag}^{{commit}}"))
        .arg(&*reference.commit);
    Ok(leads.ask()?.is_some())
}

/// Whether the commit and the tag are there, whatever is between them.
fn has_commits(mirror: &Path, reference: &DescribedRef) -> Result<bool, SourceError> {
    if let Some((tag, _)) = &reference.tag
        && resolve(mirror, &format!("refs/tags/{tag}"))?.is_none()
    {
        return Ok(false);
    }
    Ok(resolve(mirror, &reference.commit)?.is_some())
}

/// Asks for just the commit first. A server may give only what its branches and tags lead to, and
/// history may turn out to be longer than the ref says: then all is fetched.
fn fetch_from(mirror: &Mirror, place: &str, reference: &DescribedRef) -> Result<(), SourceError> {
    let mut git =
        Git::of(&mirror.path).args(["fetch", "--quiet", "--no-tags", "--no-write-fetch-head"]);
    if let Some((tag, commits)) = &reference.tag {
        git = git.arg(format!("--depth={}", u64::from(*commits) + 1));
        git = git.args(["--", place, &*reference.commit]);
        git = git.arg(format!("+refs/tags/{tag}:refs/tags/{tag}"));
    } else {
        git = git.args(["--depth=1", "--", place, &*reference.commit]);
    }
    if shallow::fetch(mirror, git)? && is_cached(&mirror.path, reference)? {
        return Ok(());
    }
    fetch_everything(mirror, place)
}

fn fetch_everything(mirror: &Mirror, place: &str) -> Result<(), SourceError> {
    let mut git = Git::of(&mirror.path).args(["fetch", "--quiet", "--no-write-fetch-head"]);
    if shallow::is_shallow(&mirror.path) {
        git = git.arg("--unshallow");
    }
    git.args(["--", place])
        .args(["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"])
        .run("it can't be fetched")
        .map(|_| ())
}
