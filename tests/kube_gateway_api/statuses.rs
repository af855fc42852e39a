//! `status.ancestors` beside the entries of other controllers, who may write at the same moment.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use entrance::api::object::{Kind, ObjectId};
use entrance::api::target::Target;
use entrance::clock::UnixTime;
use entrance::cluster::conditions::Known;
use entrance::cluster::statuses::{Applied, Standing, Statuses};
use http::{Request, Response};
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::client::{Body, ClientBuilder};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersionKind;
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tower::{BoxError, Layer, Service};

use super::api_server::{ADMIN, ApiServer};
use super::scene::{Scene, condition};

fn policies(client: Client, namespace: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("entrance.dev", "v1alpha1", "AccessPolicy");
    Api::namespaced_with(client, namespace, &ApiResource::from_gvk_with_plural(&kind, "accesspolicies"))
}

async fn policy(client: Client, namespace: &str, targets: &[&str]) {
    let targets: Value = targets.iter().map(|name| json!({"group": "", "kind": "Service", "name": name})).collect();
    let body = json!({
        "apiVersion": "entrance.dev/v1alpha1", "kind": "AccessPolicy", "metadata": {"name": "web"},
        "spec": {"applicationRef": {"name": "orders-api"}, "targetRefs": targets, "routes": []},
    });
    let params = PatchParams::apply("test").force();
    policies(client, namespace).patch("web", &params, &Patch::Apply(&body)).await.unwrap();
}

fn entry(name: &str) -> Value {
    let condition = json!({
        "type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    json!({"ancestorRef": {"name": name}, "controllerName": "example.com/other", "conditions": [condition]})
}

/// Another controller writes its entries, and those of others that it read.
async fn write(api: &Api<DynamicObject>, theirs: &[Value]) {
    let now = api.get("web").await.unwrap().data["status"]["ancestors"].clone();
    let ours = now.as_array().into_iter().flatten().filter(|entry| entry["controllerName"] != "example.com/other");
    let ancestors: Value = ours.chain(theirs).cloned().collect();
    let patch = json!({"status": {"ancestors": ancestors}});
    api.patch_status("web", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
}

/// Each entry, as controller and name.
fn listed(status: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let all = status["ancestors"].as_array().into_iter().flatten();
    all.map(|entry| (text(&entry["controllerName"]), text(&entry["ancestorRef"]["name"]))).collect()
}

fn names(controller: &str, names: &[&str]) -> Vec<(String, String)> {
    names.iter().map(|name| (controller.to_owned(), (*name).to_owned())).collect()
}

const THEIRS: &str = "example.com/other";
const OURS: &str = "entrance.dev/controller";

#[tokio::test(flavor = "multi_thread")]
async fn what_others_say_of_a_policy_stays_and_a_full_list_is_told() {
    let scene = Scene::new("ancestors").await;
    scene.example().await;
    let client = scene.server.client(ADMIN).await;
    let api = policies(client.clone(), &scene.namespace);
    policy(client.clone(), &scene.namespace, &["a", "b"]).await;
    write(&api, &[entry("x"), entry("y")]).await;
    let _controller = scene.controller().await;
    let both = [names(THEIRS, &["x", "y"]), names(OURS, &["a", "b"])].concat();
    let status = scene.status("accesspolicies", "web", |status| listed(status) == both).await;
    assert_eq!([&status["ancestors"][0], &status["ancestors"][1]], [&entry("x"), &entry("y")]);
    assert_eq!(condition(&status, "Accepted")["reason"], "TargetNotFound");
    // The list is nobody's by server-side apply, so that no two fight for it.
    let fields = api.get("web").await.unwrap().metadata.managed_fields.unwrap_or_default();
    let applied = fields.iter().filter(|entry| entry.operation.as_deref() == Some("Apply"));
    let owns = |fields: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry| {
        serde_json::to_value(fields).unwrap()["fieldsV1"]["f:status"]["f:ancestors"].is_object()
    };
    assert_eq!(applied.filter(|entry| owns(entry)).count(), 0);

    // A target goes, and its entry with it; theirs stay.
    policy(client.clone(), &scene.namespace, &["b"]).await;
    let one = [names(THEIRS, &["x", "y"]), names(OURS, &["b"])].concat();
    scene.status("accesspolicies", "web", |status| listed(status) == one).await;

    // No place for more than one of ours.
    let many: Vec<Value> = (0..15).map(|at| entry(&format!("x{at}"))).collect();
    write(&api, &many).await;
    policy(client.clone(), &scene.namespace, &["b", "c"]).await;
    let full = scene
        .status("accesspolicies", "web", |status| condition(status, "AncestorsListed")["reason"] == "ListFull")
        .await;
    assert_eq!(listed(&full).len(), 16);
    assert!(listed(&full).contains(&(OURS.to_owned(), "b".to_owned())), "{full:#}");

    // There is room again, which is found with the next change.
    write(&api, &many[..3]).await;
    policy(client.clone(), &scene.namespace, &["b", "c", "d"]).await;
    let wanted = |status: &Value| {
        let ours: Vec<_> = listed(status).into_iter().filter(|(of, _)| of == OURS).collect();
        ours == names(OURS, &["b", "c", "d"]) && condition(status, "AncestorsListed").is_null()
    };
    scene.status("accesspolicies", "web", wanted).await;
}

/// Lets another controller write right before each of the first so many of our own writes.
#[derive(Clone)]
struct Rival {
    api: Api<DynamicObject>,
    left: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
}

struct Crossed<S> {
    inner: Arc<Mutex<S>>,
    rival: Rival,
}

impl<S> Layer<S> for Rival {
    type Service = Crossed<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Crossed { inner: Arc::new(Mutex::new(inner)), rival: self.clone() }
    }
}

impl Rival {
    /// Is faster, if it is to be once more.
    async fn cross(&self) {
        let next = |left: usize| left.checked_sub(1);
        if let Ok(left) = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next) {
            write(&self.api, &[entry(&format!("rival-{left}"))]).await;
        }
    }
}

type Answer<B> = Pin<Box<dyn Future<Output = Result<Response<B>, BoxError>> + Send>>;

impl<S, B> Service<Request<Body>> for Crossed<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError> + Send + 'static,
    S::Future: Send,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = Answer<B>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Answer<B> {
        let (inner, rival) = (Arc::clone(&self.inner), self.rival.clone());
        let merges = request.headers().get("content-type").is_some_and(|kind| kind == "application/merge-patch+json");
        Box::pin(async move {
            if merges {
                rival.cross().await;
            }
            let mut inner = inner.lock().await;
            poll_fn(|context| inner.poll_ready(context)).await?;
            let answer = inner.call(request).await?;
            if answer.status() == 409 {
                rival.refused.fetch_add(1, Ordering::SeqCst);
            }
            Ok(answer)
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_was_faster_is_read_again_and_kept() {
    entrance::token::install_crypto().unwrap();
    // A server of its own: the controllers of other tests attend to the policies of all namespaces, and would write too.
    let server = ApiServer::start().await;
    let namespace = server.namespace("rival").await;
    let plain = server.client(ADMIN).await;
    policy(plain.clone(), &namespace, &["a"]).await;
    let api = policies(plain, &namespace);
    let rival = Rival { api: api.clone(), left: Arc::new(AtomicUsize::new(3)), refused: Arc::default() };
    let read = Kubeconfig::read_from(server.kubeconfig(ADMIN)).unwrap();
    let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.unwrap();
    let client = ClientBuilder::try_from(config).unwrap().with_layer(&rival).build();

    let id = |kind, name: &str| ObjectId { kind, namespace: namespace.as_str().into(), name: name.into() };
    let targets = vec![Target { object: id(Kind::Service, "a"), section: None }];
    let known = Known { generation: 1, targets, ..Known::default() };
    let (before, policy) = (Standing::default(), id(Kind::AccessPolicy, "web"));
    let after = before.next(&known, UnixTime(0));
    let statuses = Statuses::new(client, "test");
    assert_eq!(statuses.apply(&policy, (&before, &after)).await.unwrap(), Applied::Stands);
    assert_eq!(rival.refused.load(Ordering::SeqCst), 3, "each time somebody was faster");
    let status = api.get("web").await.unwrap().data["status"].clone();
    assert_eq!(listed(&status), [names(THEIRS, &["rival-1"]), names(OURS, &["a"])].concat());
    assert_eq!(condition(&status, "Accepted")["status"], "True");

    // Nothing changed: nothing is written.
    let version = api.get("web").await.unwrap().metadata.resource_version;
    assert_eq!(statuses.apply(&policy, (&after, &after)).await.unwrap(), Applied::Stands);
    assert_eq!(api.get("web").await.unwrap().metadata.resource_version, version);
}
