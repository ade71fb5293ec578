//! The nodes: scalars, lists and mappings in the order of the file.

use std::sync::Arc;

use crate::Provenance;
use crate::entries::Entries;

/// A value in a loaded file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A string.
    Scalar(Scalar),
    /// A list.
    Sequence(Sequence),
    /// A mapping.
    Mapping(Mapping),
}

/// A string and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar {
    /// Where it is.
    pub at: Provenance,
    /// The text, already stripped of white space around it.
    pub value: Arc<str>,
}

/// A list and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// Where it begins.
    pub at: Provenance,
    /// Its items.
    pub items: Vec<Node>,
}

/// A mapping and its place; its entries keep their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Where it begins.
    pub at: Provenance,
    pub(crate) entries: Entries,
}

/// A key of a mapping, found by its text alone.
#[derive(Clone, Debug)]
pub struct Key {
    /// Where it is.
    pub at: Provenance,
    /// Its text, not stripped.
    pub text: Arc<str>,
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Key {}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Self {
            at: Provenance::SYNTHETIC,
            text: text.into(),
        }
    }
}

impl Node {
    /// Where it is.
    pub fn at(&self) -> &Provenance {
        match self {
            Self::Scalar(scalar) => &scalar.at,
            Self::Sequence(sequence) => &sequence.at,
            Self::Mapping(mapping) => &mapping.at,
        }
    }

    /// What it is, for messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Scalar(_) => "a string",
            Self::Sequence(_) => "a list",
            Self::Mapping(_) => "a mapping",
        }
    }

    /// Calls `change` on every scalar in it and puts what that gives in its place. Keys stay.
    pub fn try_map_scalars<E>(
        &mut self,
        change: &mut impl FnMut(&Scalar) -> Result<Option<Arc<str>>, E>,
    ) -> Result<(), E> {
        match self {
            Self::Scalar(scalar) => {
                if let Some(value) = change(scalar)? {
                    scalar.value = value;
                }
            }
            Self::Sequence(sequence) => {
                for item in &mut sequence.items {
                    item.try_map_scalars(change)?;
                }
            }
            Self::Mapping(mapping) => mapping.try_map_scalars(change)?,
        }
        Ok(())
    }
}

impl Scalar {
    /// A string that no file holds.
    pub fn synthetic(value: impl Into<Arc<str>>) -> Self {
        Self {
            at: Provenance::SYNTHETIC,
            value: value.into(),
        }
    }
}

impl From<Scalar> for Node {
    fn from(scalar: Scalar) -> Self {
        Self::Scalar(scalar)
    }
}

/// A string that no file holds.
impl From<&str> for Node {
    fn from(text: &str) -> Self {
        Self::Scalar(Scalar::synthetic(text))
    }
}

impl From<Sequence> for Node {
    fn from(sequence: Sequence) -> Self {
        Self::Sequence(sequence)
    }
}

impl From<Mapping> for Node {
    fn from(mapping: Mapping) -> Self {
        Self::Mapping(mapping)
    }
}

impl Default for Mapping {
    fn default() -> Self {
        Self::new(Provenance::SYNTHETIC)
    }
}

/// Entries that no file holds.
impl<K: Into<Key>, V: Into<Node>> FromIterator<(K, V)> for Mapping {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut mapping = Self::default();
        for (key, value) in entries {
            mapping.insert(key, value);
        }
        mapping
    }
}

/// Items that no file holds.
impl<T: Into<Node>> FromIterator<T> for Sequence {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self {
            at: Provenance::SYNTHETIC,
            items: items.into_iter().map(Into::into).collect(),
        }
    }
}

impl Mapping {
    /// An empty mapping at a place.
    pub fn new(at: Provenance) -> Self {
        Self {
            at,
            entries: Entries::default(),
        }
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries.get(key)
    }

    /// The value of a key, to be changed.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.entries.get_mut(key)
    }

    /// Where the key is, if it is there.
    pub fn key_at(&self, key: &str) -> Option<&Provenance> {
        self.entries.get_with_key(key).map(|(key, _)| &key.at)
    }

    /// Whether the key is there.
    pub fn contains(&self, key: &str) -> bool {
        self.entries.contains(key)
    }

    /// Sets the value of a key, which keeps its place in the order if it is there already.
    pub fn insert(&mut self, key: impl Into<Key>, value: impl Into<Node>) {
        self.entries.insert(key.into(), value.into());
    }

    /// Takes an entry out; the others keep their order.
    pub fn remove(&mut self, key: &str) -> Option<Node> {
        self.entries.remove(key)
    }

    /// The entries in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Key, &Node)> {
        self.entries.iter()
    }

    /// The values in order, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Node> {
        self.entries.values_mut()
    }

    /// Keeps only the entries that `keep` is true for.
    pub fn retain(&mut self, keep: impl FnMut(&Key, &mut Node) -> bool) {
        self.entries.retain(keep);
    }

    /// As [`Node::try_map_scalars`], for all values.
    pub fn try_map_scalars<E>(
        &mut self,
        change: &mut impl FnMut(&Scalar) -> Result<Option<Arc<str>>, E>,
    ) -> Result<(), E> {
        for value in self.entries.values_mut() {
            value.try_map_scalars(change)?;
        }
        Ok(())
    }
}
