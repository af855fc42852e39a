//! The copy of a cluster's resources is the same however the API server lists them: by watching, or in pages where it
//! refuses that or knows nothing of it. Nothing is kept that policy does not need.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

#[path = "support/api_server.rs"]
#[expect(dead_code, reason = "not every test needs all of it")]
mod api_server;
#[path = "support/free_port.rs"]
mod free_port;
#[path = "support/gateway_api.rs"]
mod gateway_api;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use entrance::api::object::{Kind, Resources};
use entrance::clock::SystemClock;
use entrance::cluster::client::consistent;
use entrance::cluster::mirror::{self, Mirrored};
use http::Request;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::client::{Body, Client, ClientBuilder};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::util::MapRequestLayer;

use api_server::{ADMIN, ApiServer};

const DEADLINE: Duration = Duration::from_secs(60);

/// What a server makes of a list that comes as a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// It lists by watching.
    Streamed,
    /// It refuses the request.
    Refused,
    /// It ignores the wish, and never says that the list is whole.
    Ignored,
}

/// A mirror, and what it asked for.
struct Copy {
    way: Way,
    states: watch::Receiver<Mirrored>,
    asked: Arc<Mutex<Vec<String>>>,
    stop: CancellationToken,
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Copy {
    async fn start(server: &ApiServer, way: Way) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let client = client(server, (way, Arc::clone(&asked))).await;
        let stop = CancellationToken::new();
        let states = mirror::run((&client, &[]), Arc::new(SystemClock), &stop, &TaskTracker::new());
        Self { way, states, asked, stop }
    }

    /// Waits for a state.
    async fn becomes(&mut self, wanted: impl Fn(&Resources) -> bool) -> Arc<Resources> {
        let whole = |state: &Mirrored| state.resources.as_ref().is_some_and(|resources| wanted(resources));
        let found = timeout(DEADLINE, self.states.wait_for(whole)).await;
        found
            .unwrap_or_else(|_| panic!("{:?}: never so: {:?}", self.way, self.asked))
            .unwrap()
            .resources
            .clone()
            .unwrap()
    }

    /// How many lists were asked for by watching, and how many in pages.
    fn lists(&self) -> (usize, usize) {
        let asked = self.asked.lock().unwrap();
        let streamed = asked.iter().filter(|query| query.contains("sendInitialEvents"));
        (streamed.count(), asked.iter().filter(|query| !query.contains("watch=true")).count())
    }
}

/// A client whose server answers in this way: the request is spoilt underway, and the real server says what it says.
async fn client(server: &ApiServer, (way, asked): (Way, Arc<Mutex<Vec<String>>>)) -> Client {
    let read = Kubeconfig::read_from(server.kubeconfig(ADMIN)).unwrap();
    let config = kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.unwrap();
    let spoil = move |mut request: Request<Body>| {
        let uri = request.uri().to_string();
        asked.lock().unwrap().push(uri.clone());
        let spoilt = match way {
            Way::Streamed => uri,
            Way::Refused => uri.replace("resourceVersionMatch=NotOlderThan", "resourceVersionMatch=Exact"),
            // without bookmarks, too: to a watch that has them this server would say when its beginning is over
            Way::Ignored => {
                uri.replace("&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan", "")
            }
        };
        *request.uri_mut() = spoilt.parse().unwrap();
        request
    };
    let builder = ClientBuilder::try_from(config).unwrap().with_layer(&MapRequestLayer::new(spoil));
    builder.with_layer(&MapRequestLayer::new(consistent)).build()
}

async fn policies(server: &ApiServer, namespace: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("entrance.dev", "v1alpha1", "AccessPolicy");
    Api::namespaced_with(
        server.client(ADMIN).await,
        namespace,
        &ApiResource::from_gvk_with_plural(&kind, "accesspolicies"),
    )
}

async fn put(api: &Api<DynamicObject>, name: &str, host: &str) {
    let policy = json!({
        "apiVersion": "entrance.dev/v1alpha1", "kind": "AccessPolicy",
        "metadata": {"name": name, "annotations": {"note": "of no concern"}, "labels": {"team": "shop"}},
        "spec": {
            "applicationRef": {"name": "orders-api"}, "hosts": [host],
            "routes": [{"name": "all", "path": "/{*rest}", "anonymous": true}],
        },
    });
    api.patch(name, &PatchParams::apply("test").force(), &Patch::Apply(&policy)).await.unwrap();
}

fn hosts(resources: &Resources) -> Vec<String> {
    let host =
        |body: &serde_json::Map<String, Value>| body.get("spec")?.pointer("/hosts/0")?.as_str().map(str::to_owned);
    resources.of(Kind::AccessPolicy).filter_map(|object| host(&object.body())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_list_gives_the_same_and_follows_what_changes() {
    entrance::token::install_crypto().unwrap();
    let server = ApiServer::shared().await;
    let namespace = server.namespace("mirror").await;
    let api = policies(server, &namespace).await;
    let client = server.client(ADMIN).await;
    gateway_api::install(&client, "gateway-api").await;
    for object in others() {
        gateway_api::apply(&client, &namespace, object).await;
    }
    // more than one page
    for at in 0..520 {
        put(&api, &format!("p{at:03}"), &format!("p{at:03}.example.com")).await;
    }
    let mut copies = Vec::new();
    for way in [Way::Streamed, Way::Refused, Way::Ignored] {
        copies.push(Copy::start(server, way).await);
    }
    let mut states = Vec::new();
    for copy in &mut copies {
        states.push(copy.becomes(|_| true).await);
        let kinds = Kind::DECIDING.len();
        match copy.way {
            Way::Streamed => {
                let (streamed, paged) = copy.lists();
                assert!(streamed >= kinds && paged == 0, "{:?}", copy.asked);
            }
            // each kind that there is, and of one a second page
            Way::Refused | Way::Ignored => assert!(copy.lists().1 >= kinds, "{:?}", copy.asked),
        }
    }
    assert_eq!(states[0].of(Kind::AccessPolicy).count(), 520);
    assert!(states.iter().all(|state| **state == *states[0]));
    for object in states[0].of(Kind::AccessPolicy) {
        let body = object.body();
        let kept: Vec<&String> = body["metadata"].as_object().unwrap().keys().collect();
        assert_eq!(kept, ["creationTimestamp", "generation", "name", "namespace"]);
        assert!(!body.contains_key("status"));
    }
    kept(&states[0], &namespace);
    edit(&client, &namespace).await;

    put(&api, "p000", "changed.example.com").await;
    api.delete("p001", &Default::default()).await.unwrap();
    for copy in &mut copies {
        let follows = |resources: &Resources| {
            let hosts = hosts(resources);
            let routes = resources.of(Kind::HttpRoute).count();
            hosts.len() == 519 && routes == 2 && hosts.iter().any(|host| host == "changed.example.com")
        };
        let state = copy.becomes(follows).await;
        // the edited one is the same
        let route = |state: &Resources| state.of(Kind::HttpRoute).next().cloned();
        assert_eq!(route(&state), route(&states[0]));
    }
}

/// Changes of a route what does not matter here, and then makes another one.
async fn edit(client: &Client, namespace: &str) {
    let edit = json!({"spec": {"rules": [{"filters": [], "backendRefs": [{"name": "web", "port": 8080}]}]}});
    let routes = gateway_api::api(client, "HTTPRoute", namespace);
    routes.patch("web", &PatchParams::default(), &Patch::Merge(&edit)).await.unwrap();
    let [mut later, ..] = others();
    later["metadata"]["name"] = json!("zzz");
    gateway_api::apply(client, namespace, later).await;
}

/// Objects that policies may be attached to.
fn others() -> [Value; 3] {
    let group = "gateway.networking.k8s.io/v1";
    let (reference, backend) = (json!({"name": "edge", "sectionName": "http"}), json!({"name": "web", "port": 80}));
    let listener = json!({"name": "http", "port": 80, "protocol": "HTTP", "hostname": "*.example.com"});
    [
        json!({"apiVersion": group, "kind": "HTTPRoute", "metadata": {"name": "web", "labels": {"team": "shop"}}, "spec": {
            "parentRefs": [reference], "hostnames": ["web.example.com"],
            "rules": [{"backendRefs": [backend]}, {"matches": [{"path": {"value": "/x"}}], "backendRefs": [backend]}],
        }}),
        json!({"apiVersion": group, "kind": "Gateway", "metadata": {"name": "edge"}, "spec": {
            "gatewayClassName": "edge", "listeners": [listener],
        }}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "annotations": {"note": "x"}}, "spec": {
            "ports": [{"port": 80}],
        }}),
    ]
}

/// Of each of them what says which hosts lead there, and of a Service its name.
fn kept(state: &Resources, namespace: &str) {
    let body = |kind| state.of(kind).find(|object| *object.id.namespace == *namespace).unwrap().body();
    let route = body(Kind::HttpRoute);
    let spec: Vec<&String> = route["spec"].as_object().unwrap().keys().collect();
    assert_eq!(spec, ["hostnames", "parentRefs", "rules"]);
    assert_eq!(route["spec"]["hostnames"], json!(["web.example.com"]));
    let backend = json!({"group": "", "kind": "Service", "name": "web"});
    assert_eq!(route["spec"]["rules"], json!([{"backendRefs": [backend]}]));
    let listener = &body(Kind::Gateway)["spec"]["listeners"][0];
    assert_eq!((&listener["name"], &listener["hostname"]), (&json!("http"), &json!("*.example.com")));
    for kind in [Kind::HttpRoute, Kind::Gateway, Kind::Service] {
        let body = body(kind);
        let metadata: Vec<&String> = body["metadata"].as_object().unwrap().keys().collect();
        assert_eq!(metadata, ["creationTimestamp", "name", "namespace"]);
        assert!(!body.contains_key("status"));
    }
    assert!(!body(Kind::Service).contains_key("spec"));
}

#[test]
fn a_list_that_comes_as_a_watch_is_asked_for_as_of_now() {
    for (asked, sent) in [
        ("/a?&watch=true&sendInitialEvents=true&resourceVersion=0", "/a?&watch=true&sendInitialEvents=true"),
        ("/a?&watch=true&resourceVersion=0", "/a?&watch=true&resourceVersion=0"),
        ("/a?&watch=true&resourceVersion=7", "/a?&watch=true&resourceVersion=7"),
        ("/a", "/a"),
    ] {
        let request = Request::get(asked).body(Body::empty()).unwrap();
        assert_eq!(consistent(request).uri().to_string(), sent);
    }
}
