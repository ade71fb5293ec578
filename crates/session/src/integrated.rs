//! Artifacts laid over each other and integrated: what a checkout that is to be used holds.

use std::collections::HashMap;

use headstart_artifacts::Artifact;
use headstart_assemble::{Inputs, KeepSandbox, Trees, stage_artifacts};
use headstart_daemon::{ParentPlace, nobody_to_tell};
use headstart_execution::CancellationToken;
use headstart_merkle::{Directory, DirectoryDigest};
use headstart_project::{Config, ElementId};

use crate::error::SessionError;
use crate::parent::ParentRunner;
use crate::session::{Loaded, Session};

impl Session {
    /// Whether any of `elements` may have integration commands.
    pub fn is_integrated(&self, loaded: &Loaded, elements: &[ElementId]) -> bool {
        elements.iter().map(|id| &loaded.graph[*id]).any(|element| {
            let is_dynamic = matches!(element.config, Config::Hosted(_) | Config::Filter(_));
            is_dynamic || !element.public.integration_commands.is_empty()
        })
    }

    /// The artifacts of `elements` laid over each other, on which their integration commands have been
    /// run for the element `id`: they must bring a shell for those.
    pub async fn integrated_tree(
        &self,
        loaded: &Loaded,
        elements: &[ElementId],
        id: ElementId,
        cancel: CancellationToken,
    ) -> Result<DirectoryDigest, SessionError> {
        let mut artifacts = HashMap::new();
        for element in elements {
            let cached = self.required_artifact(loaded, *element)?;
            artifacts.insert(*element, cached.artifact().clone());
        }
        let key = self.shown_key(loaded, id)?;
        let log = self.new_log(&loaded.graph, id, &key, "checkout")?;
        let (executor, _) = self.executor()?;
        let run = ParentRunner {
            executor: &executor,
            recorder: nobody_to_tell(),
            allow_cache_update: false,
            place: ParentPlace::Here,
            cancel,
        };
        let files = |id: ElementId| artifacts.get(&id).and_then(Artifact::files);
        let built = |id: ElementId| self.built(artifacts.get(&id)?);
        let inputs = Inputs {
            trees: Trees {
                graph: &loaded.graph,
                artifact: &files,
                built: &built,
                directories: &self.directories,
            },
            element: id,
            sources: Directory::default().digest(),
            begin: None,
            run: &run,
            log: &log,
            keep: KeepSandbox::Never,
            hosts: &self.hosts,
        };
        Ok(stage_artifacts(&inputs, elements).await?)
    }
}
