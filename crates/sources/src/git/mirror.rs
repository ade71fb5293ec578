//! `git`: a bare repository for each address, `sources/git/ADDRESS`, with its branches and tags.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use headstart_merkle::{DirectoryDigest, Node, Tree, TreePath};
use headstart_project::{Address, Git as GitSource};
use rustix::fs::{FlockOperation, flock};

use super::checkout::checkout;
use super::history::{History, Tagged};
use super::submodules::{self, Submodule};
use super::{Git, require, resolve, shallow};
use crate::download::directory_name;
use crate::error::SourceError;
use crate::places::{fetch_from_first, track_at_first};
use crate::{Store, tree_path};

/// How deep submodules may be in one another.
const MAX_DEPTH: usize = 32;

/// Fetches a source with its submodules into `folder`, as far as they are not there.
pub(crate) fn fetch_mirror(source: &GitSource, folder: &Path) -> Result<(), SourceError> {
    let reference = source.reference.as_deref().ok_or(SourceError::Unresolved)?;
    let commit = fetch(&source.address, reference, folder)?;
    each_submodule(source, &commit, folder, &mut |module| {
        fetch(&module.address, &module.commit, folder).map(|_| ())
    })
}

/// The tree of a fetched source with its submodules.
pub(crate) fn stage_mirror(
    source: &GitSource,
    folder: &Path,
    store: &Store,
) -> Result<DirectoryDigest, SourceError> {
    let reference = source.reference.as_deref().ok_or(SourceError::Unresolved)?;
    let url = &source.address.url;
    let mirror = folder.join(directory_name(url));
    let commit = require(&mirror, reference, url)?;
    let mut tree = Tree::stored(checkout(&mirror, &commit, false, store)?);
    if !source.tags.is_empty() {
        let _held = Mirror::hold(&mirror)?;
        let history = History::leading(&mirror, &commit, tagged(source, &mirror)?)?;
        tree.insert(
            &tree_path(".git")?,
            Node::Directory(history.stage(store)?),
            store,
        )?;
    }
    each_submodule(source, &commit, folder, &mut |module| {
        let mirror = folder.join(directory_name(&module.address.url));
        let commit = require(&mirror, &module.commit, &module.address.url)?;
        let files = checkout(&mirror, &commit, false, store)?;
        tree.merge(&module.path, files, store)?;
        Ok(())
    })?;
    Ok(tree.write(store)?)
}

fn tagged(source: &GitSource, mirror: &Path) -> Result<Vec<Tagged>, SourceError> {
    let tags = source.tags.iter().map(|tag| {
        Ok(Tagged {
            name: tag.name.to_string(),
            commit: require(mirror, &tag.commit, &source.address.url)?,
            annotated: tag.annotated,
        })
    });
    tags.collect()
}

/// Visits the submodules that a source wants, and those in them. Each must have been fetched when
/// `visit` has returned.
fn each_submodule(
    source: &GitSource,
    commit: &str,
    folder: &Path,
    visit: &mut dyn FnMut(&Submodule) -> Result<(), SourceError>,
) -> Result<(), SourceError> {
    let mut pending = vec![(
        source.address.clone(),
        commit.to_owned(),
        TreePath::root(),
        0,
    )];
    while let Some((address, commit, at, depth)) = pending.pop() {
        let mirror = folder.join(directory_name(&address.url));
        let modules = submodules::of(&mirror, &commit, &address, &at, &source.submodules)?;
        for module in modules.into_iter().rev() {
            if depth == MAX_DEPTH {
                return Err(SourceError::Tool {
                    doing: format!("the submodule {} can't be had", module.path.as_str()),
                    said: format!("submodules are more than {MAX_DEPTH} deep in one another"),
                });
            }
            visit(&module)?;
            pending.push((module.address, module.commit, module.path, depth + 1));
        }
    }
    Ok(())
}

/// Makes sure that a commit is in the mirror of an address; gives its hash.
pub(crate) fn fetch(
    address: &Address,
    reference: &str,
    folder: &Path,
) -> Result<String, SourceError> {
    let mirror = Mirror::open(address, folder)?;
    if let Some(commit) = resolve(&mirror.path, reference)? {
        return Ok(commit);
    }
    fetch_from_first(address, |place| {
        mirror.fetch_reference(&place.url, reference)?;
        require(&mirror.path, reference, &address.url)
    })
}

/// Fetches all branches and tags of an address; gives the mirror.
pub(crate) fn fetch_all(address: &Address, folder: &Path) -> Result<PathBuf, SourceError> {
    let mirror = Mirror::open(address, folder)?;
    track_at_first(address, |place| mirror.fetch_everything(&place.url))?;
    Ok(mirror.path)
}

/// A bare repository that only one process at a time fetches into.
pub(crate) struct Mirror {
    pub(crate) path: PathBuf,
    _lock: File,
}

impl Mirror {
    fn open(address: &Address, folder: &Path) -> Result<Self, SourceError> {
        Self::open_at(folder.join(directory_name(&address.url)))
    }

    /// The repository at a path, which is made if it is not there.
    pub(crate) fn open_at(path: PathBuf) -> Result<Self, SourceError> {
        if !path.is_dir() {
            create(&path, |folder| {
                let git = Git::new().args(["init", "--quiet", "--bare", "--template="]);
                git.arg(folder).run("a mirror can't be made").map(|_| ())
            })?;
        }
        let lock = lock(&path, FlockOperation::LockExclusive)?;
        Ok(Self { path, _lock: lock })
    }

    /// Keeps others from fetching into the repository at a path, as long as what is given is there: a
    /// history may look shorter than it is while they do.
    pub(crate) fn hold(path: &Path) -> Result<File, SourceError> {
        lock(path, FlockOperation::LockShared)
    }

    /// Fetches what has the commit: the tag that it is on, or everything.
    fn fetch_reference(&self, place: &str, reference: &str) -> Result<(), SourceError> {
        if let Some((tag, commit)) = reference.split_once("-0-g")
            && has_tag(place, tag, commit)?
        {
            let fetch = Git::of(&self.path)
                .args(["fetch", "--quiet", "--depth=1", "--", place])
                .arg(format!("+refs/tags/{tag}:refs/tags/{tag}"));
            if shallow::fetch(self, fetch)? && resolve(&self.path, reference)?.is_some() {
                return Ok(());
            }
        }
        self.fetch_everything(place)
    }

    fn fetch_everything(&self, place: &str) -> Result<(), SourceError> {
        Git::of(&self.path)
            .args(["fetch", "--quiet", "--prune", "--", place])
            .args(["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"])
            .run("it can't be fetched")
            .map(|_| ())
    }
}

fn lock(path: &Path, operation: FlockOperation) -> Result<File, SourceError> {
    let failed = |error| SourceError::io(path, error);
    let lock = File::open(path).map_err(failed)?;
    flock(&lock, operation).map_err(|error| failed(error.into()))?;
    Ok(lock)
}

/// Makes a folder in one step: whoever is first wins.
pub(crate) fn create(
    path: &Path,
    make: impl FnOnce(&Path) -> Result<(), SourceError>,
) -> Result<(), SourceError> {
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent).map_err(|error| SourceError::io(parent, error))?;
    let folder = tempfile::Builder::new()
        .prefix(".headstart-")
        .tempdir_in(parent)
        .map_err(|error| SourceError::io(parent, error))?;
    let made = folder.path().join("repository");
    fs::create_dir(&made).map_err(|error| SourceError::io(&made, error))?;
    make(&made)?;
    match fs::rename(&made, path) {
        Err(error) if !path.is_dir() => Err(SourceError::io(path, error)),
        _ => Ok(()),
    }
}

/// Whether a repository has a tag on a commit.
pub(crate) fn has_tag(place: &str, tag: &str, commit: &str) -> Result<bool, SourceError> {
    let listed = Git::new().args(["ls-remote", "--", place]).ask()?;
    let line = format!("{commit}\trefs/tags/{tag}");
    let peeled = format!("{line}^{{}}");
    let mut lines = listed.iter().flat_map(|listed| listed.lines());
    Ok(lines.any(|found| found == line || found == peeled))
}
