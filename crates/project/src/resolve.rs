//! From an element's file to an element: defaults, project and element laid over each other, all
//! variables replaced, the kind's and sources' configurations read.

mod known;
mod mirrors;
mod origin;
mod sources;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::hash_map::{Entry, HashMap};
use std::sync::Arc;

use headstart_yaml::{Mapping, Provenance, Scalar};

use self::origin::{FoundKind, KindDefaults};
use crate::defaults::{Defaults, over};
use crate::element::{Element, ElementId, Sandbox};
use crate::error::{LoadError, Problem, Warning};
use crate::graph::ElementGraph;
use crate::hosted::PluginId;
use crate::json::Json;
use crate::kinds::{self, Config, ElementKind, Input, InputDependency};
use crate::loader::{LoadedDependency, LoadedElement};
use crate::project::{Project, ProjectId};
use crate::source::{Source, SourceKind};
use crate::universe::Universe;
use crate::variables::Variables;

/// Resolves all loaded elements, in the order of BuildStream's pipeline.
pub(crate) fn resolve(
    universe: &mut Universe,
    targets: &[usize],
) -> Result<ElementGraph, LoadError> {
    let order = pipeline_order(&universe.elements, targets);
    let mut resolver = Resolver::new(universe);
    for index in order {
        let project = resolver.project(index)?;
        resolver.add(&project, index)?;
    }
    resolver.warn_of_mirrors();
    Ok(resolver.finish(targets))
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
    let project = universe.first(loaded.project)?;
    let mut resolver = Resolver::new(universe);
    resolver.add(&project, index)?;
    Ok(resolver.finish(&[index]))
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
    let next: Vec<Vec<usize>> = loaded
        .iter()
        .map(|element| {
            let which = |wanted: fn(&LoadedDependency) -> bool| {
                let chosen = element
                    .dependencies
                    .iter()
                    .filter(move |dependency| wanted(dependency));
                chosen.map(|dependency| dependency.element)
            };
            let build = which(|dependency| dependency.written.build);
            build
                .chain(which(|dependency| dependency.written.runtime))
                .collect()
        })
        .collect();
    let mut visited = vec![false; loaded.len()];
    let mut order = Vec::with_capacity(loaded.len());
    for &target in targets {
        let mut stack = Vec::new();
        if !std::mem::replace(&mut visited[target], true) {
            stack.push((target, 0));
        }
        while let Some((index, position)) = stack.last_mut() {
            match next[*index].get(*position) {
                Some(&dependency) => {
                    *position += 1;
                    if !std::mem::replace(&mut visited[dependency], true) {
                        stack.push((dependency, 0));
                    }
                }
                None => {
                    order.push(*index);
                    stack.pop();
                }
            }
        }
    }
    order
}

struct Resolver<'a> {
    universe: &'a mut Universe,
    /// What elements of each kind begin with, by project.
    defaults: HashMap<(ProjectId, Arc<str>), Defaults>,
    /// What names of kinds mean, by project.
    kinds: HashMap<(ProjectId, Arc<str>), FoundKind>,
    source_kinds: HashMap<(ProjectId, Arc<str>), (SourceKind, Arc<PluginId>)>,
    /// For each loaded element its place among the resolved.
    ids: Vec<Option<ElementId>>,
    elements: Vec<Element>,
    /// The projects of the elements.
    projects: BTreeMap<ProjectId, Arc<Project>>,
    warnings: RefCell<Vec<Warning>>,
}

impl<'a> Resolver<'a> {
    fn new(universe: &'a mut Universe) -> Self {
        Self {
            universe,
            defaults: HashMap::new(),
            kinds: HashMap::new(),
            source_kinds: HashMap::new(),
            ids: Vec::new(),
            elements: Vec::new(),
            projects: BTreeMap::new(),
            warnings: RefCell::default(),
        }
    }

    /// The project of an element, as the element sees it.
    fn project(&mut self, index: usize) -> Result<Arc<Project>, LoadError> {
        let loaded = &self.universe.elements[index];
        let (id, is_junction) = (loaded.project, loaded.is_junction);
        if is_junction {
            return self.universe.first(id);
        }
        self.universe.load_fully(id)?;
        self.universe.full(id)
    }

    fn add(&mut self, project: &Arc<Project>, index: usize) -> Result<(), LoadError> {
        // What it is made of is not needed again, but for a junction, which can also be a target.
        let loaded = &mut self.universe.elements[index];
        let node = match loaded.is_junction {
            true => loaded.node.clone(),
            false => std::mem::take(&mut loaded.node),
        };
        let dependencies = std::mem::take(&mut loaded.dependencies);
        let element = self.element(project, index, &node, &dependencies)?;
        let id = ElementId::from_index(self.elements.len());
        if self.ids.len() <= index {
            self.ids.resize(self.universe.elements.len(), None);
        }
        self.ids[index] = Some(id);
        self.elements.push(element);
        let projects = self.projects.entry(project.id());
        projects.or_insert_with(|| project.clone());
        Ok(())
    }

    fn finish(self, targets: &[usize]) -> ElementGraph {
        let ids = targets.iter();
        let ids = ids.filter_map(|&target| self.ids.get(target).copied().flatten());
        ElementGraph::new(
            ids.collect(),
            self.elements,
            self.projects,
            self.warnings.into_inner(),
        )
    }
}

impl Resolver<'_> {
    fn element(
        &mut self,
        project: &Project,
        index: usize,
        node: &Mapping,
        dependencies: &[LoadedDependency],
    ) -> Result<Element, LoadError> {
        let (name, full_name) = {
            let loaded = &self.universe.elements[index];
            (loaded.name.clone(), loaded.full_name.clone())
        };
        let kind_name = node.required_scalar("kind")?;
        let FoundKind {
            kind,
            defaults: text,
            plugin,
        } = self.element_kind(project.id(), kind_name)?;
        let layer = &self.defaults(project, &kind, &text)?.variables;
        let variables = layer.resolve(node, &name, kind == ElementKind::Junction)?;
        let sources = match self.universe.workspace(&full_name) {
            Some(workspace) => vec![Source::workspace(workspace.clone(), &node.at)],
            None => self.sources(project, &name, node, &variables, &kind)?,
        };
        let expanded_configs = expand_dependencies(dependencies, &variables)?;
        let defaults = self.defaults(project, &kind, &text)?;
        let expanded = |key: &str, base: &Mapping| {
            let mut result = over(node, key, base)?;
            variables.expand(&mut result)?;
            Ok::<_, LoadError>(result)
        };
        let environment = defaults.environment(node, &variables)?;
        let environment_nocache = defaults.nocache(node)?;
        let public = defaults.public(node, &variables)?;
        let config_node = expanded("config", &defaults.config)?;
        let sandbox = expanded("sandbox", &defaults.sandbox)?;
        let config = {
            let dependencies = self.input(dependencies, &expanded_configs);
            let input = Input {
                config: &config_node,
                variables: &variables,
                dependencies: &dependencies,
                sources: sources.len(),
                elements: &self.elements,
                at: &node.at,
            };
            kinds::check(&kind, &input)?;
            Config::load(&kind, &input)?
        };
        let [
            build_dependencies,
            runtime_dependencies,
            strict_dependencies,
        ] = self.ids_by_use(dependencies);
        let mut element = Element {
            project: project.name().clone(),
            project_id: project.id(),
            name,
            full_name,
            kind,
            plugin,
            config,
            config_data: config_node,
            description: node.string("description")?.unwrap_or_default().into(),
            at: node.at.clone(),
            environment,
            environment_nocache,
            sandbox: Sandbox::load(&sandbox, project.host())?,
            public,
            sources,
            variables,
            build_dependencies,
            runtime_dependencies,
            strict_dependencies,
        };
        if let Config::Hosted(hosted) = &element.config {
            let failed = origin::failed(&hosted.class.plugin, kind_name);
            let host = self.host().map_err(&failed)?;
            let key = host.element_key(&element, hosted, project, &self.elements);
            let mut hosted = hosted.clone();
            hosted.unique_key = Json::Written(key.map_err(&failed)?.into());
            element.config = Config::Hosted(hosted);
        }
        Ok(element)
    }

    fn defaults(
        &mut self,
        project: &Project,
        kind: &ElementKind,
        text: &KindDefaults,
    ) -> Result<&mut Defaults, LoadError> {
        match self.defaults.entry((project.id(), kind.name().into())) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let own = headstart_yaml::parse(&text.name, &text.text)?;
                Ok(entry.insert(Defaults::new(project, kind, own)?))
            }
        }
    }

    fn input<'b>(
        &'b self,
        dependencies: &'b [LoadedDependency],
        configs: &'b [Vec<Mapping>],
    ) -> Vec<InputDependency<'b>> {
        dependencies
            .iter()
            .zip(configs)
            .filter_map(|(dependency, config)| {
                // They all have been resolved before.
                let element = self.ids[dependency.element]?;
                Some(InputDependency {
                    element,
                    path: &dependency.written.path,
                    kind: &self.elements[element.index()].kind,
                    build: dependency.written.build,
                    runtime: dependency.written.runtime,
                    config,
                    at: &dependency.written.at,
                })
            })
            .collect()
    }

    /// The build, runtime and strict dependencies.
    fn ids_by_use(&self, dependencies: &[LoadedDependency]) -> [Vec<ElementId>; 3] {
        let chosen = |wanted: fn(&LoadedDependency) -> bool| {
            let chosen = dependencies
                .iter()
                .filter(move |dependency| wanted(dependency));
            chosen
                .filter_map(|dependency| self.ids[dependency.element])
                .collect()
        };
        [
            chosen(|dependency| dependency.written.build),
            chosen(|dependency| dependency.written.runtime),
            chosen(|dependency| dependency.written.strict),
        ]
    }
}

/// The `config`s of build dependencies with their variables replaced.
fn expand_dependencies(
    dependencies: &[LoadedDependency],
    variables: &Variables,
) -> Result<Vec<Vec<Mapping>>, LoadError> {
    let expand = |config: &Mapping| {
        let mut config = config.clone();
        variables.expand(&mut config)?;
        Ok(config)
    };
    dependencies
        .iter()
        .map(|dependency| dependency.written.configs.iter().map(expand).collect())
        .collect()
}
