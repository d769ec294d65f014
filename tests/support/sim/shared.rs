//! An ordered map whose values are shared with its copies until one of them is changed: the model check makes a copy of the
//! world for each step, and a step changes one container of many. Used as a `BTreeMap`.

use std::collections::BTreeMap;
use std::ops::Index;
use std::sync::Arc;

/// A map that is cheap to copy.
#[derive(Debug, Clone)]
pub struct Shared<K, V>(BTreeMap<K, Arc<V>>);

impl<K, V> Default for Shared<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord, V: Clone> Shared<K, V> {
    pub fn get(&self, key: &K) -> Option<&V> {
        self.0.get(key).map(|value| &**value)
    }

    /// A value to be changed: from here on it is this map's own.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.0.get_mut(key).map(Arc::make_mut)
    }

    pub fn contains_key(&self, key: &K) -> bool {
        self.0.contains_key(key)
    }

    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.0.insert(key, Arc::new(value)).map(Arc::unwrap_or_clone)
    }

    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.0.remove(key).map(Arc::unwrap_or_clone)
    }

    pub fn keys(&self) -> impl Iterator<Item = &K> + Clone {
        self.0.keys()
    }

    pub fn values(&self) -> impl Iterator<Item = &V> + Clone {
        self.0.values().map(|value| &**value)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> + Clone {
        self.0.iter().map(|(key, value)| (key, &**value))
    }

    /// Whether a value is the same as in another map because neither has changed it since one was copied from the other.
    pub fn is_shared(&self, other: &Self, key: &K) -> bool {
        let both = self.0.get(key).zip(other.0.get(key));
        both.is_some_and(|(one, other)| Arc::ptr_eq(one, other))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: Ord, V> Index<&K> for Shared<K, V> {
    type Output = V;

    fn index(&self, key: &K) -> &V {
        &self.0[key]
    }
}
