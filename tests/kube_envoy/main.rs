//! From an applied object to what reaches an API behind a real Envoy: for a gateway that watches a real API server, for
//! one that the controller feeds, and for a sidecar. And behind every other proxy that we know how to answer.
#![cfg(feature = "emulator")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "a test that cannot go on fails")]
#![expect(clippy::indexing_slicing, reason = "a missing member fails the test")]
#![expect(clippy::arithmetic_side_effects, reason = "small numbers of a test")]

#[path = "../support/api_server.rs"]
#[expect(dead_code, reason = "not every test needs all of it")]
mod api_server;
#[path = "../support/children.rs"]
#[expect(dead_code, reason = "not every test needs all of it")]
mod children;
#[path = "edge.rs"]
mod edge;
#[path = "../support/envoy_process.rs"]
#[expect(dead_code, reason = "not every test needs all of it")]
mod envoy_process;
#[path = "../support/free_port.rs"]
mod free_port;
#[path = "../support/load.rs"]
mod load;
#[path = "../support/proxy_process.rs"]
mod proxy_process;
#[path = "../support/raw_http.rs"]
#[expect(dead_code, reason = "not every test needs all of it")]
mod raw_http;
#[path = "../support/rbac.rs"]
#[expect(dead_code, reason = "the file as it stands is tested elsewhere")]
mod rbac;
#[path = "../kube_e2e/scene.rs"]
#[expect(dead_code, reason = "statuses and outages are tested elsewhere")]
mod scene;
#[path = "../support/server.rs"]
#[expect(dead_code, reason = "signals and health are tested elsewhere")]
mod server;
#[path = "../support/upstream.rs"]
#[expect(dead_code, reason = "bodies are tested elsewhere")]
mod upstream;

mod proxies;

use entrance::emulator::defaults::BOB;
use serde_json::json;

use edge::{Edge, now};
use load::Load;
use raw_http::Ask;
use scene::Scene;

/// The same three ways to the same decision.
async fn edges(scene: &Scene) -> ([Edge; 3], scene::Running) {
    let controller = scene.controller_with(&[]).await;
    let edges = [
        Edge::before("serve --kube", scene.gateway().await).await,
        Edge::before("serve --controller, gateway", scene.fed_gateway(&controller).await).await,
        Edge::before("serve --controller, sidecar", scene.sidecar(&controller, &[]).await).await,
    ];
    (edges, controller)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_applied_holds_behind_envoy_and_nobody_else_notices() {
    let scene = Scene::new("applied").await;
    scene.example().await;
    scene.open("open").await;
    let (edges, _controller) = edges(&scene).await;
    let bob = scene.token(json!({"user": "bob"}));
    let host = scene.host();
    let read = Ask::get(host, "/orders/7").bearer(&bob);
    for edge in &edges {
        edge.becomes(&read, "200").await;
        edge.becomes(&Ask::get(&scene.open_host(), "/"), "200").await;
        edge.refuses(&Ask::new("POST", host, "/orders").bearer(&bob), "403 role_missing").await;
        edge.refuses(&Ask::get(host, "/orders/7"), "401 token_missing").await;
        edge.refuses(&Ask::get("elsewhere.example.com", "/").bearer(&bob), "403 no_policy_for_host").await;
        let load = Load::start(edge.address(), vec![(Ask::get(&scene.open_host(), "/"), "200")]).await;
        scene.patch("orders", json!({"spec": {"deny": [{"callers": "Any"}]}})).await;
        edge.becomes(&read, "403 deny_entry_matched").await;
        load.answers(50).await;
        scene.patch("orders", json!({"spec": {"deny": []}})).await;
        edge.becomes(&read, "200").await;
        load.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_ends_to_the_second_while_requests_flow_and_a_revocation_counts_at_once() {
    let scene = Scene::new("lent").await;
    scene.example().await;
    let (edges, _controller) = edges(&scene).await;
    let bob = scene.token(json!({"user": "bob"}));
    let (read, write) =
        (Ask::get(scene.host(), "/orders/7").bearer(&bob), Ask::new("POST", scene.host(), "/orders").bearer(&bob));
    for edge in &edges {
        edge.becomes(&read, "200").await;
        edge.becomes(&write, "403 role_missing").await;
    }
    let end = now() + 20;
    scene
        .apply(json!({"kind": "AccessGrant", "metadata": {"name": "bob"}, "spec": {
            "policyRef": {"name": "orders"}, "roles": ["Orders.Admin"], "expiresAt": scene::at(end), "approved": true,
            "subject": {"tenant": "contoso", "oid": BOB},
        }}))
        .await;
    let [first, second, third] = &edges;
    tokio::join!(first.until(&write, end), second.until(&write, end), third.until(&write, end));

    scene
        .apply(json!({"kind": "TokenRevocation", "metadata": {"name": "bob"}, "spec": {
            "applicationRef": {"name": "orders-api"}, "match": {"oid": BOB}, "issuedBefore": scene::in_seconds(60),
        }}))
        .await;
    for edge in &edges {
        edge.becomes(&read, "401 token_revoked").await;
        edge.refuses(&read, "401 token_revoked").await;
        edge.becomes(&Ask::get(scene.host(), "/orders/7").bearer(&scene.token(json!({"user": "ada"}))), "200").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_older_policy_owns_a_host_at_a_gateway_unless_it_is_pinned() {
    let scene = Scene::new("older").await;
    scene.example().await;
    scene.tick().await;
    let other = scene.elsewhere("younger").await;
    other.example().await;
    other.patch("orders", json!({"spec": {"deny": [{"callers": "Any"}]}})).await;
    let read = Ask::get(scene.host(), "/orders/7").bearer(&scene.token(json!({"user": "bob"})));
    let (edges, controller) = edges(&scene).await;
    for edge in &edges {
        edge.becomes(&read, "200").await;
    }
    // a pod of the younger one is guarded by what its namespace says, whoever owns the host elsewhere
    let own = Edge::before("a sidecar of the other namespace", other.sidecar(&controller, &[]).await).await;
    own.becomes(&read, "403 deny_entry_matched").await;
    let given = scene.controller_with(&["--pin-host", &format!("{}={}", scene.host(), other.namespace)]).await;
    let pinned = Edge::before("a gateway with a pin", scene.fed_gateway(&given).await).await;
    pinned.becomes(&read, "403 deny_entry_matched").await;
    edges[1].becomes(&read, "200").await;
    scene.delete("orders").await;
    for edge in &edges[..2] {
        edge.becomes(&read, "403 deny_entry_matched").await;
    }
    edges[2].becomes(&read, "403 no_policy_for_host").await;
}
