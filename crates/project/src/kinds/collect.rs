//! Kinds that look at what is built before them and write a file about it, or nothing:
//! collect_integration, collect_initial_scripts, collect_manifest and check_forbidden. See the
//! reference manual of the package buildstream-plugins-community; collect_initial_scripts is GNOME's
//! and freedesktop-sdk's own.

use std::sync::Arc;

use headstart_yaml::Mapping;

use super::Input;
use super::compose::sorted;
use crate::error::LoadError;
use crate::json::Json;

/// What a collect_integration element does: one script of all integration commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectIntegration {
    /// Where the script is written.
    pub script_path: Arc<str>,
    /// The names of elements whose commands are left out.
    pub ignore: Vec<Arc<str>>,
}

impl CollectIntegration {
    pub(super) fn load(input: &Input<'_>) -> Result<Self, LoadError> {
        let config = input.config;
        config.expect_keys(&["script-path", "ignore"])?;
        let mut ignore = config.strings("ignore")?;
        ignore.sort();
        ignore.dedup();
        Ok(Self {
            script_path: config.required_scalar("script-path")?.value.clone(),
            ignore,
        })
    }

    pub(super) fn unique_key(&self) -> Json {
        Json::map([
            ("ignore", Json::strings(&self.ignore)),
            ("script-path", (&self.script_path).into()),
        ])
    }
}

/// What a collect_initial_scripts element does: the scripts that elements want to be run once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectInitialScripts {
    /// The directory that they are written to.
    pub path: Arc<str>,
}

impl CollectInitialScripts {
    pub(super) fn load(input: &Input<'_>) -> Result<Self, LoadError> {
        input.config.expect_keys(&["path"])?;
        Ok(Self {
            path: input.config.required_scalar("path")?.value.clone(),
        })
    }

    pub(super) fn unique_key(&self) -> Json {
        Json::map([("path", Json::from(&self.path))])
    }
}

/// What a check_forbidden element does: it fails if something is depended on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckForbidden {
    /// The names of elements that must not be among the dependencies.
    pub forbidden: Vec<Arc<str>>,
}

impl CheckForbidden {
    pub(super) fn load(input: &Input<'_>) -> Result<Self, LoadError> {
        let config = input.config;
        config.expect_keys(&["forbidden"])?;
        if !config.contains("forbidden") {
            return Err(config.missing("forbidden").into());
        }
        let mut forbidden = config.strings("forbidden")?;
        forbidden.sort();
        forbidden.dedup();
        Ok(Self { forbidden })
    }

    pub(super) fn unique_key(&self) -> Json {
        Json::map([("forbidden", sorted(&self.forbidden))])
    }
}

/// What a collect_manifest element does: a list of all sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectManifest {
    /// Where it is written, if it is.
    pub path: Option<Arc<str>>,
    /// What an SPDX document says of itself, if it is one.
    pub spdx: Option<SpdxInfo>,
    /// Whether it is made by what sources say of their provenance.
    pub use_source_provenance: bool,
}

/// What an SPDX document says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpdxInfo {
    /// Who made it.
    pub creators: Option<Vec<Arc<str>>>,
    /// When, in seconds since 1970.
    pub created: Option<i64>,
    /// Under which license.
    pub data_license: Option<Arc<str>>,
    /// Its namespace.
    pub doc_namespace: Option<Arc<str>>,
    /// Its name.
    pub name: Option<Arc<str>>,
}

impl CollectManifest {
    pub(super) fn load(input: &Input<'_>) -> Result<Self, LoadError> {
        let config = input.config;
        let is_spdx = match config.scalar("output-type")? {
            None => false,
            Some(output) => match &*output.value {
                "manifest" => false,
                "spdx" => true,
                _ => return Err(output.unlike("'manifest' or 'spdx'").into()),
            },
        };
        let none = Mapping::default();
        let spdx = SpdxInfo::load(config.mapping("spdx-info")?.unwrap_or(&none))?;
        Ok(Self {
            path: config.scalar("path")?.map(|path| path.value.clone()),
            spdx: is_spdx.then_some(spdx),
            use_source_provenance: config.boolean("use-source-provenance")?.unwrap_or(true),
        })
    }

    pub(super) fn unique_key(&self) -> Json {
        let text = |text: &Option<Arc<str>>| text.as_ref().map_or(Json::Null, Json::from);
        let mut key = vec![("path", text(&self.path))];
        if let Some(spdx) = &self.spdx {
            key.push(("output_type", "spdx".into()));
            let info = vec![
                spdx.creators.as_ref().map_or(Json::Null, Json::strings),
                text(&spdx.data_license),
                spdx.created.map_or(Json::Null, Json::Int),
                text(&spdx.doc_namespace),
                text(&spdx.name),
            ];
            key.push(("spdx_info", Json::List(info)));
        }
        if self.use_source_provenance {
            key.push(("source_provenance", true.into()));
        }
        Json::map(key)
    }
}

impl SpdxInfo {
    fn load(node: &Mapping) -> Result<Self, LoadError> {
        node.expect_keys(&[
            "creators",
            "created",
            "data-license",
            "doc-namespace",
            "name",
        ])?;
        let text = |key| Ok::<_, LoadError>(node.scalar(key)?.map(|scalar| scalar.value.clone()));
        let creators = node.sequence("creators")?;
        Ok(Self {
            creators: creators.map(|list| list.strings()).transpose()?,
            created: node.integer("created")?,
            data_license: text("data-license")?,
            doc_namespace: text("doc-namespace")?,
            name: text("name")?,
        })
    }
}
