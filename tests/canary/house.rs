//! A whole server with its audit log, metrics and operators' port, and a client that speaks gRPC byte by byte.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use entrance::admin::{self, Condition, Inspect};
use entrance::api::compile::Compiler;
use entrance::api::settings::Settings;
use entrance::audit::output::{FileOutput, Output};
use entrance::audit::{self, AuditThread};
use entrance::authorize::Authorizer;
use entrance::authorize::decision::Decision;
use entrance::authorize::ports::{AuditSink, Decide, Keys};
use entrance::authorize::tokens::NeedsKey;
use entrance::authorize::world::World;
use entrance::clock::{Clock, FixedClock};
use entrance::envoy::server::{Server, Settings as ServerSettings, Signals};
use entrance::envoy::service::{Limits, Service};
use entrance::listen::Listen;
use entrance::metrics::{Gauges, KeyGauge, Metrics};
use entrance::reason::ReasonCode;
use entrance::recorder::Surroundings;
use entrance::request::Request;
use entrance::token::cloud::{Cloud, Issuer};
use entrance::token::{Authority, Discovery, KeySet, jwks};
use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::rules::{document, resources, yaml};
use crate::token_world::{KEY, NOW};

/// Stands in every secret.
pub(crate) const MARK: &str = "canary-5a1b2c3d4e5f";

/// Routes for every reason that rules can have.
const RESOURCES: &str = include_str!("resources.yaml");

/// Keys that a test takes away and puts back. A question never brings any.
#[derive(Default)]
pub(crate) struct Shelf(Mutex<Option<KeySet>>);

impl Shelf {
    pub(crate) fn put(&self, change: &serde_json::Value) {
        let mut key = KEY.jwk();
        key.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        *self.0.lock().unwrap() = Some(jwks::parse(json!({"keys": [key]}).to_string().as_bytes()).unwrap().keys);
    }

    pub(crate) fn clear(&self) {
        *self.0.lock().unwrap() = None;
    }
}

impl Keys for Shelf {
    fn authority(&self, source: &Discovery) -> Option<Arc<Authority>> {
        let keys = self.0.lock().unwrap().clone();
        keys.map(|keys| Arc::new(Issuer::Cloud(Cloud::Public).published(source.version, keys)))
    }

    fn refresh<'a>(&'a self, _: &'a Arc<Discovery>, _: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }

    fn is_current(&self, _: &Discovery) -> bool {
        true
    }
}

/// Decides as the process does, and panics on demand.
pub(crate) struct Moody(pub(crate) Authorizer);

impl Decide for Moody {
    type Pending = NeedsKey;

    fn try_decide(&self, request: &Request<'_>) -> Result<Decision, NeedsKey> {
        assert!(!request.target.starts_with(b"/panic"), "deciding went wrong");
        self.0.try_decide(request)
    }

    async fn resume<'a>(&'a self, request: Request<'a>, pending: NeedsKey, patience: Option<Duration>) -> Decision {
        self.0.resume(request, pending, patience).await
    }

    fn refuse(&self, reason: ReasonCode) -> Decision {
        self.0.refuse(reason)
    }
}

/// What the operators' port tells: everything that can be printed of what decides.
struct Told(Arc<Moody>);

impl Inspect for Told {
    fn conditions(&self) -> Vec<Condition> {
        vec![Condition { name: "policies".into(), ready: true, message: "loaded".into() }]
    }

    fn gauges(&self) -> Gauges {
        let keys = vec![KeyGauge { source: "contoso/v2".into(), age: None, usable: 1 }];
        Gauges { generation: Some(1), keys, remembered_tokens: self.0.0.remembered(), ..Gauges::default() }
    }

    fn snapshot(&self) -> serde_json::Value {
        let world = self.0.0.world();
        json!({"snapshot": world.map(|world| format!("{:?}", world.snapshot))})
    }
}

pub(crate) struct House {
    pub(crate) decide: Arc<Moody>,
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) admin: String,
    address: std::net::SocketAddr,
    log: PathBuf,
    audit: AuditThread,
    calls: AtomicUsize,
    _directory: tempfile::TempDir,
}

impl House {
    /// Everything but policies.
    pub(crate) async fn open() -> Self {
        let (shelf, clock) = (Arc::new(Shelf::default()), Arc::new(FixedClock(NOW)) as Arc<dyn Clock>);
        shelf.put(&json!({}));
        let keys = Arc::clone(&shelf) as Arc<dyn Keys>;
        let decide = Arc::new(Moody(Authorizer::with_keys(keys, 100, Arc::clone(&clock))));
        let metrics = Arc::new(Metrics::default());
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("audit.log");
        let output = Output::File(FileOutput { path: log.clone(), max_bytes: u64::MAX, keep: 1 });
        let (sink, audit) = audit::start(output, Arc::clone(&clock), Arc::clone(&metrics)).unwrap();
        let sink = Arc::new(sink) as Arc<dyn AuditSink>;
        let surroundings = Surroundings { audit: sink, metrics: Arc::clone(&metrics), clock };
        let limits = Limits { message: 256 * 1024, patience: Duration::from_millis(500), ..Limits::default() };
        let service = Service::new(Arc::clone(&decide), surroundings, limits);
        let server = Server::bind(&"127.0.0.1:0".parse().unwrap(), ServerSettings::default()).await.unwrap();
        let Listen::Tcp(address) = server.address().unwrap() else { panic!("not a port") };
        let (_, ready) = watch::channel(true);
        tokio::spawn(server.serve(service, Signals { ready, shutdown: CancellationToken::new() }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let admin = format!("http://{}", listener.local_addr().unwrap());
        let router = admin::router(Arc::new(Told(Arc::clone(&decide))), metrics);
        tokio::spawn(admin::serve(listener, router, CancellationToken::new()));
        Self { decide, shelf, admin, address, log, audit, calls: AtomicUsize::new(0), _directory: directory }
    }

    /// Publishes the policies.
    pub(crate) fn furnish(&self) {
        let documents = yaml(RESOURCES);
        let resources = resources(documents.as_array().unwrap().iter().cloned().map(document));
        let compiled = Compiler::default().compile(&resources, &Settings::default());
        let faults: Vec<String> = compiled.faults.iter().map(ToString::to_string).collect();
        assert_eq!(faults.len(), 1, "one route is broken on purpose: {faults:?}");
        self.decide
            .0
            .publish(Arc::new(World::new(1, compiled.snapshot, &compiled.profiles).revoking(compiled.revocations)));
    }

    /// Sends these bytes as the body of a check, with secrets in the metadata, too; gives all that comes back. With
    /// `end: false` the call is left open.
    pub(crate) async fn call(&self, body: Bytes, end: bool) -> Vec<u8> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let connection = tokio::net::TcpStream::connect(self.address).await.unwrap();
        let (mut client, driver) = h2::client::handshake(connection).await.unwrap();
        let driver = tokio::spawn(driver);
        let request = http::Request::post(format!("http://{}/envoy.service.auth.v3.Authorization/Check", self.address))
            .header("content-type", "application/grpc")
            .header("authorization", format!("Bearer {MARK}"))
            .header("x-api-key", MARK)
            .header("grpc-timeout", if end { MARK } else { "100m" })
            .body(())
            .unwrap();
        let (response, mut stream) = client.send_request(request, false).unwrap();
        stream.send_data(body, end).unwrap();
        let mut response = response.await.unwrap();
        let mut seen = format!("{:?}", response.headers()).into_bytes();
        while let Some(data) = response.body_mut().data().await {
            let data = data.unwrap();
            response.body_mut().flow_control().release_capacity(data.len()).unwrap();
            seen.extend_from_slice(&data);
        }
        let trailers = response.body_mut().trailers().await.unwrap().unwrap();
        assert_eq!(trailers["grpc-status"], "0", "the call itself always succeeds");
        driver.abort();
        seen
    }

    /// How many calls there were.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// A page of the operators' port.
    pub(crate) async fn page(&self, path: &str) -> String {
        reqwest::get(format!("{}{path}", self.admin)).await.unwrap().text().await.unwrap()
    }

    /// Ends the audit log and gives what it says.
    pub(crate) fn close(self) -> String {
        self.audit.close();
        std::fs::read_to_string(&self.log).unwrap()
    }
}
