//! The entries of a directory: a list in order of names, used like a map.
//!
//! Directories are read far more often than changed, and by the ten thousands: one list takes one
//! allocation, and walking it is walking memory in order.

use std::borrow::Borrow;
use std::cmp::Ordering;

use super::Node;
use crate::path::Name;

/// Named nodes in order of their names, which compare as bytes; each name once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entries(Vec<(Name, Node)>);

impl Entries {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The node called `name`.
    pub fn get(&self, name: &(impl Borrow<str> + ?Sized)) -> Option<&Node> {
        let place = self.find(name.borrow()).ok()?;
        Some(&self.0[place].1)
    }

    /// The node at a place in the order of names.
    pub fn nth(&self, place: usize) -> Option<(&Name, &Node)> {
        let (name, node) = self.0.get(place)?;
        Some((name, node))
    }

    /// Whether a node is called `name`.
    pub fn contains_key(&self, name: &(impl Borrow<str> + ?Sized)) -> bool {
        self.find(name.borrow()).is_ok()
    }

    /// Sets the node called `name`, and gives the one that was there. Names that come in order are
    /// added in constant time, others in linear time: many of them are better collected.
    pub fn insert(&mut self, name: Name, node: Node) -> Option<Node> {
        if self.0.last().is_none_or(|(last, _)| *last < name) {
            self.0.push((name, node));
            return None;
        }
        match self.find(name.as_str()) {
            Ok(place) => Some(std::mem::replace(&mut self.0[place].1, node)),
            Err(place) => {
                self.0.insert(place, (name, node));
                None
            }
        }
    }

    /// Takes the node called `name` away; in linear time.
    pub fn remove(&mut self, name: &(impl Borrow<str> + ?Sized)) -> Option<Node> {
        let place = self.find(name.borrow()).ok()?;
        Some(self.0.remove(place).1)
    }

    /// All of them, in order of names.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Name, &Node)> + ExactSizeIterator {
        self.0.iter().map(|(name, node)| (name, node))
    }

    /// The names, in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &Name> + ExactSizeIterator {
        self.0.iter().map(|(name, _)| name)
    }

    /// The nodes, in order of names.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &Node> + ExactSizeIterator {
        self.0.iter().map(|(_, node)| node)
    }

    /// Three lists, each in order, as one; the name that occurs twice, if one does.
    pub(super) fn merged(mut list: Vec<(Name, Node)>) -> Result<Self, Name> {
        if list.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
            list.sort_by(|(a, _), (b, _)| a.cmp(b));
            if let Some(pair) = list.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                return Err(pair[0].0.clone());
            }
        }
        Ok(Self(list))
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        let compare = |(other, _): &(Name, Node)| -> Ordering { other.as_str().cmp(name) };
        self.0.binary_search_by(compare)
    }
}

/// Of several nodes with the same name the last counts.
impl FromIterator<(Name, Node)> for Entries {
    fn from_iter<I: IntoIterator<Item = (Name, Node)>>(nodes: I) -> Self {
        let mut list: Vec<_> = nodes.into_iter().collect();
        list.sort_by(|(a, _), (b, _)| a.cmp(b));
        list.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                std::mem::swap(later, earlier);
            }
            same
        });
        Self(list)
    }
}

impl<'a> IntoIterator for &'a Entries {
    type Item = (&'a Name, &'a Node);
    type IntoIter = std::iter::Map<
        std::slice::Iter<'a, (Name, Node)>,
        fn(&'a (Name, Node)) -> (&'a Name, &'a Node),
    >;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().map(|(name, node)| (name, node))
    }
}

impl IntoIterator for Entries {
    type Item = (Name, Node);
    type IntoIter = std::vec::IntoIter<(Name, Node)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<const N: usize> From<[(Name, Node); N]> for Entries {
    fn from(nodes: [(Name, Node); N]) -> Self {
        nodes.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::SymlinkNode;

    fn entry(name: &str, target: &str) -> (Name, Node) {
        let link = SymlinkNode::new(target);
        (Name::new(name).unwrap(), Node::Symlink(link))
    }

    #[test]
    fn however_it_is_made_it_is_in_order_with_each_name_once() {
        let nodes = [
            entry("b", "1"),
            entry("a", "2"),
            entry("c", "3"),
            entry("a", "4"),
        ];
        let collected = Entries::from(nodes.clone());
        let mut inserted = Entries::default();
        for (name, node) in nodes {
            inserted.insert(name, node);
        }
        assert_eq!(inserted, collected);
        let names: Vec<_> = inserted.keys().map(Name::as_str).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(inserted.get("a"), Some(&entry("a", "4").1));
        assert_eq!(inserted.remove("b"), Some(entry("b", "1").1));
        assert!(!inserted.contains_key("b") && inserted.len() == 2);
        assert_eq!(inserted.remove("b"), None);
    }
}
