//! Conditions that generated entries may have: each as CEL, and as what it means.

use entrance::identity::{Caller, CallerKind, Groups};

/// What a condition can look at, as the oracle sees it.
pub(crate) struct Facts<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) method: &'a str,
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) headers: &'a dyn Fn(&str) -> Option<String>,
    pub(crate) params: &'a dyn Fn(&str) -> Option<String>,
    pub(crate) now: i64,
}

/// `None`: it fails.
pub(crate) type Meaning = fn(&Facts<'_>) -> Option<bool>;

/// A group that conditions name.
pub(crate) const GROUP: &str = "33333333-0000-4000-8000-000000000001";

fn known_groups(facts: &Facts<'_>) -> Option<Vec<String>> {
    match &facts.caller.groups {
        Groups::Known(ids) => Some(ids.iter().map(ToString::to_string).collect()),
        Groups::Overage => None,
    }
}

fn acct(facts: &Facts<'_>) -> Option<i64> {
    facts.caller.claims.members()?.get("acct").and_then(serde_json::Value::as_i64)
}

/// The table.
pub(crate) const CONDITIONS: [(&str, Meaning); 15] = [
    ("request.method == 'GET'", |facts| Some(facts.method == "GET")),
    ("request.host == 'a.example.com'", |facts| Some(facts.host == "a.example.com")),
    ("request.path.startsWith('/a')", |facts| Some(facts.path.starts_with("/a"))),
    ("request.query == 'q=1'", |facts| Some(facts.query == "q=1")),
    ("request.headers['x-env'] == 'prod'", |facts| Some((facts.headers)("x-env")? == "prod")),
    ("'authorization' in request.headers", |_| Some(false)),
    ("params.p1 == caller.oid", |facts| Some((facts.params)("p1")? == *facts.caller.subject)),
    ("params.p0 == 'a'", |facts| Some((facts.params)("p0")? == "a")),
    ("caller.kind == 'workload'", |facts| Some(facts.caller.kind == CallerKind::Workload)),
    ("'A' in caller.roles || claims.missing == 1", |facts| {
        facts.caller.roles.iter().any(|role| &**role == "A").then_some(true)
    }),
    ("'33333333-0000-4000-8000-000000000001' in caller.groups", |facts| {
        Some(known_groups(facts)?.iter().any(|id| id == GROUP))
    }),
    ("claims.acct == 1", |facts| Some(acct(facts)? == 1)),
    ("has(claims.acct) && caller.client != ''", |facts| Some(acct(facts).is_some())),
    ("caller.oid", |_| None),
    ("now < timestamp('2027-01-15T08:00:01Z')", |facts| Some(facts.now < 1_800_000_001)),
];
