//! What conditions cost: expressions that could take long are refused, values that are too long fail what asks for them,
//! and what is left ends soon.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::panic, reason = "a test that cannot go on fails")]

#[path = "support/condition_world.rs"]
mod condition_world;

use std::sync::LazyLock;
use std::time::Duration;

use entrance::identity::{Groups, Guid, Text};
use entrance::policy::condition::{Condition, ConditionError, ConditionFault};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use condition_world::{World, claims, fault, line, world};

/// CPU time of this thread so far, in steps of 10 ms: what else a machine does takes none of it.
fn busy() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    let fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks.saturating_mul(10))
}

/// A world as large as conditions see one.
fn largest() -> World {
    let mut world = world();
    let list = |count: usize, length: usize| -> Box<[Text]> {
        (0..count).map(|at| format!("{at:04}{}", "x".repeat(length.saturating_sub(4))).into()).collect()
    };
    world.target = format!("/orders/{}/{}?{}", "a".repeat(4000), "b".repeat(4000), "ab".repeat(4096)).into();
    world.headers = (0..7).map(|at| line(&format!("h{at}"), &"v".repeat(8192))).collect();
    world.headers.extend((0..240).map(|at| line(&format!("n{at}"), "v")));
    world.caller.roles = list(256, 64);
    world.caller.scopes = list(256, 16);
    world.caller.groups = Groups::Known(vec![Guid::NIL; 256].into());
    world.caller.claims =
        claims(json!({"list": list(250, 48), "text": "x".repeat(16_000), "lists": vec![vec![1; 4]; 200]}));
    world
}

#[test]
fn what_could_take_long_is_refused() {
    let q = "request.query";
    let long = vec![q; 60].join("+");
    let chain = |turns: usize, step: &str| format!("['xxxxxxxx']{}.size() == 1", step.repeat(turns));
    let literal = (0..190).map(|at| at.to_string()).collect::<Vec<_>>().join(",");
    for source in [
        format!("caller.roles.all(r, ({long}).contains(r))"),
        format!("caller.roles.all(r, ({q}+{q}+{q}+{q}+{q}+{q}+{q}+{q}) != r)"),
        format!("[{literal}].all(x, {q}.contains({q}) && {q}.contains({q}) && {q}.contains({q}))"),
        format!("request.headers.all(h, {q}.matches('x') && {q}.matches('y') && {q}.matches('z'))"),
        chain(40, ".map(x,x+x)"),
        chain(12, ".map(x,x+x+x+x)"),
        "[[1,2,3,4,5,6,7,8]]".to_owned() + &".map(x,x+x)".repeat(25) + ".size() == 1",
        "[[[1,2,3,4,5,6,7,8]]]".to_owned() + &".map(x,[x[0]+x[0]])".repeat(20) + ".size() == 1",
        "(claims.list + claims.list + claims.list + claims.list + claims.list + claims.list + claims.list + claims.list \
         + claims.list + claims.list + claims.list + claims.list).all(x, x in claims.list && x in caller.roles && x in caller.scopes)"
            .to_owned(),
        format!("caller.roles.map(r, {q}).all(x, x.contains('a') && x.contains('b') && x.contains('c') && x.contains('d'))"),
    ] {
        assert_eq!(fault(&source), ConditionFault::TooCostly, "{source}");
    }
}

#[test]
fn what_is_accepted_ends_soon_however_large_its_values() {
    let world = largest();
    for source in [
        "caller.roles.exists(r, request.path.contains(r))",
        "caller.roles.exists(r, request.path.startsWith('/tenants/' + r + '/'))",
        "caller.groups.exists(g, request.query.contains(g))",
        "caller.roles.all(r, r in claims.list || r in caller.scopes)",
        "request.headers.all(h, request.headers[h].size() < 9000)",
        "request.headers.exists(h, h.startsWith('x-') && request.headers[h] == request.query)",
        "caller.roles.exists(r, r.matches('^(Orders|Items)[.](Read|Write)$'))",
        "request.query.matches('(a|b)*a(a|b){5}c') || request.query.contains('abababababababababababababababac')",
        "(request.query + request.query + request.query + request.query).size() > 0",
        "claims.lists.all(l, l.size() == 4) && claims.list.map(x, x + '!').filter(x, x.endsWith('!')).size() == 250",
        "caller.roles.map(r, r + r).map(r, r + r).size() == 256",
    ] {
        let condition = Condition::compile(source).unwrap_or_else(|fault| panic!("{source}: {fault}"));
        let before = busy();
        let outcome = world.holds(&condition);
        let took = busy().saturating_sub(before);
        assert!(outcome.is_ok(), "{source}");
        // Estimated at 8 ms or less; here it may be unoptimised.
        assert!(took < Duration::from_secs(1), "{source} took {took:?}");
    }
}

#[test]
fn values_beyond_their_bounds_fail_what_asks_for_them() {
    let largest = largest();
    let changed = |change: &dyn Fn(&mut World)| {
        let mut world = largest.clone();
        change(&mut world);
        world
    };
    let query = changed(&|world| world.target = format!("/orders/a/?{}", "q".repeat(8193)).into());
    let path = changed(&|world| world.target = format!("/orders/{}/b", "a".repeat(8200)).into());
    let header = changed(&|world| world.headers = vec![line("x", &"v".repeat(8193))]);
    let lines = changed(&|world| world.headers = (0..257).map(|at| line(&format!("n{at}"), "v")).collect());
    let together =
        changed(&|world| world.headers = (0..9).map(|at| line(&format!("h{at}"), &"v".repeat(8000))).collect());
    let roles = changed(&|world| world.caller.roles = (0..257).map(|at| format!("{at:04}").into()).collect());
    let groups = changed(&|world| world.caller.groups = Groups::Known(vec![Guid::NIL; 257].into()));
    let list = changed(&|world| world.caller.claims = claims(json!({"x": vec![1; 257]})));
    let deep = changed(&|world| world.caller.claims = claims(json!({"x": {"y": vec![1; 257]}})));
    let text = changed(&|world| world.caller.claims = claims(json!({"x": "t".repeat(21_000)})));
    let many = changed(&|world| world.caller.claims = claims(json!({"x": vec!["t".repeat(100); 250]})));
    let members: Value = (0..257).map(|at| (at.to_string(), json!(1))).collect::<serde_json::Map<_, _>>().into();
    let object = changed(&|world| world.caller.claims = claims(json!({"x": members})));
    for (world, source) in [
        (&query, "request.query != ''"),
        (&path, "request.path != ''"),
        (&path, "has(params.id)"),
        (&header, "'x' in request.headers"),
        (&lines, "'x' in request.headers"),
        (&together, "'x' in request.headers"),
        (&roles, "'x' in caller.roles"),
        (&groups, "'x' in caller.groups"),
        (&list, "has(claims.x)"),
        (&deep, "has(claims.x)"),
        (&text, "has(claims.x)"),
        (&many, "has(claims.x)"),
        (&object, "has(claims.x)"),
    ] {
        assert_eq!(world.says(source), Err(ConditionError), "{source}");
        assert!(largest.says(source).is_ok(), "{source}");
        assert_eq!(world.says("request.method == 'POST' && caller.oid == 'oid-1'"), Ok(true), "others do not mind");
    }
}

static LARGEST: LazyLock<World> = LazyLock::new(largest);

/// Pieces of expressions, put together at random.
const PIECES: [&str; 40] = [
    "claims",
    "caller",
    "request",
    "params",
    "now",
    ".acct",
    ".oid",
    ".roles",
    ".path",
    ".id",
    ".headers",
    "['x-env']",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "'x'",
    "1",
    "1.5",
    "2u",
    "true",
    "null",
    " && ",
    " || ",
    " == ",
    " + ",
    " < ",
    " in ",
    "!",
    "-",
    " ? ",
    " : ",
    ".exists(x, ",
    ".map(x, x)",
    ".size()",
    ".matches('a+')",
    "timestamp(",
    ",",
];

proptest! {
    #[test]
    fn whatever_compiles_evaluates_without_a_panic(pieces in prop::collection::vec(select(&PIECES[..]), 1..12)) {
        let source = pieces.concat();
        if let Ok(condition) = Condition::compile(&source) {
            let before = busy();
            let (Ok(_) | Err(ConditionError)) = LARGEST.holds(&condition);
            let took = busy().saturating_sub(before);
            prop_assert!(took < Duration::from_secs(1), "took {took:?}");
            prop_assert_eq!(condition.source(), source);
        }
    }
}
