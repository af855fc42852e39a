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

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

/// What every GUID looks like in a token.
const GUID: &str = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$";
/// `8h`, `90s`, `1h30m`.
const DURATION: &str = "^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,9}s)?$";

/// All definitions, in the order in which they are printed.
#[must_use]
pub fn definitions() -> Vec<CustomResourceDefinition> {
    vec![
        application::EntraApplication::crd(),
        policy::AccessPolicy::crd(),
        grant::AccessGrant::crd(),
        revocation::TokenRevocation::crd(),
    ]
}
