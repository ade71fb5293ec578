//! Elements whose kinds are other people's plugins: whoever hosts those stages and assembles, and has
//! its actions run here.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use headstart_merkle::{Digest, DirectoryDigest, Tree, TreePath};
use headstart_plugins::{Answers as _, Others, Said};
use headstart_project::{Element, ElementId, HostedDependency, PluginError};
use headstart_reapi::Message as _;
use headstart_sources::{StoreAnswers, digest_of_host};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::action::write_unmarked;
use crate::assembly::{AssembleError, Assembled, Inputs, KeepSandbox, KeptSandbox, Verdict};
use crate::staging::{StagedArtifact, place_path};

/// What an element's dependency has been built to.
#[derive(Debug, Clone)]
pub struct BuiltDependency {
    /// The strong key of its artifact.
    pub key: String,
    /// What the artifact says is public, as YAML.
    pub public_data: String,
}

/// What a host says of a build.
#[derive(Deserialize)]
struct Built {
    failure: Option<String>,
    files: Option<String>,
    environment: Vec<(String, String)>,
    public: String,
    kept: Kept,
}

/// What a host says of what is in the sandbox at the end.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Kept {
    build_tree: Option<String>,
    root: String,
    environment: Vec<(String, String)>,
    directory: String,
    marked: Vec<String>,
    subsandboxes: Vec<String>,
}

/// A build by a host.
struct HostedBuild<'a, 'b> {
    inputs: &'a Inputs<'b>,
    dependencies: &'a [HostedDependency],
    staged: Vec<StagedArtifact>,
    sources_at: TreePath,
    warnings: Vec<String>,
}

pub(crate) async fn assemble_hosted(
    inputs: &Inputs<'_>,
    dependencies: &[HostedDependency],
) -> Result<Assembled, AssembleError> {
    let mut build = HostedBuild::new(inputs, dependencies)?;
    let built = build.converse(false).await?;
    build.finish(built)
}

/// The sandbox of an element before its own commands.
pub(crate) async fn stage_hosted(
    inputs: &Inputs<'_>,
    dependencies: &[HostedDependency],
) -> Result<KeptSandbox, AssembleError> {
    let mut build = HostedBuild::new(inputs, dependencies)?;
    let built = build.converse(true).await?;
    build.kept(built.kept)
}

impl<'a, 'b> HostedBuild<'a, 'b> {
    fn new(
        inputs: &'a Inputs<'b>,
        dependencies: &'a [HostedDependency],
    ) -> Result<Self, AssembleError> {
        Ok(Self {
            inputs,
            dependencies,
            staged: Vec::new(),
            sources_at: place_path(inputs.own().build_root())?,
            warnings: Vec::new(),
        })
    }

    fn failed(&self, error: PluginError) -> AssembleError {
        AssembleError::Plugin {
            kind: self.inputs.own().plugin.kind.to_string(),
            origin: self.inputs.own().plugin.origin.to_string(),
            error: Box::new(error),
        }
    }

    fn request(&self, only_stage: bool) -> Value {
        let Inputs { sources, begin, .. } = self.inputs;
        let element = self.inputs.own();
        let hosts = self.inputs.hosts;
        self.with_others(|others| {
            json!({
                "do": "build",
                "only-stage": only_stage,
                "element": hosts.describe().hosted(element, self.dependencies, others),
                "sources": begin.unwrap_or(*sources).to_string(),
                "log": self.inputs.log,
                "workspace": element.workspace().is_some(),
                "keep": match self.inputs.keep {
                    KeepSandbox::Never => "never",
                    KeepSandbox::Auto => "auto",
                    KeepSandbox::Always => "always",
                },
            })
        })
    }

    fn with_others<T>(&self, with: impl FnOnce(&Others<'_>) -> T) -> T {
        let graph = self.inputs.trees.graph;
        with(&Others {
            element: &|id: ElementId| (id.index() < graph.len()).then(|| &graph[id]),
            project: &|element: &Element| {
                graph.project_of(element).map(|project| (&**project).into())
            },
        })
    }

    /// Talks with a host until the element is built, or only its sandbox staged.
    async fn converse(&mut self, only_stage: bool) -> Result<Built, AssembleError> {
        let hosts = self.inputs.hosts;
        let request = self.request(only_stage);
        let conversation = hosts.begin(&request).await;
        let mut conversation = conversation.map_err(|error| self.failed(error))?;
        loop {
            let said = conversation.next().await;
            match said.map_err(|error| self.failed(error))? {
                Said::Done(done) => {
                    let built = serde_json::from_value(done);
                    return built.map_err(|error| self.failed(PluginError::new(error.to_string())));
                }
                Said::Noted(what, told) => self.noted(&what, &told)?,
                Said::Asked(what, asked) => {
                    let answer = match what.as_str() {
                        "run" => Ok(self.run(&asked).await?),
                        "element" => self.dependency(&asked),
                        "alias" => Ok(self.alias(&asked)),
                        _ => {
                            let store = self.inputs.trees.directories;
                            StoreAnswers::new(store).answer(&what, &asked)
                        }
                    };
                    let answered = conversation.answer(answer);
                    answered.map_err(|error| self.failed(error))?;
                }
            }
        }
    }

    /// Runs an action.
    async fn run(&self, asked: &Value) -> Result<Value, AssembleError> {
        let action = self.digest(text(asked, "action"))?;
        let result = self.inputs.run.run(action, self.inputs.log).await?;
        Ok(json!(BASE64_STANDARD.encode(result.encode_to_vec())))
    }

    /// All that a host may want to know of a dependency.
    fn dependency(&self, asked: &Value) -> Result<Value, String> {
        let index = asked.get("index").and_then(Value::as_u64);
        let graph = self.inputs.trees.graph;
        let id = index
            .and_then(|index| u32::try_from(index).ok())
            .map(ElementId)
            .filter(|id| id.index() < graph.len())
            .ok_or("there is no such element")?;
        let hosts = self.inputs.hosts;
        let mut value = self.with_others(|others| hosts.describe().element(&graph[id], others));
        if let Some(built) = (self.inputs.trees.built)(id) {
            let files = (self.inputs.trees.artifact)(id);
            value["artifact"] = json!({
                "key": built.key,
                "public": built.public_data,
                "files": files.map(|files| files.to_string()),
            });
        }
        Ok(value)
    }

    /// What an alias stands for in a project.
    fn alias(&self, asked: &Value) -> Value {
        let mut projects = self.inputs.trees.graph.projects();
        let project = projects.find(|it| it.directory() == text(asked, "project"));
        let found = project.and_then(|it| it.aliases().of_alias(text(asked, "alias")));
        self.inputs.hosts.describe().alias(found.as_ref())
    }

    /// Takes note of what a host tells.
    fn noted(&mut self, what: &str, told: &Value) -> Result<(), AssembleError> {
        match what {
            "warning" => self.warnings.push(text(told, "text").to_owned()),
            "sources-staged" => self.sources_at = place_path(text(told, "at"))?,
            "staged" => {
                let index = told
                    .get("index")
                    .and_then(Value::as_u64)
                    .unwrap_or_default();
                self.staged.push(StagedArtifact {
                    element: ElementId(u32::try_from(index).unwrap_or_default()),
                    tree: self.digest(text(told, "tree"))?,
                    at: place_path(text(told, "at"))?,
                });
            }
            _ => {}
        }
        Ok(())
    }

    fn digest<K>(&self, text: &str) -> Result<Digest<K>, AssembleError> {
        digest_of_host(text).map_err(|error| self.failed(PluginError::new(error)))
    }

    /// A tree of the sandbox without what says how it was used.
    fn plain(&self, text: &str) -> Result<DirectoryDigest, AssembleError> {
        let tree = self.digest(text)?;
        write_unmarked(&mut Tree::stored(tree), self.inputs.trees.directories)
    }

    fn finish(self, built: Built) -> Result<Assembled, AssembleError> {
        let files = built.files.as_deref().map(|files| self.plain(files));
        let verdict = match built.failure {
            Some(failure) => Verdict::Failure(failure),
            None => Verdict::Success(files.transpose()?),
        };
        let kept = self.kept(built.kept)?;
        let named_trees = named(&kept);
        let kept = self.inputs.keeps(&verdict).then_some(kept);
        Ok(Assembled {
            verdict,
            kept,
            staged: self.staged,
            sources_at: self.sources_at,
            warnings: self.warnings,
            named_trees,
            environment: Some(built.environment),
            integration_commands: None,
            public_data: Some(built.public),
        })
    }

    fn kept(&self, kept: Kept) -> Result<KeptSandbox, AssembleError> {
        let build_tree = kept.build_tree.as_deref().map(|tree| self.plain(tree));
        let subsandboxes = kept.subsandboxes.iter();
        Ok(KeptSandbox {
            build_tree: build_tree.transpose()?,
            root: self.plain(&kept.root)?,
            environment: kept.environment,
            directory: kept.directory,
            marked: kept.marked,
            named_trees: subsandboxes
                .map(|tree| self.digest(tree))
                .collect::<Result<_, _>>()?,
        })
    }
}

/// The trees whose digests are in the environment, by the names of the variables.
fn named(kept: &KeptSandbox) -> Vec<(String, DirectoryDigest)> {
    let variables = kept.environment.iter();
    let named = variables.filter_map(|(name, value)| {
        let mut trees = kept.named_trees.iter();
        let tree = trees.find(|tree| tree.to_string() == *value)?;
        Some((name.clone(), *tree))
    });
    named.collect()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}
