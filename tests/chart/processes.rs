//! The very command lines of the chart's pods, as processes with the accounts that the chart makes.

use std::path::Path;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::Api;
use serde_json::{Value, json};

use super::api_server::{ADMIN, ApiServer};
use super::helm::{Helm, object, objects};
use super::objects::Objects;
use super::pod::Container;
use super::release::{ANY, Release, started};
use super::server::ask_of;

/// Without a webhook nobody else is disturbed.
const QUIET: &str = "webhook.enabled=false,certificates.provider=secret,certificates.secretName=serving,\
    gateway.enabled=true,hostPins[0].host=pinned.example.com,hostPins[0].namespace=pinned";

async fn quiet(prefix: &str) -> Release {
    let server = ApiServer::shared().await;
    Release::install(server, &server.namespace(prefix).await, QUIET).await
}

fn certificate(directory: &Path) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(directory.join("tls.crt"), made.cert.pem()).unwrap();
    std::fs::write(directory.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_controller_of_the_chart_is_ready_and_leads() {
    let release = quiet("controls").await;
    let tls = tempfile::tempdir().unwrap();
    certificate(tls.path());
    let container = release.container("controller").await.mount("tls", tls.path()).address("0.0.0.0:9193", ANY);
    let server = started(&container, "xds").await;
    let leases: Api<Lease> = Api::namespaced(release.server.client(ADMIN).await, &release.namespace);
    server.becomes(|_, body| body.to_string().contains("this replica writes")).await;
    let lease = leases.get(&release.name("controller")).await.unwrap();
    assert!(lease.spec.unwrap().holder_identity.is_some_and(|holder| !holder.is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_of_the_chart_decides_by_what_was_applied() {
    let release = quiet("decides").await;
    let host = format!("{}.example.com", release.namespace);
    let client = release.server.client(ADMIN).await;
    let to = Objects { client: &client, namespace: &release.namespace, manager: "test", dry_run: false };
    let resource = |kind: &str, spec: Value| json!({"apiVersion": "entrance.dev/v1alpha1", "kind": kind, "metadata": {"name": "orders"}, "spec": spec});
    let application = json!({"tenants": [{"id": "11111111-1111-4111-8111-111111111111", "name": "contoso"}],
        "clientId": "aaaaaaaa-0000-4000-8000-000000000001", "keys": {"staticJwks": {"inline": JWKS}}});
    let policy = json!({"applicationRef": {"name": "orders"}, "hosts": [host, "pinned.example.com"], "routes": [
        {"name": "health", "path": "/healthz", "methods": ["GET"], "anonymous": true}]});
    to.create(&resource("EntraApplication", application)).await.unwrap();
    to.create(&resource("AccessPolicy", policy)).await.unwrap();
    let container = release.container("gateway").await.address("0.0.0.0:9191", ANY);
    let server = started(&container, "ext_authz").await;
    let channel = server.channel().await;
    assert_eq!(ask_of(&channel, (&host, ("GET", "/healthz")), None).await, (200, String::new()));
    assert_eq!(ask_of(&channel, (&host, ("GET", "/orders")), None).await, (403, "no_route".to_owned()));
    // The pin of the values is a flag of the command line.
    let pinned = ask_of(&channel, ("pinned.example.com", ("GET", "/healthz")), None).await;
    assert_eq!(pinned, (403, "no_policy_for_host".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_webhook_of_the_chart_makes_its_certificate_and_answers_the_api_server() {
    let server: &'static ApiServer = Box::leak(Box::new(ApiServer::start().await));
    let free = std::net::TcpListener::bind(ANY).unwrap().local_addr().unwrap();
    let values = format!("webhook.url=https://{free}");
    let release = Release::install(server, "answers", &values).await;
    let client = server.client(ADMIN).await;
    let to = Objects { client: &client, namespace: &release.namespace, manager: "test", dry_run: false };
    let policy = |hosts: Value| {
        json!({"apiVersion": "entrance.dev/v1alpha1", "kind": "AccessPolicy", "metadata": {"name": "orders"},
            "spec": {"applicationRef": {"name": "orders"}, "hosts": hosts, "routes": [
                {"name": "health", "path": "/a/%2e", "anonymous": true}]}})
    };
    let closed = to.create(&policy(json!(["orders.example.com"]))).await.unwrap_err();
    assert!(closed.contains("failed calling webhook"), "{closed}");

    let container = release.container("webhook").await.address("0.0.0.0:9443", &free.to_string());
    let _webhook = started(&container, "webhook").await;
    let judged = async {
        loop {
            let refused = to.create(&policy(json!(["orders.example.com"]))).await.unwrap_err();
            if !refused.contains("failed calling webhook") {
                return refused;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let refused = tokio::time::timeout(std::time::Duration::from_secs(60), judged).await.unwrap();
    assert!(refused.contains("spec.routes[0].path"), "{refused}");
    assert_eq!(container.probe("livenessProbe"), "/livez");
    // What the webhook made is what the controller shows.
    let container = release.container("controller").await.address("0.0.0.0:9193", ANY);
    started(&container, "xds").await;
    let secret = object(&release.installed, "Secret", &release.name("certificates"));
    let filled = to.read(secret).await.unwrap();
    let names: Vec<_> = filled["data"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["ca.crt", "ca.key", "tls.crt", "tls.key"]);
}

const JWKS: &str = include_str!("../../charts/entrance/files/test/jwks.json");

#[test]
fn the_test_of_the_chart_decides_and_notices_what_is_wrong() {
    let rendered = objects(&Helm::offline().renders(&[]));
    let pod = object(&rendered, "Pod", "entrance-test");
    let names =
        pod["spec"]["containers"].as_array().unwrap().iter().map(|container| container["name"].as_str().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let run = |name: &str| {
        let container = Container::of(pod, name).filled(&rendered, directory.path());
        container.command().output().unwrap()
    };
    for name in names {
        let ran = run(name);
        assert!(
            ran.status.success(),
            "{name}: {}{}",
            String::from_utf8_lossy(&ran.stdout),
            String::from_utf8_lossy(&ran.stderr)
        );
    }
    // A pod whose token is another must fail: it is the decision that counts, not that something ran.
    let mut other = rendered.clone();
    let map =
        other.iter_mut().find(|object| object["kind"] == "ConfigMap" && object["metadata"]["name"] == "entrance-test");
    map.unwrap()["data"]["token.txt"] = json!("rubbish");
    let container = Container::of(pod, "reader-reads").filled(&other, directory.path());
    assert_eq!(container.command().output().unwrap().status.code(), Some(1));
}
