//! A Gateway with its Envoy, an Entrance that watches the API server, an API, and the example that is put in between.
//!
//! The files of `examples/envoy-gateway` are applied as they stand, but for what two of them in one cluster could not share:
//! the namespaces `edge`, `entrance` and `shop`, the host, ports, and a timeout that a busy machine cannot meet.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use entrance::emulator::MintRequest;
use entrance::files::yaml;
use kube::Client;
use serde_json::{Value, json};

use super::api_server::ADMIN;
use super::children::{LIMIT, port, scratch, until};
use super::envoy_process::text;
use super::objects::Objects;
use super::plane::{self, Plane, read};
use super::private_network::ADDRESS;
use super::program::{Ran, run};
use super::proxy::Proxy;
use super::raw_http::{Answer, Ask, http1, probe};
use super::rbac;
use super::server::Server;
use super::upstream::Upstream;

const ORDERS: [&str; 2] =
    [include_str!("../../examples/orders/application.yaml"), include_str!("../../examples/orders/policy.yaml")];

/// All of one test.
pub(crate) struct Scene {
    pub(crate) plane: &'static Plane,
    name: &'static str,
    client: Client,
    pub(crate) host: String,
    /// The port of the Gateway's listener.
    listener: u16,
    /// That of its listeners for TLS.
    secure: u16,
    /// Where Entrance is asked.
    authorizer: String,
    /// Where it is asked instead, if it is a sidecar.
    pub(crate) socket: String,
    kubeconfig: String,
    pub(crate) upstream: Upstream,
    proxy: OnceLock<Proxy>,
}

impl Scene {
    /// Namespaces with Entrance's policies and the Services, and nothing of the Gateway yet.
    pub(crate) async fn new(name: &'static str) -> Self {
        let plane = Plane::shared().await;
        let client = plane.server.client(ADMIN).await;
        let upstream = Upstream::start_on(ADDRESS).await;
        let mut scene = Self {
            plane,
            name,
            client,
            host: format!("{name}.example.com"),
            listener: port().port(),
            secure: port().port(),
            authorizer: format!("{ADDRESS}:{}", port().port()),
            socket: scratch("socket").join("authz.sock").display().to_string(),
            kubeconfig: String::new(),
            upstream,
            proxy: OnceLock::new(),
        };
        for namespace in ["edge", "entrance", "shop"] {
            scene
                .apply(
                    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": scene.namespace(namespace)}}),
                )
                .await;
        }
        rbac::apply_in(&scene.client, &scene.namespace("entrance")).await;
        let token = plane.server.account_token(&scene.namespace("entrance"), "entrance-gateway", &[]).await;
        scene.kubeconfig = plane.server.kubeconfig(&token).display().to_string();
        scene.policies().await;
        let authorizer = scene.authorizer.parse().unwrap();
        scene.service(("entrance", "entrance-gateway", 9191), authorizer).await;
        scene.service(("shop", "orders", 8000), scene.upstream.address).await;
        scene
    }

    /// The same with a Gateway that the file `policy` protects, a route, and a running Envoy; it answers as it should.
    pub(crate) async fn protected(name: &'static str) -> (Self, Server) {
        let scene = Self::new(name).await;
        let entrance = scene.entrance().await;
        for file in ["gateway.yaml", "service.yaml", "route.yaml"] {
            scene.ship(file).await;
        }
        scene.start().await;
        scene.becomes(&scene.read(), "401 token_missing").await;
        (scene, entrance)
    }

    /// A namespace of the examples, as it is called here.
    pub(crate) fn namespace(&self, of: &str) -> String {
        format!("{}-{of}", self.name)
    }

    async fn policies(&self) {
        for text in ORDERS {
            let text = text.replace("http://127.0.0.1:8080", self.plane.emulator.base_url());
            self.apply(yaml::parse(text.as_bytes()).unwrap().remove(0).body).await;
        }
    }

    /// A Service, and where a controller would say that its pods are.
    pub(crate) async fn service(&self, (namespace, name, port): (&str, &str, u16), at: SocketAddr) {
        let protocol = if port == 8000 { "http" } else { "grpc" };
        let metadata = json!({"name": name, "namespace": namespace, "labels": {"kubernetes.io/service-name": name}});
        let ports = json!([{"name": protocol, "port": port, "appProtocol": protocol}]);
        self.apply(json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": ports}}))
            .await;
        self.apply(json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata,
            "addressType": "IPv4", "ports": [{"name": protocol, "port": at.port()}],
            "endpoints": [{"addresses": [at.ip()], "conditions": {"ready": true}}]}))
            .await;
    }

    /// Applies an object with the names that it has here.
    pub(crate) async fn apply(&self, mut object: Value) {
        self.here(&mut object);
        plane::apply(&self.objects(), &object).await;
    }

    /// What the API server says to an object, which it does not keep.
    pub(crate) async fn dry_run(&self, object: &Value) -> Result<Value, String> {
        let mut object = object.clone();
        self.here(&mut object);
        Objects { dry_run: true, ..self.objects() }.apply(&object).await
    }

    /// Changes the policy of the shop.
    pub(crate) async fn edit(&self, change: &Value) {
        let policy = json!({"apiVersion": "entrance.dev/v1alpha1", "kind": "AccessPolicy", "metadata": {
            "name": "orders", "namespace": self.namespace("shop")}});
        self.objects().merge(&policy, ("", change)).await.unwrap();
    }

    /// Deletes it.
    pub(crate) async fn delete(&self, mut object: Value) {
        self.here(&mut object);
        self.objects().delete(&object).await.unwrap();
    }

    /// Applies a file of the examples.
    pub(crate) async fn ship(&self, file: &str) {
        for object in read(file) {
            self.apply(object).await;
        }
    }

    /// A route for every host: one that no route names would be answered by Envoy.
    pub(crate) async fn route_every_host(&self) {
        let mut route = read("route.yaml").remove(0);
        route["spec"].as_object_mut().unwrap().remove("hostnames");
        self.apply(route).await;
    }

    /// Waits until an object is as wanted.
    pub(crate) async fn sees(&self, mut object: Value, wanted: impl Fn(&Value) -> bool) -> Value {
        self.here(&mut object);
        let mut last = None;
        let wait = async {
            loop {
                last = self.objects().read(&object).await;
                if let Some(found) = last.as_ref().filter(|found| wanted(found)) {
                    return found.clone();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(LIMIT, wait)
            .await
            .unwrap_or_else(|_| panic!("never so: {object} {:#}", last.unwrap()["status"]))
    }

    pub(crate) fn objects(&self) -> Objects<'_> {
        Objects { client: &self.client, namespace: "", manager: "test", dry_run: false }
    }

    fn here(&self, value: &mut Value) {
        match value {
            Value::Object(members) => {
                for (key, value) in members {
                    match (key.as_str(), value.as_str()) {
                        ("namespace", Some(name @ ("edge" | "entrance" | "shop"))) => {
                            *value = json!(self.namespace(name))
                        }
                        ("timeout", Some(_)) => *value = json!("10s"),
                        ("path", Some("/run/entrance/authz.sock")) => *value = json!(self.socket),
                        ("port", None) if *value == 80 => *value = json!(self.listener),
                        ("port", None) if *value == 443 => *value = json!(self.secure),
                        _ => self.here(value),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.here(item)),
            Value::String(text) if text == "orders.example.com" => *text = self.host.clone(),
            Value::String(text) if text == "shop/orders" => *text = format!("{}/orders", self.namespace("shop")),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// Starts Entrance where it is expected.
    pub(crate) async fn entrance(&self) -> Server {
        self.entrance_with(&[]).await
    }

    /// The same with further flags.
    pub(crate) async fn entrance_with(&self, more: &[&str]) -> Server {
        let flags = ["--kube", "--kubeconfig", &self.kubeconfig, "--listen", &self.authorizer];
        Server::serve(&[&flags, more].concat()).await
    }

    /// A controller, which lets pods of this account see everything.
    pub(crate) async fn controller(&self, gateway: &str) -> Server {
        let namespace = self.namespace("entrance");
        let token = self.plane.server.account_token(&namespace, "entrance-controller", &[]).await;
        let kubeconfig = self.plane.server.kubeconfig(&token);
        let flags =
            ["--kubeconfig", kubeconfig.to_str().unwrap(), "--lease-namespace", &namespace, "--gateway", gateway];
        Server::run("controller", &flags, "xds").await
    }

    /// The Deployment of the Gateway, once it is as wanted.
    pub(crate) async fn deployment(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        self.plane.deployment((&self.namespace("edge"), "edge"), wanted).await
    }

    /// Starts the Envoy of the Gateway.
    pub(crate) async fn start(&self) -> &Proxy {
        let deployment = self.deployment(|_| true).await;
        let proxy = Proxy::start(self.plane, &deployment, self.listener).await;
        assert!(self.proxy.set(proxy).is_ok(), "started once");
        self.proxy()
    }

    /// Where the listeners for TLS are.
    pub(crate) fn secured(&self) -> SocketAddr {
        SocketAddr::new(ADDRESS.parse().unwrap(), self.secure)
    }

    pub(crate) fn proxy(&self) -> &Proxy {
        self.proxy.get().unwrap()
    }

    /// A request to read an order, without a token.
    pub(crate) fn read(&self) -> Ask {
        Ask::get(&self.host, "/orders/7")
    }

    /// A token of a user.
    pub(crate) fn token(&self, user: &str) -> String {
        self.minted(MintRequest { user: Some(user.into()), ..MintRequest::default() })
    }

    /// A token to order.
    pub(crate) fn minted(&self, order: MintRequest) -> String {
        self.plane.emulator.mint(&order).unwrap()
    }

    /// The answer to one more such request, `None` while nobody listens. What reached the API came out well, and only that.
    pub(crate) async fn ask(&self, ask: &Ask) -> Option<Answer> {
        let ask = Ask { probe: probe(), ..ask.clone() };
        tokio::net::TcpStream::connect(self.proxy().address).await.ok()?;
        let answer = http1(self.proxy().address, &ask).await;
        self.judged(&ask, answer.status);
        Some(answer)
    }

    /// Fails if the API saw what did not come out well, or did not see what did.
    pub(crate) fn judged(&self, ask: &Ask, status: u16) {
        let reached = self.upstream.received(&ask.probe).len();
        assert_eq!(reached, usize::from(status == 200), "{status} for {ask:?}");
    }

    /// Its outcome.
    pub(crate) async fn outcome(&self, ask: &Ask) -> String {
        self.ask(ask).await.map_or_else(|| "nobody".to_owned(), |answer| answer.outcome())
    }

    /// Asks until a request comes out like this; the outcomes before.
    pub(crate) async fn becomes(&self, ask: &Ask, outcome: &str) -> Vec<String> {
        let mut before = Vec::new();
        let wait = async {
            loop {
                let found = self.outcome(ask).await;
                if found == outcome {
                    return;
                }
                if before.last() != Some(&found) {
                    before.push(found);
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let done = tokio::time::timeout(LIMIT, wait).await;
        assert!(done.is_ok(), "never {outcome} but {before:?} for {ask:?}\n{}", self.proxy().said());
        before
    }

    /// The answer to a request that a filter before the check may answer.
    pub(crate) async fn ask_unchecked(&self, ask: &Ask) -> Answer {
        http1(self.proxy().address, ask).await
    }

    /// Waits until the listener has the check of a policy, for routes to switch on.
    pub(crate) async fn has_check(&self) {
        until("the listener has the check", async || {
            let dump = text(self.proxy().admin, "/config_dump?resource=dynamic_listeners").await?;
            dump.contains("envoy.filters.http.ext_authz/securitypolicy/").then_some(())
        })
        .await;
    }

    /// Where `entrance doctor` sees routes of its Envoy that nobody checks.
    pub(crate) async fn unprotected(&self) -> Vec<String> {
        self.found("route-without-policy").await
    }

    /// `entrance doctor` with further flags.
    pub(crate) async fn doctor(&self, more: &'static [&'static str]) -> Ran {
        let url = format!("http://{}", self.proxy().admin);
        let doctor = move || run([&["doctor", &url, "-o", "json"], more].concat());
        tokio::task::spawn_blocking(doctor).await.unwrap()
    }

    /// Where it sees this rule broken.
    pub(crate) async fn found(&self, rule: &str) -> Vec<String> {
        let found = self.doctor(&[]).await.json();
        let of_rule = found["findings"].as_array().unwrap().iter().filter(|finding| finding["rule"] == rule);
        of_rule.map(|finding| finding["place"].as_str().unwrap().to_owned()).collect()
    }
}

/// The reason of a condition of a policy of Envoy Gateway, if it is there.
pub(crate) fn reason(policy: &Value, kind: &str) -> Option<String> {
    let ancestors = policy["status"]["ancestors"].as_array().into_iter().flatten();
    let mut conditions = ancestors.flat_map(|ancestor| ancestor["conditions"].as_array().into_iter().flatten());
    conditions
        .find(|condition| condition["type"] == kind)
        .map(|condition| condition["reason"].as_str().unwrap().to_owned())
}

/// The AccessPolicy of the shop.
pub(crate) fn ours() -> Value {
    json!({"apiVersion": "entrance.dev/v1alpha1", "kind": "AccessPolicy", "metadata": {"name": "orders", "namespace": "shop"}})
}

pub(crate) fn condition<'p>(policy: &'p Value, kind: &str) -> Option<&'p Value> {
    let conditions = policy["status"]["conditions"].as_array();
    conditions.into_iter().flatten().find(|condition| condition["type"] == kind)
}

/// The policy of the Gateway, changed by a test.
pub(crate) fn gateway_policy(change: impl FnOnce(&mut Value)) -> Value {
    let mut policy = read("service.yaml").remove(0);
    change(&mut policy["spec"]["extAuth"]);
    policy
}
