//! A sandbox before an element's own commands: what it holds, and how they will be run.

use headstart_merkle::{DirectoryDigest, Node};
use headstart_project::{
    Build, Config, Element, ElementId, FlatpakImage, Script, StagedDependency,
};

use crate::action::{Invocation, Permissions, apply_outputs, write_action, write_unmarked};
use crate::assembly::{AssembleError, Assembled, Inputs, KeptSandbox, Trees, Verdict, digest_tree};
use crate::script::{BatchCommand, Environment, Step, batch};
use crate::staging::{Staging, effective_integration, integration_commands, place_path};
use crate::{collect, flatpak};

/// How a kind wants its commands to be run.
pub(crate) struct Setting {
    /// Their environment; `None` of kinds that run none of their own.
    pub(crate) environment: Option<Environment>,
    /// Where they start.
    pub(crate) directory: String,
    /// The directories that they may write to.
    pub(crate) marked: Vec<String>,
    /// The trees whose digests they are given, by the variables that hold them.
    pub(crate) named_trees: Vec<(String, DirectoryDigest)>,
}

impl Setting {
    /// That of a kind that sets nothing.
    pub(crate) fn plain() -> Self {
        Self {
            environment: None,
            directory: "/".to_owned(),
            marked: Vec::new(),
            named_trees: Vec::new(),
        }
    }

    fn of(trees: &Trees<'_>, element: &Element) -> Result<Self, AssembleError> {
        Ok(match &element.config {
            Config::Build(build) => Self::of_build(trees, element, build)?,
            Config::Script(script) => Self {
                environment: Some(environment_of(element)),
                directory: script.cwd.to_string(),
                marked: vec![script.install_root.to_string()],
                ..Self::plain()
            },
            Config::FlatpakImage(_) => Self {
                environment: Some(environment_of(element)),
                marked: [FlatpakImage::INPUT, flatpak::INSTALL_ROOT]
                    .map(str::to_owned)
                    .to_vec(),
                ..Self::plain()
            },
            _ => Self::plain(),
        })
    }

    fn of_build(
        trees: &Trees<'_>,
        element: &Element,
        build: &Build,
    ) -> Result<Self, AssembleError> {
        let build_root = element.build_root();
        let mut environment = environment_of(element);
        let mut named_trees = Vec::new();
        for (variable, dependencies) in &build.digest_environment {
            let tree = digest_tree(trees, &elements(dependencies))?;
            environment.insert(variable.to_string(), tree.to_string());
            named_trees.push((variable.to_string(), tree));
        }
        Ok(Self {
            environment: Some(environment),
            directory: match &build.command_subdir {
                Some(below) => format!("{}/{below}", build_root.trim_end_matches('/')),
                None => build_root.to_owned(),
            },
            marked: [build_root, element.install_root()]
                .map(str::to_owned)
                .to_vec(),
            named_trees,
        })
    }

    /// A command of the element, as a shell's.
    pub(crate) fn command(&self, command: &str) -> Step {
        let mut environment = self.environment.clone().unwrap_or_default();
        environment.insert("PWD".to_owned(), self.directory.clone());
        Step::Run(BatchCommand {
            arguments: ["sh", "-c", "-e", &format!("{command}\n")]
                .map(str::to_owned)
                .to_vec(),
            directory: self.directory.clone(),
            environment,
            label: command.to_owned(),
        })
    }
}

/// A sandbox in which an element's commands can be run.
pub(crate) struct Prepared<'a> {
    pub(crate) setting: Setting,
    pub(crate) staging: Staging<'a>,
    pub(crate) warnings: Vec<String>,
    /// Whether the integration commands succeeded.
    pub(crate) integrated: bool,
}

/// Stages what the element's kind wants to be there before its commands: dependencies, integrated,
/// and sources.
pub(crate) async fn prepare<'a>(inputs: &'a Inputs<'_>) -> Result<Prepared<'a>, AssembleError> {
    let element = inputs.own();
    let mut prepared = Prepared {
        setting: Setting::of(&inputs.trees, element)?,
        staging: Staging::new(&inputs.trees),
        warnings: Vec::new(),
        integrated: true,
    };
    let integrated = prepared.stage(inputs, element)?;
    prepared.warnings = prepared.staging.finish_warnings(inputs.element)?;
    prepared.integrated = prepared.integrate(inputs, &integrated).await?;
    let (tree, store) = (&mut prepared.staging.tree, inputs.trees.directories);
    match &element.config {
        Config::Build(_) if prepared.integrated => {
            let begin = inputs.begin.unwrap_or(inputs.sources);
            tree.merge(&place_path(element.build_root())?, begin, store)?;
        }
        Config::Script(script) if prepared.integrated => {
            tree.make_directory(&place_path(&script.install_root)?, store)?;
        }
        _ => {}
    }
    Ok(prepared)
}

/// Stages what an element needs to run, and itself, integrated.
pub(crate) async fn prepare_to_run<'a>(
    inputs: &'a Inputs<'_>,
) -> Result<Prepared<'a>, AssembleError> {
    let mut prepared = Prepared {
        setting: Setting {
            environment: Some(environment_of(inputs.own())),
            ..Setting::plain()
        },
        staging: Staging::new(&inputs.trees),
        warnings: Vec::new(),
        integrated: true,
    };
    prepared.staging.stage(&[inputs.element], "/")?;
    prepared.warnings = prepared.staging.finish_warnings(inputs.element)?;
    prepared.integrated = prepared.integrate(inputs, &[inputs.element]).await?;
    Ok(prepared)
}

/// The artifacts of just these elements laid over each other, on which their integration commands
/// have been run; they must succeed.
pub async fn stage_artifacts(
    inputs: &Inputs<'_>,
    elements: &[ElementId],
) -> Result<DirectoryDigest, AssembleError> {
    let mut prepared = Prepared {
        setting: Setting::plain(),
        staging: Staging::new(&inputs.trees),
        warnings: Vec::new(),
        integrated: true,
    };
    for id in elements {
        prepared.staging.stage_one(*id, "/", None)?;
    }
    prepared.staging.finish_warnings(inputs.element)?;
    if !prepared.integrate_only(inputs, elements.to_vec()).await? {
        let text = format!(
            "the integration commands failed (log: {})",
            inputs.log.display()
        );
        return Err(AssembleError::Element(text));
    }
    write_unmarked(&mut prepared.staging.tree, inputs.trees.directories)
}

impl Prepared<'_> {
    /// Stages dependencies, and gives those whose integration commands are to be run.
    fn stage(
        &mut self,
        inputs: &Inputs<'_>,
        element: &Element,
    ) -> Result<Vec<ElementId>, AssembleError> {
        let staging = &mut self.staging;
        match &element.config {
            Config::Build(Build { layout, .. }) => {
                for (place, dependencies) in layout {
                    staging.stage(&elements(dependencies), place)?;
                }
                Ok(layout.get("/").map_or_else(Vec::new, |it| elements(it)))
            }
            Config::Script(Script { layout, .. }) if layout.is_empty() => {
                staging.stage(&element.build_dependencies, "/")?;
                Ok(element.build_dependencies.clone())
            }
            Config::Script(Script { layout, .. }) => {
                for (place, dependencies) in layout {
                    staging.stage(&elements(dependencies), place)?;
                }
                Ok(layout.get("/").map_or_else(Vec::new, |it| elements(it)))
            }
            Config::Compose(_) => {
                staging.stage(&element.build_dependencies, "/")?;
                Ok(Vec::new())
            }
            Config::Filter(filter) => {
                collect::stage_filtered(inputs, filter, staging)?;
                Ok(Vec::new())
            }
            Config::FlatpakImage(image) => {
                flatpak::stage(inputs, image, staging)?;
                Ok(Vec::new())
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Runs the integration commands of `elements`, and of all that they need to run, as one action
    /// on the whole tree; says whether they succeeded.
    pub(crate) async fn integrate(
        &mut self,
        inputs: &Inputs<'_>,
        elements: &[ElementId],
    ) -> Result<bool, AssembleError> {
        let scope = inputs.trees.graph.run_scope_of(elements);
        self.integrate_only(inputs, scope).await
    }

    /// The same of just these elements.
    async fn integrate_only(
        &mut self,
        inputs: &Inputs<'_>,
        elements: Vec<ElementId>,
    ) -> Result<bool, AssembleError> {
        let commands = integration_commands(&inputs.trees, elements).into_iter();
        let commands: Vec<_> = commands
            .map(|(id, command)| {
                let mut environment = environment_of(&inputs.trees.graph[id]);
                environment.insert("PWD".to_owned(), "/".to_owned());
                Step::Run(BatchCommand {
                    arguments: ["sh", "-e", "-c", &command].map(str::to_owned).to_vec(),
                    directory: "/".to_owned(),
                    environment,
                    label: command,
                })
            })
            .collect();
        self.run(inputs, &commands, None, false).await
    }

    /// Runs steps as one action, after which the directory `clean` is removed; says whether they
    /// succeeded.
    pub(crate) async fn run(
        &mut self,
        inputs: &Inputs<'_>,
        steps: &[Step],
        clean: Option<&str>,
        read_only: bool,
    ) -> Result<bool, AssembleError> {
        let Some(batch) = batch(steps, clean) else {
            return Ok(true);
        };
        let (tree, store) = (&mut self.staging.tree, inputs.trees.directories);
        let invocation = Invocation {
            arguments: ["sh", "-c", "-e", &batch.script]
                .map(str::to_owned)
                .to_vec(),
            directory: &batch.directory,
            environment: &batch.environment,
        };
        let permissions = Permissions {
            marked: &self.setting.marked,
            read_only,
            user: None,
            times: inputs.own().workspace().is_some(),
        };
        let config = &inputs.own().sandbox;
        let action = write_action(tree, &invocation, &permissions, config, store)?;
        let result = inputs.run.run(action, inputs.log).await?;
        apply_outputs(tree, &batch.directory, &result, store)?;
        Ok(result.exit_code == 0)
    }

    /// What came of an element that succeeded; `files` is what it collects.
    pub(crate) fn finished(
        self,
        inputs: &Inputs<'_>,
        files: Option<DirectoryDigest>,
    ) -> Result<Assembled, AssembleError> {
        let own = inputs.own().public.integration_commands.len();
        let effective = effective_integration(&inputs.trees, inputs.element);
        Ok(Assembled {
            integration_commands: (effective.len() != own).then_some(effective),
            ..self.ended(inputs, Verdict::Success(files))?
        })
    }

    /// What came of an element whose commands failed.
    pub(crate) fn failed(
        self,
        inputs: &Inputs<'_>,
        description: &str,
    ) -> Result<Assembled, AssembleError> {
        self.ended(inputs, Verdict::Failure(description.to_owned()))
    }

    fn ended(mut self, inputs: &Inputs<'_>, verdict: Verdict) -> Result<Assembled, AssembleError> {
        let kept = match inputs.keeps(&verdict) {
            true => Some(self.keep(inputs)?),
            false => None,
        };
        Ok(Assembled {
            verdict,
            staged: self.staging.staged,
            sources_at: place_path(inputs.own().build_root())?,
            kept,
            warnings: self.warnings,
            environment: self.setting.named_environment(inputs.own()),
            named_trees: self.setting.named_trees,
            integration_commands: None,
            public_data: None,
        })
    }

    fn keep(&mut self, inputs: &Inputs<'_>) -> Result<KeptSandbox, AssembleError> {
        let (tree, store) = (&mut self.staging.tree, inputs.trees.directories);
        let build_root = place_path(inputs.own().build_root())?;
        let build_tree = match tree.get(&build_root, store)? {
            Some(Node::Directory(digest)) => Some(write_unmarked(
                &mut headstart_merkle::Tree::stored(digest),
                store,
            )?),
            _ => None,
        };
        let environment = self.setting.environment.iter().flatten();
        let mut environment: Vec<(String, String)> = environment
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        environment.sort();
        let named_trees = self.setting.named_trees.iter();
        Ok(KeptSandbox {
            build_tree,
            root: write_unmarked(tree, store)?,
            environment,
            directory: self.setting.directory.clone(),
            marked: self.setting.marked.clone(),
            named_trees: named_trees.map(|(_, tree)| *tree).collect(),
        })
    }
}

impl Setting {
    /// The environment of an element with the digests that its commands were given; none if there are
    /// none.
    fn named_environment(&self, element: &Element) -> Option<Vec<(String, String)>> {
        if self.named_trees.is_empty() {
            return None;
        }
        let is_named = |name: &str| self.named_trees.iter().any(|(named, _)| named == name);
        let own = element.environment.iter();
        let mut environment: Vec<(String, String)> = own
            .filter(|(name, _)| !is_named(name))
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        let named = self.named_trees.iter();
        environment.extend(named.map(|(name, tree)| (name.clone(), tree.to_string())));
        Some(environment)
    }
}

pub(crate) fn environment_of(element: &Element) -> Environment {
    let variables = element.environment.iter();
    variables
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect()
}

pub(crate) fn elements(dependencies: &[StagedDependency]) -> Vec<ElementId> {
    dependencies.iter().map(|it| it.element).collect()
}
