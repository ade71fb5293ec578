//! Many short lists close together, for what is gone through in no order at all.

/// A list for each of many things that are known by their numbers.
#[derive(Clone, Debug)]
pub(crate) struct Lists<T> {
    /// Where each list but the first begins, and the end of the last.
    ends: Vec<usize>,
    items: Vec<T>,
}

impl<T> Lists<T> {
    /// The list of one.
    pub(crate) fn of(&self, index: usize) -> &[T] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.items[start..self.ends[index]]
    }

    /// What is in all lists.
    pub(crate) fn items(&self) -> &[T] {
        &self.items
    }
}

impl<T> Default for Lists<T> {
    fn default() -> Self {
        Self {
            ends: Vec::new(),
            items: Vec::new(),
        }
    }
}

impl<T, L: IntoIterator<Item = T>> FromIterator<L> for Lists<T> {
    fn from_iter<I: IntoIterator<Item = L>>(lists: I) -> Self {
        let mut all = Self::default();
        for list in lists {
            all.items.extend(list);
            all.ends.push(all.items.len());
        }
        all
    }
}
