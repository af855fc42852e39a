//! The tokens of the example `examples/orders`, signed at test time: its tenant, its API, its authority.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use crate::signer::TestKey;

/// The moment of every test.
pub(crate) const NOW: i64 = 1_800_000_000;
/// The example's directory.
pub(crate) const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/orders");
/// Its authority.
pub(crate) const AUTHORITY: &str = "http://127.0.0.1:8080";
/// Its tenant.
pub(crate) const TENANT: &str = "11111111-1111-4111-8111-111111111111";
/// Its API.
pub(crate) const API: &str = "aaaaaaaa-0000-4000-8000-000000000001";

static KEY: LazyLock<TestKey> = LazyLock::new(|| TestKey::new("k1"));

/// The key document.
pub(crate) fn jwks() -> String {
    json!({"keys": [KEY.jwk()]}).to_string()
}

/// A token that counts from a minute before [`NOW`] for an hour; `changes` come on top, `null` removes.
pub(crate) fn token(changes: Value) -> String {
    let mut claims = members(json!({
        "ver": "2.0", "iss": format!("{AUTHORITY}/{TENANT}/v2.0"), "aud": API, "tid": TENANT,
        "oid": "cccccccc-0000-4000-8000-000000000002", "sub": "pairwise",
        "azp": "bbbbbbbb-0000-4000-8000-000000000001", "idtyp": "user", "scp": "orders.read orders.write",
        "iat": NOW - 60, "nbf": NOW - 60, "exp": NOW + 3600,
    }));
    for (name, value) in members(changes) {
        if value.is_null() {
            claims.remove(&name);
        } else {
            claims.insert(name, value);
        }
    }
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": KEY.kid}).to_string();
    KEY.token(header.as_bytes(), Value::Object(claims).to_string().as_bytes())
}

/// A user with these roles.
pub(crate) fn user(roles: &[&str]) -> String {
    token(json!({"roles": roles}))
}

/// A workload with these roles.
pub(crate) fn workload(roles: &[&str]) -> String {
    token(json!({"roles": roles, "idtyp": "app", "scp": null, "sub": "cccccccc-0000-4000-8000-000000000002"}))
}

fn members(value: Value) -> Map<String, Value> {
    let Value::Object(members) = value else { panic!("not an object: {value}") };
    members
}
