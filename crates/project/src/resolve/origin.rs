//! Where a project takes a kind from, and so what that kind is.
//!
//! Kinds are built in, but their defaults belong to the plugin that the project has: it may be of
//! another version. So they are read from there where it can be found: in the project, in one that
//! it is joined to, or where the package is installed. A plugin whose code is not known to be that
//! of the built-in kind is told of, since keys may differ then.

use std::sync::Arc;

use headstart_yaml::Scalar;
use sha2::{Digest as _, Sha256};

use super::Resolver;
use crate::error::{LoadError, Problem, Warning};
use crate::files::{FileError, Files as _};
use crate::junctions::Follow;
use crate::kinds::{ElementKind, Home};
use crate::nearest::nearest;
use crate::plugins::{Origin, PluginType};
use crate::project::ProjectId;
use crate::source::SourceKind;

/// Beginnings of the SHA-256 of plugins' code that makes the keys that the built-in kinds make: of
/// the package buildstream-plugins-community 2.0 to 2.4, and of GNOME's project.
const KNOWN: [(&str, &[&str]); 6] = [
    (
        "collect_manifest",
        &[
            "bceb2cfa5af682a1",
            "3291f763e7c379b1",
            "e15c6367ce5a580d",
            "ffbe461945fdd866",
        ],
    ),
    (
        "collect_integration",
        &["3bc25fe5bf8259d2", "16d869a18fe6642f", "a3a23cfbbbd6fdda"],
    ),
    (
        "flatpak_image",
        &["4f38a82f5138df73", "6f9231f066d7408e", "b45304d43194dfcc"],
    ),
    (
        "flatpak_repo",
        &["97d74c47e6220965", "ff405ad6b7dad1bb", "05276df0291385fb"],
    ),
    ("check_forbidden", &["7ae72a59e9f77bfe"]),
    ("collect_initial_scripts", &["502af4843e7f46f7"]),
];

/// What the elements of a kind begin with, as the text of a YAML file.
#[derive(Clone, Debug)]
pub(super) struct KindDefaults {
    /// What errors call the file.
    pub(super) name: Arc<str>,
    pub(super) text: Arc<str>,
}

/// Where a kind comes from.
enum Found {
    /// BuildStream itself.
    Core,
    /// A package, by its name.
    Package(Arc<str>),
    /// A directory of a project.
    Directory { project: ProjectId, path: Arc<str> },
}

impl Resolver<'_> {
    /// The kind of elements that a name means in a project, with its defaults.
    pub(super) fn element_kind(
        &mut self,
        project: ProjectId,
        name: &Scalar,
    ) -> Result<(ElementKind, KindDefaults), LoadError> {
        let key = (project, name.value.clone());
        if let Some(known) = self.kinds.get(&key) {
            return Ok(known.clone());
        }
        let found = self.find(project, PluginType::Element, &name.value)?;
        let kind = ElementKind::from_name(&name.value);
        let home = kind.map(ElementKind::home);
        check(PluginType::Element, name, &found, home)?;
        let Some(kind) = kind else {
            let suggestion = nearest(&name.value, ElementKind::names());
            return Err(unknown(PluginType::Element, name, suggestion));
        };
        let defaults = self.kind_defaults(kind, name, &found)?;
        self.kinds.insert(key, (kind, defaults.clone()));
        Ok((kind, defaults))
    }

    /// The kind of sources that a name means in a project.
    pub(super) fn source_kind(
        &mut self,
        project: ProjectId,
        name: &Scalar,
    ) -> Result<SourceKind, LoadError> {
        let key = (project, name.value.clone());
        if let Some(&known) = self.source_kinds.get(&key) {
            return Ok(known);
        }
        let found = self.find(project, PluginType::Source, &name.value)?;
        let kind = SourceKind::from_name(&name.value);
        let home = kind.map(|kind| kind.package().map_or(Home::Core, Home::Package));
        check(PluginType::Source, name, &found, home)?;
        let Some(kind) = kind else {
            let suggestion = nearest(&name.value, SourceKind::names());
            return Err(unknown(PluginType::Source, name, suggestion));
        };
        self.source_kinds.insert(key, kind);
        Ok(kind)
    }

    /// Where a kind comes from in the end, however many projects hand it on.
    fn find(
        &mut self,
        mut project: ProjectId,
        plugin_type: PluginType,
        kind: &str,
    ) -> Result<Found, LoadError> {
        loop {
            let origin = self.universe[project].plugins.origin(plugin_type, kind);
            match origin.cloned() {
                None => return Ok(Found::Core),
                Some(Origin::Package(package)) => return Ok(Found::Package(package)),
                Some(Origin::Local(path)) => return Ok(Found::Directory { project, path }),
                Some(Origin::Junction { path, at }) => {
                    let universe = &mut *self.universe;
                    let found = universe.follow(project, &path, Some(&at), Follow::Loading)?;
                    project = found.unwrap_or(project);
                    let plugins = &universe[project].plugins;
                    if plugins.origin(plugin_type, kind).is_none() {
                        let problem = Problem::NoJunctionPlugin {
                            what: plugin_type.name(),
                            kind: kind.to_owned(),
                            project: universe[project].conf.name.to_string(),
                            junction: path.to_string(),
                        };
                        return Err(LoadError::at(&at, problem));
                    }
                }
            }
        }
    }

    /// The defaults of a kind, from where the project has its plugin.
    fn kind_defaults(
        &self,
        kind: ElementKind,
        name: &Scalar,
        found: &Found,
    ) -> Result<KindDefaults, LoadError> {
        let built_in = || KindDefaults {
            name: format!("{kind}.yaml").into(),
            text: kind.defaults().into(),
        };
        match found {
            Found::Core => Ok(built_in()),
            Found::Package(package) => {
                let read = |ending| {
                    let file = format!("elements/{kind}.{ending}");
                    self.universe.outside.package_file(package, &file)
                };
                let Some(code) = read("py") else {
                    return Ok(built_in());
                };
                self.expect_known(kind, name, package, &code);
                Ok(KindDefaults {
                    name: format!("{package}/{kind}.yaml").into(),
                    text: read("yaml").unwrap_or_default().into(),
                })
            }
            Found::Directory { project, path } => {
                let files = &self.universe[*project].files;
                let read = |ending| {
                    let file = format!("{path}/{kind}.{ending}");
                    match files.read(&file) {
                        Ok(text) => Ok(text),
                        Err(FileError::NotFound) => Ok(String::new()),
                        Err(error) => {
                            let path = files.path(&file);
                            Err(LoadError::at(&name.at, Problem::Read { path, error }))
                        }
                    }
                };
                self.expect_known(kind, name, &files.path(path), &read("py")?);
                Ok(KindDefaults {
                    name: files.path(&format!("{path}/{kind}.yaml")).into(),
                    text: read("yaml")?.into(),
                })
            }
        }
    }

    /// Tells of a plugin whose code may make other keys than the built-in kind does.
    fn expect_known(&self, kind: ElementKind, name: &Scalar, place: &str, code: &str) {
        if !is_known(kind, code) {
            let text = format!(
                "the element kind '{kind}' is built in, and the plugin in '{place}' is none of those \
                 that it is known to agree with: keys may differ from BuildStream's"
            );
            let at = name.at.clone();
            self.warnings.borrow_mut().push(Warning { at, text });
        }
    }
}

/// Whether a plugin's code is known to make the keys that the built-in kind makes.
fn is_known(kind: ElementKind, code: &str) -> bool {
    match KNOWN.iter().find(|(name, _)| *name == kind.name()) {
        Some((_, known)) => {
            let hash = const_hex::encode(Sha256::digest(code));
            known.iter().any(|known| hash.starts_with(known))
        }
        // The others only have defaults of their own.
        None => code.contains("BuildElement") && !code.contains("def get_unique_key"),
    }
}

/// Checks that a kind comes from where the built-in one is at home, or from a project that brings it.
fn check(
    plugin_type: PluginType,
    name: &Scalar,
    found: &Found,
    home: Option<Home>,
) -> Result<(), LoadError> {
    let what = plugin_type.name();
    let kind = name.value.to_string();
    let problem = match (found, home) {
        (Found::Core, Some(Home::Core) | None) => return Ok(()),
        (Found::Package(package), Some(Home::Package(home))) if **package == *home => return Ok(()),
        (Found::Directory { .. }, Some(Home::Package(_) | Home::Projects)) => return Ok(()),
        (Found::Core, Some(Home::Package(package))) => Problem::NotRegistered {
            what,
            kind,
            package,
        },
        (Found::Core, Some(Home::Projects)) => Problem::UnknownKind {
            what,
            kind,
            suggestion: None,
        },
        (Found::Package(package), _) => Problem::Unsupported(format!(
            "the {what} kind '{kind}' of the package '{package}' is"
        )),
        (Found::Directory { path, .. }, _) => Problem::Unsupported(format!(
            "the {what} kind '{kind}', a plugin in '{path}', is"
        )),
    };
    Err(LoadError::at(&name.at, problem))
}

fn unknown(plugin_type: PluginType, name: &Scalar, suggestion: Option<&'static str>) -> LoadError {
    let problem = Problem::UnknownKind {
        what: plugin_type.name(),
        kind: name.value.to_string(),
        suggestion,
    };
    LoadError::at(&name.at, problem)
}
