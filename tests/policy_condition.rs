//! Conditions: what they see, what they must not see, and that whatever goes wrong is an error.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::panic, reason = "a test that cannot go on fails")]

#[path = "support/condition_world.rs"]
mod condition_world;

use entrance::identity::Groups;
use entrance::policy::condition::{Condition, ConditionError, ConditionFault};
use proptest::prelude::*;
use serde_json::json;

use condition_world::{fault, world};

#[test]
fn every_variable_says_what_it_is() {
    let world = world();
    for source in [
        "request.method == 'POST'",
        "request.host == 'a.example.com'",
        "request.path == '/orders/oid-1/a/b%20c'",
        "request.query == 'q=1&r=%2F'",
        "request.headers['x-env'] == 'prod' && request.headers['x-multi'] == 'a,b'",
        "request['path'].startsWith('/orders/') && 'query' in request",
        "params.id == caller.oid && params['id'] == 'oid-1'",
        "params.rest == 'a/b c'",
        "size(params) == 2 && !('other' in params)",
        "caller.tenant == '11111111-0000-4000-8000-000000000001'",
        "caller.client == 'client-1' && caller.kind == 'user'",
        "caller.roles == ['Orders.Admin', 'Orders.Read'] && 'Orders.Read' in caller.roles",
        "caller.scopes.exists(s, s == 'orders.read') && caller.authContexts == ['c1']",
        "caller.groups == ['33333333-0000-4000-8000-000000000001']",
        "has(caller.groups) && 'groups' in caller",
        "claims.acct == 1 && claims['acr'] == '1' && claims.ratio == 0.5 && claims.on && claims.none == null",
        "claims.wids == ['w1', 'w2'] && claims.deep.er[1].x == 'y'",
        "claims.big > 1.0e19 && claims['zürich'] == 'ü'",
        "'acct' in claims && has(claims.acct) && !('nope' in claims) && !has(claims.nope)",
        "now == timestamp('2027-01-15T08:00:00Z') && now.getFullYear() == 2027",
        "now - timestamp(claims.auth_time) < duration('1h')",
        "now.getHours('Europe/Berlin') == 9 && now.getDayOfWeek() == 5",
        "has(request.headers.accept) ? request.headers.accept != '' : request.headers['x-env'] == 'prod'",
        "caller.roles.filter(r, r.endsWith('.Read')).size() == 1 && caller.roles.map(r, size(r)) == [12, 11]",
        "caller.roles.exists_one(r, r.contains('Admin')) && caller.roles.all(r, r.matches('^Orders[.][A-Z][a-z]+$'))",
        "string(claims.acct) == '1' && int('7') == 7 && double(1) == 1.0 && bool('true') && uint(1) == 1u",
        "type(claims.acct) != type('') || true",
        "{'a': 1}['a'] == 1 && (true ? 1 : 2) == 1 && -1 < 0 && 7 % 4 == 3 && bytes('a') == b'a'",
    ] {
        assert_eq!(world.says(source), Ok(true), "{source}");
        assert_eq!(world.says(&format!("!({source})")), Ok(false), "{source}");
    }
}

#[test]
fn what_goes_wrong_is_an_error() {
    let world = world();
    for source in [
        "caller.oid",
        "1",
        "null",
        "claims.nope == 1",
        "claims.nope == null",
        "claims.deep.nope == 1",
        "claims.wids[2] == 'w3'",
        "claims.acct.x == 1",
        "params.nope == 'x'",
        "request.headers['nope'] == 'x'",
        "claims.acct == 1 && claims.nope == 1",
        "claims.nope == 1 || false",
        "caller.roles.exists(r, claims.nope == r)",
        "claims.acct < 'a'",
        "claims.acct + 'a' == 'a'",
        "1 / 0 == 1",
        "9223372036854775807 + claims.acct > 0",
        "-9223372036854775808 - claims.acct < 0",
        "int('x') == 1",
        "timestamp('yesterday') < now",
        "timestamp('9999-12-31T23:59:59Z') + duration('24h') > now",
        "now - timestamp('0001-01-01T00:00:00Z') > duration('0s')",
        "timestamp(9223372036854775807) > now",
        "now.getHours('Mars/Base') == 1",
        "claims.on > 1 && 'x' in claims.acct",
        "[1][claims.acct] == 1",
        "b'\\xff' == b'' || string(b'\\xff') == ''",
    ] {
        assert_eq!(world.says(source), Err(ConditionError), "{source}");
    }
    // What decides without the broken part decides.
    assert_eq!(world.says("claims.nope == 1 || true"), Ok(true));
    assert_eq!(world.says("false && claims.nope == 1"), Ok(false));
}

#[test]
fn unknown_groups_are_not_no_groups() {
    let mut world = world();
    world.caller.groups = Groups::Overage;
    assert_eq!(world.says("'x' in caller.groups"), Err(ConditionError));
    assert_eq!(world.says("!('x' in caller.groups)"), Err(ConditionError));
    assert_eq!(world.says("caller.groups.all(g, g != 'x')"), Err(ConditionError));
    assert_eq!(world.says("size(caller.groups) == 0"), Err(ConditionError));
    assert_eq!(world.says("has(caller.groups)"), Ok(false));
    world.caller.groups = Groups::Known([].into());
    assert_eq!(world.says("'x' in caller.groups"), Ok(false));
}

#[test]
fn credentials_and_foreign_identities_are_withheld() {
    let world = world();
    for name in [
        "authorization",
        "Authorization",
        "cookie",
        "proxy-authorization",
        ":authority",
        "x-entrance-roles",
        "x_entrance_subject",
    ] {
        assert_eq!(world.says(&format!("'{name}' in request.headers")), Ok(false), "{name}");
        assert_eq!(world.says(&format!("request.headers['{name}'] == 'x'")), Err(ConditionError), "{name}");
    }
    assert_eq!(world.says("request.headers.exists(h, request.headers[h].contains('secret'))"), Ok(false));
    assert_eq!(world.says("size(request.headers) == 2"), Ok(true));
}

#[test]
fn claims_that_users_can_change_must_not_decide() {
    for claim in [
        "email",
        "upn",
        "unique_name",
        "preferred_username",
        "name",
        "given_name",
        "family_name",
        "verified_primary_email",
        "idp",
        "login_hint",
        "aio",
        "rh",
        "Email",
        "UPN",
    ] {
        for source in [
            format!("claims.{claim} == 'x'"),
            format!("claims['{claim}'] == 'x'"),
            format!("'{claim}' in claims"),
            format!("has(claims.{claim})"),
            format!("claims.{claim}.startsWith('x')"),
            format!("[1].exists(x, claims.{claim} == 'x')"),
            format!("true || {{'k': claims.{claim}}}.k == 'x'"),
            format!("(claims).{claim} == 'x'"),
        ] {
            assert_eq!(fault(&source), ConditionFault::ClaimForbidden(claim.into()), "{source}");
        }
    }
    // Only claims are: other things may be called so.
    assert_eq!(world().says("claims.deep.er[1].x == 'y' && {'email': 1}.email == 1"), Ok(true));
}

#[test]
fn whatever_is_not_there_is_told_when_it_is_compiled() {
    for source in [
        "claims == claims",
        "claims[params.id] == 1",
        "params.id in claims",
        "size(claims) > 0",
        "[claims].size() == 1",
        "claims.exists(c, c == 'x')",
        "request == request",
        "caller.exists(c, true)",
        "claims[1] == 1",
        "claims",
        "claims['a' + 'b'] == 1",
    ] {
        assert!(matches!(fault(source), ConditionFault::AsWhole(..)), "{source}: {:?}", fault(source));
    }
    for source in [
        "headers.x == 1",
        "user == 'x'",
        "claim.acct == 1",
        "[1].exists(claims, claims.email == 'x')",
        "Claims.acct == 1",
        "[1].exists(x, y == 1)",
        "[1].exists(x, true) && x == 1",
        "string == 1",
        "google.protobuf.Int32Value{value: 1} == 1",
        "[1].map(now, now) == [1]",
        ".claims.acct == 1",
        "@result == 1",
        "claims[?'acct'] == 1",
        "claims.?email == 'x'",
        "request.headers[?'x'] == 'y'",
    ] {
        let fault = fault(source);
        let known = matches!(fault, ConditionFault::UnknownName(_) | ConditionFault::Syntax(_));
        assert!(known, "{source}: {fault:?}");
    }
    for source in ["request.header['x'] == 'y'", "caller.role == 'x'", "request['paths'] == ''", "'sub' in caller"] {
        assert!(matches!(fault(source), ConditionFault::UnknownMember(..)), "{source}: {:?}", fault(source));
    }
    for source in [
        "request.path.startWith('/')",
        "optional.of(1).hasValue()",
        "lower('x') == 'x'",
        "caller.oid.hash() == 1",
        "caller.roles.any(r, r == 'x')",
    ] {
        let fault = fault(source);
        assert!(
            matches!(fault, ConditionFault::UnknownFunction(_) | ConditionFault::UnknownName(_)),
            "{source}: {fault:?}"
        );
    }
    for source in ["1 +", "(", "a b", "'", "claims.", "1 == 1)", "\0", "true &&& false"] {
        assert!(matches!(fault(source), ConditionFault::Syntax(_)), "{source}: {:?}", fault(source));
    }
    let texts = [fault("request.header == 1"), fault("1 +"), fault("claims == 1"), fault("foo() == 1")]
        .map(|fault| fault.to_string());
    assert!(texts.iter().all(|text| !text.contains('\n') && !text.ends_with('.')), "{texts:?}");
}

#[test]
fn bounds_of_the_text() {
    let long = |length: usize| format!("'{}' == ''", "x".repeat(length.saturating_sub(8)));
    assert!(Condition::compile(&long(1024)).is_ok());
    assert_eq!(fault(&long(1025)), ConditionFault::Length);
    assert_eq!(fault(""), ConditionFault::Length);
    assert_eq!(fault(" \n\t"), ConditionFault::Length);
    let nested = |depth: usize| format!("{}true{}", "(".repeat(depth), ")".repeat(depth));
    assert!(Condition::compile(&nested(32)).is_ok());
    assert_eq!(fault(&nested(33)), ConditionFault::TooDeep);
    assert_eq!(fault(&nested(500)), ConditionFault::TooDeep);
    for depth in [33, 128, 200] {
        assert_eq!(fault(&format!("{}{}", "[".repeat(depth), "]".repeat(depth))), ConditionFault::TooDeep);
        assert_eq!(fault(&format!("{}{}", "{1:".repeat(depth), "}".repeat(depth))), ConditionFault::TooDeep);
    }
    assert_eq!(fault(&format!("{}true", "true?true:".repeat(33))), ConditionFault::TooDeep);
    assert!(Condition::compile(&format!("{}true", "true?true:".repeat(32))).is_ok());
    assert_eq!(fault(&format!("claims.a{}", ".b".repeat(300))), ConditionFault::TooDeep);
    assert_eq!(fault(&format!("{}1 == 1", "1+".repeat(300))), ConditionFault::TooDeep);
    assert!(Condition::compile(&format!("{}1 == 1", "1+".repeat(100))).is_ok());
    for run in
        ["!".repeat(1000), "-".repeat(1000), "(".repeat(1000), "?".repeat(1000), "\"".repeat(1000), "{".repeat(1000)]
    {
        // Accepted or refused, but finished.
        let (Ok(_) | Err(_)) = Condition::compile(&format!("{run}true"));
    }
}

#[test]
fn punctuation_inside_of_texts_does_not_count() {
    let ids: Vec<String> = (0..22).map(|at| format!("'{at:08}-0000-4000-8000-000000000000'")).collect();
    assert_eq!(world().says(&format!("caller.oid in [{}]", ids.join(","))), Ok(false));
    assert_eq!(world().says(&format!("caller.oid == '{}'", "([{?!-".repeat(60))), Ok(false));
    assert_eq!(world().says(&format!("caller.oid == \"{}\"", "'(".repeat(60))), Ok(false));
}

#[test]
fn list_macros_do_not_nest() {
    for source in [
        "caller.roles.all(r, caller.scopes.all(s, r != s))",
        "caller.roles.map(r, caller.scopes.map(s, s)).size() == 1",
        "caller.roles.exists(r, caller.scopes.filter(s, s == r).size() > 0)",
        "caller.roles.exists(r, [1].exists_one(x, x == 1))",
    ] {
        assert_eq!(fault(source), ConditionFault::TooDeep, "{source}");
    }
    assert_eq!(
        world().says("caller.roles.map(r, r + '!').filter(r, r != '').exists(r, r == 'Orders.Read!')"),
        Ok(true)
    );
    assert_eq!(world().says("caller.roles.all(r, r != '') && caller.scopes.all(s, s != '')"), Ok(true));
}

#[test]
fn regular_expressions_are_constants_of_ascii_classes() {
    let world = world();
    for (pattern, text, wanted) in [
        ("^/orders/[0-9]+$", "/orders/17", true),
        ("^/orders/[0-9]+$", "/orders/17/", false),
        ("orders", "/orders/17", true),
        (r"^\d+$", "17", true),
        (r"^\d+$", "١٧", false),
        (r"^\w+@\w+[.]example$", "a_b@c.example", true),
        (r"\bcat\b", "a cat.", true),
        (r"\bcat\b", "concat", false),
        ("(?i)^ABC$", "abC", true),
        ("^a.c$", "a\nc", false),
        ("^$", "", true),
        ("", "x", true),
        ("ü", "für", true),
        ("^(a|b)*$", "abba", true),
        ("^(a|b)*$", "abc", false),
        (r"^(?:\w{20}){20}$", "x", false),
    ] {
        let source = format!("{}.matches(r'{pattern}')", json!(text));
        assert_eq!(world.says(&source), Ok(wanted), "{source}");
        assert_eq!(world.says(&format!("matches({}, r'{pattern}')", json!(text))), Ok(wanted), "{source}");
    }
    assert_eq!(world.says("claims.acct.matches('1')"), Err(ConditionError));
    for source in [
        "request.path.matches(request.query)",
        "request.path.matches('a' + 'b')",
        "request.path.matches(1)",
        "request.path.matches('(')",
        "request.path.matches('a{')  || request.path.matches('[z-a]')",
        "request.path.matches(r'\\pL')",
        "request.path.matches('[é]')",
        "request.path.matches(r'(a)\\1')",
        "request.path.matches('(?=a)')",
        // Small texts that need large automata, or much work to make them.
        "request.path.matches('(a{100}){100}')",
        "request.path.matches('(a|b)*a(a|b){10}c')",
        "request.path.matches('(a|b)*a(a|b){12}c')",
        "request.path.matches('(a|b)*a(a|b){60}c')",
        "request.path.matches('((((a{9}){9}){9}){9}){9}')",
        "request.path.matches('(((((((((((((((((((((((((((((((((a)))))))))))))))))))))))))))))))))')",
    ] {
        assert!(matches!(fault(source), ConditionFault::Pattern(_)), "{source}: {:?}", fault(source));
    }
}

#[test]
fn a_parameter_with_two_readings_is_absent() {
    let mut world = world();
    for (target, id) in [
        ("/orders/a%40b/", Some("a@b")),
        ("/orders/a@b/", Some("a@b")),
        ("/orders/a%20b/", Some("a b")),
        ("/orders/%C3%BC/", Some("ü")),
        ("/orders/%61/", Some("a")),
        ("/orders/a;v=1/", None),
        ("/orders/a%3Bv/", None),
        ("/orders/a%3bv/", None),
    ] {
        world.target = target.into();
        let holds = world.says("params.id == 'a@b' || params.id != 'a@b'");
        assert_eq!(holds, if id.is_some() { Ok(true) } else { Err(ConditionError) }, "{target}");
        if let Some(id) = id {
            assert_eq!(world.says(&format!("params.id == {}", json!(id))), Ok(true), "{target}");
        }
    }
    world.target = "/orders/a/b;v/c".into();
    assert_eq!(world.says("params.id == 'a' && !has(params.rest)"), Ok(true));
}

proptest! {
    #[test]
    fn any_text_is_compiled_or_refused(source in ".{0,60}") {
        if let Ok(condition) = Condition::compile(&source) {
            let (Ok(_) | Err(ConditionError)) = world().holds(&condition);
        }
    }
}
