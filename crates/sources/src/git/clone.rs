//! `git_tag` and `git_module`: a bare repository for each address, `sources/KIND/ADDRESS`, or where
//! a tag alone will do one for that, `sources/KIND/ADDRESS_REF`; staged as clones of it.

use std::path::{Path, PathBuf};

use headstart_merkle::{DirectoryDigest, Tree, TreePath};
use headstart_project::{Address, GitClone, Submodules};

use super::checkout::temporary;
use super::mirror::{create, has_tag};
use super::submodules::{self, Submodule};
use super::{Git, require, resolve};
use crate::Store;
use crate::capture::capture_directory;
use crate::download::directory_name;
use crate::error::SourceError;
use crate::places::{fetch_from_first, track_at_first};

/// Fetches a source with its submodules into `folder`, as far as they are not there.
pub(crate) fn fetch_clone(
    source: &GitClone,
    submodules: &Submodules,
    folder: &Path,
) -> Result<(), SourceError> {
    let reference = source.reference.as_deref().ok_or(SourceError::Unresolved)?;
    let repository = fetch(&source.address, reference, source.full_clone, folder)?;
    for module in modules(source, &repository, reference, submodules)? {
        fetch(&module.address, &module.commit, false, folder)?;
    }
    Ok(())
}

/// The tree of a fetched source with its submodules, which have repositories of their own.
pub(crate) fn stage_clone(
    source: &GitClone,
    submodules: &Submodules,
    folder: &Path,
    store: &Store,
) -> Result<DirectoryDigest, SourceError> {
    let reference = source.reference.as_deref().ok_or(SourceError::Unresolved)?;
    let repository = Repository::of(&source.address, reference, folder).existing();
    let files = clone(&repository, reference, source, &source.address, store)?;
    let mut tree = Tree::stored(files);
    for module in modules(source, &repository, reference, submodules)? {
        let Submodule {
            path,
            address,
            commit,
        } = module;
        let repository = Repository::of(&address, &commit, folder).existing();
        let files = clone(&repository, &commit, source, &address, store)?;
        tree.merge(&path, files, store)?;
    }
    Ok(tree.write(store)?)
}

fn modules(
    source: &GitClone,
    repository: &Path,
    reference: &str,
    submodules: &Submodules,
) -> Result<Vec<Submodule>, SourceError> {
    let commit = require(repository, reference, &source.address.url)?;
    let root = TreePath::root();
    submodules::of(repository, &commit, &source.address, &root, submodules)
}

/// Where the repository of an address is, or may be.
struct Repository {
    /// With all that the address has.
    full: PathBuf,
    /// With one tag.
    shallow: PathBuf,
}

impl Repository {
    fn of(address: &Address, reference: &str, folder: &Path) -> Self {
        let with_reference = format!("{}#{reference}", address.url);
        Self {
            full: folder.join(directory_name(&address.url)),
            shallow: folder.join(directory_name(&with_reference)),
        }
    }

    fn existing(&self) -> PathBuf {
        match self.full.is_dir() || !self.shallow.is_dir() {
            true => self.full.clone(),
            false => self.shallow.clone(),
        }
    }
}

/// Makes sure that a commit is in a repository of an address; gives that.
fn fetch(
    address: &Address,
    reference: &str,
    full: bool,
    folder: &Path,
) -> Result<PathBuf, SourceError> {
    let repository = Repository::of(address, reference, folder);
    if resolve(&repository.existing(), reference)?.is_some() {
        return Ok(repository.existing());
    }
    fetch_from_first(address, |place| {
        fetch_from(&place.url, reference, full, &repository)?;
        require(&repository.existing(), reference, &address.url)
    })?;
    Ok(repository.existing())
}

fn fetch_from(
    place: &str,
    reference: &str,
    full: bool,
    repository: &Repository,
) -> Result<(), SourceError> {
    if repository.full.is_dir() {
        return update(&repository.full, place);
    }
    if !full
        && let Some((tag, commit)) = reference.split_once("-0-g")
        && has_tag(place, tag, commit)?
    {
        let cloned = create(&repository.shallow, |path| {
            clone_tag(path, place, tag, commit)
        });
        if cloned.is_ok() {
            return Ok(());
        }
    }
    clone_all(place, &repository.full)
}

/// A repository with nothing but a tag, which is its `HEAD` too, so that it can be cloned.
fn clone_tag(path: &Path, place: &str, tag: &str, commit: &str) -> Result<(), SourceError> {
    let doing = "a tag can't be fetched";
    let init = Git::new().args(["init", "--quiet", "--bare", "--template="]);
    init.arg(path).run(doing)?;
    Git::of(path)
        .args(["remote", "add", "--mirror=fetch", "--", "origin", place])
        .run(doing)?;
    Git::of(path)
        .args(["fetch", "--quiet", "--depth=1", "origin"])
        .arg(format!("refs/tags/{tag}"))
        .run(doing)?;
    Git::of(path)
        .args(["update-ref", "HEAD", &format!("{commit}^{{}}")])
        .run(doing)?;
    Ok(())
}

fn clone_all(place: &str, path: &Path) -> Result<(), SourceError> {
    create(path, |path| {
        let git = Git::new().args(["clone", "--quiet", "--mirror", "-n", "--template=", "--"]);
        git.arg(place).arg(path).run("it can't be cloned")?;
        Ok(())
    })
}

fn update(path: &Path, place: &str) -> Result<(), SourceError> {
    Git::of(path)
        .args(["fetch", "--quiet", "--prune", "--force", "--", place])
        .arg("+refs/*:refs/*")
        .run("it can't be fetched")
        .map(|_| ())
}

/// Fetches all that an address has; gives the repository.
pub(crate) fn fetch_all(address: &Address, folder: &Path) -> Result<PathBuf, SourceError> {
    let path = folder.join(directory_name(&address.url));
    match path.is_dir() {
        true => track_at_first(address, |place| update(&path, &place.url))?,
        false => track_at_first(address, |place| clone_all(&place.url, &path))?,
    }
    Ok(path)
}

/// The files of a commit with a clone of the repository beside them.
fn clone(
    repository: &Path,
    reference: &str,
    source: &GitClone,
    address: &Address,
    store: &Store,
) -> Result<DirectoryDigest, SourceError> {
    require(repository, reference, &address.url)?;
    let folder = temporary()?;
    let files = folder.path().join("files");
    Git::new()
        .args([
            "clone",
            "--quiet",
            "--no-checkout",
            "--no-hardlinks",
            "--template=",
            "--",
        ])
        .arg(repository)
        .arg(&files)
        .run("it can't be cloned")?;
    let mut checkout = Git::within(&files);
    if source.use_lfs {
        // Large files are only to be had where the repository is from.
        Git::within(&files)
            .args(["config", "remote.origin.url", &address.translated])
            .run("its large files can't be fetched")?;
    } else {
        checkout = checkout.env("GIT_LFS_SKIP_SMUDGE", "TRUE");
    }
    checkout
        .args(["checkout", "--quiet", "--force", reference])
        .run("its files can't be checked out")?;
    capture_directory(&files, store)
}
