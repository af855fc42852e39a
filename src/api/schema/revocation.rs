//! `TokenRevocation`: good tokens that are refused all the same.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::grant::LocalRef;
use super::status::TimedStatus;

/// Refuses tokens of an application that were issued before a moment, although they are good by themselves.
#[derive(Clone, Debug, PartialEq, CustomResource, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "entrance.dev",
    version = "v1alpha1",
    kind = "TokenRevocation",
    namespaced,
    status = "TimedStatus",
    shortname = "trev",
    category = "entrance",
    printcolumn(name = "Application", type_ = "string", json_path = ".spec.applicationRef.name"),
    printcolumn(name = "Issued before", type_ = "string", json_path = ".spec.issuedBefore"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Left", type_ = "string", json_path = ".status.remaining"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct TokenRevocationSpec {
    /// The application, of this namespace.
    pub application_ref: LocalRef,
    /// Whose tokens.
    #[serde(rename = "match")]
    pub matches: RevocationMatch,
    /// Tokens issued before this moment are refused.
    #[schemars(length(max = 64), extend("format" = "date-time"))]
    pub issued_before: String,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub reason: Option<String>,
}

/// Whose tokens are refused: exactly one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub struct RevocationMatch {
    /// Those of a user or service principal, by object id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 36), regex(pattern = super::GUID))]
    pub oid: Option<String>,
    /// Those that a client got, by application id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 36), regex(pattern = super::GUID))]
    pub client: Option<String>,
    /// Those of a tenant, by id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 36), regex(pattern = super::GUID))]
    pub tenant: Option<String>,
    /// Those of a session (sid).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub sid: Option<String>,
    /// One token (uti).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub uti: Option<String>,
}
