//! The whole story: `helm install`, a namespace is labelled, an application and a policy are applied, a pod comes back with
//! its sidecar, whose very command line runs; a request through a real Envoy is allowed and another one denied; a grant is
//! approved by a second user and used; everything is removed.
#![cfg(feature = "emulator")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "a test that cannot go on fails")]
#![expect(clippy::indexing_slicing, reason = "a missing member fails the test")]
#![expect(clippy::arithmetic_side_effects, reason = "small numbers of a test")]

#[path = "support/api_server.rs"]
#[expect(dead_code, reason = "not every test needs all of it")]
mod api_server;
#[path = "support/children.rs"]
#[expect(dead_code, reason = "not every test needs all of it")]
mod children;
#[path = "support/envoy_process.rs"]
#[expect(dead_code, reason = "not every test needs all of it")]
mod envoy_process;
#[path = "support/free_port.rs"]
mod free_port;
#[path = "support/helm.rs"]
#[expect(dead_code, reason = "what is refused is tested elsewhere")]
mod helm;
#[path = "support/objects.rs"]
mod objects;
#[path = "support/pod.rs"]
mod pod;
#[path = "support/raw_http.rs"]
#[expect(dead_code, reason = "not every test needs all of it")]
mod raw_http;
#[path = "support/release.rs"]
mod release;
#[path = "support/server.rs"]
#[expect(dead_code, reason = "signals and health are tested elsewhere")]
mod server;
#[path = "support/upstream.rs"]
#[expect(dead_code, reason = "bodies are tested elsewhere")]
mod upstream;

use std::path::Path;

use entrance::emulator::{self, Emulator, MintRequest, defaults};
use entrance::files::yaml;
use entrance::listen::Listen;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use serde_json::{Value, json};

use api_server::{ADA, ADMIN, ApiServer, BOB};
use children::{port, scratch, until};
use envoy_process::{Bootstrap, Envoy};
use objects::Objects;
use pod::Container;
use raw_http::{Ask, http1, probe};
use release::{ANY, Release, started};
use server::Server;
use upstream::Upstream;

const SHOP: &str = "shop";
const SYSTEM: &str = "entrance";
const HOST: &str = "orders.example.com";

/// The cluster, as an administrator, `ada` and `bob` see it.
struct Cluster {
    server: &'static ApiServer,
    admin: Client,
    ada: Client,
    bob: Client,
}

fn of(client: &Client) -> Objects<'_> {
    Objects { client, namespace: SHOP, manager: "test", dry_run: false }
}

impl Cluster {
    async fn start() -> Self {
        entrance::token::install_crypto().unwrap();
        let server: &'static ApiServer = Box::leak(Box::new(ApiServer::start().await));
        let (admin, ada) = (server.client(ADMIN).await, server.client(ADA).await);
        Self { server, admin, ada, bob: server.client(BOB).await }
    }

    async fn apply(&self, object: &Value) -> Value {
        of(&self.admin).apply(object).await.unwrap_or_else(|error| panic!("{}: {error}", object["kind"]))
    }

    /// The shop: its pods want sidecars, `ada` may ask for grants, `bob` may approve them.
    async fn shop(&self) {
        self.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": SHOP, "labels": {"entrance.dev/inject": "true", "pod-security.kubernetes.io/enforce": "restricted"},
        }}))
        .await;
        self.apply(&json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "orders"}})).await;
        let rbac = "rbac.authorization.k8s.io";
        for (user, verbs) in [("ada", json!(["create", "get", "patch"])), ("bob", json!(["get", "patch", "approve"]))] {
            self.apply(&json!({"apiVersion": format!("{rbac}/v1"), "kind": "Role", "metadata": {"name": user},
                "rules": [{"apiGroups": ["entrance.dev"], "resources": ["accessgrants"], "verbs": verbs}]}))
                .await;
            self.apply(&json!({"apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding", "metadata": {"name": user},
                "roleRef": {"apiGroup": rbac, "kind": "Role", "name": user},
                "subjects": [{"apiGroup": rbac, "kind": "User", "name": user}]}))
                .await;
        }
    }

    /// The examples as they are shipped; only the authority is the stand-in's.
    async fn policies(&self, authority: &str) {
        for file in ["application.yaml", "policy.yaml"] {
            let text = std::fs::read_to_string(helm::root().join("examples/orders").join(file)).unwrap();
            let text = text.replace("http://127.0.0.1:8080", authority);
            let object = yaml::parse(text.as_bytes()).unwrap().remove(0).body;
            self.apply(&object).await;
        }
    }

    /// A pod of the shop as its owners write it, and as it comes back.
    async fn pod(&self) -> Value {
        let pod = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "orders-0", "namespace": SHOP, "labels": {"app": "orders"}},
        "spec": {
            "serviceAccountName": "orders",
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "app", "image": "app", "securityContext": {
                "runAsUser": 1000, "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}],
        }});
        of(&self.admin).create(&pod).await.unwrap()
    }

    /// The sidecar that was put into the pod, as a process.
    async fn sidecar(&self, (pod, controller): (&Value, &str), files: &Path) -> Server {
        let typed = serde_json::from_value(pod.clone()).unwrap();
        let token = self.server.pod_token(SHOP, ("orders", &typed), &["entrance"]).await;
        std::fs::write(files.join("token"), token).unwrap();
        let init = pod["spec"]["initContainers"].as_array().unwrap();
        assert_eq!((init.len(), &init[0]["restartPolicy"]), (1, &json!("Always")), "{pod}");
        let volumes = pod["spec"]["volumes"].as_array().unwrap();
        let projected = volumes.iter().find(|volume| volume["projected"].is_object()).unwrap();
        let container = Container::of(pod, init[0]["name"].as_str().unwrap())
            .filled(&[], files)
            .mount(projected["name"].as_str().unwrap(), files)
            .address(&format!("https://entrance-controller.{SYSTEM}.svc:9193"), &format!("https://{controller}"))
            .address("127.0.0.1:9191", ANY);
        let admin = container.listening("0.0.0.0:");
        started(&container.address(&admin, ANY), "ext_authz").await
    }
}

/// A real Envoy before the sidecar, and an API that keeps what reaches it.
struct Edge {
    envoy: Envoy,
    upstream: Upstream,
    emulator: Emulator,
}

impl Edge {
    /// The outcome of a request of the user `bob` of the stand-in, whose role is to read.
    async fn outcome(&self, method: &'static str, path: &str) -> String {
        let order = MintRequest { user: Some("bob".into()), ..MintRequest::default() };
        let ask = Ask { probe: probe(), ..Ask::new(method, HOST, path).bearer(&self.emulator.mint(&order).unwrap()) };
        let outcome = http1(self.envoy.address, &ask).await.outcome();
        let reached = self.upstream.received(&ask.probe).len();
        assert_eq!(reached, usize::from(outcome == "200"), "{outcome} for {ask:?}");
        outcome
    }

    async fn becomes(&self, (method, path): (&'static str, &str), wanted: &str) {
        until(wanted, async || (self.outcome(method, path).await == wanted).then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn installed_labelled_applied_injected_enforced_lent_and_removed() {
    let cluster = Cluster::start().await;
    let webhook_at = port().to_string();
    let values = format!("webhook.url=https://{webhook_at}");
    let release = Release::install(cluster.server, SYSTEM, &values).await;
    release.helm.prints(&["install", "entrance-crds", "charts/entrance-crds", "--take-ownership"]);
    let container = release.container("webhook").await.address("0.0.0.0:9443", &webhook_at);
    let webhook = started(&container, "webhook").await;
    let container = release.container("controller").await.address("0.0.0.0:9193", ANY);
    let controller = started(&container, "xds").await;
    let Listen::Tcp(controller_at) = &controller.listen else { panic!("{:?}", controller.listen) };

    cluster.shop().await;
    let emulator = Emulator::start(emulator::Options { listen: port(), ..Default::default() }).await.unwrap();
    asked(&cluster).await;
    cluster.policies(emulator.base_url()).await;
    let pod = cluster.pod().await;
    let files = scratch("sidecar");
    let sidecar = cluster.sidecar((&pod, &controller_at.to_string()), &files).await;

    let upstream = Upstream::start().await;
    let Listen::Tcp(sidecar_at) = &sidecar.listen else { panic!("{:?}", sidecar.listen) };
    let bootstrap = Bootstrap::tcp(&sidecar_at.to_string()).patient().upstream(upstream.address);
    let edge = Edge { envoy: Envoy::start(bootstrap, &scratch("edge")).await, upstream, emulator };
    edge.becomes(("GET", "/orders/7"), "200").await;
    assert_eq!(edge.outcome("POST", "/orders").await, "403 role_missing");
    lent(&cluster, &edge).await;

    drop((webhook, controller, sidecar));
    removed(&cluster, &release).await;
}

/// Waits until the API server asks the webhook: nothing invalid gets in then, and until then nothing at all.
async fn asked(cluster: &Cluster) {
    let broken = policy(json!({"routes": [{"name": "a", "path": "/a/%2e", "anonymous": true}]}));
    until("the webhook refuses", async || {
        let refused = of(&cluster.admin).create(&broken).await.unwrap_err();
        let away = refused.contains("failed calling webhook");
        assert!(away || refused.contains("spec.routes[0].path"), "{refused}");
        (!away).then_some(())
    })
    .await;
}

fn policy(more: Value) -> Value {
    let mut spec = json!({"applicationRef": {"name": "orders-api"}, "hosts": ["other.example.com"], "routes": []});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"apiVersion": "entrance.dev/v1alpha1", "kind": "AccessPolicy", "metadata": {"name": "other"}, "spec": spec})
}

/// `ada` asks for a role for the stand-in's `bob`; she cannot approve it herself; `bob` of the cluster can.
async fn lent(cluster: &Cluster, edge: &Edge) {
    let end = Timestamp::from_second(Timestamp::now().as_second() + 3600).unwrap().to_string();
    let grant = json!({"apiVersion": "entrance.dev/v1alpha1", "kind": "AccessGrant", "metadata": {"name": "bob"}, "spec": {
        "policyRef": {"name": "orders"}, "subject": {"tenant": "contoso", "oid": defaults::BOB},
        "roles": ["Orders.Admin"], "expiresAt": end, "reason": "INC-1234"}});
    let made = of(&cluster.ada).create(&grant).await.unwrap();
    assert_eq!(made["spec"]["requestedBy"]["username"], "ada", "{made}");
    assert_eq!(edge.outcome("POST", "/orders").await, "403 role_missing");
    let approve = json!({"spec": {"approved": true}});
    let refused = of(&cluster.ada).merge(&grant, ("", &approve)).await.unwrap_err();
    assert!(refused.contains("another user must approve it"), "{refused}");
    let approved = of(&cluster.bob).merge(&grant, ("", &approve)).await.unwrap();
    assert_eq!(approved["spec"]["approvedBy"]["username"], "bob", "{approved}");
    edge.becomes(("POST", "/orders"), "200").await;
}

/// Nothing is left of the release, and of the definitions themselves everything.
async fn removed(cluster: &Cluster, release: &Release) {
    for (kind, name) in [("AccessGrant", "bob"), ("AccessPolicy", "orders")] {
        let object = json!({"apiVersion": "entrance.dev/v1alpha1", "kind": kind, "metadata": {"name": name}});
        of(&cluster.admin).delete(&object).await.unwrap();
    }
    release.helm.prints(&["uninstall", SYSTEM, "--namespace", SYSTEM]);
    for object in &release.installed {
        assert!(of(&cluster.admin).read(object).await.is_none(), "{} is left", object["metadata"]["name"]);
    }
    let plain = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "orders-1", "namespace": SHOP},
        "spec": {"containers": [{"name": "app", "image": "app"}]}});
    until("pods start without a webhook", async || {
        let refused = of(&cluster.admin).create(&plain).await.unwrap_err();
        // What remains is the namespace's own profile.
        refused.contains("violates PodSecurity").then_some(())
    })
    .await;
}
