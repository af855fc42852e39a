//! What a proxy may name for a route, from one compilation to the next: each policy that is enforced here, and for each
//! application the policies of its own namespace. Those that another namespace attaches to the application are reached by
//! their own names only, so that nobody adds routes to what others have named.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::policy::rules::{Mode, Poison, Policy, PolicyId};
use crate::policy::scope::{ByName, Scope, Scopes as Published};

use super::policy::ReadPolicy;

/// The scopes.
#[derive(Default)]
pub(super) struct Scopes {
    /// By namespace and policy.
    policies: BTreeMap<PolicyId, Arc<ReadPolicy>>,
    /// Those that came or left; the applications of their namespaces have to be looked at again, too.
    touched: HashSet<PolicyId, RandomState>,
    published: Arc<Published>,
}

/// What a scope is made of.
type Merged = (Vec<Arc<Policy>>, Option<Poison>);

impl Scopes {
    /// A policy comes.
    pub(super) fn enter(&mut self, read: &Arc<ReadPolicy>) {
        self.touch(read);
        self.policies.insert(read.policy.id().clone(), Arc::clone(read));
    }

    /// A policy leaves.
    pub(super) fn leave(&mut self, read: &Arc<ReadPolicy>) {
        if self.policies.remove(read.policy.id()).is_some() {
            self.touch(read);
        }
    }

    fn touch(&mut self, read: &ReadPolicy) {
        self.touched.insert(read.policy.id().clone());
    }

    /// The scopes as they are now, and whether they are others than before.
    pub(super) fn settle(&mut self) -> (Arc<Published>, bool) {
        let touched = std::mem::take(&mut self.touched);
        let changed = !touched.is_empty();
        if changed {
            let mut next = Published::clone(&self.published);
            touched.iter().for_each(|id| self.of_policy(id, &mut next.policies));
            self.of_namespaces(touched.into_iter().map(|id| id.namespace).collect(), &mut next.applications);
            self.published = Arc::new(next);
        }
        (Arc::clone(&self.published), changed)
    }

    fn of_policy(&self, id: &PolicyId, scopes: &mut ByName) {
        let name: Arc<str> = id.to_string().into();
        match self.policies.get(id) {
            Some(read) => {
                let poison = read.claims.poison.clone().filter(|_| read.policy.mode == Mode::Enforce);
                put(scopes, name, (vec![Arc::clone(&read.policy)], poison));
            }
            None => drop(scopes.remove(&name)),
        }
    }

    fn of_namespaces(&self, namespaces: HashSet<Arc<str>, RandomState>, scopes: &mut ByName) {
        let mut there = BTreeMap::new();
        namespaces.iter().for_each(|namespace| there.extend(self.of_namespace(namespace)));
        let touched = |name: &str| name.split_once('/').is_some_and(|(namespace, _)| namespaces.contains(namespace));
        scopes.retain(|name, _| !touched(name) || there.contains_key(name));
        there.into_iter().for_each(|(name, policies)| put(scopes, name, policies));
    }

    /// The applications of a namespace that have policies there.
    fn of_namespace(&self, namespace: &Arc<str>) -> impl Iterator<Item = (Arc<str>, Merged)> + use<> {
        let first = PolicyId { namespace: Arc::clone(namespace), name: "".into() };
        let own = || {
            let from = self.policies.range(first.clone()..);
            from.map(|(_, read)| read).take_while(|read| read.policy.id().namespace == *namespace)
        };
        let poison = own().find_map(|read| anywhere(read));
        let mut policies = BTreeMap::<Arc<str>, Vec<Arc<Policy>>>::new();
        for read in own() {
            if let Some(target) = read.target.as_ref().filter(|target| target.namespace == *namespace) {
                let name = format!("{}/{}", target.namespace, target.name);
                policies.entry(name.into()).or_default().push(Arc::clone(&read.policy));
            }
        }
        policies.into_iter().map(move |(name, policies)| (name, (policies, poison.clone())))
    }
}

/// A policy that may have been meant for any application of its namespace closes them all: without it, what it guards
/// would fall to the others.
fn anywhere(read: &ReadPolicy) -> Option<Poison> {
    let lost = read.target.is_none() && !read.is_abroad && read.policy.mode == Mode::Enforce;
    let lost = lost.then(|| Poison(format!("the application of `{}` cannot be told", read.policy.id()).into()));
    lost.or_else(|| read.claims.poison.clone().filter(|_| read.policy.mode == Mode::Enforce))
}

/// What stands stays, and what is in use is merged now instead of by the next request.
fn put(scopes: &mut ByName, name: Arc<str>, (policies, poison): Merged) {
    let former = scopes.get(&name);
    if former.is_some_and(|former| former.is_of(&policies, poison.as_ref())) {
        return;
    }
    let is_used = former.is_some_and(|former| former.is_used());
    let scope = Scope::new(policies, poison);
    if is_used {
        let _merged = scope.table();
    }
    scopes.insert(name, Arc::new(scope));
}
