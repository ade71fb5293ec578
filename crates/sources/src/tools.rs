//! `bzr` and `ostree`: fetched and staged by the machine's tools of these names.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use headstart_merkle::DirectoryDigest;
use headstart_project::{Bazaar, Location, OsTree};

use crate::Store;
use crate::capture::capture_directory;
use crate::download::directory_name;
use crate::error::SourceError;
use crate::places::{fetch_from_first, track_at_first};

/// Runs a tool; gives what it prints.
fn run(
    tool: &'static str,
    purpose: &'static str,
    arguments: &[&dyn AsRef<OsStr>],
) -> Result<String, SourceError> {
    let mut command = Command::new(tool);
    for argument in arguments {
        command.arg(argument);
    }
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => SourceError::NoProgram {
            program: tool,
            purpose,
        },
        _ => SourceError::io(Path::new(tool), error),
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Err(SourceError::Tool {
        doing: format!("`{tool}` failed"),
        said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

fn bzr(arguments: &[&dyn AsRef<OsStr>]) -> Result<String, SourceError> {
    run("bzr", "fetch sources from Bazaar branches", arguments)
}

fn ostree(arguments: &[&dyn AsRef<OsStr>]) -> Result<String, SourceError> {
    run(
        "ostree",
        "fetch sources from OSTree repositories",
        arguments,
    )
}

/// Fetches a branch into `folder`, unless it has the revision; gives its mirror.
pub(crate) fn fetch_bazaar(source: &Bazaar, folder: &Path) -> Result<PathBuf, SourceError> {
    let branch = branch(source, folder);
    let reference = source.reference.as_deref().ok_or(SourceError::Unresolved)?;
    let revision = format!("--revision=revno:{reference}");
    if branch.is_dir() {
        match bzr(&[&"revno", &revision, &branch]) {
            Ok(_) => return Ok(branch),
            Err(SourceError::Tool { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let branch = prepare_bazaar(source, folder)?;
    fetch_from_first(&source.address, |place| pull_bazaar(source, place, &branch))?;
    bzr(&[&"revno", &revision, &branch])?;
    Ok(branch)
}

fn branch(source: &Bazaar, folder: &Path) -> PathBuf {
    folder
        .join(directory_name(&source.address.url))
        .join(&*source.track)
}

/// Makes the mirror of a branch, if it is not there; gives where the branch is in it, or will be.
fn prepare_bazaar(source: &Bazaar, folder: &Path) -> Result<PathBuf, SourceError> {
    let mirror = folder.join(directory_name(&source.address.url));
    if !mirror.join(".bzr").is_dir() {
        fs::create_dir_all(&mirror).map_err(|error| SourceError::io(&mirror, error))?;
        bzr(&[&"init-repo", &"--no-trees", &mirror])?;
    }
    Ok(branch(source, folder))
}

fn pull_bazaar(source: &Bazaar, place: &Location, branch: &Path) -> Result<(), SourceError> {
    let from = format!("{}/{}", place.url, source.track);
    match branch.is_dir() {
        true => bzr(&[&"pull", &format!("--directory={}", branch.display()), &from])?,
        false => bzr(&[&"branch", &from, &branch])?,
    };
    Ok(())
}

/// The number of the newest revision.
pub(crate) fn track_bazaar(source: &Bazaar, folder: &Path) -> Result<String, SourceError> {
    let branch = prepare_bazaar(source, folder)?;
    track_at_first(&source.address, |place| pull_bazaar(source, place, &branch))?;
    bzr(&[&"version-info", &"--custom", &"--template={revno}", &branch])
}

/// The tree of a revision.
pub(crate) fn stage_bazaar(
    source: &Bazaar,
    folder: &Path,
    store: &Store,
) -> Result<DirectoryDigest, SourceError> {
    let branch = fetch_bazaar(source, folder)?;
    let reference = source.reference.as_deref().ok_or(SourceError::Unresolved)?;
    let revision = format!("--revision=revno:{reference}");
    let (_temporary, files) = destination()?;
    bzr(&[&"checkout", &"--lightweight", &revision, &branch, &files])?;
    let own = files.join(".bzr");
    fs::remove_dir_all(&own).map_err(|error| SourceError::io(&own, error))?;
    capture_directory(&files, store)
}

/// Fetches a commit into a repository in `folder`, unless it is there; gives that.
pub(crate) fn fetch_ostree(
    source: &OsTree,
    project: &Path,
    folder: &Path,
) -> Result<PathBuf, SourceError> {
    let reference = source.reference.as_deref().ok_or(SourceError::Unresolved)?;
    let mirror = ostree_mirror(source, folder)?;
    match ostree(&[&"show", &"--repo", &mirror, &reference]) {
        Ok(_) => return Ok(mirror),
        Err(SourceError::Tool { .. }) => {}
        Err(error) => return Err(error),
    }
    fetch_from_first(&source.address, |place| {
        pull_ostree(source, place, &mirror, reference, project)
    })?;
    Ok(mirror)
}

fn ostree_mirror(source: &OsTree, folder: &Path) -> Result<PathBuf, SourceError> {
    let mirror = folder.join(directory_name(&source.address.url));
    if !mirror.is_dir() {
        fs::create_dir_all(folder).map_err(|error| SourceError::io(folder, error))?;
        ostree(&[&"init", &"--repo", &mirror, &"--mode", &"archive-z2"])?;
        ostree(&[
            &"config",
            &"--repo",
            &mirror,
            &"set",
            &"core.min-free-space-percent",
            &"0",
        ])?;
    }
    Ok(mirror)
}

fn pull_ostree(
    source: &OsTree,
    place: &Location,
    mirror: &Path,
    reference: &str,
    project: &Path,
) -> Result<(), SourceError> {
    // As BuildStream names remotes.
    let remote = match *source.address.url == *place.url {
        true => "origin".to_owned(),
        false => directory_name(&place.url),
    };
    let gpg = match &source.gpg_key {
        Some(key) => format!("--gpg-import={}", project.join(&**key).display()),
        None => "--no-gpg-verify".to_owned(),
    };
    ostree(&[
        &"remote",
        &"add",
        &"--if-not-exists",
        &"--repo",
        &mirror,
        &gpg,
        &remote,
        &place.url,
    ])?;
    ostree(&[&"pull", &"--repo", &mirror, &remote, &reference])?;
    Ok(())
}

/// The newest commit of the branch that is tracked; none if none is.
pub(crate) fn track_ostree(
    source: &OsTree,
    project: &Path,
    folder: &Path,
) -> Result<Option<String>, SourceError> {
    let Some(track) = &source.track else {
        return Ok(None);
    };
    let mirror = ostree_mirror(source, folder)?;
    track_at_first(&source.address, |place| {
        pull_ostree(source, place, &mirror, track, project)
    })?;
    let commit = ostree(&[&"rev-parse", &"--repo", &mirror, &&**track])?;
    Ok(Some(commit))
}

/// The tree of a commit.
pub(crate) fn stage_ostree(
    source: &OsTree,
    project: &Path,
    folder: &Path,
    store: &Store,
) -> Result<DirectoryDigest, SourceError> {
    let mirror = fetch_ostree(source, project, folder)?;
    let reference = source.reference.as_deref().ok_or(SourceError::Unresolved)?;
    let (_temporary, files) = destination()?;
    ostree(&[
        &"checkout",
        &"--repo",
        &mirror,
        &"--user-mode",
        &reference,
        &files,
    ])?;
    capture_directory(&files, store)
}

/// A folder that is not there yet, in one that is removed when it is done with.
fn destination() -> Result<(tempfile::TempDir, PathBuf), SourceError> {
    let folder = tempfile::Builder::new().prefix("headstart-").tempdir();
    let folder = folder.map_err(|error| SourceError::io(&std::env::temp_dir(), error))?;
    let files = folder.path().join("files");
    Ok((folder, files))
}
