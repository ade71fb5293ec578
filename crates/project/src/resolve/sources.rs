//! From the sources of an element's file to sources: the project's changes laid under them, variables
//! replaced, references put in that are kept elsewhere.

use headstart_yaml::Mapping;

use super::Resolver;
use crate::conf::UNALIASED;
use crate::element::texts;
use crate::error::{LoadError, Problem, Warning};
use crate::kinds::ElementKind;
use crate::project::{Project, ProjectId};
use crate::source::{self, Source, SourceContext, SourceKind};
use crate::variables::Variables;

/// Which source of which element is looked at.
struct SourcePlace<'a> {
    element: &'a str,
    index: usize,
    of_junction: bool,
}

impl Resolver<'_> {
    pub(super) fn sources(
        &mut self,
        project: &Project,
        element: &str,
        node: &Mapping,
        variables: &Variables,
        kind: ElementKind,
    ) -> Result<Vec<Source>, LoadError> {
        let Some(list) = node.sequence("sources")? else {
            return Ok(Vec::new());
        };
        let mut sources = Vec::new();
        for (index, source) in list.mappings()?.into_iter().enumerate() {
            let place = SourcePlace {
                element,
                index,
                of_junction: kind == ElementKind::Junction,
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
        let kind = self.source_kind(project.id(), &name)?;
        node.remove("kind");
        let directory = node.scalar("directory")?.map(|scalar| scalar.value.clone());
        if directory
            .as_ref()
            .is_some_and(|directory| !directory.is_empty())
        {
            node.remove("directory");
        }
        if let Some(provenance) = node.take_mapping("provenance")? {
            // Only complete projects know which there are.
            if !place.of_junction {
                let names: Vec<&str> = project.provenance_attributes().collect();
                provenance.expect_keys(&names)?;
            }
            texts(&provenance)?;
        }
        let changes = project.source_changes().mapping(kind.name())?;
        let changes = changes
            .map(|changes| changes.mapping("config"))
            .transpose()?;
        let mut config = changes.flatten().cloned().unwrap_or_default();
        node.compose(&mut config)?;
        config.expect_composed()?;
        variables.expand(&mut config)?;
        self.reference(project, place, &mut config)?;
        let context = SourceContext {
            files: project.files(),
            aliases: project.aliases(),
            unaliased_is_fatal: project.is_fatal(UNALIASED),
            warnings: &self.warnings,
        };
        Source::load(kind, directory, &config, &node.at, &context)
    }

    /// Puts the reference into a source that is kept in a file of the top-level project's, or of
    /// the source's own project.
    fn reference(
        &self,
        project: &Project,
        place: &SourcePlace<'_>,
        config: &mut Mapping,
    ) -> Result<(), LoadError> {
        let find = |project_of_refs: &Project| {
            let refs = project_of_refs.refs();
            refs.find(project.name(), place.element, place.index)
                .cloned()
        };
        let top = match place.of_junction {
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
            if let Some(reference) = config.get("ref") {
                self.warnings.borrow_mut().push(Warning {
                    at: reference.at().clone(),
                    text: "this reference is ignored: the project keeps references in project.refs"
                        .to_owned(),
                });
            }
            found = find(project);
        }
        config.remove("ref");
        if let Some(reference) = found.and_then(|mut found| found.remove("ref")) {
            config.insert("ref", reference);
        }
        Ok(())
    }
}
