//! The one compiler: from a set of resources to what is enforced, and what is wrong with them.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::identity::ApplicationId;
use crate::policy::grant::Grant;
use crate::policy::snapshot::Snapshot;
use crate::token::revocation::Revocations;
use crate::token::{KeySet, Profile};

use super::application::{self, Application, KeySets};
use super::fault::{About, Fault, Faults};
use super::field_path::FieldPath;
use super::grant::{self, ReadGrant};
use super::guard::Guards;
use super::hosts::Hosts;
use super::memo::{Memo, same, stand};
use super::object::{Kind, Object, ObjectId, Resources};
use super::policy::{self, ReadPolicy, Reference};
use super::read::Node;
use super::reference;
use super::revocation::{self, ReadRevocation, Revocation, Spoiled};
use super::settings::Settings;
use super::target::{self, Target};
use super::topology::{Reached, Topology};

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
    revocations: Memo<ReadRevocation>,
    grants: Memo<KnownGrant>,
    topology: Topology,
    guards: Guards,
    /// In the order of their ids, as resources are.
    policies: Vec<KnownPolicy>,
    hosts: Hosts,
}

type KnownPolicy = Box<ReadOnce<Arc<ReadPolicy>, Referred>>;

/// A grant, and what it lends with the application of its policy.
struct KnownGrant {
    policy: Option<ObjectId>,
    read: Option<(Option<Arc<Application>>, ReadGrant)>,
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
    /// What it is attached to, if that is sound, and what that comes to.
    attached: Option<(Vec<Target>, Vec<Reached>)>,
}

impl Referred {
    fn same(&self, other: &Self) -> bool {
        same_application(self.application.as_ref(), other.application.as_ref())
            && self.grants == other.grants
            && self.exists == other.exists
            && self.spoiled == other.spoiled
            && self.target == other.target
            && self.faults == other.faults
            && self.attached == other.attached
    }

    /// Whether it is attached to nothing, or to what comes to the same as before.
    fn stays(&self, topology: &Topology) -> bool {
        self.attached.as_ref().is_none_or(|(targets, reached)| topology.reach(targets) == *reached)
    }
}

impl Compiler {
    /// Compiles `resources`.
    pub fn compile(&mut self, resources: &Resources, settings: &Settings) -> Compiled {
        self.revocations.renew(resources.of(Kind::TokenRevocation), revocation::read);
        let revoked = Revocation::all(resources, &self.revocations);
        let applications_stand = self.read_applications(resources, settings.keys.as_ref());
        let permissions_stand = self.read_permissions(resources) & self.spoil(&revoked.spoiled);
        let topology_stands = self.topology.renew(resources);
        let mut faults = self.read_policies(resources, (applications_stand && permissions_stand, topology_stands));
        if !self.hosts.obeys(settings) {
            self.hosts = Hosts::new(settings);
            self.policies.iter().for_each(|known| self.hosts.enter(&known.read));
        }
        let snapshot = self.hosts.settle();
        self.guards.renew(resources, (&self.topology, topology_stands));
        faults.extend(self.guards.faults(self.policies.iter().map(|known| &known.read)));
        let applications = resources.of(Kind::EntraApplication).filter_map(|object| self.applications.get(&object.id));
        let applications: Vec<&ReadApplication> = applications.map(|known| &known.read).collect();
        faults.extend(revoked.faults.iter().cloned());
        faults.extend(applications.iter().flat_map(|read| read.faults.iter().cloned()));
        faults.extend(self.policies.iter().flat_map(|known| known.read.faults.iter().cloned()));
        faults.extend(self.hosts.faults().cloned());
        faults.sort();
        let sound = applications.iter().filter_map(|read| read.application.as_ref());
        let profiles: Vec<_> = sound.map(|application| Arc::clone(&application.profile)).collect();
        let revocations = revoked.by_application(&profiles);
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
        stand(&mut self.permissions, resources.of(Kind::ReferenceGrant))
    }

    /// Whether the same applications are spoiled as before.
    fn spoil(&mut self, spoiled: &Spoiled) -> bool {
        let stand = self.spoiled == *spoiled;
        self.spoiled.clone_from(spoiled);
        stand
    }

    /// Reads what changed. If everything stands that policies may refer to, those that did not change themselves stand,
    /// too, and nothing is looked up for them; those that are attached to something are looked at if that changed. What is
    /// wrong with access grants comes back.
    fn read_policies(
        &mut self,
        resources: &Resources,
        (neighbours_stand, topology_stands): (bool, bool),
    ) -> Vec<Fault> {
        let mut before = std::mem::take(&mut self.policies).into_iter().peekable();
        let (mut grants, mut faults) = self.by_policy(resources);
        for object in resources.of(Kind::AccessPolicy) {
            while let Some(gone) = before.next_if(|known| known.precedes(object)) {
                self.hosts.leave(&gone.read);
            }
            let known = before.next_if(|known| known.is_of(object));
            let lent = grants.remove(&object.id);
            let known = match known {
                Some(known)
                    if neighbours_stand
                        && lent.is_none()
                        && known.uses.grants.is_empty()
                        && same(&known.object, object)
                        && (topology_stands || known.uses.stays(&self.topology)) =>
                {
                    known
                }
                known => self.read_policy(object, (known, lent.unwrap_or_default()), (resources, &mut faults)),
            };
            self.policies.push(known);
        }
        before.for_each(|gone| self.hosts.leave(&gone.read));
        for grant in grants.values().flatten() {
            faults.extend(grant::read(grant, None).faults);
            faults.push(nowhere(grant));
        }
        faults
    }

    /// Reads a policy, unless that comes to the same as before.
    fn read_policy(
        &mut self,
        object: &Arc<Object>,
        (known, lent): (Option<KnownPolicy>, Vec<&Arc<Object>>),
        (resources, faults): (&Resources, &mut Vec<Fault>),
    ) -> KnownPolicy {
        let mut uses = self.referred(object, resources);
        for grant in lent {
            if let Some(read) = self.lent(grant, uses.application.as_ref()) {
                uses.grants.extend(read.grant.clone());
                faults.extend(read.faults.iter().cloned());
            }
        }
        let known = match known {
            Some(known) if same(&known.object, object) && known.uses.same(&uses) => return known,
            known => known,
        };
        if let Some(former) = known {
            self.hosts.leave(&former.read);
        }
        let read = Box::new(read_policy(object, uses));
        self.hosts.enter(&read.read);
        read
    }

    /// Grants by the policy that they name, and what is wrong with those that name none.
    fn by_policy<'r>(&mut self, resources: &'r Resources) -> (Grants<'r>, Vec<Fault>) {
        let first = |grant: &Object| KnownGrant { policy: grant::policy(grant), read: None };
        self.grants.renew(resources.of(Kind::AccessGrant), first);
        let (mut grants, mut faults) = (Grants::default(), Vec::new());
        for grant in resources.of(Kind::AccessGrant) {
            match self.grants.get(&grant.id).and_then(|known| known.policy.clone()) {
                Some(policy) => grants.entry(policy).or_default().push(grant),
                None => faults.extend(grant::read(grant, None).faults),
            }
        }
        (grants, faults)
    }

    /// What a grant lends to whom, where the policy has this application.
    fn lent(&mut self, grant: &Object, application: Option<&Arc<Application>>) -> Option<&ReadGrant> {
        let known = self.grants.get_mut(&grant.id)?;
        if !known.read.as_ref().is_some_and(|(with, _)| same_application(with.as_ref(), application)) {
            known.read = Some((application.cloned(), grant::read(grant, application.map(Arc::as_ref))));
        }
        known.read.as_ref().map(|(_, read)| read)
    }

    fn referred(&self, object: &Object, resources: &Resources) -> Referred {
        let faults = Faults::of(&object.id);
        let body = object.body();
        let spec = Node::top(&body, "spec", &faults);
        let target = reference::application(&spec, &object.id, resources);
        let exists = target.as_ref().is_some_and(|target| resources.get(target).is_some());
        let spoiled = target.as_ref().is_some_and(|target| self.spoiled.covers(target));
        let sound = target.as_ref().filter(|_| !spoiled);
        let application = sound.and_then(|target| self.applications.get(target)?.read.application.clone());
        // What is wrong with them is told when the policy is read.
        let aside = Faults::of(&object.id);
        let targets = target::read(&Node::top(&body, "spec", &aside), &object.id);
        let attached = targets.map(|targets| {
            let reached = self.topology.reach(&targets);
            (targets, reached)
        });
        Referred { target, faults: faults.into_vec(), exists, spoiled, application, grants: Vec::new(), attached }
    }
}

impl<T, U> ReadOnce<T, U> {
    /// Whether this was read from an object that comes before the other one.
    fn precedes(&self, object: &Arc<Object>) -> bool {
        !Arc::ptr_eq(&self.object, object) && self.object.id < object.id
    }

    /// Whether this was read from the object, or from what it was before.
    fn is_of(&self, object: &Arc<Object>) -> bool {
        Arc::ptr_eq(&self.object, object) || self.object.id == object.id
    }
}

type Grants<'r> = HashMap<ObjectId, Vec<&'r Arc<Object>>, RandomState>;

fn nowhere(grant: &Object) -> Fault {
    let path = FieldPath::root().field("spec").field("policyRef");
    let problem = "names an AccessPolicy that is not there".into();
    Fault { object: grant.id.clone(), path, problem, about: About::Reference }
}

fn read_policy(object: &Arc<Object>, uses: Referred) -> ReadOnce<Arc<ReadPolicy>, Referred> {
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
        reached: uses.attached.as_ref().map(|(_, reached)| &**reached),
    };
    let read = Arc::new(policy::read(object, &reference, faults));
    ReadOnce { object: Arc::clone(object), uses, read }
}

/// The ConfigMap that an application takes its keys from.
fn key_map(object: &Object, resources: &Resources) -> Option<Arc<Object>> {
    resources.get(&reference::key_map(object)?).cloned()
}

fn same_option(one: Option<&Arc<Object>>, other: Option<&Arc<Object>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => same(one, other),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// Whether it is the same application. One that was read again is another.
fn same_application(one: Option<&Arc<Application>>, other: Option<&Arc<Application>>) -> bool {
    one.map(Arc::as_ptr) == other.map(Arc::as_ptr)
}
