//! The one compiler: from a set of resources to what is enforced, and what is wrong with them.

use std::collections::{BTreeMap, HashMap};
use std::iter::Peekable;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::identity::ApplicationId;
use crate::policy::grant::Grant;
use crate::policy::host::HostPattern;
use crate::policy::rules::{Poison, Policy};
use crate::policy::snapshot::Snapshot;
use crate::policy::table::{HostTable, TANGLED};
use crate::token::revocation::Revocations;
use crate::token::{KeySet, Profile};

use super::application::{self, Application, KeySets};
use super::fault::{About, Fault, Faults, FieldPath};
use super::grant;
use super::hosts::{Claim, claims};
use super::object::{Kind, Object, ObjectId, Resources};
use super::policy::{self, ReadPolicy, Reference};
use super::read::Node;
use super::reference;
use super::revocation::{Revocation, Spoiled};

/// For whom is compiled, and by which rules of the installation.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Who enforces.
    pub scope: Scope,
    /// Hosts that the installer gave to a namespace, whoever named them first.
    pub pins: BTreeMap<HostPattern, Arc<str>>,
    /// Keys to use instead of those that the applications name: no network is needed then.
    pub keys: Option<KeySet>,
}

/// Who enforces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// A shared gateway: all policies without a selector.
    #[default]
    Gateway,
    /// The sidecar of one workload: policies of its namespace, those with a selector if they match its labels.
    Workload {
        /// The namespace.
        namespace: Arc<str>,
        /// The pod's labels.
        labels: BTreeMap<String, String>,
    },
}

/// What came of a set of resources.
#[derive(Debug)]
pub struct Compiled {
    /// The rules.
    pub snapshot: Arc<Snapshot>,
    /// The applications whose tokens they ask for.
    pub profiles: Vec<Arc<Profile>>,
    /// What is revoked, for the applications that have revocations.
    pub revocations: Vec<(ApplicationId, Arc<Revocations>)>,
    /// Everything that is wrong, ordered by object and field. What is broken is in the snapshot, too, and denies.
    pub faults: Vec<Fault>,
}

/// Compiles, and remembers parts for the next time. What comes out depends on the resources and the settings alone.
#[derive(Default)]
pub struct Compiler {
    applications: HashMap<ObjectId, ReadOnce<ReadApplication, OwnKeys>, RandomState>,
    /// Grants of references to applications elsewhere.
    permissions: Vec<Arc<Object>>,
    /// Applications that a broken revocation spoils.
    spoiled: Spoiled,
    /// In the order of their ids, as resources are.
    policies: Vec<ReadOnce<ReadPolicy, Referred>>,
    merged: Merged,
}

/// The tables of all hosts, and how often they were put together.
#[derive(Default)]
struct Merged {
    tables: HashMap<HostPattern, MergedOnce, RandomState>,
    round: u64,
}

/// Something read earlier, and what it was read from.
struct ReadOnce<T, U> {
    object: Arc<Object>,
    uses: U,
    read: T,
}

/// Where an application's keys come from.
enum OwnKeys {
    /// What it says itself, perhaps by this ConfigMap.
    Named(Option<Arc<Object>>),
    /// Those of [`Settings::keys`]: nothing to remember.
    Replaced,
}

impl OwnKeys {
    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Named(one), Self::Named(other)) => same_option(one.as_ref(), other.as_ref()),
            (Self::Named(_) | Self::Replaced, Self::Replaced) | (Self::Replaced, Self::Named(_)) => false,
        }
    }
}

/// An application, if it is sound, and everything that is wrong with it if not.
struct ReadApplication {
    application: Option<Arc<Application>>,
    faults: Vec<Fault>,
}

/// A table that was merged earlier, and what it was merged from.
struct MergedOnce {
    policies: Vec<Arc<Policy>>,
    poison: Option<Poison>,
    table: Arc<HostTable>,
    /// The last round in which the host had just these.
    round: u64,
}

/// What a policy takes from elsewhere.
#[derive(Clone)]
struct Referred {
    target: Option<ObjectId>,
    faults: Vec<Fault>,
    exists: bool,
    /// A broken revocation closes it.
    spoiled: bool,
    application: Option<Arc<Application>>,
    grants: Vec<Grant>,
}

impl Referred {
    fn same(&self, other: &Self) -> bool {
        let application = match (&self.application, &other.application) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        application
            && self.grants == other.grants
            && self.exists == other.exists
            && self.spoiled == other.spoiled
            && self.target == other.target
            && self.faults == other.faults
    }
}

impl Compiler {
    /// Compiles `resources`.
    pub fn compile(&mut self, resources: &Resources, settings: &Settings) -> Compiled {
        let revoked = Revocation::all(resources);
        let applications_stand = self.read_applications(resources, settings.keys.as_ref());
        let permissions_stand = self.read_permissions(resources) & self.spoil(&revoked.spoiled);
        let of_grants = self.read_policies(resources, applications_stand && permissions_stand);
        let policies: Vec<&ReadPolicy> = self.policies.iter().map(|known| &known.read).collect();
        let applications = resources.of(Kind::EntraApplication).filter_map(|object| self.applications.get(&object.id));
        let applications: Vec<&ReadApplication> = applications.map(|known| &known.read).collect();
        let (claims, mut faults) = claims(&policies, settings);
        faults.extend(of_grants);
        faults.extend(revoked.faults.iter().cloned());
        faults.extend(applications.iter().flat_map(|read| read.faults.iter().cloned()));
        faults.extend(policies.iter().flat_map(|read| read.faults.iter().cloned()));
        let sound = applications.iter().filter_map(|read| read.application.as_ref());
        let profiles: Vec<_> = sound.map(|application| Arc::clone(&application.profile)).collect();
        let revocations = revoked.by_application(&profiles);
        let tables = merge(&mut self.merged, claims);
        faults.extend(tables.iter().flat_map(|(host, table)| tangled(host, table)));
        faults.sort();
        let snapshot = Arc::new(Snapshot::new(tables, None));
        Compiled { snapshot, profiles, revocations, faults }
    }

    /// Whether all applications are what they were.
    fn read_applications(&mut self, resources: &Resources, instead: Option<&KeySet>) -> bool {
        let mut before = std::mem::take(&mut self.applications);
        let mut stand = true;
        for object in resources.of(Kind::EntraApplication) {
            let uses = if instead.is_some() { OwnKeys::Replaced } else { OwnKeys::Named(key_map(object, resources)) };
            let known = before.remove(&object.id);
            let known = known.filter(|known| same(&known.object, object) && known.uses.same(&uses));
            stand &= known.is_some();
            let read = known.unwrap_or_else(|| {
                let (application, faults) = application::read(object, KeySets { resources, instead });
                let read = ReadApplication { application: application.map(Arc::new), faults };
                ReadOnce { object: Arc::clone(object), uses, read }
            });
            self.applications.insert(object.id.clone(), read);
        }
        stand && before.is_empty()
    }

    /// Whether all grants of references are what they were.
    fn read_permissions(&mut self, resources: &Resources) -> bool {
        let permissions: Vec<Arc<Object>> = resources.of(Kind::ReferenceGrant).cloned().collect();
        let same = |(one, other): (&Arc<Object>, &Arc<Object>)| same(one, other);
        let stand = permissions.len() == self.permissions.len() && permissions.iter().zip(&self.permissions).all(same);
        self.permissions = permissions;
        stand
    }

    /// Whether the same applications are spoiled as before.
    fn spoil(&mut self, spoiled: &Spoiled) -> bool {
        let stand = self.spoiled == *spoiled;
        self.spoiled.clone_from(spoiled);
        stand
    }

    /// Reads what changed. If everything stands that policies may refer to, those that did not change themselves stand,
    /// too, and nothing is looked up for them. What is wrong with access grants comes back.
    fn read_policies(&mut self, resources: &Resources, neighbours_stand: bool) -> Vec<Fault> {
        let mut before = std::mem::take(&mut self.policies).into_iter().peekable();
        let (mut grants, mut faults) = by_policy(resources);
        for object in resources.of(Kind::AccessPolicy) {
            let known = counterpart(&mut before, object).filter(|known| same(&known.object, object));
            let lent = grants.remove(&object.id);
            let stands = |known: &ReadOnce<ReadPolicy, Referred>| {
                neighbours_stand && lent.is_none() && known.uses.grants.is_empty()
            };
            let read = match known {
                Some(known) if stands(&known) => known,
                known => {
                    let mut uses = self.referred(object, resources);
                    for grant in lent.into_iter().flatten() {
                        let read = grant::read(grant, uses.application.as_deref());
                        uses.grants.extend(read.grant);
                        faults.extend(read.faults);
                    }
                    known.filter(|known| known.uses.same(&uses)).unwrap_or_else(|| read_policy(object, uses))
                }
            };
            self.policies.push(read);
        }
        for grant in grants.values().flatten() {
            faults.extend(grant::read(grant, None).faults);
            faults.push(nowhere(grant));
        }
        faults
    }

    fn referred(&self, object: &Object, resources: &Resources) -> Referred {
        let faults = Faults::of(&object.id);
        let body = object.body();
        let target = reference::application(&Node::top(&body, "spec", &faults), &object.id, resources);
        let exists = target.as_ref().is_some_and(|target| resources.get(target).is_some());
        let spoiled = target.as_ref().is_some_and(|target| self.spoiled.covers(target));
        let sound = target.as_ref().filter(|_| !spoiled);
        let application = sound.and_then(|target| self.applications.get(target)?.read.application.clone());
        Referred { target, faults: faults.into_vec(), exists, spoiled, application, grants: Vec::new() }
    }
}

/// What was read earlier under the id of `object`. Both sides come in the order of their ids.
fn counterpart<T, U>(
    before: &mut Peekable<impl Iterator<Item = ReadOnce<T, U>>>,
    object: &Arc<Object>,
) -> Option<ReadOnce<T, U>> {
    loop {
        let known = before.next_if(|known| Arc::ptr_eq(&known.object, object) || known.object.id <= object.id)?;
        if Arc::ptr_eq(&known.object, object) || known.object.id == object.id {
            return Some(known);
        }
    }
}

type Grants<'r> = HashMap<ObjectId, Vec<&'r Arc<Object>>, RandomState>;

/// Grants by the policy that they name, and what is wrong with those that name none.
fn by_policy(resources: &Resources) -> (Grants<'_>, Vec<Fault>) {
    let (mut grants, mut faults) = (Grants::default(), Vec::new());
    for grant in resources.of(Kind::AccessGrant) {
        match grant::policy(grant) {
            Some(policy) => grants.entry(policy).or_default().push(grant),
            None => faults.extend(grant::read(grant, None).faults),
        }
    }
    (grants, faults)
}

fn nowhere(grant: &Object) -> Fault {
    let path = FieldPath::root().field("spec").field("policyRef");
    let problem = "names an AccessPolicy that is not there".into();
    Fault { object: grant.id.clone(), path, problem, about: About::Reference }
}

/// Merges what stands on each host, where that changed since the last round.
fn merge(merged: &mut Merged, claims: Vec<(&HostPattern, Claim<'_>)>) -> Vec<(HostPattern, Arc<HostTable>)> {
    merged.round = merged.round.wrapping_add(1);
    let Merged { tables, round } = merged;
    for (host, claim) in claims {
        if !tables.get_mut(host).is_some_and(|known| known.stands(&claim, *round)) {
            tables.insert(host.clone(), MergedOnce::new(&claim, *round));
        }
    }
    tables.retain(|_, table| table.round == *round);
    tables.iter().map(|(host, known)| (host.clone(), Arc::clone(&known.table))).collect()
}

impl MergedOnce {
    fn new(claim: &Claim<'_>, round: u64) -> Self {
        let (policies, poison): (Vec<_>, _) = (claim.policies.iter().cloned().collect(), claim.poison.cloned());
        let table = Arc::new(HostTable::build(policies.clone(), poison.clone()));
        Self { policies, poison, table, round }
    }

    /// Whether it is made of just these, and so counts in this round, too.
    fn stands(&mut self, claim: &Claim<'_>, round: u64) -> bool {
        self.round = round;
        self.poison.as_ref() == claim.poison
            && self.policies.iter().map(Arc::as_ptr).eq(claim.policies.iter().map(Arc::as_ptr))
    }
}

/// What is wrong with the routes of a host as a whole, told to the policy that came last.
fn tangled<'t>(host: &'t HostPattern, table: &'t HostTable) -> impl Iterator<Item = Fault> + use<'t> {
    table.tangled().map(move |policy| {
        let problem = format!("on `{host}` {TANGLED}").into();
        let id = policy.id();
        let object =
            ObjectId { kind: Kind::AccessPolicy, namespace: Arc::clone(&id.namespace), name: Arc::clone(&id.name) };
        Fault { object, path: FieldPath::root().field("spec").field("routes"), problem, about: About::Invalid }
    })
}

fn read_policy(object: &Arc<Object>, uses: Referred) -> ReadOnce<ReadPolicy, Referred> {
    let faults = Faults::of(&object.id);
    for fault in &uses.faults {
        faults.again(fault.clone());
    }
    let reference = Reference {
        target: uses.target.as_ref(),
        application: uses.application.as_deref(),
        exists: uses.exists,
        spoiled: uses.spoiled,
        grants: &uses.grants,
    };
    let read = policy::read(object, &reference, faults);
    ReadOnce { object: Arc::clone(object), uses, read }
}

/// The ConfigMap that an application takes its keys from.
fn key_map(object: &Object, resources: &Resources) -> Option<Arc<Object>> {
    let body = object.body();
    let name = body.get("spec")?.pointer("/keys/staticJwks/configMapRef/name")?.as_str()?;
    let id = ObjectId { kind: Kind::ConfigMap, namespace: Arc::clone(&object.id.namespace), name: name.into() };
    resources.get(&id).cloned()
}

fn same(one: &Arc<Object>, other: &Arc<Object>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}

fn same_option(one: Option<&Arc<Object>>, other: Option<&Arc<Object>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => same(one, other),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}
