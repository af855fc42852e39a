//! `AccessPolicy`: hosts, routes, and who may use them.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::status::PolicyStatus;

/// Who may reach which route of an API. Everything that no route allows is denied.
#[derive(Clone, Debug, PartialEq, CustomResource, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "entrance.dev",
    version = "v1alpha1",
    kind = "AccessPolicy",
    namespaced,
    status = "PolicyStatus",
    shortname = "apol",
    category = "entrance",
    printcolumn(name = "Application", type_ = "string", json_path = ".spec.applicationRef.name"),
    printcolumn(name = "Hosts", type_ = "string", json_path = ".spec.hosts"),
    printcolumn(name = "Target", type_ = "string", json_path = ".spec.targetRefs[0].name"),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(name = "Accepted", type_ = "string", json_path = ".status.conditions[?(@.type==\"Accepted\")].status"),
    printcolumn(
        name = "Programmed",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Programmed\")].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(validation = Rule::new("has(self.hosts) || has(self.targetRefs)")
    .message("either hosts or targetRefs, or both: then the hosts that both have"))]
#[x_kube(validation = Rule::new("has(self.selector) || !has(self.hosts) || !self.hosts.exists(h, h == '*')")
    .message("* needs a selector, since it would cover the hosts of everybody").field_path(".hosts"))]
#[serde(rename_all = "camelCase")]
pub struct AccessPolicySpec {
    /// The application whose tokens count.
    pub application_ref: ApplicationRef,
    /// The hosts: exact, or *.example.com for one or more labels; * only with a selector. With targetRefs, which of their
    /// hosts count; exact ones count in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 253), regex(pattern = super::HOST)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub hosts: Option<Vec<String>>,
    /// What the policy is attached to, in its own namespace: its hosts are those that lead there. A target that is absent
    /// gives none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(validation = Rule::new(DISTINCT).message("names a target twice"))]
    pub target_refs: Option<Vec<TargetRef>>,
    /// Only sidecars of pods with these labels enforce the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<PodSelector>,
    /// Enforce (the default), or Shadow: decide and record, but do not deny.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<PolicyMode>,
    /// Whether CORS preflights pass without a token; Deny if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preflight: Option<PreflightMode>,
    /// Guardrails: entries that refuse on every route of this policy that asks for a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub deny: Option<Vec<AccessEntry>>,
    /// The routes. None at all denies everything on the hosts.
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub routes: Vec<PolicyRoute>,
}

/// Targets are told apart by all that they say.
const DISTINCT: &str = "self.all(a, self.exists_one(b, a.kind == b.kind && a.name == b.name && \
    (has(a.sectionName) ? a.sectionName : '') == (has(b.sectionName) ? b.sectionName : '')))";

/// A target (Gateway API GEP-713).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("self.group == (self.kind == 'Service' ? '' : 'gateway.networking.k8s.io')")
    .message("must be gateway.networking.k8s.io, or empty for a Service").field_path(".group"))]
#[x_kube(validation = Rule::new("self.kind == 'Gateway' || !has(self.sectionName)")
    .message("counts for a Gateway only, as the name of a listener").field_path(".sectionName"))]
#[serde(rename_all = "camelCase")]
pub struct TargetRef {
    /// gateway.networking.k8s.io, or empty for a Service.
    pub group: TargetGroup,
    /// The kind: the host names of an HTTPRoute or a GRPCRoute as far as its Gateways have them, those of a Gateway's
    /// HTTP listeners, or the names of a Service and those of the routes that lead to it.
    pub kind: TargetKind,
    /// The name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// One listener of a Gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub section_name: Option<String>,
}

/// API groups of targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TargetGroup {
    /// That of Services.
    #[serde(rename = "")]
    Core,
    /// That of the Gateway API.
    #[serde(rename = "gateway.networking.k8s.io")]
    Gateway,
}

/// Kinds of targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TargetKind {
    /// Routes of HTTP.
    #[serde(rename = "HTTPRoute")]
    HttpRoute,
    /// Routes of gRPC.
    #[serde(rename = "GRPCRoute")]
    GrpcRoute,
    /// A Gateway, or one of its listeners.
    Gateway,
    /// A Service.
    Service,
}

/// An application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApplicationRef {
    /// The name of an EntraApplication.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace, if it is another one: a ReferenceGrant there must permit it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// Pods by their labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodSelector {
    /// Labels that a pod must have.
    #[x_kube(validation = Rule::new("self.all(key, size(key) <= 317 && size(self[key]) >= 1 && size(self[key]) <= 63)")
        .message("labels have 1 to 63 characters"))]
    #[schemars(extend("minProperties" = 1, "maxProperties" = 16))]
    pub match_labels: BTreeMap<String, LabelValue>,
}

/// The value of a label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct LabelValue(#[schemars(length(min = 1, max = 63))] pub String);

/// Whether a policy decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PolicyMode {
    /// Its verdict counts.
    Enforce,
    /// Its verdict is recorded.
    Shadow,
}

/// Whether preflights pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PreflightMode {
    /// They are decided like any request.
    Deny,
    /// They pass.
    Allow,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.anonymous) && self.anonymous ? !has(self.allow) && !has(self.deny) : has(self.allow)")
    .message("either anonymous: true, or allow (allow: [] is nobody)"))]
#[serde(rename_all = "camelCase")]
pub struct PolicyRoute {
    /// The name that records and answers use.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// The path: /orders/{id} takes one segment, /files/{*rest} everything below. A trailing slash counts.
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^/"))]
    pub path: String,
    /// The methods; all if absent or empty. GET covers HEAD.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 32), regex(pattern = "^[A-Z0-9_-]+$")))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub methods: Option<Vec<String>>,
    /// Entries any of which admits. None at all is nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub allow: Option<Vec<AccessEntry>>,
    /// Entries any of which refuses, whatever admits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub deny: Option<Vec<AccessEntry>>,
    /// Lets everybody pass without a look at any token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anonymous: Option<bool>,
}

/// Conditions that must all hold; in a list any value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[schemars(extend("minProperties" = 1))]
#[x_kube(validation = Rule::new("!(has(self.callers) && self.callers == 'Workload' && has(self.scopes))")
    .message("scopes never hold for workloads").field_path(".scopes"))]
#[serde(rename_all = "camelCase")]
pub struct AccessEntry {
    /// Users (delegated tokens), workloads (app-only tokens), or any; any if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callers: Option<Callers>,
    /// Tenants of the application, by name or id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 256)))]
    pub tenants: Option<Vec<String>>,
    /// Clients, by application id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(max = 36), regex(pattern = super::GUID)))]
    pub clients: Option<Vec<String>>,
    /// Roles, any of which suffices.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 256), regex(pattern = super::NAME)))]
    pub roles: Option<Vec<String>>,
    /// Roles, all of which are needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 256), regex(pattern = super::NAME)))]
    pub all_roles: Option<Vec<String>>,
    /// Scopes, any of which suffices. Users only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 256), regex(pattern = super::SCOPE)))]
    pub scopes: Option<Vec<String>>,
    /// Groups, by a name of the application or by object id, any of which suffices.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 256)))]
    pub groups: Option<Vec<String>>,
    /// A CEL expression over request, params, caller, claims and now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub when: Option<String>,
    /// The longest time since the user signed in, as in 8h.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), regex(pattern = super::DURATION))]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('8760h')")
        .message("must be 1s to 8760h"))]
    pub max_session_age: Option<String>,
    /// Authentication contexts that the session must satisfy, all of them; a client that can step up is asked to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(max = 3), regex(pattern = "^c[1-9][0-9]?$")))]
    pub auth_contexts: Option<Vec<String>>,
}

/// Kinds of callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Callers {
    /// Delegated tokens.
    User,
    /// App-only tokens.
    Workload,
    /// Both.
    Any,
}
