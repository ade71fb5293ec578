//! `docker`: images from registries, layer by layer as BuildStream lays them over each other.
//!
//! What is downloaded is kept as BuildStream keeps it: `sha256:HASH.manifest.json` and `sha256:HASH.tar.gz`. A layer
//! takes away from those below it what it names so, whether or not that is a directory with something in it. Devices
//! and all else in `/dev` are left out.

mod layers;
mod registry;

use std::fs;
use std::path::{Path, PathBuf};

use headstart_merkle::DirectoryDigest;
use headstart_project::{Docker, Location};
use serde::Deserialize;

use crate::Store;
use crate::download::{hash_of, make_folder};
use crate::error::SourceError;
use crate::places::{fetch_from_first, track_at_first};
use registry::{Registry, unusable};

/// Bytes of the longest manifest that is read.
const MAX_MANIFEST: u64 = 16 << 20;

const LAYERS: [&str; 2] = [
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.oci.image.layer.v1.tar+gzip",
];
const IMAGES: [&str; 2] = [
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
];
const LISTS: [&str; 2] = [
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.index.v1+json",
];

/// What an image is made of, or where it is for each kind of machines.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: Option<u64>,
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    layers: Vec<Part>,
    #[serde(default)]
    manifests: Vec<Part>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    digest: String,
    #[serde(default)]
    media_type: String,
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
}

impl Part {
    /// The hash of its digest.
    fn hash(&self) -> Result<&str, SourceError> {
        let hash = self
            .digest
            .strip_prefix("sha256:")
            .filter(|hash| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
        hash.ok_or_else(|| unusable(format!("{:?} is no SHA-256 digest", self.digest)))
    }
}

/// The digest of what is behind the tag now; none if nothing is tracked.
pub(crate) fn track(source: &Docker, folder: &Path) -> Result<Option<String>, SourceError> {
    let Some(tag) = &source.tag else {
        return Ok(None);
    };
    make_folder(folder)?;
    let hash = track_at_first(&source.address, |location| {
        let (_, hash) = find(&registry(source, location)?, source, tag, folder)?;
        Ok(hash)
    });
    hash.map(Some)
}

/// Fetches the manifest and all layers that are not in `folder` yet. What is there then is what it should be.
fn fetch(source: &Docker, folder: &Path) -> Result<Manifest, SourceError> {
    let wanted = source.reference.as_deref().ok_or(SourceError::Unresolved)?;
    make_folder(folder)?;
    let kept = folder.join(format!("sha256:{wanted}.manifest.json"));
    let known = kept.is_file() && hash_of(&kept)? == wanted;
    if known {
        let manifest = parse(&kept)?;
        if has_all(&manifest, folder)? {
            return Ok(manifest);
        }
    }
    fetch_from_first(&source.address, |location| {
        let registry = registry(source, location)?;
        if !known {
            let (file, hash) = find(&registry, source, &format!("sha256:{wanted}"), folder)?;
            if hash != wanted {
                return Err(unusable(format!(
                    "it is a list of images, and that for this machine is {hash}: its `ref` must be that of the image"
                )));
            }
            file.persist(&kept)
                .map_err(|error| SourceError::io(&kept, error.error))?;
        }
        let manifest = parse(&kept)?;
        for layer in &manifest.layers {
            if !LAYERS.contains(&layer.media_type.as_str()) {
                return Err(unusable(format!(
                    "a layer is of the unknown type {:?}",
                    layer.media_type
                )));
            }
            if !has(layer, folder)? {
                let hash = layer.hash()?;
                registry.blob(hash, folder, &layer_path(folder, hash))?;
            }
        }
        Ok(manifest)
    })
}

/// Whether all layers of an image are there, and what they should be.
fn has_all(manifest: &Manifest, folder: &Path) -> Result<bool, SourceError> {
    for layer in &manifest.layers {
        if !has(layer, folder)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a layer is there, and what it should be.
fn has(layer: &Part, folder: &Path) -> Result<bool, SourceError> {
    let hash = layer.hash()?;
    let path = layer_path(folder, hash);
    Ok(path.is_file() && hash_of(&path)? == hash)
}

/// The tree of an image, fetched into `folder` if it is not there yet.
pub(crate) fn stage(
    source: &Docker,
    folder: &Path,
    store: &Store,
) -> Result<DirectoryDigest, SourceError> {
    let manifest = fetch(source, folder)?;
    let mut image = layers::Image::new(&source.address.url, store);
    for layer in &manifest.layers {
        image.add(&layer_path(folder, layer.hash()?))?;
    }
    image.finish()
}

/// The manifest of an image, by its tag or digest, and its hash. Of a list it is the one for the machine.
fn find(
    registry: &Registry,
    source: &Docker,
    reference: &str,
    folder: &Path,
) -> Result<(tempfile::NamedTempFile, String), SourceError> {
    let mut reference = reference.to_owned();
    // A list of lists would be nonsense.
    for _ in 0..2 {
        let (file, hash) = registry.manifest(&reference, &[IMAGES, LISTS].concat(), folder)?;
        let manifest = parse(file.path())?;
        match manifest.schema_version {
            Some(1) => {
                return Err(unusable(
                    "manifests of version 1 are not supported".to_owned(),
                ));
            }
            None => return Err(unusable("its manifest names no version".to_owned())),
            Some(_) => {}
        }
        let media_type = manifest.media_type.as_str();
        if IMAGES.contains(&media_type) {
            return Ok((file, hash));
        }
        if !LISTS.contains(&media_type) {
            return Err(unusable(format!(
                "its manifest is of the unknown type {media_type:?}"
            )));
        }
        let wanted = architecture(source);
        let mut parts = manifest.manifests.iter();
        let part = parts.find(|part| {
            let platform = part.platform.as_ref();
            platform.is_some_and(|it| it.architecture == wanted && !it.os.is_empty())
        });
        let part = part.ok_or_else(|| unusable(format!("there is no image for {wanted}")))?;
        reference = format!("sha256:{}", part.hash()?);
    }
    Err(unusable("it is a list of lists of images".to_owned()))
}

/// The machine's architecture as registries name it.
fn architecture(source: &Docker) -> &str {
    match source.architecture.as_deref() {
        Some(architecture) => architecture,
        None => match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
            "powerpc64" => "ppc64",
            other => other,
        },
    }
}

fn registry(source: &Docker, location: &Location) -> Result<Registry, SourceError> {
    let (endpoint, image) = match &source.image {
        Some(image) => (location.url.as_str(), image.to_string()),
        None => {
            let url = location.url.as_str();
            let begin = url.find("://").map_or(0, |at| at + 3);
            let end = url[begin..].find('/').map_or(url.len(), |at| begin + at);
            (&url[..end], url[end..].to_owned())
        }
    };
    let image = image.trim_matches('/');
    match image.is_empty() {
        true => Err(unusable("its address names no image".to_owned())),
        false => Ok(Registry::new(endpoint, image)),
    }
}

fn parse(path: &Path) -> Result<Manifest, SourceError> {
    let failed = |error| SourceError::io(path, error);
    let len = fs::metadata(path).map_err(failed)?.len();
    if len > MAX_MANIFEST {
        return Err(unusable(format!(
            "its manifest has {len} bytes, and may have {MAX_MANIFEST}"
        )));
    }
    let text = fs::read(path).map_err(failed)?;
    serde_json::from_slice(&text)
        .map_err(|error| unusable(format!("its manifest is not understood: {error}")))
}

fn layer_path(folder: &Path, hash: &str) -> PathBuf {
    folder.join(format!("sha256:{hash}.tar.gz"))
}
