//! Kind docker: an image from a registry of containers' images.

use std::sync::Arc;

use headstart_yaml::{Mapping, Scalar};

use super::address::optional;
use super::{Address, Behaviour, SourceContext, expect_keys, text};
use crate::error::{LoadError, Problem};
use crate::json::Json;
use crate::keys::Contents;

/// Where images are if nothing else is said.
const REGISTRY: &str = "https://registry.hub.docker.com";

/// An image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Docker {
    /// The registry, or the image in it if it has no name of its own here.
    pub address: Address,
    /// The image's name, where that is apart from the address.
    pub image: Option<Arc<str>>,
    /// The tag that is tracked.
    pub tag: Option<Arc<str>>,
    /// For which machines, as registries name them; if not this one.
    pub architecture: Option<Arc<str>>,
    /// For which system, as registries name them; if not this one.
    pub os: Option<Arc<str>>,
    /// The SHA-256 of the image's manifest, as hexadecimal digits.
    pub reference: Option<Arc<str>>,
    version: Option<Arc<str>>,
}

impl Docker {
    pub(super) fn load(config: &Mapping, context: &SourceContext<'_>) -> Result<Self, LoadError> {
        const OWN: [&str; 8] = [
            "architecture",
            "registry-url",
            "image",
            "os",
            "ref",
            "track",
            "url",
            "version",
        ];
        expect_keys(config, &OWN)?;
        let (url, image) = (config.scalar("url")?, text(config, "image")?);
        let registry = config.scalar("registry-url")?;
        if url.is_some() == (image.is_some() || registry.is_some()) {
            return Err(LoadError::at(&config.at, Problem::DockerAddress));
        }
        if url.is_none() && image.is_none() {
            return Err(LoadError::at(&config.at, Problem::DockerAddress));
        }
        let default = Scalar {
            value: REGISTRY.into(),
            at: config.at.clone(),
        };
        let given = |key| Ok::<_, LoadError>(text(config, key)?.filter(|text| !text.is_empty()));
        Ok(Self {
            address: Address::load(url.or(registry).unwrap_or(&default), context)?,
            image,
            tag: given("track")?,
            architecture: given("architecture")?,
            os: given("os")?,
            reference: text(config, "ref")?,
            version: text(config, "version")?,
        })
    }
}

impl Behaviour for Docker {
    fn unique_key(&self, _: &Contents) -> Option<Json> {
        let digest = self.reference.as_ref();
        let digest = digest.map(|hash| Arc::from(format!("sha256:{hash}")));
        let mut key = vec![(&self.address.url).into()];
        key.extend(self.image.iter().map(Json::from));
        key.push(optional(digest.as_ref()));
        key.extend(self.version.iter().map(Json::from));
        Some(Json::List(key))
    }

    fn is_resolved(&self) -> bool {
        self.reference.is_some()
    }
}
