//! Tracking `cargo2`: the crates that the Cargo.lock in the sources before it names.

use std::path::Path;
use std::sync::Arc;

use headstart_merkle::{DirectoryDigest, Tree};
use headstart_project::{Address, Crate, CrateOrigin, Crates};
use headstart_yaml::{Mapping, Node as Yaml, Scalar, Sequence};
use toml::{Table, Value};

use super::{address, kept_in};
use crate::download::fetch_newest;
use crate::error::SourceError;
use crate::files::text_at;
use crate::{Store, tree_path};

/// The new `ref`: a list of crates, sorted.
pub(crate) fn track(
    source: &Crates,
    previous: DirectoryDigest,
    folder: &Path,
    store: &Store,
) -> Result<Yaml, SourceError> {
    let lock = read(source, previous, store)?;
    let packages = lock.get("package").and_then(Value::as_array);
    let mut crates = Vec::new();
    for package in packages.into_iter().flatten() {
        if let Some(found) = Locked::of(source, package)? {
            crates.push(found);
        }
    }
    crates.sort_by(|left, right| left.order().cmp(&right.order()));
    let mut items = Vec::new();
    for mut each in crates {
        if each.git.is_none() && each.sha.is_none() {
            each.sha = Some(each.download(source, folder)?);
        }
        items.push(to_yaml(&each.into_crate(source)).into());
    }
    Ok(Sequence {
        at: headstart_yaml::Provenance::SYNTHETIC,
        items,
    }
    .into())
}

fn refuse(source: &Crates, said: String) -> SourceError {
    SourceError::Tool {
        doing: format!("'{}' in the sources before it is of no use", source.lock),
        said,
    }
}

fn read(source: &Crates, previous: DirectoryDigest, store: &Store) -> Result<Table, SourceError> {
    let mut tree = Tree::stored(previous);
    let text = text_at(&mut tree, &tree_path(&source.lock)?, store)?;
    let text = text.ok_or_else(|| refuse(source, "there is no such file".to_owned()))?;
    let parsed = text.parse::<Table>();
    parsed.map_err(|error| refuse(source, error.to_string()))
}

/// A package of a Cargo.lock.
struct Locked {
    name: String,
    version: String,
    sha: Option<String>,
    git: Option<GitOrigin>,
}

struct GitOrigin {
    repo: String,
    commit: String,
    query: Vec<(Arc<str>, Arc<str>)>,
}

impl Locked {
    /// Reads a package; none if it is one of the sources themselves.
    fn of(source: &Crates, package: &Value) -> Result<Option<Self>, SourceError> {
        let text = |key: &str| package.get(key).and_then(Value::as_str).map(str::to_owned);
        let Some(origin) = text("source") else {
            return Ok(None);
        };
        let (Some(name), Some(version)) = (text("name"), text("version")) else {
            return Err(refuse(
                source,
                "a package has no name or version".to_owned(),
            ));
        };
        let git = match origin.split_once('+') {
            Some(("registry", _)) => None,
            Some(("git", url)) => Some(GitOrigin::of(source, url)),
            _ => {
                let said = format!("the crate {name} is from an unknown kind of source: {origin}");
                return Err(refuse(source, said));
            }
        };
        Ok(Some(Self {
            name,
            version,
            sha: text("checksum"),
            git,
        }))
    }

    fn order(&self) -> (&str, &str, &str, &str) {
        let git = self.git.as_ref();
        let (repo, commit) = git.map_or(("", ""), |git| (&git.repo, &git.commit));
        (&self.name, &self.version, repo, commit)
    }

    fn download(&self, source: &Crates, folder: &Path) -> Result<String, SourceError> {
        let each = Crate {
            name: self.name.as_str().into(),
            version: self.version.as_str().into(),
            origin: CrateOrigin::Registry { sha: None },
            provenance: None,
        };
        fetch_newest(&address(source, &each), &kept_in(source, &each, folder))
    }

    fn into_crate(self, source: &Crates) -> Crate {
        let origin = match self.git {
            None => CrateOrigin::Registry {
                sha: self.sha.map(Into::into),
            },
            Some(git) => CrateOrigin::Git {
                address: Address::discovered(&git.repo),
                translated: git.repo.clone(),
                repo: git.repo.into(),
                commit: git.commit.into(),
                query: git.query.into_iter().collect(),
            },
        };
        Crate {
            provenance: provenance(source, &self.name).cloned(),
            name: self.name.into(),
            version: self.version.into(),
            origin,
        }
    }
}

/// A crate as `ref` lists it.
pub(crate) fn to_yaml(each: &Crate) -> Mapping {
    let mut node = Mapping::default();
    match &each.origin {
        CrateOrigin::Registry { .. } => node.insert("kind", Scalar::synthetic("registry")),
        CrateOrigin::Git {
            repo,
            commit,
            query,
            ..
        } => {
            node.insert("kind", Scalar::synthetic("git"));
            node.insert("commit", Scalar::synthetic(commit.clone()));
            node.insert("repo", Scalar::synthetic(repo.clone()));
            if !query.is_empty() {
                let mut entries = Mapping::default();
                for (key, value) in query {
                    entries.insert(&**key, Scalar::synthetic(value.clone()));
                }
                node.insert("query", entries);
            }
        }
    }
    node.insert("name", Scalar::synthetic(each.name.clone()));
    node.insert("version", Scalar::synthetic(each.version.clone()));
    if let CrateOrigin::Registry { sha: Some(sha) } = &each.origin {
        node.insert("sha", Scalar::synthetic(sha.clone()));
    }
    if let Some(provenance) = &each.provenance {
        node.insert("provenance", provenance.clone());
    }
    node
}

/// What the project has said of where a crate is from, which is kept.
fn provenance<'a>(source: &'a Crates, name: &str) -> Option<&'a Mapping> {
    let crates = source.crates.iter().rev();
    let mut same = crates.filter(|each| *each.name == *name);
    same.find_map(|each| each.provenance.as_ref())
}

impl GitOrigin {
    /// Reads `URL?QUERY#COMMIT`.
    fn of(source: &Crates, url: &str) -> Self {
        let (url, commit) = url.split_once('#').unwrap_or((url, ""));
        let (url, query) = url.split_once('?').unwrap_or((url, ""));
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        Self {
            repo: source.mirrored(url),
            commit: commit.to_owned(),
            query: pairs
                .filter(|(_, value)| !value.is_empty())
                .map(|(key, value)| (decoded(key).into(), decoded(value).into()))
                .collect(),
        }
    }
}

/// Text of a query, as Python's `urllib.parse.unquote_plus` reads it.
fn decoded(text: &str) -> String {
    let bytes = crate::download::percent_decoded(&text.replace('+', " "));
    bytes.to_string_lossy().into_owned()
}
