//! `TokenRevocation`: tokens of an application that are refused although they are good by themselves.
//!
//! Nobody knows whom a broken revocation was meant for, so the application that it names accepts no token until it is
//! mended, and without a name every application of the namespace.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::clock::UnixTime;
use crate::identity::{ApplicationId, Guid};
use crate::token::Profile;
use crate::token::revocation::{Revocations, Revoked};

use super::application::{NAME, guid};
use super::fault::{About, Fault, Faults};
use super::field_path::FieldPath;
use super::memo::Memo;
use super::object::{Kind, Object, ObjectId, Resources};
use super::read::Node;

/// What may be revoked.
const MATCH: [&str; 5] = ["oid", "client", "tenant", "sid", "uti"];

/// A revocation as it was read.
#[derive(Debug)]
pub struct ReadRevocation {
    /// The application; `None`: it cannot be told.
    pub application: Option<ObjectId>,
    /// What is revoked and before when, if it is sound.
    pub revoked: Option<(Revoked, UnixTime)>,
    /// Everything that is wrong with it.
    pub faults: Vec<Fault>,
}

/// All revocations of a set of resources.
#[derive(Debug, Default)]
pub(super) struct Revocation {
    revoked: BTreeMap<ObjectId, Vec<(Revoked, UnixTime)>>,
    /// What a broken one takes along.
    pub(super) spoiled: Spoiled,
    /// Everything that is wrong.
    pub(super) faults: Vec<Fault>,
}

/// Applications that accept no token, because nobody knows which of theirs a broken revocation was meant for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Spoiled {
    applications: BTreeSet<ObjectId>,
    /// All applications of these.
    namespaces: BTreeSet<Arc<str>>,
}

impl Spoiled {
    /// Whether this application is one of them.
    pub(super) fn covers(&self, application: &ObjectId) -> bool {
        self.applications.contains(application) || self.namespaces.contains(&application.namespace)
    }
}

impl Revocation {
    /// Reads all of them.
    pub(super) fn all(resources: &Resources, known: &Memo<ReadRevocation>) -> Self {
        let mut all = Self::default();
        for object in resources.of(Kind::TokenRevocation) {
            let Some(ReadRevocation { application, revoked, faults }) = known.get(&object.id) else {
                all.spoiled.namespaces.insert(Arc::clone(&object.id.namespace));
                continue;
            };
            if application.as_ref().is_some_and(|application| resources.get(application).is_none()) {
                all.faults.push(nothing(object));
            }
            match (application, revoked) {
                (Some(application), Some(revoked)) => {
                    all.revoked.entry(application.clone()).or_default().push(revoked.clone());
                }
                (Some(application), None) => drop(all.spoiled.applications.insert(application.clone())),
                (None, _) => drop(all.spoiled.namespaces.insert(Arc::clone(&object.id.namespace))),
            }
            all.faults.extend(faults.iter().cloned());
        }
        all
    }

    /// What is revoked, for each application that has revocations.
    pub(super) fn by_application(&self, profiles: &[Arc<Profile>]) -> Vec<(ApplicationId, Arc<Revocations>)> {
        let named: BTreeMap<String, &Vec<_>> =
            self.revoked.iter().map(|(id, revoked)| (format!("{}/{}", id.namespace, id.name), revoked)).collect();
        let of = |profile: &Arc<Profile>| {
            let revoked = named.get(&*profile.id.0)?;
            Some((profile.id.clone(), Arc::new(Revocations::new(revoked.iter().cloned()))))
        };
        profiles.iter().filter_map(of).collect()
    }
}

fn nothing(object: &Object) -> Fault {
    let path = FieldPath::root().field("spec").field("applicationRef");
    let problem = "names an EntraApplication that is not there".into();
    Fault { object: object.id.clone(), path, problem, about: About::Reference }
}

/// Reads a revocation.
#[must_use]
pub fn read(object: &Object) -> ReadRevocation {
    let faults = Faults::of(&object.id);
    let body = object.body();
    super::reference::envelope(&body, &faults);
    let spec = Node::top(&body, "spec", &faults);
    let (mut application, mut revoked) = (None, None);
    if spec.object(&["applicationRef", "match", "issuedBefore", "reason"]) {
        application = target(&spec.field("applicationRef"), &object.id);
        let _is_bounded = spec.field("reason").text(super::grant::REASON);
        let before = spec.field("issuedBefore");
        let before =
            before.need("write the moment, as in 2026-11-24T03:00:00Z").then(|| before.time()).flatten().map(second);
        revoked = what(&spec.field("match")).zip(before);
    }
    let faults = faults.into_vec();
    ReadRevocation { application, revoked: revoked.filter(|_| faults.is_empty()), faults }
}

fn target(node: &Node<'_, '_>, id: &ObjectId) -> Option<ObjectId> {
    if !node.object(&["name"]) {
        return None;
    }
    let name = node.field("name");
    let name = name.need("write the name of an EntraApplication").then(|| name.text(253)).flatten()?;
    Some(ObjectId { kind: Kind::EntraApplication, namespace: Arc::clone(&id.namespace), name: name.into() })
}

/// Tokens carry whole seconds: what was issued in the second of the moment counts as issued before it.
fn second(at: jiff::Timestamp) -> UnixTime {
    UnixTime(at.as_second().saturating_add(i64::from(at.subsec_nanosecond() > 0)))
}

fn what(node: &Node<'_, '_>) -> Option<Revoked> {
    if !node.object(&MATCH) {
        return None;
    }
    let given: Vec<&str> = MATCH.into_iter().filter(|name| node.field(name).is_present()).collect();
    let [only] = given.as_slice() else {
        node.fault(format!("must name exactly one of {}", MATCH.join(", ")));
        return None;
    };
    let field = node.field(only);
    match *only {
        "oid" => guid(&field).map(Revoked::Subject),
        "client" => guid(&field).map(Revoked::Client),
        "tenant" => guid(&field).and_then(|id| Guid::parse(&id)).map(Revoked::Tenant),
        "sid" => field.text(NAME).map(|id| Revoked::Session(id.into())),
        _ => field.text(NAME).map(|id| Revoked::Token(id.into())),
    }
}
