//! Sandboxes for people to work in: as an element is built, as it is used, or as a build left it.

use headstart_merkle::{ActionDigest, Digest, Tree};
use headstart_project::{Config, Element};
use headstart_reapi::buildstream::Artifact;

use crate::action::{Invocation, Permissions, write_action};
use crate::assembly::{AssembleError, Inputs};
use crate::hosted::stage_hosted;
use crate::prepare::{Prepared, environment_of, prepare, prepare_to_run};
use crate::script::Environment;
use crate::staging::Store;

/// A sandbox for somebody to work in.
#[derive(Debug)]
pub struct ShellSandbox {
    tree: Tree,
    environment: Environment,
    directory: String,
    marked: Vec<String>,
}

impl ShellSandbox {
    /// As the element's commands find it: what it is built with, integrated, and its sources.
    pub async fn to_build(inputs: &Inputs<'_>) -> Result<Self, AssembleError> {
        let Config::Hosted(hosted) = &inputs.own().config else {
            return Self::of(prepare(inputs).await?, inputs.own());
        };
        let staged = stage_hosted(inputs, &hosted.dependencies).await?;
        Ok(Self {
            tree: Tree::stored(staged.root),
            environment: staged.environment.into_iter().collect(),
            directory: staged.directory,
            marked: staged.marked,
        })
    }

    /// With what the element needs to run, and itself, integrated.
    pub async fn to_run(inputs: &Inputs<'_>) -> Result<Self, AssembleError> {
        Self::of(prepare_to_run(inputs).await?, inputs.own())
    }

    fn of(prepared: Prepared<'_>, element: &Element) -> Result<Self, AssembleError> {
        if !prepared.integrated {
            let text = "the integration commands failed".to_owned();
            return Err(AssembleError::Element(text));
        }
        let setting = prepared.setting;
        Ok(Self {
            tree: prepared.staging.tree,
            environment: setting
                .environment
                .unwrap_or_else(|| environment_of(element)),
            directory: setting.directory,
            marked: setting.marked,
        })
    }

    /// As a build left it; `None` if that was not kept.
    pub fn left(artifact: &Artifact, element: &Element) -> Option<Self> {
        let root = Digest::required(artifact.buildroot.as_ref()).ok()?;
        let state = artifact.buildsandbox.clone().unwrap_or_default();
        let environment = state.environment.into_iter();
        let environment: Environment = environment.map(|it| (it.name, it.value)).collect();
        Some(Self {
            tree: Tree::stored(root),
            environment: match environment.is_empty() {
                true => environment_of(element),
                false => environment,
            },
            directory: match state.working_directory.is_empty() {
                true => "/".to_owned(),
                false => state.working_directory,
            },
            marked: state.marked_directories,
        })
    }

    /// Sets a variable of the environment.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    /// The action that runs a command here, and may write only where the element's could. With
    /// `user`, a user and a group, it is theirs and has the network.
    pub fn action(
        mut self,
        command: Vec<String>,
        user: Option<(u32, u32)>,
        element: &Element,
        store: &Store,
    ) -> Result<ActionDigest, AssembleError> {
        let invocation = Invocation {
            arguments: command,
            directory: &self.directory,
            environment: &self.environment,
        };
        let permissions = Permissions {
            marked: &self.marked,
            read_only: true,
            user,
            times: false,
        };
        write_action(
            &mut self.tree,
            &invocation,
            &permissions,
            &element.sandbox,
            store,
        )
    }
}
