//! Who may speak for a host, and what stands on it.
//!
//! At a shared gateway a host has an owner, and the policies of others do not count there. A sidecar guards its own pod by
//! the policies of its own namespace; nobody else is in question there.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::policy::host::HostPattern;
use crate::policy::pins::Pins;
use crate::policy::rules::{Mode, Poison, Policy, PolicyId};
use crate::policy::snapshot::{Change, Snapshot};
use crate::policy::table::{HostTable, TANGLED};

use super::fault::{About, Fault};
use super::field_path::FieldPath;
use super::object::{Kind, ObjectId};
use super::owner::{self, Named, Owner};
use super::policy::ReadPolicy;
use super::scopes::Scopes;
use super::settings::{Scope, Settings};

/// The hosts and what stands on each, from one compilation to the next: whoever comes or leaves touches the hosts that it
/// names and no others.
#[derive(Default)]
pub(super) struct Hosts {
    scope: Scope,
    /// A sidecar has none.
    pins: Arc<Pins>,
    /// Who names a host, in the order of the ids.
    named: Named,
    /// Policies with a broken host that do more than record.
    broken: BTreeMap<PolicyId, Arc<ReadPolicy>>,
    /// Namespaces that those take along, and why.
    spoiled: BTreeMap<Arc<str>, Poison>,
    /// What is wrong on a host, if anything is.
    faults: BTreeMap<HostPattern, Vec<Fault>>,
    touched: HashSet<HostPattern, RandomState>,
    scopes: Scopes,
    snapshot: Arc<Snapshot>,
}

impl Hosts {
    /// No host yet.
    pub(super) fn new(settings: &Settings) -> Self {
        let pins = Arc::new(pins(settings));
        let snapshot = Arc::new(Snapshot::default().pinned(Arc::clone(&pins)));
        Self { scope: settings.scope.clone(), pins, snapshot, ..Self::default() }
    }

    /// Whether hosts are sorted out by these settings.
    pub(super) fn obeys(&self, settings: &Settings) -> bool {
        self.scope == settings.scope && *self.pins == pins(settings)
    }

    /// A policy comes.
    pub(super) fn enter(&mut self, read: &Arc<ReadPolicy>) {
        if !concerns(read, &self.scope) {
            return;
        }
        self.scopes.enter(read);
        for host in claimed(read, &self.scope) {
            let by = self.named.entry(host.clone()).or_default();
            let at = by.partition_point(|other| other.policy.id() < read.policy.id());
            by.insert(at, Arc::clone(read));
            self.touched.insert(host.clone());
        }
        if read.claims.poison.is_some() && read.policy.mode == Mode::Enforce {
            self.broken.insert(read.policy.id().clone(), Arc::clone(read));
        }
    }

    /// A policy leaves.
    pub(super) fn leave(&mut self, read: &Arc<ReadPolicy>) {
        for host in claimed(read, &self.scope) {
            if let Some(by) = self.named.get_mut(host) {
                by.retain(|other| !Arc::ptr_eq(other, read));
                self.touched.insert(host.clone());
            }
        }
        self.broken.remove(read.policy.id());
        self.scopes.leave(read);
    }

    /// What stands on all hosts now.
    pub(super) fn settle(&mut self) -> Arc<Snapshot> {
        let spoiled = spoiled(&self.broken);
        if spoiled != self.spoiled {
            self.spoiled = spoiled;
            self.touched.extend(self.named.keys().cloned());
        }
        let touched = self.concerned();
        let changes: Vec<Change> = touched.into_iter().filter_map(|host| self.sort_out(host)).collect();
        let (scopes, others) = self.scopes.settle();
        if !changes.is_empty() || others {
            self.snapshot = Arc::new(self.snapshot.amended(changes).scoped(scopes));
        }
        Arc::clone(&self.snapshot)
    }

    /// The hosts that something happened to, or to a wildcard above them.
    fn concerned(&mut self) -> HashSet<HostPattern, RandomState> {
        let mut touched = std::mem::take(&mut self.touched);
        let wide = |host: &HostPattern| matches!(host, HostPattern::Wildcard(_));
        if matches!(self.scope, Scope::Gateway) && touched.iter().any(wide) {
            let below = self.named.keys().filter(|host| host.above().any(|pattern| touched.contains(&pattern)));
            let below: Vec<HostPattern> = below.cloned().collect();
            touched.extend(below);
        }
        touched
    }

    /// What is wrong on the hosts.
    pub(super) fn faults(&self) -> impl Iterator<Item = &Fault> {
        self.faults.values().flatten()
    }

    /// Sorts out who speaks for a host. `None`: its table is the one that it had.
    fn sort_out(&mut self, host: HostPattern) -> Option<Change> {
        let by = self.named.get(&host).map(Vec::as_slice).unwrap_or_default();
        let (policies, mut faults) = self.speakers(&host, by);
        let former = self.snapshot.at(&host);
        let table = policies.first().map(|first| &first.id().namespace).map(|namespace| {
            let poison = self.spoiled.get(namespace);
            let stands = former.filter(|table| is_of(table, &policies, poison));
            stands.cloned().unwrap_or_else(|| Arc::new(HostTable::build(policies.clone(), poison.cloned())))
        });
        faults.extend(table.iter().flat_map(|table| tangled(&host, table)));
        let stands = table.as_ref().map(Arc::as_ptr) == former.map(Arc::as_ptr);
        if by.is_empty() {
            self.named.remove(&host);
        }
        if faults.is_empty() {
            self.faults.remove(&host)
        } else {
            self.faults.insert(host.clone(), faults)
        };
        (!stands).then_some((host, table))
    }

    /// The policies that speak for a host, the oldest first, and the faults of those that name it in vain.
    fn speakers(&self, host: &HostPattern, by: &[Arc<ReadPolicy>]) -> (Vec<Arc<Policy>>, Vec<Fault>) {
        let owner = self.owner(host);
        let owns = |read: &ReadPolicy| owner.is_none_or(|owner| *owner.namespace == *read.policy.id().namespace);
        let mut policies: Vec<Arc<Policy>> = Vec::with_capacity(by.len());
        let mut faults = Vec::new();
        for read in by {
            match &owner {
                Some(owner) if !owns(read) => faults.extend(elsewhere(read, host, owner)),
                Some(_) | None => policies.push(Arc::clone(&read.policy)),
            }
        }
        policies.sort_by(|left, right| left.seniority.cmp(&right.seniority));
        (policies, faults)
    }

    /// `None`: whoever names the host may. A sidecar guards its own pod.
    fn owner<'a>(&'a self, host: &'a HostPattern) -> Option<Owner<'a>> {
        match self.scope {
            Scope::Workload { .. } => None,
            Scope::Gateway => owner::of(host, &self.named, &self.pins),
        }
    }
}

/// The pins that count: those of a shared gateway. A sidecar guards its own pod.
fn pins(settings: &Settings) -> Pins {
    match settings.scope {
        Scope::Workload { .. } => Pins::default(),
        Scope::Gateway => Pins::from(&settings.pins),
    }
}

/// Whether a table is made of just these.
fn is_of(table: &HostTable, policies: &[Arc<Policy>], poison: Option<&Poison>) -> bool {
    table.poison() == poison && table.policies().iter().map(Arc::as_ptr).eq(policies.iter().map(Arc::as_ptr))
}

/// What is wrong with the routes of a host as a whole, told to the policy that came last.
fn tangled<'t>(host: &'t HostPattern, table: &'t HostTable) -> impl Iterator<Item = Fault> + use<'t> {
    table.tangled().map(move |policy| {
        let problem = format!("on `{host}` {TANGLED}").into();
        let path = FieldPath::root().field("spec").field("routes");
        Fault { object: object(policy.id()), path, problem, about: About::Invalid }
    })
}

fn object(id: &PolicyId) -> ObjectId {
    ObjectId { kind: Kind::AccessPolicy, namespace: Arc::clone(&id.namespace), name: Arc::clone(&id.name) }
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

/// The hosts that a policy speaks for where this is enforced.
fn claimed<'r>(read: &'r ReadPolicy, scope: &Scope) -> impl Iterator<Item = &'r HostPattern> {
    let inside = match scope {
        Scope::Gateway => &[][..],
        Scope::Workload { .. } => &read.claims.inside,
    };
    read.claims.hosts.iter().chain(inside)
}

/// A broken host takes along every host of its namespace, since any of them may have been meant. A policy that only
/// records takes nothing along. Which of several reasons is told does not depend on chance: that of the first.
fn spoiled(broken: &BTreeMap<PolicyId, Arc<ReadPolicy>>) -> BTreeMap<Arc<str>, Poison> {
    let mut spoiled = BTreeMap::new();
    for (id, read) in broken {
        if let Some(poison) = &read.claims.poison {
            spoiled.entry(Arc::clone(&id.namespace)).or_insert_with(|| poison.clone());
        }
    }
    spoiled
}

/// One fault for each field that the host comes from.
fn elsewhere(read: &ReadPolicy, host: &HostPattern, owner: &Owner<'_>) -> Vec<Fault> {
    let id = read.policy.id();
    let how = match owner.by {
        Some(first) => {
            let older = match (*first.policy < read.policy.seniority, read.policy.mode) {
                (true, _) => "older ",
                (false, Mode::Shadow) => "enforcing ",
                (false, Mode::Enforce) => "",
            };
            let mut how = format!("by the {older}policy `{}`", first.policy.id);
            if first.at != host {
                how.push_str(&format!(" for `{}`", first.at));
                how.extend(read.claims.elder(host).map(|route| format!(", since {route} is older and serves it, too")));
            }
            how
        }
        None => "by a pin of the installation".to_owned(),
    };
    let problem = format!(
        "`{host}` belongs to the namespace `{}` {how}, so that this policy is not enforced there (HostOwnedElsewhere)",
        owner.namespace
    );
    let winner = owner.by.map(|first| first.policy.id.clone());
    let fault = |path| Fault {
        object: object(id),
        path,
        problem: problem.as_str().into(),
        about: About::Host { winner: winner.clone() },
    };
    read.claims.places(host).into_iter().map(fault).collect()
}
