//! That no project is loaded several times, unless projects above say that it may be.
//!
//! A project is known by its name. Instances of it conflict unless an ancestor marks them as its
//! own business (`junctions: internal`) or all of them as `duplicates`.

use headstart_yaml::Scalar;
use indexmap::IndexMap;

use crate::error::{LoadError, Problem};
use crate::junctions::Follow;
use crate::project::ProjectId;
use crate::universe::Universe;

/// What projects above say of an instance.
struct Marks {
    duplicate_of: Vec<ProjectId>,
    internal_to: Vec<ProjectId>,
}

/// Checks all loaded projects.
pub(crate) fn check(universe: &mut Universe) -> Result<(), LoadError> {
    let mut by_name: IndexMap<_, Vec<ProjectId>> = IndexMap::new();
    for id in universe.ids() {
        let name = universe[id].conf.name.clone();
        by_name.entry(name).or_default().push(id);
    }
    for (name, ids) in by_name {
        if ids.len() < 2 {
            continue;
        }
        let marks = ids.iter().map(|&id| marks(universe, &name, id));
        let marks = marks.collect::<Result<Vec<_>, _>>()?;
        let is_primary =
            |marks: &&Marks| marks.duplicate_of.is_empty() && marks.internal_to.is_empty();
        let primary = marks.iter().filter(is_primary).count();
        let duplicated = marks.iter().any(|marks| !marks.duplicate_of.is_empty());
        if primary > 1 || primary == 1 && duplicated {
            return Err(conflict(universe, &name, &ids, &marks));
        }
    }
    Ok(())
}

fn marks(universe: &mut Universe, name: &str, id: ProjectId) -> Result<Marks, LoadError> {
    let mut marks = Marks {
        duplicate_of: Vec::new(),
        internal_to: Vec::new(),
    };
    for ancestor in ancestors(universe, id) {
        let conf = universe[ancestor].conf.clone();
        let duplicates = conf.duplicates.get(name).map_or(&[][..], Vec::as_slice);
        if leads_to(universe, ancestor, duplicates, id)? {
            marks.duplicate_of.push(ancestor);
        }
        if leads_to(universe, ancestor, &conf.internal, id)? {
            marks.internal_to.push(ancestor);
        }
    }
    Ok(marks)
}

/// All projects from which an instance can be reached, however overrides have redirected junctions.
fn ancestors(universe: &Universe, id: ProjectId) -> Vec<ProjectId> {
    let direct = universe[id].parent.iter().map(|parent| parent.project);
    let alternative = universe[id].alternative_parents.iter().copied();
    let mut found = Vec::new();
    for start in direct.chain(alternative) {
        for ancestor in universe.ancestry(start) {
            if found.contains(&ancestor) {
                break;
            }
            found.push(ancestor);
        }
    }
    found
}

fn leads_to(
    universe: &mut Universe,
    from: ProjectId,
    junctions: &[Scalar],
    to: ProjectId,
) -> Result<bool, LoadError> {
    for path in junctions {
        let found = universe.follow(from, &path.value, Some(&path.at), Follow::Loaded)?;
        if found == Some(to) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn conflict(universe: &Universe, name: &str, ids: &[ProjectId], marks: &[Marks]) -> LoadError {
    let shown = |id: ProjectId| match &universe[id].parent {
        None => "the top-level project".to_owned(),
        Some(parent) => format!("'{}'", parent.full_name),
    };
    let mut instances = Vec::new();
    for (&id, marks) in ids.iter().zip(marks) {
        let mut text = shown(id);
        if let Some(at) = universe[id].parent.as_ref().and_then(|it| it.at.as_ref()) {
            text += &format!(" (used at {at})");
        }
        for (what, by) in [
            ("duplicate of", &marks.duplicate_of),
            ("internal to", &marks.internal_to),
        ] {
            for &by in by {
                text += &format!(", {what} {}", shown(by));
            }
        }
        instances.push(text);
    }
    let at = ids
        .iter()
        .rev()
        .find_map(|&id| universe[id].parent.as_ref()?.at.as_ref());
    LoadError::maybe_at(
        at,
        Problem::ConflictingProjects {
            name: name.to_owned(),
            instances,
        },
    )
}
