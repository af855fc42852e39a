//! Entrance in Envoy's own pod, on a Unix socket: the pod that Envoy Gateway asks for gets its sidecar from our webhook, and
//! both containers run with the very command lines of that pod.

use std::path::{Path, PathBuf};

use entrance::admission::inject::sidecar::Sidecar;
use entrance::admission::inject::{Ground, Version, inject};
use entrance::admission::review;
use serde_json::{Value, json};
use tokio::process::Command;

use super::children::scratch;
use super::plane::SYSTEM;
use super::pod::Container;
use super::private_network::inside;
use super::scene::Scene;
use super::server::Server;

const CONTROLLER: &str = "https://entrance-controller.entrance.svc:9193";

/// What our webhook makes of a pod.
fn injected(mut pod: Value) -> Value {
    let sidecar = Sidecar::read(json!({"image": "entrance:1", "controller": CONTROLLER})).unwrap();
    let version = Some(Version { major: 1, minor: 33 });
    let ground = Ground { sidecar: Some(&sidecar), authority: Some(""), version, namespace: "entrance" };
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "1", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "namespace": SYSTEM,
        "operation": "CREATE", "object": pod, "userInfo": {"username": "envoy-gateway"},
    }});
    let verdict = inject(&review::read(review.to_string().as_bytes()).unwrap(), &ground);
    for change in verdict.outcome.unwrap() {
        let change = change.render();
        let (parent, name) = change["path"].as_str().unwrap().rsplit_once('/').unwrap();
        let parent = pod.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        parent.insert(name.to_owned(), change["value"].clone());
    }
    pod
}

/// The pod of a Deployment.
fn pod(deployment: &Value) -> Value {
    let mut pod = deployment["spec"]["template"].clone();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = deployment["metadata"]["name"].clone();
    pod["metadata"]["namespace"] = json!(SYSTEM);
    pod
}

/// Runs the sidecar of a pod; its controller is at `controller`.
async fn sidecar(scene: &Scene, pod: &Value, controller: &str) -> Server {
    let applied = scene.objects().create(pod).await.unwrap();
    let typed = serde_json::from_value(applied).unwrap();
    let files = scratch("sidecar");
    let token = scene.plane.server.pod_token(SYSTEM, ("envoy-edge", &typed), &["entrance"]).await;
    std::fs::write(files.join("token"), token).unwrap();
    let sockets: PathBuf = Path::new(&scene.socket).parent().unwrap().to_owned();
    let container = Container::of(pod, "entrance")
        .mount("entrance-token", &files)
        .mount("entrance-state", &files)
        .mount("entrance-socket", &sockets)
        .address(CONTROLLER, controller)
        .address("0.0.0.0:9901", "127.0.0.1:0");
    let mut command = Command::from(container.command());
    command.stdout(std::process::Stdio::null());
    Server::of(command, "ext_authz").await
}

#[test]
fn a_sidecar_in_the_pod_of_envoy_is_asked_by_its_socket() {
    inside(async || {
        let scene = Scene::new("unix").await;
        let controller = scene.controller("envoy-gateway-system/envoy-edge").await;
        scene.ship("gateway.yaml").await;
        scene.ship("unix.yaml").await;
        scene.ship("route.yaml").await;
        let deployment = scene.deployment(|deployment| deployment.pointer(ACCOUNT) == Some(&json!("envoy-edge"))).await;
        let pod = injected(pod(&deployment));
        let containers = pod["spec"]["containers"].as_array().unwrap();
        let envoy = containers.iter().find(|container| container["name"] == "envoy").unwrap();
        let mounts = envoy["volumeMounts"].as_array().unwrap();
        assert!(mounts.iter().any(|mount| mount["mountPath"] == "/run/entrance"), "{envoy:#}");

        let entrance = sidecar(&scene, &pod, &format!("http://{}", controller.listen)).await;
        scene.start().await;
        let read = scene.read().bearer(&scene.token("bob"));
        scene.becomes(&scene.read(), "401 token_missing").await;
        scene.becomes(&read, "200").await;
        assert_eq!(scene.found("cluster-plaintext").await, Vec::<String>::new());
        scene.edit(&json!({"spec": {"deny": [{"callers": "Any"}]}})).await;
        scene.becomes(&read, "403 deny_entry_matched").await;
        scene.edit(&json!({"spec": {"deny": []}})).await;
        scene.becomes(&read, "200").await;
        drop(entrance);
        scene.becomes(&read, "503").await;
    });
}

const ACCOUNT: &str = "/spec/template/spec/serviceAccountName";
