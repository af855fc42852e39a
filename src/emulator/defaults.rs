//! The directory that the stand-in starts with: two tenants, one API, three clients, three users.
//!
//! The identifiers are fixed, so that policies, examples and tests can name them.

use super::config::{Api, Assignment, Client, Config, Tenant, User};

/// Tenant `contoso`.
pub const CONTOSO: &str = "11111111-1111-4111-8111-111111111111";
/// Tenant `fabrikam`.
pub const FABRIKAM: &str = "22222222-2222-4222-8222-222222222222";
/// Client id of the API `orders`.
pub const ORDERS_API: &str = "aaaaaaaa-0000-4000-8000-000000000001";
/// App ID URI of the API `orders`: the audience of its v1 tokens.
pub const ORDERS_URI: &str = "api://orders";
/// Client `web`: acts for users.
pub const WEB_CLIENT: &str = "bbbbbbbb-0000-4000-8000-000000000001";
/// Client `job`: acts as itself, with the role `Orders.Run`.
pub const JOB_CLIENT: &str = "bbbbbbbb-0000-4000-8000-000000000002";
/// Client `blocked`: holds what `job` holds, for policies to deny it.
pub const BLOCKED_CLIENT: &str = "bbbbbbbb-0000-4000-8000-00000000000b";
/// The secret of `web`, `job` and `blocked`. Not a secret: it opens nothing but the stand-in.
pub const CLIENT_SECRET: &str = "emulator-secret";
/// Object id of the user `ada`: reads and administers orders, member of `sre`.
pub const ADA: &str = "cccccccc-0000-4000-8000-000000000001";
/// Object id of the user `bob`: reads orders.
pub const BOB: &str = "cccccccc-0000-4000-8000-000000000002";
/// Object id of the user `eve`: no role at all.
pub const EVE: &str = "cccccccc-0000-4000-8000-000000000003";
/// Group `sre`.
pub const SRE: &str = "dddddddd-0000-4000-8000-000000000001";

/// The built-in directory.
#[must_use]
pub fn config() -> Config {
    let tenant = |id: &str, name: &str| Tenant { id: id.into(), name: name.into() };
    Config {
        tenants: vec![tenant(CONTOSO, "contoso"), tenant(FABRIKAM, "fabrikam")],
        apis: vec![Api {
            client_id: ORDERS_API.into(),
            name: "orders".into(),
            identifier_uris: vec![ORDERS_URI.into()],
            scopes: vec!["orders.read".into(), "orders.write".into()],
            token_version: 2,
        }],
        clients: vec![
            client(WEB_CLIENT, "web", &[]),
            client(JOB_CLIENT, "job", &["Orders.Run"]),
            client(BLOCKED_CLIENT, "blocked", &["Orders.Run"]),
        ],
        users: vec![
            user(ADA, "ada", (&["Orders.Admin", "Orders.Read"], &[SRE])),
            user(BOB, "bob", (&["Orders.Read"], &[])),
            user(EVE, "eve", (&[], &[])),
        ],
        refuse_replay: true,
    }
}

fn client(id: &str, name: &str, roles: &[&str]) -> Client {
    Client {
        client_id: id.into(),
        name: name.into(),
        secrets: vec![CLIENT_SECRET.into()],
        certificates: Vec::new(),
        assignments: vec![Assignment { api: ORDERS_API.into(), roles: owned(roles) }],
    }
}

fn user(id: &str, name: &str, (roles, groups): (&[&str], &[&str])) -> User {
    User { oid: id.into(), name: name.into(), roles: owned(roles), groups: owned(groups) }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}
