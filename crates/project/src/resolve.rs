//! From an element's file to an element: defaults, project and element laid over each other, all
//! variables replaced, the kind's and sources' configurations read.
//!
//! What names of kinds mean is [found](find) first, one element after another, as that can load further projects.
//! Then several threads [make](make) elements of what was found. At last plugins are [asked](ask) for what only
//! they know. Whatever comes first of that, it is the first element with an error whose error is told.

mod ask;
mod find;
mod known;
mod make;
mod mirrors;
mod noted;
mod origin;
mod sources;

use headstart_yaml::{Mapping, Provenance, Scalar};

use self::find::Finder;
use self::make::Maker;
use crate::defaults::over;
use crate::error::{LoadError, Problem};
use crate::graph::ElementGraph;
use crate::in_order::try_map;
use crate::lists::Lists;
use crate::loader::{LoadedDependency, LoadedElement};
use crate::project::Project;
use crate::scope::Scope;
use crate::universe::Universe;
use crate::variables::Variables;

/// Resolves all loaded elements, in the order of BuildStream's pipeline.
pub(crate) fn resolve(
    universe: &mut Universe,
    targets: &[usize],
) -> Result<ElementGraph, LoadError> {
    let order = pipeline_order(&universe.elements, targets);
    let mut finder = Finder::new(universe);
    finder.find_all(&order);
    finder.warn_of_mirrors();
    finish(finder, &order, targets)
}

/// Resolves a junction alone, which sees only the first pass of its project.
pub(crate) fn resolve_junction(
    universe: &mut Universe,
    index: usize,
    at: Option<&Provenance>,
) -> Result<ElementGraph, LoadError> {
    let loaded = &universe.elements[index];
    if !loaded.is_junction {
        let problem = Problem::NotAJunction(loaded.name.to_string());
        return Err(LoadError::maybe_at(at, problem));
    }
    let mut finder = Finder::new(universe);
    finder.find_all(&[index]);
    finish(finder, &[index], &[index])
}

/// Makes the elements of what was found for them. `order` has their places among the loaded, and `targets` those
/// of the targets.
fn finish(
    finder: Finder<'_>,
    order: &[usize],
    targets: &[usize],
) -> Result<ElementGraph, LoadError> {
    let Finder {
        universe,
        projects,
        found,
        failed,
        warnings,
        ..
    } = finder;
    let universe = &*universe;
    let maker = Maker::new(universe, order, &found, warnings);
    let (mut elements, made) = try_map(
        found.into_iter(),
        || (),
        |place, found, (), earlier| maker.make(place, found, earlier),
    );
    let Maker {
        ids,
        warnings,
        questions,
        ..
    } = maker;
    ask::ask(universe, &projects, &mut elements, questions)?;
    made?;
    failed.map_or(Ok(()), Err)?;
    let targets = targets.iter().filter_map(|&target| ids[target]);
    Ok(ElementGraph::new(
        targets.collect(),
        elements,
        projects,
        warnings.in_order().map(|(_, warning)| warning).collect(),
    ))
}

/// The path that a link stands for.
pub(crate) fn link_target(
    project: &Project,
    name: &str,
    node: &Mapping,
) -> Result<Scalar, LoadError> {
    if let Some(at) = node.key_at("sources") {
        let (kind, what) = ("link".to_owned(), "sources");
        return Err(LoadError::at(at, Problem::Forbidden { kind, what }));
    }
    let mut raw = over(node, "variables", project.variables())?;
    raw.insert("element-name", Scalar::synthetic(name));
    let mut config = over(node, "config", &Mapping::default())?;
    Variables::resolve_possible(&raw)?.expand(&mut config)?;
    config.expect_keys(&["target"])?;
    Ok(config.required_scalar("target")?.clone())
}

/// Build dependencies, then runtime dependencies, then the element; target by target.
fn pipeline_order(loaded: &[LoadedElement], targets: &[usize]) -> Vec<usize> {
    let next = loaded.iter().map(|element| {
        let which = |wanted: fn(&LoadedDependency) -> bool| {
            let chosen = element.dependencies.iter().filter(move |it| wanted(it));
            chosen.map(|dependency| dependency.element)
        };
        let build = which(|dependency| dependency.written.build);
        build.chain(which(|dependency| dependency.written.runtime))
    });
    let next: Lists<usize> = next.collect();
    let mut scope = Scope::new(loaded.len());
    scope.fill(targets, |index, position| {
        next.of(index).get(position).copied()
    });
    scope.into_ids()
}
