//! Watches that cannot be resumed: the API server has forgotten what happened while Entrance was cut off, because etcd
//! was compacted. Everything must be listed anew, with no gap in what is enforced, and what is gone must be gone.
#![cfg(feature = "emulator")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]
#![expect(clippy::arithmetic_side_effects, reason = "small numbers of a test")]

#[path = "support/api_server.rs"]
#[expect(dead_code, reason = "not every test needs all of it")]
mod api_server;
#[path = "support/free_port.rs"]
mod free_port;
#[path = "support/rbac.rs"]
#[expect(dead_code, reason = "the file as it stands is tested elsewhere")]
mod rbac;
#[path = "support/relay.rs"]
mod relay;
#[path = "kube_e2e/scene.rs"]
#[expect(dead_code, reason = "statuses are tested elsewhere")]
mod scene;
#[path = "support/server.rs"]
#[expect(dead_code, reason = "signals and health are tested elsewhere")]
mod server;

use std::sync::Arc;

use entrance::emulator::defaults::BOB;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use api_server::ApiServer;
use relay::Relay;
use scene::{Running, Scene};

/// What a request may be answered with while everything happens around it.
#[derive(Clone, Copy, Debug)]
enum Course {
    /// It stays as it is.
    Steady(i32),
    /// It turns from one to the other once, and never back.
    Turns(i32, i32),
}

struct Case {
    host: String,
    request: (&'static str, &'static str),
    course: Course,
}

/// Asks everything again and again until told to stop, and says what was never so.
async fn observe(
    server: Arc<Running>,
    (cases, token): (Arc<Vec<Case>>, String),
    stop: CancellationToken,
) -> Vec<String> {
    let mut turned = vec![false; cases.len()];
    let (mut wrong, mut rounds) = (Vec::new(), 0);
    while !stop.is_cancelled() {
        for (case, turned) in cases.iter().zip(&mut turned) {
            let status = server.answers((&case.host, case.request), Some(&token)).await;
            let right = match case.course {
                Course::Steady(wanted) => status == wanted,
                Course::Turns(_, to) if status == to => {
                    *turned = true;
                    true
                }
                Course::Turns(from, _) => status == from && !*turned,
            };
            if !right {
                wrong.push(format!("{} {:?} {:?}: {status} in round {rounds}", case.host, case.request, case.course));
            }
        }
        rounds += 1;
    }
    assert!(rounds > 10, "only {rounds} rounds");
    wrong
}

/// Lets etcd forget everything but the present.
async fn compact(server: &ApiServer) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = async |path: &str, body: Value| {
        let request = client.post(format!("{}{path}", server.etcd)).body(body.to_string());
        let answer = request.send().await.unwrap().error_for_status().unwrap().text().await.unwrap();
        serde_json::from_str::<Value>(&answer).unwrap()
    };
    let status = post("/v3/maintenance/status", json!({})).await;
    let revision = status["header"]["revision"].as_str().unwrap().to_owned();
    post("/v3/kv/compaction", json!({"revision": revision, "physical": true})).await;
}

async fn all(scene: &Scene) {
    scene.example().await;
    for name in ["steady", "gone", "closed"] {
        scene.open_at(name, &host(scene, name)).await;
    }
    scene
        .apply(json!({"kind": "AccessGrant", "metadata": {"name": "bob"}, "spec": {
            "policyRef": {"name": "orders"}, "roles": ["Orders.Admin"], "expiresAt": scene::in_seconds(3600),
            "approved": true, "subject": {"tenant": "contoso", "oid": BOB},
        }}))
        .await;
}

fn host(scene: &Scene, name: &str) -> String {
    format!("{name}.{}", scene.host())
}

/// What changes while nobody looks: something is deleted, something closes, something comes, a grant is taken back.
async fn change(scene: &Scene) {
    scene.delete("gone").await;
    scene.delete_of("AccessGrant", "bob").await;
    scene.patch("closed", json!({"spec": {"routes": [{"name": "all", "path": "/{*rest}", "allow": []}]}})).await;
    scene.open_at("fresh", &host(scene, "fresh")).await;
}

fn cases(scene: &Scene) -> Vec<Case> {
    let at = |name: &str, course| Case { host: host(scene, name), request: ("GET", "/"), course };
    let of = |request, course| Case { host: scene.host().to_owned(), request, course };
    vec![
        at("steady", Course::Steady(200)),
        at("gone", Course::Turns(200, 403)),
        at("closed", Course::Turns(200, 403)),
        at("fresh", Course::Turns(403, 200)),
        at("never", Course::Steady(403)),
        of(("GET", "/orders/7"), Course::Steady(200)),
        of(("POST", "/orders"), Course::Turns(200, 403)),
        of(("DELETE", "/orders"), Course::Steady(403)),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_cannot_be_resumed_lists_anew_without_a_gap() {
    let mut scene = Scene::alone("compacted").await;
    let relay = Relay::to(scene.server.url.strip_prefix("https://").unwrap().parse().unwrap()).await;
    scene.by = Some(format!("https://{}", relay.address));
    all(&scene).await;
    let (gateway, controller) = (Arc::new(scene.gateway().await), scene.controller().await);
    let sidecar = Arc::new(scene.sidecar(&controller, &[]).await);
    let (bob, cases) = (scene.token(json!({"user": "bob"})), Arc::new(cases(&scene)));
    for server in [&gateway, &sidecar] {
        server.decides(("POST", "/orders"), &bob, 200).await;
        server.decides(("GET", "/orders/7"), &bob, 200).await;
    }
    let stop = CancellationToken::new();
    let observers = [&gateway, &sidecar]
        .map(|server| tokio::spawn(observe(Arc::clone(server), (Arc::clone(&cases), bob.clone()), stop.clone())));

    relay.cut();
    gateway.says("kubernetes", "stale").await;
    controller.says("kubernetes", "stale").await;
    change(&scene).await;
    compact(scene.server).await;
    // nor does the API server's own memory reach back
    scene.server.stop_api();
    scene.server.start_api();
    scene.server.ready().await;
    for server in [&gateway, &sidecar] {
        server.always(("POST", "/orders"), &bob, 200).await;
    }
    relay.mend();
    for server in [&gateway, &sidecar] {
        for case in cases.iter() {
            let (Course::Steady(wanted) | Course::Turns(_, wanted)) = case.course;
            server.comes_to((&case.host, case.request), &bob, wanted).await;
        }
    }
    gateway.says("kubernetes", "in sync").await;
    controller.says("kubernetes", "in sync").await;
    stop.cancel();
    for observer in observers {
        assert_eq!(observer.await.unwrap(), Vec::<String>::new());
    }
    for server in [Arc::into_inner(gateway).unwrap(), controller] {
        broke(server).await;
    }
}

/// The watch of policies broke, and was not taken up where it was: what happened meanwhile is forgotten there.
async fn broke(mut server: Running) {
    server.logged(|line| line["code"] == "watch_failed" && line["kind"] == "AccessPolicy").await;
}
