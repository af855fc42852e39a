//! Nothing gets past Entrance behind proxies that ask over HTTP, either: each rewrites requests in its own way before it
//! asks, and in its own way again before it forwards them.

use std::net::SocketAddr;

use futures_util::future::join_all;

use crate::children::{port, runtime, scratch};
use crate::envoy_process::{Bootstrap, Envoy};
use crate::ours::Guard;
use crate::page::{self, Kept};
use crate::proxy_process::{Kind, Neighbours, PATIENT, Proxy, Slip};
use crate::suite::{Verdict, verdict};
use crate::upstreams::{self, Server};

/// Those that read paths, and header names, in the most ways.
const SERVERS: [upstreams::Kind; 2] = [upstreams::Kind::Tomcat, upstreams::Kind::Gunicorn];

/// A proxy that asks over HTTP, no kind being Envoy, and whom it asks.
struct Gate {
    kind: Option<Kind>,
    entrance: SocketAddr,
    guard: Guard,
}

impl Gate {
    async fn start(kind: Option<Kind>) -> Self {
        let entrance = port();
        let listen = format!("{}={entrance}", kind.map_or("envoy", Kind::dialect));
        let guard = Guard::asked(&["--listen-http", &listen, "--http-peer", "127.0.0.0/8"]).await;
        Self { kind, entrance, guard }
    }

    /// The suite, or some of it, in front of a server of its own.
    async fn verdict(&self, server: upstreams::Kind, (slips, more): (&[Slip<'_>], &[&str])) -> Verdict {
        let server = Server::start(server).await;
        let report = server.report();
        let run = async |target| verdict((target, &report), &self.guard.tokens, more).await;
        match self.kind {
            None => {
                let bootstrap = Bootstrap::http(self.entrance).patient().upstream(server.address);
                let envoy = Envoy::start(bootstrap, &scratch("envoy")).await;
                run(envoy.address).await
            }
            Some(kind) => {
                let neighbours = Neighbours { entrance: self.entrance, upstream: server.address };
                let proxy = Proxy::start(kind, &neighbours, &[slips, &PATIENT].concat()).await;
                run(proxy.address).await
            }
        }
    }

    /// The same where nothing gets past.
    async fn holds(&self, server: upstreams::Kind, more: &[&str]) -> Verdict {
        let told = self.verdict(server, (&[], more)).await;
        assert_eq!(told.code, 0, "{:?}, {server:?}: {:#}", self.kind, told.told["findings"]);
        told
    }
}

/// Runs the suite through a proxy that asks over HTTP.
async fn holds(kind: Option<Kind>) {
    let gate = Gate::start(kind).await;
    let verdicts = join_all(SERVERS.map(|server| gate.holds(server, &[]))).await;
    let rows: Vec<(&str, &Verdict)> = SERVERS.iter().map(|server| server.name()).zip(&verdicts).collect();
    page::settle(kind.map_or("http_service", Kind::dialect), &page::servers(&rows), Kept::Ends);
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

/// What an upgrade may lead to: hypercorn goes on in HTTP/2 if it is asked to, and serves what nobody was asked about.
const UPGRADES: [&str; 2] = ["--family", "protocol"];

/// Ways to ask for HTTP/2 that hypercorn understands.
const UNDERSTOOD: [&str; 9] = [
    "as the RFC has it",
    "without its settings in Connection",
    "in lower case",
    "in upper case",
    "in mixed case",
    "Connection in two lines",
    "behind keep-alive",
    "without spaces",
    "in a line before websocket",
];

#[test]
fn no_upgrade_opens_a_tunnel_past_a_proxy_that_asks_over_http() {
    runtime().block_on(async {
        for kind in [None, Some(Kind::Traefik), Some(Kind::Nginx), Some(Kind::Caddy)] {
            Gate::start(kind).await.holds(upstreams::Kind::Hypercorn, &UPGRADES).await;
        }
    });
}

/// Lines of a Caddyfile that look as if they did no harm.
const ANY_UPGRADE: [Slip<'_>; 4] = [
    ("header_regexp Connection (?i)(^|[\\s,])upgrade([\\s,]|$)", "header Connection *"),
    ("header_regexp Upgrade (?i)^websocket$", "header Upgrade *"),
    ("request_header @websocket Upgrade websocket\n", ""),
    ("request_header -HTTP2-Settings\n", ""),
];

#[test]
fn a_proxy_that_forwards_every_upgrade_is_found_out() {
    runtime().block_on(async {
        let gate = Gate::start(Some(Kind::Caddy)).await;
        let found = gate.verdict(upstreams::Kind::Hypercorn, (&ANY_UPGRADE, &UPGRADES)).await;
        let findings = found.told["findings"].as_array().unwrap();
        let finds = |way: &&str| {
            let name = format!("an upgrade to h2c: {way}, then a stream");
            findings.iter().any(|finding| finding["trick"] == *name && finding["breach"] == "reached")
        };
        let missed: Vec<&str> = UNDERSTOOD.into_iter().filter(|way| !finds(way)).collect();
        assert!(found.code == 1 && missed.is_empty(), "{missed:?}: {findings:#?}");
    });
}
