//! From an element's file to an element: defaults, project and element laid over each other, all
//! variables replaced, the kind's and sources' configurations read.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use headstart_yaml::{Mapping, Provenance, Scalar};

use crate::conf::UNALIASED;
use crate::defaults::{Defaults, over};
use crate::element::{Element, ElementId, Sandbox, texts};
use crate::error::{LoadError, Problem, Warning};
use crate::graph::ElementGraph;
use crate::junctions::Follow;
use crate::kinds::{self, Config, ElementKind, Input, InputDependency};
use crate::loader::{LoadedDependency, LoadedElement};
use crate::plugins::{Origin, PluginType};
use crate::project::{Project, ProjectId};
use crate::source::{self, Source, SourceContext, SourceKind};
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
        let (kind, what) = ("link", "sources");
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
    defaults: HashMap<(ProjectId, ElementKind), Defaults>,
    /// Kinds that have been found to be what their names say, by project.
    checked: HashSet<(ProjectId, PluginType, Arc<str>)>,
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
            checked: HashSet::new(),
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
        let kind = self.kind(project, node)?;
        let variables = self.defaults(project, kind)?.variables.resolve(
            node,
            &name,
            kind == ElementKind::Junction,
        )?;
        let sources = self.sources(project, &name, node, &variables, kind)?;
        let expanded_configs = expand_dependencies(dependencies, &variables)?;
        let defaults = self.defaults(project, kind)?;
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
                at: &node.at,
            };
            kinds::check(kind, &input)?;
            Config::load(kind, &input)?
        };
        let [
            build_dependencies,
            runtime_dependencies,
            strict_dependencies,
        ] = self.ids_by_use(dependencies);
        Ok(Element {
            project: project.name().clone(),
            project_id: project.id(),
            name,
            full_name,
            kind,
            config,
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
        })
    }

    fn kind(&mut self, project: &Project, node: &Mapping) -> Result<ElementKind, LoadError> {
        let name = node.required_scalar("kind")?;
        let kind = ElementKind::from_name(&name.value);
        let package = kind.map(ElementKind::package);
        self.check_origin(project.id(), PluginType::Element, name, package)?;
        kind.ok_or_else(|| unknown(PluginType::Element, name))
    }

    /// Checks that a kind is the one that is built in. `built_in` is none if there is no such kind,
    /// else the package that it imitates, if that is not BuildStream.
    fn check_origin(
        &mut self,
        project: ProjectId,
        plugin_type: PluginType,
        name: &Scalar,
        built_in: Option<Option<&'static str>>,
    ) -> Result<(), LoadError> {
        let key = (project, plugin_type, name.value.clone());
        if self.checked.contains(&key) {
            return Ok(());
        }
        let what = plugin_type.name();
        let kind = name.value.to_string();
        let found = self.origin(project, plugin_type, &name.value)?;
        let problem = match (found, built_in) {
            (Found::Core, Some(None)) => None,
            (Found::Package(package), Some(Some(imitated))) if &*package == imitated => None,
            // Whatever project brings it, it is what the package has.
            (Found::Local { joined: true }, Some(Some(_))) => None,
            (Found::Core, Some(Some(package))) => Some(Problem::NotRegistered {
                what,
                kind,
                package,
            }),
            (Found::Core, None) => Some(Problem::UnknownKind { what, kind }),
            (Found::Package(package), _) => Some(Problem::Unsupported(format!(
                "the {what} kind '{kind}' of the package '{package}' is"
            ))),
            (Found::Local { .. }, _) => Some(Problem::Unsupported(format!(
                "the {what} kind '{kind}', a plugin of the project itself, is"
            ))),
        };
        match problem {
            None => {
                self.checked.insert(key);
                Ok(())
            }
            Some(problem) => Err(LoadError::at(&name.at, problem)),
        }
    }

    /// Where a kind comes from in the end, however many projects hand it on.
    fn origin(
        &mut self,
        mut project: ProjectId,
        plugin_type: PluginType,
        kind: &str,
    ) -> Result<Found, LoadError> {
        let mut joined = false;
        loop {
            let origin = self.universe[project].plugins.origin(plugin_type, kind);
            match origin.cloned() {
                None if joined => {
                    return Ok(Found::Package(self.universe[project].conf.name.clone()));
                }
                None => return Ok(Found::Core),
                Some(Origin::Package(package)) => return Ok(Found::Package(package)),
                Some(Origin::Local(_)) => return Ok(Found::Local { joined }),
                Some(Origin::Junction { path, at }) => {
                    let universe = &mut *self.universe;
                    let found = universe.follow(project, &path, Some(&at), Follow::Loading)?;
                    project = found.unwrap_or(project);
                    joined = true;
                }
            }
        }
    }

    fn defaults(
        &mut self,
        project: &Project,
        kind: ElementKind,
    ) -> Result<&mut Defaults, LoadError> {
        use std::collections::hash_map::Entry;
        match self.defaults.entry((project.id(), kind)) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => Ok(entry.insert(Defaults::new(project, kind)?)),
        }
    }

    fn sources(
        &mut self,
        project: &Project,
        element: &str,
        node: &Mapping,
        variables: &Variables,
        kind: ElementKind,
    ) -> Result<Vec<Source>, LoadError> {
        let Some(list) = node.sequence("sources")? else {
            return Ok(Vec::new());
        };
        let mut sources = Vec::new();
        for (index, source) in list.mappings()?.into_iter().enumerate() {
            let place = SourcePlace {
                element,
                index,
                of_junction: kind == ElementKind::Junction,
            };
            sources.push(self.source(project, &place, source.clone(), variables)?);
        }
        source::check(&sources)?;
        Ok(sources)
    }

    fn source(
        &mut self,
        project: &Project,
        place: &SourcePlace<'_>,
        mut node: Mapping,
        variables: &Variables,
    ) -> Result<Source, LoadError> {
        let name = node.required_scalar("kind")?.clone();
        let kind = SourceKind::from_name(&name.value);
        let package = kind.map(SourceKind::package);
        self.check_origin(project.id(), PluginType::Source, &name, package)?;
        let kind = kind.ok_or_else(|| unknown(PluginType::Source, &name))?;
        node.remove("kind");
        let directory = node.scalar("directory")?.map(|scalar| scalar.value.clone());
        if directory
            .as_ref()
            .is_some_and(|directory| !directory.is_empty())
        {
            node.remove("directory");
        }
        if let Some(provenance) = node.take_mapping("provenance")? {
            // Only complete projects know which there are.
            if !place.of_junction {
                let names: Vec<&str> = project.provenance_attributes().collect();
                provenance.expect_keys(&names)?;
            }
            texts(&provenance)?;
        }
        let changes = project.source_changes().mapping(kind.name())?;
        let changes = changes
            .map(|changes| changes.mapping("config"))
            .transpose()?;
        let mut config = changes.flatten().cloned().unwrap_or_default();
        node.compose(&mut config)?;
        config.expect_composed()?;
        variables.expand(&mut config)?;
        self.reference(project, place, &mut config)?;
        let context = SourceContext {
            files: project.files(),
            aliases: project.aliases(),
            unaliased_is_fatal: project.is_fatal(UNALIASED),
            warnings: &self.warnings,
        };
        Source::load(kind, directory, &config, &node.at, &context)
    }

    /// Puts the reference into a source that is kept in a file of the top-level project's, or of
    /// the source's own project.
    fn reference(
        &self,
        project: &Project,
        place: &SourcePlace<'_>,
        config: &mut Mapping,
    ) -> Result<(), LoadError> {
        let find = |project_of_refs: &Project| {
            let refs = project_of_refs.refs();
            refs.find(project.name(), place.element, place.index)
                .cloned()
        };
        let top = match place.of_junction {
            true => self.universe.first(ProjectId::TOP)?,
            false => self.universe.full(ProjectId::TOP)?,
        };
        let mut found = None;
        if project.id() != ProjectId::TOP {
            found = find(&top);
        }
        if found.is_none() {
            if !project.refs().are_used() {
                return Ok(());
            }
            if let Some(reference) = config.get("ref") {
                self.warnings.borrow_mut().push(Warning {
                    at: reference.at().clone(),
                    text: "this reference is ignored: the project keeps references in project.refs"
                        .to_owned(),
                });
            }
            found = find(project);
        }
        config.remove("ref");
        if let Some(reference) = found.and_then(|mut found| found.remove("ref")) {
            config.insert("ref", reference);
        }
        Ok(())
    }

    fn input<'b>(
        &self,
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
                    kind: self.elements[element.index()].kind,
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

/// Which source of which element is looked at.
struct SourcePlace<'a> {
    element: &'a str,
    index: usize,
    of_junction: bool,
}

/// Where a kind comes from.
enum Found {
    /// BuildStream itself.
    Core,
    /// A package, by its name.
    Package(Arc<str>),
    /// A directory of the project, or of one that it is joined to.
    Local { joined: bool },
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

fn unknown(plugin_type: PluginType, name: &Scalar) -> LoadError {
    let what = plugin_type.name();
    let kind = name.value.to_string();
    LoadError::at(&name.at, Problem::UnknownKind { what, kind })
}
