//! Proxies that ask over HTTP: Traefik, nginx, Caddy, and Envoy when it is told to.

use std::net::SocketAddr;

use crate::children::port;
use crate::entrance_process::Entrance;
use crate::envoy_process::{Bootstrap, Envoy};
use crate::proxy_process::{Kind, Neighbours, Proxy};
use crate::same_requests::{POLICIES, Way};
use crate::stack::{Ground, Link};

/// A proxy with Entrance beside it and the API behind.
struct Edge {
    ground: Ground,
    entrance: Entrance,
    proxy: Door,
}

/// What clients talk to.
enum Door {
    Envoy(Envoy),
    Other(Proxy),
}

impl Door {
    fn address(&self) -> SocketAddr {
        match self {
            Self::Envoy(envoy) => envoy.address,
            Self::Other(proxy) => proxy.address,
        }
    }
}

impl Edge {
    async fn start(kind: Option<Kind>) -> Self {
        let ground = Ground::prepare(&[("same.yaml", POLICIES)]).await;
        let at = port();
        let listen = format!("{}={at}", kind.map_or("envoy", Kind::dialect));
        let entrance = ground.entrance(Link::Tcp, &["--listen-http", &listen, "--http-peer", "127.0.0.0/8"]).await;
        entrance.ready().await;
        let proxy = match kind {
            None => Door::Envoy(ground.envoy(Bootstrap::http(at).patient().shown("x-department")).await),
            Some(kind) => {
                let neighbours = Neighbours { entrance: at, upstream: ground.upstream.address };
                Door::Other(Proxy::start(kind, &neighbours).await)
            }
        };
        Self { ground, entrance, proxy }
    }

    /// The same requests through it, and once more with Entrance gone.
    async fn settles(kind: Option<Kind>, column: &str) {
        let edge = Self::start(kind).await;
        let audit = edge.entrance.audit_log();
        let Ground { upstream, emulator, .. } = &edge.ground;
        let way = Way { address: edge.proxy.address(), upstream, audit: &audit, emulator };
        way.walk().await.settles(column);
        edge.entrance.process.signal("KILL");
        edge.entrance.process.end().await;
        assert_eq!(way.open_doors().await, Vec::<String>::new(), "{column}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn envoy_over_http() {
    Edge::settles(None, "envoy-http").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn traefik() {
    Edge::settles(Some(Kind::Traefik), "traefik").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx() {
    Edge::settles(Some(Kind::Nginx), "nginx").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn caddy() {
    Edge::settles(Some(Kind::Caddy), "caddy").await;
}
