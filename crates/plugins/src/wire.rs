//! Elements and sources as hosts are told of them; see [`crate`] for the protocol.

use headstart_project::{
    AliasAddresses, Element, ElementId, HostedDependency, HostedSource, Place, PluginError,
    PluginId, PluginOrigin, Project, RemoteApisSocket, Sandbox, Source, SourceMirror,
};
use headstart_yaml::{Mapping, Node, Provenance};
use serde_json::{Map, Value, json};

use crate::hosts::Settings;

/// Makes what is sent to hosts.
pub struct Describe<'a> {
    settings: &'a Settings,
}

impl<'a> Describe<'a> {
    pub(crate) fn new(settings: &'a Settings) -> Self {
        Self { settings }
    }

    fn directory(&self, path: &str) -> String {
        self.settings.root.join(path).display().to_string()
    }

    pub(crate) fn plugin(&self, plugin: &PluginId) -> Value {
        let mut value = json!({"type": plugin.plugin_type.name(), "kind": &*plugin.kind});
        match &plugin.origin {
            PluginOrigin::Core => {}
            PluginOrigin::Package(package) => value["package"] = json!(&**package),
            PluginOrigin::Directory(path) => value["directory"] = json!(self.directory(path)),
        }
        value
    }

    /// An element of a plugin's kind, with the names of what it depends on.
    pub fn hosted(
        &self,
        element: &Element,
        dependencies: &[HostedDependency],
        others: &Others<'_>,
    ) -> Value {
        let mut value = self.element(element, others);
        value["plugin"] = self.plugin(&element.plugin);
        value["at"] = at("m", &element.at, json!([]));
        value["config"] = mapping(&element.config_data);
        value["sandbox"] = sandbox(&element.sandbox);
        value["description"] = json!(&*element.description);
        let dependencies = dependencies.iter();
        let dependencies = dependencies.map(|it| self.dependency(it, others));
        value["dependencies"] = dependencies.collect();
        value
    }

    /// All that a host may want to know of an element.
    pub fn element(&self, element: &Element, others: &Others<'_>) -> Value {
        let names =
            |ids: &[ElementId]| -> Value { ids.iter().map(|id| self.name(*id, others)).collect() };
        let texts: Map<String, Value> = element
            .variables
            .iter()
            .map(|(name, value)| (name.to_string(), json!(&**value)))
            .collect();
        let environment = element.environment.iter();
        // In their order, which an object has not.
        let environment: Value = environment
            .map(|(name, value)| json!([&**name, &**value]))
            .collect();
        let sources = self.sources(element, others);
        json!({
            "name": &*element.name,
            "full-name": &*element.full_name,
            "kind": element.kind.name(),
            "project": self.project(&element.project, &others.project_of(element)),
            "variables": texts,
            "environment": environment,
            "public": mapping(&element.public.data),
            "build-dependencies": names(&element.build_dependencies),
            "runtime-dependencies": names(&element.runtime_dependencies),
            "sources": sources,
        })
    }

    fn project(&self, name: &str, facts: &ProjectFacts<'_>) -> Value {
        json!({
            "name": name,
            "directory": self.directory(facts.directory),
            "relative": facts.directory,
            "fatal-warnings": facts.fatal_warnings,
            "provenance-attributes": facts.provenance_attributes,
        })
    }

    /// An element, as those that depend on it see it first.
    fn name(&self, id: ElementId, others: &Others<'_>) -> Value {
        let Some(element) = (others.element)(id) else {
            return Value::Null;
        };
        json!({
            "index": id.0,
            "name": &*element.name,
            "full-name": &*element.full_name,
            "kind": element.kind.name(),
            "project": self.project(&element.project, &others.project_of(element)),
        })
    }

    fn dependency(&self, dependency: &HostedDependency, others: &Others<'_>) -> Value {
        let mut value = self.name(dependency.element, others);
        value["path"] = json!(&*dependency.path);
        value["configs"] = dependency.configs.iter().map(mapping).collect();
        value
    }

    /// The sources of an element, whatever their kinds. What their aliases stand for can be asked for.
    pub fn sources(&self, element: &Element, others: &Others<'_>) -> Value {
        let mut project = self.project(&element.project, &others.project_of(element));
        project["may-ask"] = json!(true);
        let describe = |(index, source): (usize, &Source)| {
            let written = source.written.as_ref()?;
            Some(json!({
                "plugin": self.plugin(&written.plugin),
                "element": &*element.name,
                "element-kind": element.kind.name(),
                "index": index,
                "directory": source.directory.as_deref(),
                "config": mapping(&written.config),
                "provenance": written.provenance.as_ref().map(mapping),
                "project": project,
            }))
        };
        let sources = element.sources.iter().enumerate();
        sources.filter_map(describe).collect()
    }

    /// A source; `may_ask` is whether what its aliases stand for can be asked for.
    pub fn source(&self, source: &HostedSource, directory: Option<&str>, may_ask: bool) -> Value {
        let aliases = source.aliases.iter();
        let aliases: Map<String, Value> = aliases
            .map(|(name, addresses)| (name.clone(), self.alias(Some(addresses))))
            .collect();
        let fatal: Vec<&str> = source.fatal_warnings.iter().map(|it| &**it).collect();
        let facts = ProjectFacts {
            directory: &source.project_directory,
            fatal_warnings: fatal,
            provenance_attributes: Vec::new(),
        };
        let mut project = self.project(&source.project, &facts);
        project["aliases"] = Value::Object(aliases);
        project["may-ask"] = json!(may_ask);
        json!({
            "plugin": self.plugin(&source.class.plugin),
            "element": &*source.element,
            "element-kind": &*source.element_kind,
            "index": source.index,
            "directory": directory,
            "config": mapping(&source.config),
            "project": project,
        })
    }

    /// What an alias stands for. Mirrors that are plugins are made by the host, and asked there.
    pub fn alias(&self, addresses: Option<&AliasAddresses>) -> Value {
        let Some(addresses) = addresses else {
            return Value::Null;
        };
        // What has no plugin yet can't be asked.
        let places = |places: &[Place]| places.iter().filter_map(|it| self.place(it)).collect();
        let (fetch, track): (Value, Value) = (places(&addresses.fetch), places(&addresses.track));
        json!({
            "own": addresses.own,
            "translated": addresses.translated,
            "fetch": fetch,
            "track": track,
        })
    }

    fn place(&self, place: &Place) -> Option<Value> {
        match place {
            Place::Address(address) => Some(json!(address)),
            Place::Mirror(place) => {
                let mirror = self.mirror(&place.mirror).ok()?;
                Some(json!({"mirror": mirror, "alias": &*place.alias}))
            }
        }
    }

    /// A mirror that is a plugin.
    pub(crate) fn mirror(&self, mirror: &SourceMirror) -> Result<Value, PluginError> {
        let facts = ProjectFacts {
            directory: &mirror.project_directory,
            ..ProjectFacts::default()
        };
        Ok(json!({
            "plugin": self.plugin(mirror.plugin()?),
            "config": mapping(&mirror.config),
            "project": self.project(&mirror.project, &facts),
        }))
    }
}

/// What is sent of a project.
#[derive(Default)]
pub struct ProjectFacts<'a> {
    directory: &'a str,
    fatal_warnings: Vec<&'a str>,
    provenance_attributes: Vec<&'a str>,
}

impl<'a> From<&'a Project> for ProjectFacts<'a> {
    fn from(project: &'a Project) -> Self {
        let fatal = project.fatal_warnings().iter().map(|it| &**it);
        Self {
            directory: project.directory(),
            fatal_warnings: fatal.collect(),
            provenance_attributes: project.provenance_attributes().collect(),
        }
    }
}

/// Where other elements are found.
pub struct Others<'a> {
    /// An element by its number.
    pub element: &'a dyn Fn(ElementId) -> Option<&'a Element>,
    /// The project of an element, if it is known.
    pub project: &'a dyn Fn(&Element) -> Option<ProjectFacts<'a>>,
}

impl<'a> Others<'a> {
    fn project_of(&self, element: &Element) -> ProjectFacts<'a> {
        (self.project)(element).unwrap_or_default()
    }
}

fn sandbox(sandbox: &Sandbox) -> Value {
    let mut value = json!({
        "build-os": &*sandbox.build_os,
        "build-arch": sandbox.build_arch,
    });
    // All are texts, as in a file.
    for (key, id) in [
        ("build-uid", sandbox.build_uid),
        ("build-gid", sandbox.build_gid),
    ] {
        if let Some(id) = id {
            value[key] = json!(id.to_string());
        }
    }
    if let Some(RemoteApisSocket {
        path,
        action_cache_enable_update,
    }) = &sandbox.remote_apis_socket
    {
        let update = if *action_cache_enable_update {
            "True"
        } else {
            "False"
        };
        value["remote-apis-socket"] =
            json!({"path": &**path, "action-cache-enable-update": update});
    }
    value
}

/// A node with all places.
fn node(node: &Node) -> Value {
    match node {
        Node::Scalar(scalar) => at("s", &scalar.at, json!(&*scalar.value)),
        Node::Sequence(list) => at("l", &list.at, list.items.iter().map(self::node).collect()),
        Node::Mapping(mapping) => self::mapping(mapping),
    }
}

pub(crate) fn mapping(mapping: &Mapping) -> Value {
    let entries = mapping.iter();
    let entries = entries.map(|(key, value)| json!([&*key.text, node(value)]));
    at("m", &mapping.at, entries.collect())
}

fn at(kind: &str, at: &Provenance, content: Value) -> Value {
    json!([kind, at.file(), at.line(), at.column(), content])
}

/// A value that a plugin has written into a node.
pub(crate) fn to_node(value: &Value) -> Node {
    use headstart_yaml::{Scalar, Sequence};
    match value {
        Value::Array(items) => Node::Sequence(Sequence {
            at: Provenance::SYNTHETIC,
            items: items.iter().map(to_node).collect(),
        }),
        Value::Object(entries) => {
            let mut mapping = Mapping::default();
            for (key, value) in entries {
                mapping.insert(&**key, to_node(value));
            }
            Node::Mapping(mapping)
        }
        Value::String(text) => Scalar::synthetic(&**text).into(),
        other => Scalar::synthetic(other.to_string()).into(),
    }
}

/// A text of BuildStream's with the places in it as this program writes them.
pub(crate) fn placed(text: &str) -> String {
    const BEGIN: &str = "<synthetic ";
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(BEGIN) {
        result.push_str(&rest[..at]);
        rest = &rest[at + BEGIN.len()..];
        let place = rest.split_once("> [line ").and_then(|(file, after)| {
            let (line, after) = after.split_once(" column ")?;
            let (column, after) = after.split_once(']')?;
            let column: u32 = column.parse().ok()?;
            Some((format!("{file}:{line}:{}", column + 1), after))
        });
        match place {
            Some((place, after)) => {
                result.push_str(&place);
                rest = after;
            }
            None => result.push_str(BEGIN),
        }
    }
    result.push_str(rest);
    // Where nothing has a place, nothing is said of it.
    result.replace(" [synthetic node]: ", "")
}

#[cfg(test)]
mod tests {
    use super::placed;

    #[test]
    fn places_are_written_as_everywhere_else() {
        for (theirs, ours) in [
            (
                "<synthetic elements/a.bst> [line 3 column 4]: wrong, see <synthetic b> [line 1 column 0]",
                "elements/a.bst:3:5: wrong, see b:1:1",
            ),
            ("<synthetic x", "<synthetic x"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(placed(theirs), ours);
        }
    }
}
