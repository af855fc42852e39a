//! The mesh that all tests share: istiod, Entrance in its three places, the orders API, and a proxy of each mode, each
//! configured by the files of `examples/istio` with nothing but addresses put in.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use entrance::emulator::{self, Emulator, MintRequest};
use serde_json::{Value, json};
use tokio::sync::{Mutex, OnceCell, RwLock};

use crate::api_server::ADMIN;
use crate::children::{scratch, until};
use crate::modes::{self, Mode};
use crate::plane::{Plane, documents};
use crate::private_network::ADDRESS;
use crate::raw_http::{Ask, Wire, probe};
use crate::rbac;
use crate::server::Server;
use crate::upstream::Upstream;

/// The host of the example.
pub(crate) const HOST: &str = "orders.example.com";

/// Everything.
pub(crate) struct World {
    pub(crate) plane: Plane,
    pub(crate) modes: Vec<Mode>,
    pub(crate) upstream: Upstream,
    pub(crate) emulator: Arc<Emulator>,
    /// The audit log of the shared gateway.
    pub(crate) audit: PathBuf,
    /// The Entrances; empty while they are stopped.
    entrances: Mutex<Vec<Server>>,
    /// Written while they are stopped.
    pub(crate) running: RwLock<()>,
}

static SHARED: OnceCell<World> = OnceCell::const_new();

/// The socket of the Entrance beside `invoices`.
pub(crate) fn socket() -> PathBuf {
    static SOCKET: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    SOCKET.get_or_init(|| scratch("entrance").join("authz.sock")).clone()
}

/// The ServiceEntries for the Entrance of the same pod, where it is here. Its port is another one: a sidecar whose
/// traffic nobody intercepts binds the ports of the services that it knows.
fn services() -> Vec<Value> {
    let mut services = documents("examples/istio/services.yaml");
    services[0]["spec"]["ports"][0]["targetPort"] = json!(9291);
    let address = &mut services[1]["spec"]["endpoints"][0]["address"];
    assert_eq!(*address, "unix:///run/entrance/authz.sock");
    *address = json!(format!("unix://{}", socket().display()));
    // One where nobody ever is.
    let mut nobody = services[0].clone();
    nobody["metadata"]["name"] = json!("nobody");
    nobody["spec"]["hosts"] = json!(["nobody.entrance.internal"]);
    nobody["spec"]["ports"][0]["targetPort"] = json!(9);
    services.push(nobody);
    services
}

/// What a node would tell of the pods of a service: nobody runs one here.
pub(crate) fn endpoints((namespace, service): (&str, &str), (name, port): (&str, u16), address: &str) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": service, "namespace": namespace, "labels": {"kubernetes.io/service-name": service}},
        "ports": [{"name": name, "port": port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": true}}],
    })
}

/// What the gateway's Service is in the chart.
fn gateway() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "entrance-gateway", "namespace": "entrance"},
        "spec": {"ports": [{"name": "grpc", "port": 9191, "targetPort": "grpc", "appProtocol": "grpc"}]},
    })
}

impl World {
    /// The one of this test binary.
    pub(crate) async fn shared() -> &'static Self {
        SHARED.get_or_init(Self::start).await
    }

    async fn start() -> Self {
        entrance::token::install_crypto().unwrap();
        let emulator = Arc::new(Emulator::start(emulator::Options::default()).await.unwrap());
        let plane = Plane::start().await;
        let upstream = Upstream::start_on("0.0.0.0").await;
        let client = plane.server.client(ADMIN).await;
        rbac::apply(&client).await;
        let mut application = documents("examples/orders/application.yaml").remove(0);
        application["spec"]["authority"] = json!(emulator.base_url());
        plane.apply(&application).await;
        plane.apply_all(&documents("examples/orders/policy.yaml")).await;
        plane.apply_all(&services()).await;
        plane.apply_all(&[gateway(), endpoints(("entrance", "entrance-gateway"), ("grpc", 9191), ADDRESS)]).await;
        for service in ["orders", "reports"] {
            plane.apply(&endpoints(("shop", service), ("http", upstream.address.port()), ADDRESS)).await;
        }
        let audit = scratch("audit").join("audit.log");
        let entrances = Mutex::new(entrances(&plane, &audit).await);
        let modes = modes::all(&plane, &upstream).await;
        let running = RwLock::new(());
        Self { plane, modes, upstream, emulator, audit, entrances, running }
    }

    /// A token for the orders API.
    pub(crate) fn token(&self, order: Value) -> String {
        let order: MintRequest = serde_json::from_value(order).unwrap();
        self.emulator.mint(&order).unwrap()
    }

    /// Who issues the tokens of the example, and the keys of that, as Entra publishes them.
    pub(crate) async fn issuer(&self) -> (String, String) {
        let tenant = emulator::defaults::CONTOSO;
        let base = self.emulator.base_url();
        let page = |path: &str| {
            let address = format!("{base}/{tenant}/{path}");
            async move { reqwest::get(address).await.unwrap().text().await.unwrap() }
        };
        let metadata: Value = serde_json::from_str(&page("v2.0/.well-known/openid-configuration").await).unwrap();
        (metadata["issuer"].as_str().unwrap().to_owned(), page("discovery/v2.0/keys").await)
    }

    /// A request that the example allows.
    pub(crate) fn allowed(&self) -> Ask {
        Ask::get(HOST, "/orders/7").bearer(&self.token(json!({"user": "bob"})))
    }

    /// The outcome of a request by way of an address. It reached the API if it came out well, and only then.
    pub(crate) async fn ask(&self, address: std::net::SocketAddr, ask: &Ask) -> String {
        let ask = Ask { probe: probe(), ..ask.clone() };
        let answer = Wire::connect(address).await.send(&ask.bytes()).await;
        let outcome = answer.map_or_else(|| "closed".to_owned(), |answer| answer.outcome());
        let reached = self.upstream.received(&ask.probe).len();
        assert_eq!(reached, usize::from(outcome == "200"), "{outcome} for {ask:?}");
        outcome
    }

    /// Waits until a request has this outcome.
    pub(crate) async fn becomes(&self, (name, address): (&str, std::net::SocketAddr), ask: &Ask, outcome: &str) {
        let mut last = String::new();
        let what = format!("{name}: {outcome} for {ask:?}");
        until(&what, async || {
            last = self.ask(address, ask).await;
            (last == outcome).then_some(())
        })
        .await;
    }

    /// Waits until every mode lets a permitted request through.
    pub(crate) async fn lets_through(&self) {
        for mode in &self.modes {
            self.becomes(mode.at(), &self.allowed(), "200").await;
        }
    }

    /// Ends every Entrance.
    pub(crate) async fn stop(&self) {
        self.entrances.lock().await.clear();
    }

    /// Starts them again.
    pub(crate) async fn resume(&self) {
        *self.entrances.lock().await = entrances(&self.plane, &self.audit).await;
    }
}

/// The shared gateway, and the Entrance of a pod at a port and at a socket: all three watch the API server.
async fn entrances(plane: &Plane, audit: &Path) -> Vec<Server> {
    let token = plane.server.account_token("entrance", "entrance-gateway", &[]).await;
    let kubeconfig = plane.server.kubeconfig(&token);
    let kubeconfig = kubeconfig.to_str().unwrap();
    let mut all = Vec::new();
    let audit = format!("file:{}", audit.display());
    let places = [
        (format!("{ADDRESS}:9191"), audit.as_str()),
        ("127.0.0.1:9291".to_owned(), "off"),
        (format!("unix:{}", socket().display()), "off"),
    ];
    for (listen, audit) in &places {
        let flags = ["--kube", "--kubeconfig", kubeconfig, "--listen", listen, "--audit", audit];
        let server = Server::serve(&flags).await;
        server.becomes(|status, _| status == 200).await;
        all.push(server);
    }
    all
}
