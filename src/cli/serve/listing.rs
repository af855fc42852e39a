//! `/debug/snapshot`: what is enforced, as JSON. Rules and their origin; no key, no token, no person.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::policy::host::HostPattern;
use crate::policy::rules::{Access, Entry, Methods, Mode, Poison, Policy, PolicyId, Preflight, Route};
use crate::policy::table::HostTable;
use crate::token::{KeySource, Profile, TenantKeys, Version};

use super::status::Enforced;

/// Everything. `problems` is what is wrong with the files that were read last.
pub(super) fn listing(enforced: Option<&Enforced>, problems: &[String]) -> Value {
    let Some(enforced) = enforced else {
        return json!({"generation": null, "hosts": [], "policies": [], "applications": [], "faults": [], "problems": problems});
    };
    let snapshot = &enforced.world.snapshot;
    let tables = snapshot.tables();
    let hosts = tables.iter().map(|(pattern, table)| host(pattern, table));
    json!({
        "generation": enforced.world.generation,
        "poison": snapshot.poison().map(why),
        "hosts": hosts.collect::<Value>(),
        "policies": policies(&tables).values().map(|one| policy(one)).collect::<Value>(),
        "applications": enforced.profiles.iter().map(|profile| application(profile)).collect::<Value>(),
        "faults": enforced.faults,
        "problems": problems,
    })
}

fn why(poison: &Poison) -> &str {
    &poison.0
}

fn host(pattern: &HostPattern, table: &HostTable) -> Value {
    let policies = table.policies().iter().map(|policy| policy.id().to_string());
    json!({
        "host": pattern.to_string(),
        "poison": table.poison().map(why),
        "policies": policies.collect::<Value>(),
    })
}

/// A policy stands at each of its hosts; here it stands once.
fn policies<'t>(tables: &[(HostPattern, &'t HostTable)]) -> BTreeMap<&'t PolicyId, &'t Arc<Policy>> {
    tables.iter().flat_map(|(_, table)| table.policies()).map(|policy| (policy.id(), policy)).collect()
}

fn policy(policy: &Policy) -> Value {
    let (deny, poison) = match &policy.deny {
        Ok(entries) => (entries.len(), policy.poison.as_ref()),
        Err(broken) => (0, policy.poison.as_ref().or(Some(broken))),
    };
    json!({
        "name": policy.id().to_string(),
        "mode": match policy.mode { Mode::Enforce => "Enforce", Mode::Shadow => "Shadow" },
        "preflight": match policy.preflight { Preflight::Deny => "Deny", Preflight::Allow => "Allow" },
        "application": policy.application.as_ref().map(ToString::to_string),
        "poison": poison.map(why),
        "deny": deny,
        "routes": policy.routes.iter().map(|one| route(one)).collect::<Value>(),
    })
}

fn route(route: &Route) -> Value {
    let methods = match &route.methods {
        Methods::All => json!("*"),
        Methods::Unknown => Value::Null,
        Methods::Only(methods) => methods.iter().map(|method| &**method).collect(),
    };
    let count = |entries: &[Entry]| entries.len();
    let (access, allow, deny, poison) = match &route.access {
        Access::Anonymous => ("anonymous", 0, 0, None),
        Access::Entries { allow, deny } => ("entries", count(allow), count(deny), None),
        Access::Poisoned(poison) => ("poisoned", 0, 0, Some(why(poison))),
    };
    json!({
        "name": &*route.name, "path": route.template.to_string(), "methods": methods,
        "access": access, "allow": allow, "deny": deny, "poison": poison,
    })
}

fn application(profile: &Profile) -> Value {
    let versions = profile.versions.iter().map(|version| match version {
        Version::V1 => "V1",
        Version::V2 => "V2",
    });
    let tenants = profile
        .tenants
        .iter()
        .map(|(id, keys)| json!({"id": id.to_string(), "name": keys.name, "keys": sources(keys)}));
    json!({
        "name": profile.id.to_string(),
        "clientId": profile.client_id,
        "audiences": profile.audiences,
        "tokenVersions": versions.collect::<Value>(),
        "tenants": tenants.collect::<Value>(),
    })
}

/// Where keys come from; the keys themselves do not matter to a reader.
fn sources<'k>(keys: &'k TenantKeys) -> Vec<&'k str> {
    let source = |source: &'k KeySource| match source {
        KeySource::Discovered(discovery) => &*discovery.metadata_url,
        KeySource::Static(_) => "static",
    };
    [&keys.v1, &keys.v2].into_iter().flatten().map(source).collect()
}
