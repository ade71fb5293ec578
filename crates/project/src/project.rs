//! project.conf: the project's options, variables, defaults and rules.

use std::sync::Arc;

use headstart_yaml::{Mapping, Provenance, Scalar};

use crate::aliases::{self, Aliases};
use crate::error::{LoadError, Problem};
use crate::files::{FileError, Files};
use crate::graph::ElementGraph;
use crate::host::Host;
use crate::include::Includes;
use crate::loader;
use crate::options::{Options, check_symbol};
use crate::path::{self, Expect};
use crate::plugins::Plugins;
use crate::resolve;

const PROJECT_CONF: &str = "project.conf";
const DEFAULTS: (&str, &str) = (
    "projectconfig.yaml",
    include_str!("../data/projectconfig.yaml"),
);

/// The version of BuildStream whose projects are read.
const VERSION: (u32, u32, &str) = (2, 8, "2.8");

const KEYS: [&str; 25] = [
    "min-version",
    "element-path",
    "variables",
    "environment",
    "environment-nocache",
    "split-rules",
    "elements",
    "plugins",
    "aliases",
    "name",
    "defaults",
    "artifacts",
    "options",
    "fail-on-overlap",
    "shell",
    "fatal-warnings",
    "ref-storage",
    "sandbox",
    "mirrors",
    "sources",
    "source-caches",
    "junctions",
    "source-provenance-attributes",
    "(@)",
    "(?)",
];

/// Keys that are read before includes are.
const ONLY_IN_PROJECT_CONF: [&str; 4] = ["name", "element-path", "min-version", "plugins"];

/// Keys that are read before conditions are.
const UNCONDITIONAL: [&str; 9] = [
    "min-version",
    "name",
    "element-path",
    "junctions",
    "defaults",
    "fatal-warnings",
    "ref-storage",
    "options",
    "plugins",
];

/// What a project is loaded with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The machine.
    pub host: Host,
    /// The absolute path of the project, for the variables that aliases may use.
    pub directory: String,
    /// Options from the command line, as name and value.
    pub options: Vec<(String, String)>,
    /// Options from the user's configuration, `projects: NAME: options`.
    pub user_options: Option<Mapping>,
}

/// A project.
pub struct Project {
    files: Arc<dyn Files>,
    host: Host,
    name: Arc<str>,
    element_path: String,
    default_targets: Vec<Arc<str>>,
    fatal_warnings: Vec<Arc<str>>,
    options: Options,
    plugins: Plugins,
    aliases: Aliases,
    /// The composed configuration, without what has been taken into fields.
    config: Mapping,
    parts: Parts,
}

/// Mappings of the configuration that every element is laid over.
struct Parts {
    variables: Mapping,
    environment: Mapping,
    environment_nocache: Vec<Arc<str>>,
    sandbox: Mapping,
    split_rules: Mapping,
    element_changes: Mapping,
    source_changes: Mapping,
    provenance_attributes: Mapping,
}

impl Project {
    /// Loads project.conf.
    pub fn load(files: Arc<dyn Files>, settings: &Settings) -> Result<Self, LoadError> {
        let text = files.read(PROJECT_CONF).map_err(|error| {
            LoadError::nowhere(match error {
                FileError::NotFound => Problem::NoProject(settings.directory.clone()),
                error => Problem::Read {
                    path: PROJECT_CONF.to_owned(),
                    error,
                },
            })
        })?;
        let defaults = headstart_yaml::parse(DEFAULTS.0, DEFAULTS.1)?;
        let conf = headstart_yaml::parse(PROJECT_CONF, &text)?;
        let mut early = defaults.clone();
        conf.compose(&mut early)?;
        check_version(&conf)?;
        early.expect_keys(&KEYS)?;
        let early = Early::load(&*files, &conf, &early)?;

        let mut included = conf;
        Includes::new(&*files, None).process(&mut included)?;
        let own_attributes = included.mapping("source-provenance-attributes")?.cloned();
        let mut config = defaults;
        included.compose(&mut config)?;
        config.expect_keys(&KEYS)?;
        for key in ONLY_IN_PROJECT_CONF {
            if let Some(at) = config.get(key).map(headstart_yaml::Node::at)
                && !matches!(at.file(), Some(file) if file == PROJECT_CONF || file == DEFAULTS.0)
            {
                return Err(LoadError::at(at, Problem::OnlyInProjectConf(key)));
            }
        }
        let options = load_options(&*files, &config, &early.element_path, settings)?;
        options.process(&mut config, &UNCONDITIONAL)?;
        let element_changes = config.take_mapping("elements")?.unwrap_or_default();
        let source_changes = config.take_mapping("sources")?.unwrap_or_default();
        config.expect_composed()?;
        let variables = base_variables(&mut config, &early.name, &options, &settings.host)?;
        let alias_variables = aliases::variables(&variables, &settings.directory)?;
        let aliases = Aliases::load(&mut config, &alias_variables)?;
        let mut fatal_warnings = early.fatal_warnings;
        if let Some(true) = config.boolean("fail-on-overlap")?
            && !fatal_warnings
                .iter()
                .any(|warning| &**warning == "overlaps")
        {
            fatal_warnings.push("overlaps".into());
        }
        let mut take = |key| Ok::<_, LoadError>(config.take_mapping(key)?.unwrap_or_default());
        let attributes = take("source-provenance-attributes")?;
        let parts = Parts {
            variables,
            environment: take("environment")?,
            sandbox: take("sandbox")?,
            split_rules: take("split-rules")?,
            environment_nocache: config.strings("environment-nocache")?,
            element_changes,
            source_changes,
            // What a project sets replaces the defaults, instead of adding to them.
            provenance_attributes: own_attributes.unwrap_or(attributes),
        };
        if let Some(shell) = config.mapping("shell")? {
            shell.expect_keys(&["command", "environment", "host-files"])?;
        }
        Ok(Self {
            files,
            host: settings.host.clone(),
            name: early.name,
            element_path: early.element_path,
            default_targets: early.default_targets,
            plugins: early.plugins,
            fatal_warnings,
            options,
            aliases,
            config,
            parts,
        })
    }

    /// Loads elements with all that they depend on. Names are relative to the element path.
    pub fn load_elements(&self, targets: &[impl AsRef<str>]) -> Result<ElementGraph, LoadError> {
        let (loaded, targets) = loader::load(self, targets)?;
        resolve::resolve(self, loaded, &targets)
    }

    /// The project's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The directory of element files, relative to the project's; empty if it is the same.
    pub fn element_path(&self) -> &str {
        &self.element_path
    }

    /// What is built if nothing is asked for: the project's default targets, else all elements.
    pub fn default_targets(&self) -> Result<Vec<String>, LoadError> {
        if self.default_targets.is_empty() {
            return loader::list_elements(&*self.files, &self.element_path);
        }
        Ok(self
            .default_targets
            .iter()
            .map(|name| name.to_string())
            .collect())
    }

    /// The options with their values.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The aliases of addresses.
    pub fn aliases(&self) -> &Aliases {
        &self.aliases
    }

    /// The warnings that are errors, as written.
    pub fn fatal_warnings(&self) -> &[Arc<str>] {
        &self.fatal_warnings
    }

    /// Whether a warning of this name is an error.
    pub fn is_fatal(&self, warning: &str) -> bool {
        self.fatal_warnings.iter().any(|fatal| &**fatal == warning)
    }

    /// The command that a shell in an element's sandbox runs.
    pub fn shell_command(&self) -> Result<Vec<Arc<str>>, LoadError> {
        let shell = self.config.mapping("shell")?;
        Ok(shell.map_or_else(|| Ok(Vec::new()), |shell| shell.strings("command"))?)
    }

    /// The servers that the project names for artifacts (`artifacts`) or sources (`source-caches`),
    /// as written.
    pub fn servers(&self, key: &str) -> Result<Vec<Mapping>, LoadError> {
        let servers = self.config.sequence(key)?;
        let servers = servers.map_or_else(|| Ok(Vec::new()), headstart_yaml::Sequence::mappings)?;
        Ok(servers.into_iter().cloned().collect())
    }

    pub(crate) fn files(&self) -> &dyn Files {
        &*self.files
    }

    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    pub(crate) fn shared_name(&self) -> Arc<str> {
        self.name.clone()
    }

    pub(crate) fn element_file(&self, name: &str) -> String {
        match &*self.element_path {
            "" => name.to_owned(),
            directory => format!("{directory}/{name}"),
        }
    }

    pub(crate) fn plugins(&self) -> &Plugins {
        &self.plugins
    }

    pub(crate) fn variables(&self) -> &Mapping {
        &self.parts.variables
    }

    pub(crate) fn environment(&self) -> &Mapping {
        &self.parts.environment
    }

    pub(crate) fn environment_nocache(&self) -> &[Arc<str>] {
        &self.parts.environment_nocache
    }

    pub(crate) fn sandbox(&self) -> &Mapping {
        &self.parts.sandbox
    }

    pub(crate) fn split_rules(&self) -> &Mapping {
        &self.parts.split_rules
    }

    pub(crate) fn element_changes(&self) -> &Mapping {
        &self.parts.element_changes
    }

    pub(crate) fn source_changes(&self) -> &Mapping {
        &self.parts.source_changes
    }

    pub(crate) fn provenance_attributes(&self) -> impl Iterator<Item = &str> {
        self.parts
            .provenance_attributes
            .iter()
            .map(|(key, _)| &*key.text)
    }
}

/// What is read before includes and conditions are.
struct Early {
    name: Arc<str>,
    element_path: String,
    default_targets: Vec<Arc<str>>,
    fatal_warnings: Vec<Arc<str>>,
    plugins: Plugins,
}

impl Early {
    fn load(files: &dyn Files, conf: &Mapping, composed: &Mapping) -> Result<Self, LoadError> {
        let name = conf.required_scalar("name")?;
        check_symbol(&name.value, "name of a project", true, &name.at)?;
        let element_path = composed.required_scalar("element-path")?;
        let defaults = composed.mapping("defaults")?;
        if let Some(defaults) = defaults {
            defaults.expect_keys(&["targets"])?;
        }
        if let Some(junctions) = composed.mapping("junctions")? {
            junctions.expect_keys(&["duplicates", "internal", "disallow-subproject-uris"])?;
        }
        let storage = composed.required_scalar("ref-storage")?;
        match &*storage.value {
            "inline" => {}
            "project.refs" => {
                let problem = Problem::Unsupported("the ref-storage 'project.refs' is".to_owned());
                return Err(LoadError::at(&storage.at, problem));
            }
            _ => return Err(storage.unlike("'inline' or 'project.refs'").into()),
        }
        Ok(Self {
            name: name.value.clone(),
            element_path: path::check(files, element_path, Expect::Directory)?,
            default_targets: defaults
                .map_or_else(|| Ok(Vec::new()), |node| node.strings("targets"))?,
            fatal_warnings: composed.strings("fatal-warnings")?,
            plugins: Plugins::load(composed)?,
        })
    }
}

fn check_version(conf: &Mapping) -> Result<(), LoadError> {
    let wanted = conf.required_scalar("min-version")?;
    let (major, minor) = wanted
        .value
        .split_once('.')
        .and_then(|(major, rest)| {
            let minor = rest.split('.').next().unwrap_or(rest);
            Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
        })
        .ok_or_else(|| wanted.unlike("a version such as '2.0'"))?;
    if major == VERSION.0 && minor <= VERSION.1 {
        return Ok(());
    }
    let problem = Problem::Version {
        wanted: wanted.value.to_string(),
        have: VERSION.2,
    };
    Err(LoadError::at(&wanted.at, problem))
}

fn load_options(
    files: &dyn Files,
    config: &Mapping,
    element_path: &str,
    settings: &Settings,
) -> Result<Options, LoadError> {
    let none = Mapping::new(Provenance::SYNTHETIC);
    let declarations = config.mapping("options")?.unwrap_or(&none);
    let elements = || {
        let names = loader::list_elements(files, element_path)?;
        Ok(names.into_iter().map(Arc::from).collect())
    };
    let mut options = Options::load(declarations, &settings.host, &elements)?;
    if let Some(values) = &settings.user_options {
        options.set_from(values)?;
    }
    options.set_from_command_line(&settings.options)?;
    options.finish(declarations)?;
    Ok(options)
}

/// The project's variables, with those that the program and the options set.
fn base_variables(
    config: &mut Mapping,
    name: &Arc<str>,
    options: &Options,
    host: &Host,
) -> Result<Mapping, LoadError> {
    let mut variables = config.take_mapping("variables")?.unwrap_or_default();
    for (variable, value) in [
        ("project-name", name.to_string()),
        ("max-jobs", host.max_jobs.to_string()),
    ] {
        if let Some(at) = variables.key_at(variable) {
            return Err(LoadError::at(at, Problem::ProtectedVariable(variable)));
        }
        variables.insert(variable, Scalar::synthetic(value));
    }
    options.export(&mut variables);
    Ok(variables)
}
