//! What the kinds of packages have in common: a file of an index, and where it is.

use std::sync::Arc;

use headstart_yaml::{Mapping, Scalar};

use super::address::push_version;
use super::{Address, SourceContext, Version};
use crate::error::LoadError;
use crate::json::Json;

/// A file of an index of packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageFile {
    /// Its SHA-256, as 64 hexadecimal digits.
    pub sha256: Arc<str>,
    /// What its address ends with.
    pub suffix: Arc<str>,
}

impl PackageFile {
    pub(super) fn unique_key(&self, version: Option<&Version>) -> Json {
        let mut key = vec![(&self.suffix).into(), (&self.sha256).into()];
        push_version(&mut key, version);
        Json::List(key)
    }
}

/// The address that a key names, or else a well-known one.
pub(super) fn address_or(
    config: &Mapping,
    key: &str,
    known: &str,
    context: &SourceContext<'_>,
) -> Result<Address, LoadError> {
    let known = Scalar {
        value: known.into(),
        at: config.at.clone(),
    };
    Address::load(config.scalar(key)?.unwrap_or(&known), context)
}
