//! The canonicaliser and Envoy read paths in the same way: shown with generated paths that really go through Envoy.

use entrance::policy::path::Canonical;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use crate::children::runtime;
use crate::raw_http::{Ask, Wire};
use crate::readings::protected;
use crate::shared::{self, PATHS};
use crate::stack::Stack;

const PIECES: [&str; 53] = [
    "", "a", "B", "orders", "admin", "ADMIN", ".", "..", "...", "%2e", "%2E%2e", ".%2e", "..;", "..;x=1", "%2e%2e;x",
    "..%3b", "%2f", "%2F", "..%2f", "%5c", "\\", "..\\", "%25", "%252e", ";", "a;b=1", "%3b", ";b", "%41", "%7e", "~",
    "%2D", "%zz", "%", "%0", "%00", "%0a", "%7f", "%c3%a4", "%C3%a4", "%c0%af", "%ff", "A%20b", "a+b", "*", "!$&'()",
    "@:", "a=b,c", "^|", "{id}", "\"", "<>`", "%3f",
];

/// Pieces of which segments are made that must not be reached.
const GUARDED: [&str; 9] = ["admin", "@admin", "%40admin", "%61dmin", "adm%69n", "ad", "min", ";", "%3b"];

fn target() -> impl Strategy<Value = String> {
    let piece = prop_oneof![4 => prop::sample::select(&PIECES[..]), 1 => prop::sample::select(&GUARDED[..])];
    let segment = prop::collection::vec(piece, 1..3).prop_map(|pieces| pieces.concat());
    let path = prop::collection::vec(segment, 0..6).prop_map(|segments| format!("/{}", segments.join("/")));
    let query = prop_oneof![3 => Just(String::new()), 1 => "\\?[a-z/.%;]{0,8}"];
    (path, query).prop_map(|(path, query)| path + &query)
}

/// What RFC 3986 leaves open: the case of hexadecimal digits, which Envoy leaves as it is, and bytes that no URI may hold
/// unescaped, which Envoy escapes when it normalises.
fn same(path: &str) -> String {
    let mut out = String::new();
    let mut rest = path.chars();
    while let Some(letter) = rest.next() {
        match letter {
            '%' => {
                out.push('%');
                out.extend(rest.by_ref().take(2).map(|digit| digit.to_ascii_uppercase()));
            }
            '"' | '<' | '>' | '^' | '`' | '{' | '|' | '}' => out.push_str(&format!("%{:02X}", u32::from(letter))),
            _ => out.push(letter),
        }
    }
    out
}

/// What became of a target: outcome, and what the API got.
async fn sent(stack: &Stack, wire: &mut Option<Wire>, target: &str) -> (String, Option<String>) {
    let ask = Ask::get(PATHS, target);
    let mut open = match wire.take() {
        Some(open) => open,
        None => Wire::connect(stack.envoy.address).await,
    };
    let answer = open.send(&ask.bytes()).await;
    // Envoy closes a connection on which it refused something.
    if answer.as_ref().is_some_and(|answer| answer.values("connection").is_empty()) {
        *wire = Some(open);
    }
    let received = stack.upstream.received(&ask.probe);
    assert!(received.len() < 2, "{target} came twice");
    let outcome = answer.map_or_else(|| "closed".to_owned(), |answer| answer.outcome());
    (outcome, received.first().map(|received| received.target().to_owned()))
}

/// Checks what holds for every target on both Envoys; gives the path that the API got.
fn common(target: &str, (outcome, received): (&str, Option<&str>)) -> Result<Option<String>, TestCaseError> {
    prop_assert_eq!(outcome == "200", received.is_some(), "{}", outcome);
    let Some(received) = received else { return Ok(None) };
    prop_assert!(!protected(received), "{} became {}, which some server reads as /admin", target, received);
    let (path, query) = match received.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (received, None),
    };
    prop_assert_eq!(query, target.split_once('?').map(|(_, query)| query));
    let reached = Canonical::parse(received.as_bytes());
    prop_assert!(reached.is_ok(), "{} became {}: {:?}", target, received, reached);
    // whatever was plain from the beginning is still the same path
    if let Ok(meant) = Canonical::parse(target.as_bytes()) {
        let reached = reached.unwrap();
        prop_assert_eq!(same(meant.as_str()), same(reached.as_str()));
    }
    Ok(Some(path.to_owned()))
}

/// Runs `law` for generated targets and what became of them.
fn hold(stack: &'static Stack, law: impl Fn(&str, (&str, Option<&str>)) -> Result<(), TestCaseError>) {
    let wire = std::cell::RefCell::new(None);
    let mut runner = TestRunner::new(Config { cases: 400, failure_persistence: None, ..Config::default() });
    let result = runner.run(&target(), |target| {
        let mut wire = wire.borrow_mut();
        let (outcome, received) = runtime().block_on(sent(stack, &mut wire, &target));
        law(&target, (&outcome, received.as_deref()))
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
}

/// What a path with one reading comes to, without a token. If some server reads it as a guarded one, it has two.
fn by_the_rules(path: &Canonical<'_>) -> &'static str {
    let path = path.as_str();
    match path {
        "/admin" | "/@admin" => "401 token_missing",
        below if below.starts_with("/admin/") => "401 token_missing",
        other if protected(other) => "400 path_ambiguous",
        _ => "200",
    }
}

#[test]
fn envoy_as_shipped_forwards_the_canonical_path() {
    hold(runtime().block_on(shared::tcp()), |target, became| {
        if let Some(path) = common(target, became)? {
            let canonical = Canonical::parse(path.as_bytes()).unwrap();
            prop_assert_eq!(same(canonical.as_str()), same(&path), "nothing is left to decode");
        }
        if let Ok(meant) = Canonical::parse(target.as_bytes()) {
            prop_assert_eq!(became.0, by_the_rules(&meant));
        }
        Ok(())
    });
}

#[test]
fn an_envoy_that_changes_nothing_forwards_what_the_canonicaliser_reads() {
    hold(runtime().block_on(shared::careless()), |target, became| {
        if let Some(path) = common(target, became)? {
            prop_assert_eq!(Some(&*path), target.split('?').next());
        }
        let expected = match Canonical::parse(target.as_bytes()) {
            Ok(meant) => by_the_rules(&meant),
            Err(_) => "400 path_ambiguous",
        };
        prop_assert_eq!(became.0, expected);
        Ok(())
    });
}
