//! Subactions in the order in which they were asked for.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use headstart_merkle::ActionDigest;

/// What was asked for, each in the place of the look-up that found no result, if there was one: of
/// those that ran side by side the one that was begun first comes first, whichever ended first.
///
/// An action comes after those whose results are among its inputs: nobody can ask for it earlier.
#[derive(Debug)]
pub struct AskedFor<T>(Mutex<List<T>>);

#[derive(Debug)]
struct List<T> {
    places: Vec<Option<T>>,
    /// Places of look-ups that found nothing, and have not been followed by an answer yet.
    open: HashMap<ActionDigest, VecDeque<usize>>,
}

impl<T> Default for AskedFor<T> {
    fn default() -> Self {
        Self(Mutex::new(List::default()))
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self {
            places: Vec::new(),
            open: HashMap::new(),
        }
    }
}

impl<T> AskedFor<T> {
    /// A look-up has found nothing: what it is answered with later takes this place.
    pub fn missed(&self, action: ActionDigest) {
        let mut list = self.list();
        let place = list.places.len();
        list.places.push(None);
        list.open.entry(action).or_default().push_back(place);
    }

    /// A request has been answered.
    pub fn answered(&self, action: ActionDigest, answer: T) {
        let mut list = self.list();
        let open = list.open.get_mut(&action);
        match open.and_then(VecDeque::pop_front) {
            Some(place) => list.places[place] = Some(answer),
            None => list.places.push(Some(answer)),
        }
    }

    /// All answers since the last call, in order. Whoever has not been answered yet is forgotten.
    pub fn take(&self) -> Vec<T> {
        let list = std::mem::take(&mut *self.list());
        list.places.into_iter().flatten().collect()
    }

    fn list(&self) -> MutexGuard<'_, List<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_begun_first_comes_first_whichever_ends_first() {
        let [a, b, c] = ["a", "b", "c"].map(|text| ActionDigest::of(text.as_bytes()));
        let asked = AskedFor::default();
        asked.missed(a);
        asked.missed(b);
        asked.answered(c, "c, at once");
        asked.answered(b, "b");
        asked.missed(a);
        asked.answered(a, "a");
        asked.answered(a, "a again");
        asked.answered(a, "a known by now");
        assert_eq!(
            asked.take(),
            ["a", "b", "c, at once", "a again", "a known by now"]
        );
        asked.missed(b);
        assert_eq!(asked.take(), [""; 0], "never answered");
        asked.answered(b, "b");
        assert_eq!(asked.take(), ["b"]);
    }
}
