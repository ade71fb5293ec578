//! What is kept of a sandbox, and the kinds that only collect: compose and filter.

use std::collections::BTreeSet;

use headstart_merkle::{DirectoryDigest, Node, Tree, TreePath};
use headstart_project::{Compose, Filter, Splits};

use crate::assembly::{AssembleError, Assembled, Inputs, Verdict, integrate};
use crate::staging::{Staging, copy, effective_integration, manifest, place_path};

/// What came of an element that succeeded.
pub(crate) fn finished(
    inputs: &Inputs<'_>,
    mut staging: Staging<'_>,
    files: Option<DirectoryDigest>,
) -> Result<Assembled, AssembleError> {
    let element = &inputs.trees.graph[inputs.element];
    let own = element.public.integration_commands.len();
    let effective = effective_integration(inputs.trees.graph, inputs.element);
    Ok(Assembled {
        verdict: Verdict::Success(files),
        warnings: staging.finish_warnings(inputs.element)?,
        staged: staging.staged,
        sources_at: place_path(element.build_root())?,
        build_tree: None,
        named_trees: Vec::new(),
        integration_commands: (effective.len() != own).then_some(effective),
    })
}

/// What came of an element whose commands failed.
pub(crate) fn failed(
    inputs: &Inputs<'_>,
    mut staging: Staging<'_>,
    description: &str,
    warnings: Vec<String>,
) -> Result<Assembled, AssembleError> {
    let element = &inputs.trees.graph[inputs.element];
    let sources_at = place_path(element.build_root())?;
    let build_tree = match staging.tree.get(&sources_at, inputs.trees.directories)? {
        Some(Node::Directory(tree)) => Some(tree),
        _ => None,
    };
    Ok(Assembled {
        verdict: Verdict::Failure(description.to_owned()),
        staged: staging.staged,
        sources_at,
        build_tree,
        named_trees: Vec::new(),
        warnings,
        integration_commands: None,
    })
}

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
        Some(Node::Directory(tree)) => Ok(tree),
        _ => Err(AssembleError::Element(format!(
            "the directory {place:?} was not found in the sandbox: nothing can be collected from it"
        ))),
    }
}

pub(crate) fn assemble_filter(
    inputs: &Inputs<'_>,
    filter: &Filter,
) -> Result<Assembled, AssembleError> {
    let splits = Splits::new(&inputs.trees.graph[filter.filtered].public);
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
    let mut staging = Staging::new(&inputs.trees);
    let split = splits.filter(&filter.include, &filter.exclude, filter.include_orphans);
    staging.stage_one(filter.filtered, "/", split.as_ref())?;
    let files = staging.tree.write(inputs.trees.directories)?;
    finished(inputs, staging, Some(files))
}

pub(crate) async fn assemble_compose(
    inputs: &Inputs<'_>,
    compose: &Compose,
) -> Result<Assembled, AssembleError> {
    let element = &inputs.trees.graph[inputs.element];
    let mut staging = Staging::new(&inputs.trees);
    staging.stage(&element.build_dependencies, "/")?;
    let warnings = staging.finish_warnings(inputs.element)?;
    let store = inputs.trees.directories;
    let staged = staging.tree.write(store)?;
    if compose.integrate
        && !integrate(inputs, &mut staging, &element.build_dependencies, &[]).await?
    {
        return failed(inputs, staging, "the integration commands failed", warnings);
    }
    let integrated = staging.tree.write(store)?;
    let files = composed(inputs, compose, staged, integrated)?;
    let mut assembled = finished(inputs, staging, Some(files))?;
    assembled.warnings = warnings;
    Ok(assembled)
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
        let splits = Splits::new(&inputs.trees.graph[id].public);
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
