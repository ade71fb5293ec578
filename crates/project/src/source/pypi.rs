//! Kind pypi: a source package of the Python package index.

use std::sync::Arc;

use headstart_yaml::Mapping;

use super::package::{PackageFile, address_or};
use super::{Address, Behaviour, SourceContext, Version, expect_keys};
use crate::error::LoadError;
use crate::json::Json;
use crate::keys::Contents;

/// Where packages are if nothing else is said.
const STORAGE: &str = "https://files.pythonhosted.org/packages/";

/// A package of the Python package index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PyPi {
    /// What packages' places begin with.
    pub storage: Address,
    /// The package's name, by which it is tracked and its download kept.
    pub name: Arc<str>,
    /// The package's file.
    pub reference: Option<PackageFile>,
    /// Whether versions before a release are tracked too.
    pub prereleases: bool,
    /// Patterns of the versions that are tracked.
    pub include: Vec<Arc<str>>,
    /// Patterns of those that are not.
    pub exclude: Vec<Arc<str>>,
    version: Option<Version>,
}

impl PyPi {
    pub(super) fn load(config: &Mapping, context: &SourceContext<'_>) -> Result<Self, LoadError> {
        const OWN: [&str; 6] = ["url", "name", "ref", "prereleases", "include", "exclude"];
        expect_keys(config, &[&OWN[..], &Version::KEYS].concat())?;
        let reference = config.mapping("ref")?.map(|node| {
            Ok::<_, LoadError>(PackageFile {
                sha256: node.required_scalar("sha256sum")?.value.clone(),
                suffix: node.required_scalar("suffix")?.value.clone(),
            })
        });
        Ok(Self {
            storage: address_or(config, "url", STORAGE, context)?,
            name: config.required_scalar("name")?.value.clone(),
            reference: reference.transpose()?,
            prereleases: config.boolean("prereleases")?.unwrap_or(false),
            include: config.strings("include")?,
            exclude: config.strings("exclude")?,
            version: Version::load(config)?,
        })
    }
}

impl Behaviour for PyPi {
    fn unique_key(&self, _: &Contents) -> Option<Json> {
        let file = self.reference.as_ref()?;
        Some(file.unique_key(self.version.as_ref()))
    }

    fn is_resolved(&self) -> bool {
        self.reference.is_some()
    }
}
