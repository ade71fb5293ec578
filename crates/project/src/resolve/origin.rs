//! Where a project takes a kind from, and so what that kind is.
//!
//! Where a kind is built in, its defaults still belong to the plugin that the project has: it may be
//! of another version. So they are read from there where it can be found: in the project, in one that
//! it is joined to, or where the package is installed. A plugin that is not built in, or whose code is
//! not known to be that of the built-in kind, is run by whoever hosts plugins. If nobody does, the
//! built-in kind takes its place, and that keys may differ is told.

use std::borrow::Cow;
use std::sync::Arc;

use headstart_yaml::Scalar;

use super::find::{Finder, FoundKind, FoundSource};
use super::known;
use crate::defaults::Defaults;
use crate::error::{LoadError, Problem, Warning};
use crate::files::{FileError, Files as _};
use crate::hosted::{PluginError, PluginHost, PluginId, PluginOrigin};
use crate::junctions::Follow;
use crate::kinds::{ElementKind, Home};
use crate::nearest::nearest;
use crate::plugins::{Origin, PluginType};
use crate::project::{Project, ProjectId};
use crate::source::SourceKind;
use crate::universe::Universe;

/// What the elements of a kind begin with, as the text of a YAML file.
struct KindDefaults {
    /// What errors call the file.
    name: String,
    text: Cow<'static, str>,
}

impl KindDefaults {
    fn built_in(kind: &ElementKind) -> Self {
        Self {
            name: format!("{kind}.yaml"),
            text: kind.defaults().into(),
        }
    }
}

/// Where a kind comes from.
enum Found {
    /// BuildStream itself.
    Core,
    /// A package, by its name, and as the project writes it.
    Package {
        name: Arc<str>,
        requirement: Arc<str>,
    },
    /// A directory of a project.
    Directory { project: ProjectId, path: Arc<str> },
}

impl Finder<'_> {
    /// The kind of elements that a name means in a project, with its defaults.
    pub(super) fn element_kind(
        &mut self,
        project: &Project,
        name: &Scalar,
    ) -> Result<FoundKind, LoadError> {
        let found = self.known_element_kind(project, name)?;
        if let ElementKind::Hosted(class) = &found.kind {
            let deprecated = class.deprecated.as_deref();
            self.warn_of_deprecated(project.id(), PluginType::Element, name, deprecated);
        }
        Ok(found)
    }

    /// Says that a kind is not to be used any more, unless the project knows.
    pub(super) fn warn_of_deprecated(
        &self,
        project: ProjectId,
        plugin_type: PluginType,
        name: &Scalar,
        deprecated: Option<&str>,
    ) {
        let Some(advice) = deprecated else { return };
        let plugins = &self.universe[project].plugins;
        if plugins.allows_deprecated(plugin_type, &name.value) {
            return;
        }
        let what = plugin_type.name();
        let mut text = format!("the {what} kind '{}' is deprecated", name.value);
        if !advice.is_empty() {
            text.push_str(&format!(": {advice}"));
        }
        let at = name.at.clone();
        self.warn(Warning { at, text });
    }

    /// The same as [`Self::element_kind`], with nothing said of it.
    fn known_element_kind(
        &mut self,
        project: &Project,
        name: &Scalar,
    ) -> Result<FoundKind, LoadError> {
        let key = (project.id(), name.value.clone());
        if let Some(known) = self.kinds.get(&key) {
            return Ok(known.clone());
        }
        let found = self
            .universe
            .plugin_origin(project.id(), PluginType::Element, &name.value)?;
        let built_in = ElementKind::from_name(&name.value);
        let home = built_in.as_ref().map(ElementKind::home);
        let is_at_home = check(PluginType::Element, name, &found, home)?;
        let (kind, defaults) = match built_in {
            Some(kind) if is_at_home => self.element_plugin(kind, name, &found)?,
            None if matches!(found, Found::Core) => {
                let suggestion = nearest(&name.value, ElementKind::names());
                return Err(unknown(PluginType::Element, name, suggestion));
            }
            _ => self.hosted_kind(name, &found)?,
        };
        let own = headstart_yaml::parse(&defaults.name, &defaults.text)?;
        let found = FoundKind {
            defaults: Arc::new(Defaults::new(project, &kind, own)?),
            kind,
            plugin: Arc::new(self.universe.plugin(PluginType::Element, name, &found)),
        };
        self.kinds.insert(key, found.clone());
        Ok(found)
    }

    /// The kind of sources that a name means in a project, and its plugin.
    pub(super) fn source_kind(
        &mut self,
        project: ProjectId,
        name: &Scalar,
    ) -> Result<FoundSource, LoadError> {
        let found = self.known_source_kind(project, name)?;
        if let SourceKind::Hosted(class) = &found.kind {
            let deprecated = class.deprecated.as_deref();
            self.warn_of_deprecated(project, PluginType::Source, name, deprecated);
        }
        Ok(found)
    }

    /// The same as [`Self::source_kind`], with nothing said of it.
    fn known_source_kind(
        &mut self,
        project: ProjectId,
        name: &Scalar,
    ) -> Result<FoundSource, LoadError> {
        let key = (project, name.value.clone());
        if let Some(known) = self.source_kinds.get(&key) {
            return Ok(known.clone());
        }
        let found = self
            .universe
            .plugin_origin(project, PluginType::Source, &name.value)?;
        let built_in = SourceKind::from_name(&name.value);
        let home = built_in
            .as_ref()
            .map(|kind| kind.package().map_or(Home::Core, Home::Package));
        let is_at_home = check(PluginType::Source, name, &found, home)?;
        let plugin = self.universe.plugin(PluginType::Source, name, &found);
        let kind = match built_in {
            Some(kind) if is_at_home => self.source_plugin(kind, name, &found, &plugin)?,
            None if matches!(found, Found::Core) => {
                let suggestion = nearest(&name.value, SourceKind::names());
                return Err(unknown(PluginType::Source, name, suggestion));
            }
            _ => self.hosted_source_kind(name, &plugin)?,
        };
        let plugin = Arc::new(plugin);
        let found = FoundSource { kind, plugin };
        self.source_kinds.insert(key, found.clone());
        Ok(found)
    }

    /// A kind that is built in, or the project's own plugin where that may be something else.
    fn element_plugin(
        &self,
        kind: ElementKind,
        name: &Scalar,
        found: &Found,
    ) -> Result<(ElementKind, KindDefaults), LoadError> {
        let read = |ending| self.plugin_file(&format!("elements/{kind}.{ending}"), name, found);
        let Some(code) = read("py")? else {
            let defaults = KindDefaults::built_in(&kind);
            return Ok((kind, defaults));
        };
        if !known::is_element(&kind, &code) {
            if self.universe.host().is_ok() {
                return self.hosted_kind(name, found);
            }
            self.warn_of_unknown_plugin(PluginType::Element, name, found);
        }
        let defaults = KindDefaults {
            name: format!("{}/{kind}.yaml", self.place(found)),
            text: read("yaml")?.unwrap_or_default().into(),
        };
        Ok((kind, defaults))
    }

    /// The same of a kind of sources.
    fn source_plugin(
        &self,
        kind: SourceKind,
        name: &Scalar,
        found: &Found,
        plugin: &PluginId,
    ) -> Result<SourceKind, LoadError> {
        let file = format!("sources/{}.py", kind.name());
        let Some(code) = self.plugin_file(&file, name, found)? else {
            return Ok(kind);
        };
        if let Some(known) = known::source(&kind, &code) {
            return Ok(known);
        }
        if self.universe.host().is_ok() {
            return self.hosted_source_kind(name, plugin);
        }
        self.warn_of_unknown_plugin(PluginType::Source, name, found);
        Ok(kind)
    }

    fn warn_of_unknown_plugin(&self, plugin_type: PluginType, kind: &Scalar, found: &Found) {
        let text = format!(
            "the {} kind '{}' is built in, and the plugin in '{}' is none of those that it is known to \
             agree with: keys may differ from BuildStream's",
            plugin_type.name(),
            kind.value,
            self.place(found),
        );
        let at = kind.at.clone();
        self.warn(Warning { at, text });
    }

    /// The directory or package that a plugin is in, for messages.
    fn place(&self, found: &Found) -> String {
        match found {
            Found::Core => String::new(),
            Found::Package { name, .. } => name.to_string(),
            Found::Directory { project, path } => self.universe[*project].files.path(path),
        }
    }

    /// A file of a plugin that a project has, if the plugin can be found; `file` is where packages have it.
    fn plugin_file(
        &self,
        file: &str,
        name: &Scalar,
        found: &Found,
    ) -> Result<Option<String>, LoadError> {
        match found {
            Found::Core => Ok(None),
            Found::Package { name, .. } => Ok(self.universe.outside.package_file(name, file)),
            Found::Directory { project, path } => {
                let files = &self.universe[*project].files;
                let file = file.rsplit('/').next().unwrap_or(file);
                let file = format!("{path}/{file}");
                match files.read(&file) {
                    Ok(text) => Ok(Some(text)),
                    Err(FileError::NotFound) => Ok(Some(String::new())),
                    Err(error) => {
                        let path = files.path(&file);
                        Err(LoadError::at(&name.at, Problem::Read { path, error }))
                    }
                }
            }
        }
    }

    /// A kind that whoever hosts plugins knows.
    fn hosted_kind(
        &self,
        name: &Scalar,
        found: &Found,
    ) -> Result<(ElementKind, KindDefaults), LoadError> {
        let plugin = self.universe.plugin(PluginType::Element, name, found);
        let failed = failed(&plugin, name);
        let host = self.universe.host().map_err(&failed)?;
        let (class, defaults) = host.element_class(&plugin).map_err(&failed)?;
        let defaults = KindDefaults {
            name: defaults.name,
            text: defaults.text.into(),
        };
        Ok((ElementKind::Hosted(Arc::new(class)), defaults))
    }

    /// The same of a kind of sources.
    fn hosted_source_kind(
        &self,
        name: &Scalar,
        plugin: &PluginId,
    ) -> Result<SourceKind, LoadError> {
        let failed = failed(plugin, name);
        let host = self.universe.host().map_err(&failed)?;
        let class = host.source_class(plugin).map_err(&failed)?;
        Ok(SourceKind::Hosted(Arc::new(class)))
    }
}

impl Universe {
    /// Whoever hosts plugins.
    pub(super) fn host(&self) -> Result<&dyn PluginHost, PluginError> {
        let host = self.outside.plugins();
        host.map_err(|error| PluginError::new(error.to_string()))
    }

    /// The plugin of a mirror.
    pub(crate) fn mirror_plugin(
        &mut self,
        project: ProjectId,
        kind: &Scalar,
    ) -> Result<PluginId, LoadError> {
        let found = self.plugin_origin(project, PluginType::SourceMirror, &kind.value)?;
        match found {
            Found::Core => Err(unknown(PluginType::SourceMirror, kind, None)),
            found => Ok(self.plugin(PluginType::SourceMirror, kind, &found)),
        }
    }

    /// Where a kind comes from in the end, however many projects hand it on.
    fn plugin_origin(
        &mut self,
        mut project: ProjectId,
        plugin_type: PluginType,
        kind: &str,
    ) -> Result<Found, LoadError> {
        loop {
            let origin = self[project].plugins.origin(plugin_type, kind);
            match origin.cloned() {
                None => return Ok(Found::Core),
                Some(Origin::Package { name, requirement }) => {
                    return Ok(Found::Package { name, requirement });
                }
                Some(Origin::Local(path)) => return Ok(Found::Directory { project, path }),
                Some(Origin::Junction { path, at }) => {
                    let found = self.follow(project, &path, Some(&at), Follow::Loading)?;
                    project = found.unwrap_or(project);
                    let plugins = &self[project].plugins;
                    if plugins.origin(plugin_type, kind).is_none() {
                        let problem = Problem::NoJunctionPlugin {
                            what: plugin_type.name(),
                            kind: kind.to_owned(),
                            project: self[project].conf.name.to_string(),
                            junction: path.to_string(),
                        };
                        return Err(LoadError::at(&at, problem));
                    }
                }
            }
        }
    }

    fn plugin(&self, plugin_type: PluginType, name: &Scalar, found: &Found) -> PluginId {
        PluginId {
            plugin_type,
            kind: name.value.clone(),
            origin: match found {
                Found::Core => PluginOrigin::Core,
                Found::Package { requirement, .. } => PluginOrigin::Package(requirement.clone()),
                Found::Directory { project, path } => {
                    PluginOrigin::Directory(self[*project].files.path(path).into())
                }
            },
        }
    }
}

/// The error for a plugin that fails where its kind is named.
pub(super) fn failed(
    plugin: &PluginId,
    name: &Scalar,
) -> impl Fn(PluginError) -> LoadError + use<> {
    let (plugin, at) = (plugin.clone(), name.at.clone());
    move |error| {
        let problem = Problem::Plugin {
            what: plugin.plugin_type.name(),
            kind: plugin.kind.to_string(),
            origin: plugin.origin.clone(),
            error: Box::new(error),
        };
        LoadError::at(&at, problem)
    }
}

/// Whether a kind comes from where the built-in one is at home, or from a project that brings it.
fn check(
    plugin_type: PluginType,
    name: &Scalar,
    found: &Found,
    home: Option<Home>,
) -> Result<bool, LoadError> {
    let what = plugin_type.name();
    let kind = name.value.to_string();
    let problem = match (found, home) {
        (Found::Core, Some(Home::Core)) => return Ok(true),
        (Found::Package { name, .. }, Some(Home::Package(home))) => return Ok(**name == *home),
        (Found::Directory { .. }, Some(Home::Package(_) | Home::Projects)) => return Ok(true),
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
        (Found::Core, None) | (Found::Package { .. } | Found::Directory { .. }, _) => {
            return Ok(false);
        }
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
