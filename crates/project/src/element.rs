//! Elements as the rest of the program sees them: everything resolved, nothing left to look up.

use std::collections::BTreeSet;
use std::sync::Arc;

use headstart_yaml::{Mapping, Node, Provenance, Scalar};
use indexmap::IndexMap;

use crate::error::{LoadError, Problem};
use crate::host::{Host, canonical_arch};
use crate::hosted::PluginId;
use crate::kinds::{Config, ElementKind};
use crate::project::ProjectId;
use crate::source::{Source, SourceConfig, Workspace};
use crate::variables::Variables;

/// The index of an element in its graph. Dependencies have smaller ones than their dependants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ElementId(pub u32);

impl ElementId {
    /// The element at a place in the graph. No graph has more than `u32::MAX` elements.
    pub fn from_index(index: usize) -> Self {
        Self(u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// The index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl From<ElementId> for usize {
    fn from(id: ElementId) -> Self {
        id.index()
    }
}

/// An element.
#[derive(Clone, Debug)]
pub struct Element {
    /// The name of its project.
    pub project: Arc<str>,
    /// Its project among those that are loaded together.
    pub project_id: ProjectId,
    /// Its file below the project's element path: `base/gcc.bst`.
    pub name: Arc<str>,
    /// Its name from the top-level project on, with the junctions on the way.
    pub full_name: Arc<str>,
    /// Its kind.
    pub kind: ElementKind,
    /// Where its project takes that from.
    pub plugin: Arc<PluginId>,
    /// What its kind makes of its `config`.
    pub config: Config,
    /// Its `config` with the defaults of its kind, expanded.
    pub config_data: Mapping,
    /// What it says about itself; may be empty.
    pub description: Arc<str>,
    /// Its file.
    pub at: Provenance,
    /// All its variables.
    pub variables: Variables,
    /// The environment of its commands, in the order in which it is declared.
    pub environment: Arc<IndexMap<Arc<str>, Arc<str>>>,
    /// The names in the environment that don't enter cache keys.
    pub environment_nocache: Arc<BTreeSet<Arc<str>>>,
    /// What it asks of its sandbox.
    pub sandbox: Sandbox,
    /// What it tells its dependants.
    pub public: Arc<Public>,
    /// Its sources in the order they are staged.
    pub sources: Vec<Source>,
    /// What it is built with, in the order in which it is staged.
    pub build_dependencies: Vec<ElementId>,
    /// What it is used with, in the order in which it is staged.
    pub runtime_dependencies: Vec<ElementId>,
    /// Those build dependencies whose changes it is rebuilt for, however strict the build is.
    pub strict_dependencies: Vec<ElementId>,
}

fn normal_name(name: &str) -> String {
    let name = name.replace('/', "-");
    match name.strip_suffix(".bst") {
        Some(stem) => stem.to_owned(),
        None => name,
    }
}

impl Element {
    /// The name that logs and artifact refs use: `/` becomes `-`, `.bst` is dropped.
    pub fn normal_name(&self) -> String {
        normal_name(&self.name)
    }

    /// The same of all names that lead to it from the top-level project, those of junctions first.
    pub fn normal_path(&self) -> Vec<String> {
        self.full_name.split(':').map(normal_name).collect()
    }

    /// The value of a variable.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(|value| &**value)
    }

    /// The directory that sources are staged in, in the sandbox.
    pub fn build_root(&self) -> &str {
        self.variable("build-root").unwrap_or_default()
    }

    /// The directory that becomes the artifact, in the sandbox.
    pub fn install_root(&self) -> &str {
        self.variable("install-root").unwrap_or_default()
    }

    /// Whether a change in the dependency rebuilds this element, however strict the build is.
    pub fn is_strict_about(&self, dependency: ElementId) -> bool {
        self.kind.is_always_strict() || self.strict_dependencies.contains(&dependency)
    }

    /// The open workspace that takes the place of its sources.
    pub fn workspace(&self) -> Option<&Workspace> {
        match &self.sources.first()?.config {
            SourceConfig::Workspace(workspace) => Some(workspace),
            _ => None,
        }
    }

    /// Whether it is known what exactly all its sources are.
    pub fn is_resolved(&self) -> bool {
        self.sources.iter().all(Source::is_resolved)
    }
}

/// What an element asks of its sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    /// The operating system, in lower case.
    pub build_os: Arc<str>,
    /// The canonical name of the machine.
    pub build_arch: &'static str,
    /// The user that commands are run as.
    pub build_uid: Option<i64>,
    /// The group that commands are run as.
    pub build_gid: Option<i64>,
    /// The socket that a REAPI endpoint is offered on.
    pub remote_apis_socket: Option<RemoteApisSocket>,
}

/// A socket in the sandbox that a REAPI endpoint is offered on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteApisSocket {
    /// Its path in the sandbox.
    pub path: Arc<str>,
    /// Whether clients may write to the action cache.
    pub action_cache_enable_update: bool,
}

impl Sandbox {
    pub(crate) fn load(config: &Mapping, host: &Host) -> Result<Self, LoadError> {
        config.expect_keys(&[
            "build-uid",
            "build-gid",
            "build-os",
            "build-arch",
            "remote-apis-socket",
        ])?;
        let set = |key| Ok::<_, LoadError>(config.scalar(key)?.filter(|set| !set.value.is_empty()));
        let build_os = match set("build-os")? {
            Some(os) => os.value.to_lowercase(),
            None => host.system.to_lowercase(),
        };
        let unknown = |name: &str| Problem::UnknownArch(name.to_owned());
        let build_arch = match set("build-arch")? {
            Some(arch) => canonical_arch(&arch.value)
                .ok_or_else(|| LoadError::at(&arch.at, unknown(&arch.value)))?,
            None => host
                .arch()
                .ok_or_else(|| LoadError::nowhere(unknown(&host.machine)))?,
        };
        let remote_apis_socket = config
            .mapping("remote-apis-socket")?
            .map(RemoteApisSocket::load)
            .transpose()?;
        Ok(Self {
            build_os: build_os.into(),
            build_arch,
            build_uid: config.integer("build-uid")?,
            build_gid: config.integer("build-gid")?,
            remote_apis_socket,
        })
    }
}

impl RemoteApisSocket {
    fn load(config: &Mapping) -> Result<Self, LoadError> {
        const UPDATE: &str = "action-cache-enable-update";
        config.expect_keys(&["path", UPDATE])?;
        Ok(Self {
            path: config.required_scalar("path")?.value.clone(),
            action_cache_enable_update: config.boolean(UPDATE)?.unwrap_or(false),
        })
    }
}

/// An element's public data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Public {
    /// All of it, expanded: what keys and artifacts hold.
    pub data: Mapping,
    /// `bst.split-rules`: for each domain the patterns of the paths in it, in order.
    pub split_rules: IndexMap<Arc<str>, Vec<Arc<str>>>,
    /// `bst.integration-commands`: what is run once the element is staged in a sandbox.
    pub integration_commands: Vec<Arc<str>>,
    /// `bst.overlap-whitelist`: patterns of the paths that may hide other elements' files.
    pub overlap_whitelist: Vec<Arc<str>>,
    /// `headstart.speculation`: how much may be speculated on the element at most. A domain of its
    /// own, which BuildStream takes as it takes any other.
    pub speculation: Option<Scalar>,
}

impl Public {
    /// Whether `bst.integration-commands` is there, if only empty.
    pub fn lists_integration_commands(&self) -> bool {
        match self.data.get("bst") {
            Some(Node::Mapping(bst)) => bst.contains("integration-commands"),
            _ => false,
        }
    }

    /// The script that GNOME's and freedesktop-sdk's images run once: `initial-script.script`.
    pub fn initial_script(&self) -> Option<&str> {
        let initial = self.data.mapping("initial-script").ok()??;
        initial.string("script").ok()?
    }

    /// What an artifact says is public, as YAML.
    pub fn from_yaml(text: &str) -> Result<Self, LoadError> {
        Self::load(headstart_yaml::parse("public data", text)?)
    }

    pub(crate) fn load(data: Mapping) -> Result<Self, LoadError> {
        let mut public = Self::default();
        if let Some(bst) = data.mapping("bst")? {
            if let Some(rules) = bst.mapping("split-rules")? {
                for (key, _) in rules.iter() {
                    let patterns = rules.strings(&key.text)?;
                    public.split_rules.insert(key.text.clone(), patterns);
                }
            }
            public.integration_commands = bst.strings("integration-commands")?;
            public.overlap_whitelist = bst.strings("overlap-whitelist")?;
        }
        if let Some(headstart) = data.mapping("headstart")? {
            headstart.expect_keys(&["speculation"])?;
            public.speculation = headstart.scalar("speculation")?.cloned();
        }
        public.data = data;
        Ok(public)
    }
}

/// The texts of a mapping of strings, in order.
pub(crate) fn texts(mapping: &Mapping) -> Result<IndexMap<Arc<str>, Arc<str>>, LoadError> {
    let mut texts = IndexMap::with_capacity(mapping.len());
    for (key, _) in mapping.iter() {
        let Scalar { value, .. } = mapping.required_scalar(&key.text)?;
        texts.insert(key.text.clone(), value.clone());
    }
    Ok(texts)
}
