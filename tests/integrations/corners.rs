//! What the same requests do not show of proxies that ask over HTTP: upgrades, a policy that the proxy names, and an
//! Entrance that does not answer.

use crate::edge::Edge;
use crate::proxy_process::{Kind, Slip};
use crate::raw_http::{Ask, http1};

const HOST: &str = "same.example.com";
const KINDS: [Kind; 3] = [Kind::Traefik, Kind::Nginx, Kind::Caddy];

fn read(edge: &Edge) -> Ask {
    Ask::get(HOST, "/orders/7").bearer(&edge.ground.emulator.mint(&super::bob()).unwrap())
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
        }
    }
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

#[tokio::test(flavor = "multi_thread")]
async fn an_entrance_that_does_not_answer_is_waited_for_and_nothing_passes() {
    for (kind, expected) in [(Kind::Nginx, 503), (Kind::Caddy, 504)] {
        let edge = Edge::start(Some(kind)).await;
        edge.entrance.process.signal("STOP");
        let ask = read(&edge);
        let answer = http1(edge.proxy.address(), &ask).await;
        assert_eq!(answer.status, expected, "{}: {answer:?}", kind.dialect());
        edge.entrance.process.signal("CONT");
        assert!(edge.ground.upstream.received(&ask.probe).is_empty());
    }
}
