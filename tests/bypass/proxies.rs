//! Nothing gets past Entrance behind proxies that ask over HTTP, either: each rewrites requests in its own way before it
//! asks, and in its own way again before it forwards them.

use std::net::SocketAddr;

use futures_util::future::join_all;

use crate::children::{port, runtime, scratch};
use crate::envoy_process::{Bootstrap, Envoy};
use crate::ours::Guard;
use crate::page::{self, Kept};
use crate::proxy_process::{Kind, Neighbours, PATIENT, Proxy};
use crate::suite::{Verdict, verdict};
use crate::upstreams::{self, Server};

/// Those that read paths, and header names, in the most ways.
const SERVERS: [upstreams::Kind; 2] = [upstreams::Kind::Tomcat, upstreams::Kind::Gunicorn];

/// Runs the suite through a proxy that asks over HTTP.
async fn holds(kind: Option<Kind>) {
    let at = port();
    let listen = format!("{}={at}", kind.map_or("envoy", Kind::dialect));
    let guard = Guard::asked(&["--listen-http", &listen, "--http-peer", "127.0.0.0/8"]).await;
    let (listen, guard) = (&listen, &guard);
    let verdicts = join_all(SERVERS.map(async |server| {
        let server = Server::start(server).await;
        let told = match kind {
            None => {
                let bootstrap = Bootstrap::http(at).patient().upstream(server.address);
                let envoy = Envoy::start(bootstrap, &scratch("envoy")).await;
                through(envoy.address, &server, guard).await
            }
            Some(kind) => {
                let neighbours = Neighbours { entrance: at, upstream: server.address };
                let proxy = Proxy::start(kind, &neighbours, &PATIENT).await;
                through(proxy.address, &server, guard).await
            }
        };
        assert_eq!(told.code, 0, "{listen}: {:#}", told.told["findings"]);
        told
    }))
    .await;
    let rows: Vec<(&str, &Verdict)> = SERVERS.iter().map(|server| server.name()).zip(&verdicts).collect();
    page::settle(kind.map_or("http_service", Kind::dialect), &page::servers(&rows), Kept::Ends);
}

async fn through(target: SocketAddr, server: &Server, guard: &Guard) -> Verdict {
    verdict((target, &server.report()), &guard.tokens, &[]).await
}

#[test]
fn nothing_gets_past_traefik() {
    runtime().block_on(holds(Some(Kind::Traefik)));
}

#[test]
fn nothing_gets_past_nginx() {
    runtime().block_on(holds(Some(Kind::Nginx)));
}

#[test]
fn nothing_gets_past_caddy() {
    runtime().block_on(holds(Some(Kind::Caddy)));
}

#[test]
fn nothing_gets_past_an_envoy_that_asks_over_http() {
    runtime().block_on(holds(None));
}
