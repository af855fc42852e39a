//! Kinds that the API server refuses to list, and when that means that there is none of them.
//!
//! One of several API servers may lag behind, and not know yet what the others do: a refusal counts once it lasted, and for
//! what was listed before only if the kind itself is unknown, and much longer. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::api::object::Kind;

use super::store::Store;

/// A kind that was never listed is refused for so long before there is none of it.
const DOUBT: Duration = Duration::from_secs(2);
/// A kind that was listed is unknown for so long before it is gone.
const GONE: Duration = Duration::from_secs(30);

/// How a kind is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The API server does not know it.
    Unknown,
    /// This account may not read it.
    Forbidden,
}

/// Kinds that are refused at the moment: how, and since when without a break.
#[derive(Debug, Default)]
pub(super) struct Refusals(BTreeMap<Kind, (Instant, Refusal)>);

impl Refusals {
    /// A kind is refused once more.
    pub(super) fn hear(&mut self, kind: Kind, refusal: Refusal, now: Instant) {
        let known = self.0.entry(kind).or_insert((now, refusal));
        if known.1 != refusal {
            *known = (now, refusal);
        }
    }

    /// A kind is not refused any more, or nobody can tell.
    pub(super) fn forget(&mut self, kind: Kind) {
        self.0.remove(&kind);
    }

    /// When the next kind counts as if there were none of it, if it goes on to be refused.
    pub(super) fn due(&self, store: &Store) -> Option<Instant> {
        self.0.keys().filter_map(|kind| self.end(*kind, store)).min()
    }

    /// Takes note of the kinds of which there is none from here on, and names them.
    pub(super) fn settle(&self, store: &mut Store, now: Instant) -> Vec<Kind> {
        let mut over = self.0.clone();
        over.retain(|kind, _| self.end(*kind, store).is_some_and(|end| end <= now));
        for (kind, (_, refusal)) in &over {
            let code = match refusal {
                Refusal::Unknown => "kind_unknown",
                Refusal::Forbidden => "watch_forbidden",
            };
            tracing::warn!(code, kind = kind.as_str(), "counts as if there were none");
            store.empty(*kind);
        }
        over.into_keys().collect()
    }

    /// What was listed and is forbidden now stays.
    fn end(&self, kind: Kind, store: &Store) -> Option<Instant> {
        let (since, refusal) = self.0.get(&kind)?;
        match (store.lists(kind), refusal) {
            (false, _) => since.checked_add(DOUBT),
            (true, Refusal::Unknown) if store.holds(kind) => since.checked_add(GONE),
            (true, Refusal::Unknown | Refusal::Forbidden) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use serde_json::json;
    use tokio::time::Instant;

    use super::{Refusal, Refusals};
    use crate::api::object::{Kind, Object};
    use crate::cluster::store::{Change, Store};

    const ROUTES: Kind = Kind::HttpRoute;

    /// A store that lists one route, or nothing yet.
    fn store(listed: bool) -> Store {
        let mut store = Store::new([ROUTES]);
        if listed {
            let version = "gateway.networking.k8s.io/v1";
            let body = json!({"apiVersion": version, "kind": "HTTPRoute", "metadata": {"name": "web"}});
            let route = Object::new(body.as_object().unwrap().clone()).unwrap().unwrap();
            for change in [Change::Begin, Change::Listed(Arc::new(route)), Change::Complete] {
                store.apply(ROUTES, change);
            }
        }
        store
    }

    #[test]
    fn a_refusal_counts_once_it_lasted() {
        let (unknown, forbidden) = (Refusal::Unknown, Refusal::Forbidden);
        for (listed, refusal, lasts) in
            [(false, unknown, Some(2)), (false, forbidden, Some(2)), (true, unknown, Some(30)), (true, forbidden, None)]
        {
            let (mut store, mut refusals, began) = (store(listed), Refusals::default(), Instant::now());
            let at = |seconds| began + Duration::from_secs(seconds);
            refusals.hear(ROUTES, refusal, began);
            refusals.hear(ROUTES, refusal, at(1));
            assert_eq!(refusals.due(&store), lasts.map(at), "{listed} {refusal:?}");
            assert!(refusals.settle(&mut store, at(lasts.unwrap_or(1000) - 1)).is_empty());
            assert_eq!((store.holds(ROUTES), store.lists(ROUTES)), (listed, listed));
            let gone = refusals.settle(&mut store, at(lasts.unwrap_or(1000)));
            assert_eq!(gone, [ROUTES].repeat(usize::from(lasts.is_some())), "{listed} {refusal:?}");
            assert_eq!((store.holds(ROUTES), store.lists(ROUTES)), (lasts.is_none(), true));
            // it is there again
            refusals.forget(ROUTES);
            assert_eq!(refusals.due(&store), None);
        }
    }

    #[test]
    fn another_refusal_and_a_failure_begin_anew() {
        let (store, mut refusals, began) = (store(true), Refusals::default(), Instant::now());
        let at = |seconds| began + Duration::from_secs(seconds);
        refusals.hear(ROUTES, Refusal::Unknown, began);
        refusals.hear(ROUTES, Refusal::Forbidden, at(10));
        assert_eq!(refusals.due(&store), None);
        refusals.hear(ROUTES, Refusal::Unknown, at(20));
        assert_eq!(refusals.due(&store), Some(at(50)));
        refusals.forget(ROUTES);
        refusals.hear(ROUTES, Refusal::Unknown, at(40));
        assert_eq!(refusals.due(&store), Some(at(70)));
    }
}
