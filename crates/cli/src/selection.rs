//! Which elements a command works on: its targets, dependencies of them, and exceptions.

use std::collections::HashSet;

use clap::{Args, ValueEnum};
use headstart_project::{ElementGraph, ElementId};
use headstart_session::{Loaded, Session};

use crate::error::Failure;

/// Which dependencies of the targets are meant too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Deps {
    /// None
    None,
    /// Build dependencies, without the targets themselves
    Build,
    /// Runtime dependencies
    Run,
    /// All of them
    All,
}

/// Dependencies that are not meant.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Except {
    /// Leave out this dependency, with all that only it needs
    #[arg(long = "except", value_name = "ELEMENT")]
    pub(crate) except: Vec<String>,
}

impl Except {
    /// With the elements that shell patterns stand for.
    pub(crate) fn expanded(&self, session: &Session) -> Result<Self, Failure> {
        Ok(Self {
            except: session.expand(&self.except)?,
        })
    }
}

/// Elements that were loaded, and those of them that are meant.
pub(crate) struct Selection {
    pub(crate) loaded: Loaded,
    pub(crate) elements: Vec<ElementId>,
}

impl Selection {
    /// Loads the targets, or the project's own if there are none, and selects elements.
    pub(crate) fn load(
        session: &Session,
        targets: &[String],
        deps: Deps,
        except: &Except,
    ) -> Result<Self, Failure> {
        let except = except.expanded(session)?;
        let targets = with_exceptions(session, targets, &except)?;
        let loaded = session.load(&targets)?;
        let elements = select(&loaded, deps, &except);
        Ok(Self { loaded, elements })
    }
}

/// The targets, and behind them the exceptions, which are loaded too.
pub(crate) fn with_exceptions(
    session: &Session,
    targets: &[String],
    except: &Except,
) -> Result<Vec<String>, Failure> {
    let mut all = match targets.is_empty() {
        true => session.default_targets()?,
        false => session.expand(targets)?,
    };
    all.extend(except.except.iter().cloned());
    Ok(all)
}

/// The elements that are meant, of those that [`with_exceptions`] has loaded.
pub(crate) fn select(loaded: &Loaded, deps: Deps, except: &Except) -> Vec<ElementId> {
    let graph = &loaded.graph;
    let targets = graph.targets();
    let (targets, exceptions) = targets.split_at(targets.len() - except.except.len());
    let mut seen = HashSet::new();
    let mut elements = scope(graph, targets, deps);
    elements.retain(|id| seen.insert(*id));
    if exceptions.is_empty() {
        return elements;
    }
    let left = reachable(graph, targets, exceptions);
    elements.retain(|id| left.contains(id));
    elements
}

/// The targets with the dependencies that are meant, in the order of staging.
pub(crate) fn scope(graph: &ElementGraph, targets: &[ElementId], deps: Deps) -> Vec<ElementId> {
    match deps {
        Deps::None => targets.to_vec(),
        Deps::Run => graph.run_scope_of(targets),
        Deps::All => graph.all_scope(targets),
        Deps::Build => targets
            .iter()
            .flat_map(|id| graph.build_scope(*id))
            .collect(),
    }
}

fn dependencies(graph: &ElementGraph, id: ElementId) -> impl Iterator<Item = ElementId> + '_ {
    let element = &graph[id];
    let build = element.build_dependencies.iter();
    build.chain(&element.runtime_dependencies).copied()
}

/// What can be reached from the targets without passing an exception. An exception that is not
/// below the targets stands for what it has in common with them.
fn reachable(
    graph: &ElementGraph,
    targets: &[ElementId],
    exceptions: &[ElementId],
) -> HashSet<ElementId> {
    let targeted: HashSet<ElementId> = graph.all_scope(targets).into_iter().collect();
    let mut barred = HashSet::new();
    let mut visited = HashSet::new();
    let mut pending = exceptions.to_vec();
    while let Some(id) = pending.pop() {
        if !visited.insert(id) {
            continue;
        }
        if targeted.contains(&id) {
            barred.insert(id);
        } else {
            pending.extend(dependencies(graph, id));
        }
    }
    let mut reached = HashSet::new();
    let mut pending = targets.to_vec();
    while let Some(id) = pending.pop() {
        if !barred.contains(&id) && reached.insert(id) {
            pending.extend(dependencies(graph, id));
        }
    }
    reached
}
