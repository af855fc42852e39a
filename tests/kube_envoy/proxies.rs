//! An edit of a policy through the API server, as every proxy has it.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::children::{port, scratch};
use crate::edge::Edge;
use crate::envoy_process::Bootstrap;
use crate::proxy_process::Kind;
use crate::raw_http::Ask;
use crate::scene::{Running, Scene};

/// Every way in, and the two servers behind them: one with a port for each dialect, one on a Unix socket.
async fn ways(scene: &Scene) -> (Vec<Edge>, [Running; 2]) {
    let kinds = [Kind::Traefik, Kind::Nginx, Kind::Caddy].map(|kind| (kind, port()));
    let http: SocketAddr = port();
    let listen = |dialect: &str, at: &SocketAddr| ["--listen-http".to_owned(), format!("{dialect}={at}")];
    let mut flags: Vec<String> = kinds.iter().flat_map(|(kind, at)| listen(kind.dialect(), at)).collect();
    flags.extend(listen("envoy", &http));
    flags.extend(["--http-peer".to_owned(), "127.0.0.0/8".to_owned()]);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let server = scene.gateway_with(&flags).await;
    let socket = scratch("socket").join("s");
    let unix = scene.gateway_with(&["--listen", &format!("unix:{}", socket.display())]).await;
    let mut edges = vec![
        Edge::envoy("envoy over TCP", Bootstrap::tcp(&server.address())).await,
        Edge::envoy("envoy over a Unix socket", Bootstrap::unix(socket.to_str().unwrap())).await,
        Edge::envoy("envoy over HTTP", Bootstrap::http(http)).await,
    ];
    for (kind, at) in kinds {
        edges.push(Edge::proxy(kind, at).await);
    }
    (edges, [server, unix])
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_reaches_every_proxy() {
    let scene = Scene::new("proxies").await;
    scene.example().await;
    let (edges, _servers) = ways(&scene).await;
    let bob = scene.token(json!({"user": "bob"}));
    let read = Ask::get(scene.host(), "/orders/7").bearer(&bob);
    let deny = async |entries: Value| scene.patch("orders", json!({"spec": {"deny": entries}})).await;
    for _ in 0..2 {
        for edge in &edges {
            edge.becomes(&read, "200").await;
        }
        deny(json!([{"callers": "Any"}])).await;
        for edge in &edges {
            edge.becomes(&read, "403 deny_entry_matched").await;
            edge.refuses(&Ask::get(scene.host(), "/orders/7"), "401 token_missing").await;
        }
        deny(json!([])).await;
    }
}
