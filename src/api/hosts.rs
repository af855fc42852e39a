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
pub(super) type Claims<'a> = (ByHost<'a, Claim>, Vec<Fault>);

type ByHost<'a, T> = HashMap<&'a HostPattern, T, foldhash::fast::RandomState>;

/// Sorts out which policy speaks for which host.
pub(super) fn claims<'a>(policies: &[&'a ReadPolicy], settings: &Settings) -> Claims<'a> {
    let concerned: Vec<&ReadPolicy> = policies.iter().copied().filter(|read| concerns(read, &settings.scope)).collect();
    let mut claims = ByHost::with_capacity_and_hasher(concerned.len(), Default::default());
    let mut faults = Vec::new();
    for (host, named) in named(&concerned) {
        let owner = named.owner(host, settings);
        let mut claim = Claim::default();
        for read in named.by {
            match owner {
                Some(owner) if *owner.namespace != *read.policy.id().namespace => {
                    faults.push(elsewhere(read, host, &owner));
                }
                Some(_) | None => claim.policies.push(Arc::clone(&read.policy)),
            }
        }
        if !claim.policies.is_empty() {
            claims.insert(host, claim);
        }
    }
    poison(&mut claims, &concerned);
    (claims, faults)
}

/// Who names a host.
struct Named<'a> {
    oldest: &'a Seniority,
    by: Vec<&'a ReadPolicy>,
}

fn named<'a>(concerned: &[&'a ReadPolicy]) -> ByHost<'a, Named<'a>> {
    let mut all: ByHost<'a, Named<'a>> = ByHost::with_capacity_and_hasher(concerned.len(), Default::default());
    for read in concerned {
        let seniority = &read.policy.seniority;
        for host in &read.hosts {
            let named = all.entry(host).or_insert_with(|| Named { oldest: seniority, by: Vec::with_capacity(1) });
            named.by.push(read);
            if seniority < named.oldest {
                named.oldest = seniority;
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
fn poison(claims: &mut ByHost<'_, Claim>, concerned: &[&ReadPolicy]) {
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

type Pins = BTreeMap<HostPattern, Arc<str>>;

impl<'a> Named<'a> {
    /// `None`: a sidecar guards its own pod, and nobody has to own anything.
    fn owner(&self, host: &HostPattern, settings: &'a Settings) -> Option<Owner<'a>> {
        match settings.scope {
            Scope::Workload { .. } => None,
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
    Fault { object, path: FieldPath::root().field("spec").field("hosts"), problem: problem.into() }
}
