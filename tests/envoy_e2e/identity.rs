//! No header of the client's passes for identity: not in any case, not with `_`, not twice, on no way to the API.

use bytes::Bytes;
use entrance::emulator::defaults;

use crate::envoy_process::Bootstrap;
use crate::raw_http::{Ask, Streams, Wire, http1, probe};
use crate::shared::{self, PREFLIGHT, SHADOW, run};
use crate::stack::{Link, ORDERS, Stack};

const NAMES: [&str; 9] = [
    "x-entrance-tenant",
    "x-entrance-subject",
    "x-entrance-client",
    "x-entrance-caller",
    "x-entrance-roles",
    "x-entrance-scopes",
    "x-entrance-decision",
    "x-entrance-admin",
    "x-entrance-",
];

/// Those of them that nobody sets today.
const UNUSED: [&str; 2] = ["x-entrance-admin", "x-entrance-"];

/// The spellings of a name that differ in case only.
fn cases(name: &str) -> [String; 3] {
    let words = name
        .split('-')
        .map(|word| word.get(..1).unwrap_or_default().to_uppercase() + word.get(1..).unwrap_or_default());
    [name.to_owned(), name.to_uppercase(), words.collect::<Vec<_>>().join("-")]
}

/// The spellings with at least one `_`: CGI, WSGI and PHP read them as the same name.
fn underscores(name: &str) -> Vec<String> {
    let places: Vec<usize> = name.match_indices('-').map(|(at, _)| at).collect();
    let spelled = |mask: usize| -> String {
        let folded = |at: usize| places.iter().position(|place| *place == at).is_some_and(|bit| mask >> bit & 1 == 1);
        name.char_indices().map(|(at, letter)| if folded(at) { '_' } else { letter }).collect()
    };
    (1..1 << places.len()).map(spelled).flat_map(|spelling| [spelling.to_uppercase(), spelling]).collect()
}

/// Every way to the API, as the client sees it, and whether the caller is known then.
fn ways(stack: &Stack) -> Vec<(Ask, bool)> {
    let preflight = Ask::new("OPTIONS", PREFLIGHT, "/orders/7")
        .header("origin", "https://app.example.com")
        .header("access-control-request-method", "POST");
    let health = || Ask::get(ORDERS, "/healthz");
    vec![
        (Ask::get(ORDERS, "/orders/7").bearer(&stack.reader()), true),
        (health(), false),
        (health().bearer(&stack.admin()), false),
        (preflight, false),
        (Ask::get(SHADOW, "/orders/7"), false),
        (Ask::get(SHADOW, "/orders/7").bearer(&stack.admin()), false),
        (Ask::get(SHADOW, "/orders/%2E%2E;/7"), false),
    ]
}

/// What the API may be told, in the order of its names, without the decision.
fn truth(known: bool) -> Vec<(String, &'static str)> {
    let reader = [
        ("caller", "user"),
        ("client", defaults::WEB_CLIENT),
        ("roles", "Orders.Read"),
        ("scopes", "orders.read orders.write"),
        ("subject", defaults::BOB),
        ("tenant", defaults::CONTOSO),
    ];
    let told = reader.map(|(name, value)| (format!("x-entrance-{name}"), value));
    if known { told.to_vec() } else { Vec::new() }
}

/// The API was asked once, and told the truth.
fn told_the_truth(stack: &Stack, ask: &Ask, known: bool) {
    let received = stack.upstream.received(&ask.probe);
    let [received] = &received[..] else { panic!("came {} times: {ask:?}", received.len()) };
    let mut told = received.identity();
    told.sort();
    let decisions: Vec<_> = told.extract_if(.., |(name, _)| name == "x-entrance-decision").collect();
    assert!(matches!(&decisions[..], [(_, id)] if id.len() == 32 && *id != "spoofed"), "{decisions:?} {ask:?}");
    assert_eq!(told, truth(known), "{ask:?}");
}

fn spoofing(mut ask: Ask, spellings: impl IntoIterator<Item = String>) -> Ask {
    for name in spellings {
        ask = ask.header(&name, "spoofed").header(&name, "").header(&name, "spoofed, Orders.Admin");
    }
    ask
}

/// Envoy takes a hundred headers at most, those that Entrance sets included; each spelling is sent three times.
const AT_A_TIME: usize = 25;

async fn every_way(stack: &Stack, spellings: impl Fn(&str) -> Vec<String>) {
    let all: Vec<String> = NAMES.iter().flat_map(|name| spellings(name)).collect();
    for (way, known) in ways(stack) {
        one_way(stack, (&way, known), &all).await;
    }
}

/// Sends the request with headers of these names in every combination that matters.
async fn one_way(stack: &Stack, (way, known): (&Ask, bool), all: &[String]) {
    // HTTP/2 knows no upper case
    let lower: Vec<String> = all.iter().filter(|name| name.to_lowercase() == **name).cloned().collect();
    let mut wire = Wire::connect(stack.envoy.address).await;
    let streams = Streams::connect(stack.envoy.address).await;
    let fresh = || Ask { probe: probe(), ..way.clone() };
    for many in all.chunks(AT_A_TIME) {
        let ask = spoofing(fresh(), many.iter().cloned());
        assert_eq!(wire.ask(&ask).await.status, 200, "{many:?}");
        told_the_truth(stack, &ask, known);
    }
    for many in lower.chunks(AT_A_TIME) {
        let ask = spoofing(fresh(), many.iter().cloned());
        assert_eq!(streams.ask(&ask).await.status, 200, "{many:?}");
        told_the_truth(stack, &ask, known);
    }
    // one at a time, so that no spelling hides behind another
    for one in all {
        let ask = fresh().header(one, "spoofed");
        assert_eq!(wire.ask(&ask).await.status, 200, "{one}");
        told_the_truth(stack, &ask, known);
    }
}

fn every_spelling(name: &str) -> Vec<String> {
    cases(name).into_iter().chain(underscores(name)).collect()
}

#[test]
fn headers_of_the_client_are_removed_over_tcp() {
    run(async { every_way(shared::tcp().await, |name| cases(name).to_vec()).await });
}

#[test]
fn headers_of_the_client_are_removed_over_a_unix_socket() {
    run(async { every_way(shared::unix().await, |name| cases(name).to_vec()).await });
}

#[test]
fn envoy_as_shipped_refuses_underscores_before_anybody_is_asked() {
    run(async {
        let stack = shared::tcp().await;
        for (way, _) in ways(stack) {
            for spelling in NAMES.iter().flat_map(|name| underscores(name)) {
                let ask = Ask { probe: probe(), ..way.clone() }.header(&spelling, "spoofed");
                assert_eq!(http1(stack.envoy.address, &ask).await.outcome(), "400", "{ask:?}");
                assert!(stack.upstream.received(&ask.probe).is_empty());
            }
        }
    });
}

#[test]
fn entrance_alone_removes_every_spelling() {
    run(async {
        every_way(shared::careless().await, every_spelling).await;
    });
}

#[test]
fn entrance_alone_removes_every_spelling_from_raw_headers() {
    run(async {
        let adjust = |bootstrap: Bootstrap| bootstrap.patient().lax_underscores().raw_headers();
        let stack = Stack::adjusted(Link::Unix, &[shared::POLICIES], adjust).await;
        every_way(&stack, every_spelling).await;
    });
}

/// What Envoy does not show cannot be looked for: the names that are in use are removed, whatever is there.
#[test]
fn headers_that_entrance_is_not_shown_are_removed() {
    run(async {
        let adjust = |bootstrap: Bootstrap| bootstrap.patient().lax_underscores().few_headers();
        let stack = Stack::adjusted(Link::Unix, &[shared::POLICIES], adjust).await;
        let ours = NAMES.iter().filter(|name| !UNUSED.contains(name));
        let all: Vec<String> = ours.flat_map(|name| every_spelling(name)).collect();
        for (way, known) in ways(&stack).into_iter().filter(|(way, _)| way.method == "GET") {
            one_way(&stack, (&way, known), &all).await;
        }
    });
}

#[test]
fn naming_our_headers_in_connection_takes_none_away() {
    run(async {
        for stack in [shared::tcp().await, shared::careless().await] {
            for connection in ["", "close, ", "keep-alive, "] {
                let connection = format!("{connection}x-entrance-roles, x-entrance-decision");
                let ask = Ask::get(ORDERS, "/orders/7").bearer(&stack.reader());
                let ask = ask.header("connection", &connection).header("x-entrance-roles", "spoofed");
                assert_eq!(stack.ask(&ask).await.status, 200, "{connection}");
                told_the_truth(stack, &ask, true);
            }
        }
    });
}

#[test]
fn trailers_carry_no_identity() {
    run(async {
        for stack in [shared::tcp().await, shared::careless().await] {
            let ask = Ask::new("POST", ORDERS, "/orders").bearer(&stack.admin());
            let chunked = ask.clone().header("transfer-encoding", "chunked").header("trailer", "x-entrance-roles");
            let mut bytes = chunked.bytes();
            bytes.extend_from_slice(b"2\r\n{}\r\n0\r\nx-entrance-roles: spoofed\r\nX_Entrance_Roles: spoofed\r\n\r\n");
            let answer = Wire::connect(stack.envoy.address).await.send(&bytes).await.unwrap();
            assert_eq!(answer.status, 200);
            without_trailers(stack, &ask);

            let ask = Ask { probe: probe(), ..ask };
            let streams = Streams::connect(stack.envoy.address).await;
            let mut trailers = http::HeaderMap::new();
            trailers.insert("x-entrance-roles", "spoofed".parse().unwrap());
            let answer = streams.post(&ask, Bytes::from_static(b"{}"), trailers).await.unwrap();
            assert_eq!(answer.status, 200);
            without_trailers(stack, &ask);
        }
    });
}

fn without_trailers(stack: &Stack, ask: &Ask) {
    let received = stack.upstream.received(&ask.probe);
    let body = String::from_utf8_lossy(&received[0].body);
    assert!(body.contains("{}"), "{body:?}");
    assert!(!body.contains("spoofed"), "{body:?}");
    assert_eq!(received[0].values("x-entrance-roles"), ["Orders.Admin,Orders.Read"]);
}
