//! Elements made of what was found for them, each for itself.

use std::sync::Arc;

use headstart_yaml::Mapping;

use super::ask::{Question, What};
use super::find::{FoundElement, FoundKind};
use super::noted::Noted;
use crate::defaults::over;
use crate::element::{Element, ElementId, Sandbox};
use crate::error::{LoadError, Warning};
use crate::in_order::Earlier;
use crate::kinds::{self, Config, ElementKind, Input, InputDependency};
use crate::loader::LoadedDependency;
use crate::project::Project;
use crate::source::Source;
use crate::universe::Universe;
use crate::variables::Variables;

/// What elements are made with.
pub(super) struct Maker<'a> {
    pub(super) universe: &'a Universe,
    /// For each loaded element its place among those that are made.
    pub(super) ids: Vec<Option<ElementId>>,
    /// The kinds of those that are made.
    kinds: Vec<ElementKind>,
    pub(super) warnings: Noted<Warning>,
    /// What plugins are to be asked for.
    pub(super) questions: Noted<Question>,
}

/// An element that is being made.
pub(super) struct Making<'a> {
    pub(super) maker: &'a Maker<'a>,
    pub(super) place: usize,
    pub(super) project: &'a Project,
    pub(super) name: &'a Arc<str>,
    pub(super) kind: &'a ElementKind,
    pub(super) variables: &'a Variables,
}

impl<'a> Maker<'a> {
    /// `order` has the places of the elements among the loaded.
    pub(super) fn new(
        universe: &'a Universe,
        order: &[usize],
        found: &[FoundElement],
        warnings: Noted<Warning>,
    ) -> Self {
        let mut ids = vec![None; universe.elements.len()];
        for (place, &index) in order.iter().enumerate() {
            ids[index] = Some(ElementId::from_index(place));
        }
        let kinds = found.iter().map(|found| found.kind.kind.clone());
        Self {
            universe,
            ids,
            kinds: kinds.collect(),
            warnings,
            questions: Noted::default(),
        }
    }

    /// Makes the element at a place.
    pub(super) fn make(
        &self,
        place: usize,
        found: FoundElement,
        earlier: &Earlier<'_, Element>,
    ) -> Result<Element, LoadError> {
        let FoundElement {
            project,
            name,
            full_name,
            mut node,
            dependencies,
            kind,
            sources,
        } = found;
        let FoundKind {
            kind,
            plugin,
            defaults,
        } = kind;
        let layer = &defaults.variables;
        let variables = layer.resolve(&node, &name, kind == ElementKind::Junction)?;
        let sources = match self.universe.workspace(&full_name) {
            Some(workspace) => vec![Source::workspace(workspace.clone(), &node.at)],
            None => {
                let making = Making {
                    maker: self,
                    place,
                    project: &project,
                    name: &name,
                    kind: &kind,
                    variables: &variables,
                };
                making.sources(&mut node, sources)?
            }
        };
        let expanded_configs = expand_dependencies(&dependencies, &variables)?;
        let expanded = |key: &str, base: &Mapping| {
            let mut result = over(&node, key, base)?;
            variables.expand(&mut result)?;
            Ok::<_, LoadError>(result)
        };
        let environment = defaults.environment(&node, &variables)?;
        let environment_nocache = defaults.nocache(&node)?;
        let public = defaults.public(&node, &variables)?;
        let config_node = expanded("config", &defaults.config)?;
        let sandbox = expanded("sandbox", &defaults.sandbox)?;
        let config = {
            let dependencies = self.input(&dependencies, &expanded_configs);
            let input = Input {
                config: &config_node,
                variables: &variables,
                dependencies: &dependencies,
                sources: sources.len(),
                elements: earlier,
                at: &node.at,
            };
            kinds::check(&kind, &input)?;
            Config::load(&kind, &input)?
        };
        if let Config::Hosted(_) = config {
            let name = node.required_scalar("kind")?.clone();
            let what = What::ElementKey;
            self.questions.add(place, Question { what, name });
        }
        let [
            build_dependencies,
            runtime_dependencies,
            strict_dependencies,
        ] = self.ids_by_use(&dependencies);
        Ok(Element {
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
        })
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
                let element = self.ids[dependency.element]?;
                Some(InputDependency {
                    element,
                    path: &dependency.written.path,
                    kind: self.kinds.get(element.index())?,
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
