//! gRPC behind a Gateway: GRPCRoutes as targets of an AccessPolicy and of a SecurityPolicy, calls of a real client to a real
//! server, and what Envoy makes of a refusal for such a client.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use entrance::emulator::MintRequest;
use entrance::emulator::defaults::CONTOSO;
use http::HeaderMap;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::metadata::MetadataMap;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::children::until;
use super::plane::read;
use super::private_network::{ADDRESS, inside};
use super::raw_http::{Answer, Ask, Streams};
use super::scene::{Scene, condition, gateway_policy, ours};
use super::tls::Authority;

/// The service that every gRPC server has.
const CHECK: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";

/// An API that speaks gRPC.
struct Api {
    address: SocketAddr,
    /// The metadata of each call.
    calls: Arc<Mutex<Vec<MetadataMap>>>,
}

impl Api {
    async fn start() -> Self {
        let listener = TcpListener::bind((ADDRESS, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let calls = Arc::<Mutex<Vec<MetadataMap>>>::default();
        let seen = Arc::clone(&calls);
        let seeing = move |request: Request<()>| {
            seen.lock().unwrap().push(request.metadata().clone());
            Ok(request)
        };
        let (_, health) = tonic_health::server::health_reporter();
        let server = Server::builder().add_service(InterceptedService::new(health, seeing));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Self { address, calls }
    }

    fn reached(&self) -> usize {
        self.calls.lock().unwrap().len()
    }
}

/// A scene with such an API, a GRPCRoute to it, and rules that are attached to the route.
struct Rpc {
    scene: Scene,
    api: Api,
}

fn route() -> Value {
    let mut route = read("route.yaml").remove(0);
    route["kind"] = json!("GRPCRoute");
    route["spec"]["rules"][0]["backendRefs"] = json!([{"name": "health", "port": 9000}]);
    route
}

impl Rpc {
    async fn new(name: &'static str) -> Self {
        let scene = Scene::new(name).await;
        let api = Api::start().await;
        scene.service(("shop", "health", 9000), api.address).await;
        let read = |name: &str, path: &str, role: &str| json!({"name": name, "path": path, "methods": ["POST"], "allow": [{"callers": "User", "roles": [role]}]});
        let target = json!({"group": "gateway.networking.k8s.io", "kind": "GRPCRoute", "name": "orders"});
        let routes = [read("check", CHECK, "Orders.Read"), read("watch", WATCH, "Orders.Admin")];
        scene.edit(&json!({"spec": {"hosts": null, "targetRefs": [target], "routes": routes}})).await;
        Self { scene, api }
    }

    /// A client that calls by this way.
    fn client(&self, at: SocketAddr) -> Calls<'_> {
        let origin = format!("http://{}", self.scene.host).parse().unwrap();
        let endpoint = Endpoint::from_shared(format!("http://{at}")).unwrap().origin(origin);
        Calls { endpoint, api: &self.api }
    }

    /// An answer to a call as it is on the wire.
    async fn wire(&self, at: SocketAddr, (path, kind): (&str, &str)) -> Answer {
        let before = self.api.reached();
        let ask = Ask::new("POST", &self.scene.host, path).header("content-type", kind).header("te", "trailers");
        let answer = Streams::connect(at).await.ask(&ask).await;
        assert_eq!(self.api.reached(), before, "{answer:?}");
        answer
    }
}

/// A client with a connection for each call: Envoy ends those that a change of its listener has made old.
struct Calls<'a> {
    endpoint: Endpoint,
    api: &'a Api,
}

/// A call with a token, if there is one.
fn request(token: Option<&str>) -> Request<HealthCheckRequest> {
    let mut request = Request::new(HealthCheckRequest { service: String::new() });
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    request
}

impl Calls<'_> {
    fn client(&self) -> HealthClient<Channel> {
        HealthClient::new(self.endpoint.connect_lazy())
    }

    /// One call and its one answer. What reached the API came out well, and only that.
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<(), Status> {
        let before = self.api.reached();
        let answer = self.client().check(request).await;
        assert_eq!(self.api.reached() - before, usize::from(answer.is_ok()), "{answer:?}");
        answer.map(|answer| assert_eq!(answer.into_inner().status(), ServingStatus::Serving))
    }

    /// A call whose answers are a stream: the first of them.
    async fn watch(&self, token: Option<&str>) -> Result<(), Status> {
        let before = self.api.reached();
        let first = match self.client().watch(request(token)).await {
            Ok(stream) => stream.into_inner().message().await,
            Err(status) => Err(status),
        };
        assert_eq!(self.api.reached() - before, usize::from(first.is_ok()), "{first:?}");
        first.map(|first| assert_eq!(first.unwrap().status(), ServingStatus::Serving))
    }

    /// What a client comes to see: `Ok`, or the code with the reason that Entrance gives.
    async fn outcome(&self, token: Option<&str>) -> String {
        self.check(request(token)).await.map_or_else(|status| told(&status), |()| "Ok".to_owned())
    }

    async fn becomes(&self, token: Option<&str>, outcome: &str) {
        let mut last = String::new();
        until(&format!("a call is {outcome}"), async || {
            last = self.outcome(token).await;
            (last == outcome).then_some(())
        })
        .await;
    }
}

fn told(status: &Status) -> String {
    let problem: Value = serde_json::from_str(status.message()).unwrap_or_default();
    problem["reason"]
        .as_str()
        .map_or_else(|| format!("{:?}", status.code()), |why| format!("{:?} {why}", status.code()))
}

#[test]
fn a_grpc_client_sees_the_code_of_its_refusal() {
    inside(async || {
        let rpc = Rpc::new("rpc").await;
        let scene = &rpc.scene;
        let entrance = scene.entrance().await;
        let authority = Arc::new(Authority::new());
        scene.apply(authority.secret("example-com", &["*.example.com"])).await;
        for file in ["service.yaml", "https.yaml"] {
            scene.ship(file).await;
        }
        scene.apply(route()).await;
        scene.start().await;
        let at = authority.tunnel(scene.secured(), &scene.host, "h2").await;
        let calls = rpc.client(at);
        let [ada, bob, eve] = ["ada", "bob", "eve"].map(|user| scene.token(user));
        calls.becomes(None, "Unauthenticated token_missing").await;
        calls.becomes(Some(&bob), "Ok").await;
        let reached = rpc.api.calls.lock().unwrap().last().unwrap().clone();
        assert_eq!(reached.get("x-entrance-roles").unwrap(), "Orders.Read");
        assert_eq!(calls.outcome(Some(&eve)).await, "PermissionDenied role_missing");
        assert_eq!(calls.outcome(Some("none")).await, "Unauthenticated token_malformed");
        assert_eq!(told(&calls.watch(Some(&bob)).await.unwrap_err()), "PermissionDenied role_missing");
        assert_eq!(told(&calls.watch(None).await.unwrap_err()), "Unauthenticated token_missing");
        calls.watch(Some(&ada)).await.unwrap();

        let mut overridden = request(Some(&bob));
        overridden.metadata_mut().insert("x-http-method-override", "GET".parse().unwrap());
        assert_eq!(told(&calls.check(overridden).await.unwrap_err()), "Internal method_override_refused");
        let refused = calls.check(request(None)).await.unwrap_err();
        let challenge = refused.metadata().get("www-authenticate").unwrap().to_str().unwrap();
        assert!(challenge.starts_with("Bearer"), "{challenge}");
        wire(&rpc, at).await;
        web(&rpc, (at, &bob)).await;

        let _controller = scene.controller("nobody/nobody").await;
        let attached = scene.sees(ours(), |policy| policy["status"]["ancestors"][0].is_object()).await;
        let ancestor = &attached["status"]["ancestors"][0];
        assert_eq!(ancestor["ancestorRef"]["kind"], "GRPCRoute");
        assert!(ancestor["conditions"].as_array().unwrap().iter().all(|one| one["status"] == "True"), "{ancestor:#}");
        assert_eq!(condition(&attached, "Bypassed"), None, "{:#}", attached["status"]);

        undecided(&rpc, &calls).await;
        drop(entrance);
        calls.becomes(Some(&bob), "Unavailable").await;
        assert_eq!(calls.outcome(None).await, "Unavailable");
        assert_eq!(rpc.wire(at, (CHECK, "application/grpc")).await.value("grpc-status"), "14");
    });
}

/// Entrance itself cannot tell: nobody has the keys of the issuer.
async fn undecided(rpc: &Rpc, calls: &Calls<'_>) {
    let nobody = "http://127.0.0.1:1";
    let application = json!({"apiVersion": "entrance.dev/v1alpha1", "kind": "EntraApplication",
        "metadata": {"name": "orders-api", "namespace": rpc.scene.namespace("shop")}});
    let change = json!({"spec": {"authority": nobody}});
    rpc.scene.objects().merge(&application, ("", &change)).await.unwrap();
    let set_claims = [("iss".to_owned(), format!("{nobody}/{CONTOSO}/v2.0").into())].into_iter().collect();
    let token = rpc.scene.minted(MintRequest { user: Some("bob".into()), set_claims, ..MintRequest::default() });
    calls.becomes(Some(&token), "Unavailable keys_unavailable").await;
    let status = calls.check(request(Some(&token))).await.unwrap_err();
    assert_eq!(status.metadata().get("retry-after").unwrap(), "5");
}

/// A refusal as it is written: a gRPC client has an answer that is nothing but trailers, everybody else a problem document.
async fn wire(rpc: &Rpc, at: SocketAddr) {
    for kind in ["application/grpc", "application/grpc+proto"] {
        let answer = rpc.wire(at, (CHECK, kind)).await;
        let told = (answer.status, answer.value("content-type"), answer.value("grpc-status"), answer.body.len());
        assert_eq!(told, (200, "application/grpc", "16", 0), "{answer:?}");
        assert_eq!(answer.value("cache-control"), "no-store");
    }
    for kind in ["application/grpc-web+proto", "application/grpc-web-text", "application/json", "application/grpcs"] {
        let answer = rpc.wire(at, (CHECK, kind)).await;
        assert_eq!(answer.outcome(), "401 token_missing", "{kind}");
        assert_eq!(answer.value("content-type"), "application/problem+json");
        assert!(answer.values("grpc-status").is_empty(), "{answer:?}");
    }
}

/// gRPC-Web is translated behind the check.
async fn web(rpc: &Rpc, (at, token): (SocketAddr, &str)) {
    let before = rpc.api.reached();
    let kind = "application/grpc-web+proto";
    let ask = Ask::new("POST", &rpc.scene.host, CHECK).header("content-type", kind).bearer(token);
    let empty = Bytes::from_static(&[0; 5]);
    let answer = Streams::connect(at).await.post(&ask, empty, HeaderMap::new()).await.unwrap();
    assert_eq!((answer.status, answer.value("content-type")), (200, kind), "{answer:?}");
    assert_eq!(rpc.api.reached(), before + 1);
}

#[test]
fn a_policy_of_a_grpc_route_takes_the_check_away_unless_it_merges_or_checks_itself() {
    inside(async || {
        let rpc = Rpc::new("rpcs").await;
        let scene = &rpc.scene;
        let entrance = scene.entrance().await;
        for file in ["gateway.yaml", "service.yaml"] {
            scene.ship(file).await;
        }
        scene.apply(route()).await;
        scene.start().await;
        let calls = rpc.client(scene.proxy().address);
        let bob = scene.token("bob");
        calls.becomes(None, "Unauthenticated token_missing").await;
        let of_route = |file: &str| {
            let mut policy = read(file).remove(0);
            policy["spec"]["targetRefs"][0]["kind"] = json!("GRPCRoute");
            policy
        };
        let mut bare = of_route("route-policy.yaml");
        bare["spec"].as_object_mut().unwrap().remove("mergeType");
        scene.apply(bare).await;
        calls.becomes(None, "Ok").await;
        let _controller = scene.controller("nobody/nobody").await;
        let told = |policy: &Value| condition(policy, "Bypassed").cloned();
        let bypassed = scene.sees(ours(), |policy| told(policy).is_some()).await;
        let message = told(&bypassed).unwrap()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(&format!("by GRPCRoute {}/orders, since", scene.namespace("shop"))), "{message}");
        assert_eq!(scene.unprotected().await.len(), 1);

        scene.apply(of_route("route-policy.yaml")).await;
        calls.becomes(None, "Unauthenticated token_missing").await;
        scene.sees(ours(), |policy| condition(policy, "Accepted").is_some() && told(policy).is_none()).await;
        assert_eq!(scene.unprotected().await, Vec::<String>::new());

        // a check of its own, which does without that of the Gateway
        scene.apply(read("named.yaml").remove(1)).await;
        scene.apply(of_route("named.yaml")).await;
        scene.delete(gateway_policy(|_| {})).await;
        let mut elsewhere = of_route("named.yaml");
        elsewhere["spec"]["extAuth"]["contextExtensions"][0]["value"] = json!("shop/nobody");
        scene.apply(elsewhere).await;
        calls.becomes(Some(&bob), "PermissionDenied scope_unknown").await;
        let mut lax = of_route("named.yaml");
        lax["spec"]["extAuth"].as_object_mut().unwrap().remove("statusOnError");
        scene.apply(lax).await;
        calls.becomes(Some(&bob), "Ok").await;
        assert_eq!(calls.outcome(None).await, "Unauthenticated token_missing");
        // an outage reads as a refusal, unless `statusOnError` says otherwise
        drop(entrance);
        calls.becomes(Some(&bob), "PermissionDenied").await;
        scene.apply(of_route("named.yaml")).await;
        calls.becomes(Some(&bob), "Unavailable").await;
    });
}
