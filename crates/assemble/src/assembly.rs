//! One element, from its inputs to what it gives.

use std::path::Path;

use headstart_execution::{BoxFuture, ExecutionError};
use headstart_merkle::{
    ActionDigest, Directory, DirectoryDigest, DirectoryWriter, Node, Tree, TreeError, TreePath,
};
use headstart_project::{Build, Config, Element, ElementGraph, ElementId, Import, Script};
use headstart_reapi::reapi;
use headstart_store::StoreError;
use thiserror::Error;

use crate::action::{Writable, apply_outputs, write_action};
use crate::script::{BatchCommand, Environment, batch};
use crate::staging::{StagedArtifact, Staging, Store, integration_commands, is_empty, place_path};
use crate::{collect, flatpak, written};

/// Whoever runs an element's actions.
pub trait RunAction: Send + Sync {
    /// Runs an action to its end; what it says is appended to `log`.
    fn run<'a>(
        &'a self,
        action: ActionDigest,
        log: &'a Path,
    ) -> BoxFuture<'a, Result<reapi::ActionResult, ExecutionError>>;
}

/// The trees of a build.
#[derive(Clone, Copy)]
pub struct Trees<'a> {
    /// All elements.
    pub graph: &'a ElementGraph,
    /// The files of an element's artifact; `None` if it has none.
    pub artifact: &'a (dyn Fn(ElementId) -> Option<DirectoryDigest> + Send + Sync),
    /// Where trees are kept.
    pub directories: &'a Store,
}

/// What an element is assembled from.
pub struct Inputs<'a> {
    /// All elements, with the artifacts of its dependencies.
    pub trees: Trees<'a>,
    /// The element.
    pub element: ElementId,
    /// Its sources, staged together.
    pub sources: DirectoryDigest,
    /// Who runs its actions.
    pub run: &'a dyn RunAction,
    /// Where its log is written to.
    pub log: &'a Path,
}

/// How it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The artifact's files; `None` for a kind that collects nothing.
    Success(Option<DirectoryDigest>),
    /// A command failed.
    Failure(String),
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Assembled {
    /// How it went.
    pub verdict: Verdict,
    /// All artifacts that its sandbox held, in the order in which they were laid over each other.
    pub staged: Vec<StagedArtifact>,
    /// Where its sources were staged.
    pub sources_at: TreePath,
    /// The build root after a failed build.
    pub build_tree: Option<DirectoryDigest>,
    /// What was noticed and is not fatal, each as one line.
    pub warnings: Vec<String>,
    /// The trees whose digests its commands were given, by the variables that hold them.
    pub named_trees: Vec<(String, DirectoryDigest)>,
    /// Its integration commands, if they are not those that its file gives.
    pub integration_commands: Option<Vec<String>>,
}

/// Why an element could not be assembled, other than by its own commands failing.
#[derive(Debug, Error)]
pub enum AssembleError {
    /// Something that its project takes as fatal.
    #[error("[{name}] {text}")]
    FatalWarning {
        /// The warning's name in `fatal-warnings`.
        name: &'static str,
        /// What was noticed.
        text: String,
    },
    /// The element can't be assembled as it is.
    #[error("{0}")]
    Element(String),
    /// An action could not be run.
    #[error(transparent)]
    Execution(#[from] ExecutionError),
    /// Trees could not be put together.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Assembles an element.
pub async fn assemble(inputs: &Inputs<'_>) -> Result<Assembled, AssembleError> {
    let element = &inputs.trees.graph[inputs.element];
    match &element.config {
        Config::Stack => {
            collect::finished(inputs, Staging::new(&inputs.trees), Some(empty(inputs)?))
        }
        Config::Import(import) => assemble_import(inputs, import),
        Config::Filter(filter) => collect::assemble_filter(inputs, filter),
        Config::Compose(compose) => collect::assemble_compose(inputs, compose).await,
        Config::Build(build) => assemble_build(inputs, element, build).await,
        Config::Script(script) => assemble_script(inputs, element, script).await,
        Config::FlatpakImage(image) => flatpak::assemble_image(inputs, element, image).await,
        Config::CollectIntegration(collect) => written::integration(inputs, collect),
        Config::CollectInitialScripts(collect) => written::initial_scripts(inputs, collect),
        Config::CheckForbidden(check) => written::check_forbidden(inputs, check),
        Config::CollectManifest(_) => Err(AssembleError::Element(
            "elements of kind 'collect_manifest' can't be built by this version".to_owned(),
        )),
        Config::Junction(_) => Err(AssembleError::Element(
            "a junction can't be built: build elements of the project behind it".to_owned(),
        )),
    }
}

pub(crate) fn empty(inputs: &Inputs<'_>) -> Result<DirectoryDigest, AssembleError> {
    let encoded = Directory::default().encode();
    let digest = DirectoryDigest::of(&encoded);
    inputs.trees.directories.write_directory(digest, encoded)?;
    Ok(digest)
}

fn assemble_import(inputs: &Inputs<'_>, import: &Import) -> Result<Assembled, AssembleError> {
    let store = inputs.trees.directories;
    let from = place_path(&import.source)?;
    let nothing = || {
        AssembleError::Element(format!(
            "no files were found in the directory {:?}",
            import.source
        ))
    };
    let tree = match Tree::stored(inputs.sources).get(&from, store)? {
        Some(Node::Directory(tree)) => tree,
        _ => return Err(nothing()),
    };
    if is_empty(tree, store)? {
        return Err(nothing());
    }
    let mut output = Tree::empty();
    output.merge(&place_path(&import.target)?, tree, store)?;
    let files = output.write(store)?;
    collect::finished(inputs, Staging::new(&inputs.trees), Some(files))
}

pub(crate) fn environment_of(element: &Element) -> Environment {
    let variables = element.environment.iter();
    variables
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect()
}

/// The tree of the artifacts of `elements`, with all that they need to run, staged at `/`: what a
/// `digest-environment` variable names.
pub fn digest_tree(
    trees: &Trees<'_>,
    elements: &[ElementId],
) -> Result<DirectoryDigest, AssembleError> {
    let mut staging = Staging::new(trees);
    staging.stage(elements, "/")?;
    Ok(staging.tree.write(trees.directories)?)
}

/// The trees whose digests an element wants to be told, by variable.
fn named_trees(
    trees: &Trees<'_>,
    build: &Build,
) -> Result<Vec<(String, DirectoryDigest)>, AssembleError> {
    let each = build
        .digest_environment
        .iter()
        .map(|(variable, dependencies)| {
            let elements: Vec<_> = dependencies
                .iter()
                .map(|dependency| dependency.element)
                .collect();
            Ok((variable.to_string(), digest_tree(trees, &elements)?))
        });
    each.collect()
}

/// Runs the integration commands of `elements` as one action on the whole tree; says whether they
/// succeeded.
pub(crate) async fn integrate(
    inputs: &Inputs<'_>,
    staging: &mut Staging<'_>,
    elements: &[ElementId],
    marked: &[&str],
) -> Result<bool, AssembleError> {
    let commands: Vec<_> = integration_commands(inputs.trees.graph, elements)
        .into_iter()
        .map(|(id, command)| {
            let mut environment = environment_of(&inputs.trees.graph[id]);
            environment.insert("PWD".to_owned(), "/".to_owned());
            BatchCommand {
                arguments: ["sh", "-e", "-c", &command].map(str::to_owned).to_vec(),
                directory: "/".to_owned(),
                environment,
                label: command,
            }
        })
        .collect();
    run_batch(inputs, staging, &commands, None, &Writable::Root, marked).await
}

/// Runs commands as one action; says whether they succeeded.
pub(crate) async fn run_batch(
    inputs: &Inputs<'_>,
    staging: &mut Staging<'_>,
    commands: &[BatchCommand],
    clean: Option<&str>,
    writable: &Writable<'_>,
    marked: &[&str],
) -> Result<bool, AssembleError> {
    let Some(batch) = batch(commands, clean) else {
        return Ok(true);
    };
    let store = inputs.trees.directories;
    let config = &inputs.trees.graph[inputs.element].sandbox;
    let action = write_action(&mut staging.tree, &batch, writable, marked, config, store)?;
    let result = inputs.run.run(action, inputs.log).await?;
    apply_outputs(&mut staging.tree, &batch, &result, store)?;
    Ok(result.exit_code == 0)
}

/// The build root, if it is to be removed after the build: not where it holds the install root or
/// lies in it.
fn to_clean<'a>(build_root: &'a str, install_root: &str) -> Option<&'a str> {
    let apart = install_root.is_empty()
        || !(build_root.starts_with(install_root) || install_root.starts_with(build_root));
    apart.then_some(build_root)
}

async fn assemble_build(
    inputs: &Inputs<'_>,
    element: &Element,
    build: &Build,
) -> Result<Assembled, AssembleError> {
    let (build_root, install_root) = (element.build_root(), element.install_root());
    let marked = [build_root, install_root];
    let directory = match &build.command_subdir {
        Some(below) => format!("{}/{below}", build_root.trim_end_matches('/')),
        None => build_root.to_owned(),
    };
    let mut environment = environment_of(element);
    let named_trees = named_trees(&inputs.trees, build)?;
    environment.extend(
        named_trees
            .iter()
            .map(|(name, tree)| (name.clone(), tree.to_string())),
    );
    environment.insert("PWD".to_owned(), directory.clone());

    let mut staging = Staging::new(&inputs.trees);
    for (place, dependencies) in &build.layout {
        let elements: Vec<_> = dependencies
            .iter()
            .map(|dependency| dependency.element)
            .collect();
        staging.stage(&elements, place)?;
    }
    let warnings = staging.finish_warnings(inputs.element)?;
    if let Some(dependencies) = build.layout.get("/") {
        let elements: Vec<_> = dependencies
            .iter()
            .map(|dependency| dependency.element)
            .collect();
        if !integrate(inputs, &mut staging, &elements, &marked).await? {
            return collect::failed(inputs, staging, "the integration commands failed", warnings);
        }
    }
    let sources_at = place_path(build_root)?;
    staging
        .tree
        .merge(&sources_at, inputs.sources, inputs.trees.directories)?;

    let commands: Vec<_> = build
        .steps()
        .map(|(_, command)| BatchCommand {
            arguments: ["sh", "-c", "-e", &format!("{command}\n")]
                .map(str::to_owned)
                .to_vec(),
            directory: directory.clone(),
            environment: environment.clone(),
            label: command.to_string(),
        })
        .collect();
    let clean = to_clean(build_root, install_root);
    let writable = Writable::Directories(&marked);
    let succeeded = run_batch(inputs, &mut staging, &commands, clean, &writable, &marked).await?;
    if !succeeded {
        return collect::failed(inputs, staging, "Command failed", warnings);
    }
    let files = collect::directory(&mut staging, install_root, inputs)?;
    let mut assembled = collect::finished(inputs, staging, Some(files))?;
    assembled.warnings = warnings;
    assembled.named_trees = named_trees;
    Ok(assembled)
}

async fn assemble_script(
    inputs: &Inputs<'_>,
    element: &Element,
    script: &Script,
) -> Result<Assembled, AssembleError> {
    let marked = [&*script.install_root];
    let mut staging = Staging::new(&inputs.trees);
    let root = if script.layout.is_empty() {
        let elements = element.build_dependencies.clone();
        staging.stage(&elements, "/")?;
        elements
    } else {
        for (place, dependencies) in &script.layout {
            let elements: Vec<_> = dependencies.iter().map(|d| d.element).collect();
            staging.stage(&elements, place)?;
        }
        let root = script.layout.get("/").into_iter().flatten();
        root.map(|dependency| dependency.element).collect()
    };
    let warnings = staging.finish_warnings(inputs.element)?;
    if !integrate(inputs, &mut staging, &root, &marked).await? {
        return collect::failed(inputs, staging, "the integration commands failed", warnings);
    }
    staging
        .tree
        .make_directory(&place_path(&script.install_root)?, inputs.trees.directories)?;
    let mut environment = environment_of(element);
    environment.insert("PWD".to_owned(), script.cwd.to_string());
    let commands: Vec<_> = script
        .commands()
        .map(|command| BatchCommand {
            arguments: ["sh", "-c", "-e", &format!("{command}\n")]
                .map(str::to_owned)
                .to_vec(),
            directory: script.cwd.to_string(),
            environment: environment.clone(),
            label: command.to_string(),
        })
        .collect();
    let writable = if script.root_read_only {
        Writable::Directories(&marked)
    } else {
        Writable::Root
    };
    let clean = to_clean(element.build_root(), &script.install_root);
    if !run_batch(inputs, &mut staging, &commands, clean, &writable, &marked).await? {
        return collect::failed(inputs, staging, "Command failed", warnings);
    }
    let files = collect::directory(&mut staging, &script.install_root, inputs)?;
    let mut assembled = collect::finished(inputs, staging, Some(files))?;
    assembled.warnings = warnings;
    Ok(assembled)
}
