//! Kind cargo2: the crates that a Cargo.lock of the sources before it names.

use std::sync::Arc;

use headstart_yaml::{Mapping, Scalar};
use indexmap::IndexMap;

use super::{Address, Behaviour, SourceContext, expect_keys};
use crate::error::{LoadError, Problem};
use crate::json::Json;
use crate::keys::Contents;

/// Where crates are if nothing else is said.
const REGISTRY: &str = "https://static.crates.io/crates";

/// The crates that a Cargo.lock names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crates {
    /// The registry, with a slash at its end unless it is just an alias.
    pub registry: Address,
    /// The registry as written.
    written: Arc<str>,
    /// The lock file's path in the sources.
    pub lock: Arc<str>,
    /// The directory of the sources that the crates are staged in.
    pub vendor_dir: Arc<str>,
    /// What to replace at the beginning of repositories' addresses.
    git_mirrors: IndexMap<Arc<str>, Arc<str>>,
    /// The crates, in their order.
    pub crates: Vec<Crate>,
}

/// A crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crate {
    /// Its name.
    pub name: Arc<str>,
    /// Its version.
    pub version: Arc<str>,
    /// Where it is from.
    pub origin: CrateOrigin,
    /// What the project says of where it is from; only people see it.
    pub provenance: Option<Mapping>,
}

/// Where a crate is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CrateOrigin {
    /// The registry.
    Registry {
        /// The SHA-256 of its file, as 64 hexadecimal digits.
        sha: Option<Arc<str>>,
    },
    /// A Git repository.
    Git {
        /// The repository as written.
        repo: Arc<str>,
        /// Where to fetch it from.
        address: Address,
        /// What the address as written, without mirrors, stands for.
        translated: String,
        /// The commit.
        commit: Arc<str>,
        /// What Cargo.toml says of the commit: a branch, tag or revision.
        query: IndexMap<Arc<str>, Arc<str>>,
    },
}

impl Crates {
    pub(super) fn load(config: &Mapping, context: &SourceContext<'_>) -> Result<Self, LoadError> {
        expect_keys(
            config,
            &["url", "ref", "cargo-lock", "vendor-dir", "git-mirrors"],
        )?;
        let written = match config.scalar("url")? {
            Some(url) => url.clone(),
            None => Scalar {
                value: REGISTRY.into(),
                at: config.at.clone(),
            },
        };
        let mut url = written.clone();
        if !url.value.ends_with([':', '/']) {
            url.value = format!("{}/", url.value).into();
        }
        let mut crates = Self {
            registry: Address::load(&url, context)?,
            written: written.value,
            lock: inside(config, "cargo-lock", "Cargo.lock")?,
            vendor_dir: inside(config, "vendor-dir", ".vendored-crates")?,
            git_mirrors: match config.mapping("git-mirrors")? {
                Some(mirrors) => crate::element::texts(mirrors)?,
                None => IndexMap::new(),
            },
            crates: Vec::new(),
        };
        if let Some(list) = config.sequence("ref")? {
            for node in list.mappings()? {
                crates.crates.push(crates.load_crate(node, context)?);
            }
        }
        Ok(crates)
    }

    fn load_crate(&self, node: &Mapping, context: &SourceContext<'_>) -> Result<Crate, LoadError> {
        let required = |key| Ok::<_, LoadError>(node.required_scalar(key)?.value.clone());
        let name = |key| plain_name(node, key);
        let origin = match node.string("kind")? {
            Some("git") => {
                let repo = node.required_scalar("repo")?;
                let mut mirrored = repo.clone();
                mirrored.value = self.mirrored(&repo.value).into();
                CrateOrigin::Git {
                    address: Address::load(&mirrored, context)?,
                    translated: context.aliases.translate(&repo.value),
                    repo: repo.value.clone(),
                    commit: required("commit")?,
                    query: match node.mapping("query")? {
                        Some(query) => crate::element::texts(query)?,
                        None => IndexMap::new(),
                    },
                }
            }
            _ => CrateOrigin::Registry {
                sha: super::text(node, "sha")?,
            },
        };
        Ok(Crate {
            name: name("name")?,
            version: name("version")?,
            origin,
            provenance: node.mapping("provenance")?.cloned(),
        })
    }

    /// A repository's address, its beginning replaced as the most specific of `git-mirrors` says.
    pub fn mirrored(&self, repo: &str) -> String {
        let applicable = self
            .git_mirrors
            .iter()
            .filter(|(url, _)| repo.starts_with(&***url));
        match applicable.max_by_key(|(url, _)| url.len()) {
            Some((url, mirror)) => repo.replace(&**url, mirror),
            None => repo.to_owned(),
        }
    }
}

/// A path in the sources.
fn inside(config: &Mapping, key: &str, default: &str) -> Result<Arc<str>, LoadError> {
    let Some(path) = config.scalar(key)? else {
        return Ok(default.into());
    };
    if let Err(problem) = crate::path::within_project(&path.value) {
        let path_text = path.value.to_string();
        return Err(LoadError::at(
            &path.at,
            Problem::Path {
                path: path_text,
                problem,
            },
        ));
    }
    Ok(path.value.clone())
}

/// A name that becomes part of paths.
fn plain_name(node: &Mapping, key: &str) -> Result<Arc<str>, LoadError> {
    let name = node.required_scalar(key)?;
    if name.value.contains('/') || matches!(&*name.value, "" | "." | "..") {
        return Err(name.unlike("a name without '/'").into());
    }
    Ok(name.value.clone())
}

impl Crate {
    /// What `ref` says of it, which is also what keys hold.
    pub fn to_json(&self) -> Json {
        let mut entries = vec![
            ("name", Json::from(&self.name)),
            ("version", (&self.version).into()),
        ];
        match &self.origin {
            CrateOrigin::Registry { sha } => {
                let sha = super::address::optional(sha.as_ref());
                entries.extend([("kind", "registry".into()), ("sha", sha)]);
            }
            CrateOrigin::Git {
                repo,
                commit,
                query,
                ..
            } => {
                entries.extend([
                    ("kind", "git".into()),
                    ("repo", repo.into()),
                    ("commit", commit.into()),
                ]);
                if !query.is_empty() {
                    let query = query.iter().map(|(key, value)| (key.clone(), value.into()));
                    entries.push(("query", Json::map(query)));
                }
            }
        }
        Json::map(entries)
    }
}

impl Behaviour for Crates {
    fn unique_key(&self, _: &Contents) -> Option<Json> {
        Some(Json::List(vec![
            (&self.written).into(),
            (&self.lock).into(),
            (&self.vendor_dir).into(),
            Json::List(self.crates.iter().map(Crate::to_json).collect()),
            // Raised when the same key comes to mean other files.
            "a".into(),
        ]))
    }

    fn is_resolved(&self) -> bool {
        let unresolved = |each: &Crate| matches!(each.origin, CrateOrigin::Registry { sha: None });
        !self.crates.iter().any(unresolved)
    }
}
