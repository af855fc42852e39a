//! Who may speak for a host, and what stands on it.
//!
//! At a shared gateway a host belongs to the namespace of the oldest policy that names it, unless the installer pinned
//! it: a pin beats age, and a pinned wildcard covers the hosts below it. A sidecar guards its own pod by the policies of
//! its own namespace; nobody else is in question there.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::policy::host::HostPattern;
use crate::policy::rules::{Mode, Poison, Policy, Seniority};

use super::compile::{Scope, Settings};
use super::fault::{About, Fault, FieldPath};
use super::object::{Kind, ObjectId};
use super::policy::ReadPolicy;

/// What stands on one host.
pub(super) struct Claim<'a> {
    /// The policies, in the order of their ids.
    pub(super) policies: Few<&'a Arc<Policy>>,
    /// Why everything there is denied.
    pub(super) poison: Option<&'a Poison>,
}

/// One or more. Most hosts are named by one policy, and there may be ten thousand of them: one takes no memory of its own.
pub(super) struct Few<T> {
    first: T,
    more: Vec<T>,
}

impl<T: Copy> Few<T> {
    const fn one(first: T) -> Self {
        Self { first, more: Vec::new() }
    }

    fn of(mut all: impl Iterator<Item = T>) -> Option<Self> {
        let first = all.next()?;
        Some(Self { first, more: all.collect() })
    }

    /// All of them, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = T> {
        std::iter::once(self.first).chain(self.more.iter().copied())
    }
}

/// Claims by host, each host once, and the faults of those who named a host of somebody else.
pub(super) type Claims<'a> = (Vec<(&'a HostPattern, Claim<'a>)>, Vec<Fault>);

/// Sorts out which policy speaks for which host.
pub(super) fn claims<'a>(policies: &[&'a ReadPolicy], settings: &Settings) -> Claims<'a> {
    let concerned: Vec<&ReadPolicy> = policies.iter().copied().filter(|read| concerns(read, &settings.scope)).collect();
    let spoiled = spoiled(&concerned);
    let (mut claims, mut faults) = (Vec::with_capacity(concerned.len()), Vec::new());
    for (host, named) in named(&concerned) {
        let owner = named.owner(host, settings);
        let owns = |read: &&ReadPolicy| owner.is_none_or(|owner| *owner.namespace == *read.policy.id().namespace);
        if let Some(owner) = &owner {
            let others = named.by.iter().filter(|read| !owns(read));
            faults.extend(others.map(|read| elsewhere(read, host, owner)));
        }
        if let Some(policies) = Few::of(named.by.iter().filter(owns).map(|read| &read.policy)) {
            let poison = spoiled.get(&*policies.first.id().namespace).copied();
            claims.push((host, Claim { policies, poison }));
        }
    }
    (claims, faults)
}

/// Who names a host.
struct Named<'a> {
    oldest: &'a Seniority,
    by: Few<&'a ReadPolicy>,
}

type ByHost<'a, T> = HashMap<&'a HostPattern, T, foldhash::fast::RandomState>;

fn named<'a>(concerned: &[&'a ReadPolicy]) -> ByHost<'a, Named<'a>> {
    let mut all: ByHost<'a, Named<'a>> = ByHost::with_capacity_and_hasher(concerned.len(), Default::default());
    for read in concerned {
        let seniority = &read.policy.seniority;
        for host in &read.hosts {
            match all.entry(host) {
                Entry::Vacant(free) => {
                    free.insert(Named { oldest: seniority, by: Few::one(read) });
                }
                Entry::Occupied(mut taken) => {
                    let named = taken.get_mut();
                    named.by.more.push(read);
                    named.oldest = named.oldest.min(seniority);
                }
            }
        }
    }
    all
}

fn concerns(read: &ReadPolicy, scope: &Scope) -> bool {
    match scope {
        Scope::Gateway => read.selector.is_none(),
        Scope::Workload { namespace, labels } => {
            read.policy.id().namespace == *namespace
                && read.selector.as_ref().is_none_or(|selector| selector.matches(labels))
        }
    }
}

/// A broken host takes along every host of its namespace, since any of them may have been meant. A policy that only
/// records takes nothing along.
fn spoiled<'a>(concerned: &[&'a ReadPolicy]) -> BTreeMap<&'a str, &'a Poison> {
    let mut spoiled = BTreeMap::new();
    for read in concerned {
        if let (Some(poison), Mode::Enforce) = (&read.host_poison, read.policy.mode) {
            // INVARIANT: `concerned` is ordered, so that which of several reasons is told does not depend on chance.
            spoiled.entry(&*read.policy.id().namespace).or_insert(poison);
        }
    }
    spoiled
}

/// Who owns a host.
#[derive(Clone, Copy)]
struct Owner<'a> {
    namespace: &'a str,
    /// The policy that was first; `None`: the host is pinned.
    by: Option<&'a Seniority>,
}

type Pins = BTreeMap<HostPattern, Arc<str>>;

impl<'a> Named<'a> {
    /// `None`: whoever names the host may. A sidecar guards its own pod, and one policy has nobody to dispute with.
    fn owner(&self, host: &HostPattern, settings: &'a Settings) -> Option<Owner<'a>> {
        match settings.scope {
            Scope::Workload { .. } => None,
            Scope::Gateway if self.by.more.is_empty() && settings.pins.is_empty() => None,
            Scope::Gateway => Some(match pinned(host, &settings.pins) {
                Some(namespace) => Owner { namespace, by: None },
                None => Owner { namespace: &self.oldest.id.namespace, by: Some(self.oldest) },
            }),
        }
    }
}

/// The pin of the host itself, else that of the nearest wildcard above it.
fn pinned<'a>(host: &HostPattern, pins: &'a Pins) -> Option<&'a str> {
    if pins.is_empty() {
        return None;
    }
    if let Some(namespace) = pins.get(host) {
        return Some(namespace);
    }
    let name = match host {
        HostPattern::Exact(name) | HostPattern::Wildcard(name) => name,
        HostPattern::Any => return None,
    };
    let parents = std::iter::successors(Some(&**name), |name| name.split_once('.').map(|(_, parent)| parent)).skip(1);
    parents.into_iter().find_map(|parent| pins.get(&HostPattern::Wildcard(parent.into()))).map(|namespace| &**namespace)
}

fn elsewhere(read: &ReadPolicy, host: &HostPattern, owner: &Owner<'_>) -> Fault {
    let id = read.policy.id();
    let object =
        ObjectId { kind: Kind::AccessPolicy, namespace: Arc::clone(&id.namespace), name: Arc::clone(&id.name) };
    let how = match owner.by {
        Some(first) => format!("by the older policy `{}`", first.id),
        None => "by a pin of the installation".to_owned(),
    };
    let problem = format!(
        "`{host}` belongs to the namespace `{}` {how}, so that this policy is not enforced there (HostOwnedElsewhere)",
        owner.namespace
    );
    let winner = owner.by.map(|first| first.id.clone());
    let path = FieldPath::root().field("spec").field("hosts");
    Fault { object, path, problem: problem.into(), about: About::Host { winner } }
}
