//! The user's configuration: `buildstream.conf`, as BuildStream reads it, and `headstart.conf`.
//!
//! All keys of BuildStream's are accepted, because the file is shared with it.

mod caches;
mod defaults;
mod directories;
mod farm;
mod logging;
mod own;
mod servers;
mod speculation;
mod storage;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use headstart_remote::RemoteSettings;
use headstart_yaml::{Error as YamlError, Mapping, Scalar};
use thiserror::Error;

use headstart_assemble::KeepSandbox;
use headstart_pipeline::OnError;
use headstart_project::{AddressPolicies, AddressPolicy};

use crate::build::BuildScope;

pub use caches::Caches;
pub use directories::xdg_folder;
use directories::{default_file, directory, expand};
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
    /// Which dependencies of the targets are built too, unless the command line says it.
    pub build_scope: BuildScope,
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

const SCHEDULER_KEYS: &[&str] = &[
    "on-error",
    "fetchers",
    "builders",
    "pushers",
    "network-retries",
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
            return Ok(Self::from_mapping(&Mapping::default())?);
        };
        let text = fs::read_to_string(&path).map_err(|source| ConfigError::Read {
            path: path.clone(),
            source,
        })?;
        let mapping = headstart_yaml::parse(&path.display().to_string(), &text)?;
        Ok(Self::from_mapping(&mapping)?)
    }

    /// Has the farm that the user wants for a project in place of that for all, if there is one.
    pub(crate) fn with_farm_of(mut self, project: &str) -> Result<Self, YamlError> {
        let none = Mapping::default();
        let project = self.projects.mapping(project)?.unwrap_or(&none);
        if let Some(section) = project.mapping("remote-execution")? {
            self.farm = Some(FarmConfig::read(section, self.storage_service.as_ref())?);
        }
        Ok(self)
    }

    fn from_mapping(user: &Mapping) -> Result<Self, YamlError> {
        let all = defaults::below(user)?;
        all.expect_keys(KEYS)?;
        let section = |key: &str| all.mapping(key)?.ok_or_else(|| all.missing(key));
        let (scheduler, build, cache) =
            (section("scheduler")?, section("build")?, section("cache")?);
        scheduler.expect_keys(SCHEDULER_KEYS)?;
        build.expect_keys(&["max-jobs", "retry-failed", "dependencies"])?;
        let storage_service = storage_service(cache)?;
        let farm = all.mapping("remote-execution")?;
        let farm = farm.map(|farm| FarmConfig::read(farm, storage_service.as_ref()));
        Ok(Self {
            cache_dir: directory(&all, "cachedir")?,
            source_dir: directory(&all, "sourcedir")?,
            log_dir: directory(&all, "logdir")?,
            workspace_dir: directory(&all, "workspacedir")?,
            storage: StorageConfig::read(cache)?,
            storage_service,
            fetchers: count(scheduler, "fetchers")?,
            builders: count(scheduler, "builders")?,
            pushers: count(scheduler, "pushers")?,
            on_error: on_error(scheduler.required_scalar("on-error")?)?,
            max_jobs: match count(build, "max-jobs")? {
                0 => None,
                jobs => u32::try_from(jobs).ok(),
            },
            retry_failed: boolean(build, "retry-failed")?,
            build_scope: build_scope(build.required_scalar("dependencies")?)?,
            keep_sandboxes: keep_sandbox(cache.required_scalar("cache-buildtrees")?)?,
            pull_build_trees: boolean(cache, "pull-buildtrees")?,
            network_retries: count(scheduler, "network-retries")?,
            logging: LoggingConfig::read(section("logging")?)?,
            addresses: AddressPolicies {
                fetch: address_policy(section("fetch")?)?,
                track: address_policy(section("track")?)?,
            },
            artifacts: Caches::read(&all, "artifacts")?,
            source_caches: Caches::read(&all, "source-caches")?,
            farm: farm.transpose()?,
            projects: projects(&all)?,
            speculation: SpeculationConfig::default(),
            python: None,
        })
    }
}

fn count(mapping: &Mapping, key: &str) -> Result<usize, YamlError> {
    let scalar = mapping.required_scalar(key)?;
    usize::try_from(scalar.as_integer()?).map_err(|_| scalar.unlike("a number of zero or more"))
}

fn boolean(mapping: &Mapping, key: &str) -> Result<bool, YamlError> {
    mapping.required_scalar(key)?.as_bool()
}

fn build_scope(scalar: &Scalar) -> Result<BuildScope, YamlError> {
    match &*scalar.value {
        "none" => Ok(BuildScope::None),
        "run" => Ok(BuildScope::Run),
        "all" => Ok(BuildScope::All),
        _ => Err(scalar.unlike("'none', 'run' or 'all'")),
    }
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
fn address_policy(section: &Mapping) -> Result<AddressPolicy, YamlError> {
    section.expect_keys(&["source"])?;
    let policy = section.required_scalar("source")?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<UserConfig, YamlError> {
        UserConfig::from_mapping(&headstart_yaml::parse("buildstream.conf", text).unwrap())
    }

    #[test]
    fn values_are_read_and_the_rest_is_as_in_buildstream() {
        let config = load(
            "cachedir: /c\nscheduler: {builders: 2, on-error: continue}\nbuild: {max-jobs: 3}\n\
             workspacedir: /w\nfetch: {source: mirrors}\nprojects: {demo: {options: {recc: 'false'}}}\n",
        )
        .unwrap();
        assert_eq!(config.cache_dir, Path::new("/c"));
        let cache = match std::env::var_os("XDG_CACHE_HOME") {
            Some(folder) => PathBuf::from(folder),
            None => PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"),
        };
        assert_eq!(config.source_dir, cache.join("buildstream/sources"));
        assert_eq!(
            (config.builders, config.fetchers, config.max_jobs),
            (2, 10, Some(3))
        );
        assert_eq!(config.on_error, OnError::Continue);
        assert_eq!(config.addresses.fetch, AddressPolicy::Mirrors);
        assert_eq!(config.addresses.track, AddressPolicy::Aliases);
        assert_eq!(config.build_scope, BuildScope::Run);
        let demo = config.projects.mapping("demo").unwrap().unwrap();
        let options = demo.mapping("options").unwrap().unwrap();
        assert_eq!(options.string("recc").unwrap(), Some("false"));
    }

    #[test]
    fn a_project_may_have_a_farm_of_its_own() {
        let text = "remote-execution: {execution-service: {url: 'http://all'}, storage-service: {url: 'http://s'}}\n\
                    projects: {demo: {remote-execution: {execution-service: {url: 'http://demo'}, \
                    storage-service: {url: 'http://s'}}}, broken: {remote-execution: {}}}\n";
        let farm_of = |project: &str| {
            let config = load(text).unwrap().with_farm_of(project)?;
            Ok::<_, YamlError>(config.farm.unwrap().execution.unwrap().url)
        };
        assert_eq!(farm_of("demo").unwrap(), "http://demo");
        assert_eq!(farm_of("other").unwrap(), "http://all");
        assert!(farm_of("broken").is_err());
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
