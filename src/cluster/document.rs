//! Objects of the API server as resources: what policy needs of them, and no more.
//!
//! Status, managed fields, annotations and versions are left behind: they fill memory, and two objects that differ in
//! them only are one state.

use kube::core::DynamicObject;
use serde_json::{Map, Value, json};

use crate::api::object::{DEFAULT_NAMESPACE, Kind, Object, ObjectId, Unidentified};

/// The group and version under which a kind is asked for, and its plural.
pub(super) const fn coordinates(kind: Kind) -> (&'static str, &'static str, &'static str) {
    match kind {
        Kind::EntraApplication => ("entrance.dev", "v1alpha1", "entraapplications"),
        Kind::AccessPolicy => ("entrance.dev", "v1alpha1", "accesspolicies"),
        Kind::AccessGrant => ("entrance.dev", "v1alpha1", "accessgrants"),
        Kind::TokenRevocation => ("entrance.dev", "v1alpha1", "tokenrevocations"),
        Kind::ConfigMap => ("", "v1", "configmaps"),
        Kind::ReferenceGrant => ("gateway.networking.k8s.io", "v1beta1", "referencegrants"),
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
    let texts = [("name", &meta.name), ("namespace", &meta.namespace)];
    for (name, text) in texts {
        if let Some(text) = text {
            metadata.insert(name.to_owned(), json!(text));
        }
    }
    if let Some(created) = &meta.creation_timestamp {
        metadata.insert("creationTimestamp".to_owned(), json!(created));
    }
    if let Some(generation) = meta.generation {
        metadata.insert("generation".to_owned(), json!(generation));
    }
    let mut body = Map::new();
    body.insert("apiVersion".to_owned(), json!(api_version));
    body.insert("kind".to_owned(), json!(kind.as_str()));
    body.insert("metadata".to_owned(), Value::Object(metadata));
    // Our own kinds keep members that do not belong there, so that the compiler complains about them.
    let members = object.data.as_object().into_iter().flatten();
    body.extend(members.filter(|(name, _)| *name != "status").map(|(name, value)| (name.clone(), value.clone())));
    Object::new(body)
}
