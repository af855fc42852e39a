//! `EntraApplication`: the API as it is registered in Entra.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::status::Status;

/// An API as it is registered in Microsoft Entra ID: whose tokens count for it. Access policies refer to it.
#[derive(Clone, Debug, PartialEq, CustomResource, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "entrance.dev",
    version = "v1alpha1",
    kind = "EntraApplication",
    namespaced,
    status = "Status",
    shortname = "eapp",
    category = "entrance",
    printcolumn(name = "Client", type_ = "string", json_path = ".spec.clientId"),
    printcolumn(name = "Accepted", type_ = "string", json_path = ".status.conditions[?(@.type==\"Accepted\")].status"),
    printcolumn(name = "Keys", type_ = "string", json_path = ".status.conditions[?(@.type==\"KeysReady\")].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(validation = Rule::new("!(has(self.cloud) && has(self.authority))")
    .message("authority excludes cloud; remove one of them").field_path(".authority"))]
#[serde(rename_all = "camelCase")]
pub struct EntraApplicationSpec {
    /// The Microsoft cloud that issues the tokens. Public if neither this nor `authority` is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud: Option<CloudName>,
    /// Another authority than Microsoft's clouds: External ID, B2C, a stand-in. https only; http for loopback.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = "^https?://"))]
    pub authority: Option<String>,
    /// The tenants whose tokens count. There is no "any tenant".
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    pub tenants: Vec<Tenant>,
    /// The application (client) id: the audience of v2 tokens.
    #[schemars(length(max = 36), regex(pattern = super::GUID))]
    pub client_id: String,
    /// Further audiences, each exact: v1 tokens carry App ID URIs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 512), regex(pattern = "^[!-~]+$")))]
    pub audiences: Option<Vec<String>>,
    /// The token versions that count; V2 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2))]
    pub token_versions: Option<Vec<TokenVersion>>,
    /// The clients (azp, appid) whose tokens count; all if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), inner(length(max = 36), regex(pattern = super::GUID)))]
    pub allowed_clients: Option<Vec<String>>,
    /// The app roles that the API defines; misspelt roles in policies are then reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 256), regex(pattern = super::NAME)))]
    pub roles: Option<Vec<String>>,
    /// The scopes that the API defines; misspelt scopes in policies are then reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 256), regex(pattern = super::NAME)))]
    pub scopes: Option<Vec<String>>,
    /// Groups that policies may name; tokens carry their object ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub groups: Option<Vec<Group>>,
    /// What happens if a token cannot list all groups of its caller: Deny (the default), or ask Microsoft Graph.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_overage: Option<Overage>,
    /// The longest time between nbf and exp that is accepted, as in 30h (the default); 60s to 48h.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), regex(pattern = super::DURATION))]
    #[x_kube(validation = Rule::new("duration(self) >= duration('60s') && duration(self) <= duration('48h')")
        .message("must be 60s to 48h"))]
    pub max_token_lifetime: Option<String>,
    /// How far clocks may differ, as in 60s (the default); at most 300s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), regex(pattern = super::DURATION))]
    #[x_kube(validation = Rule::new("duration(self) >= duration('0s') && duration(self) <= duration('300s')")
        .message("must be 0s to 300s"))]
    pub clock_skew: Option<String>,
    /// Signing keys, if they are not to be discovered from the authority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<Keys>,
}

/// A cloud of Microsoft's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CloudName {
    /// The worldwide one.
    Public,
    /// US Government.
    USGovernment,
    /// China, operated by 21Vianet.
    China,
}

/// A token version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TokenVersion {
    /// v1.0.
    V1,
    /// v2.0.
    V2,
}

/// What to do about too many groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Overage {
    /// Deny what depends on groups.
    Deny,
    /// Ask Microsoft Graph.
    Graph,
}

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tenant {
    /// The tenant (directory) id.
    #[schemars(length(max = 36), regex(pattern = super::GUID))]
    pub id: String,
    /// The name that policies may use for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = super::NAME))]
    pub name: Option<String>,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Group {
    /// The name that policies use for it.
    #[schemars(length(min = 1, max = 256), regex(pattern = super::NAME))]
    pub name: String,
    /// The group's object id.
    #[schemars(length(max = 36), regex(pattern = super::GUID))]
    pub id: String,
}

/// Where keys come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Keys {
    /// A key set that is given: no network is needed.
    pub static_jwks: StaticJwks,
}

/// A key set that is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.inline) != has(self.configMapRef)")
    .message("exactly one of inline and configMapRef"))]
#[serde(rename_all = "camelCase")]
pub struct StaticJwks {
    /// The key set (RFC 7517) as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1_048_576))]
    pub inline: Option<String>,
    /// A ConfigMap of this namespace that holds it; it must carry the label `entrance.dev/jwks: "true"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<ConfigMapRef>,
}

/// A member of a ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigMapRef {
    /// The ConfigMap.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The member; `jwks.json` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub key: Option<String>,
}
