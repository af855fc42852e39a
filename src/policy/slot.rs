//! One template of one host: which route stands there for which method.
//!
//! A route that names the method comes before one for all methods. Of several routes for the same method the one of
//! the oldest policy wins.
//!
//! A route whose methods cannot be read may have been meant for any of them. It denies wherever it could have decided:
//! for every method that no older policy names, also if an older policy has a route for all methods.

use std::sync::Arc;

use super::rules::{Access, Methods, Policy, Route};

/// A route, and the policy that it is part of.
#[derive(Clone, Debug)]
pub struct Place {
    /// The policy.
    pub policy: Arc<Policy>,
    /// One of its routes.
    pub route: Arc<Route>,
}

/// The routes of one template.
#[derive(Debug, Default)]
pub struct Slot {
    named: Box<[(Arc<str>, Place)]>,
    unknown: Option<Place>,
    all: Option<Place>,
}

impl Slot {
    /// The routes of a template, from the oldest to the youngest.
    pub(super) fn of<'p>(places: impl Iterator<Item = &'p Place>) -> Self {
        let (mut slot, mut named) = (Self::default(), Vec::<(Arc<str>, Place)>::new());
        for place in places {
            match &place.route.methods {
                Methods::All => {
                    slot.all.get_or_insert_with(|| place.clone());
                }
                Methods::Unknown => {
                    slot.unknown.get_or_insert_with(|| place.clone());
                }
                Methods::Only(methods) if slot.unknown.is_none() => {
                    for method in methods.iter() {
                        if !named.iter().any(|(taken, _)| taken == method) {
                            named.push((Arc::clone(method), place.clone()));
                        }
                    }
                }
                Methods::Only(_) => {}
            }
        }
        slot.named = named.into();
        slot
    }

    /// The route for a method. `HEAD` takes the one for `GET` if none names it.
    #[must_use]
    pub fn route(&self, method: &[u8]) -> Option<&Place> {
        let named =
            |wanted: &[u8]| self.named.iter().find(|(method, _)| method.as_bytes() == wanted).map(|(_, place)| place);
        let head = || if method == b"HEAD" { named(b"GET") } else { None };
        named(method).or(self.unknown.as_ref()).or_else(head).or(self.all.as_ref())
    }

    /// All routes here, those that name a method first.
    pub fn routes(&self) -> impl Iterator<Item = &Place> {
        self.named.iter().map(|(_, place)| place).chain(&self.unknown).chain(&self.all)
    }

    /// Whether a token is asked for by no method at all.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let open = |place: &Place| matches!(place.route.access, Access::Anonymous);
        self.all.is_some() && self.routes().all(open)
    }
}
