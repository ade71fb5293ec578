//! The submodules of a commit.

use std::path::Path;

use headstart_merkle::TreePath;
use headstart_project::{Address, Submodules};

use super::Git;
use crate::error::SourceError;

/// A submodule.
#[derive(Debug, Clone)]
pub(crate) struct Submodule {
    /// Where it is staged, from the root of the source.
    pub(crate) path: TreePath,
    /// Where it is fetched from.
    pub(crate) address: Address,
    /// Its commit.
    pub(crate) commit: String,
}

/// The submodules of a commit that are wanted. `address` is that of the commit's repository, `at`
/// where that is staged.
pub(crate) fn of(
    repository: &Path,
    commit: &str,
    address: &Address,
    at: &TreePath,
    wanted: &Submodules,
) -> Result<Vec<Submodule>, SourceError> {
    let mut submodules = Vec::new();
    for (path, url) in declared(repository, commit)? {
        let inside = TreePath::normalized(&path).map_err(|error| SourceError::Tool {
            doing: format!("its submodule {path:?} can't be staged"),
            said: error.to_string(),
        })?;
        let full = at.join(&inside);
        if inside.is_root() || !wanted.includes(full.as_str()) {
            continue;
        }
        let Some(commit) = commit_at(repository, commit, inside.as_str())? else {
            tracing::warn!(
                url = %address.url,
                path,
                "a submodule is declared, but not in the repository"
            );
            continue;
        };
        let address = match wanted.address(full.as_str()) {
            Some(address) => address.clone(),
            None => Address::discovered(&absolute(&url, &address.translated)),
        };
        submodules.push(Submodule {
            path: full,
            address,
            commit,
        });
    }
    Ok(submodules)
}

/// The paths and addresses in a commit's `.gitmodules`, in order.
fn declared(repository: &Path, commit: &str) -> Result<Vec<(String, String)>, SourceError> {
    let listed = Git::of(repository)
        .isolated()
        .args(["config", "--blob", &format!("{commit}:.gitmodules")])
        .args(["-z", "--get-regexp", r"^submodule\..*\.(path|url)$"])
        .ask()?;
    let mut modules: Vec<(String, Option<String>, Option<String>)> = Vec::new();
    for entry in listed.iter().flat_map(|listed| listed.split('\0')) {
        let Some((key, value)) = entry.split_once('\n') else {
            continue;
        };
        let Some((name, what)) = key.rsplit_once('.') else {
            continue;
        };
        let index = match modules.iter().position(|(other, ..)| other == name) {
            Some(index) => index,
            None => {
                modules.push((name.to_owned(), None, None));
                modules.len() - 1
            }
        };
        match what {
            "path" => modules[index].1 = Some(value.to_owned()),
            _ => modules[index].2 = Some(value.to_owned()),
        }
    }
    let complete = modules.into_iter();
    Ok(complete
        .filter_map(|(_, path, url)| Some((path?, url?)))
        .collect())
}

/// The commit that a tree has at a path, if it has one there.
pub(crate) fn commit_at(
    repository: &Path,
    commit: &str,
    path: &str,
) -> Result<Option<String>, SourceError> {
    let listed = Git::of(repository)
        .args(["ls-tree", "-z", commit, "--"])
        .arg(format!(":(literal){path}"))
        .ask()?;
    let entry = listed.unwrap_or_default();
    let mut fields = entry
        .split(['\t', '\0'])
        .next()
        .unwrap_or_default()
        .split(' ');
    Ok(match (fields.next(), fields.next(), fields.next()) {
        (Some("160000"), Some("commit"), Some(commit)) => Some(commit.to_owned()),
        _ => None,
    })
}

/// A submodule's address, which may be relative to that of its repository.
fn absolute(url: &str, repository: &str) -> String {
    if !url.starts_with("./") && !url.starts_with("../") {
        return url.to_owned();
    }
    let mut base = repository.trim_end_matches('/');
    let mut rest = url;
    loop {
        if let Some(further) = rest.strip_prefix("../") {
            base = base.rsplit_once('/').map_or(base, |(above, _)| above);
            rest = further;
        } else if let Some(further) = rest.strip_prefix("./") {
            rest = further;
        } else {
            return format!("{base}/{rest}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::absolute;

    #[test]
    fn addresses_may_be_relative() {
        let repository = "https://example.org/group/main.git/";
        for (url, expected) in [
            ("../other.git", "https://example.org/group/other.git"),
            ("../../top.git", "https://example.org/top.git"),
            ("./in.git", "https://example.org/group/main.git/in.git"),
            ("https://example.com/x", "https://example.com/x"),
        ] {
            assert_eq!(absolute(url, repository), expected);
        }
    }
}
