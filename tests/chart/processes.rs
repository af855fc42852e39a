//! The very command lines of the chart's pods, as processes with the accounts that the chart makes.

use std::path::Path;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::Api;
use serde_json::{Value, json};
use tokio::process::Command;

use super::api_server::{ADMIN, ApiServer};
use super::helm::{Helm, object, objects};
use super::objects::Objects;
use super::pod::Container;
use super::server::{Server, ask_of};

const ANY: &str = "127.0.0.1:0";

/// A release without a webhook, so that nobody else is disturbed, and what the API server has made of it.
struct Release {
    server: &'static ApiServer,
    namespace: String,
    installed: Vec<Value>,
    directory: tempfile::TempDir,
}

impl Release {
    async fn new(prefix: &str) -> Self {
        let server = ApiServer::shared().await;
        let namespace = server.namespace(prefix).await;
        let helm = Helm::of(server.kubeconfig(ADMIN));
        let values = "webhook.enabled=false,certificates.provider=secret,certificates.secretName=serving,\
            gateway.enabled=true,hostPins[0].host=pinned.example.com,hostPins[0].namespace=pinned";
        helm.prints(&["install", &namespace, "charts/entrance", "--namespace", &namespace, "--set", values]);
        let client = server.client(ADMIN).await;
        let to = Objects { client: &client, namespace: &namespace, manager: "test", dry_run: false };
        let mut installed = Vec::new();
        for object in objects(&helm.prints(&["get", "manifest", &namespace, "--namespace", &namespace])) {
            installed.push(to.read(&object).await.unwrap());
        }
        Self { server, namespace, installed, directory: tempfile::tempdir().unwrap() }
    }

    fn name(&self, component: &str) -> String {
        format!("{}-entrance-{component}", self.namespace)
    }

    /// A container of a Deployment, with the kubeconfig of the account that its pod runs under.
    async fn container(&self, component: &str) -> Container {
        let deployment = object(&self.installed, "Deployment", &self.name(component));
        let account = deployment["spec"]["template"]["spec"]["serviceAccountName"].as_str().unwrap();
        let token = self.server.account_token(&self.namespace, account, &[]).await;
        Container::of(deployment, component)
            .filled(&self.installed, self.directory.path())
            .address("0.0.0.0:9901", ANY)
            .account(&self.server.kubeconfig(&token))
    }
}

async fn started(container: &Container, port: &str) -> Server {
    let mut command = Command::from(container.command());
    command.stdout(std::process::Stdio::null());
    let server = Server::launch(command, port).await;
    let ready = container.probe("readinessProbe");
    assert_eq!(ready, "/readyz");
    server.becomes(|status, _| status == 200).await;
    for probe in ["startupProbe", "livenessProbe"] {
        assert_eq!(server.admin(&container.probe(probe)).await.0, 200, "{probe}");
    }
    server
}

fn certificate(directory: &Path) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(directory.join("tls.crt"), made.cert.pem()).unwrap();
    std::fs::write(directory.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_controller_of_the_chart_is_ready_and_leads() {
    let release = Release::new("controls").await;
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
    let release = Release::new("decides").await;
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
