//! Where kinds come from: the plugin origins of project.conf.
//!
//! The kinds of BuildStream itself and of well-known packages are built in; a project must name where
//! it takes theirs from, as BuildStream demands: from the package, from a project that it is joined
//! to, or from a directory of its own. Others are run by whoever hosts plugins ([`crate::hosted`]).

use std::collections::HashMap;
use std::sync::Arc;

use headstart_yaml::{Mapping, Node, Provenance, Scalar};

use crate::error::{LoadError, Problem};
use crate::files::Files;
use crate::path::{self, Expect};

/// The kinds that a project declares, with their origins.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plugins {
    elements: HashMap<Arc<str>, Declared>,
    sources: HashMap<Arc<str>, Declared>,
    mirrors: HashMap<Arc<str>, Declared>,
}

/// A kind that a project declares.
#[derive(Clone, Debug)]
struct Declared {
    origin: Origin,
    /// Whether it may be used though its plugin says that it is not to be used any more.
    allow_deprecated: bool,
}

/// What plugins there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PluginType {
    /// Those of elements.
    Element,
    /// Those of sources.
    Source,
    /// Those of mirrors.
    SourceMirror,
}

impl PluginType {
    /// Its word in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Element => "element",
            Self::Source => "source",
            Self::SourceMirror => "source-mirror",
        }
    }
}

/// Where a kind comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A Python package, by its name without a version, and as it is written.
    Package {
        name: Arc<str>,
        requirement: Arc<str>,
    },
    /// A directory of the project.
    Local(Arc<str>),
    /// Wherever the project behind a junction takes it from.
    Junction { path: Arc<str>, at: Provenance },
}

impl Plugins {
    pub(crate) fn load(config: &Mapping, files: &dyn Files) -> Result<Self, LoadError> {
        let mut plugins = Self::default();
        let Some(list) = config.sequence("plugins")? else {
            return Ok(plugins);
        };
        for node in list.mappings()? {
            let origin = origin(node, files)?;
            let allow_all = node.boolean("allow-deprecated")?.unwrap_or(false);
            for (what, key, kinds) in [
                (PluginType::Element, "elements", &mut plugins.elements),
                (PluginType::Source, "sources", &mut plugins.sources),
                (
                    PluginType::SourceMirror,
                    "source-mirrors",
                    &mut plugins.mirrors,
                ),
            ] {
                for (kind, allow) in kinds_of(node, key)? {
                    let declared = Declared {
                        origin: origin.clone(),
                        allow_deprecated: allow.unwrap_or(allow_all),
                    };
                    if kinds.insert(kind.value.clone(), declared).is_some() {
                        let problem = Problem::DuplicatePlugin {
                            what: what.name(),
                            kind: kind.value.to_string(),
                        };
                        return Err(LoadError::at(&kind.at, problem));
                    }
                }
            }
        }
        Ok(plugins)
    }

    /// Where the project takes a kind from, if it says so.
    pub(crate) fn origin(&self, plugin_type: PluginType, kind: &str) -> Option<&Origin> {
        self.declared(plugin_type, kind).map(|it| &it.origin)
    }

    /// Whether the project uses a kind though its plugin says that it is not to be used any more.
    pub(crate) fn allows_deprecated(&self, plugin_type: PluginType, kind: &str) -> bool {
        let declared = self.declared(plugin_type, kind);
        declared.is_some_and(|it| it.allow_deprecated)
    }

    fn declared(&self, plugin_type: PluginType, kind: &str) -> Option<&Declared> {
        match plugin_type {
            PluginType::Element => self.elements.get(kind),
            PluginType::Source => self.sources.get(kind),
            PluginType::SourceMirror => self.mirrors.get(kind),
        }
    }
}

fn origin(node: &Mapping, files: &dyn Files) -> Result<Origin, LoadError> {
    const COMMON: [&str; 5] = [
        "origin",
        "elements",
        "sources",
        "source-mirrors",
        "allow-deprecated",
    ];
    let expect = |own: &str| node.expect_keys(&[&COMMON[..], &[own]].concat());
    let kind = node.required_scalar("origin")?;
    match &*kind.value {
        "pip" => {
            expect("package-name")?;
            let package = node.required_string("package-name")?;
            let end = package.find([' ', '<', '>', '=', '!', '~', '[', ';', '@']);
            let name = &package[..end.unwrap_or(package.len())];
            // Names of Python packages are compared like this.
            let name = name.to_lowercase().replace(['_', '.'], "-");
            Ok(Origin::Package {
                name: name.into(),
                requirement: package.into(),
            })
        }
        "local" => {
            expect("path")?;
            let path = node.required_scalar("path")?;
            path::check(files, path, Expect::Directory)?;
            Ok(Origin::Local(path.value.clone()))
        }
        "junction" => {
            expect("junction")?;
            let Scalar { at, value } = node.required_scalar("junction")?.clone();
            Ok(Origin::Junction { path: value, at })
        }
        _ => Err(kind.unlike("'pip', 'local' or 'junction'").into()),
    }
}

/// The names in a list whose items are names or mappings with one, and what these say of its use if
/// its plugin says that it is not to be used any more.
fn kinds_of(node: &Mapping, key: &str) -> Result<Vec<(Scalar, Option<bool>)>, LoadError> {
    let Some(list) = node.sequence(key)? else {
        return Ok(Vec::new());
    };
    list.items
        .iter()
        .map(|item| match item {
            Node::Mapping(mapping) => {
                mapping.expect_keys(&["kind", "allow-deprecated"])?;
                let kind = mapping.required_scalar("kind")?.clone();
                Ok((kind, mapping.boolean("allow-deprecated")?))
            }
            Node::Scalar(scalar) => Ok((scalar.clone(), None)),
            Node::Sequence(_) => Err(item.unlike("a name or a mapping").into()),
        })
        .collect()
}
