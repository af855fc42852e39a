//! The copy of the resources: what each kind's watch has told so far.
//!
//! A list that is under way is built aside and takes the place of the former one when it is whole, so that a relist shows
//! neither a gap nor objects that are gone.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api::object::{Kind, Object, ObjectId, Resources};

/// What a watch tells.
#[derive(Debug)]
pub(super) enum Change {
    /// A new list begins.
    Begin,
    /// It holds this.
    Listed(Arc<Object>),
    /// It is whole.
    Complete,
    /// This is new or changed.
    Put(Arc<Object>),
    /// This is gone.
    Gone(ObjectId),
}

/// What is known of one kind.
#[derive(Debug, Default)]
struct Shelf {
    listing: Option<BTreeMap<ObjectId, Arc<Object>>>,
    complete: bool,
}

/// Everything that is known.
#[derive(Debug)]
pub(super) struct Store {
    resources: Resources,
    kinds: BTreeMap<Kind, Shelf>,
    changed: bool,
}

impl Store {
    /// Nothing is known of these kinds yet.
    pub(super) fn new(kinds: impl IntoIterator<Item = Kind>) -> Self {
        let kinds = kinds.into_iter().map(|kind| (kind, Shelf::default())).collect();
        Self { resources: Resources::new(), kinds, changed: true }
    }

    /// Takes a change in.
    pub(super) fn apply(&mut self, kind: Kind, change: Change) {
        let Some(shelf) = self.kinds.get_mut(&kind) else { return };
        match (change, &mut shelf.listing) {
            (Change::Begin, listing) => *listing = Some(BTreeMap::new()),
            (Change::Listed(object) | Change::Put(object), Some(listing)) => {
                drop(listing.insert(object.id.clone(), object));
            }
            (Change::Gone(id), Some(listing)) => drop(listing.remove(&id)),
            (Change::Complete, listing) => {
                let listed = listing.take().unwrap_or_default();
                shelf.complete = true;
                self.replace(kind, listed);
            }
            (Change::Listed(object) | Change::Put(object), None) => self.put(object),
            (Change::Gone(id), None) => self.changed |= self.resources.remove(&id).is_some(),
        }
    }

    /// All resources, if every kind was listed once and something changed since the last time.
    pub(super) fn news(&mut self) -> Option<Arc<Resources>> {
        let whole = self.kinds.values().all(|shelf| shelf.complete);
        (whole && std::mem::take(&mut self.changed)).then(|| Arc::new(self.resources.clone()))
    }

    /// Kinds that were never listed.
    pub(super) fn missing(&self) -> impl Iterator<Item = Kind> {
        self.kinds.iter().filter(|(_, shelf)| !shelf.complete).map(|(kind, _)| *kind)
    }

    /// Takes a kind for one of which there is nothing any more, or never was.
    pub(super) fn empty(&mut self, kind: Kind) {
        self.changed |= self.kinds.get(&kind).is_some_and(|shelf| !shelf.complete);
        self.apply(kind, Change::Begin);
        self.apply(kind, Change::Complete);
    }

    /// Whether a kind was listed, or is taken for one of which there is nothing.
    pub(super) fn lists(&self, kind: Kind) -> bool {
        self.kinds.get(&kind).is_some_and(|shelf| shelf.complete)
    }

    /// Whether there is anything of a kind.
    pub(super) fn holds(&self, kind: Kind) -> bool {
        self.resources.of(kind).next().is_some()
    }

    fn put(&mut self, object: Arc<Object>) {
        if self.resources.get(&object.id).is_none_or(|known| **known != *object) {
            self.resources.put(object);
            self.changed = true;
        }
    }

    fn replace(&mut self, kind: Kind, listed: BTreeMap<ObjectId, Arc<Object>>) {
        let gone: Vec<ObjectId> =
            self.resources.of(kind).map(|object| object.id.clone()).filter(|id| !listed.contains_key(id)).collect();
        for id in gone {
            self.resources.remove(&id);
            self.changed = true;
        }
        listed.into_values().for_each(|object| self.put(object));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::{Change, Store};
    use crate::api::object::{Kind, Object};

    fn map(name: &str, value: &str) -> Arc<Object> {
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"x": value}});
        Arc::new(Object::new(body.as_object().unwrap().clone()).unwrap().unwrap())
    }

    fn names(store: &mut Store) -> Option<Vec<String>> {
        store.news().map(|all| all.of(Kind::ConfigMap).map(|object| object.id.name.to_string()).collect())
    }

    #[test]
    fn nothing_is_told_before_every_kind_is_whole() {
        let mut store = Store::new([Kind::ConfigMap, Kind::AccessPolicy]);
        store.apply(Kind::ConfigMap, Change::Begin);
        store.apply(Kind::ConfigMap, Change::Listed(map("a", "1")));
        store.apply(Kind::ConfigMap, Change::Complete);
        assert_eq!(names(&mut store), None);
        assert_eq!(store.missing().collect::<Vec<_>>(), [Kind::AccessPolicy]);
        store.apply(Kind::AccessPolicy, Change::Begin);
        store.apply(Kind::AccessPolicy, Change::Complete);
        assert_eq!(names(&mut store), Some(vec!["a".to_owned()]));
        assert_eq!(names(&mut store), None, "nothing changed since");
    }

    #[test]
    fn a_new_list_leaves_no_gap_and_keeps_nothing_that_is_gone() {
        let mut store = Store::new([Kind::ConfigMap]);
        for change in [Change::Begin, Change::Listed(map("a", "1")), Change::Listed(map("b", "1")), Change::Complete] {
            store.apply(Kind::ConfigMap, change);
        }
        assert_eq!(names(&mut store), Some(vec!["a".to_owned(), "b".to_owned()]));
        store.apply(Kind::ConfigMap, Change::Begin);
        store.apply(Kind::ConfigMap, Change::Listed(map("b", "1")));
        assert_eq!(names(&mut store), None, "the former list stands until the new one is whole");
        store.apply(Kind::ConfigMap, Change::Complete);
        assert_eq!(names(&mut store), Some(vec!["b".to_owned()]));
    }

    #[test]
    fn a_list_that_brings_nothing_new_is_no_news() {
        let mut store = Store::new([Kind::ConfigMap]);
        for _ in 0..2 {
            store.apply(Kind::ConfigMap, Change::Begin);
            store.apply(Kind::ConfigMap, Change::Listed(map("a", "1")));
            store.apply(Kind::ConfigMap, Change::Complete);
        }
        assert!(names(&mut store).is_some());
        store.apply(Kind::ConfigMap, Change::Put(map("a", "1")));
        store.apply(Kind::ConfigMap, Change::Gone(map("z", "1").id.clone()));
        assert_eq!(names(&mut store), None);
        store.apply(Kind::ConfigMap, Change::Put(map("a", "2")));
        assert!(names(&mut store).is_some());
    }
}
