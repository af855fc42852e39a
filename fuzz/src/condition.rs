//! `condition`: a CEL expression, compiled, and evaluated if it compiles. Whatever it says, it costs little and reads no
//! claim that a user can change.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use bytes::Bytes;
use entrance::identity::Caller;
use entrance::policy::condition::{Condition, ConditionError, Facts};
use entrance::policy::path::Canonical;
use entrance::policy::template::PathTemplate;
use entrance::request::{Named, Request};
use entrance::token::RawToken;

use super::token::{after_scheme, judge};
use super::world::{NOW, PROFILE, USER};

/// For mutations.
pub const WORDS: &[&str] = &[
    "request.",
    "params.",
    "caller.",
    "claims.",
    "now",
    "headers",
    "path",
    "query",
    "method",
    "host",
    "oid",
    "roles",
    "groups",
    "acct",
    "email",
    "[\"",
    "\"]",
    "\"upn\"",
    " in ",
    " == ",
    " != ",
    " && ",
    " || ",
    "!",
    "-",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "?",
    ":",
    ".exists(x, ",
    ".all(x, ",
    ".map(x, ",
    ".filter(x, ",
    ".size()",
    ".matches(\"",
    ".startsWith(\"",
    "has(",
    "size(",
    "timestamp(",
    "duration(",
    "int(",
    "string(",
    "1",
    "0",
    "9223372036854775807",
    "1.5",
    "true",
    "null",
    "\"a\"",
    "b\"a\"",
    "'",
    "\\",
    "..",
    "%",
    "/",
    "*",
    "+",
    "x",
    ",",
    "(a{1000}){1000}",
    "\n",
    "//",
];

/// The longest that compiling and evaluating may take, in an unoptimised build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(2);

static CALLER: LazyLock<Caller> = LazyLock::new(|| {
    let raw = RawToken::new(Bytes::from_static(after_scheme(USER).as_bytes()));
    judge(&raw, &PROFILE).expect("a genuine token")
});

static TEMPLATE: LazyLock<PathTemplate> = LazyLock::new(|| PathTemplate::parse("/orders/{id}").expect("a template"));

/// The target.
///
/// # Panics
/// An expression reads what it must not, or takes too long.
pub fn condition(data: &[u8]) {
    let Ok(source) = std::str::from_utf8(data) else { return };
    let start = Instant::now();
    let compiled = Condition::compile(source);
    if let Ok(condition) = &compiled {
        assert_eq!(condition.source(), source);
        evaluate(condition);
    }
    let took = start.elapsed();
    assert!(took < PATIENCE, "{took:?}");
}

fn evaluate(condition: &Condition) {
    let first = holds(condition, &CALLER, b"canary");
    assert_eq!(first, holds(condition, &CALLER, b"canary"), "one condition, two answers");
    let mut claims = CALLER.claims.members().expect("a payload").clone();
    claims.extend(CHANGEABLE.map(|claim| (claim.to_owned(), "mallory@evil.example".into())));
    let other = Caller { claims: claims.into(), ..CALLER.clone() };
    assert_eq!(first, holds(condition, &other, b"another"), "a user or a secret decides");
}

/// Claims that the user or somebody in another tenant sets.
const CHANGEABLE: [&str; 6] = ["email", "upn", "name", "preferred_username", "unique_name", "verified_primary_email"];

fn holds(condition: &Condition, caller: &Caller, secret: &'static [u8]) -> Result<bool, ConditionError> {
    let text = Bytes::from_static;
    let headers = vec![
        (text(b"x-tenant"), text(b"contoso")),
        (text(b"Authorization"), text(secret)),
        (text(b"cookie"), text(secret)),
        (text(b":path"), text(secret)),
    ];
    let (method, host, target) = (text(b"GET"), text(b"orders.example.com"), text(b"/orders/7?full=1"));
    let request = Request { method: &method, host: &host, target: &target, headers: &headers, named: Named::default() };
    let path = Canonical::parse(&target).expect("a path");
    let facts =
        Facts { request: &request, path: &path, host: "orders.example.com", template: &TEMPLATE, caller, now: NOW };
    condition.holds(&facts)
}

/// What the expression says to the usual request of the user; `None` if it is no condition, or fails.
#[must_use]
pub fn says(source: &str) -> Option<bool> {
    let condition = Condition::compile(source).ok()?;
    holds(&condition, &CALLER, b"canary").ok()
}
