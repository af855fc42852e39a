//! A namespace of a real API server with the example in it, and our processes under accounts that may do no more than
//! they need.

use std::sync::Mutex;
use std::time::Duration;

use entrance::emulator::{self, Emulator, MintRequest};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::api_server::{ADMIN, ApiServer};
use super::rbac;
use super::server::{Server, ask_of};

/// A lease of a killed leader takes 15 s to end.
pub(crate) const DEADLINE: Duration = Duration::from_secs(90);

pub(crate) struct Scene {
    pub(crate) server: &'static ApiServer,
    pub(crate) namespace: String,
    /// The host of its policy: a host belongs to one namespace.
    host: String,
    emulator: std::sync::Arc<Emulator>,
    /// Another way to the API server for our processes.
    pub(crate) by: Option<String>,
    /// The last token of the pod: it still has that while the API server is away.
    kept: Mutex<String>,
}

/// A process, and the directory with its token.
pub(crate) struct Running {
    server: Server,
    host: String,
    _token: Option<tempfile::TempDir>,
}

pub(crate) fn in_seconds(seconds: i64) -> String {
    at(Timestamp::now().as_second().saturating_add(seconds))
}

/// A second as resources spell it.
pub(crate) fn at(second: i64) -> String {
    Timestamp::from_second(second).unwrap().to_string()
}

/// A condition of a status, or null.
pub(crate) fn condition<'s>(status: &'s Value, kind: &str) -> &'s Value {
    let all = status["conditions"].as_array();
    all.into_iter().flatten().find(|condition| condition["type"] == kind).unwrap_or(&Value::Null)
}

fn resource(plural: &str, kind: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("entrance.dev", "v1alpha1", kind), plural)
}

fn plural(kind: &str) -> &'static str {
    match kind {
        "EntraApplication" => "entraapplications",
        "AccessPolicy" => "accesspolicies",
        "AccessGrant" => "accessgrants",
        "TokenRevocation" => "tokenrevocations",
        other => panic!("{other}"),
    }
}

impl Scene {
    /// A namespace of the server that all tests share.
    pub(crate) async fn new(prefix: &str) -> Self {
        entrance::token::install_crypto().unwrap();
        Self::on(ApiServer::shared().await, prefix).await
    }

    /// A server that nobody else minds losing.
    pub(crate) async fn alone(prefix: &str) -> Self {
        entrance::token::install_crypto().unwrap();
        let server: &'static ApiServer = Box::leak(Box::new(ApiServer::start().await));
        Self::on(server, prefix).await
    }

    async fn on(server: &'static ApiServer, prefix: &str) -> Self {
        let emulator = std::sync::Arc::new(Emulator::start(emulator::Options::default()).await.unwrap());
        let namespace = server.namespace(prefix).await;
        let scene = Self {
            server,
            host: format!("{namespace}.example.com"),
            namespace,
            emulator,
            by: None,
            kept: Mutex::default(),
        };
        scene.accounts().await;
        scene
    }

    /// Another namespace that claims the same host.
    pub(crate) async fn elsewhere(&self, prefix: &str) -> Self {
        let namespace = self.server.namespace(prefix).await;
        let scene = Self {
            server: self.server,
            namespace,
            host: self.host.clone(),
            emulator: std::sync::Arc::clone(&self.emulator),
            by: self.by.clone(),
            kept: Mutex::default(),
        };
        scene.pods_account().await;
        scene
    }

    /// The accounts of our processes with the roles that we ship, and that of the pods, which has none.
    async fn accounts(&self) {
        rbac::apply_in(&self.server.client(ADMIN).await, &self.namespace).await;
        self.pods_account().await;
    }

    async fn pods_account(&self) {
        self.create("", ("ServiceAccount", "serviceaccounts"), json!({"metadata": {"name": "default"}})).await;
    }

    async fn create(&self, group: &str, (kind, plural): (&str, &str), body: Value) -> DynamicObject {
        let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1", kind), plural);
        let client = self.server.client(ADMIN).await;
        let api: Api<DynamicObject> = Api::namespaced_with(client, &self.namespace, &resource);
        let mut object: DynamicObject = serde_json::from_value(body).unwrap();
        object.types = Some(kube::core::TypeMeta { api_version: resource.api_version.clone(), kind: kind.to_owned() });
        api.create(&PostParams::default(), &object).await.unwrap()
    }

    async fn ours(&self, plural: &str, kind: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.server.client(ADMIN).await, &self.namespace, &resource(plural, kind))
    }

    /// Applies the example, with the stand-in as its authority.
    pub(crate) async fn example(&self) {
        let authority = self.emulator.base_url();
        self.apply(json!({"kind": "EntraApplication", "metadata": {"name": "orders-api"}, "spec": {
            "authority": authority, "tenants": [{"id": emulator::defaults::CONTOSO, "name": "contoso"}],
            "clientId": emulator::defaults::ORDERS_API, "audiences": ["api://orders"],
        }}))
        .await;
        let allow = |role: &str| json!([{"callers": "User", "roles": [role]}]);
        self.apply(json!({"kind": "AccessPolicy", "metadata": {"name": "orders"}, "spec": {
            "applicationRef": {"name": "orders-api"}, "hosts": [self.host],
            "routes": [
                {"name": "read", "path": "/orders/{id}", "methods": ["GET"], "allow": allow("Orders.Read")},
                {"name": "write", "path": "/orders", "methods": ["POST"], "allow": allow("Orders.Admin")},
            ],
        }}))
        .await;
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// A host of its own, of a policy that lets everybody in.
    pub(crate) fn open_host(&self) -> String {
        format!("open.{}", self.host)
    }

    pub(crate) async fn open(&self, name: &str) {
        self.open_at(name, &self.open_host()).await;
    }

    pub(crate) async fn open_at(&self, name: &str, host: &str) {
        self.apply(json!({"kind": "AccessPolicy", "metadata": {"name": name}, "spec": {
            "applicationRef": {"name": "orders-api"}, "hosts": [host],
            "routes": [{"name": "all", "path": "/{*rest}", "anonymous": true}],
        }}))
        .await;
    }

    pub(crate) async fn apply(&self, mut body: Value) {
        body["apiVersion"] = json!("entrance.dev/v1alpha1");
        let (kind, name) = (body["kind"].as_str().unwrap(), body["metadata"]["name"].as_str().unwrap());
        let api = self.ours(plural(kind), kind).await;
        api.patch(name, &PatchParams::apply("test").force(), &Patch::Apply(&body)).await.unwrap();
    }

    pub(crate) async fn patch(&self, policy: &str, patch: Value) {
        let api = self.ours("accesspolicies", "AccessPolicy").await;
        api.patch(policy, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    }

    pub(crate) async fn delete(&self, policy: &str) {
        self.delete_of("AccessPolicy", policy).await;
    }

    pub(crate) async fn delete_of(&self, kind: &str, name: &str) {
        self.ours(plural(kind), kind).await.delete(name, &Default::default()).await.unwrap();
    }

    /// Waits until a status is as wanted.
    pub(crate) async fn status(&self, plural: &str, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let api = self.ours(plural, "Any").await;
        let mut last = Value::Null;
        let wait = async {
            loop {
                last = api.get(name).await.unwrap().data["status"].clone();
                if wanted(&last) {
                    return last.clone();
                }
                sleep(Duration::from_millis(50)).await;
            }
        };
        let found = timeout(DEADLINE, wait).await;
        found.unwrap_or_else(|_| panic!("{plural} {name}: never so: {last:#}"))
    }

    /// Waits for an event about an object.
    pub(crate) async fn event(&self, name: &str, reason: &str) {
        let resource =
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("events.k8s.io", "v1", "Event"), "events");
        let api: Api<DynamicObject> = Api::namespaced_with(self.server.client(ADMIN).await, &self.namespace, &resource);
        let wait = async {
            loop {
                let all = api.list(&ListParams::default()).await.unwrap();
                if all
                    .items
                    .iter()
                    .any(|event| event.data["regarding"]["name"] == name && event.data["reason"] == reason)
                {
                    return;
                }
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("no event {reason} about {name}"));
    }

    /// Waits for the next second: objects are told apart by the second in which they were made.
    pub(crate) async fn tick(&self) {
        let now = in_seconds(0);
        while in_seconds(0) == now {
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn token(&self, order: Value) -> String {
        let order: MintRequest = serde_json::from_value(order).unwrap();
        self.emulator.mint(&order).unwrap()
    }

    async fn kubeconfig(&self, account: &str) -> String {
        let token = self.server.account_token(&self.namespace, account, &[]).await;
        let by = self.by.as_deref().unwrap_or(&self.server.url);
        self.server.kubeconfig_by(by, &token).to_str().unwrap().to_owned()
    }

    /// A shared gateway that watches the API server.
    pub(crate) async fn gateway(&self) -> Running {
        self.gateway_with(&[]).await
    }

    pub(crate) async fn gateway_with(&self, more: &[&str]) -> Running {
        let kubeconfig = self.kubeconfig("entrance-gateway").await;
        Running {
            server: Server::serve(&[&["--kube", "--kubeconfig", &kubeconfig], more].concat()).await,
            host: self.host.clone(),
            _token: None,
        }
    }

    pub(crate) async fn controller(&self) -> Running {
        self.controller_at("127.0.0.1:0").await
    }

    pub(crate) async fn controller_at(&self, address: &str) -> Running {
        self.controller_with(&["--listen", address]).await
    }

    pub(crate) async fn controller_with(&self, more: &[&str]) -> Running {
        let kubeconfig = self.kubeconfig("entrance-controller").await;
        let gateway = format!("{}/entrance-gateway", self.namespace);
        let flags = ["--kubeconfig", &kubeconfig, "--lease-namespace", &self.namespace, "--gateway", &gateway];
        let server = Server::run("controller", &[&flags, more].concat(), "xds").await;
        let running = Running { server, host: self.host.clone(), _token: None };
        running.says("kubernetes", "in sync").await;
        running
    }

    /// A shared gateway that a controller feeds.
    pub(crate) async fn fed_gateway(&self, controller: &Running) -> Running {
        let token = self.server.account_token(&self.namespace, "entrance-gateway", &["entrance"]).await;
        self.fed(&controller.address(), &token, &[]).await
    }

    pub(crate) async fn sidecar(&self, controller: &Running, more: &[&str]) -> Running {
        self.pod().await;
        self.sidecar_at(&controller.address(), more).await
    }

    /// A sidecar with a token that is bound to its pod.
    pub(crate) async fn sidecar_at(&self, address: &str, more: &[&str]) -> Running {
        if let Some(token) = self.pod_token().await {
            *self.kept.lock().unwrap() = token;
        }
        let token = self.kept.lock().unwrap().clone();
        self.fed(address, &token, more).await
    }

    async fn fed(&self, address: &str, token: &str, more: &[&str]) -> Running {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        std::fs::write(&file, token).unwrap();
        let url = format!("http://{address}");
        let flags = ["--controller", &url, "--controller-token", file.to_str().unwrap()];
        let server = Server::serve(&[&flags, more].concat()).await;
        Running { server, host: self.host.clone(), _token: Some(directory) }
    }

    async fn pod(&self) {
        let body = json!({
            "metadata": {"name": "orders", "labels": {"app": "orders"}},
            "spec": {"containers": [{"name": "app", "image": "app"}], "serviceAccountName": "default"},
        });
        self.create("", ("Pod", "pods"), body).await;
    }

    async fn pod_token(&self) -> Option<String> {
        let client = self.server.client(ADMIN).await;
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"audiences": ["entrance"], "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "orders"}},
        });
        let uri = format!("/api/v1/namespaces/{}/serviceaccounts/default/token", self.namespace);
        let request =
            http::Request::post(uri).header("content-type", "application/json").body(request.to_string().into_bytes());
        let answer: Value = timeout(DEADLINE, client.request(request.unwrap())).await.ok()?.ok()?;
        Some(answer["status"]["token"].as_str().unwrap().to_owned())
    }
}

impl Running {
    pub(crate) fn address(&self) -> String {
        self.server.listen.to_string()
    }

    /// Waits until a request is answered so.
    pub(crate) async fn decides(&self, request: (&str, &str), token: &str, status: i32) {
        self.comes_to((&self.host, request), token, status).await;
    }

    /// Waits until a request to any host is answered so.
    pub(crate) async fn comes_to(&self, (host, request): (&str, (&str, &str)), token: &str, status: i32) {
        let channel = self.server.channel().await;
        let mut last = (0, String::new());
        let wait = async {
            loop {
                last = ask_of(&channel, (host, request), Some(token)).await;
                if last.0 == status {
                    return;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        if timeout(DEADLINE, wait).await.is_err() {
            panic!("{request:?}: never {status}, but {last:?}; {:#}", self.server.ready().await.1);
        }
    }

    /// The answer to one request to any host.
    pub(crate) async fn answers(&self, (host, request): (&str, (&str, &str)), token: Option<&str>) -> i32 {
        ask_of(&self.server.channel().await, (host, request), token).await.0
    }

    /// Waits for a line of the log.
    pub(crate) async fn logged(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        self.server.logged(wanted).await
    }

    /// Every one of many requests is answered so.
    pub(crate) async fn always(&self, request: (&str, &str), token: &str, status: i32) {
        let channel = self.server.channel().await;
        for _ in 0..500 {
            assert_eq!(ask_of(&channel, (&self.host, request), Some(token)).await.0, status, "{request:?}");
        }
    }

    /// Waits until a condition of readiness says so.
    pub(crate) async fn says(&self, name: &str, part: &str) {
        let said = |condition: &Value| {
            condition["name"] == name && condition["message"].as_str().is_some_and(|message| message.contains(part))
        };
        let mut last = Value::Null;
        let wait = async {
            loop {
                last = self.server.ready().await.1;
                if last["conditions"].as_array().unwrap().iter().any(said) {
                    return;
                }
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("{name} never said `{part}`: {last:#}"));
    }
}
