//! The contract for content that people have names for (Remote Asset).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use headstart_merkle::BlobDigest;

use crate::blobs::StoreError;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AssetKind {
    /// A blob.
    Blob,
    /// A tree.
    Directory,
}

/// A name of some content.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AssetName {
    /// What it is a name for: the same name may stand for one of each.
    pub kind: AssetKind,
    /// The name.
    pub uri: String,
    /// What tells contents of the same name apart: names and values, sorted.
    pub qualifiers: Vec<(String, String)>,
}

/// What is known under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// The blob, or the root Directory.
    pub content: BlobDigest,
    /// Whether the content was not here when it was named: then it is on other servers, and nothing is
    /// said of whether it still is.
    pub elsewhere: bool,
}

impl AssetName {
    /// What tells it from every other name: the digest of its parts, each after its length in decimal
    /// and a colon.
    pub fn key(&self) -> BlobDigest {
        let kind = match self.kind {
            AssetKind::Blob => "blob",
            AssetKind::Directory => "directory",
        };
        let qualifiers = self.qualifiers.iter();
        let qualifiers = qualifiers.flat_map(|(name, value)| [name.as_str(), value.as_str()]);
        let parts = [kind, self.uri.as_str()].into_iter().chain(qualifiers);
        let text: String = parts.map(|part| format!("{}:{part}", part.len())).collect();
        BlobDigest::of(text.as_bytes())
    }
}

/// Names of contents.
pub trait Assets: Send + Sync {
    /// What is known under a name.
    fn get(&self, name: &AssetName) -> Result<Option<Asset>, StoreError>;

    /// Remembers what a name stands for, in place of what it stood for before.
    fn put(&self, name: &AssetName, asset: &Asset) -> Result<(), StoreError>;
}

/// Names in memory.
#[derive(Debug, Default)]
pub struct MemoryAssets(Mutex<HashMap<AssetName, Asset>>);

impl Assets for MemoryAssets {
    fn get(&self, name: &AssetName) -> Result<Option<Asset>, StoreError> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(known.get(name).cloned())
    }

    fn put(&self, name: &AssetName, asset: &Asset) -> Result<(), StoreError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(name.clone(), asset.clone());
        Ok(())
    }
}
