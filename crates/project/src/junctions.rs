//! Following junctions, links and overrides from one project into another.
//!
//! A path is a name, perhaps behind those of junctions: `junction.bst:other.bst:name.bst`. What it
//! leads to can be changed twice: a link stands for another path, and the junction that a project
//! is loaded by can override elements in it, also further junctions. The highest ancestor that
//! overrides something wins. See BuildStream's manual, "junction", and its `_loader/loader.py`.

use std::sync::Arc;

use headstart_yaml::{Provenance, Scalar};

use crate::error::{LoadError, Problem};
use crate::kinds::Config;
use crate::path;
use crate::project::ProjectId;
use crate::resolve;
use crate::source::SourceConfig;
use crate::universe::{Parent, Universe};

/// Whether projects are loaded to get somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follow {
    /// They are.
    Loading,
    /// Only those are used that are loaded already.
    Loaded,
}

impl Universe {
    /// The project and name that a path leads to, without looking at that element.
    pub(crate) fn locate(
        &mut self,
        from: ProjectId,
        path: &str,
        at: Option<&Provenance>,
    ) -> Result<(ProjectId, String), LoadError> {
        let Some((junctions, name)) = path.rsplit_once(':') else {
            return Ok((from, path::normalize(path)));
        };
        let project = self.follow(from, junctions, at, Follow::Loading)?;
        // Loading either gives a project or an error.
        Ok((project.unwrap_or(from), path::normalize(name)))
    }

    /// The project behind a path of junctions; none if it would have to be loaded and is not to be.
    pub(crate) fn follow(
        &mut self,
        from: ProjectId,
        junctions: &str,
        at: Option<&Provenance>,
        how: Follow,
    ) -> Result<Option<ProjectId>, LoadError> {
        if how == Follow::Loading && !self[from].searching.insert(junctions.to_owned()) {
            let problem = Problem::CircularReference(junctions.to_owned());
            return Err(LoadError::maybe_at(at, problem));
        }
        let mut project = from;
        for junction in junctions.split(':') {
            match self.follow_one(project, junction, at, how)? {
                Some(next) => project = next,
                None => return Ok(None),
            }
        }
        if how == Follow::Loading {
            self[from].searching.remove(junctions);
        }
        Ok(Some(project))
    }

    fn follow_one(
        &mut self,
        from: ProjectId,
        junction: &str,
        at: Option<&Provenance>,
        how: Follow,
    ) -> Result<Option<ProjectId>, LoadError> {
        if let Some(&project) = self[from].joined.get(junction) {
            return Ok(Some(project));
        }
        if let Some(project) = self.overriding_project(from, junction)? {
            self[from].joined.insert(junction.to_owned(), project);
            return Ok(Some(project));
        }
        let index = match self[from].by_name.get(junction) {
            Some(&index) => index,
            None => self.read(from, junction, at)?,
        };
        if let Some(target) = self.elements[index].link.clone() {
            let place = Some(&target.at);
            let (project, name) = match (how, target.value.rsplit_once(':')) {
                (Follow::Loaded, Some((path, name))) => {
                    match self.follow(from, path, place, how)? {
                        Some(project) => (project, path::normalize(name)),
                        None => return Ok(None),
                    }
                }
                _ => self.locate(from, &target.value, place)?,
            };
            return self.follow(project, &name, place, how);
        }
        match how {
            Follow::Loading => self.enter(from, index, junction, at).map(Some),
            Follow::Loaded => Ok(None),
        }
    }

    /// Loads the project behind a junction that has been read.
    fn enter(
        &mut self,
        from: ProjectId,
        index: usize,
        name: &str,
        at: Option<&Provenance>,
    ) -> Result<ProjectId, LoadError> {
        self.elements[index].expect_no_dependencies()?;
        let graph = resolve::resolve_junction(self, index, at)?;
        let Some((_, element)) = graph.iter().next() else {
            return Err(LoadError::maybe_at(at, Problem::NotAJunction(name.into())));
        };
        let Config::Junction(junction) = &element.config else {
            return Err(LoadError::maybe_at(at, Problem::NotAJunction(name.into())));
        };
        if !element.is_resolved() {
            let problem = Problem::NoJunctionReference(name.to_owned());
            return Err(LoadError::maybe_at(at, problem));
        }
        let staged = match &element.sources[..] {
            [source] if let SourceConfig::Local(local) = &source.config => local.path.to_string(),
            _ => self.outside.stage_junction(&graph).map_err(|error| {
                let name = element.full_name.to_string();
                LoadError::at(&element.at, Problem::Stage { name, error })
            })?,
        };
        let directory = match path::within_project(&junction.path) {
            Ok(path) if path.is_empty() => staged,
            Ok(path) => format!("{staged}/{path}"),
            Err(problem) => {
                let path = junction.path.to_string();
                return Err(LoadError::at(&element.at, Problem::Path { path, problem }));
            }
        };
        let parent = Parent {
            project: from,
            name: element.name.clone(),
            full_name: element.full_name.clone(),
            junction: Arc::new(junction.clone()),
            at: at.cloned(),
        };
        let path = junction.path.to_string();
        let project = self.add(directory, Some(parent)).map_err(|error| {
            if !matches!(error.problem(), Problem::NoProject(_)) {
                return error;
            }
            let junction = name.to_owned();
            LoadError::maybe_at(at, Problem::NoJunctionProject { junction, path })
        })?;
        self[from].joined.insert(name.to_owned(), project);
        // Overrides may be named by links, which have to be known before they are looked for.
        let ancestry: Vec<ProjectId> = self.ancestry(project).collect();
        for id in ancestry {
            self.read_overridden_links(id)?;
        }
        Ok(project)
    }

    /// Reads what the overrides of a project's junction name, as far as those are links.
    fn read_overridden_links(&mut self, id: ProjectId) -> Result<(), LoadError> {
        let Some(parent) = &self[id].parent else {
            return Ok(());
        };
        let junction = parent.junction.clone();
        for (path, target) in &junction.overrides {
            let mut next = Some((path.to_string(), target.at.clone()));
            let mut steps = 0;
            while let Some((path, at)) = next {
                steps += 1;
                if steps > MAX_LINKS {
                    return Err(LoadError::at(&at, Problem::CircularReference(path)));
                }
                next = self.read_link(id, &path, &at)?;
            }
        }
        Ok(())
    }

    /// What a path leads to if that is a link in a loaded project.
    fn read_link(
        &mut self,
        from: ProjectId,
        path: &str,
        at: &Provenance,
    ) -> Result<Option<(String, Provenance)>, LoadError> {
        let (project, junctions, name) = match path.rsplit_once(':') {
            None => (from, None, path),
            Some((junctions, name)) => {
                match self.follow(from, junctions, Some(at), Follow::Loaded)? {
                    Some(project) => (project, Some(junctions), name),
                    None => return Ok(None),
                }
            }
        };
        let index = match self[project].by_name.get(name) {
            Some(&index) => Some(index),
            None => self.read_if_first_pass(project, name, Some(at))?,
        };
        let Some(link) = index.and_then(|index| self.elements[index].link.clone()) else {
            return Ok(None);
        };
        let target = match junctions {
            Some(junctions) => format!("{junctions}:{}", link.value),
            None => link.value.to_string(),
        };
        Ok(Some((target, link.at)))
    }

    /// Notes a link, from the projects that can see it.
    pub(crate) fn note_link(&mut self, project: ProjectId, name: &str, target: &str) {
        let (mut link, mut target) = (name.to_owned(), target.to_owned());
        let ancestry: Vec<ProjectId> = self.ancestry(project).collect();
        for id in ancestry {
            let links = &mut self[id].links;
            links.insert(link.clone(), target.clone());
            let known: Vec<(String, String)> = links.clone().into_iter().collect();
            for (from, to) in known {
                if expand_links(links, &to) == link {
                    links.insert(from, target.clone());
                }
            }
            if let Some(parent) = &self[id].parent {
                link = format!("{}:{link}", parent.name);
                target = format!("{}:{target}", parent.name);
            }
        }
    }

    /// What takes the place of an element, in the highest project that overrides it: that project
    /// and the path from there.
    pub(crate) fn overriding(&self, id: ProjectId, name: &str) -> Option<(ProjectId, Scalar)> {
        self.overrides(id, name).pop()
    }

    /// All overrides of an element, that of the nearest project first.
    fn overrides(&self, id: ProjectId, name: &str) -> Vec<(ProjectId, Scalar)> {
        let mut found = Vec::new();
        let mut path = name.to_owned();
        for id in self.ancestry(id) {
            let Some(parent) = &self[id].parent else {
                break;
            };
            let overrides = &parent.junction.overrides;
            let links = &self[id].links;
            let by_link = || {
                if links.is_empty() {
                    return None;
                }
                let mut overrides = overrides.iter();
                let (_, target) = overrides.find(|(key, _)| expand_links(links, key) == path)?;
                Some(target)
            };
            if let Some(target) = overrides.get(&*path).or_else(by_link) {
                found.push((parent.project, target.clone()));
            }
            path = format!("{}:{path}", parent.name);
        }
        found
    }

    /// The project that an ancestor puts in the place of the one behind a junction.
    fn overriding_project(
        &mut self,
        id: ProjectId,
        junction: &str,
    ) -> Result<Option<ProjectId>, LoadError> {
        let mut overrides = self.overrides(id, junction);
        let Some((overriding, target)) = overrides.pop() else {
            return Ok(None);
        };
        let found = self.follow(overriding, &target.value, Some(&target.at), Follow::Loading)?;
        let Some(project) = found else {
            return Ok(None);
        };
        // It can still be reached by the junctions that were overridden.
        if project != id {
            self[project].alternative_parents.push(id);
        }
        let others = overrides.into_iter().map(|(project, _)| project);
        self[project].alternative_parents.extend(others);
        Ok(Some(project))
    }
}

/// Links that lead to each other, one after the other.
pub(crate) const MAX_LINKS: usize = 100;

/// The path with the first known link that it begins with replaced.
fn expand_links(links: &indexmap::IndexMap<String, String>, path: &str) -> String {
    for (link, target) in links {
        if let Some(rest) = path.strip_prefix(link.as_str()) {
            return format!("{target}{rest}");
        }
    }
    path.to_owned()
}
