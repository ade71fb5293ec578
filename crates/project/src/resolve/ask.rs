//! What only plugins know of elements that have been made, and of their sources.
//!
//! They are asked one after another: more questions at a time would start more processes than it is worth.

use std::collections::BTreeMap;
use std::sync::Arc;

use headstart_yaml::Scalar;

use super::noted::Noted;
use super::origin::failed;
use crate::element::Element;
use crate::error::LoadError;
use crate::json::Json;
use crate::kinds::Config;
use crate::project::{Project, ProjectId};
use crate::source::{SourceConfig, SourceKind};
use crate::universe::Universe;

/// Something of an element that its plugin is to be asked for.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) what: What,
    /// The name of the plugin's kind, where the element has it.
    pub(super) name: Scalar,
}

#[derive(Debug)]
pub(super) enum What {
    /// What the element puts into its key.
    ElementKey,
    /// What one of its sources is, by its place.
    Source(usize),
}

/// Asks for all of `elements`, some of which may not have been made.
pub(super) fn ask(
    universe: &Universe,
    projects: &BTreeMap<ProjectId, Arc<Project>>,
    elements: &mut [Element],
    questions: Noted<Question>,
) -> Result<(), LoadError> {
    for (place, Question { what, name }) in questions.in_order() {
        let Some((element, known)) = elements.get_mut(..=place).and_then(<[_]>::split_last_mut)
        else {
            break;
        };
        let Some(project) = projects.get(&element.project_id) else {
            continue;
        };
        match what {
            What::ElementKey => ask_for_key(universe, project, element, known, &name)?,
            What::Source(index) => ask_of_source(universe, project, element, index, &name)?,
        }
    }
    Ok(())
}

fn ask_for_key(
    universe: &Universe,
    project: &Project,
    element: &mut Element,
    known: &[Element],
    name: &Scalar,
) -> Result<(), LoadError> {
    let Config::Hosted(hosted) = &element.config else {
        return Ok(());
    };
    let failed = failed(&hosted.class.plugin, name);
    let host = universe.host().map_err(&failed)?;
    let key = host.element_key(element, hosted, project, known);
    let key = Json::Written(key.map_err(failed)?.into());
    if let Config::Hosted(hosted) = &mut element.config {
        hosted.unique_key = key;
    }
    Ok(())
}

fn ask_of_source(
    universe: &Universe,
    project: &Project,
    element: &mut Element,
    index: usize,
    name: &Scalar,
) -> Result<(), LoadError> {
    let Some(source) = element.sources.get_mut(index) else {
        return Ok(());
    };
    let (SourceKind::Hosted(class), SourceConfig::Hosted(hosted)) =
        (&source.kind, &mut source.config)
    else {
        return Ok(());
    };
    let failed = failed(&class.plugin, name);
    let host = universe.host().map_err(&failed)?;
    host.source(hosted, project.aliases()).map_err(failed)
}
