//! Histories that are not whole: the file `shallow` of a repository names the commits whose parents are
//! left out.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use super::Git;
use super::mirror::Mirror;
use super::objects::{missing, read};
use crate::download::temporary;
use crate::error::SourceError;

const FILE: &str = "shallow";

/// Runs a fetch that asks for less than all history; gives whether it succeeded.
///
/// What the repository had of the history before stays: `git` would cut that off where what is fetched
/// ends. Whoever reads histories has to wait meanwhile ([`Mirror::hold`]).
pub(crate) fn fetch(mirror: &Mirror, fetch: Git) -> Result<bool, SourceError> {
    let repository = &*mirror.path;
    let before = ends(repository)?;
    let fetched = fetch.ask()?.is_some();
    let mut after = ends(repository)?;
    let mut new: Vec<String> = after.difference(&before).cloned().collect();
    if new.is_empty() {
        return Ok(fetched);
    }
    // A fetch that has failed may have named what did not come.
    let absent = missing(repository, &new)?;
    new.retain(|commit| !absent.contains(commit));
    let commits = read(repository, &new)?;
    let parents = commits.iter().flat_map(|commit| commit.headers("parent"));
    let absent = missing(repository, &parents.collect::<Vec<_>>())?;
    let mut is_cut = false;
    for commit in &commits {
        if commit.headers("parent").all(|it| !absent.contains(&it)) {
            is_cut |= after.remove(&commit.id);
        }
    }
    if is_cut {
        write(repository, &after)?;
    }
    Ok(fetched)
}

/// Whether something is left out of a repository's history.
pub(crate) fn is_shallow(repository: &Path) -> bool {
    repository.join(FILE).is_file()
}

/// The commits whose parents are left out.
fn ends(repository: &Path) -> Result<BTreeSet<String>, SourceError> {
    let path = repository.join(FILE);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(SourceError::io(&path, error)),
    }
}

/// Replaces the file, which is there, by one with its mode.
fn write(repository: &Path, ends: &BTreeSet<String>) -> Result<(), SourceError> {
    let path = repository.join(FILE);
    let failed = |error| SourceError::io(&path, error);
    // An empty one would say that something is left out.
    if ends.is_empty() {
        return fs::remove_file(&path).map_err(failed);
    }
    let mut file = temporary(repository)?;
    for commit in ends {
        writeln!(file, "{commit}").map_err(failed)?;
    }
    let mode = fs::metadata(&path).map(|metadata| metadata.permissions());
    mode.and_then(|mode| file.as_file().set_permissions(mode))
        .map_err(failed)?;
    file.persist(&path).map_err(|error| failed(error.error))?;
    Ok(())
}
