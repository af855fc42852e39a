//! A controller's end on a port of its own, whose subscribers are known by their tokens; and a subscriber that shows its cards.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use entrance::api::object::{Object, Resources};
use entrance::delivery::RESOURCE_TYPE;
use entrance::delivery::door::Door;
use entrance::delivery::roster::{Plane, Roster};
use entrance::delivery::server::{Admit, Delivery, Refusal, Subscriber};
use entrance::delivery::view::{Audience, Catalogue};
use entrance::policy::host::HostPattern;
use entrance::tls::{Certificate, Pem};
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use envoy_types::pb::google::rpc::Status as Detail;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status, Streaming};

use crate::free_port::port;

/// Nothing here takes nearly as long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) fn object(body: Value) -> Arc<Object> {
    Arc::new(Object::new(body.as_object().unwrap().clone()).unwrap().unwrap())
}

pub(crate) fn application(namespace: &str, name: &str) -> Arc<Object> {
    object(json!({
        "apiVersion": "entrance.dev/v1alpha1", "kind": "EntraApplication",
        "metadata": {"namespace": namespace, "name": name}, "spec": {},
    }))
}

pub(crate) fn policy(namespace: &str, name: &str, label: Option<(&str, &str)>) -> Arc<Object> {
    let selector = label.map(|(key, value)| json!({"matchLabels": {key: value}}));
    object(json!({
        "apiVersion": "entrance.dev/v1alpha1", "kind": "AccessPolicy",
        "metadata": {"namespace": namespace, "name": name}, "spec": {"hosts": ["x.example.com"], "selector": selector},
    }))
}

pub(crate) fn resources(objects: &[Arc<Object>]) -> Resources {
    let mut resources = Resources::new();
    for object in objects {
        resources.put(Arc::clone(object));
    }
    resources
}

pub(crate) fn held(resources: &Resources) -> Vec<String> {
    resources.all().map(|object| object.id.to_string()).collect()
}

/// `gateway`, `NAMESPACE:` with `KEY=VALUE`, or no good token at all.
struct ByName;

impl Admit for ByName {
    fn admit<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Subscriber, Refusal>> {
        let lifetime = if token == "brief" { Duration::from_millis(300) } else { Duration::from_secs(3600) };
        let audience = match (token, token.split_once(':')) {
            ("away", _) => Err(Refusal::Unavailable),
            ("gateway" | "brief", _) => Ok(Audience::Gateway),
            (_, Some((namespace, label))) => {
                let labels = label.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
                Ok(Audience::Workload { namespace: namespace.into(), labels: labels.into_iter().collect() })
            }
            (_, None) => Err(Refusal::Token("nobody knows it")),
        };
        let subscriber = audience.map(|audience| Subscriber { name: token.into(), audience, lifetime });
        std::future::ready(subscriber).boxed()
    }
}

/// An authority's certificate, and a certificate with its key for 127.0.0.1.
pub(crate) fn authority() -> (String, Pem) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "test authority");
    let key = KeyPair::generate().unwrap();
    let ca = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    (ca, Pem { certificate: server.pem().into_bytes(), key: key.serialize_pem().into_bytes() })
}

pub(crate) struct Scene {
    pub(crate) ca: Option<String>,
    pub(crate) certificate: Option<Arc<Certificate>>,
    address: SocketAddr,
    catalogue: watch::Sender<Option<Arc<Catalogue>>>,
    roster: Arc<Roster>,
    stop: CancellationToken,
    serving: Option<JoinHandle<()>>,
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Scene {
    pub(crate) async fn new() -> Self {
        let mut scene = Self {
            ca: None,
            certificate: None,
            address: port(),
            catalogue: watch::Sender::new(None),
            roster: Arc::default(),
            stop: CancellationToken::new(),
            serving: None,
        };
        scene.serve().await;
        scene
    }

    pub(crate) async fn with_tls() -> Self {
        let mut scene = Self::new().await;
        scene.end().await;
        let (ca, pem) = authority();
        scene.ca = Some(ca);
        scene.certificate = Some(Certificate::new(&pem).unwrap());
        scene.stop = CancellationToken::new();
        scene.serve().await;
        scene
    }

    async fn serve(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        let ends = (Arc::clone(&self.roster), self.stop.clone());
        let delivery = Delivery::new(self.catalogue.subscribe(), Arc::new(ByName), ends);
        let door = Door::new(listener, self.certificate.as_ref()).unwrap();
        let (_, ready) = watch::channel(true);
        let stop = self.stop.clone();
        self.serving = Some(tokio::spawn(async move { door.serve(delivery, (ready, stop)).await.unwrap() }));
    }

    /// Ends the server, and waits until its port is free.
    pub(crate) async fn end(&mut self) {
        self.stop.cancel();
        timeout(DEADLINE, self.serving.take().unwrap()).await.unwrap().unwrap();
        self.catalogue.send_replace(None);
    }

    /// Starts another server at the same address.
    pub(crate) async fn again(&mut self) {
        self.stop = CancellationToken::new();
        self.serve().await;
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://{}", if self.ca.is_some() { "https" } else { "http" }, self.address)
    }

    pub(crate) fn publish(&self, objects: &[Arc<Object>]) {
        let before = self.catalogue.borrow().clone().unwrap_or_default();
        self.catalogue.send_replace(Some(Arc::new(before.next(&resources(objects)))));
    }

    /// From here on, these hosts are given to a namespace.
    pub(crate) fn pin(&self, pins: &[(&str, &str)]) {
        let pins = pins.iter().map(|(host, namespace)| (HostPattern::parse(host).unwrap(), Arc::from(*namespace)));
        self.catalogue.send_replace(Some(Arc::new(Catalogue::pinning(&pins.collect()))));
    }

    pub(crate) async fn client(&self, token: &str) -> Client {
        self.client_with(token, BTreeMap::new()).await
    }

    pub(crate) async fn client_with(&self, token: &str, known: BTreeMap<String, String>) -> Client {
        let first =
            DeltaDiscoveryRequest { initial_resource_versions: known.clone().into_iter().collect(), ..request() };
        let mut client = Client::connect(&self.url(), token, first).await.unwrap();
        client.known = known;
        client
    }

    pub(crate) async fn roster_has(&self, wanted: impl Fn(&[Arc<Plane>]) -> bool) {
        let mut news = self.roster.news();
        let wait = async {
            while !wanted(&self.roster.all()) {
                news.changed().await.unwrap();
            }
        };
        timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("{:#?}", self.roster.all()));
    }
}

fn request() -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest { type_url: RESOURCE_TYPE.to_owned(), ..DeltaDiscoveryRequest::default() }
}

/// A subscriber that acknowledges what it is sent, except what it is told to refuse.
pub(crate) struct Client {
    known: BTreeMap<String, String>,
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: Streaming<DeltaDiscoveryResponse>,
    last: DeltaDiscoveryResponse,
    pub(crate) refuses: Option<String>,
    pub(crate) silent: bool,
}

impl Client {
    pub(crate) async fn connect(url: &str, token: &str, mut first: DeltaDiscoveryRequest) -> Result<Self, Status> {
        let mut client = AggregatedDiscoveryServiceClient::connect(url.to_owned()).await.unwrap();
        let (requests, outbound) = mpsc::channel(8);
        first.type_url = RESOURCE_TYPE.to_owned();
        requests.send(first).await.unwrap();
        let mut request = Request::new(ReceiverStream::new(outbound));
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        let responses = client.delta_aggregated_resources(request).await?.into_inner();
        let (known, last) = (BTreeMap::new(), DeltaDiscoveryResponse::default());
        Ok(Self { known, requests, responses, last, refuses: None, silent: false })
    }

    /// The next response: how many resources it brings, how many it takes away.
    pub(crate) async fn responds(&mut self) -> (usize, usize) {
        let response = timeout(DEADLINE, self.responses.message()).await.unwrap().unwrap().unwrap();
        self.last = response;
        if !self.silent {
            self.acknowledge().await;
        }
        (self.last.resources.len(), self.last.removed_resources.len())
    }

    /// Takes the last response in and says so, or refuses it.
    pub(crate) async fn acknowledge(&mut self) {
        let response = self.last.clone();
        let mut answer = DeltaDiscoveryRequest { response_nonce: response.nonce, ..request() };
        let bad = response.resources.iter().find(|resource| self.refuses.as_ref() == Some(&resource.name));
        match bad {
            Some(bad) => {
                let message = format!("`{}`: cannot be read", bad.name);
                answer.error_detail = Some(Detail { code: 3, message, details: Vec::new() });
            }
            None => {
                self.known.retain(|name, _| !response.removed_resources.contains(name));
                self.known.extend(response.resources.into_iter().map(|resource| (resource.name, resource.version)));
            }
        }
        self.say(answer).await;
    }

    /// Refuses the last response.
    pub(crate) async fn refuse(&mut self, message: &str) {
        let error_detail = Some(Detail { code: 3, message: message.to_owned(), details: Vec::new() });
        let response_nonce = self.last.nonce.clone();
        self.say(DeltaDiscoveryRequest { response_nonce, error_detail, ..request() }).await;
    }

    pub(crate) async fn say(&mut self, mut request: DeltaDiscoveryRequest) {
        request.type_url = RESOURCE_TYPE.to_owned();
        self.requests.send(request).await.unwrap();
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.known.keys().map(String::as_str).collect()
    }

    /// Responds until it holds exactly this.
    pub(crate) async fn settles(&mut self, wanted: &[&str]) {
        let mut wanted = wanted.to_vec();
        wanted.sort_unstable();
        while self.names() != wanted {
            self.responds().await;
        }
    }

    pub(crate) fn leave(self) -> BTreeMap<String, String> {
        self.known
    }

    /// How the stream ends.
    pub(crate) async fn ends(&mut self) -> Status {
        loop {
            match self.responses.message().await {
                Ok(Some(_)) => {}
                Ok(None) => return Status::ok("without a word"),
                Err(status) => return status,
            }
        }
    }
}
