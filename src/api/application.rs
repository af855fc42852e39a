//! `EntraApplication`: the API as it is registered in Entra, and so whose tokens count.
//!
//! An application is sound as a whole or not at all: with one broken field nobody can tell which tokens its owner meant
//! to accept, and the policies that refer to it deny.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::identity::{ApplicationId, GroupId, Guid, TenantId};
use crate::policy::rules::GroupOverage;
use crate::token::cloud::{Cloud, CustomAuthority, Issuer};
use crate::token::{ChallengeUris, KeySet, KeySource, Profile, TenantKeys, Version, jwks};

use super::fault::{Fault, Faults};
use super::object::{Kind, Object, ObjectId, Resources};
use super::read::Node;

/// Most tenants of one application.
pub const TENANTS: RangeInclusive<usize> = 1..=256;
/// Further audiences.
pub const AUDIENCES: RangeInclusive<usize> = 1..=32;
/// Clients that may call.
pub const CLIENTS: RangeInclusive<usize> = 1..=256;
/// Names in each catalogue.
pub const CATALOGUE: RangeInclusive<usize> = 0..=256;
/// Longest name of a role, scope, group or tenant, in bytes.
pub const NAME: usize = 256;
/// Longest URL or App ID URI, in bytes.
pub const URL: usize = 512;
/// `maxTokenLifetime`, in seconds.
pub const LIFETIME: RangeInclusive<i64> = 60..=172_800;
/// `clockSkew`, in seconds; Microsoft's own libraries allow 300 at most by default.
pub const SKEW: RangeInclusive<i64> = 0..=300;
/// The member of a ConfigMap that holds the key set if the reference names none.
pub const JWKS_MEMBER: &str = "jwks.json";

const DEFAULT_LIFETIME: i64 = 108_000;
const DEFAULT_SKEW: i64 = 60;
const FIELDS: [&str; 14] = [
    "cloud",
    "authority",
    "tenants",
    "clientId",
    "audiences",
    "tokenVersions",
    "allowedClients",
    "roles",
    "scopes",
    "groups",
    "groupOverage",
    "maxTokenLifetime",
    "clockSkew",
    "keys",
];
/// Microsoft Graph: its tokens are not for anybody else to judge.
const GRAPH: [&str; 2] = ["00000003-0000-0000-c000-000000000000", "https://graph.microsoft.com"];

/// A sound application.
#[derive(Debug)]
pub struct Application {
    /// Which tokens count.
    pub profile: Arc<Profile>,
    /// The groups that policies may name.
    pub groups: BTreeMap<Box<str>, GroupId>,
    /// What happens if a token cannot list all groups.
    pub group_overage: GroupOverage,
    /// The roles that the API defines, if the resource lists them.
    pub roles: Option<Vec<Box<str>>>,
    /// The scopes that the API defines, if the resource lists them.
    pub scopes: Option<Vec<Box<str>>>,
}

impl Application {
    /// The tenant that a policy names, by name or id.
    #[must_use]
    pub fn tenant(&self, named: &str) -> Option<TenantId> {
        let tenants = &self.profile.tenants;
        let by_id = Guid::parse(named).filter(|id| tenants.contains_key(id));
        by_id.or_else(|| tenants.iter().find(|(_, keys)| keys.name.as_deref() == Some(named)).map(|(id, _)| *id))
    }
}

/// Where key sets come from besides the network.
#[derive(Clone, Copy)]
pub struct KeySets<'r> {
    /// The set that holds the ConfigMaps.
    pub resources: &'r Resources,
    /// Keys to use instead of those that the application names.
    pub instead: Option<&'r KeySet>,
}

/// Reads an application. With faults there is none.
#[must_use]
pub fn read(object: &Object, keys: KeySets<'_>) -> (Option<Application>, Vec<Fault>) {
    let faults = Faults::of(&object.id);
    let body = object.body();
    super::reference::envelope(&body, &faults);
    let spec = Node::top(&body, "spec", &faults);
    let application = if spec.object(&FIELDS) { application(&spec, &object.id, keys) } else { None };
    let faults = faults.into_vec();
    (application.filter(|_| faults.is_empty()), faults)
}

fn application(spec: &Node<'_, '_>, id: &ObjectId, keys: KeySets<'_>) -> Option<Application> {
    let issuer = issuer(spec);
    let versions = versions(spec);
    let tenants = tenants(spec, issuer.as_ref());
    let client_id = client_id(spec);
    let audiences = spec.field("audiences").each(&AUDIENCES, audience).unwrap_or_default();
    let allowed_clients = spec.field("allowedClients").each(&CLIENTS, guid);
    let roles = spec.field("roles").each(&CATALOGUE, name);
    let scopes = spec.field("scopes").each(&CATALOGUE, name);
    let groups = groups(spec);
    let overage = [("Deny", GroupOverage::Deny), ("Graph", GroupOverage::Graph)];
    let group_overage = spec.field("groupOverage").choice(&overage).unwrap_or(GroupOverage::Deny);
    let max_lifetime = spec.field("maxTokenLifetime").duration(&LIFETIME).unwrap_or(DEFAULT_LIFETIME);
    let clock_skew = spec.field("clockSkew").duration(&SKEW).unwrap_or(DEFAULT_SKEW);
    let given = given_keys(spec, id, keys);
    let (issuer, tenants, client_id) = (issuer?, tenants?, client_id?);
    let source = |tenant, version| match &given {
        Some(keys) => KeySource::Static(Arc::new(issuer.published(version, keys.clone()))),
        None => KeySource::Discovered(issuer.discovery(tenant, version)),
    };
    let of = |tenant, version| versions.contains(&version).then(|| source(tenant, version));
    let realm = if let [(only, _)] = tenants.as_slice() { Some(*only) } else { None };
    let challenge = ChallengeUris {
        realm,
        authorization_uri: issuer.authorization_uri(realm).into(),
        scope_prefix: scope_prefix(&audiences, &client_id),
    };
    let profile = Profile {
        id: ApplicationId(format!("{}/{}", id.namespace, id.name).into()),
        client_id,
        audiences,
        tenants: tenants
            .into_iter()
            .map(|(id, name)| (id, TenantKeys { name, v1: of(id, Version::V1), v2: of(id, Version::V2) }))
            .collect(),
        versions,
        allowed_clients,
        max_lifetime,
        clock_skew,
        allow_missing_typ: false,
        challenge,
    };
    Some(Application { profile: Arc::new(profile), groups, group_overage, roles, scopes })
}

fn issuer(spec: &Node<'_, '_>) -> Option<Issuer> {
    let (cloud, authority) = (spec.field("cloud"), spec.field("authority"));
    if cloud.is_present() && authority.is_present() {
        authority.fault("excludes `cloud`; remove one of them");
        return None;
    }
    if authority.is_present() {
        return authority.parse(URL, CustomAuthority::parse).map(Issuer::Custom);
    }
    let clouds = [("Public", Cloud::Public), ("USGovernment", Cloud::UsGovernment), ("China", Cloud::China)];
    if cloud.is_present() { cloud.choice(&clouds).map(Issuer::Cloud) } else { Some(Issuer::Cloud(Cloud::Public)) }
}

fn versions(spec: &Node<'_, '_>) -> Vec<Version> {
    let words = [("V1", Version::V1), ("V2", Version::V2)];
    let read = spec.field("tokenVersions").each(&(1..=2), |node| node.choice(&words));
    let mut versions = read.unwrap_or_else(|| vec![Version::V2]);
    versions.sort_unstable();
    versions.dedup();
    versions
}

type Tenants = Vec<(TenantId, Option<Box<str>>)>;

fn tenants(spec: &Node<'_, '_>, issuer: Option<&Issuer>) -> Option<Tenants> {
    let node = spec.field("tenants");
    if !node.need("list the tenants whose tokens count, as in [{id: <tenant id>, name: contoso}]") {
        return None;
    }
    let tenants = node.each(&TENANTS, |tenant| {
        if !tenant.object(&["id", "name"]) {
            return None;
        }
        let id = tenant.field("id");
        let id = id.need("write the tenant's id").then(|| guid(&id)).flatten().and_then(|id| Guid::parse(&id))?;
        Some((id, label(&tenant.field("name"))))
    })?;
    for (at, (id, name)) in tenants.iter().enumerate() {
        let taken = |(other, named): &(TenantId, Option<Box<str>>)| other == id || (name.is_some() && named == name);
        if tenants.iter().take(at).any(taken) {
            node.fault(format!("names a tenant twice: `{}`", name.as_deref().unwrap_or(&id.to_string())));
        }
    }
    if let (Some(Issuer::Custom(authority)), [_, _, ..]) = (issuer, tenants.as_slice())
        && authority.names_tenant()
    {
        node.fault("lists several tenants, but the path of `authority` names one; list that one only");
    }
    Some(tenants)
}

fn client_id(spec: &Node<'_, '_>) -> Option<Box<str>> {
    let node = spec.field("clientId");
    node.need("write the API's application (client) id").then(|| guid(&node)).flatten()
}

/// An audience counts byte for byte. Those of Microsoft Graph never do.
fn audience(node: &Node<'_, '_>) -> Option<Box<str>> {
    let text = node.text(URL)?;
    if GRAPH.iter().any(|graph| text.trim_end_matches('/').eq_ignore_ascii_case(graph)) {
        node.fault("is Microsoft Graph; tokens for it are not for this API");
        return None;
    }
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some(text.into());
    }
    node.fault("must be visible ASCII, as in api://orders");
    None
}

/// A GUID in the only spelling that tokens use.
pub(super) fn guid(node: &Node<'_, '_>) -> Option<Box<str>> {
    let text = node.text(NAME)?;
    if Guid::parse(text).is_some() {
        return Some(text.into());
    }
    let lower = text.to_ascii_lowercase();
    let mut problem = String::from("must be a GUID in lower case, as in 11aa22bb-33cc-44dd-8ee5-ff6677889900");
    if Guid::parse(&lower).is_some() {
        // Writing to a string does not fail.
        let (Ok(()) | Err(_)) = write!(problem, "; write `{lower}`");
    }
    node.fault(problem);
    None
}

/// A name without control characters and spaces at its ends.
pub(super) fn name(node: &Node<'_, '_>) -> Option<Box<str>> {
    let text = node.text(NAME)?;
    if text.trim() != text || text.chars().any(char::is_control) {
        node.fault("must not begin or end with a space or hold control characters");
        return None;
    }
    Some(text.into())
}

/// A name that policies may use in place of an id.
fn label(node: &Node<'_, '_>) -> Option<Box<str>> {
    let name = name(node)?;
    if Guid::parse(&name.to_ascii_lowercase()).is_none() {
        return Some(name);
    }
    node.fault("is an id, which policies could not tell from that of another; write a name, or leave it out");
    None
}

fn groups(spec: &Node<'_, '_>) -> BTreeMap<Box<str>, GroupId> {
    let node = spec.field("groups");
    let read = node.each(&CATALOGUE, |group| {
        if !group.object(&["name", "id"]) {
            return None;
        }
        let (named, id) = (group.field("name"), group.field("id"));
        let named = named.need("write the name that policies use").then(|| label(&named)).flatten();
        let id = id.need("write the group's object id").then(|| guid(&id)).flatten();
        Some((named?, id.and_then(|id| Guid::parse(&id))?))
    });
    let mut groups = BTreeMap::new();
    for (name, id) in read.unwrap_or_default() {
        if groups.insert(name.clone(), id).is_some() {
            node.fault(format!("names the group `{name}` twice"));
        }
    }
    groups
}

fn given_keys(spec: &Node<'_, '_>, id: &ObjectId, keys: KeySets<'_>) -> Option<KeySet> {
    let node = spec.field("keys");
    let own = if node.is_present() { static_keys(&node, id, keys.resources) } else { None };
    keys.instead.cloned().or(own)
}

fn static_keys(node: &Node<'_, '_>, id: &ObjectId, resources: &Resources) -> Option<KeySet> {
    if !node.object(&["staticJwks"]) {
        return None;
    }
    let node = node.field("staticJwks");
    if !node.object(&["configMapRef", "inline"]) {
        return None;
    }
    let (inline, reference) = (node.field("inline"), node.field("configMapRef"));
    let (at, text) = match (inline.is_present(), reference.is_present()) {
        (true, false) => (inline, inline.text(jwks::MAX_DOCUMENT)?.to_owned()),
        (false, true) => (reference, referenced(&reference, id, resources)?),
        (true, true) | (false, false) => {
            node.fault("must have either `inline` or `configMapRef`");
            return None;
        }
    };
    match jwks::parse(text.as_bytes()) {
        Ok(parsed) => Some(parsed.keys),
        Err(rejection) => {
            at.fault(format!("holds no usable keys: {rejection}"));
            None
        }
    }
}

fn referenced(node: &Node<'_, '_>, id: &ObjectId, resources: &Resources) -> Option<String> {
    if !node.object(&["name", "key"]) {
        return None;
    }
    let named = node.field("name");
    let name = named.need("write the name of a ConfigMap in this namespace").then(|| named.text(253)).flatten()?;
    let key = node.field("key").text(253).unwrap_or(JWKS_MEMBER);
    let map = ObjectId { kind: Kind::ConfigMap, namespace: Arc::clone(&id.namespace), name: name.into() };
    let body = resources.get(&map).map(|map| map.body());
    let data = body.as_ref().and_then(|body| body.get("data"));
    let text = data.and_then(|data| data.get(key)).and_then(serde_json::Value::as_str).map(str::to_owned);
    if text.is_none() {
        node.reference_fault(format!("names `data.{key}` of {map}, which is not there"));
    }
    text
}

/// What a scope's name is appended to, to ask for it: the App ID URI, which Entra proposes to be `api://<client id>`.
fn scope_prefix(audiences: &[Box<str>], client_id: &str) -> Box<str> {
    let uri = audiences.iter().find(|audience| audience.contains("://"));
    uri.map_or_else(|| format!("api://{client_id}").into(), |uri| uri.trim_end_matches('/').into())
}
