//! From the sources of an element's file to sources: the project's changes laid under them, variables
//! replaced, references put in that are kept elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use headstart_yaml::{Mapping, Scalar};

use super::Resolver;
use super::origin::failed;
use crate::conf::UNALIASED;
use crate::element::texts;
use crate::error::{LoadError, Problem, Warning};
use crate::hosted::{HostedSource, SourceClass, SourceFacts};
use crate::kinds::ElementKind;
use crate::nearest::nearest;
use crate::project::{Project, ProjectId};
use crate::source::{self, Source, SourceConfig, SourceContext, SourceKind, WrittenSource};
use crate::variables::Variables;

/// Which source of which element is looked at.
struct SourcePlace<'a> {
    element: &'a str,
    index: usize,
    element_kind: &'a ElementKind,
}

impl SourcePlace<'_> {
    fn of_junction(&self) -> bool {
        *self.element_kind == ElementKind::Junction
    }
}

impl Resolver<'_> {
    pub(super) fn sources(
        &mut self,
        project: &Project,
        element: &str,
        node: &Mapping,
        variables: &Variables,
        kind: &ElementKind,
    ) -> Result<Vec<Source>, LoadError> {
        let Some(list) = node.sequence("sources")? else {
            return Ok(Vec::new());
        };
        let mut sources = Vec::new();
        for (index, source) in list.mappings()?.into_iter().enumerate() {
            let place = SourcePlace {
                element,
                index,
                element_kind: kind,
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
        if *name.value == *SourceKind::Workspace.name() {
            return Err(LoadError::at(&name.at, Problem::WorkspaceSource));
        }
        let (kind, plugin) = self.source_kind(project.id(), &name)?;
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
            if !place.of_junction() {
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
        variables.expand(&mut config)?;
        self.reference(project, place, &kind, &mut config)?;
        let written = WrittenSource {
            plugin,
            config,
            provenance,
        };
        let context = SourceContext {
            files: project.files(),
            aliases: project.aliases(),
            unaliased_is_fatal: project.is_fatal(UNALIASED),
            warnings: &self.warnings,
        };
        let SourceKind::Hosted(class) = kind else {
            return Source::load(kind, directory, written, &node.at, &context);
        };
        let config = written.config.clone();
        let hosted = self.hosted_source(class.clone(), project, place, config, &name)?;
        Ok(Source {
            kind: SourceKind::Hosted(class),
            directory,
            config: SourceConfig::Hosted(Box::new(hosted)),
            written: Some(written),
            at: node.at.clone(),
        })
    }

    /// A source of a kind that only its plugin knows.
    fn hosted_source(
        &self,
        class: Arc<SourceClass>,
        project: &Project,
        place: &SourcePlace<'_>,
        config: Mapping,
        kind: &Scalar,
    ) -> Result<HostedSource, LoadError> {
        let failed = failed(&class.plugin, kind);
        let host = self.host().map_err(&failed)?;
        let mut hosted = HostedSource {
            class,
            config,
            element: place.element.into(),
            element_kind: place.element_kind.name().into(),
            index: place.index,
            project: project.name().clone(),
            project_directory: project.directory().into(),
            fatal_warnings: project.fatal_warnings().into(),
            aliases: BTreeMap::new(),
            facts: SourceFacts::default(),
        };
        host.source(&mut hosted, project.aliases())
            .map_err(failed)?;
        Ok(hosted)
    }

    /// Puts the reference into a source that is kept in a file of the top-level project's, or of
    /// the source's own project.
    fn reference(
        &self,
        project: &Project,
        place: &SourcePlace<'_>,
        kind: &SourceKind,
        config: &mut Mapping,
    ) -> Result<(), LoadError> {
        let find = |project_of_refs: &Project| {
            let refs = project_of_refs.refs();
            refs.find(project.name(), place.element, place.index)
                .cloned()
        };
        let top = match place.of_junction() {
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
            let written = kind
                .reference_keys()
                .and_then(|keys| config.get(keys.first()?));
            if let Some(reference) = written {
                self.warnings.borrow_mut().push(Warning {
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
