//! Explanations tell what decided: on generated worlds they agree with the decision, and some are told in full.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::indexing_slicing, reason = "a missing member fails the test")]
#![expect(clippy::arithmetic_side_effects, reason = "small numbers")]

#[path = "support/conditions.rs"]
mod conditions;
#[path = "support/generate.rs"]
mod generate;
#[path = "support/judged.rs"]
mod judged;
#[path = "support/world.rs"]
mod world;

use entrance::identity::{ApplicationId, CallerKind, Guid};
use entrance::policy::decide::{Evidence, Verdict};
use entrance::policy::explain::{Step, explain};
use entrance::policy::locate::locate;
use entrance::policy::rules::{GroupOverage, Methods, Mode, Preflight};
use entrance::policy::snapshot::Snapshot;
use entrance::request::{Named, Request};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

use generate::NOW;
use judged::judged;
use world::{AccessPlan, Ask, EntryPlan, PolicyPlan, RoutePlan, Token, World};

fn explained(snapshot: &Snapshot, ask: &Ask) -> Vec<Step> {
    let Ask { method, host, target, headers, token } = ask;
    let request = Request { method, host, target, headers, named: Named::default() };
    let application = ApplicationId("shop/api".into());
    let evidence = |_: &ApplicationId| match token {
        Token::None => Evidence::None,
        Token::Rejected(reason) => Evidence::Rejected(*reason),
        Token::Caller(caller, _) => Evidence::Caller { caller, application: &application },
    };
    explain(snapshot, &locate(snapshot, &request), &evidence, NOW)
}

fn find<'s>(steps: &'s [Step], stage: &str, subject: &str) -> Option<&'s str> {
    steps.iter().find(|step| step.stage == stage && step.subject == subject).map(|step| step.outcome.as_str())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_decided_is_among_the_steps(
        world in generate::world(), asks in vec(generate::ask(), 1..20),
    ) {
        // Shadow policies tell of themselves in the same words.
        let mut world = world;
        world.policies.iter_mut().for_each(|policy| policy.mode = Mode::Enforce);
        let snapshot = world.rules().snapshot();
        for (ask, aim) in asks {
            let ask = ask.aimed(&world, aim);
            let (verdict, steps) = (judged(&snapshot, &ask).verdict, explained(&snapshot, &ask));
            prop_assert_eq!(steps[0].stage, "host");
            let lenders = steps.iter().filter(|step| step.stage == "grant" && step.outcome.starts_with("lends"));
            if let Some(grants) = verdict.matched().and_then(|matched| matched.grants.as_deref()) {
                let lenders: Vec<&str> = lenders.map(|step| step.subject.as_str()).collect();
                prop_assert!(grants.split(',').all(|grant| lenders.contains(&grant)), "{} {:?}", grants, steps);
            }
            let clause = verdict.matched().and_then(|matched| matched.clause.as_deref());
            let told = clause.and_then(|clause| find(&steps, "clause", clause));
            match (&verdict, clause) {
                (Verdict::Permit(_), Some(_)) => prop_assert!(told.unwrap().starts_with("holds"), "{:?}", steps),
                (Verdict::Deny(denial), Some(_)) if denial.reason().code() == "deny_entry_matched" => {
                    let told = told.unwrap();
                    prop_assert!(told.starts_with("holds") || told.contains("when: cannot tell"), "{:?}", steps);
                }
                (Verdict::Deny(denial), Some(_)) if denial.reason().code().starts_with("groups_") => {
                    prop_assert!(told.unwrap().starts_with("depends on groups"), "{:?}", steps);
                }
                (Verdict::Deny(denial), Some(_)) => {
                    prop_assert!(told.unwrap().starts_with("does not hold"), "{} {:?}", denial.reason(), steps);
                }
                (Verdict::Deny(denial), None) if denial.reason().code() != "nobody_allowed" => {
                    let code = denial.reason().code();
                    let words = ["invalid:", "ambiguous:", "no policy names it", "everything"];
                    let told = |step: &Step| step.outcome.starts_with(code) || words.iter().any(|word| step.outcome.contains(word));
                    prop_assert!(steps.iter().any(told), "{} {:?}", code, steps);
                }
                (Verdict::Permit(_) | Verdict::Deny(_) | Verdict::Unavailable(_), _) => {}
            }
            let decides = steps.iter().filter(|step| step.outcome.starts_with("decides:")).count();
            prop_assert!(decides <= 1, "{:?}", steps);
        }
    }
}

fn roles(role: &'static str) -> EntryPlan {
    EntryPlan { roles: Some(vec![role]), ..EntryPlan::default() }
}

fn route(methods: &[&str], template: &str, access: AccessPlan) -> RoutePlan {
    let named = methods.iter().map(|method| (*method).into()).collect::<Vec<_>>();
    let methods = if named.is_empty() { Methods::All } else { Methods::Only(named.into()) };
    RoutePlan { template: template.into(), methods, access }
}

/// One policy that enforces on a wildcard, and one that records on a host below it.
fn world() -> World {
    let entry = EntryPlan {
        callers: Some(CallerKind::User),
        groups: Some(vec![Guid::NIL]),
        when: Some("params.p1 == caller.oid"),
        max_session_age: Some(60),
        ..EntryPlan::default()
    };
    let policy = PolicyPlan {
        id: ("shop", "orders".into()),
        created: 0,
        hosts: vec!["*.example.com"],
        mode: Mode::Enforce,
        preflight: Preflight::Deny,
        application: Some("shop/api"),
        overage: GroupOverage::Deny,
        grants: Vec::new(),
        deny: Some(vec![roles("Blocked")]),
        routes: vec![
            route(&["GET"], "/a/{p1}", AccessPlan::Entries { allow: vec![entry, roles("A")], deny: Vec::new() }),
            route(&[], "/a/{p1}", AccessPlan::Anonymous),
            route(&[], "/{*rest}", AccessPlan::Poisoned),
        ],
        poison: false,
    };
    let watcher = PolicyPlan {
        id: ("shop", "watcher".into()),
        hosts: vec!["a.example.com"],
        mode: Mode::Shadow,
        routes: vec![route(&[], "/", AccessPlan::Anonymous)],
        poison: true,
        ..policy.clone()
    };
    World { policies: vec![policy, watcher], poisoned: Vec::new(), poison: false }
}

fn lines(
    world: &World,
    (method, host, target): (&'static str, &'static str, &'static str),
    token: Token,
) -> Vec<String> {
    let ask = Ask { method: method.into(), host: host.into(), target: target.into(), headers: Vec::new(), token };
    let steps = explained(&world.rules().snapshot(), &ask);
    steps.iter().map(|step| format!("{}: {}: {}", step.stage, step.subject, step.outcome)).collect()
}

fn caller() -> Token {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut caller = generate::caller().new_tree(&mut runner).unwrap().current();
    caller.kind = CallerKind::User;
    caller.groups = entrance::identity::Groups::Overage;
    caller.roles = ["A".into()].into();
    caller.subject = "oid-1".into();
    caller.authenticated_at = Some(NOW.plus(-61));
    Token::Caller(Box::new(caller), None)
}

#[test]
fn a_decision_is_told_step_by_step() {
    assert_eq!(
        lines(&world(), ("GET", "b.example.com", "/a/x"), caller()),
        [
            "host: b.example.com: covered by `*.example.com`",
            "policy: shop/orders: enforces",
            "path: /a/x: read as `/a/x`",
            "route: shop/orders: GET/a/{p1} (GET /a/{p1}): decides: the most specific template, and its method",
            "route: shop/orders: */a/{p1} (any method /a/{p1}): the most specific template, but another method",
            "route: shop/orders: */{*rest} (any method /{*rest}): less specific",
            "token: shop/api: verified",
            "clause: spec.deny[0]: does not hold (roles: no)",
            "clause: allow[0]: does not hold (callers: yes, groups: cannot tell, when: no, maxSessionAge: no)",
            "clause: allow[1]: holds (roles: yes)",
        ]
    );
    let rest =
        "route: shop/orders: */{*rest} (any method /{*rest}): decides: the most specific template, and its method";
    assert_eq!(
        lines(&world(), ("GET", "b.example.com", "/x"), Token::None)[3..],
        [rest, "rule: shop/orders: */{*rest} (any method /{*rest}): policy_invalid: the policy is invalid"]
    );
    assert_eq!(
        lines(&world(), ("GET", "b.example.com", "/a/x"), Token::Rejected(entrance::reason::ReasonCode::TokenExpired))
            [6..],
        ["token: shop/api: token_expired: the token has expired"]
    );
    assert_eq!(
        lines(&world(), ("PUT", "b.example.com", "/a/x"), Token::None)[6..],
        ["rule: shop/orders: */a/{p1} (any method /a/{p1}): anonymous: no token is looked at"]
    );
    assert_eq!(lines(&world(), ("GET", "b.example.com", "/a/x"), Token::None)[6..], ["token: shop/api: not looked at"]);
}

#[test]
fn who_watches_a_host_is_told_beside_who_decides() {
    assert_eq!(
        lines(&world(), ("PUT", "a.example.com", "/a/x"), Token::None),
        [
            "host: a.example.com: named by policies",
            "policy: shop/watcher: records only; broken: broken",
            "host: a.example.com: covered by `*.example.com`",
            "policy: shop/orders: enforces",
            "path: /a/x: read as `/a/x`",
            "route: shop/orders: GET/a/{p1} (GET /a/{p1}): the most specific template, but another method",
            "route: shop/orders: */a/{p1} (any method /a/{p1}): decides: the most specific template, and its method",
            "route: shop/orders: */{*rest} (any method /{*rest}): less specific",
            "rule: shop/orders: */a/{p1} (any method /a/{p1}): anonymous: no token is looked at",
            "route: /a/x: no template covers it",
            "rule: request: policy_invalid: the policy is invalid",
        ]
    );
}

#[test]
fn where_nothing_is_found_that_is_told() {
    let told = |host, target| lines(&world(), ("GET", host, target), Token::None);
    assert_eq!(
        told("a,b", "/"),
        [
            "host: a,b: invalid: must be labels of letters, digits and hyphens with dots between them; write other scripts as xn--…"
        ]
    );
    assert_eq!(told("example.org", "/"), ["host: example.org: no policy names it"]);
    assert_eq!(
        told("b.example.com", "//")[2..],
        ["path: //: ambiguous: an empty segment", "rule: request: path_ambiguous: the path can be read in two ways"]
    );
    let broken = World { poisoned: vec!["*.example.com"], ..world() };
    assert_eq!(
        lines(&broken, ("GET", "b.example.com", "/"), Token::None)[0],
        "host: b.example.com: everything on it is denied: broken"
    );
    let broken = World { poison: true, ..world() };
    assert_eq!(
        lines(&broken, ("GET", "b.example.com", "/"), Token::None),
        ["host: b.example.com: everything is denied: broken"]
    );
    let mut watching = world();
    watching.policies.remove(0);
    let told = lines(&watching, ("GET", "a.example.com", "/"), Token::None);
    assert!(told.contains(&"rule: host: only shadow policies name it: everything passes".to_owned()), "{told:?}");
}
