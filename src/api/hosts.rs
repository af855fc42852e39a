//! Who may speak for a host, and what stands on it.
//!
//! At a shared gateway a host belongs to the namespace of the oldest policy that names it, unless the installer pinned
//! it: a pin beats age, and a pinned wildcard covers the hosts below it. A sidecar guards its own pod by the policies of
//! its own namespace; nobody else is in question there.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::policy::host::HostPattern;
use crate::policy::rules::{Mode, Poison, Policy, Seniority};

use super::compile::{Scope, Settings};
use super::fault::{Fault, FieldPath};
use super::object::{Kind, ObjectId};
use super::policy::ReadPolicy;

/// What stands on one host.
#[derive(Debug, Default)]
pub(super) struct Claim {
    /// The policies, in no order.
    pub(super) policies: Vec<Arc<Policy>>,
    /// Why everything there is denied.
    pub(super) poison: Option<Poison>,
}

/// Claims by host, and the faults of those who named a host of somebody else.
pub(super) type Claims = (HashMap<HostPattern, Claim, foldhash::fast::RandomState>, Vec<Fault>);

/// Sorts out which policy speaks for which host.
pub(super) fn claims(policies: &[&ReadPolicy], settings: &Settings) -> Claims {
    let concerned: Vec<&ReadPolicy> = policies.iter().copied().filter(|read| concerns(read, &settings.scope)).collect();
    let owners = Owners::of(&concerned, settings);
    let mut claims: HashMap<HostPattern, Claim, _> = HashMap::default();
    let mut faults = Vec::new();
    for read in &concerned {
        for host in &read.hosts {
            let owner = owners.owner(host);
            if owner.is_none_or(|owner| *owner.namespace == *read.policy.id().namespace) {
                claims.entry(host.clone()).or_default().policies.push(Arc::clone(&read.policy));
            } else if let Some(owner) = owner {
                faults.push(elsewhere(read, host, &owner));
            }
        }
    }
    poison(&mut claims, &concerned);
    (claims, faults)
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
fn poison(claims: &mut HashMap<HostPattern, Claim, foldhash::fast::RandomState>, concerned: &[&ReadPolicy]) {
    let mut spoiled: BTreeMap<&str, &Poison> = BTreeMap::new();
    for read in concerned {
        if let (Some(poison), Mode::Enforce) = (&read.host_poison, read.policy.mode) {
            // INVARIANT: `concerned` is ordered, so that which of several reasons is told does not depend on chance.
            spoiled.entry(&read.policy.id().namespace).or_insert(poison);
        }
    }
    if spoiled.is_empty() {
        return;
    }
    for claim in claims.values_mut() {
        let namespace = claim.policies.first().map(|policy| &*policy.id().namespace);
        claim.poison = namespace.and_then(|namespace| spoiled.get(namespace)).map(|poison| (*poison).clone());
    }
}

/// Who owns a host.
#[derive(Clone, Copy)]
struct Owner<'a> {
    namespace: &'a str,
    /// The policy that was first; `None`: the host is pinned.
    by: Option<&'a Seniority>,
}

enum Owners<'a> {
    /// Nobody has to own anything.
    Sidecar,
    /// The oldest policy of each host, and the pins.
    Gateway { oldest: HashMap<&'a HostPattern, &'a Seniority, foldhash::fast::RandomState>, pins: &'a Pins },
}

type Pins = BTreeMap<HostPattern, Arc<str>>;

impl<'a> Owners<'a> {
    fn of(concerned: &[&'a ReadPolicy], settings: &'a Settings) -> Self {
        match settings.scope {
            Scope::Workload { .. } => return Self::Sidecar,
            Scope::Gateway => {}
        }
        let mut oldest: HashMap<&HostPattern, &Seniority, _> = HashMap::default();
        for read in concerned {
            let seniority = &read.policy.seniority;
            for host in &read.hosts {
                let first = oldest.entry(host).or_insert(seniority);
                if seniority < *first {
                    *first = seniority;
                }
            }
        }
        Self::Gateway { oldest, pins: &settings.pins }
    }

    fn owner(&self, host: &HostPattern) -> Option<Owner<'a>> {
        let Self::Gateway { oldest, pins } = self else { return None };
        if let Some(namespace) = pinned(host, pins) {
            return Some(Owner { namespace, by: None });
        }
        oldest.get(host).map(|first| Owner { namespace: &first.id.namespace, by: Some(*first) })
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
    Fault { object, path: FieldPath::root().field("spec").field("hosts"), problem: problem.into() }
}
