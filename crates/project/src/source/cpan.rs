//! Kind cpan: a distribution of Perl's archive network.

use std::sync::Arc;

use headstart_yaml::Mapping;

use super::package::{PackageFile, address_or};
use super::{Address, Behaviour, SourceContext, Version, expect_keys, text};
use crate::error::LoadError;
use crate::json::Json;
use crate::keys::Contents;

/// The network if nothing else is said.
const INDEX: &str = "https://cpan.metacpan.org/";

/// A distribution of Perl's archive network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cpan {
    /// What the places of the distributions and of their list begin with.
    pub index: Address,
    /// A module of the distribution, by which it is tracked and its download kept.
    pub name: Arc<str>,
    /// The distribution's file.
    pub reference: Option<PackageFile>,
    version: Option<Version>,
}

impl Cpan {
    pub(super) fn load(config: &Mapping, context: &SourceContext<'_>) -> Result<Self, LoadError> {
        const OWN: [&str; 4] = ["index", "name", "suffix", "sha256sum"];
        expect_keys(config, &[&OWN[..], &Version::KEYS].concat())?;
        let reference = text(config, "suffix")?.zip(text(config, "sha256sum")?);
        Ok(Self {
            name: config.required_scalar("name")?.value.clone(),
            index: address_or(config, "index", INDEX, context)?,
            reference: reference.map(|(suffix, sha256)| PackageFile { sha256, suffix }),
            version: Version::load(config)?,
        })
    }
}

impl Behaviour for Cpan {
    fn unique_key(&self, _: &Contents) -> Option<Json> {
        let file = self.reference.as_ref()?;
        Some(file.unique_key(self.version.as_ref()))
    }

    fn is_resolved(&self) -> bool {
        self.reference.is_some()
    }
}
