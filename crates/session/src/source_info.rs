//! What sources say of their provenance: whoever hosts plugins asks them.

use headstart_plugins::{Answers, Describe, Others};
use headstart_project::{Element, ElementId};
use headstart_sources::StoreAnswers;
use serde_json::{Value, json};

use crate::error::SessionError;
use crate::session::{Loaded, Session};

impl Session {
    /// What the sources of an element say of themselves, as the YAML that BuildStream shows.
    pub fn source_info(&self, loaded: &Loaded, id: ElementId) -> Result<String, SessionError> {
        let graph = &loaded.graph;
        let element = &graph[id];
        let others = Others {
            element: &|id: ElementId| graph.get(id),
            project: &|element: &Element| graph.project_of(element).map(|it| (&**it).into()),
        };
        let failed = |error| SessionError::SourceInfo {
            element: element.full_name.to_string(),
            error: Box::new(error),
        };
        let hosts = self.hosts.available().map_err(failed)?;
        let sources = hosts.describe().sources(element, &others);
        let request = json!({"do": "source-info", "sources": sources});
        let mut answers = Told {
            describe: hosts.describe(),
            loaded,
            store: StoreAnswers::new(&self.directories),
        };
        let answer = hosts.request(&request, &mut answers);
        let answer = answer.map_err(failed)?;
        Ok(answer.as_str().unwrap_or_default().to_owned())
    }
}

/// Knows what aliases stand for, and takes what is to be digested.
struct Told<'a> {
    describe: Describe<'a>,
    loaded: &'a Loaded,
    store: StoreAnswers<'a>,
}

impl Answers for Told<'_> {
    fn answer(&mut self, what: &str, asked: &Value) -> Result<Value, String> {
        let text = |key: &str| asked.get(key).and_then(Value::as_str);
        match (what, text("alias"), text("project")) {
            ("alias", Some(name), Some(directory)) => {
                let mut projects = self.loaded.graph.projects();
                let project = projects.find(|it| it.directory() == directory);
                let found = project.and_then(|it| it.aliases().of_alias(name));
                Ok(self.describe.alias(found.as_ref()))
            }
            _ => self.store.answer(what, asked),
        }
    }
}
