//! Kind pypi: a source package of the Python package index.

use std::sync::Arc;

use headstart_yaml::{Mapping, Scalar};

use super::address::push_version;
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
    pub reference: Option<PyPiFile>,
    /// Whether versions before a release are tracked too.
    pub prereleases: bool,
    /// Patterns of the versions that are tracked.
    pub include: Vec<Arc<str>>,
    /// Patterns of those that are not.
    pub exclude: Vec<Arc<str>>,
    version: Option<Version>,
}

/// A file of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PyPiFile {
    /// Its SHA-256, as 64 hexadecimal digits.
    pub sha256: Arc<str>,
    /// What its address ends with.
    pub suffix: Arc<str>,
}

impl PyPi {
    pub(super) fn load(config: &Mapping, context: &SourceContext<'_>) -> Result<Self, LoadError> {
        const OWN: [&str; 6] = ["url", "name", "ref", "prereleases", "include", "exclude"];
        expect_keys(config, &[&OWN[..], &Version::KEYS].concat())?;
        let reference = config.mapping("ref")?.map(|node| {
            Ok::<_, LoadError>(PyPiFile {
                sha256: node.required_scalar("sha256sum")?.value.clone(),
                suffix: node.required_scalar("suffix")?.value.clone(),
            })
        });
        let default = Scalar {
            value: STORAGE.into(),
            at: config.at.clone(),
        };
        let storage = config.scalar("url")?.unwrap_or(&default);
        Ok(Self {
            storage: Address::load(storage, context)?,
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
        let PyPiFile { sha256, suffix } = self.reference.as_ref()?;
        let mut key = vec![suffix.into(), sha256.into()];
        push_version(&mut key, self.version.as_ref());
        Some(Json::List(key))
    }

    fn is_resolved(&self) -> bool {
        self.reference.is_some()
    }
}
