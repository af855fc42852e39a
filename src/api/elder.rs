//! Which route came first for a host, among those on the Gateways of one namespace, and of that namespace on others.
//!
//! Of two routes with one host the Gateway API prefers the older one, by creation, then by namespace and name. Whoever comes
//! later with a route for a host that others serve there must not decide about them, on no listener: Entrance is asked about a
//! host, and not told by which listener it came. A route that reaches nobody serves nothing, so it does not count.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::policy::host::HostPattern;

use super::object::{Object, ObjectId};

/// By the namespace.
#[derive(Default)]
pub(super) struct Elders(HashMap<Arc<str>, Elder, RandomState>);

/// The oldest routes that concern a namespace.
#[derive(Default)]
struct Elder {
    /// With this host.
    at: HashMap<HostPattern, Age, RandomState>,
    /// With a host below this wildcard.
    below: HashMap<HostPattern, Age, RandomState>,
}

/// The least came first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Age {
    created: i128,
    namespace: Arc<str>,
    name: Arc<str>,
    route: ObjectId,
}

impl Elders {
    /// Forgets all routes.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// A route has this host, on a Gateway of the namespace or as one of its own.
    pub(super) fn note(&mut self, namespace: &Arc<str>, (route, host): (&Object, &HostPattern)) {
        let elder = self.0.entry(Arc::clone(namespace)).or_default();
        let age = Age {
            created: route.created.unwrap_or(i128::MAX),
            namespace: Arc::clone(&route.id.namespace),
            name: Arc::clone(&route.id.name),
            route: route.id.clone(),
        };
        let all = (*host != HostPattern::Any).then_some(HostPattern::Any);
        for pattern in host.above().chain(all) {
            oldest(&mut elder.below, pattern, &age);
        }
        oldest(&mut elder.at, host.clone(), &age);
    }

    /// The route that came first, of those that cover the host, or a part of it.
    pub(super) fn of(&self, namespace: &str, host: &HostPattern) -> Option<&ObjectId> {
        let elder = self.0.get(namespace)?;
        let above = host.above().filter_map(|pattern| elder.at.get(&pattern));
        let others = [elder.at.get(host), elder.at.get(&HostPattern::Any), elder.below.get(host)];
        above.chain(others.into_iter().flatten()).min().map(|age| &age.route)
    }
}

fn oldest(ages: &mut HashMap<HostPattern, Age, RandomState>, host: HostPattern, age: &Age) {
    let known = ages.entry(host).or_insert_with(|| age.clone());
    if *age < *known {
        known.clone_from(age);
    }
}
