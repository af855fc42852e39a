//! The cluster: an application, a policy that opens and shuts, and thousands that stand.

use std::time::Duration;

use entrance::clock::Stopwatch;
use entrance::emulator::{self, Emulator, defaults};
use futures_util::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::api_server::{ADMIN, ApiServer};
use crate::rbac;
use crate::running::Running;

const SYSTEM: &str = "entrance";
const HOST: &str = "bench.example.com";
const ROUTES: usize = 10;
/// Policies of one namespace.
pub(crate) const SHARE: usize = 200;
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct Cluster {
    server: ApiServer,
    admin: Client,
    emulator: Emulator,
    namespace: String,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        let server = ApiServer::start().await;
        let admin = server.client(ADMIN).await;
        rbac::apply(&admin).await;
        let namespace = server.namespace("bench").await;
        let emulator = Emulator::start(emulator::Options::default()).await.unwrap();
        let cluster = Self { server, admin, emulator, namespace };
        cluster.pod().await;
        cluster.application(&cluster.namespace).await;
        cluster.put("bench", policy(HOST, true)).await;
        cluster
    }

    async fn pod(&self) {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.admin.clone(), &self.namespace);
        let account = serde_json::from_value(json!({"metadata": {"name": "default"}})).unwrap();
        accounts.create(&PostParams::default(), &account).await.unwrap();
        let pods: Api<Pod> = Api::namespaced(self.admin.clone(), &self.namespace);
        let pod = json!({
            "metadata": {"name": "app", "labels": {"app": "bench"}},
            "spec": {"containers": [{"name": "app", "image": "app"}], "serviceAccountName": "default"},
        });
        pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    }

    /// A token that is bound to the pod.
    pub(crate) async fn token(&self) -> String {
        let pods: Api<Pod> = Api::namespaced(self.admin.clone(), &self.namespace);
        let pod = pods.get("app").await.unwrap();
        self.server.pod_token(&self.namespace, ("default", &pod), &["entrance"]).await
    }

    pub(crate) async fn controller(&self) -> Running {
        let token = self.server.account_token(SYSTEM, "entrance-controller", &[]).await;
        let kubeconfig = self.server.kubeconfig(&token);
        Running::start(("controller", "xds"), &["--kubeconfig", kubeconfig.to_str().unwrap()], None).await
    }

    pub(crate) async fn sidecar(&self, controller: &Running) -> Running {
        let kept = tempfile::tempdir().unwrap();
        let (token, state) = (kept.path().join("token"), kept.path().to_str().unwrap().to_owned());
        std::fs::write(&token, self.token().await).unwrap();
        let url = format!("http://{}", controller.listen);
        let flags = ["--controller", &url, "--controller-token", token.to_str().unwrap(), "--audit", "off"];
        Running::start(("serve", "ext_authz"), &[&flags[..], &["--state", &state]].concat(), Some(kept)).await
    }

    fn api(&self, (kind, plural): (&str, &str), namespace: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("entrance.dev", "v1alpha1", kind);
        Api::namespaced_with(self.admin.clone(), namespace, &ApiResource::from_gvk_with_plural(&kind, plural))
    }

    fn policies(&self, namespace: &str) -> Api<DynamicObject> {
        self.api(("AccessPolicy", "accesspolicies"), namespace)
    }

    async fn application(&self, namespace: &str) {
        let body = json!({
            "apiVersion": "entrance.dev/v1alpha1", "kind": "EntraApplication", "metadata": {"name": "app"},
            "spec": {
                "authority": self.emulator.base_url(), "tenants": [{"id": defaults::CONTOSO, "name": "contoso"}], "clientId": defaults::ORDERS_API,
            },
        });
        let api = self.api(("EntraApplication", "entraapplications"), namespace);
        api.patch("app", &PatchParams::apply("bench"), &Patch::Apply(&body)).await.unwrap();
    }

    async fn put(&self, name: &str, spec: Value) {
        apply(&self.policies(&self.namespace), name, spec).await;
    }

    /// Opens or shuts, and how long until a server decides by it.
    pub(crate) async fn change(&self, server: &Running, shut: bool) -> Duration {
        let wanted = if shut { 401 } else { 200 };
        let watch = Stopwatch::start();
        self.put("bench", policy(HOST, !shut)).await;
        let enforced = async {
            while server.asks(HOST).await != wanted {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(DEADLINE, enforced).await.unwrap();
        watch.elapsed()
    }

    /// Waits until the status says that the newest generation holds.
    pub(crate) async fn programmed(&self) {
        let api = self.policies(&self.namespace);
        let holds = async {
            loop {
                let policy = api.get("bench").await.unwrap();
                let generation = policy.metadata.generation.unwrap();
                let message = format!("data planes at generation {generation}");
                let conditions = policy.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
                let holds = |one: &Value| {
                    one["type"] == "Programmed"
                        && one["status"] == "True"
                        && one["message"].as_str().is_some_and(|text| text.ends_with(&message))
                };
                if conditions.iter().any(holds) {
                    return;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(DEADLINE, holds).await.unwrap();
    }

    /// Many policies, in namespaces of [`SHARE`] each; the first one's are beside the policy that changes.
    pub(crate) async fn populate(&self, policies: usize) {
        for share in 0..policies / SHARE {
            let namespace = match share {
                0 => self.namespace.clone(),
                _ => self.server.namespace("share").await,
            };
            self.application(&namespace).await;
            let api = self.policies(&namespace);
            let all = stream::iter(0..SHARE).map(|at| {
                let api = api.clone();
                async move { apply(&api, &format!("p{at}"), policy(&format!("h{at}.s{share}.example.com"), true)).await }
            });
            all.buffer_unordered(16).collect::<Vec<()>>().await;
        }
    }

    /// How long it takes to list all policies in pages, when nobody does anything with them.
    pub(crate) async fn list(&self) -> Duration {
        let (watch, mut more) = (Stopwatch::start(), String::new());
        loop {
            let at = format!("/apis/entrance.dev/v1alpha1/accesspolicies?limit=500{more}");
            let request = http::Request::get(at).body(Vec::new()).unwrap();
            let page = self.admin.request_text(request).await.unwrap();
            // the text alone: to read it is not the API server's part
            let token = page.split_once(r#""continue":""#).and_then(|(_, rest)| rest.split_once('"'));
            match token.map(|(token, _)| token).filter(|token| !token.is_empty()) {
                Some(token) => more = format!("&continue={token}"),
                None => return watch.elapsed(),
            }
        }
    }
}

async fn apply(api: &Api<DynamicObject>, name: &str, spec: Value) {
    let body = json!({
        "apiVersion": "entrance.dev/v1alpha1", "kind": "AccessPolicy", "metadata": {"name": name}, "spec": spec,
    });
    let params = PatchParams::apply("bench").force();
    let applied = api.patch(name, &params, &Patch::Apply(&body)).await.unwrap();
    assert_eq!(applied.name_any(), name);
}

/// Everybody may, or whoever has a role.
fn policy(host: &str, open: bool) -> Value {
    let access = |route: &mut Value| match open {
        true => route["anonymous"] = json!(true),
        false => route["allow"] = json!([{"roles": ["Orders.Read"], "callers": "User"}]),
    };
    let mut routes: Vec<Value> = (0..ROUTES)
        .map(|at| json!({"name": format!("r{at}"), "path": format!("/r{at}/{{id}}"), "methods": ["GET"]}))
        .collect();
    routes.iter_mut().for_each(access);
    json!({"applicationRef": {"name": "app"}, "hosts": [host], "routes": routes})
}
