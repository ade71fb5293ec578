//! The entries of a mapping, in order and found by their keys.
//!
//! Most mappings of a project have a handful of entries, and there are hundreds of thousands of
//! them: those are looked through. Only larger ones have an index.

use std::collections::HashMap;
use std::sync::Arc;

use crate::{Key, Node};

/// Entries up to which looking through them is no slower than hashing.
const SMALL: usize = 12;

/// Entries with keys that differ.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entries {
    list: Vec<(Key, Node)>,
    /// The place of each key, if there are more than [`SMALL`]. Apart, as few have it and it is large.
    #[allow(clippy::box_collection)]
    index: Option<Box<HashMap<Arc<str>, usize>>>,
}

impl Entries {
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    fn position(&self, key: &str) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(key).copied(),
            None => self.list.iter().position(|(it, _)| &*it.text == key),
        }
    }

    pub(crate) fn contains(&self, key: &str) -> bool {
        self.position(key).is_some()
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.get_with_key(key).map(|(_, value)| value)
    }

    pub(crate) fn get_with_key(&self, key: &str) -> Option<(&Key, &Node)> {
        let (key, value) = &self.list[self.position(key)?];
        Some((key, value))
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        let position = self.position(key)?;
        Some(&mut self.list[position].1)
    }

    /// Sets a value, whose key keeps its place if it is there already.
    pub(crate) fn insert(&mut self, key: Key, value: Node) {
        match self.position(&key.text) {
            Some(position) => self.list[position].1 = value,
            None => {
                self.push(key, value);
            }
        }
    }

    /// The value of a key, which is added if it is not there.
    pub(crate) fn get_or_insert_with(
        &mut self,
        key: &str,
        value: impl FnOnce() -> Node,
    ) -> &mut Node {
        let position = self.position(key);
        let position = position.unwrap_or_else(|| self.push(key.into(), value()));
        &mut self.list[position].1
    }

    /// Adds a key that is not there yet.
    fn push(&mut self, key: Key, value: Node) -> usize {
        let position = self.list.len();
        if let Some(index) = &mut self.index {
            index.insert(key.text.clone(), position);
        }
        self.list.push((key, value));
        if self.index.is_none() && self.list.len() > SMALL {
            self.make_index();
        }
        position
    }

    fn make_index(&mut self) {
        let keys = self.list.iter().map(|(key, _)| key.text.clone());
        self.index = (self.list.len() > SMALL).then(|| Box::new(keys.zip(0..).collect()));
    }

    /// Takes an entry out; the others keep their order.
    pub(crate) fn remove(&mut self, key: &str) -> Option<Node> {
        let (_, value) = self.list.remove(self.position(key)?);
        if self.index.is_some() {
            self.make_index();
        }
        Some(value)
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&Key, &mut Node) -> bool) {
        let before = self.list.len();
        self.list.retain_mut(|(key, value)| keep(key, value));
        if self.index.is_some() && self.list.len() < before {
            self.make_index();
        }
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (&Key, &Node)> {
        self.list.iter().map(|(key, value)| (key, value))
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut Node> {
        self.list.iter_mut().map(|(_, value)| value)
    }

    pub(crate) fn into_iter(self) -> impl Iterator<Item = (Key, Node)> {
        self.list.into_iter()
    }
}

/// Whatever their order.
impl PartialEq for Entries {
    fn eq(&self, other: &Self) -> bool {
        let is_there = |(key, value): (&Key, &Node)| other.get(&key.text) == Some(value);
        self.len() == other.len() && self.iter().all(is_there)
    }
}

impl Eq for Entries {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scalar;

    fn value(text: &str) -> Node {
        Scalar::synthetic(text).into()
    }

    /// Against a plain list, with sizes below and above those that have an index.
    #[test]
    fn entries_are_found_and_keep_their_order() {
        let mut entries = Entries::default();
        let mut expected: Vec<(String, Node)> = Vec::new();
        for step in 0..400_usize {
            let key = format!("k{}", step * 7 % 31);
            let there = expected.iter().position(|(it, _)| *it == key);
            assert_eq!(entries.contains(&key), there.is_some());
            match (step / 40 % 2, there) {
                (1, Some(there)) => {
                    assert_eq!(entries.remove(&key), Some(expected.remove(there).1));
                }
                (1, None) => assert_eq!(entries.remove(&key), None),
                (_, Some(there)) => {
                    expected[there].1 = value(&step.to_string());
                    entries.insert(key.as_str().into(), value(&step.to_string()));
                }
                (_, None) => {
                    expected.push((key.clone(), value(&step.to_string())));
                    entries.get_or_insert_with(&key, || value(&step.to_string()));
                }
            }
            let found = entries
                .iter()
                .map(|(key, it)| (key.text.to_string(), it.clone()));
            assert_eq!(found.collect::<Vec<_>>(), expected, "step {step}");
            for (key, value) in &expected {
                assert_eq!(entries.get(key), Some(value));
            }
        }
        entries.retain(|key, _| key.text.ends_with('1'));
        expected.retain(|(key, _)| key.ends_with('1'));
        assert_eq!(entries.len(), expected.len());
        for (key, value) in &expected {
            assert_eq!(entries.get(key), Some(value));
        }
    }
}
