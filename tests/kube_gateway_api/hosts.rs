//! Which hosts a target leads to, as objects come, change and go.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::Client;
use kube::api::Api;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::api_server::ADMIN;
use super::gateway_api::{api, apply, install};
use super::scene::{DEADLINE, Running, Scene, condition};

const ANY: (&str, &str) = ("GET", "/any");
const READ: (&str, &str) = ("GET", "/orders/7");

fn target(kind: &str, name: &str) -> Value {
    let group = if kind == "Service" { "" } else { "gateway.networking.k8s.io" };
    json!({"group": group, "kind": kind, "name": name})
}

/// A policy that lets everybody in, wherever its target leads.
async fn attach(scene: &Scene, name: &str, target: &Value) {
    let spec = json!({
        "applicationRef": {"name": "orders-api"}, "targetRefs": [target],
        "routes": [{"name": "all", "path": "/{*rest}", "anonymous": true}],
    });
    scene.apply(json!({"kind": "AccessPolicy", "metadata": {"name": name}, "spec": spec})).await;
}

fn gateway(hostname: &str) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "edge"},
        "spec": {"gatewayClassName": "edge", "listeners": [
            {"name": "public", "port": 80, "protocol": "HTTP", "hostname": hostname},
            {"name": "private", "port": 8080, "protocol": "HTTP", "hostname": "*.internal"},
        ]},
    })
}

fn route(hostnames: &[&str]) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "web"},
        "spec": {
            "parentRefs": [{"name": "edge"}], "hostnames": hostnames,
            "rules": [{"backendRefs": [{"name": "web", "port": 80}]}],
        },
    })
}

fn service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"ports": [{"port": 80}], "selector": {"app": "web"}},
    })
}

/// All ways by which a policy reaches those who enforce it.
struct Planes {
    watching: Running,
    fed: Running,
    sidecar: Running,
}

impl Planes {
    async fn all(&self, host: &str, status: i32) {
        for plane in [&self.watching, &self.fed, &self.sidecar] {
            plane.comes_to((host, ANY), "", status).await;
        }
    }
}

async fn accepted(scene: &Scene, policy: &str, reason: &str) -> Value {
    let status = scene
        .status("accesspolicies", policy, |status| {
            let ancestor = status["ancestors"][0].clone();
            condition(status, "Accepted")["reason"] == reason && condition(&ancestor, "Accepted")["reason"] == reason
        })
        .await;
    assert_eq!(status["ancestors"].as_array().unwrap().len(), 1, "{status:#}");
    assert_eq!(status["ancestors"][0]["controllerName"], "entrance.dev/controller");
    status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_follows_its_targets_as_soon_as_there_are_any() {
    let scene = Scene::alone("attached").await;
    let client: Client = scene.server.client(ADMIN).await;
    let (namespace, bob) = (scene.namespace.clone(), scene.token(json!({"user": "bob"})));
    scene.example().await;
    attach(&scene, "web", &target("HTTPRoute", "web")).await;
    let controller = scene.controller().await;
    let planes = Planes {
        watching: scene.gateway().await,
        fed: scene.fed_gateway(&controller).await,
        sidecar: scene.sidecar(&controller, &[]).await,
    };

    // Without the definitions everything else works, and the policy says what it lacks.
    planes.watching.decides(READ, &bob, 200).await;
    planes.sidecar.decides(READ, &bob, 200).await;
    planes.watching.says("kubernetes", "in sync").await;
    let status = accepted(&scene, "web", "TargetNotFound").await;
    let message = condition(&status, "Accepted")["message"].as_str().unwrap();
    assert!(message.contains("is the Gateway API installed"), "{message}");
    planes.all("web.example.org", 403).await;

    // They come, and a route with its Gateway.
    install(&client, "gateway-api").await;
    apply(&client, &namespace, route(&["web.example.org", "web.elsewhere.org"])).await;
    apply(&client, &namespace, gateway("*.example.org")).await;
    planes.all("web.example.org", 200).await;
    planes.all("web.elsewhere.org", 403).await;
    let status = accepted(&scene, "web", "Accepted").await;
    let wanted =
        json!({"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": namespace, "name": "web"});
    assert_eq!(status["ancestors"][0]["ancestorRef"], wanted);
    assert_eq!(condition(&status["ancestors"][0], "ResolvedRefs")["status"], "True");

    // An edit of the route, of the Gateway, and the end of the route.
    apply(&client, &namespace, route(&["moved.example.org", "web.elsewhere.org"])).await;
    planes.all("moved.example.org", 200).await;
    planes.all("web.example.org", 403).await;
    apply(&client, &namespace, gateway("*.elsewhere.org")).await;
    planes.all("web.elsewhere.org", 200).await;
    planes.all("moved.example.org", 403).await;
    api(&client, "HTTPRoute", &namespace).delete("web", &Default::default()).await.unwrap();
    planes.all("web.elsewhere.org", 403).await;
    accepted(&scene, "web", "TargetNotFound").await;
    planes.watching.decides(READ, &bob, 200).await;

    others(&scene, &client, &planes).await;
}

/// A listener, and a Service that was there without the Gateway API.
async fn others(scene: &Scene, client: &Client, planes: &Planes) {
    let mut listener = target("Gateway", "edge");
    listener["sectionName"] = json!("private");
    attach(scene, "listener", &listener).await;
    planes.all("any.internal", 200).await;
    planes.all("any.elsewhere.org", 403).await;
    let status = accepted(scene, "listener", "Accepted").await;
    assert_eq!(status["ancestors"][0]["ancestorRef"]["sectionName"], "private");

    attach(scene, "service", &target("Service", "web")).await;
    accepted(scene, "service", "TargetNotFound").await;
    apply(client, &scene.namespace, service()).await;
    planes.all(&format!("web.{}.svc.cluster.local", scene.namespace), 200).await;
    planes.sidecar.comes_to(("web", ANY), "", 200).await;
    planes.watching.comes_to(("web", ANY), "", 403).await;
    accepted(scene, "service", "Accepted").await;
    api(client, "Service", &scene.namespace).delete("web", &Default::default()).await.unwrap();
    planes.all(&format!("web.{}.svc.cluster.local", scene.namespace), 403).await;
}

/// Takes all rules but that for our own kinds from those who read, and waits until that counts.
async fn forbid(scene: &Scene) {
    let admin = scene.server.client(ADMIN).await;
    let name = format!("{}:entrance-read", scene.namespace);
    let roles: Api<ClusterRole> = Api::all(admin);
    let mut role = roles.get(&name).await.unwrap();
    role.rules.iter_mut().for_each(|rules| rules.truncate(1));
    roles.replace(&name, &Default::default(), &role).await.unwrap();
    let token = scene.server.account_token(&scene.namespace, "entrance-gateway", &[]).await;
    let services = api(&scene.server.client(&token).await, "Service", &scene.namespace);
    let forbidden = async {
        while !matches!(services.list(&Default::default()).await, Err(kube::Error::Api(status)) if status.code == 403) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(DEADLINE, forbidden).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn kinds_that_may_not_be_read_count_as_if_there_were_none() {
    let scene = Scene::new("forbidden").await;
    scene.example().await;
    attach(&scene, "web", &target("Service", "web")).await;
    apply(&scene.server.client(ADMIN).await, &scene.namespace, service()).await;
    forbid(&scene).await;
    let mut gateway = scene.gateway().await;
    gateway.decides(READ, &scene.token(json!({"user": "bob"})), 200).await;
    gateway.says("kubernetes", "in sync").await;
    let mut told = BTreeSet::new();
    while !["Service", "ConfigMap", "ReferenceGrant"].iter().all(|kind| told.contains(*kind)) {
        let line = gateway.logged(|line| line["code"] == "watch_forbidden").await;
        assert!(told.insert(line["kind"].as_str().unwrap().to_owned()), "told twice: {line}");
    }
    gateway.comes_to((&format!("web.{}.svc", scene.namespace), ANY), "", 403).await;
}
