//! A real API server asks the real webhook: what it refuses, warns of and stamps.
#![cfg(feature = "emulator")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

#[path = "support/api_server.rs"]
#[expect(dead_code, reason = "not every test needs all of it")]
mod api_server;
#[path = "kube_admission/certificates.rs"]
mod certificates;
#[path = "support/free_port.rs"]
mod free_port;
#[path = "kube_admission/grants.rs"]
mod grants;
#[path = "kube_admission/pods.rs"]
mod pods;
#[path = "kube_admission/scene.rs"]
mod scene;
#[path = "support/server.rs"]
#[expect(dead_code, reason = "health and requests are tested elsewhere")]
mod server;

use serde_json::{Value, json};

use api_server::{ADA, ADMIN};
use scene::{Scene, application, policy};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_invalid_is_refused_with_every_field() {
    let scene = Scene::new("invalid", &[]).await;
    let mut broken = policy("refused.example.com");
    broken["spec"]["routes"][0]["path"] = json!("/a//b");
    let second = json!({"name": "second", "path": "/b", "allow": [{"when": "nonsense.member == 1"}]});
    broken["spec"]["routes"].as_array_mut().unwrap().push(second);
    let (taken, said) = scene.kubectl(ADA, &["apply"], &broken);
    assert!(!taken, "{said}");
    for part in [
        "admission webhook \"validate.entrance.dev\" denied the request",
        &format!("AccessPolicy {}/orders is invalid: 2 faults: ", scene.namespace),
        "spec.routes[0].path: ",
        "; spec.routes[1].allow[0].when: ",
    ] {
        assert!(said.contains(part), "no `{part}` in: {said}");
    }
    // a broken object is refused on its way to become so, too, but not for labels of what came in before
    scene.create(ADA, &policy("refused.example.com")).await.taken();
    scene
        .merge(ADA, "accesspolicies/orders", json!({"spec": broken["spec"]}))
        .await
        .refused(422, &["spec.routes[0].path"]);
    scene.merge(ADA, "accesspolicies/orders", json!({"metadata": {"labels": {"a": "b"}}})).await.taken();
    let status = json!({"status": {"observedGeneration": 1}});
    scene.send(("PATCH", &scene.at("accesspolicies/orders/status"), ADMIN), &status).await.taken();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_depends_on_others_is_a_warning() {
    let scene = Scene::new("warned", &[]).await;
    // the policy first: what it refers to comes later
    let early = scene.create(ADA, &policy("warned.example.com")).await.taken();
    assert!(early.warnings.iter().any(|text| text.contains("spec.applicationRef: refers to")), "{early:?}");
    let late = scene.create(ADA, &application()).await.taken();
    assert_eq!(late.warnings, [""; 0], "{late:?}");
    let mut second = policy("warned.example.com");
    second["metadata"]["name"] = json!("younger");
    second["spec"]["routes"] = json!([
        {"name": "again", "path": "/orders/{key}", "methods": ["GET"], "allow": [{"roles": ["Orders.Raed"]}]},
        {"name": "open", "path": "/open", "methods": ["POST"], "anonymous": true},
    ]);
    let dry = scene.send(("POST", &scene.at("accesspolicies?dryRun=All"), ADA), &second).await.taken();
    let (taken, said) = scene.kubectl(ADA, &["apply"], &second);
    assert!(taken, "{said}");
    for part in [
        "spec.routes[0]: is unreachable on `warned.example.com`: the route `read` of the older",
        "spec.routes[0].allow[0].roles[0]: `Orders.Raed` is not among the `roles`",
        "spec.routes[1].anonymous: admits everybody by `POST`",
    ] {
        assert!(said.contains(&format!("Warning: {part}")), "no `{part}` in: {said}");
        assert!(dry.warnings.iter().any(|text| text.contains(part)), "no `{part}` in {:?}", dry.warnings);
    }
    let other = Scene::new("other", &[]).await;
    let mut shadow = policy("warned.example.com");
    shadow["spec"]["mode"] = json!("Shadow");
    shadow["spec"]["hosts"] = json!(["warned.example.com", "shadow.example.com"]);
    let told = other.create(ADA, &shadow).await.taken().warnings;
    for part in
        ["`warned.example.com` belongs to the namespace", "spec.mode: only records: no policy enforces `shadow."]
    {
        assert!(told.iter().any(|text| text.contains(part)), "no `{part}` in {told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_in_use_stays_unless_it_says_otherwise() {
    let scene = Scene::new("in-use", &[]).await;
    scene.create(ADA, &application()).await.taken();
    scene.create(ADA, &policy("in-use.example.com")).await.taken();
    let at = scene.at("entraapplications/orders-api");
    // the mirror learns of the policy a little later than its maker
    let delete = async || scene.send(("DELETE", &format!("{at}?dryRun=All"), ADA), &Value::Null).await;
    let wait = async { while delete().await.code != 403 {} };
    tokio::time::timeout(scene::DEADLINE, wait).await.unwrap();
    let used = format!("is used by AccessPolicy {}/orders, which would deny everything", scene.namespace);
    scene.send(("DELETE", &at, ADA), &Value::Null).await.refused(403, &[&used, "entrance.dev/allow-delete"]);
    let annotation = json!({"metadata": {"annotations": {"entrance.dev/allow-delete": "true"}}});
    scene.merge(ADA, "entraapplications/orders-api", annotation).await.taken();
    scene.send(("DELETE", &at, ADA), &Value::Null).await.taken();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_webhook_nothing_of_ours_changes_and_everything_else_does() {
    let mut scene = Scene::new("down", &[]).await;
    scene.webhook.signal("TERM").await;
    assert_eq!(scene.webhook.end().await, 0);
    scene.create(ADA, &application()).await.refused(500, &["failed calling webhook \"validate.entrance.dev\""]);
    let pods = scene.core("pods");
    let pod = |name: &str, label: &str| {
        json!({"metadata": {"name": name, "labels": {"entrance.dev/inject": label}},
            "spec": {"containers": [{"name": "app", "image": "app"}]}})
    };
    scene.send(("POST", &pods, ADA), &pod("labelled", "true")).await.refused(500, &["inject.entrance.dev"]);
    scene.send(("POST", &pods, ADA), &pod("other", "no")).await.taken();
}
