//! What is kept of a sandbox, and the kinds that only collect: compose and filter.

use std::collections::BTreeSet;

use headstart_merkle::{DirectoryDigest, DirectoryReader as _, Node, Tree, TreePath};
use headstart_project::{Compose, Filter, Splits};

use crate::action::write_unmarked;
use crate::assembly::{AssembleError, Assembled, Inputs};
use crate::prepare::Prepared;
use crate::staging::{Staging, copy, manifest, place_path};

/// The tree of a directory of the sandbox.
pub(crate) fn directory(
    staging: &mut Staging<'_>,
    place: &str,
    inputs: &Inputs<'_>,
) -> Result<DirectoryDigest, AssembleError> {
    match staging
        .tree
        .get(&place_path(place)?, inputs.trees.directories)?
    {
        Some(Node::Directory(tree)) => {
            // Nothing of how the directory was used is part of what it holds.
            let plain = inputs
                .trees
                .directories
                .read_directory(tree)?
                .properties
                .is_empty();
            match plain {
                true => Ok(tree),
                false => write_unmarked(&mut Tree::stored(tree), inputs.trees.directories),
            }
        }
        _ => Err(AssembleError::Element(format!(
            "the directory {place:?} was not found in the sandbox: nothing can be collected from it"
        ))),
    }
}

/// Stages what a filter takes.
pub(crate) fn stage_filtered(
    inputs: &Inputs<'_>,
    filter: &Filter,
    staging: &mut Staging<'_>,
) -> Result<(), AssembleError> {
    let splits = Splits::new(&inputs.trees.public(filter.filtered));
    for (domains, at) in [
        (&filter.include, &filter.include_at),
        (&filter.exclude, &filter.exclude_at),
    ] {
        if let Some(unknown) = domains.iter().find(|domain| !splits.contains(domain)) {
            let filtered = &inputs.trees.graph[filter.filtered].name;
            return Err(AssembleError::Element(format!(
                "{at}: {filtered} has no split domain {unknown:?}"
            )));
        }
    }
    let split = splits.filter(&filter.include, &filter.exclude, filter.include_orphans);
    staging.stage_one(filter.filtered, "/", split.as_ref())
}

pub(crate) async fn assemble_compose(
    inputs: &Inputs<'_>,
    mut prepared: Prepared<'_>,
    compose: &Compose,
) -> Result<Assembled, AssembleError> {
    let store = inputs.trees.directories;
    let staged = prepared.staging.tree.write(store)?;
    let dependencies = &inputs.own().build_dependencies;
    if compose.integrate && !prepared.integrate(inputs, dependencies).await? {
        return prepared.failed(inputs, "the integration commands failed");
    }
    let integrated = prepared.staging.tree.write(store)?;
    let files = composed(inputs, compose, staged, integrated)?;
    prepared.finished(inputs, Some(files))
}

/// What of the integrated tree goes into the composition: what the dependencies' split rules take,
/// and what integration added to it.
fn composed(
    inputs: &Inputs<'_>,
    compose: &Compose,
    staged: DirectoryDigest,
    integrated: DirectoryDigest,
) -> Result<DirectoryDigest, AssembleError> {
    let everything =
        compose.include.is_empty() && compose.exclude.is_empty() && compose.include_orphans;
    if everything {
        return Ok(integrated);
    }
    let store = inputs.trees.directories;
    let mut paths: BTreeSet<TreePath> = BTreeSet::new();
    for id in inputs
        .trees
        .graph
        .run_scope_of(&inputs.trees.graph[inputs.element].build_dependencies)
    {
        let Some(files) = (inputs.trees.artifact)(id) else {
            continue;
        };
        let splits = Splits::new(&inputs.trees.public(id));
        let split = splits.filter(&compose.include, &compose.exclude, compose.include_orphans);
        paths.extend(manifest(files, split.as_ref(), store)?);
    }
    if staged != integrated {
        let before: BTreeSet<_> = manifest(staged, None, store)?.into_iter().collect();
        let after: BTreeSet<_> = manifest(integrated, None, store)?.into_iter().collect();
        paths.extend(after.difference(&before).cloned());
        paths.retain(|path| after.contains(path));
    }
    let mut from = Tree::stored(integrated);
    let mut to = Tree::empty();
    for path in &paths {
        copy(&mut from, &mut to, path, store)?;
    }
    Ok(to.write(store)?)
}
