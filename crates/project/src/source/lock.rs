//! Kind gen_cargo_lock: a Cargo.lock for sources that have none, kept in the `ref` itself.

use std::sync::Arc;

use headstart_yaml::Mapping;

use super::{Behaviour, expect_keys, text};
use crate::error::LoadError;
use crate::json::Json;
use crate::keys::Contents;

/// A Cargo.lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratedLock {
    /// The file's content in base64.
    pub reference: Option<Arc<str>>,
}

impl GeneratedLock {
    pub(super) fn load(config: &Mapping) -> Result<Self, LoadError> {
        expect_keys(config, &["ref"])?;
        let reference = text(config, "ref")?;
        Ok(Self { reference })
    }
}

impl Behaviour for GeneratedLock {
    fn unique_key(&self, _: &Contents) -> Option<Json> {
        self.reference.as_ref().map(Json::from)
    }

    fn is_resolved(&self) -> bool {
        self.reference.is_some()
    }

    fn is_fetched(&self) -> bool {
        false
    }
}
