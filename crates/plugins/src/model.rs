//! What loading a project asks of plugins.

use std::collections::BTreeMap;
use std::sync::Arc;

use headstart_project::{
    AliasAddresses, Aliases, Element, ElementClass, ElementId, HostedElement, HostedSource, Json,
    Location, MirroredPlace, PluginDefaults, PluginError, PluginHost, PluginId, Project,
    SourceClass, SourceFacts, SourceMirror,
};
use headstart_yaml::Node;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::hosts::{Answers, Hosts, Silent, unknown};
use crate::wire::{Describe, Others, to_node};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ElementClassAnswer {
    defaults: DefaultsAnswer,
    no_sources: bool,
    no_build_dependencies: bool,
    no_runtime_dependencies: bool,
    dependency_config: bool,
    always_strict: bool,
    runs_commands: bool,
    has_artifact: bool,
    version: i64,
    deprecated: Option<String>,
}

#[derive(Deserialize)]
struct DefaultsAnswer {
    name: String,
    text: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct SourceClassAnswer {
    previous_to_track: bool,
    previous_to_fetch: bool,
    previous_to_stage: bool,
    deprecated: Option<String>,
}

#[derive(Deserialize)]
struct MirrorAnswer {
    deprecated: Option<String>,
}

#[derive(Deserialize)]
struct SourceAnswer {
    key: Option<String>,
    reference: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct LocationAnswer {
    url: String,
    http_auth: Option<String>,
}

/// An answer of the host's own, which is as it must be unless the plugin meddles with it.
fn understood<T: DeserializeOwned>(value: Value) -> Result<T, PluginError> {
    serde_json::from_value(value).map_err(|error| {
        let text = format!("what it says of itself can't be understood: {error}");
        PluginError::new(text)
    })
}

impl PluginHost for Hosts {
    fn element_class(
        &self,
        plugin: &PluginId,
    ) -> Result<(ElementClass, PluginDefaults), PluginError> {
        let wire = self.describe().plugin(plugin);
        let request = json!({"do": "element-class", "plugin": wire});
        let answer: ElementClassAnswer = understood(self.request(&request, &mut Silent)?)?;
        let class = ElementClass {
            plugin: plugin.clone(),
            no_sources: answer.no_sources,
            no_build_dependencies: answer.no_build_dependencies,
            no_runtime_dependencies: answer.no_runtime_dependencies,
            dependency_config: answer.dependency_config,
            always_strict: answer.always_strict,
            runs_commands: answer.runs_commands,
            has_artifact: answer.has_artifact,
            version: answer.version,
            deprecated: answer.deprecated.map(Into::into),
        };
        let DefaultsAnswer { name, text } = answer.defaults;
        Ok((class, PluginDefaults { name, text }))
    }

    fn source_class(&self, plugin: &PluginId) -> Result<SourceClass, PluginError> {
        let wire = self.describe().plugin(plugin);
        let request = json!({"do": "source-class", "plugin": wire});
        let answer: SourceClassAnswer = understood(self.request(&request, &mut Silent)?)?;
        Ok(SourceClass {
            plugin: plugin.clone(),
            previous_to_track: answer.previous_to_track,
            previous_to_fetch: answer.previous_to_fetch,
            previous_to_stage: answer.previous_to_stage,
            deprecated: answer.deprecated.map(Into::into),
        })
    }

    fn element_key(
        &self,
        element: &Element,
        hosted: &HostedElement,
        project: &Project,
        known: &[Element],
    ) -> Result<String, PluginError> {
        let others = Others {
            element: &|id: ElementId| known.get(id.index()),
            project: &|other: &Element| (other.project_id == project.id()).then(|| project.into()),
        };
        let describe = self.describe();
        let wire = describe.hosted(element, &hosted.dependencies, &others);
        let request = json!({"do": "element-key", "element": wire});
        let mut answers = Known { describe, others };
        understood(self.request(&request, &mut answers)?)
    }

    fn source(&self, source: &mut HostedSource, aliases: &Aliases) -> Result<(), PluginError> {
        let wire = self.describe().source(source, None, true);
        let request = json!({"do": "source", "source": wire});
        let mut answers = Asked {
            describe: self.describe(),
            aliases,
            asked: BTreeMap::new(),
        };
        let answer: SourceAnswer = understood(self.request(&request, &mut answers)?)?;
        source.aliases = answers.asked;
        source.facts = SourceFacts {
            unique_key: answer.key.map(|key| Json::Written(key.into())),
            reference: answer.reference.as_ref().map(reference),
        };
        Ok(())
    }

    fn mirror(&self, mirror: &SourceMirror) -> Result<Option<Arc<str>>, PluginError> {
        let request = json!({"do": "mirror", "mirror": self.describe().mirror(mirror)?});
        let answer: MirrorAnswer = understood(self.request(&request, &mut Silent)?)?;
        Ok(answer.deprecated.map(Into::into))
    }

    fn locations(&self, place: &MirroredPlace) -> Result<Vec<Location>, PluginError> {
        let request = json!({
            "do": "mirrored",
            "mirror": self.describe().mirror(&place.mirror)?,
            "alias": &*place.alias,
            "alias-url": &*place.alias_url,
            "rest": place.rest,
        });
        let found: Vec<LocationAnswer> = understood(self.request(&request, &mut Silent)?)?;
        let location = |found: LocationAnswer| Location {
            url: found.url,
            bearer: found.http_auth.as_deref() == Some("bearer"),
        };
        Ok(found.into_iter().map(location).collect())
    }
}

impl Hosts {
    /// Makes what hosts are told.
    pub fn describe(&self) -> Describe<'_> {
        Describe::new(self.settings())
    }
}

/// The keys that a reference is written to.
pub fn reference(written: &Value) -> Vec<(Arc<str>, Node)> {
    let entries = written.as_object().into_iter().flatten();
    entries
        .map(|(key, value)| (Arc::from(&**key), to_node(value)))
        .collect()
}

/// Knows the elements that were resolved before.
struct Known<'a> {
    describe: Describe<'a>,
    others: Others<'a>,
}

impl Answers for Known<'_> {
    fn answer(&mut self, what: &str, asked: &Value) -> Result<Value, String> {
        let index = asked.get("index").and_then(Value::as_u64);
        let index = index.and_then(|index| u32::try_from(index).ok());
        match (what, index) {
            ("element", Some(index)) => {
                let element = (self.others.element)(ElementId(index));
                let element = element.ok_or_else(|| format!("there is no element {index}"))?;
                Ok(self.describe.element(element, &self.others))
            }
            _ => Err(unknown(what)),
        }
    }
}

/// Knows aliases, and notes which were asked for.
struct Asked<'a> {
    describe: Describe<'a>,
    aliases: &'a Aliases,
    asked: BTreeMap<String, AliasAddresses>,
}

impl Answers for Asked<'_> {
    fn answer(&mut self, what: &str, asked: &Value) -> Result<Value, String> {
        match (what, asked.get("alias").and_then(Value::as_str)) {
            ("alias", Some(name)) => {
                let found = self.aliases.of_alias(name);
                let answer = self.describe.alias(found.as_ref());
                self.asked
                    .extend(found.map(|found| (name.to_owned(), found)));
                Ok(answer)
            }
            _ => Err(unknown(what)),
        }
    }
}
