//! The whole way against a real API server: from an applied object to a decision and back to its status, through
//! conflicts, grants, revocations and outages. Our processes have the roles of `examples/kubernetes/rbac.yaml` and no other.
#![cfg(feature = "emulator")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

#[path = "support/api_server.rs"]
#[expect(dead_code, reason = "not every test needs all of it")]
mod api_server;
#[path = "support/free_port.rs"]
mod free_port;
#[path = "support/rbac.rs"]
#[expect(dead_code, reason = "the file as it stands is tested elsewhere")]
mod rbac;
#[path = "kube_e2e/scene.rs"]
#[expect(dead_code, reason = "Envoy and lost watches are tested elsewhere")]
mod scene;
#[path = "support/server.rs"]
#[expect(dead_code, reason = "signals and health are tested elsewhere")]
mod server;

use std::time::Duration;

use serde_json::{Value, json};

use free_port::port;
use scene::{Scene, condition};

const READ: (&str, &str) = ("GET", "/orders/7");
const WRITE: (&str, &str) = ("POST", "/orders");

#[tokio::test(flavor = "multi_thread")]
async fn what_is_applied_is_enforced_and_its_status_says_so() {
    let scene = Scene::new("whole").await;
    scene.example().await;
    let gateway = scene.gateway().await;
    let bob = scene.token(json!({"user": "bob"}));
    gateway.decides(READ, &bob, 200).await;

    let controller = scene.controller().await;
    let sidecar = scene.sidecar(&controller, &[]).await;
    sidecar.decides(READ, &bob, 200).await;
    sidecar.decides(WRITE, &bob, 403).await;
    let policy = scene.status("accesspolicies", "orders", |status| programmed(status, "1/1")).await;
    assert_eq!(condition(&policy, "Accepted")["status"], "True", "{policy}");
    let application = scene
        .status("entraapplications", "orders-api", |status| condition(status, "KeysReady")["status"] == "True")
        .await;
    assert_eq!(condition(&application, "Accepted")["status"], "True");

    // an edit that closes a route, and a broken one
    scene.patch("orders", json!({"spec": {"deny": [{"callers": "Any"}]}})).await;
    gateway.decides(READ, &bob, 403).await;
    sidecar.decides(READ, &bob, 403).await;
    scene.status("accesspolicies", "orders", |status| programmed(status, "1/1 data planes at generation 2")).await;
    scene.patch("orders", json!({"spec": {"deny": [], "applicationRef": {"name": "nowhere"}}})).await;
    gateway.decides(READ, &bob, 403).await;
    let broken = scene
        .status("accesspolicies", "orders", |status| condition(status, "Accepted")["reason"] == "RefNotResolved")
        .await;
    assert!(condition(&broken, "Accepted")["message"].as_str().unwrap().contains("nowhere"), "{broken}");
    scene.event("orders", "RefNotResolved").await;
}

fn programmed(status: &Value, message: &str) -> bool {
    let programmed = condition(status, "Programmed");
    programmed["status"] == "True" && programmed["message"].as_str().unwrap_or_default().starts_with(message)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_older_policy_owns_a_host_and_the_younger_one_is_told() {
    let scene = Scene::new("first").await;
    scene.example().await;
    let _controller = scene.controller().await;
    scene.status("accesspolicies", "orders", |status| condition(status, "Accepted")["status"] == "True").await;
    scene.tick().await;
    let other = scene.elsewhere("second").await;
    other.example().await;
    let loser =
        other.status("accesspolicies", "orders", |status| condition(status, "Conflicted")["status"] == "True").await;
    assert_eq!(condition(&loser, "Accepted")["reason"], "HostOwnedElsewhere");
    let message = condition(&loser, "Conflicted")["message"].as_str().unwrap();
    assert!(message.contains(&format!("{}/orders", scene.namespace)), "{message}");
    scene.delete("orders").await;
    let winner =
        other.status("accesspolicies", "orders", |status| condition(status, "Accepted")["status"] == "True").await;
    assert!(condition(&winner, "Conflicted").is_null(), "{winner}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_ends_while_requests_flow_and_a_revocation_counts_at_once() {
    let scene = Scene::new("timed").await;
    scene.example().await;
    let controller = scene.controller().await;
    let sidecar = scene.sidecar(&controller, &[]).await;
    let bob = scene.token(json!({"user": "bob"}));
    sidecar.decides(WRITE, &bob, 403).await;
    // it must be seen active before
    let end = scene::in_seconds(15);
    scene
        .apply(json!({"kind": "AccessGrant", "metadata": {"name": "bob"}, "spec": {
            "policyRef": {"name": "orders"}, "roles": ["Orders.Admin"], "expiresAt": end, "approved": true,
            "subject": {"tenant": "contoso", "oid": entrance::emulator::defaults::BOB},
        }}))
        .await;
    sidecar.decides(WRITE, &bob, 200).await;
    scene.status("accessgrants", "bob", |status| status["phase"] == "Active").await;
    sidecar.decides(WRITE, &bob, 403).await;
    assert!(scene::in_seconds(0) >= end, "it ended too early");
    scene.status("accessgrants", "bob", |status| status["phase"] == "Expired").await;
    scene.event("bob", "Expired").await;

    sidecar.decides(READ, &bob, 200).await;
    scene
        .apply(json!({"kind": "TokenRevocation", "metadata": {"name": "bob"}, "spec": {
            "applicationRef": {"name": "orders-api"}, "match": {"oid": entrance::emulator::defaults::BOB},
            "issuedBefore": scene::in_seconds(60),
        }}))
        .await;
    sidecar.decides(READ, &bob, 401).await;
    let status = scene.status("tokenrevocations", "bob", |status| status["phase"] == "Active").await;
    assert!(status["remaining"].as_str().is_some_and(|left| !left.is_empty()), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_changes_while_the_api_server_or_the_controller_is_away() {
    let scene = Scene::alone("outage").await;
    scene.example().await;
    let gateway = scene.gateway().await;
    let address = port().to_string();
    let controller = scene.controller_at(&address).await;
    let disk = tempfile::tempdir().unwrap();
    let state = ["--state", disk.path().to_str().unwrap()];
    let sidecar = scene.sidecar(&controller, &state).await;
    let bob = scene.token(json!({"user": "bob"}));
    for server in [&gateway, &sidecar] {
        server.decides(READ, &bob, 200).await;
    }
    scene.server.stop_api();
    gateway.says("kubernetes", "stale").await;
    for server in [&gateway, &sidecar] {
        server.always(READ, &bob, 200).await;
        server.always(WRITE, &bob, 403).await;
    }
    // the controller goes, too; a sidecar that starts then has its disk
    drop(controller);
    sidecar.says("controller", "stale").await;
    sidecar.always(READ, &bob, 200).await;
    drop(sidecar);
    let second = scene.sidecar_at(&address, &state).await;
    second.decides(READ, &bob, 200).await;
    second.says("controller", "kept from before the start").await;
    second.always(WRITE, &bob, 403).await;

    scene.server.start_api();
    scene.server.ready().await;
    let controller = scene.controller_at(&address).await;
    second.says("controller", "connected").await;
    gateway.says("kubernetes", "in sync").await;
    scene.patch("orders", json!({"spec": {"deny": [{"callers": "Any"}]}})).await;
    for server in [&gateway, &second] {
        server.decides(READ, &bob, 403).await;
    }
    drop(controller);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_counts_the_data_planes_of_every_replica() {
    let scene = Scene::new("replicas").await;
    scene.example().await;
    let writing = scene.controller().await;
    writing.says("lease", "this replica writes").await;
    let other = scene.controller().await;
    other.says("lease", "another replica").await;
    let says = async |message: &str| {
        scene.status("accesspolicies", "orders", |status| programmed(status, message)).await;
    };
    let _first = scene.sidecar(&writing, &[]).await;
    says("1/1 data planes at generation 1").await;
    let second = scene.sidecar_at(&other.address(), &[]).await;
    let third = scene.sidecar_at(&other.address(), &[]).await;
    says("3/3 data planes at generation 1").await;
    scene.patch("orders", json!({"spec": {"deny": [{"callers": "Any"}]}})).await;
    says("3/3 data planes at generation 2").await;
    drop(third);
    says("2/2 data planes at generation 2").await;
    // one that cannot say farewell, and its data planes
    drop(other);
    drop(second);
    says("1/1 data planes at generation 2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_replica_writes_when_the_leader_is_killed() {
    let scene = Scene::new("lease").await;
    let first = scene.controller().await;
    first.says("lease", "this replica writes").await;
    let second = scene.controller().await;
    second.says("lease", "another replica").await;
    scene.example().await;
    scene.status("accesspolicies", "orders", |status| condition(status, "Accepted")["status"] == "True").await;
    drop(first);
    scene.patch("orders", json!({"spec": {"hosts": ["other.example.com"]}})).await;
    scene.status("accesspolicies", "orders", |status| status["observedGeneration"] == 2).await;
    second.says("lease", "this replica writes").await;
    assert!(scene::DEADLINE > Duration::from_secs(20), "the lease must be able to end");
}
