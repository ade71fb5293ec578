//! One element, from its inputs to what it gives.

use std::path::Path;
use std::sync::Arc;

use headstart_execution::{BoxFuture, ExecutionError};
use headstart_merkle::{
    ActionDigest, Directory, DirectoryDigest, DirectoryWriter, Node, Tree, TreeError, TreePath,
};
use headstart_plugins::Hosts;
use headstart_project::{
    Build, Config, Element, ElementGraph, ElementId, Import, PluginError, Public, Script,
};
use headstart_reapi::reapi;
use headstart_store::StoreError;
use thiserror::Error;

use crate::hosted::{BuiltDependency, assemble_hosted};
use crate::prepare::{Prepared, prepare};
use crate::script::Step;
use crate::staging::{StagedArtifact, Staging, Store, is_empty, place_path};
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
    /// What an element has been built to; `None` if it has no artifact. Asked only of elements whose
    /// kinds are plugins, and for those.
    pub built: &'a (dyn Fn(ElementId) -> Option<BuiltDependency> + Send + Sync),
    /// Where trees are kept.
    pub directories: &'a Store,
}

impl Trees<'_> {
    /// What an element makes public: as its plugin has left it, if its kind is one, else as it is
    /// written.
    pub(crate) fn public(&self, id: ElementId) -> Arc<Public> {
        let element = &self.graph[id];
        let changed = match &element.config {
            Config::Hosted(_) | Config::CollectManifest(_) => (self.built)(id),
            _ => None,
        };
        let changed = changed.and_then(|built| Public::from_yaml(&built.public_data).ok());
        changed.map_or_else(|| Arc::clone(&element.public), Arc::new)
    }
}

/// What an element is assembled from.
pub struct Inputs<'a> {
    /// All elements, with the artifacts of its dependencies.
    pub trees: Trees<'a>,
    /// The element.
    pub element: ElementId,
    /// Its sources, staged together.
    pub sources: DirectoryDigest,
    /// What its build root begins with, if that is not its sources: what the last build has left in
    /// an open workspace, with what has been edited since.
    pub begin: Option<DirectoryDigest>,
    /// Who runs its actions.
    pub run: &'a dyn RunAction,
    /// Where its log is written to.
    pub log: &'a Path,
    /// When its sandbox is kept.
    pub keep: KeepSandbox,
    /// Who runs its kind, if that is a plugin.
    pub hosts: &'a Hosts,
}

impl Inputs<'_> {
    pub(crate) fn own(&self) -> &Element {
        &self.trees.graph[self.element]
    }

    pub(crate) fn keeps(&self, verdict: &Verdict) -> bool {
        match self.keep {
            KeepSandbox::Never => false,
            KeepSandbox::Auto => {
                matches!(verdict, Verdict::Failure(_)) || self.own().workspace().is_some()
            }
            KeepSandbox::Always => true,
        }
    }
}

/// When what a sandbox holds at the end of a build is kept: `cache-buildtrees` of BuildStream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KeepSandbox {
    /// Never.
    Never,
    /// When somebody may want to look into it, or to go on from it: when a build failed, and in an
    /// open workspace.
    #[default]
    Auto,
    /// Always.
    Always,
}

/// What a sandbox holds at the end of a build, with all that it takes to go on in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptSandbox {
    /// The build root, if there is one.
    pub build_tree: Option<DirectoryDigest>,
    /// All of it.
    pub root: DirectoryDigest,
    /// The environment of the commands, sorted by name; empty of a kind that runs none.
    pub environment: Vec<(String, String)>,
    /// Where they started.
    pub directory: String,
    /// The directories that they could write to.
    pub marked: Vec<String>,
    /// The trees whose digests they were given.
    pub named_trees: Vec<DirectoryDigest>,
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
    /// What its sandbox held at the end, if that is kept.
    pub kept: Option<KeptSandbox>,
    /// What was noticed and is not fatal, each as one line.
    pub warnings: Vec<String>,
    /// The trees whose digests its commands were given, by the variables that hold them.
    pub named_trees: Vec<(String, DirectoryDigest)>,
    /// Its environment, if it is not what its file gives.
    pub environment: Option<Vec<(String, String)>>,
    /// Its integration commands, if they are not those that its file gives.
    pub integration_commands: Option<Vec<String>>,
    /// What it says is public, as YAML, if something may have changed that.
    pub public_data: Option<String>,
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
    /// Its plugin failed, or can't be run.
    #[error("the element plugin '{kind}' of {origin}: {error}")]
    Plugin {
        /// Its kind.
        kind: String,
        /// Where it comes from.
        origin: String,
        /// How it fails.
        error: Box<PluginError>,
    },
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
    let element = inputs.own();
    match &element.config {
        Config::Hosted(hosted) => return assemble_hosted(inputs, &hosted.dependencies).await,
        // Only its key is made here.
        Config::CollectManifest(_) => return assemble_hosted(inputs, &[]).await,
        _ => {}
    }
    let prepared = prepare(inputs).await?;
    if !prepared.integrated {
        return prepared.failed(inputs, "the integration commands failed");
    }
    match &element.config {
        Config::Stack => prepared.finished(inputs, Some(empty(inputs)?)),
        Config::Import(import) => {
            let files = imported(inputs, import)?;
            prepared.finished(inputs, Some(files))
        }
        Config::Filter(_) => {
            let files = prepared.staging.tree.write(inputs.trees.directories)?;
            prepared.finished(inputs, Some(files))
        }
        Config::Compose(compose) => collect::assemble_compose(inputs, prepared, compose).await,
        Config::Build(build) => assemble_build(inputs, prepared, build).await,
        Config::Script(script) => assemble_script(inputs, prepared, script).await,
        Config::FlatpakImage(image) => flatpak::assemble_image(inputs, prepared, image).await,
        Config::CollectIntegration(collect) => {
            let files = written::integration(inputs, collect)?;
            prepared.finished(inputs, Some(files))
        }
        Config::CollectInitialScripts(collect) => {
            let files = written::initial_scripts(inputs, collect)?;
            prepared.finished(inputs, Some(files))
        }
        Config::CheckForbidden(check) => {
            written::check_forbidden(inputs, check)?;
            prepared.finished(inputs, Some(empty(inputs)?))
        }
        // Assembled by whoever hosts its plugin, above.
        Config::Hosted(_) | Config::CollectManifest(_) => prepared.finished(inputs, None),
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

/// What an import takes of its sources.
fn imported(inputs: &Inputs<'_>, import: &Import) -> Result<DirectoryDigest, AssembleError> {
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
    Ok(output.write(store)?)
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

/// The build root, if it is to be removed after the build: not where it is kept, nor where it holds
/// the install root or lies in it.
fn to_clean<'a>(inputs: &'a Inputs<'_>, install_root: &str) -> Option<&'a str> {
    let build_root = inputs.own().build_root();
    let apart = install_root.is_empty()
        || !(build_root.starts_with(install_root) || install_root.starts_with(build_root));
    let goes = inputs.keep != KeepSandbox::Always && inputs.own().workspace().is_none();
    (apart && goes).then_some(build_root)
}

async fn assemble_build(
    inputs: &Inputs<'_>,
    mut prepared: Prepared<'_>,
    build: &Build,
) -> Result<Assembled, AssembleError> {
    let commands = build_steps(inputs, &mut prepared, build)?;
    let install_root = inputs.own().install_root();
    let clean = to_clean(inputs, install_root);
    if !prepared.run(inputs, &commands, clean, true).await? {
        return prepared.failed(inputs, "Command failed");
    }
    let files = collect::directory(&mut prepared.staging, install_root, inputs)?;
    prepared.finished(inputs, Some(files))
}

/// The commands of a build. In an open workspace those that configure are run once, and a file is
/// left that says so.
fn build_steps(
    inputs: &Inputs<'_>,
    prepared: &mut Prepared<'_>,
    build: &Build,
) -> Result<Vec<Step>, AssembleError> {
    const CONFIGURE: &str = "configure-commands";
    const CONFIGURED: &str = ".bst-prepared";
    let is_workspace = inputs.own().workspace().is_some();
    let mut steps = Vec::new();
    let marker = place_path(&format!("{}/{CONFIGURED}", inputs.own().build_root()))?;
    let store = inputs.trees.directories;
    let configures = build.steps().any(|(step, _)| step == CONFIGURE);
    let is_configured =
        is_workspace && configures && prepared.staging.tree.get(&marker, store)?.is_some();
    let setting = &prepared.setting;
    let of = |wanted: bool| {
        let commands = build
            .steps()
            .filter(move |(step, _)| (*step == CONFIGURE) == wanted);
        commands.map(|(_, command)| setting.command(command))
    };
    if !is_configured {
        steps.extend(of(true));
        steps.extend(is_workspace.then_some(Step::Touch(CONFIGURED)));
    }
    steps.extend(of(false));
    Ok(steps)
}

async fn assemble_script(
    inputs: &Inputs<'_>,
    mut prepared: Prepared<'_>,
    script: &Script,
) -> Result<Assembled, AssembleError> {
    let setting = &prepared.setting;
    let commands = script.commands().map(|command| setting.command(command));
    let commands: Vec<_> = commands.collect();
    let clean = to_clean(inputs, &script.install_root);
    let read_only = script.root_read_only;
    if !prepared.run(inputs, &commands, clean, read_only).await? {
        return prepared.failed(inputs, "Command failed");
    }
    let files = collect::directory(&mut prepared.staging, &script.install_root, inputs)?;
    prepared.finished(inputs, Some(files))
}
