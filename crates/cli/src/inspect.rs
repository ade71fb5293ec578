//! `headstart inspect`: what a project is loaded to, as one JSON object for other programs.
//!
//! Its form is that of the command of this name that was proposed to BuildStream: projects with their options,
//! plugins and elements, and what elements have in common once for all.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufWriter, Write};
use std::sync::Arc;

use headstart_project::{Element, ElementId, PluginId, Project, default_environment};
use headstart_session::{Loaded, Session};
use headstart_yaml::Node;
use serde::Serialize;
use serde_json::Value;

use crate::arguments::{MainOptions, ShownElements};
use crate::error::Failure;
use crate::messages;
use crate::open;
use crate::selection::{Deps, Selection};
use crate::show::Shown;

/// All that is printed.
#[derive(Serialize)]
struct Inspected {
    projects: Vec<InspectedProject>,
    defaults: Defaults,
}

/// What all elements begin with, and is not said of each.
#[derive(Serialize)]
struct Defaults {
    environment: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct InspectedProject {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    junction: Option<String>,
    options: BTreeMap<String, String>,
    plugins: Vec<InspectedPlugin>,
    elements: Vec<InspectedElement>,
}

#[derive(Serialize, PartialEq, Eq, PartialOrd, Ord)]
struct InspectedPlugin {
    plugin_type: &'static str,
    name: String,
    description: String,
}

#[derive(Serialize)]
struct InspectedElement {
    /// From the top-level project on.
    name: String,
    kind: String,
    description: String,
    /// As `%{full-key}` and `%{state}` show them.
    key: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace: Option<String>,
    environment: BTreeMap<String, String>,
    variables: BTreeMap<String, String>,
    /// Those that the element itself names.
    dependencies: Vec<Dependency>,
    sources: Vec<Value>,
}

#[derive(Serialize)]
struct Dependency {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    junction: Option<String>,
    kind: &'static str,
}

pub(crate) fn run(main: &MainOptions, arguments: &ShownElements) -> Result<(), Failure> {
    let session = open::session(main, open::config(main)?)?;
    let ShownElements {
        elements,
        deps,
        except,
    } = arguments;
    let selection = Selection::load(&session, elements, *deps, except)?;
    let Selection { loaded, elements } = selection;
    let standings = session.standings(&loaded, &elements, *deps != Deps::None)?;
    let inspector = Inspector {
        session: &session,
        loaded: &loaded,
        defaults: default_environment().map_err(|error| Failure::from(&error))?,
        asks_sources: asks_sources(&session, &loaded, &elements),
    };
    let mut projects = BTreeMap::new();
    for id in &elements {
        let shown = Shown::new(&session, &loaded, Some(&standings), *id);
        let inspected = inspector.element(&shown)?;
        let project = loaded.graph[*id].project_id;
        projects
            .entry(project)
            .or_insert_with(Vec::new)
            .push((*id, inspected));
    }
    let projects = projects.into_values().filter_map(|elements| {
        let project = loaded.graph.project(elements.first()?.0)?;
        Some(inspector.project(project, elements))
    });
    let inspected = Inspected {
        projects: projects.collect(),
        defaults: Defaults {
            environment: inspector.defaults.clone(),
        },
    };
    let mut out = BufWriter::new(std::io::stdout().lock());
    let written = serde_json::to_writer(&mut out, &inspected).map_err(std::io::Error::from);
    // A reader that has seen enough closes the pipe.
    let _ = written
        .and_then(|()| writeln!(out))
        .and_then(|()| out.flush());
    Ok(())
}

/// Whether sources can say where they come from: BuildStream's plugins are asked, if they are there.
fn asks_sources(session: &Session, loaded: &Loaded, elements: &[ElementId]) -> bool {
    let mut elements = elements.iter().map(|id| &loaded.graph[*id]);
    if elements.all(|element| element.sources.is_empty()) {
        return false;
    }
    match session.describes_sources() {
        Ok(()) => true,
        Err(error) => {
            messages::say(&format!("of sources only the kinds are told: {error}"));
            false
        }
    }
}

struct Inspector<'a> {
    session: &'a Session,
    loaded: &'a Loaded,
    defaults: BTreeMap<String, String>,
    asks_sources: bool,
}

impl Inspector<'_> {
    fn project(
        &self,
        project: &Project,
        elements: Vec<(ElementId, InspectedElement)>,
    ) -> InspectedProject {
        let ids = elements.iter().map(|(id, _)| *id);
        let options = project.options().iter();
        InspectedProject {
            name: project.name().to_string(),
            junction: project.junction().map(ToString::to_string),
            options: options
                .map(|(name, option)| (name.to_string(), option.value.to_text()))
                .collect(),
            plugins: self.plugins(ids).into_iter().collect(),
            elements: elements.into_iter().map(|(_, element)| element).collect(),
        }
    }

    /// The plugins that elements and their sources are of.
    fn plugins(&self, ids: impl Iterator<Item = ElementId>) -> BTreeSet<InspectedPlugin> {
        let mut plugins = BTreeSet::new();
        let mut add = |plugin: &PluginId| {
            plugins.insert(InspectedPlugin {
                plugin_type: plugin.plugin_type.name(),
                name: plugin.kind.to_string(),
                description: plugin.origin.to_string(),
            });
        };
        for id in ids {
            let element = &self.loaded.graph[id];
            add(&element.plugin);
            let written = element.sources.iter().filter_map(|it| it.written.as_ref());
            written.for_each(|source| add(&source.plugin));
        }
        plugins
    }

    fn element(&self, shown: &Shown<'_>) -> Result<InspectedElement, Failure> {
        let element = shown.element();
        let environment = element.environment.iter();
        let own = environment.filter(|(name, value)| {
            let default = self.defaults.get(&***name);
            default.map(String::as_str) != Some(&***value)
        });
        let texts = |(name, value): (&Arc<str>, &Arc<str>)| (name.to_string(), value.to_string());
        Ok(InspectedElement {
            name: element.full_name.to_string(),
            kind: element.kind.to_string(),
            description: shown.description(),
            key: shown.key(),
            state: shown.state()?,
            workspace: element.workspace().map(|it| it.path.to_string()),
            environment: own.map(texts).collect(),
            variables: element.variables.iter().map(texts).collect(),
            dependencies: self.dependencies(element),
            sources: self.sources(shown.id(), element)?,
        })
    }

    fn dependencies(&self, element: &Element) -> Vec<Dependency> {
        let (build, run) = (&element.build_dependencies, &element.runtime_dependencies);
        let only_run = run.iter().filter(|id| !build.contains(id));
        let dependency = |id: &ElementId| {
            let other = &self.loaded.graph[*id];
            let project = self.loaded.graph.project_of(other);
            Dependency {
                name: other.name.to_string(),
                junction: project.and_then(|project| Some(project.junction()?.to_string())),
                kind: match (build.contains(id), run.contains(id)) {
                    (true, true) => "all",
                    (true, false) => "build",
                    (false, _) => "runtime",
                },
            }
        };
        build.iter().chain(only_run).map(dependency).collect()
    }

    /// What an element's sources say of themselves; if they can't, only of which kinds they are.
    fn sources(&self, id: ElementId, element: &Element) -> Result<Vec<Value>, Failure> {
        if element.sources.is_empty() {
            return Ok(Vec::new());
        }
        if !self.asks_sources {
            let kinds = element.sources.iter().map(|source| source.kind.name());
            return Ok(kinds
                .map(|kind| serde_json::json!({"kind": kind}))
                .collect());
        }
        let text = self.session.source_info(self.loaded, id)?;
        // A document is a mapping, and this a list.
        let lines = text.lines().map(|line| format!("  {line}\n"));
        let text = format!("sources:\n{}", lines.collect::<String>());
        let described = headstart_yaml::parse("what sources say", &text)?;
        let list = described.sequence("sources")?;
        Ok(list.map_or_else(Vec::new, |list| list.items.iter().map(value).collect()))
    }
}

/// A node as JSON: all scalars are texts.
fn value(node: &Node) -> Value {
    match node {
        Node::Scalar(scalar) => Value::String(scalar.value.to_string()),
        Node::Sequence(list) => list.items.iter().map(value).collect(),
        Node::Mapping(mapping) => {
            let entries = mapping.iter();
            let entries = entries.map(|(key, node)| (key.text.to_string(), value(node)));
            Value::Object(entries.collect())
        }
    }
}
