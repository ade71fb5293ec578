//! A crate in a repository that may have many: it is found in its workspace, and what its manifest
//! leaves to that is filled in.

use std::collections::HashMap;

use headstart_merkle::{DirectoryDigest, Node, Tree, TreePath};
use toml::{Table, Value};

use crate::error::SourceError;
use crate::files::{put_file, text_at};
use crate::glob::Glob;
use crate::{Store, toml as toml_text, tree_path};

/// Crates of a workspace that are looked at.
const MAX_CRATES: usize = 10_000;

/// The tree of the crate `name` in the repository whose files are `files`.
pub(super) fn find(
    files: DirectoryDigest,
    name: &str,
    store: &Store,
) -> Result<DirectoryDigest, SourceError> {
    let mut repository = Repository {
        files: Tree::stored(files),
        store,
    };
    let root = TreePath::root();
    let manifest = repository.manifest(&root)?;
    let manifest = manifest.ok_or_else(|| missing(name, "its repository has no Cargo.toml"))?;
    let is_root = package_name(&manifest) == Some(name);
    let Some(workspace) = manifest.get("workspace").and_then(Value::as_table) else {
        return match is_root {
            true => Ok(files),
            false => Err(missing(
                name,
                "its repository has another crate and no workspace",
            )),
        };
    };
    let mut crates = Found::default();
    let members = workspace.get("members").and_then(Value::as_array);
    let members = members.into_iter().flatten().filter_map(Value::as_str);
    // Where the root is a crate, it is always part of its workspace.
    for member in members.chain(is_root.then_some(".")) {
        for path in repository.matching(member)? {
            let Some(manifest) = repository.manifest(&path)? else {
                continue;
            };
            if let Some(name) = package_name(&manifest) {
                let found = (path.clone(), manifest.clone());
                crates.insert(name.to_owned(), found);
            }
            add_implicit(&mut repository, workspace, &path, &manifest, &mut crates)?;
        }
    }
    let (path, mut manifest) = crates
        .remove(name)
        .ok_or_else(|| missing(name, "no crate of its repository's workspace has its name"))?;
    inherit(&mut manifest, workspace, name)?;
    let at = path.join(&tree_path("Cargo.toml")?);
    let text = toml_text::to_text(&manifest);
    put_file(&mut repository.files, &at, text, false, store)?;
    match repository.files.get(&path, store)? {
        Some(Node::Directory(found)) => Ok(found),
        _ => Err(missing(name, "its folder is none")),
    }
}

type Found = HashMap<String, (TreePath, Table)>;

fn missing(name: &str, said: &str) -> SourceError {
    SourceError::Tool {
        doing: format!("the crate '{name}' can't be found"),
        said: said.to_owned(),
    }
}

fn package_name(manifest: &Table) -> Option<&str> {
    manifest.get("package")?.get("name")?.as_str()
}

/// The files of a repository; links in it lead nowhere.
struct Repository<'a> {
    files: Tree,
    store: &'a Store,
}

impl Repository<'_> {
    /// The Cargo.toml in a directory, if there is one.
    fn manifest(&mut self, directory: &TreePath) -> Result<Option<Table>, SourceError> {
        let path = directory.join(&tree_path("Cargo.toml")?);
        let Some(text) = text_at(&mut self.files, &path, self.store)? else {
            return Ok(None);
        };
        let parsed = text.parse::<Table>().map_err(|error| SourceError::Tool {
            doing: format!("{} can't be read", path.as_str()),
            said: error.to_string(),
        });
        parsed.map(Some)
    }

    /// The directories that a pattern of a workspace's members matches.
    fn matching(&mut self, pattern: &str) -> Result<Vec<TreePath>, SourceError> {
        let pattern = tree_path(pattern)?;
        let mut paths = vec![TreePath::root()];
        for component in pattern.components() {
            let glob = Glob::new(component);
            let mut next = Vec::new();
            for path in paths {
                let names = self.files.names(&path, self.store)?.unwrap_or_default();
                let visible = |name: &str| component.starts_with('.') || !name.starts_with('.');
                let matching = names
                    .iter()
                    .filter(|name| visible(name.as_str()) && glob.matches(name.as_str()));
                next.extend(matching.map(|name| path.child(name)));
            }
            paths = next;
        }
        Ok(paths)
    }
}

/// Adds the crates that a manifest depends on by their paths: they are part of the workspace too.
fn add_implicit(
    repository: &mut Repository<'_>,
    workspace: &Table,
    path: &TreePath,
    manifest: &Table,
    crates: &mut Found,
) -> Result<(), SourceError> {
    let mut pending = vec![(path.clone(), manifest.clone())];
    while let Some((path, manifest)) = pending.pop() {
        let dependencies = manifest.get("dependencies").and_then(Value::as_table);
        for details in dependencies.into_iter().flat_map(Table::values) {
            let Some(below) = details.get("path").and_then(Value::as_str) else {
                continue;
            };
            let Ok(path) = TreePath::normalized(&format!("{}/{below}", path.as_str())) else {
                continue;
            };
            let Some(mut manifest) = repository.manifest(&path)? else {
                continue;
            };
            let Some(name) = package_name(&manifest).map(str::to_owned) else {
                continue;
            };
            if crates.contains_key(&name) || crates.len() > MAX_CRATES {
                continue;
            }
            inherit(&mut manifest, workspace, &name)?;
            crates.insert(name, (path.clone(), manifest.clone()));
            pending.push((path, manifest));
        }
    }
    Ok(())
}

/// Fills in what a manifest leaves to its workspace.
fn inherit(manifest: &mut Table, workspace: &Table, name: &str) -> Result<(), SourceError> {
    if let Some(shared) = workspace.get("dependencies").and_then(Value::as_table) {
        for key in ["dependencies", "dev-dependencies", "build-dependencies"] {
            if let Some(Value::Table(dependencies)) = manifest.get_mut(key) {
                inherit_dependencies(dependencies, shared, name)?;
            }
        }
        if let Some(Value::Table(targets)) = manifest.get_mut("target") {
            for (_, target) in targets.iter_mut() {
                if let Some(Value::Table(dependencies)) = target.get_mut("dependencies") {
                    inherit_dependencies(dependencies, shared, name)?;
                }
            }
        }
    }
    if let Some(Value::Table(package)) = manifest.get_mut("package") {
        for (key, value) in package.iter_mut() {
            if value.get("workspace").is_some() {
                let shared = workspace.get("package").and_then(|shared| shared.get(key));
                let shared = shared.ok_or_else(|| {
                    missing(name, &format!("its workspace has no 'package.{key}'"))
                })?;
                *value = shared.clone();
            }
        }
    }
    let wants_lints = manifest
        .get("lints")
        .and_then(|lints| lints.get("workspace"))
        .and_then(Value::as_bool);
    if let (Some(true), Some(lints)) = (wants_lints, workspace.get("lints")) {
        manifest.insert("lints".to_owned(), lints.clone());
    }
    Ok(())
}

fn inherit_dependencies(
    dependencies: &mut Table,
    shared: &Table,
    name: &str,
) -> Result<(), SourceError> {
    for (dependency, details) in dependencies.iter_mut() {
        let Value::Table(details) = details else {
            continue;
        };
        if details.remove("workspace").is_none() {
            continue;
        }
        let shared = shared.get(dependency).ok_or_else(|| {
            missing(
                name,
                &format!("its workspace has no dependency '{dependency}'"),
            )
        })?;
        let Value::Table(shared) = shared else {
            details.insert("version".to_owned(), shared.clone());
            continue;
        };
        let features: Vec<Value> = [shared.get("features"), details.get("features")]
            .into_iter()
            .flatten()
            .filter_map(Value::as_array)
            .flatten()
            .cloned()
            .collect();
        for (key, value) in shared {
            details.insert(key.clone(), value.clone());
        }
        if !features.is_empty() {
            details.insert("features".to_owned(), Value::Array(features));
        }
    }
    Ok(())
}
