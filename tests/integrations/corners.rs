//! What the same requests do not show of proxies that ask over HTTP: bodies, upgrades, a policy that the proxy names, a
//! Unix socket, and an Entrance that does not answer.

use std::net::SocketAddr;

use entrance::emulator::MintRequest;

use crate::children::{port, scratch};
use crate::edge::Edge;
use crate::envoy_process::Bootstrap;
use crate::proxy_process::{Kind, Neighbours, Proxy, Slip};
use crate::raw_http::{Ask, Wire, http1, probe};
use crate::same_requests::POLICIES;
use crate::stack::{Ground, Link, ORDERS};

const HOST: &str = "same.example.com";
const KINDS: [Kind; 3] = [Kind::Traefik, Kind::Nginx, Kind::Caddy];

fn read(edge: &Edge) -> Ask {
    Ask::get(HOST, "/orders/7").bearer(&edge.ground.emulator.mint(&super::bob()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_goes_to_the_api_alone_and_whole() {
    let bodies = [("content-length", "5", "hello"), ("transfer-encoding", "chunked", "5\r\nhello\r\n0\r\n\r\n")];
    for kind in [None, Some(Kind::Traefik), Some(Kind::Nginx), Some(Kind::Caddy)] {
        let edge = Edge::start(kind).await;
        let admin = MintRequest { user: Some("ada".into()), ..MintRequest::default() };
        let admin = edge.ground.emulator.mint(&admin).unwrap();
        for (name, value, body) in bodies {
            let ask = Ask::new("POST", HOST, "/orders").bearer(&admin).header(name, value);
            let bytes = [ask.bytes(), body.into()].concat();
            let answer = Wire::connect(edge.proxy.address()).await.send(&bytes).await.unwrap();
            assert_eq!(answer.outcome(), "200", "{kind:?} {name}");
            let received = edge.ground.upstream.received(&ask.probe);
            assert_eq!(received.len(), 1, "{kind:?} {name}");
            assert!(String::from_utf8_lossy(&received[0].body).contains("hello"), "{kind:?} {name}: {received:?}");
            let refused = Ask { probe: probe(), headers: vec![(name.into(), value.into())], ..ask };
            let bytes = [refused.bytes(), body.into()].concat();
            let answer = Wire::connect(edge.proxy.address()).await.send(&bytes).await.unwrap();
            assert_eq!(answer.outcome(), "401 token_missing", "{kind:?} {name}");
            assert!(edge.ground.upstream.received(&refused.probe).is_empty(), "{kind:?} {name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_takes_no_identity_along() {
    for kind in KINDS {
        let edge = Edge::start(Some(kind)).await;
        for connection in ["Upgrade, x-entrance-roles", "upgrade,X-Entrance-Roles", "x-entrance-roles, UPGRADE"] {
            let ask = read(&edge).header("connection", connection).header("upgrade", "websocket");
            let outcome = http1(edge.proxy.address(), &ask).await.outcome();
            let received = edge.ground.upstream.received(&ask.probe);
            let [received] = &received[..] else { panic!("{}: {outcome} for {connection}", kind.dialect()) };
            assert_eq!(received.values("x-entrance-roles"), ["Orders.Read"], "{}: {connection}", kind.dialect());
            let upgrade: &[&str] = if matches!(kind, Kind::Nginx) { &[] } else { &["websocket"] };
            assert_eq!(received.values("upgrade"), upgrade, "{}: {connection}", kind.dialect());
        }
    }
}

/// Names that are `HTTP_X_ENTRANCE_…` to servers which make variables of headers as lighttpd does.
const VARIABLES: [&str; 7] = [
    "X-Entrance~Roles",
    "X-Entrance.Subject",
    "X'Entrance!Caller",
    "x|entrance|tenant",
    "x`entrance^roles",
    "X.Entrance-Scopes",
    "x-entrance+admin",
];

/// What is sent under such names does not arrive, whoever takes it away.
async fn no_variable(address: SocketAddr, ground: &Ground, expected: impl Fn(&str) -> &'static str) {
    let token = ground.emulator.mint(&super::bob()).unwrap();
    for name in VARIABLES {
        let ask = Ask::get(HOST, "/orders/7").bearer(&token).header(name, "Orders.Admin");
        let outcome = http1(address, &ask).await.outcome();
        let received = ground.upstream.received(&ask.probe);
        let expected = expected(name);
        assert_eq!((&*outcome, received.len()), (expected, usize::from(expected == "200")), "{name}");
        for (header, value) in received.iter().flat_map(|received| received.identity()) {
            assert_ne!(value, "Orders.Admin", "{name} as {header}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_punctuation_hides_an_identity() {
    let refused = "400 request_malformed";
    for (kind, expected) in
        [(None, "200"), (Some(Kind::Nginx), "200"), (Some(Kind::Traefik), refused), (Some(Kind::Caddy), refused)]
    {
        let edge = Edge::start(kind).await;
        // Caddy drops names with a dot by itself
        let is_dropped = |name: &str| matches!(kind, Some(Kind::Caddy)) && name.contains('.');
        let expected = |name: &str| if is_dropped(name) { "200" } else { expected };
        no_variable(edge.proxy.address(), &edge.ground, expected).await;
    }
    let ground = Ground::prepare(&[("same.yaml", POLICIES)]).await;
    let entrance = ground.entrance(Link::Tcp, &[]).await;
    entrance.ready().await;
    let envoy = ground.envoy(Bootstrap::tcp(&entrance.listen).patient().lax_underscores()).await;
    no_variable(envoy.address, &ground, |_| "200").await;
}

/// Where a proxy asks, and what it takes to have it ask about a named policy.
fn naming(kind: Kind, name: &str) -> (&'static str, String) {
    match kind {
        Kind::Traefik => ("/\n        # Said aloud", format!("/policy/{name}\n        # Said aloud")),
        Kind::Nginx => ("http://entrance/;", format!("http://entrance/policy/{name};")),
        Kind::Caddy => ("uri /?", format!("uri /policy/{name}?")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_the_proxy_names_stands_above_the_host() {
    for kind in KINDS {
        // the policy of the host asks for a role that the caller does not have
        for (name, expected) in [("shop/same-wildcard", "200"), ("shop/missing", "403 scope_unknown")] {
            let (old, new) = naming(kind, name);
            let slips: [Slip<'_>; 1] = [(old, &new)];
            let edge = Edge::careless(Some(kind), &slips).await;
            let ask = Ask { target: "/admin?x=/policy/shop/same-shadow".into(), ..read(&edge) };
            assert_eq!(http1(edge.proxy.address(), &ask).await.outcome(), expected, "{} {name}", kind.dialect());
            assert_eq!(edge.ground.upstream.received(&ask.probe).len(), usize::from(expected == "200"));
        }
    }
}

/// What somebody writes who has Entrance on a Unix socket.
fn on_a_socket(kind: Kind, socket: &str) -> Option<(&'static str, String)> {
    match kind {
        // knows no sockets
        Kind::Traefik => None,
        Kind::Nginx => Some(("server 127.0.0.1:9192;", format!("server unix:{socket};"))),
        Kind::Caddy => Some(("forward_auth 127.0.0.1:9192", format!("forward_auth unix/{socket}"))),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_needs_no_peers() {
    for kind in KINDS {
        let socket = scratch("socket").join("s");
        let Some((old, new)) = on_a_socket(kind, socket.to_str().unwrap()) else { continue };
        let ground = Ground::prepare(&[]).await;
        let listen = format!("{}=unix:{}", kind.dialect(), socket.display());
        let entrance = ground.entrance(Link::Tcp, &["--listen-http", &listen]).await;
        entrance.ready().await;
        let neighbours = Neighbours { entrance: port(), upstream: ground.upstream.address };
        let proxy = Proxy::start(kind, &neighbours, &[(old, &new)]).await;
        let token = ground.emulator.mint(&super::bob()).unwrap();
        let ask = Ask::get(ORDERS, "/orders/7").bearer(&token);
        assert_eq!(http1(proxy.address, &ask).await.outcome(), "200", "{}", kind.dialect());
        assert_eq!(ground.upstream.received(&ask.probe).len(), 1);
        let ask = Ask::get(ORDERS, "/orders/7");
        assert_eq!(http1(proxy.address, &ask).await.outcome(), "401 token_missing", "{}", kind.dialect());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entrance_that_does_not_answer_is_waited_for_and_nothing_passes() {
    for (kind, expected) in [(Kind::Nginx, 503), (Kind::Caddy, 504)] {
        let edge = Edge::exactly(Some(kind), &[]).await;
        edge.entrance.process.halt().await;
        let ask = read(&edge);
        let answer = http1(edge.proxy.address(), &ask).await;
        assert_eq!(answer.status, expected, "{}: {answer:?}", kind.dialect());
        edge.entrance.process.signal("CONT");
        assert!(edge.ground.upstream.received(&ask.probe).is_empty());
    }
}
