//! A small world with one of everything, and the only three tokens that anybody can have in it.
//!
//! The tokens and the public key that verifies them were made by `examples/seeds.rs`; the private key was never written
//! down. Whatever else is accepted is a forgery.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use entrance::clock::{FixedClock, UnixTime};
use entrance::identity::{ApplicationId, CallerKind, Guid, TenantId};
use entrance::policy::host::HostPattern;
use entrance::policy::rules::{
    Access, Entry, GroupOverage, Methods, Mode, Poison, Policy, PolicyId, Preflight, Route, Seniority,
};
use entrance::policy::snapshot::Snapshot;
use entrance::policy::table::HostTable;
use entrance::policy::template::PathTemplate;
use entrance::token::cloud::{Cloud, Issuer};
use entrance::token::{Authority, ChallengeUris, KeySet, KeySource, Profile, TenantKeys, Version, jwks};

/// The moment of everything.
pub const NOW: UnixTime = UnixTime(1_800_000_000);
/// The clock that shows it.
pub const CLOCK: FixedClock = FixedClock(NOW);
/// The one accepted tenant.
pub const TENANT: &str = "11111111-1111-4111-8111-111111111111";
/// The application's client id.
pub const API: &str = "aaaaaaaa-0000-4000-8000-000000000001";
/// The application's App ID URI.
pub const API_URI: &str = "api://orders";
/// The document with the one good key.
pub const JWKS: &str = include_str!("../fixtures/jwks.json");
/// A `Authorization` value with a token of a user.
pub const USER: &str = include_str!("../corpus/token/genuine-user");
/// One with a token of a workload.
pub const APP: &str = include_str!("../corpus/token/genuine-app");
/// One with a v1 token of a user.
pub const USER_V1: &str = include_str!("../corpus/token/genuine-user-v1");

/// The parsed id of [`TENANT`].
///
/// # Panics
/// Never: the id is canonical.
#[must_use]
pub fn tenant() -> TenantId {
    Guid::parse(TENANT).expect("a canonical id")
}

/// The keys of [`JWKS`].
pub static KEYS: LazyLock<KeySet> =
    LazyLock::new(|| jwks::parse(JWKS.as_bytes()).expect("the document holds a good key").keys);

/// The application with the keys of [`JWKS`].
pub static PROFILE: LazyLock<Arc<Profile>> = LazyLock::new(|| Arc::new(profile(&KEYS)));

/// The public cloud's authority with these keys.
#[must_use]
pub fn authority(version: Version, keys: &KeySet) -> Authority {
    Issuer::Cloud(Cloud::Public).published(version, keys.clone())
}

/// The application with these keys.
#[must_use]
pub fn profile(keys: &KeySet) -> Profile {
    let source = |version| Some(KeySource::Static(Arc::new(authority(version, keys))));
    let keys = TenantKeys { name: Some("contoso".into()), v1: source(Version::V1), v2: source(Version::V2) };
    Profile {
        id: ApplicationId("shop/orders-api".into()),
        client_id: API.into(),
        audiences: vec![API_URI.into()],
        versions: vec![Version::V1, Version::V2],
        tenants: BTreeMap::from([(tenant(), keys)]),
        allowed_clients: None,
        max_lifetime: 30 * 3600,
        clock_skew: 60,
        allow_missing_typ: false,
        challenge: ChallengeUris {
            realm: Some(tenant()),
            authorization_uri: "https://login.example/authorize".into(),
            scope_prefix: API_URI.into(),
        },
    }
}

/// A policy of these routes, the oldest there is.
#[must_use]
pub fn policy(name: &str, routes: Vec<Route>) -> Policy {
    let id = PolicyId { namespace: "shop".into(), name: name.into() };
    Policy {
        grants: Vec::new(),
        seniority: Seniority { created: 0, id },
        mode: Mode::Enforce,
        preflight: Preflight::Allow,
        application: Some(PROFILE.id.clone()),
        group_overage: GroupOverage::Deny,
        deny: Ok(Arc::default()),
        routes: routes.into_iter().map(Arc::new).collect(),
        poison: None,
    }
}

/// One route; no method means all.
///
/// # Panics
/// The template is none.
#[must_use]
pub fn route(template: &str, method: &str, access: Access) -> Route {
    let methods = if method.is_empty() { Methods::All } else { Methods::Only([method.into()].into()) };
    let parsed = PathTemplate::parse(template).expect("a template");
    Route { name: template.into(), template: parsed, methods, access }
}

/// The rules:
///
/// | host | method | path | who |
/// | --- | --- | --- | --- |
/// | orders.example.com | GET, HEAD | /healthz | everybody |
/// | | GET, HEAD | /orders/{id} | users with the scope `Read` |
/// | | POST | /jobs/{*rest} | workloads with the role `Jobs.Run` |
/// | | all | /broken | nobody: poisoned |
/// | | all | /admin | nobody |
/// | *.example.com | all | /public | everybody |
#[must_use]
pub fn snapshot() -> Arc<Snapshot> {
    let allow = |entry| Access::Entries { allow: [entry].into(), deny: Arc::default() };
    let scope = || Entry { callers: Some(CallerKind::User), scopes: Some(["Read".into()].into()), ..Entry::default() };
    let role =
        || Entry { callers: Some(CallerKind::Workload), roles: Some(["Jobs.Run".into()].into()), ..Entry::default() };
    let orders = policy(
        "orders",
        vec![
            route("/healthz", "GET", Access::Anonymous),
            route("/orders/{id}", "GET", allow(scope())),
            route("/jobs/{*rest}", "POST", allow(role())),
            route("/broken", "", Access::Poisoned(Poison("broken".into()))),
            route("/admin", "", Access::Entries { allow: Arc::default(), deny: Arc::default() }),
        ],
    );
    let other = policy("other", vec![route("/public", "", Access::Anonymous)]);
    let table = |policy| Arc::new(HostTable::build(vec![Arc::new(policy)], None));
    let tables = [
        (HostPattern::Exact("orders.example.com".into()), table(orders)),
        (HostPattern::Wildcard("example.com".into()), table(other)),
    ];
    Arc::new(Snapshot::new(tables, None))
}
