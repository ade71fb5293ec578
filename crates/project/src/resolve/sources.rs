//! From the sources of an element's file to sources: the project's changes laid under them, variables
//! replaced, references put in that are kept elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use headstart_yaml::Mapping;

use super::ask::{Question, What};
use super::find::FoundSource;
use super::make::Making;
use crate::conf::UNALIASED;
use crate::element::texts;
use crate::error::{LoadError, Problem, Warning};
use crate::hosted::{HostedSource, SourceClass, SourceFacts};
use crate::kinds::ElementKind;
use crate::nearest::nearest;
use crate::project::{Project, ProjectId};
use crate::source::{self, Source, SourceConfig, SourceContext, SourceKind, WrittenSource};

impl Making<'_> {
    /// The sources that an element's file lists, which are taken out of it.
    pub(super) fn sources(
        &self,
        node: &mut Mapping,
        found: Vec<Result<FoundSource, LoadError>>,
    ) -> Result<Vec<Source>, LoadError> {
        let Some(list) = node.take_sequence("sources")? else {
            return Ok(Vec::new());
        };
        let list = list.into_mappings()?;
        let mut sources = Vec::with_capacity(list.len());
        for (index, (source, found)) in list.into_iter().zip(found).enumerate() {
            sources.push(self.source(index, source, found?)?);
        }
        source::check(&sources)?;
        Ok(sources)
    }

    fn is_junction(&self) -> bool {
        *self.kind == ElementKind::Junction
    }

    fn source(
        &self,
        index: usize,
        mut node: Mapping,
        found: FoundSource,
    ) -> Result<Source, LoadError> {
        let project = self.project;
        let FoundSource { kind, plugin } = found;
        let name = node.required_scalar("kind")?.clone();
        node.remove("kind");
        let directory = node.scalar("directory")?.map(|scalar| scalar.value.clone());
        if directory
            .as_ref()
            .is_some_and(|directory| !directory.is_empty())
        {
            node.remove("directory");
        }
        let provenance = node.take_mapping("provenance")?;
        if let Some(provenance) = &provenance {
            // Only complete projects know which there are.
            if !self.is_junction() {
                check_attributes(project, provenance)?;
            }
            texts(provenance)?;
        }
        let changes = project.source_changes().mapping(kind.name())?;
        let changes = changes
            .map(|changes| changes.mapping("config"))
            .transpose()?;
        let mut config = changes.flatten().cloned().unwrap_or_default();
        node.compose(&mut config)?;
        config.expect_composed()?;
        self.variables.expand(&mut config)?;
        self.reference(index, &kind, &mut config)?;
        let written = WrittenSource {
            plugin,
            config,
            provenance,
        };
        let context = SourceContext {
            files: project.files(),
            aliases: project.aliases(),
            unaliased_is_fatal: project.is_fatal(UNALIASED),
            warn: &|warning| self.warn(warning),
        };
        let SourceKind::Hosted(class) = kind else {
            return Source::load(kind, directory, written, &node.at, &context);
        };
        let what = What::Source(index);
        let questions = &self.maker.questions;
        questions.add(self.place, Question { what, name });
        let hosted = self.hosted_source(class.clone(), index, written.config.clone());
        Ok(Source {
            kind: SourceKind::Hosted(class),
            directory,
            config: SourceConfig::Hosted(Box::new(hosted)),
            written: Some(written),
            at: node.at.clone(),
        })
    }

    fn warn(&self, warning: Warning) {
        self.maker.warnings.add(self.place, warning);
    }

    /// A source of a kind that only its plugin knows, which is still to be asked for it.
    fn hosted_source(
        &self,
        class: Arc<SourceClass>,
        index: usize,
        config: Mapping,
    ) -> HostedSource {
        let project = self.project;
        HostedSource {
            class,
            config,
            element: self.name.clone(),
            element_kind: self.kind.name().into(),
            index,
            project: project.name().clone(),
            project_directory: project.directory().into(),
            fatal_warnings: project.fatal_warnings().into(),
            aliases: BTreeMap::new(),
            facts: SourceFacts::default(),
        }
    }

    /// Puts the reference into a source that is kept in a file of the top-level project's, or of
    /// the source's own project.
    fn reference(
        &self,
        index: usize,
        kind: &SourceKind,
        config: &mut Mapping,
    ) -> Result<(), LoadError> {
        let (project, universe) = (self.project, self.maker.universe);
        let find = |project_of_refs: &Project| {
            let refs = project_of_refs.refs();
            refs.find(project.name(), self.name, index).cloned()
        };
        let top = match self.is_junction() {
            true => universe.first(ProjectId::TOP)?,
            false => universe.full(ProjectId::TOP)?,
        };
        let mut found = None;
        if project.id() != ProjectId::TOP {
            found = find(&top);
        }
        if found.is_none() {
            if !project.refs().are_used() {
                return Ok(());
            }
            let written = kind
                .reference_keys()
                .and_then(|keys| config.get(keys.first()?));
            if let Some(reference) = written {
                self.warn(Warning {
                    at: reference.at().clone(),
                    text: "this reference is ignored: the project keeps references in project.refs"
                        .to_owned(),
                });
            }
            found = find(project);
        }
        let Some(keys) = kind.reference_keys() else {
            // Only its plugin knows which of the keys are its reference; that of most is this.
            if found.is_none() {
                config.remove("ref");
            }
            for (key, value) in found.iter().flat_map(Mapping::iter) {
                config.insert(key.clone(), value.clone());
            }
            return Ok(());
        };
        for key in keys {
            config.remove(key);
            if let Some(value) = found.as_mut().and_then(|found| found.remove(key)) {
                config.insert(*key, value);
            }
        }
        Ok(())
    }
}

/// Checks that a project knows what a source says of its origin.
fn check_attributes(project: &Project, provenance: &Mapping) -> Result<(), LoadError> {
    let known = |name: &str| project.provenance_attributes().any(|it| it == name);
    match provenance.iter().find(|(key, _)| !known(&key.text)) {
        None => Ok(()),
        Some((key, _)) => {
            let suggestion = nearest(&key.text, project.provenance_attributes());
            let problem = Problem::ProvenanceAttribute {
                name: key.text.to_string(),
                suggestion: suggestion.map(str::to_owned),
            };
            Err(LoadError::at(&key.at, problem))
        }
    }
}
