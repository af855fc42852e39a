//! Nothing gets past Entrance behind the proxies that ask over HTTP, set as we ship them.

use std::net::SocketAddr;

use futures_util::future::join_all;

use crate::children::{port, runtime, scratch};
use crate::envoy_process::{Bootstrap, Envoy};
use crate::ours::Guard;
use crate::proxy_process::{self, Neighbours, PATIENT, Proxy};
use crate::suite::{Verdict, verdict};
use crate::upstreams::{Kind, Server};

const KINDS: [proxy_process::Kind; 3] =
    [proxy_process::Kind::Traefik, proxy_process::Kind::Nginx, proxy_process::Kind::Caddy];

/// One that reads paths as browsers do, and one that believes in underscores.
const UPSTREAMS: [Kind; 2] = [Kind::Node, Kind::Gunicorn];

/// Entrance with a port for each, the last for Envoy.
async fn guard() -> (Guard, [SocketAddr; 4]) {
    let ports = [(); 4].map(|()| port());
    let dialects = KINDS.map(proxy_process::Kind::dialect).into_iter().chain(["envoy"]);
    let listeners = dialects.zip(ports).map(|(dialect, at)| format!("--listen-http={dialect}={at}"));
    let peers = ["--http-peer=127.0.0.0/8".to_owned()];
    (Guard::with(listeners.chain(peers).collect()).await, ports)
}

/// A run against a proxy, which speaks HTTP/1 to clients.
async fn behind(guard: &Guard, (proxy, server): (&Proxy, &Server)) -> Verdict {
    verdict((proxy.address, &server.report()), &guard.tokens, &["--http1"]).await
}

fn clean(name: &str, server: Kind, run: Verdict) {
    let families = run.told["families"].as_object().unwrap();
    assert!(families.keys().all(|family| run.count(family, "sent") > 0), "{name} before {server:?}: sent nothing");
    assert_eq!(run.caught(), Vec::<&str>::new(), "{name} before {server:?}: {:#}", run.told["findings"]);
    assert_eq!(run.code, 0, "{name} before {server:?}");
}

#[test]
fn nothing_gets_past_entrance_behind_proxies_that_ask_over_http() {
    runtime().block_on(async {
        let (guard, [rest @ .., envoy]) = guard().await;
        let guard = &guard;
        join_all(UPSTREAMS.map(async |kind| {
            let server = Server::start(kind).await;
            for (proxy, entrance) in KINDS.into_iter().zip(rest) {
                let neighbours = Neighbours { entrance, upstream: server.address };
                let running = Proxy::start(proxy, &neighbours, &PATIENT).await;
                clean(proxy.dialect(), kind, behind(guard, (&running, &server)).await);
            }
            let bootstrap = Bootstrap::http(envoy).patient().upstream(server.address);
            let running = Envoy::start(bootstrap, &scratch("envoy")).await;
            clean("envoy", kind, verdict((running.address, &server.report()), &guard.tokens, &[]).await);
        }))
        .await;
    });
}
