//! What sources say of their provenance: whoever hosts plugins asks them.

use headstart_plugins::{Answers, Describe, Others};
use headstart_project::{Element, ElementId, PluginError};
use headstart_sources::StoreAnswers;
use serde_json::{Value, json};

use crate::error::SessionError;
use crate::session::{Loaded, Session};

impl Session {
    /// Makes sure that sources can be asked what they are; if not, the error says what to install.
    pub fn describes_sources(&self) -> Result<(), PluginError> {
        self.hosts.available().map(|_| ())
    }

    /// What the sources of an element say of themselves, as the YAML that BuildStream shows.
    pub fn source_info(&self, loaded: &Loaded, id: ElementId) -> Result<String, SessionError> {
        let element = &loaded.graph[id];
        let failed = |error| SessionError::SourceInfo {
            element: element.full_name.to_string(),
            error: Box::new(error),
        };
        let hosts = self.hosts.available().map_err(failed)?;
        let mut answers = Told::new(self, loaded);
        let sources = answers.with_others(|others| hosts.describe().sources(element, others));
        let request = json!({"do": "source-info", "sources": sources});
        let answer = hosts.request(&request, &mut answers);
        let answer = answer.map_err(failed)?;
        Ok(answer.as_str().unwrap_or_default().to_owned())
    }
}

/// Knows elements and what aliases stand for, and takes what is to be digested.
pub(crate) struct Told<'a> {
    describe: Describe<'a>,
    loaded: &'a Loaded,
    store: StoreAnswers<'a>,
}

impl<'a> Told<'a> {
    pub(crate) fn new(session: &'a Session, loaded: &'a Loaded) -> Self {
        Self {
            describe: session.hosts.describe(),
            loaded,
            store: StoreAnswers::new(&session.directories),
        }
    }

    /// Lets `with` look at other elements.
    pub(crate) fn with_others<T>(&self, with: impl FnOnce(&Others<'_>) -> T) -> T {
        let graph = &self.loaded.graph;
        with(&Others {
            element: &|id: ElementId| graph.get(id),
            project: &|element: &Element| graph.project_of(element).map(|it| (&**it).into()),
        })
    }

    fn element(&self, index: u64) -> Option<Value> {
        let id = ElementId(u32::try_from(index).ok()?);
        let element = self.loaded.graph.get(id)?;
        Some(self.with_others(|others| self.describe.element(element, others)))
    }
}

impl Answers for Told<'_> {
    fn answer(&mut self, what: &str, asked: &Value) -> Result<Value, String> {
        let text = |key: &str| asked.get(key).and_then(Value::as_str);
        let index = asked.get("index").and_then(Value::as_u64);
        match (what, text("alias"), text("project"), index) {
            ("alias", Some(name), Some(directory), _) => {
                let mut projects = self.loaded.graph.projects();
                let project = projects.find(|it| it.directory() == directory);
                let found = project.and_then(|it| it.aliases().of_alias(name));
                Ok(self.describe.alias(found.as_ref()))
            }
            ("element", _, _, Some(index)) => {
                let element = self.element(index);
                element.ok_or_else(|| format!("there is no element {index}"))
            }
            _ => self.store.answer(what, asked),
        }
    }
}
