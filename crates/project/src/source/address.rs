//! Addresses that sources are fetched from, and files that are downloaded.

use std::sync::Arc;

use headstart_yaml::{Mapping, Scalar};

use super::{SourceContext, Version, expect_keys, text};
use crate::error::{LoadError, Problem, Warning};
use crate::json::Json;
use crate::mirror::Place;

/// Where something is fetched from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// As written, perhaps with an alias: what keys and caches hold.
    pub url: Arc<str>,
    /// Where to try to get it, in order: mirrors, then the alias' own address.
    pub places: Vec<Place>,
    /// The alias' own address.
    pub translated: String,
    /// Where to look for something newer, in order.
    pub tracking: Vec<Place>,
}

impl Address {
    /// An address that stands nowhere in the project, such as that of a submodule.
    pub fn discovered(url: &str) -> Self {
        Self {
            url: url.into(),
            places: vec![Place::Address(url.to_owned())],
            translated: url.to_owned(),
            tracking: vec![Place::Address(url.to_owned())],
        }
    }

    /// Checks the alias, and warns if there is none.
    pub(super) fn load(url: &Scalar, context: &SourceContext<'_>) -> Result<Self, LoadError> {
        if !context.aliases.check(url)? {
            if context.unaliased_is_fatal {
                let problem = Problem::Unaliased(url.value.to_string());
                return Err(LoadError::at(&url.at, problem));
            }
            (context.warn)(Warning {
                at: url.at.clone(),
                text: format!("the address '{}' has no alias", url.value),
            });
        }
        Ok(Self {
            places: context.aliases.addresses(&url.value),
            translated: context.aliases.translate(&url.value),
            tracking: context.aliases.tracking_addresses(&url.value),
            url: url.value.clone(),
        })
    }

    /// What is at the address with `suffix` put behind it.
    pub fn below(&self, suffix: &str) -> Self {
        let place = |place: &Place| place.below(suffix);
        Self {
            url: format!("{}{suffix}", self.url).into(),
            places: self.places.iter().map(place).collect(),
            translated: format!("{}{suffix}", self.translated),
            tracking: self.tracking.iter().map(place).collect(),
        }
    }
}

/// A file that is downloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// Where from.
    pub address: Address,
    /// The SHA-256 of the file, as 64 hexadecimal digits.
    pub reference: Option<Arc<str>>,
    version: Option<Version>,
}

impl Download {
    pub(super) fn load(
        config: &Mapping,
        own_keys: &[&str],
        context: &SourceContext<'_>,
    ) -> Result<Self, LoadError> {
        expect_keys(
            config,
            &[&["url", "ref"], &Version::KEYS[..], own_keys].concat(),
        )?;
        Ok(Self {
            address: Address::load(config.required_scalar("url")?, context)?,
            reference: text(config, "ref")?,
            version: Version::load(config)?,
        })
    }

    pub(super) fn unique_key(&self) -> Vec<Json> {
        let mut key = vec![
            (&self.address.url).into(),
            optional(self.reference.as_ref()),
        ];
        push_version(&mut key, self.version.as_ref());
        key
    }
}

/// A text, or null.
pub(super) fn optional(text: Option<&Arc<str>>) -> Json {
    text.map_or(Json::Null, Json::from)
}

pub(super) fn push_version(key: &mut Vec<Json>, version: Option<&Version>) {
    key.extend(version.map(|version| Json::from(&version.value)));
}
