//! The resources as custom resource definitions: what the API server checks before anybody else sees an object.
//!
//! These types only describe. The compiler reads objects by itself, so that one look tells every fault; that both say the
//! same is proved by a corpus of manifests against a real API server. Every list, map and string has a bound, which keeps
//! objects small and the cost of the CEL rules within the API server's budget.
#![expect(unreachable_pub, reason = "the derive repeats each struct in a module of its own")]
#![expect(clippy::duplicated_attributes, reason = "each printer column names its type")]

pub mod application;
pub mod grant;
pub mod policy;
pub mod revocation;
pub mod status;

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt as _;

/// What every GUID looks like in a token.
const GUID: &str = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$";
/// `8h`, `90s`, `1h30m`.
const DURATION: &str = "^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,9}s)?$";
/// Names: no control characters, no space at either end.
const NAME: &str = r"^[^\s[:cntrl:]]([^[:cntrl:]]*[^\s[:cntrl:]])?$";
/// Scopes are one word of visible ASCII without quotes and backslashes (RFC 6749 §3.3).
const SCOPE: &str = r"^[!#-\[\]-~]+$";
/// `orders.example.com`, `*.example.com`, `*`, `[2001:db8::1]`.
const HOST: &str = r"^(\*|(\*\.)?[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*|\[[0-9A-Fa-f:.]+\])$";
/// Helm leaves a definition alone when its chart goes: with the definition all objects of its kind would go, too.
const KEEP: (&str, &str) = ("helm.sh/resource-policy", "keep");

/// What tools of the Gateway API know a policy by (GEP-713). `Inherited`, since one that is attached to a Gateway reaches
/// the routes below it, as far as their hosts have no policy of their own.
const ATTACHED: (&str, &str) = ("gateway.networking.k8s.io/policy", "Inherited");

/// All definitions, in the order in which they are printed.
#[must_use]
pub fn definitions() -> Vec<CustomResourceDefinition> {
    let described = [
        application::EntraApplication::crd(),
        policy::AccessPolicy::crd(),
        grant::AccessGrant::crd(),
        revocation::TokenRevocation::crd(),
    ];
    described.into_iter().map(installed).collect()
}

/// A definition as it is installed.
fn installed(mut definition: CustomResourceDefinition) -> CustomResourceDefinition {
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    definition.metadata.annotations.get_or_insert_with(BTreeMap::new).extend([owned(KEEP)]);
    if definition.spec.names.kind == "AccessPolicy" {
        definition.metadata.labels.get_or_insert_with(BTreeMap::new).extend([owned(ATTACHED)]);
    }
    for version in &mut definition.spec.versions {
        let schema = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut());
        if let Some(schema) = schema {
            // What the derive says of the whole is about Rust.
            let spec = schema.properties.as_ref().and_then(|properties| properties.get("spec"));
            schema.description = spec.and_then(|spec| spec.description.clone());
            without_null(schema);
        }
    }
    definition
}

/// The API server drops a `null` where the schema has no place for it, and so `null` is as good as absent for the CEL
/// rules, too, as it is for the compiler.
fn without_null(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    if let Some(values) = &mut schema.enum_ {
        values.retain(|value| !value.0.is_null());
    }
    schema.properties.iter_mut().flat_map(BTreeMap::values_mut).for_each(without_null);
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => without_null(items),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(without_null),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        without_null(values);
    }
}
