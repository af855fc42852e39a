//! What resources say of each other: the envelope around a spec, and who may refer to whom.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::fault::Faults;
use super::object::{GROUP, Kind, ObjectId, Resources};
use super::read::Node;

/// The members of a resource.
const ENVELOPE: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];

/// Complains about members beside those that every resource has.
pub(super) fn envelope(body: &Map<String, Value>, faults: &Faults<'_>) {
    for name in body.keys().filter(|name| !ENVELOPE.contains(&name.as_str())) {
        Node::top(body, name, faults).fault("is an unknown field; fields belong under `spec`");
    }
}

/// The application that a policy refers to, if the reference itself is sound and permitted.
pub(super) fn application(spec: &Node<'_, '_>, policy: &ObjectId, resources: &Resources) -> Option<ObjectId> {
    let node = spec.field("applicationRef");
    let before = node.faults().count();
    if !node.object(&["name", "namespace"]) || node.faults().count() > before {
        return None;
    }
    let named = node.field("name");
    let name = named.need("write the name of an EntraApplication").then(|| named.text(253)).flatten();
    let namespace = node.field("namespace");
    let namespace = if namespace.is_present() { namespace.text(63)? } else { &policy.namespace };
    let target = ObjectId { kind: Kind::EntraApplication, namespace: namespace.into(), name: name?.into() };
    if target.namespace != policy.namespace && !granted(policy, &target, resources) {
        node.reference_fault(format!(
            "refers to another namespace, which needs a ReferenceGrant in `{namespace}` from AccessPolicy of `{}`",
            policy.namespace
        ));
        return None;
    }
    Some(target)
}

/// Whether a policy names an application of another namespace, whatever else is wrong with the reference.
pub(super) fn is_abroad(spec: &Node<'_, '_>, policy: &ObjectId) -> bool {
    let namespace = spec.field("applicationRef").value().and_then(|reference| reference.get("namespace"));
    namespace.and_then(Value::as_str).is_some_and(|namespace| *namespace != *policy.namespace)
}

/// Whether a Gateway API ReferenceGrant in the target's namespace lets the policy refer to the target.
fn granted(policy: &ObjectId, target: &ObjectId, resources: &Resources) -> bool {
    let grants = resources.of(Kind::ReferenceGrant).filter(|grant| grant.id.namespace == target.namespace);
    grants.map(Arc::as_ref).any(|grant| {
        let body = grant.body();
        let list = |name: &str| body.get("spec").and_then(|spec| spec.get(name)).and_then(Value::as_array);
        let from = list("from").is_some_and(|from| from.iter().any(|from| is_from(from, policy)));
        from && list("to").is_some_and(|to| to.iter().any(|to| is_to(to, target)))
    })
}

fn is_from(from: &Value, policy: &ObjectId) -> bool {
    let is = |name: &str, wanted: &str| from.get(name).and_then(Value::as_str) == Some(wanted);
    is("group", GROUP) && is("kind", policy.kind.as_str()) && is("namespace", &policy.namespace)
}

fn is_to(to: &Value, target: &ObjectId) -> bool {
    let is = |name: &str, wanted: &str| to.get(name).and_then(Value::as_str) == Some(wanted);
    let named = match to.get("name") {
        None | Some(Value::Null) => true,
        Some(name) => name.as_str() == Some(&*target.name),
    };
    is("group", GROUP) && is("kind", target.kind.as_str()) && named
}
