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

    /// The nodes of this list and of another by their names, in order; in linear time.
    pub fn beside<'a>(
        &'a self,
        other: &'a Self,
    ) -> impl Iterator<Item = (&'a Name, Option<&'a Node>, Option<&'a Node>)> {
        let (mut ours, mut theirs) = (self.0.as_slice(), other.0.as_slice());
        std::iter::from_fn(move || {
            let order = match (ours.first(), theirs.first()) {
                (Some((one, _)), Some((other, _))) => one.cmp(other),
                (Some(_), None) => Ordering::Less,
                (None, _) => Ordering::Greater,
            };
            let one = order.is_le().then(|| take_first(&mut ours)).flatten();
            let other = order.is_ge().then(|| take_first(&mut theirs)).flatten();
            let (name, _) = one.or(other)?;
            Some((name, one.map(|(_, node)| node), other.map(|(_, node)| node)))
        })
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

fn take_first<'a>(list: &mut &'a [(Name, Node)]) -> Option<&'a (Name, Node)> {
    let (first, rest) = list.split_first()?;
    *list = rest;
    Some(first)
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

    #[test]
    fn two_lists_are_walked_side_by_side() {
        let one = Entries::from([entry("a", "1"), entry("b", "2"), entry("d", "3")]);
        let other = Entries::from([entry("b", "4"), entry("c", "5"), entry("e", "6")]);
        let walk = |one: &Entries, other: &Entries| -> Vec<(String, Option<Node>, Option<Node>)> {
            let pairs = one.beside(other);
            let owned =
                pairs.map(|(name, one, other)| (name.to_string(), one.cloned(), other.cloned()));
            owned.collect()
        };
        let expected = ["a", "b", "c", "d", "e"].map(|name| {
            let (one, other) = (one.get(name).cloned(), other.get(name).cloned());
            (name.to_owned(), one, other)
        });
        assert_eq!(walk(&one, &other), expected);
        assert_eq!(walk(&one, &Entries::default()).len(), 3);
        assert_eq!(walk(&Entries::default(), &Entries::default()), []);
    }
}
