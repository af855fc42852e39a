//! What resources say of each other: the envelope around a spec, and who may refer to whom.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::fault::Faults;
use super::object::{GROUP, Kind, Object, ObjectId, Resources};
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
    let mut grants = resources.of(Kind::ReferenceGrant).filter(|grant| grant.id.namespace == target.namespace);
    grants.any(|grant| Permission::of(grant).covers(&policy.namespace, &target.name))
}

/// What a ReferenceGrant permits: the policies of some namespaces to refer to applications of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permission {
    from: Vec<Box<str>>,
    /// Names of applications; `None`: any.
    to: Vec<Option<Box<str>>>,
}

impl Permission {
    /// Reads a grant. What cannot be read permits nothing.
    #[must_use]
    pub fn of(grant: &Object) -> Self {
        let body = grant.body();
        let spec = body.get("spec");
        let list = |name: &str| spec.and_then(|spec| spec.get(name)).and_then(Value::as_array).into_iter().flatten();
        let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).map(Box::<str>::from);
        let is = |of: &Value, kind: Kind| {
            text(of, "group").as_deref() == Some(GROUP) && text(of, "kind").as_deref() == Some(kind.as_str())
        };
        let from = list("from").filter(|from| is(from, Kind::AccessPolicy));
        let to = list("to").filter(|to| is(to, Kind::EntraApplication));
        let named = |to: &Value| match to.get("name") {
            None | Some(Value::Null) => Some(None),
            Some(name) => Some(Some(name.as_str()?.into())),
        };
        Self { from: from.filter_map(|from| text(from, "namespace")).collect(), to: to.filter_map(named).collect() }
    }

    /// Whether policies of this namespace may refer to this application.
    #[must_use]
    pub fn covers(&self, policies: &str, application: &str) -> bool {
        let from = self.from.iter().any(|from| **from == *policies);
        from && self.to.iter().any(|to| to.as_deref().is_none_or(|to| to == application))
    }
}

/// The ConfigMap that an application takes its keys from.
#[must_use]
pub fn key_map(application: &Object) -> Option<ObjectId> {
    let body = application.body();
    let name = body.get("spec")?.pointer("/keys/staticJwks/configMapRef/name")?.as_str()?;
    let namespace = Arc::clone(&application.id.namespace);
    Some(ObjectId { kind: Kind::ConfigMap, namespace, name: name.into() })
}
