//! Real calls over TCP and over a Unix socket, with Envoy's own client stub.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use entrance::envoy::server::{SERVICE, Server, Settings, Signals};
use entrance::envoy::service::Limits;
use entrance::listen::Listen;
use entrance::metrics::{Gauges, Metrics, exposition};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::answer::{denied, ok};
use crate::service::{Fixture, check, fixture};

struct Running {
    address: Listen,
    ready: watch::Sender<bool>,
    shutdown: CancellationToken,
    served: JoinHandle<()>,
    metrics: Arc<Metrics>,
}

async fn run(listen: &Listen, settings: Settings, limits: Limits) -> Running {
    let server = Server::bind(listen, settings).await.unwrap();
    let address = server.address().unwrap();
    let (ready, receiver) = watch::channel(false);
    let shutdown = CancellationToken::new();
    let signals = Signals { ready: receiver, shutdown: shutdown.clone() };
    let Fixture { service, metrics, .. } = fixture(limits);
    let served = tokio::spawn(server.serve(service, signals));
    Running { address, ready, shutdown, served, metrics }
}

fn loopback() -> Listen {
    "127.0.0.1:0".parse().unwrap()
}

async fn channel(address: &Listen) -> Channel {
    let uri = match address {
        Listen::Tcp(address) => format!("http://{address}"),
        Listen::Unix(path) => format!("unix:{}", path.display()),
    };
    Endpoint::try_from(uri).unwrap().connect().await.unwrap()
}

async fn health(channel: &Channel, service: &str) -> ServingStatus {
    let request = HealthCheckRequest { service: service.to_owned() };
    let mut client = HealthClient::new(channel.clone());
    client.check(request).await.unwrap().into_inner().status()
}

async fn becomes(channel: &Channel, status: ServingStatus) {
    let wanted = async {
        for service in ["", SERVICE] {
            while health(channel, service).await != status {
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(5), wanted).await.unwrap();
}

#[tokio::test]
async fn checks_are_answered_over_tcp_and_over_a_unix_socket() {
    let directory = tempfile::tempdir().unwrap();
    let socket: PathBuf = directory.path().join("authz.sock");
    for listen in [loopback(), Listen::Unix(socket)] {
        let running = run(&listen, Settings::default(), Limits::default()).await;
        let mut client = AuthorizationClient::new(channel(&running.address).await);
        let allowed = client.check(check("/allow")).await.unwrap().into_inner();
        ok(&allowed);
        let refused = client.check(check("/deny")).await.unwrap().into_inner();
        assert_eq!(denied(&refused).status.as_ref().unwrap().code, 403);
        running.shutdown.cancel();
        running.served.await.unwrap();
    }
}

#[tokio::test]
async fn a_message_beyond_the_limit_is_refused_and_the_call_succeeds() {
    let limits = Limits { message: 64, ..Limits::default() };
    let running = run(&loopback(), Settings::default(), limits).await;
    let mut client = AuthorizationClient::new(channel(&running.address).await);
    let answer = client.check(check("/allow")).await.unwrap().into_inner();
    assert_eq!(denied(&answer).status.as_ref().unwrap().code, 400);
}

#[tokio::test]
async fn a_connection_that_does_not_begin_to_speak_is_closed() {
    let settings = Settings { greeting: Duration::from_millis(50), ..Settings::default() };
    let running = run(&loopback(), settings, Limits::default()).await;
    let Listen::Tcp(address) = running.address else { panic!("not a port") };
    for begun in [&b""[..], b"PRI * HTTP/2.0\r\n", b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"] {
        let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
        connection.write_all(begun).await.unwrap();
        let closed = async { matches!(connection.read(&mut [0; 64]).await, Ok(0) | Err(_)) };
        assert!(tokio::time::timeout(Duration::from_secs(5), closed).await.unwrap());
    }
}

#[tokio::test]
async fn the_deadline_of_the_call_is_kept() {
    let running = run(&loopback(), Settings::default(), Limits::default()).await;
    let mut client = AuthorizationClient::new(channel(&running.address).await);
    let mut request = tonic::Request::new(check("/never"));
    request.set_timeout(Duration::from_millis(200));
    let answer = client.check(request).await.unwrap().into_inner();
    assert_eq!(denied(&answer).status.as_ref().unwrap().code, 503);
}

#[tokio::test]
async fn health_follows_readiness() {
    let running = run(&loopback(), Settings::default(), Limits::default()).await;
    let channel = channel(&running.address).await;
    assert_eq!(health(&channel, "").await, ServingStatus::NotServing);
    assert_eq!(health(&channel, SERVICE).await, ServingStatus::NotServing);
    running.ready.send(true).unwrap();
    becomes(&channel, ServingStatus::Serving).await;
    running.ready.send(false).unwrap();
    becomes(&channel, ServingStatus::NotServing).await;
}

#[tokio::test]
async fn shutdown_tells_health_first_and_finishes_what_is_in_flight() {
    let settings = Settings { drain_delay: Duration::from_millis(200), ..Settings::default() };
    let running = run(&loopback(), settings, Limits::default()).await;
    running.ready.send(true).unwrap();
    let channel = channel(&running.address).await;
    becomes(&channel, ServingStatus::Serving).await;
    running.shutdown.cancel();
    // during the delay health has changed and checks go on
    becomes(&channel, ServingStatus::NotServing).await;
    let mut client = AuthorizationClient::new(channel.clone());
    ok(&client.check(check("/slow")).await.unwrap().into_inner());
    running.served.await.unwrap();
}

#[tokio::test]
async fn a_call_that_does_not_end_cannot_hold_up_the_end() {
    let settings = Settings { drain_deadline: Duration::from_millis(50), ..Settings::default() };
    let limits = Limits { patience: Duration::from_secs(600), ..Limits::default() };
    let running = run(&loopback(), settings, limits).await;
    let mut client = AuthorizationClient::new(channel(&running.address).await);
    let stuck = tokio::spawn(async move { client.check(check("/never")).await });
    let under_way = async {
        while !exposition::render(&running.metrics, &Gauges::default()).contains("entrance_checks_waiting 1") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), under_way).await.unwrap();
    running.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(5), running.served).await.unwrap().unwrap();
    assert!(stuck.await.unwrap().is_err());
}

#[tokio::test]
async fn other_methods_are_not_implemented() {
    let running = run(&loopback(), Settings::default(), Limits::default()).await;
    let channel = channel(&running.address).await;
    let mut other = AggregatedDiscoveryServiceClient::new(channel.clone());
    let status = other.delta_aggregated_resources(tokio_stream::empty()).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unimplemented, "clients understand the status of HTTP");
    let mut client = tonic_health::pb::health_client::HealthClient::new(channel);
    let unknown = HealthCheckRequest { service: "no.such.Service".to_owned() };
    let status = client.check(unknown).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::NotFound);
    let huge = HealthCheckRequest { service: "x".repeat(2000) };
    let status = client.check(huge).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::OutOfRange, "no memory is set aside for names that no service has");
}
