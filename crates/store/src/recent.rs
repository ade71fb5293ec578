//! Memories of bounded size, in which stays what is asked for.

use std::collections::HashMap;
use std::hash::Hash;

/// What was used of late, in two generations: when the younger one is full it becomes the older one,
/// and what nobody asked for since is forgotten.
#[derive(Debug)]
pub struct Recent<K, V> {
    younger: HashMap<K, V>,
    older: HashMap<K, V>,
    /// Of all that is in the younger generation.
    weight: usize,
    limit: usize,
    weigh: fn(&V) -> usize,
    forget: fn(HashMap<K, V>),
}

impl<K: Eq + Hash, V: Clone> Recent<K, V> {
    /// A memory whose generations each are full at a weight of `limit`. What is forgotten is given to
    /// `forget`.
    pub fn new(limit: usize, weigh: fn(&V) -> usize, forget: fn(HashMap<K, V>)) -> Self {
        Self {
            younger: HashMap::new(),
            older: HashMap::new(),
            weight: 0,
            limit,
            weigh,
            forget,
        }
    }

    /// What is remembered; it is used by that.
    pub fn get(&mut self, key: &K) -> Option<V> {
        if let Some(value) = self.younger.get(key) {
            return Some(value.clone());
        }
        let (key, value) = self.older.remove_entry(key)?;
        self.insert(key, value.clone());
        Some(value)
    }

    /// Whether it is remembered; it is not used by that.
    pub fn contains(&self, key: &K) -> bool {
        self.younger.contains_key(key) || self.older.contains_key(key)
    }

    /// Remembers something.
    pub fn insert(&mut self, key: K, value: V) {
        if self.weight >= self.limit {
            let younger = std::mem::take(&mut self.younger);
            (self.forget)(std::mem::replace(&mut self.older, younger));
            self.weight = 0;
        }
        self.weight += (self.weigh)(&value);
        self.younger.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_rest_is_forgotten() {
        let mut recent = Recent::new(8, |weight| *weight, drop);
        recent.insert("once", 2);
        for number in 0..20 {
            recent.insert("always", 2);
            assert_eq!(recent.get(&"always"), Some(2));
            recent.insert(["even", "odd"][number % 2], 1);
        }
        assert!(!recent.contains(&"once"));
        assert_eq!(recent.get(&"once"), None);
        assert!(recent.contains(&"always"));
    }

    #[test]
    fn no_generation_is_much_heavier_than_it_may_be() {
        let mut recent = Recent::new(100, |weight| *weight, drop);
        for number in 0..1000_usize {
            recent.insert(number, 1 + number % 7);
            let weight: usize = recent.younger.values().sum();
            assert!(weight < 107 && weight == recent.weight, "{weight}");
        }
        // Looking alone keeps nothing.
        assert!(recent.contains(recent.older.keys().next().unwrap()));
        assert_eq!(recent.weight, recent.younger.values().sum());
    }
}
