//! The same requests through proxies that ask over HTTP: Traefik, nginx, Caddy, and Envoy when it is told to.

use crate::edge::Edge;
use crate::proxy_process::Kind;

/// The same requests through a proxy, and once more with Entrance gone.
async fn settles(kind: Option<Kind>, column: &str) {
    let edge = Edge::start(kind).await;
    let audit = edge.entrance.audit_log();
    let way = edge.way(&audit);
    way.walk().await.settles(column);
    edge.entrance.process.signal("KILL");
    edge.entrance.process.end().await;
    assert_eq!(way.open_doors().await, Vec::<String>::new(), "{column}");
}

#[tokio::test(flavor = "multi_thread")]
async fn envoy_over_http() {
    settles(None, "envoy-http").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn traefik() {
    settles(Some(Kind::Traefik), "traefik").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx() {
    settles(Some(Kind::Nginx), "nginx").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn caddy() {
    settles(Some(Kind::Caddy), "caddy").await;
}
