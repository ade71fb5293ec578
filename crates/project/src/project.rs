//! A project's configuration with includes and conditions resolved: its options, variables,
//! defaults and rules.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use headstart_yaml::{Mapping, Scalar};

use crate::aliases::{self, AddressPolicies, AliasInput, Aliases, ParentAliases};
use crate::conf::{self, Conf, RefStorage};
use crate::error::{LoadError, Problem};
use crate::files::Below;
use crate::host::Host;
use crate::loader;
use crate::mirror::MirrorContext;
use crate::options::Options;
use crate::outside::Outside;
use crate::refs::Refs;
use crate::servers::ServerSpec;
use crate::shell::ShellConfig;
use crate::source::Workspace;
use crate::splits::Pattern;

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

/// What projects are loaded with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The machine.
    pub host: Host,
    /// The absolute path of the top-level project, for the variables that aliases may use.
    pub directory: String,
    /// Options of the top-level project from the command line, as name and value.
    pub options: Vec<(String, String)>,
    /// What the user's configuration says of projects (`projects`), by their names.
    pub user: Mapping,
    /// The mirror that the command line prefers.
    pub default_mirror: Option<String>,
    /// Which addresses of aliases the user allows.
    pub addresses: AddressPolicies,
    /// The open workspaces, by the full names of their elements.
    pub workspaces: Arc<HashMap<String, Workspace>>,
}

impl Settings {
    /// Those of a user who sets nothing.
    pub fn new(host: Host, directory: impl Into<String>) -> Self {
        Self {
            host,
            directory: directory.into(),
            options: Vec::new(),
            user: Mapping::default(),
            default_mirror: None,
            addresses: AddressPolicies::default(),
            workspaces: Arc::default(),
        }
    }
}

/// One of the projects that are loaded together; the first is the top-level one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProjectId(pub(crate) u32);

impl ProjectId {
    /// The project that the others are joined to.
    pub const TOP: Self = Self(0);

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A project.
pub struct Project {
    id: ProjectId,
    /// The full name of the junction that it was loaded by.
    junction: Option<Arc<str>>,
    files: Below,
    host: Host,
    conf: Arc<Conf>,
    fatal_warnings: Vec<Arc<str>>,
    options: Arc<Options>,
    aliases: Arc<Aliases>,
    refs: Refs,
    parts: Parts,
}

impl fmt::Debug for Project {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Project({} in {:?})", self.name(), self.directory())
    }
}

/// Mappings of the configuration that every element is laid over.
#[derive(Default)]
struct Parts {
    variables: Mapping,
    environment: Mapping,
    environment_nocache: Vec<Arc<str>>,
    sandbox: Mapping,
    split_rules: Mapping,
    element_changes: Mapping,
    source_changes: Mapping,
    provenance_attributes: Mapping,
    shell: ShellConfig,
    artifact_servers: Vec<ServerSpec>,
    source_servers: Vec<ServerSpec>,
}

/// Which of a project's configurations is made: the first is all that junctions and links see,
/// and must not need other projects; the second is what everything else sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    First,
    Second,
}

/// What a project's configuration is made of.
pub(crate) struct PassInput<'a> {
    pub(crate) pass: Pass,
    pub(crate) id: ProjectId,
    pub(crate) junction: Option<Arc<str>>,
    pub(crate) files: &'a Below,
    pub(crate) conf: &'a Arc<Conf>,
    /// project.conf with its includes resolved.
    pub(crate) included: Mapping,
    /// What the junction sets the project's options to.
    pub(crate) junction_options: Option<&'a Mapping>,
    pub(crate) parent_aliases: Option<ParentAliases>,
    pub(crate) settings: &'a Settings,
    pub(crate) outside: &'a Arc<dyn Outside>,
}

impl Project {
    /// Resolves the conditions of a configuration and reads what is in it.
    pub(crate) fn compose(input: PassInput<'_>) -> Result<Self, LoadError> {
        let PassInput {
            pass,
            conf,
            files,
            settings,
            ..
        } = input;
        let own_attributes = input
            .included
            .mapping("source-provenance-attributes")?
            .cloned();
        let mut config = conf::defaults()?;
        input.included.compose(&mut config)?;
        if pass == Pass::Second {
            conf::expect_keys(&config)?;
            conf::expect_unincluded(&config, &files.path(conf::PROJECT_CONF))?;
        }
        let none = Mapping::default();
        let user = settings.user.mapping(&conf.name)?.unwrap_or(&none);
        let options = load_options(&config, &input, user)?;
        options.process(&mut config, &UNCONDITIONAL)?;
        let element_changes = config.take_mapping("elements")?.unwrap_or_default();
        let source_changes = config.take_mapping("sources")?.unwrap_or_default();
        config.expect_composed()?;
        let variables = base_variables(&mut config, &conf.name, &options, &settings.host)?;
        let absolute = absolute(&settings.directory, files.path(""));
        let aliases = Aliases::load(
            &mut config,
            AliasInput {
                variables: &aliases::variables(&variables, &absolute, &settings.directory)?,
                user,
                default_mirror: settings.default_mirror.as_deref(),
                policies: settings.addresses,
                mirrors: MirrorContext {
                    project: &conf.name,
                    directory: files.directory(),
                    outside: input.outside,
                },
                parent: input.parent_aliases,
            },
        )?;
        let mut parts = Parts {
            variables,
            element_changes,
            source_changes,
            ..Parts::default()
        };
        let mut fatal_warnings = conf.fatal_warnings.clone();
        if pass == Pass::Second {
            parts.artifact_servers = ServerSpec::read_all(&config, "artifacts")?;
            parts.source_servers = ServerSpec::read_all(&config, "source-caches")?;
            parts.read(&mut config, own_attributes)?;
            let is_overlaps = |warning: &Arc<str>| &**warning == "overlaps";
            if let Some(true) = config.boolean("fail-on-overlap")?
                && !fatal_warnings.iter().any(is_overlaps)
            {
                fatal_warnings.push("overlaps".into());
            }
            if let Some(shell) = config.mapping("shell")? {
                parts.shell = ShellConfig::load(shell)?;
            }
        }
        Ok(Self {
            id: input.id,
            junction: input.junction,
            files: files.clone(),
            host: settings.host.clone(),
            conf: conf.clone(),
            fatal_warnings,
            refs: Refs::load(files, conf.ref_storage, pass, &options)?,
            options: Arc::new(options),
            aliases: Arc::new(aliases),
            parts,
        })
    }

    /// The project's place among those that are loaded together.
    pub fn id(&self) -> ProjectId {
        self.id
    }

    /// The project's name.
    pub fn name(&self) -> &Arc<str> {
        &self.conf.name
    }

    /// The full name of the junction that it was loaded by; none for the top-level project.
    pub fn junction(&self) -> Option<&Arc<str>> {
        self.junction.as_ref()
    }

    /// The project's directory, relative to that of the top-level project, for which it is empty.
    pub fn directory(&self) -> &str {
        self.files.directory()
    }

    /// The directory of element files, relative to the project's; empty if it is the same.
    pub fn element_path(&self) -> &str {
        &self.conf.element_path
    }

    /// What is built if nothing is asked for: the project's default targets, else all elements.
    pub fn default_targets(&self) -> Result<Vec<String>, LoadError> {
        if self.conf.default_targets.is_empty() {
            return loader::list_elements(&self.files, self.element_path());
        }
        let targets = self.conf.default_targets.iter();
        Ok(targets.map(|name| name.to_string()).collect())
    }

    /// The names of the elements that a shell pattern stands for, sorted: `*` and `?` stand for
    /// anything in one directory, `**` for anything below it.
    pub fn elements_like(&self, pattern: &str) -> Result<Vec<String>, LoadError> {
        let pattern = Pattern::new(&format!("/{pattern}"));
        let mut names = loader::list_elements(&self.files, self.element_path())?;
        names.retain(|name| pattern.matches(&format!("/{name}")));
        Ok(names)
    }

    /// Whether the references of sources are kept in `project.refs`.
    pub fn keeps_refs_apart(&self) -> bool {
        self.conf.ref_storage == RefStorage::ProjectRefs
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

    /// How shells in sandboxes are started, if this is the top-level project.
    pub fn shell(&self) -> &ShellConfig {
        &self.parts.shell
    }

    /// The servers that the project names for artifacts.
    pub fn artifact_servers(&self) -> &[ServerSpec] {
        &self.parts.artifact_servers
    }

    /// The servers that the project names for sources.
    pub fn source_servers(&self) -> &[ServerSpec] {
        &self.parts.source_servers
    }

    pub(crate) fn files(&self) -> &Below {
        &self.files
    }

    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    pub(crate) fn refs(&self) -> &Refs {
        &self.refs
    }

    pub(crate) fn shared_options(&self) -> Arc<Options> {
        self.options.clone()
    }

    pub(crate) fn shared_aliases(&self) -> Arc<Aliases> {
        self.aliases.clone()
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

    /// The names of what sources may say of where they come from.
    pub fn provenance_attributes(&self) -> impl Iterator<Item = &str> {
        let attributes = self.parts.provenance_attributes.iter();
        attributes.map(|(key, _)| &*key.text)
    }
}

impl Parts {
    /// Takes what only ordinary elements see. What a project says of provenance replaces the
    /// defaults, instead of adding to them.
    fn read(&mut self, config: &mut Mapping, attributes: Option<Mapping>) -> Result<(), LoadError> {
        let mut take = |key| Ok::<_, LoadError>(config.take_mapping(key)?.unwrap_or_default());
        let default_attributes = take("source-provenance-attributes")?;
        self.provenance_attributes = attributes.unwrap_or(default_attributes);
        self.environment = take("environment")?;
        self.sandbox = take("sandbox")?;
        self.split_rules = take("split-rules")?;
        self.environment_nocache = config.strings("environment-nocache")?;
        Ok(())
    }
}

/// The absolute path of a directory that is given relative to the top-level project's.
fn absolute(toplevel: &str, directory: String) -> String {
    if directory.is_empty() {
        toplevel.to_owned()
    } else {
        format!("{}/{directory}", toplevel.trim_end_matches('/'))
    }
}

/// The options with their values: those of the junction, the user and the command line, each
/// winning over those before it.
fn load_options(
    config: &Mapping,
    input: &PassInput<'_>,
    user: &Mapping,
) -> Result<Options, LoadError> {
    let none = Mapping::default();
    let declarations = config.mapping("options")?.unwrap_or(&none);
    let elements = || {
        let names = loader::list_elements(input.files, &input.conf.element_path)?;
        Ok(names.into_iter().map(Arc::from).collect())
    };
    let mut options = Options::load(declarations, &input.settings.host, &elements)?;
    for values in [input.junction_options, user.mapping("options")?] {
        options.set_from(values.unwrap_or(&none))?;
    }
    if input.id == ProjectId::TOP {
        // What other projects declare, the first pass does not see.
        let ignore_unknown = input.pass == Pass::First;
        options.set_from_command_line(&input.settings.options, ignore_unknown)?;
    }
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
