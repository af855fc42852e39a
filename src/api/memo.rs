//! What was read from objects, for as long as they stand.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::object::{Object, ObjectId};

/// What was read from each of some objects.
pub(super) struct Memo<T>(HashMap<ObjectId, (Arc<Object>, T), RandomState>);

impl<T> Default for Memo<T> {
    fn default() -> Self {
        Self(HashMap::default())
    }
}

impl<T> Memo<T> {
    /// Keeps what was read from these objects, reads those that are new or changed, and forgets all others.
    pub(super) fn renew<'r>(&mut self, objects: impl Iterator<Item = &'r Arc<Object>>, read: impl Fn(&Object) -> T) {
        let mut before = std::mem::take(&mut self.0);
        for object in objects {
            let known = before.remove(&object.id).filter(|(known, _)| same(known, object));
            let value = known.map_or_else(|| read(object), |(_, value)| value);
            self.0.insert(object.id.clone(), (Arc::clone(object), value));
        }
    }

    /// What was read from the object of this identity.
    pub(super) fn get(&self, id: &ObjectId) -> Option<&T> {
        self.0.get(id).map(|(_, value)| value)
    }

    /// The same, to add to it.
    pub(super) fn get_mut(&mut self, id: &ObjectId) -> Option<&mut T> {
        self.0.get_mut(id).map(|(_, value)| value)
    }
}

/// Takes these objects in place of those that were known; whether they are what they were.
pub(super) fn stand<'r>(known: &mut Vec<Arc<Object>>, objects: impl Iterator<Item = &'r Arc<Object>>) -> bool {
    let objects: Vec<&Arc<Object>> = objects.collect();
    let stand = objects.len() == known.len() && objects.iter().zip(&*known).all(|(one, other)| same(one, other));
    if !stand {
        *known = objects.into_iter().cloned().collect();
    }
    stand
}

/// Whether two objects are one state. Most are one object.
pub(super) fn same(one: &Arc<Object>, other: &Arc<Object>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}
