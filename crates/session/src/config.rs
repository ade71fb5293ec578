//! The user's configuration: `buildstream.conf`, as BuildStream reads it, and `headstart.conf`.
//!
//! All keys of BuildStream's are accepted, because the file is shared with it.

mod caches;
mod farm;
mod logging;
mod own;
mod servers;
mod speculation;
mod storage;

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use headstart_remote::RemoteSettings;
use headstart_yaml::{Error as YamlError, Mapping, Scalar};
use thiserror::Error;

use headstart_assemble::KeepSandbox;
use headstart_pipeline::OnError;
use headstart_project::{AddressPolicies, AddressPolicy};

pub use caches::Caches;
pub use farm::FarmConfig;
pub use logging::LoggingConfig;
use own::OwnConfig;
use servers::storage_service;
pub use servers::{InvalidServer, Server, Servers};
pub use speculation::SpeculationConfig;
pub(crate) use speculation::mode_of;
pub use storage::{Amount, StorageConfig};

/// The user's configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct UserConfig {
    /// Where artifacts, sources and logs are kept.
    pub cache_dir: PathBuf,
    /// Where downloads are kept.
    pub source_dir: PathBuf,
    /// Where logs of elements are kept.
    pub log_dir: PathBuf,
    /// How much may be stored.
    pub storage: StorageConfig,
    /// A server that keeps the contents of this machine's cache too.
    pub storage_service: Option<RemoteSettings>,
    /// Where workspaces are opened.
    pub workspace_dir: PathBuf,
    /// Elements fetched at a time.
    pub fetchers: usize,
    /// Elements built at a time.
    pub builders: usize,
    /// Elements pushed at a time.
    pub pushers: usize,
    /// What to do when an element fails.
    pub on_error: OnError,
    /// Jobs that build tools are told to run; `None` for as many as there are processors, up to 8.
    pub max_jobs: Option<u32>,
    /// Whether to build again what failed before.
    pub retry_failed: bool,
    /// When what a sandbox holds at the end of a build is kept with its artifact.
    pub keep_sandboxes: KeepSandbox,
    /// Whether that is brought here with artifacts from servers.
    pub pull_build_trees: bool,
    /// How often fetching sources is tried again when it fails.
    pub network_retries: usize,
    /// What is shown of failures.
    pub logging: LoggingConfig,
    /// Which addresses of aliases sources are fetched from and tracked at.
    pub addresses: AddressPolicies,
    /// Where artifacts are pulled from and pushed to.
    pub artifacts: Caches,
    /// The same for sources.
    pub source_caches: Caches,
    /// Where actions are executed.
    pub farm: Option<FarmConfig>,
    /// What is said of projects, by their names: options, mirrors and more.
    pub projects: Mapping,
    /// What the user's `headstart.conf` says.
    pub speculation: SpeculationConfig,
    /// The Python that has the BuildStream which runs other people's plugins, if the user names one.
    pub python: Option<PathBuf>,
}

/// A configuration that can't be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What it says can't be used.
    #[error(transparent)]
    Content(#[from] YamlError),
    /// There is no place for the cache.
    #[error("no cache directory: set HOME or XDG_CACHE_HOME, or give --cache-dir")]
    NoHome,
}

/// All keys of `buildstream.conf`.
const KEYS: &[&str] = &[
    "artifacts",
    "build",
    "cache",
    "cachedir",
    "fetch",
    "logdir",
    "logging",
    "projects",
    "remote-execution",
    "scheduler",
    "source-caches",
    "sourcedir",
    "track",
    "workspacedir",
];

/// What `buildstream.conf` can say of a project.
const PROJECT_KEYS: &[&str] = &[
    "artifacts",
    "source-caches",
    "options",
    "strict",
    "default-mirror",
    "remote-execution",
    "mirrors",
];

impl UserConfig {
    /// The configuration in `file`, or else in the user's `buildstream2.conf` or
    /// `buildstream.conf`, or else the defaults; and what the user's `headstart.conf` says.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let own = OwnConfig::load()?;
        Ok(Self {
            speculation: own.speculation,
            python: own.python,
            ..Self::load_buildstreams(file)?
        })
    }

    /// Whether builds of a project are strict.
    pub(crate) fn is_strict(&self, project: &str) -> Result<bool, YamlError> {
        let project = self.projects.mapping(project)?;
        let strict = project
            .map(|project| project.boolean("strict"))
            .transpose()?;
        Ok(strict.flatten().unwrap_or(true))
    }

    fn load_buildstreams(file: Option<&Path>) -> Result<Self, ConfigError> {
        let path = match file {
            Some(file) => Some(file.to_owned()),
            None => default_file(),
        };
        let Some(path) = path else {
            return Self::from_mapping(&Mapping::default());
        };
        let text = fs::read_to_string(&path).map_err(|source| ConfigError::Read {
            path: path.clone(),
            source,
        })?;
        let mapping = headstart_yaml::parse(&path.display().to_string(), &text)?;
        Self::from_mapping(&mapping)
    }

    fn from_mapping(mapping: &Mapping) -> Result<Self, ConfigError> {
        mapping.expect_keys(KEYS)?;
        let cache_dir = match mapping.string("cachedir")? {
            Some(path) => expand(path),
            None => base("XDG_CACHE_HOME", ".cache")
                .ok_or(ConfigError::NoHome)?
                .join("buildstream"),
        };
        let below = |key: &str, name: &str| {
            Ok::<_, YamlError>(
                mapping
                    .string(key)?
                    .map_or_else(|| cache_dir.join(name), expand),
            )
        };
        let (source_dir, log_dir) = (below("sourcedir", "sources")?, below("logdir", "logs")?);
        let empty = Mapping::default();
        let scheduler = mapping.mapping("scheduler")?.unwrap_or(&empty);
        let build = mapping.mapping("build")?.unwrap_or(&empty);
        let cache = mapping.mapping("cache")?.unwrap_or(&empty);
        Ok(Self {
            source_dir,
            log_dir,
            storage: StorageConfig::read(cache)?,
            storage_service: storage_service(cache)?,
            workspace_dir: mapping.string("workspacedir")?.map_or(".".into(), expand),
            fetchers: count(scheduler, "fetchers", 10)?,
            builders: count(scheduler, "builders", 4)?,
            pushers: count(scheduler, "pushers", 4)?,
            on_error: scheduler
                .scalar("on-error")?
                .map_or(Ok(OnError::Quit), on_error)?,
            max_jobs: match count(build, "max-jobs", 0)? {
                0 => None,
                jobs => u32::try_from(jobs).ok(),
            },
            retry_failed: build.boolean("retry-failed")?.unwrap_or(false),
            keep_sandboxes: cache
                .scalar("cache-buildtrees")?
                .map_or(Ok(KeepSandbox::Auto), keep_sandbox)?,
            pull_build_trees: cache.boolean("pull-buildtrees")?.unwrap_or(false),
            network_retries: count(scheduler, "network-retries", 2)?,
            logging: LoggingConfig::read(mapping.mapping("logging")?.unwrap_or(&empty))?,
            addresses: AddressPolicies {
                fetch: address_policy(mapping, "fetch")?,
                track: address_policy(mapping, "track")?,
            },
            artifacts: Caches::read(mapping, "artifacts")?,
            source_caches: Caches::read(mapping, "source-caches")?,
            farm: FarmConfig::read(mapping)?,
            projects: projects(mapping)?,
            speculation: SpeculationConfig::default(),
            python: None,
            cache_dir,
        })
    }
}

fn count(mapping: &Mapping, key: &str, default: usize) -> Result<usize, YamlError> {
    let Some(scalar) = mapping.scalar(key)? else {
        return Ok(default);
    };
    usize::try_from(scalar.as_integer()?).map_err(|_| scalar.unlike("a number of zero or more"))
}

fn on_error(scalar: &Scalar) -> Result<OnError, YamlError> {
    match &*scalar.value {
        "continue" => Ok(OnError::Continue),
        "quit" => Ok(OnError::Quit),
        "terminate" => Ok(OnError::Terminate),
        _ => Err(scalar.unlike("'continue', 'quit' or 'terminate'")),
    }
}

fn keep_sandbox(scalar: &Scalar) -> Result<KeepSandbox, YamlError> {
    match &*scalar.value {
        "always" => Ok(KeepSandbox::Always),
        "auto" => Ok(KeepSandbox::Auto),
        "never" => Ok(KeepSandbox::Never),
        _ => Err(scalar.unlike("'always', 'auto' or 'never'")),
    }
}

/// The `source` of `fetch` or `track`.
fn address_policy(mapping: &Mapping, key: &str) -> Result<AddressPolicy, YamlError> {
    let node = mapping.mapping(key)?;
    let Some(policy) = node
        .map(|node| node.scalar("source"))
        .transpose()?
        .flatten()
    else {
        return Ok(AddressPolicy::All);
    };
    match &*policy.value {
        "all" => Ok(AddressPolicy::All),
        "aliases" => Ok(AddressPolicy::Aliases),
        "mirrors" => Ok(AddressPolicy::Mirrors),
        "user" => Ok(AddressPolicy::User),
        _ => Err(policy.unlike("'all', 'aliases', 'mirrors' or 'user'")),
    }
}

fn projects(mapping: &Mapping) -> Result<Mapping, YamlError> {
    let Some(projects) = mapping.mapping("projects")? else {
        return Ok(Mapping::default());
    };
    for (name, _) in projects.iter() {
        if let Some(project) = projects.mapping(&name.text)? {
            project.expect_keys(PROJECT_KEYS)?;
        }
    }
    Ok(projects.clone())
}

fn default_file() -> Option<PathBuf> {
    let folder = base("XDG_CONFIG_HOME", ".config")?;
    ["buildstream2.conf", "buildstream.conf"]
        .into_iter()
        .map(|name| folder.join(name))
        .find(|path| path.is_file())
}

/// A folder of the XDG base directory specification.
fn base(variable: &str, below_home: &str) -> Option<PathBuf> {
    let given = env::var_os(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    given.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(below_home)))
}

/// A path as BuildStream expands it: `~`, `$HOME` and the XDG folders at its beginning.
fn expand(path: &str) -> PathBuf {
    let bases = [
        ("~/", base("HOME", "")),
        ("${XDG_CACHE_HOME}/", base("XDG_CACHE_HOME", ".cache")),
        ("$XDG_CACHE_HOME/", base("XDG_CACHE_HOME", ".cache")),
        ("${HOME}/", base("HOME", "")),
        ("$HOME/", base("HOME", "")),
    ];
    for (prefix, base) in bases {
        if let (Some(rest), Some(base)) = (path.strip_prefix(prefix), base) {
            return base.join(rest);
        }
    }
    PathBuf::from(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<UserConfig, ConfigError> {
        UserConfig::from_mapping(&headstart_yaml::parse("buildstream.conf", text).unwrap())
    }

    #[test]
    fn values_are_read_and_folders_follow_the_cache_directory() {
        let config = load(
            "cachedir: /c\nscheduler: {builders: 2, on-error: continue}\nbuild: {max-jobs: 3}\n\
             workspacedir: /w\nfetch: {source: mirrors}\nprojects: {demo: {options: {recc: 'false'}}}\n",
        )
        .unwrap();
        assert_eq!(config.source_dir, Path::new("/c/sources"));
        assert_eq!(
            (config.builders, config.fetchers, config.max_jobs),
            (2, 10, Some(3))
        );
        assert_eq!(config.on_error, OnError::Continue);
        assert_eq!(config.addresses.fetch, AddressPolicy::Mirrors);
        assert_eq!(config.addresses.track, AddressPolicy::All);
        let demo = config.projects.mapping("demo").unwrap().unwrap();
        let options = demo.mapping("options").unwrap().unwrap();
        assert_eq!(options.string("recc").unwrap(), Some("false"));
    }

    #[test]
    fn nonsense_is_refused_with_its_place() {
        for (text, expected) in [
            (
                "cachedir: /c\nscheduler:\n  builders: many\n",
                "buildstream.conf:3:13",
            ),
            (
                "cachedir: /c\nscheduler:\n  on-error: explode\n",
                "'continue', 'quit' or 'terminate'",
            ),
            ("cachedri: /c\n", "cachedri"),
            (
                "cachedir: /c\ncache: {cache-buildtrees: sometimes}\n",
                "'always', 'auto' or 'never'",
            ),
            (
                "cachedir: /c\nfetch: {source: some}\n",
                "'all', 'aliases', 'mirrors' or 'user'",
            ),
        ] {
            let message = load(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
