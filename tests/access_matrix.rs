//! Who may do what with the orders API of `examples/orders`, as one page: callers down, paths and methods across.
//!
//! A change of rules or of the code that changes an answer is a letter that a reviewer sees. `ENTRANCE_UPDATE=1` rewrites
//! the page.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::panic, reason = "a test that cannot go on fails")]
#![expect(clippy::indexing_slicing, reason = "a missing member fails the test")]

#[expect(dead_code, reason = "other tests start servers with it")]
#[path = "support/orders.rs"]
mod orders;
#[path = "support/signer.rs"]
mod signer;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use entrance::api::compile::Compiler;
use entrance::api::object::{Object, Resources};
use entrance::api::settings::Settings;
use entrance::authorize::Authorizer;
use entrance::authorize::ports::{Decide as _, Keys, Outcome};
use entrance::authorize::world::World;
use entrance::clock::{FixedClock, UnixTime};
use entrance::files::yaml;
use entrance::request::{Named, Request};
use entrance::token::{Authority, Discovery, jwks};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use orders::{EXAMPLE, NOW, token};

const PAGE: &str = "tests/cases/matrix-orders.txt";
const METHODS: [&str; 5] = ["GET", "HEAD", "POST", "PUT", "DELETE"];
const OWN: &str = "/users/cccccccc-0000-4000-8000-000000000002/orders";
/// Paths, and what they are called on the page.
const PATHS: [(&str, &str); 9] = [
    ("/healthz", "health"),
    ("/orders", "orders"),
    ("/orders/7", "order"),
    ("/orders/7/refund", "refund"),
    (OWN, "own"),
    ("/users/somebody/orders", "other"),
    ("/jobs/nightly", "job"),
    ("/orders/", "slash"),
    ("/orders/../healthz", "dots"),
];
/// What is said of a request, and its letter.
const LETTERS: [(&str, char, &str); 15] = [
    ("allow_entry_matched", '+', "may"),
    ("anonymous_route", 'a', "may, whoever it is"),
    ("no_route", '.', "there is no route"),
    ("path_ambiguous", '!', "the path can be read in two ways"),
    ("token_missing", '-', "a token is missing"),
    ("token_expired", 'x', "the token has expired"),
    ("tenant_not_allowed", 't', "another tenant"),
    ("audience_mismatch", 'm', "a token for another API"),
    ("deny_entry_matched", 'D', "a guardrail"),
    ("principal_type_denied", 'k', "another kind of caller"),
    ("role_missing", 'r', "a role is missing"),
    ("group_missing", 'g', "a group is missing"),
    ("groups_overage", 'o', "too many groups to tell"),
    ("scope_missing", 's', "a scope is missing"),
    ("condition_not_met", 'c', "a condition does not hold"),
];
const STEPS: [(&str, char, &str); 2] = [
    ("step_up_required", 'u', "a stronger sign-in is asked for"),
    ("step_up_not_possible", 'U', "a stronger sign-in is needed that this client cannot make"),
];

/// Callers, by their tokens.
fn callers() -> Vec<(&'static str, Option<String>)> {
    let sre = "dddddddd-0000-4000-8000-000000000001";
    let workload = |roles: Value| json!({"roles": roles, "idtyp": "app", "scp": null, "sub": "cccccccc-0000-4000-8000-000000000002"});
    let changes = [
        ("expired", json!({"exp": NOW - 61, "iat": NOW - 3600, "nbf": NOW - 3600})),
        ("of another tenant", json!({"tid": "22222222-2222-4222-8222-222222222222"})),
        ("for another API", json!({"aud": "aaaaaaaa-0000-4000-8000-000000000009"})),
        ("user without a role", json!({})),
        ("reader", json!({"roles": ["Orders.Read"]})),
        ("reader without scopes", json!({"roles": ["Orders.Read"], "scp": "none"})),
        ("admin", json!({"roles": ["Orders.Admin"]})),
        ("admin, may only read", json!({"roles": ["Orders.Admin"], "scp": "orders.read"})),
        ("admin, could sign in again", json!({"roles": ["Orders.Admin"], "xms_cc": ["cp1"]})),
        ("admin, signed in again", json!({"roles": ["Orders.Admin"], "acrs": ["c1"]})),
        (
            "admin behind the leaked client",
            json!({"roles": ["Orders.Admin"], "azp": "bbbbbbbb-0000-4000-8000-00000000000b"}),
        ),
        ("on call", json!({"groups": [sre]})),
        ("in another group", json!({"groups": ["dddddddd-0000-4000-8000-000000000009"]})),
        ("in too many groups", json!({"hasgroups": true})),
        ("user with a workload's role", json!({"roles": ["Orders.Run"]})),
        ("workload without a role", workload(json!([]))),
        ("workload", workload(json!(["Orders.Run"]))),
        ("workload with a user's roles", workload(json!(["Orders.Read", "Orders.Admin"]))),
    ];
    let signed = changes.map(|(name, changes)| (name, Some(token(changes))));
    std::iter::once(("nobody", None)).chain(signed).collect()
}

/// Keys come with the settings.
struct NoKeys;

impl Keys for NoKeys {
    fn authority(&self, _: &Discovery) -> Option<Arc<Authority>> {
        None
    }

    fn refresh<'a>(&'a self, _: &'a Arc<Discovery>, _: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }

    fn is_current(&self, _: &Discovery) -> bool {
        true
    }
}

fn authorizer() -> Authorizer {
    let mut resources = Resources::new();
    for file in ["application.yaml", "policy.yaml"] {
        let text = fs::read(Path::new(EXAMPLE).join(file)).unwrap();
        for document in yaml::parse(&text).unwrap() {
            let Value::Object(body) = document.body else { panic!("{file}: not an object") };
            assert!(resources.put(Arc::new(Object::new(body).unwrap().unwrap())).is_none());
        }
    }
    let keys = jwks::parse(orders::jwks().as_bytes()).unwrap().keys;
    let compiled = Compiler::default().compile(&resources, &Settings { keys: Some(keys), ..Settings::default() });
    assert_eq!(compiled.faults, []);
    let authorizer = Authorizer::with_keys(Arc::new(NoKeys), 64, Arc::new(FixedClock(UnixTime(NOW))));
    authorizer.publish(Arc::new(World::new(1, compiled.snapshot, &compiled.profiles)));
    authorizer
}

fn letter(authorizer: &Authorizer, (method, path): (&'static str, &'static str), token: Option<&String>) -> char {
    let (method, host, target) = (method.into(), Bytes::from_static(b"orders.example.com"), path.into());
    let line = |token: &String| (Bytes::from_static(b"authorization"), Bytes::from(format!("Bearer {token}")));
    let headers: Vec<_> = token.map(line).into_iter().collect();
    let request = Request { method: &method, host: &host, target: &target, headers: &headers, named: Named::default() };
    let Ok(decision) = authorizer.try_decide(&request) else { panic!("no key is missing") };
    let (_, reason) = Outcome::of(&decision.verdict);
    let known = LETTERS.iter().chain(&STEPS).find(|(known, ..)| *known == reason);
    known.map(|(_, letter, _)| *letter).unwrap_or_else(|| panic!("{reason} has no letter"))
}

fn page() -> String {
    let mut page =
        String::from("Who may do what with examples/orders. Each column of letters: GET HEAD POST PUT DELETE.\n\n");
    for (reason, letter, text) in LETTERS.iter().chain(&STEPS) {
        writeln!(page, "  {letter}  {text} ({reason})").unwrap();
    }
    page.push('\n');
    for (path, name) in PATHS {
        writeln!(page, "  {name:7} {path}").unwrap();
    }
    let heads: Vec<String> = PATHS.iter().map(|(_, name)| format!("{name:7}")).collect();
    writeln!(page, "\n{:32}{}", "", heads.join(" ").trim_end()).unwrap();
    let authorizer = authorizer();
    for (name, token) in callers() {
        let cell =
            |path| METHODS.iter().map(|method| letter(&authorizer, (method, path), token.as_ref())).collect::<String>();
        let cells: Vec<String> = PATHS.iter().map(|(path, _)| format!("{:7}", cell(path))).collect();
        writeln!(page, "{name:32}{}", cells.join(" ").trim_end()).unwrap();
    }
    page
}

#[test]
fn the_page_is_as_committed() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = page();
    if std::env::var_os("ENTRANCE_UPDATE").is_some() {
        fs::write(&file, &page).unwrap();
        return;
    }
    let committed = fs::read_to_string(&file).unwrap_or_default();
    assert!(committed == page, "{PAGE} says otherwise; ENTRANCE_UPDATE=1 rewrites it. It would be\n{page}");
}

#[test]
fn every_letter_is_on_the_page() {
    let page = page();
    let (_, table) = page.rsplit_once("\n\n").unwrap();
    let cells: String = table.lines().skip(1).filter_map(|line| line.get(32..)).collect();
    let missing: Vec<_> = LETTERS.iter().chain(&STEPS).filter(|(_, letter, _)| !cells.contains(*letter)).collect();
    assert!(missing.is_empty(), "{missing:?} is never said");
}
