//! What project.conf itself says, before its includes and conditions are resolved: what the project
//! is called, where its elements are, and how it deals with other projects.

use std::collections::BTreeMap;
use std::sync::Arc;

use headstart_yaml::{Mapping, Node, Scalar};
use indexmap::IndexMap;

use crate::error::{LoadError, Problem};
use crate::files::{FileError, Files};
use crate::options::check_symbol;
use crate::path::{self, Expect};

/// The file that makes a directory a project.
pub(crate) const PROJECT_CONF: &str = "project.conf";

/// BuildStream's own defaults of a project: the name of the file there, and ours.
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

/// Where the references of sources are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefStorage {
    /// With the sources, in element files.
    Inline,
    /// In `project.refs`, and those of junctions in `junction.refs`.
    ProjectRefs,
}

/// What is read of project.conf before anything else is.
#[derive(Debug)]
pub(crate) struct Conf {
    /// The mapping as it is written.
    pub(crate) written: Mapping,
    pub(crate) name: Arc<str>,
    /// Relative to the project's directory.
    pub(crate) element_path: String,
    pub(crate) default_targets: Vec<Arc<str>>,
    pub(crate) fatal_warnings: Vec<Arc<str>>,
    pub(crate) ref_storage: RefStorage,
    /// For each name of a project the junctions that it may be loaded by several times.
    pub(crate) duplicates: IndexMap<Arc<str>, Vec<Scalar>>,
    /// Junctions to projects that nobody else sees.
    pub(crate) internal: Vec<Scalar>,
    pub(crate) disallow_subproject_uris: bool,
}

impl Conf {
    /// Reads project.conf. `directory` is what errors call the project's directory.
    pub(crate) fn load(files: &dyn Files, file: &str, directory: &str) -> Result<Self, LoadError> {
        let text = files.read(PROJECT_CONF).map_err(|error| {
            LoadError::nowhere(match error {
                FileError::NotFound => Problem::NoProject(directory.to_owned()),
                error => Problem::Read {
                    path: file.to_owned(),
                    error,
                },
            })
        })?;
        let written = headstart_yaml::parse(file, &text)?;
        let mut composed = defaults()?;
        written.compose(&mut composed)?;
        check_version(&written)?;
        expect_keys(&composed)?;
        Self::read(files, written, &composed)
    }

    fn read(files: &dyn Files, written: Mapping, composed: &Mapping) -> Result<Self, LoadError> {
        let name = written.required_scalar("name")?;
        check_symbol(&name.value, "name of a project", true, &name.at)?;
        let element_path = composed.required_scalar("element-path")?;
        let targets = composed.mapping("defaults")?;
        if let Some(targets) = targets {
            targets.expect_keys(&["targets"])?;
        }
        let none = Mapping::default();
        let junctions = composed.mapping("junctions")?.unwrap_or(&none);
        junctions.expect_keys(&["duplicates", "internal", "disallow-subproject-uris"])?;
        let mut duplicates = IndexMap::new();
        if let Some(node) = junctions.mapping("duplicates")? {
            for (key, _) in node.iter() {
                let paths = scalars(node, &key.text)?;
                duplicates.insert(key.text.clone(), paths);
            }
        }
        let storage = composed.required_scalar("ref-storage")?;
        Ok(Self {
            name: name.value.clone(),
            element_path: path::check(files, element_path, Expect::Directory)?,
            default_targets: targets
                .map_or_else(|| Ok(Vec::new()), |node| node.strings("targets"))?,
            fatal_warnings: composed.strings("fatal-warnings")?,
            ref_storage: match &*storage.value {
                "inline" => RefStorage::Inline,
                "project.refs" => RefStorage::ProjectRefs,
                _ => return Err(storage.unlike("'inline' or 'project.refs'").into()),
            },
            duplicates,
            internal: scalars(junctions, "internal")?,
            disallow_subproject_uris: junctions
                .boolean("disallow-subproject-uris")?
                .unwrap_or(false),
            written,
        })
    }

    /// Obeys a parent that does not allow its subprojects addresses of their own.
    pub(crate) fn disallow_own_addresses(&mut self) {
        self.disallow_subproject_uris = true;
        if !self.fatal_warnings.iter().any(|it| &**it == UNALIASED) {
            self.fatal_warnings.push(UNALIASED.into());
        }
    }
}

/// The warning about addresses without an alias.
pub(crate) const UNALIASED: &str = "unaliased-url";

/// What a project begins with.
pub(crate) fn defaults() -> Result<Mapping, LoadError> {
    Ok(headstart_yaml::parse(DEFAULTS.0, DEFAULTS.1)?)
}

/// The environment that elements of every project begin with.
///
/// # Errors
/// None: it is a text of this program's own.
pub fn default_environment() -> Result<BTreeMap<String, String>, LoadError> {
    let defaults = defaults()?;
    let mut environment = BTreeMap::new();
    if let Some(mapping) = defaults.mapping("environment")? {
        for (key, _) in mapping.iter() {
            let value = mapping.required_scalar(&key.text)?;
            environment.insert(key.text.to_string(), value.value.to_string());
        }
    }
    Ok(environment)
}

/// Checks that a composed configuration has no keys but those of project.conf.
pub(crate) fn expect_keys(config: &Mapping) -> Result<(), LoadError> {
    Ok(config.expect_keys(&KEYS)?)
}

/// Checks that no included file sets what must stand in project.conf itself, `file`.
pub(crate) fn expect_unincluded(config: &Mapping, file: &str) -> Result<(), LoadError> {
    for key in ONLY_IN_PROJECT_CONF {
        if let Some(at) = config.get(key).map(Node::at)
            && !matches!(at.file(), Some(name) if name == file || name == DEFAULTS.0)
        {
            return Err(LoadError::at(at, Problem::OnlyInProjectConf(key)));
        }
    }
    Ok(())
}

fn scalars(node: &Mapping, key: &str) -> Result<Vec<Scalar>, LoadError> {
    let Some(list) = node.sequence(key)? else {
        return Ok(Vec::new());
    };
    Ok(list.scalars()?.into_iter().cloned().collect())
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
