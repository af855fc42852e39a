//! Objects of the API server as resources: what policy needs of them, and no more.
//!
//! Status, managed fields, annotations and versions are left behind: they fill memory, and two objects that differ in
//! them only are one state.

use kube::core::DynamicObject;
use serde_json::{Map, Value, json};

use crate::api::object::{DEFAULT_NAMESPACE, ENVOY_GATEWAY_GROUP, GATEWAY_GROUP, Kind, Object, ObjectId, Unidentified};

/// The group and version under which a kind is asked for, and its plural.
pub(super) const fn coordinates(kind: Kind) -> (&'static str, &'static str, &'static str) {
    match kind {
        Kind::EntraApplication => ("entrance.dev", "v1alpha1", "entraapplications"),
        Kind::AccessPolicy => ("entrance.dev", "v1alpha1", "accesspolicies"),
        Kind::AccessGrant => ("entrance.dev", "v1alpha1", "accessgrants"),
        Kind::TokenRevocation => ("entrance.dev", "v1alpha1", "tokenrevocations"),
        Kind::ConfigMap => ("", "v1", "configmaps"),
        Kind::ReferenceGrant => (GATEWAY_GROUP, "v1beta1", "referencegrants"),
        Kind::HttpRoute => (GATEWAY_GROUP, "v1", "httproutes"),
        Kind::GrpcRoute => (GATEWAY_GROUP, "v1", "grpcroutes"),
        Kind::Gateway => (GATEWAY_GROUP, "v1", "gateways"),
        Kind::Service => ("", "v1", "services"),
        Kind::SecurityPolicy => (ENVOY_GATEWAY_GROUP, "v1alpha1", "securitypolicies"),
    }
}

/// Who an object is.
pub(super) fn identity(kind: Kind, object: &DynamicObject) -> Option<ObjectId> {
    let name = object.metadata.name.as_deref()?.into();
    let namespace = object.metadata.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE).into();
    Some(ObjectId { kind, namespace, name })
}

/// The resource in an object.
///
/// # Errors
/// It has no identity, which an API server does not let pass.
pub fn resource(kind: Kind, object: &DynamicObject) -> Result<Option<Object>, Unidentified> {
    let (group, version, _) = coordinates(kind);
    let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let meta = &object.metadata;
    let mut metadata = Map::new();
    // Only what has a status of ours is told from another object of its name.
    let uid = if super::statuses::KINDS.contains(&kind) { &meta.uid } else { &None };
    let texts = [("name", &meta.name), ("namespace", &meta.namespace), ("uid", uid)];
    for (name, text) in texts {
        if let Some(text) = text {
            metadata.insert(name.to_owned(), json!(text));
        }
    }
    if let Some(created) = &meta.creation_timestamp {
        metadata.insert("creationTimestamp".to_owned(), json!(created));
    }
    if let Some(generation) = meta.generation.filter(|_| counts(kind)) {
        metadata.insert("generation".to_owned(), json!(generation));
    }
    let mut body = Map::new();
    body.insert("apiVersion".to_owned(), json!(api_version));
    body.insert("kind".to_owned(), json!(kind.as_str()));
    body.insert("metadata".to_owned(), Value::Object(metadata));
    body.extend(kept(kind, &object.data));
    Object::new(body)
}

/// Whether the generation of an object counts what is kept of it, and nothing else.
const fn counts(kind: Kind) -> bool {
    !matches!(kind, Kind::HttpRoute | Kind::GrpcRoute | Kind::Gateway | Kind::Service | Kind::SecurityPolicy)
}

/// What is kept beside the identity. Most changes of a route are none that matters here.
fn kept(kind: Kind, data: &Value) -> Map<String, Value> {
    match kind {
        // Our own kinds keep members that do not belong there, so that the compiler complains about them.
        Kind::EntraApplication
        | Kind::AccessPolicy
        | Kind::AccessGrant
        | Kind::TokenRevocation
        | Kind::ConfigMap
        | Kind::ReferenceGrant => {
            let members = data.as_object().into_iter().flatten();
            members.filter(|(name, _)| *name != "status").map(|(name, value)| (name.clone(), value.clone())).collect()
        }
        Kind::HttpRoute | Kind::GrpcRoute => {
            let spec = data.get("spec").unwrap_or(&Value::Null);
            let mut kept = only(spec, &["hostnames", "parentRefs"]);
            let backends = list(spec, "rules").flat_map(|rule| list(rule, "backendRefs"));
            let mut backends: Vec<Value> =
                backends.map(|backend| only(backend, &["group", "kind", "namespace", "name"]).into()).collect();
            backends.sort_by_cached_key(Value::to_string);
            backends.dedup();
            kept.insert("rules".to_owned(), json!([{"backendRefs": backends}]));
            Map::from_iter([("spec".to_owned(), Value::Object(kept))])
        }
        Kind::Gateway => {
            let fields = ["name", "hostname", "port", "protocol", "allowedRoutes"];
            let listeners = list(data.get("spec").unwrap_or(&Value::Null), "listeners");
            let listeners: Value = listeners.map(|listener| Value::Object(only(listener, &fields))).collect();
            Map::from_iter([("spec".to_owned(), json!({"listeners": listeners}))])
        }
        Kind::Service => Map::new(),
        Kind::SecurityPolicy => {
            let spec = data.get("spec").unwrap_or(&Value::Null);
            let mut kept = only(spec, &["targetRef", "targetRefs", "targetSelectors", "mergeType"]);
            // Whether there is a check matters, not whom it asks.
            kept.extend(spec.get("extAuth").map(|check| ("extAuth".to_owned(), only(check, &["failOpen"]).into())));
            Map::from_iter([("spec".to_owned(), Value::Object(kept))])
        }
    }
}

/// The elements of a member; none if it is no list.
fn list<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> + use<'v> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// These members, as far as they are there.
fn only(value: &Value, names: &[&str]) -> Map<String, Value> {
    names.iter().filter_map(|name| Some(((*name).to_owned(), value.get(name)?.clone()))).collect()
}
