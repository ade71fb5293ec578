//! From an element's file to an element: defaults, project and element laid over each other, all
//! variables replaced, the kind's and sources' configurations read.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use headstart_yaml::{Mapping, Provenance, Scalar};

use crate::element::{Element, ElementId, Public, Sandbox, texts};
use crate::error::{LoadError, Problem, Warning};
use crate::graph::ElementGraph;
use crate::kinds::{self, Config, ElementKind, Input, InputDependency};
use crate::loader::{LoadedDependency, LoadedElement};
use crate::project::Project;
use crate::source::{self, Source, SourceContext, SourceKind};
use crate::variables::Variables;

/// Variables that are set by the program alone.
const PROTECTED: [&str; 3] = ["project-name", "element-name", "max-jobs"];

/// Resolves all loaded elements, in the order of BuildStream's pipeline.
pub(crate) fn resolve(
    project: &Project,
    loaded: Vec<LoadedElement>,
    targets: &[usize],
) -> Result<ElementGraph, LoadError> {
    let mut resolver = Resolver {
        project,
        defaults: HashMap::new(),
        ids: vec![None; loaded.len()],
        unaliased_is_fatal: project.is_fatal("unaliased-url"),
        warnings: RefCell::default(),
        elements: Vec::with_capacity(loaded.len()),
    };
    for index in pipeline_order(&loaded, targets) {
        let element = resolver.element(&loaded[index])?;
        resolver.ids[index] = Some(ElementId::from_index(resolver.elements.len()));
        resolver.elements.push(element);
    }
    let ids = targets.iter().filter_map(|&target| resolver.ids[target]);
    Ok(ElementGraph::new(
        resolver.elements,
        ids.collect(),
        project.fatal_warnings().to_vec(),
        resolver.warnings.into_inner(),
    ))
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
    project: &'a Project,
    /// What elements of each kind begin with.
    defaults: HashMap<ElementKind, Arc<Defaults>>,
    ids: Vec<Option<ElementId>>,
    elements: Vec<Element>,
    unaliased_is_fatal: bool,
    warnings: RefCell<Vec<Warning>>,
}

/// A kind's defaults with the project's changes to them laid over.
struct Defaults {
    /// The project's variables with the kind's.
    variables: Mapping,
    environment: Mapping,
    nocache: BTreeSet<Arc<str>>,
    sandbox: Mapping,
    config: Mapping,
    split_rules: Mapping,
}

impl Defaults {
    fn new(project: &Project, kind: ElementKind) -> Result<Self, LoadError> {
        let (name, text) = kind.defaults();
        let mut kind_node = headstart_yaml::parse(name, text)?;
        let public = kind_node.mapping_or_insert("public")?;
        let bst = public.mapping_or_insert("bst")?;
        let mut split_rules = project.split_rules().clone();
        if let Some(own) = bst.mapping("split-rules")? {
            own.compose(&mut split_rules)?;
        }
        bst.insert("split-rules", split_rules);
        if let Some(changes) = project.element_changes().mapping(kind.name())? {
            changes.compose(&mut kind_node)?;
        }
        let over = |key: &str, base: &Mapping| {
            let mut result = base.clone();
            if let Some(node) = kind_node.mapping(key)? {
                node.compose(&mut result)?;
            }
            Ok::<_, LoadError>(result)
        };
        let mut nocache: BTreeSet<Arc<str>> =
            project.environment_nocache().iter().cloned().collect();
        nocache.extend(kind_node.strings("environment-nocache")?);
        let bst = kind_node
            .mapping("public")?
            .map(|public| public.mapping("bst"));
        let bst = bst.transpose()?.flatten();
        let split_rules = bst.map(|bst| bst.mapping("split-rules")).transpose()?;
        Ok(Self {
            variables: over("variables", project.variables())?,
            environment: over("environment", project.environment())?,
            nocache,
            sandbox: over("sandbox", project.sandbox())?,
            config: over("config", &Mapping::default())?,
            split_rules: split_rules.flatten().cloned().unwrap_or_default(),
        })
    }
}

impl Resolver<'_> {
    fn element(&mut self, loaded: &LoadedElement) -> Result<Element, LoadError> {
        let node = &loaded.node;
        let kind = self.kind(node)?;
        let defaults = self.defaults(kind)?;
        let variables = variables(&defaults, loaded)?;
        let expanded = |key: &str, base: &Mapping| {
            let mut result = over(node, key, base)?;
            variables.expand(&mut result)?;
            Ok::<_, LoadError>(result)
        };
        let mut nocache = defaults.nocache.clone();
        nocache.extend(node.strings("environment-nocache")?);
        let sources = self.sources(node, &variables)?;
        let (config, dependencies) = {
            let config = expanded("config", &defaults.config)?;
            let expanded = expand_dependencies(&loaded.dependencies, &variables)?;
            let dependencies = self.dependencies(&loaded.dependencies, &expanded);
            let input = Input {
                config: &config,
                variables: &variables,
                dependencies: &dependencies,
                sources: sources.len(),
                at: &node.at,
            };
            kinds::check(kind, &input)?;
            let config = Config::load(kind, &input)?;
            (config, self.ids_by_use(&loaded.dependencies))
        };
        let [
            build_dependencies,
            runtime_dependencies,
            strict_dependencies,
        ] = dependencies;
        Ok(Element {
            project: self.project.shared_name(),
            name: loaded.name.clone(),
            full_name: loaded.name.clone(),
            kind,
            config,
            description: node.string("description")?.unwrap_or_default().into(),
            at: node.at.clone(),
            environment: texts(&expanded("environment", &defaults.environment)?)?,
            environment_nocache: nocache,
            sandbox: Sandbox::load(
                &expanded("sandbox", &defaults.sandbox)?,
                self.project.host(),
            )?,
            public: public(node, &defaults, &variables)?,
            sources,
            variables,
            build_dependencies,
            runtime_dependencies,
            strict_dependencies,
        })
    }

    fn kind(&self, node: &Mapping) -> Result<ElementKind, LoadError> {
        let name = node.required_scalar("kind")?;
        let plugins = self.project.plugins();
        let kind = ElementKind::from_name(&name.value);
        plugins.check_element(name, kind.map(ElementKind::package))?;
        kind.ok_or_else(|| unknown("element", name))
    }

    fn defaults(&mut self, kind: ElementKind) -> Result<Arc<Defaults>, LoadError> {
        if let Some(defaults) = self.defaults.get(&kind) {
            return Ok(defaults.clone());
        }
        let defaults = Arc::new(Defaults::new(self.project, kind)?);
        self.defaults.insert(kind, defaults.clone());
        Ok(defaults)
    }

    fn sources(&self, node: &Mapping, variables: &Variables) -> Result<Vec<Source>, LoadError> {
        let Some(list) = node.sequence("sources")? else {
            return Ok(Vec::new());
        };
        let mut sources = Vec::new();
        for source in list.mappings()? {
            sources.push(self.source(source.clone(), variables)?);
        }
        source::check(&sources)?;
        Ok(sources)
    }

    fn source(&self, mut node: Mapping, variables: &Variables) -> Result<Source, LoadError> {
        let name = node.required_scalar("kind")?.clone();
        let kind = SourceKind::from_name(&name.value);
        let package = kind.map(SourceKind::package);
        self.project.plugins().check_source(&name, package)?;
        let kind = kind.ok_or_else(|| unknown("source", &name))?;
        node.remove("kind");
        let directory = node.scalar("directory")?.map(|scalar| scalar.value.clone());
        if directory
            .as_ref()
            .is_some_and(|directory| !directory.is_empty())
        {
            node.remove("directory");
        }
        if let Some(provenance) = node.take_mapping("provenance")? {
            let names: Vec<&str> = self.project.provenance_attributes().collect();
            provenance.expect_keys(&names)?;
            texts(&provenance)?;
        }
        let changes = self.project.source_changes().mapping(kind.name())?;
        let mut config = match changes
            .map(|changes| changes.mapping("config"))
            .transpose()?
        {
            Some(Some(config)) => config.clone(),
            _ => Mapping::default(),
        };
        node.compose(&mut config)?;
        config.expect_composed()?;
        variables.expand(&mut config)?;
        let context = SourceContext {
            files: self.project.files(),
            aliases: self.project.aliases(),
            unaliased_is_fatal: self.unaliased_is_fatal,
            warnings: &self.warnings,
        };
        Source::load(kind, directory, &config, &node.at, &context)
    }

    fn dependencies<'b>(
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

/// The value of a key of the element laid over what is below it.
fn over(node: &Mapping, key: &str, base: &Mapping) -> Result<Mapping, LoadError> {
    let mut result = base.clone();
    if let Some(own) = node.mapping(key)? {
        own.compose(&mut result)?;
    }
    result.expect_composed()?;
    Ok(result)
}

fn variables(defaults: &Defaults, loaded: &LoadedElement) -> Result<Variables, LoadError> {
    let mut raw = over(&loaded.node, "variables", &defaults.variables)?;
    for name in PROTECTED {
        if let Some(node) = raw.get(name).filter(|node| !node.at().is_synthetic()) {
            return Err(LoadError::at(node.at(), Problem::ProtectedVariable(name)));
        }
    }
    raw.insert("element-name", Scalar::synthetic(loaded.name.clone()));
    if raw.boolean("notparallel")?.unwrap_or(false) {
        raw.insert("max-jobs", Scalar::synthetic("1"));
    }
    Variables::resolve(&raw)
}

/// The element's own public data; only split rules are inherited.
fn public(node: &Mapping, defaults: &Defaults, variables: &Variables) -> Result<Public, LoadError> {
    let mut public = match node.mapping("public")? {
        Some(public) => public.clone(),
        None => Mapping::new(Provenance::SYNTHETIC),
    };
    let bst = public.mapping_or_insert("bst")?;
    let mut split_rules = defaults.split_rules.clone();
    if let Some(own) = bst.mapping("split-rules")? {
        own.compose(&mut split_rules)?;
    }
    bst.insert("split-rules", split_rules);
    public.expect_composed()?;
    variables.expand(&mut public)?;
    Public::load(public)
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

fn unknown(what: &'static str, name: &Scalar) -> LoadError {
    let kind = name.value.to_string();
    LoadError::at(&name.at, Problem::UnknownKind { what, kind })
}
