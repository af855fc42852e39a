//! `spec.targetRefs` of a policy: the resources that it is attached to (Gateway API GEP-713), all in its own namespace.

use std::ops::RangeInclusive;

use super::fault::Faults;
use super::gateway;
use super::object::{GATEWAY_GROUP, Kind, Object, ObjectId};
use super::read::Node;

/// Targets of one policy. Its status has room for as many (GEP-713).
pub const TARGETS: RangeInclusive<usize> = 1..=16;

/// What may be a target: group, kind.
const KINDS: [(&str, Kind); 4] = [
    (GATEWAY_GROUP, Kind::HttpRoute),
    (GATEWAY_GROUP, Kind::GrpcRoute),
    (GATEWAY_GROUP, Kind::Gateway),
    ("", Kind::Service),
];
const FIELDS: [&str; 4] = ["group", "kind", "name", "sectionName"];

/// A resource that a policy is attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The resource.
    pub object: ObjectId,
    /// The listener, if one of a Gateway is meant.
    pub section: Option<Box<str>>,
}

impl Target {
    /// The group of the resource.
    #[must_use]
    pub fn group(&self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self.object.kind).map_or(GATEWAY_GROUP, |(group, _)| group)
    }
}

/// The kinds that may be targets.
pub(super) fn kinds() -> impl Iterator<Item = Kind> {
    KINDS.into_iter().map(|(_, kind)| kind)
}

/// Whether resources of this kind may be targets.
#[must_use]
pub fn may_be(kind: Kind) -> bool {
    kinds().any(|known| known == kind)
}

/// The targets of a policy. None if it has no such field, or a broken one.
#[must_use]
pub fn of(policy: &Object) -> Vec<Target> {
    // Most have none, and there may be ten thousand: what does not hold the word is not read.
    if !policy.text().contains("\"targetRefs\"") {
        return Vec::new();
    }
    let (body, faults) = (policy.body(), Faults::of(&policy.id));
    read(&Node::top(&body, "spec", &faults), &policy.id).unwrap_or_default()
}

/// The Gateways that an HTTPRoute or a GRPCRoute names as its parents; none of one that cannot be read.
#[must_use]
pub fn gateways(route: &Object) -> Vec<ObjectId> {
    let parents = gateway::route(route).map(|route| route.parents).unwrap_or_default();
    parents.into_iter().filter_map(|parent| parent.gateway()).collect()
}

/// Reads `targetRefs` of this spec: all of them, or nothing.
pub(super) fn read(spec: &Node<'_, '_>, policy: &ObjectId) -> Option<Vec<Target>> {
    let node = spec.field("targetRefs");
    let targets: Vec<Target> = node.each(&TARGETS, |item| target(item, policy))?;
    for (at, target) in targets.iter().enumerate() {
        if targets.iter().take(at).any(|other| other == target) {
            node.fault(format!("names {} twice", target.object));
            return None;
        }
    }
    Some(targets)
}

fn target(item: &Node<'_, '_>, policy: &ObjectId) -> Option<Target> {
    let before = item.faults().count();
    if !item.object(&FIELDS) || item.faults().count() > before {
        return None;
    }
    let kinds = KINDS.map(|(group, kind)| (kind.as_str(), (group, kind)));
    let named = item.field("kind");
    let (group, kind) = named.need("write the kind of the target").then(|| named.choice(&kinds)).flatten()?;
    // The group of a Service is the empty text, which is no absent one.
    let given = item.field("group");
    if given.need("write the API group of the target, `\"\"` for a Service")
        && given.value().and_then(serde_json::Value::as_str) != Some(group)
    {
        given.fault(format!("must be `{group}` for a {}", kind.as_str()));
    }
    let name = item.field("name");
    let name = name.need("write the name of the target").then(|| name.text(253)).flatten();
    let section = item.field("sectionName");
    let text = section.text(253);
    if section.is_present() && kind != Kind::Gateway {
        section.fault("counts for a Gateway only, as the name of a listener: a policy is about hosts, not about parts of a route or ports");
    }
    if item.faults().count() > before {
        return None;
    }
    let object = ObjectId { kind, namespace: std::sync::Arc::clone(&policy.namespace), name: name?.into() };
    Some(Target { object, section: text.map(Into::into) })
}
