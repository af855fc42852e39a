//! Paths that lead astray, through proxies that ask over HTTP: judged by what the API saw.
//!
//! These proxies describe a path in a header and forward it in a request line. Whatever they do to it on either way, what
//! the API gets is what Entrance decided on, and no server would take it for a path that is not the client's.

use crate::edge::Edge;
use crate::proxy_process::Kind;
use crate::raw_http::{Ask, Wire};
use crate::readings::protected;
use crate::table::TABLE;

const HOST: &str = "paths.example.com";

/// What is wrong with what became of one path, asked for by somebody without a role.
async fn fault(edge: &Edge, ask: &Ask) -> Option<String> {
    let answer = Wire::connect(edge.proxy.address()).await.send(&ask.bytes()).await;
    let status = answer.map(|answer| answer.status);
    let received = edge.ground.upstream.received(&ask.probe);
    let [received] = &received[..] else {
        let told = received.is_empty() && status != Some(200);
        return (!told).then(|| format!("{}: {status:?}, and the API got it {} times", ask.target, received.len()));
    };
    let target = received.target();
    if protected(target) {
        return Some(format!("{}: the API got {target}", ask.target));
    }
    let record = edge.entrance.audited(received.values("x-entrance-decision")[0]).await;
    let judged = record["http_request"]["path"].as_str();
    (judged != target.split('?').next()).then(|| format!("{}: judged as {judged:?}, sent on as {target}", ask.target))
}

async fn nobody_is_led_astray(kind: Option<Kind>) {
    let edge = Edge::start(kind).await;
    let reader = edge.ground.emulator.mint(&super::bob()).unwrap();
    let (mut faults, mut reached) = (Vec::new(), 0);
    for (target, ..) in TABLE {
        for ask in [Ask::get(HOST, target), Ask::get(HOST, target).bearer(&reader)] {
            faults.extend(fault(&edge, &ask).await);
            reached += edge.ground.upstream.received(&ask.probe).len();
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(reached > 20, "only {reached} of the harmless paths reached the API");
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_envoy_over_http() {
    nobody_is_led_astray(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_traefik() {
    nobody_is_led_astray(Some(Kind::Traefik)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_nginx() {
    nobody_is_led_astray(Some(Kind::Nginx)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_caddy() {
    nobody_is_led_astray(Some(Kind::Caddy)).await;
}
