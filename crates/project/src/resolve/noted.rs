//! What comes up while elements are looked at, by several threads and in any order.

use std::sync::{Mutex, PoisonError};

use crate::in_order::lock;

/// Things that have been noted of elements, by the elements' places.
#[derive(Debug)]
pub(super) struct Noted<T>(Mutex<Vec<(usize, T)>>);

impl<T> Default for Noted<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Noted<T> {
    /// Notes something of the element at a place.
    pub(super) fn add(&self, place: usize, it: T) {
        lock(&self.0).push((place, it));
    }

    /// All in the order of the elements, and what is of one element as it was noted.
    pub(super) fn in_order(self) -> impl Iterator<Item = (usize, T)> {
        let mut noted = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        noted.sort_by_key(|(place, _)| *place);
        noted.into_iter()
    }
}
