//! `AccessGrant`: roles lent for a time.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::status::TimedStatus;

/// Access that ends by itself: roles lent to somebody inside one policy, until a moment.
#[derive(Clone, Debug, PartialEq, CustomResource, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "entrance.dev",
    version = "v1alpha1",
    kind = "AccessGrant",
    namespaced,
    status = "TimedStatus",
    shortname = "agrant",
    category = "entrance",
    printcolumn(name = "Policy", type_ = "string", json_path = ".spec.policyRef.name"),
    printcolumn(name = "Roles", type_ = "string", json_path = ".spec.roles"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Left", type_ = "string", json_path = ".status.remaining"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".spec.expiresAt"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(validation = Rule::new("!has(self.notBefore) || self.notBefore < self.expiresAt")
    .message("expiresAt must be after notBefore").field_path(".expiresAt"))]
#[serde(rename_all = "camelCase")]
pub struct AccessGrantSpec {
    /// The policy, of this namespace, inside which the roles count.
    pub policy_ref: LocalRef,
    /// To whom.
    pub subject: GrantSubject,
    /// The roles that are lent.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 256), regex(pattern = super::NAME)))]
    pub roles: Vec<String>,
    /// From this moment on; at once if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), extend("format" = "date-time"))]
    pub not_before: Option<String>,
    /// Until before this moment.
    #[schemars(length(max = 64), extend("format" = "date-time"))]
    pub expires_at: String,
    /// Why, as in a ticket's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub reason: Option<String>,
    /// Nothing is lent before this is true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved: Option<bool>,
    /// Who asked for it: stamped on admission, whatever is written here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<Stamp>,
    /// Who approved it: stamped on admission, whatever is written here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<Stamp>,
}

/// A user of the cluster, as the API server authenticated them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stamp {
    /// The user's name.
    #[schemars(length(min = 1, max = 1024))]
    pub username: String,
    /// The user's id, if the authenticator gives one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub uid: Option<String>,
    /// When.
    #[schemars(length(max = 64), extend("format" = "date-time"))]
    pub at: String,
}

/// An object of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LocalRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// To whom roles are lent: a principal (tenant and oid), a client, or a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("[has(self.oid), has(self.client), has(self.group)].filter(x, x).size() == 1")
    .message("exactly one of oid (with tenant), client and group"))]
#[x_kube(validation = Rule::new("has(self.oid) == has(self.tenant)").message("oid and tenant belong together"))]
pub struct GrantSubject {
    /// The principal's tenant, by name or id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub tenant: Option<String>,
    /// The principal's object id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 36), regex(pattern = super::GUID))]
    pub oid: Option<String>,
    /// A client that calls as itself, by application id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 36), regex(pattern = super::GUID))]
    pub client: Option<String>,
    /// A group, by a name of the application or by object id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub group: Option<String>,
}
