//! The corpus in a real Envoy: entries that claim an open door, or a shut one, are tried with requests.
//!
//! Each entry has an Envoy of its own, a few at a time. Only addresses are put in: free ports, the upstream, and for the
//! authorizer a port where nobody listens, one who permits everything, or a gRPC server that is no authorizer.

use std::net::SocketAddr;

use entrance::doctor::{Rule, Severity, examine};
use futures_util::stream::{self, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::wrappers::TcpListenerStream;

use crate::envoy_process::{address_of, launch};
use crate::permissive::permissive;
use crate::upstream::{Upstream, through};
use crate::{cases, made};

/// How many Envoys run at a time.
const AT_A_TIME: usize = 4;
/// Where nobody listens.
const NOBODY: u16 = 1;
/// What says that a request reaches the upstream although nobody said that it may.
const OPEN: [Rule; 14] = [
    Rule::NoCheck,
    Rule::NotHttp,
    Rule::TcpBeside,
    Rule::FailureModeAllow,
    Rule::FilterSampled,
    Rule::FilterConditional,
    Rule::ConditionUnknown,
    Rule::ConditionUnmet,
    Rule::ProviderUnusable,
    Rule::ShadowMode,
    Rule::RouteUnprotected,
    Rule::RouteWithoutPolicy,
    Rule::UpgradeUnchecked,
    Rule::HttpToGrpc,
];

/// The document of an entry with addresses of this machine.
fn placed(case: &Value, (upstream, authorizer): (u16, u16)) -> Value {
    let mut document = made(case);
    for listener in document["static_resources"]["listeners"].as_array_mut().unwrap() {
        listener["address"]["socket_address"] = json!({"address": "127.0.0.1", "port_value": 0});
    }
    document["admin"]["address"]["socket_address"] = json!({"address": "127.0.0.1", "port_value": 0});
    for cluster in document["static_resources"]["clusters"].as_array_mut().unwrap() {
        let port = match cluster["name"].as_str().unwrap() {
            "api" => upstream,
            _ => authorizer,
        };
        cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"] =
            json!({"address": "127.0.0.1", "port_value": port});
    }
    document
}

/// Sends the request of an entry, and waits for the head of an answer, or the end.
async fn ask(case: &Value, address: SocketAddr, probe: &str) {
    let path = case["path"].as_str().unwrap_or("/secret");
    let mut request = format!("GET {path} HTTP/1.1\r\nhost: orders.example.com\r\nx-probe: {probe}\r\n");
    for (name, value) in case["send"].as_object().into_iter().flatten() {
        request.push_str(&format!("{name}: {}\r\n", value.as_str().unwrap()));
    }
    if case["kept"].is_boolean() {
        request.push_str("x-entrance-roles: Admin\r\nx-entrance-groups: Admin\r\n");
    }
    if let Some(protocol) = case["upgrade"].as_str() {
        request.push_str(&format!("connection: upgrade\r\nupgrade: {protocol}\r\n"));
    }
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{request}\r\n").as_bytes()).await.unwrap();
    through(&mut stream, b"\r\n\r\n").await;
}

/// A permit of everything, as Entrance permits what is anonymous: with identity headers that say nothing.
const PERMIT: &[u8] = b"HTTP/1.1 200 OK\r\nx-entrance-roles: \r\ncontent-length: 0\r\n\r\n";

/// Speaks gRPC, and knows nothing of authorization.
async fn grpc() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (_reporter, health) = tonic_health::server::health_reporter();
    let server = tonic::transport::Server::builder().add_service(health);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    port
}

/// What the upstream received of each entry that has this field, as `judge` sees it, beside the entry.
async fn tried(field: &'static str, authorizer: u16, judge: fn(&Upstream, &str) -> bool) -> Vec<(Value, bool)> {
    let (upstream, grpc) = (Upstream::start().await, grpc().await);
    let one = async |case: Value| {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("envoy.json");
        let authorizer = if case["authorizer"] == "grpc" { grpc } else { authorizer };
        std::fs::write(&file, placed(&case, (upstream.address.port(), authorizer)).to_string()).unwrap();
        let (_process, admin) = launch(&file, directory.path()).await;
        let address = address_of(admin, case["listener"].as_u64().unwrap_or(0)).await;
        let probe = case["name"].as_str().unwrap().to_owned();
        ask(&case, address, &probe).await;
        let seen = judge(&upstream, &probe);
        (case, seen)
    };
    let claims = cases().into_iter().filter(|case| case[field].is_boolean());
    stream::iter(claims).map(one).buffer_unordered(AT_A_TIME).collect().await
}

/// Whether the doctor says that the door is open.
fn is_said_open(case: &Value) -> bool {
    examine(&made(case)).unwrap().iter().any(|finding| OPEN.contains(&finding.rule))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_is_open_where_the_doctor_says_so_and_nowhere_else() {
    let tried = tried("open", NOBODY, |upstream, probe| !upstream.received(probe).is_empty()).await;
    let wrong: Vec<_> = tried
        .iter()
        .map(|(case, is_open)| (&case["name"], case["open"] == true, *is_open, is_said_open(case)))
        .filter(|(_, claimed, is_open, is_said)| claimed != is_open || claimed != is_said)
        .collect();
    assert!(wrong.is_empty(), "entry, claimed, in Envoy, by the doctor: {wrong:#?}");
    let open = tried.iter().filter(|(_, is_open)| *is_open);
    let shown: Vec<_> = open.flat_map(|(case, _)| examine(&made(case)).unwrap()).map(|finding| finding.rule).collect();
    let unshown: Vec<_> = OPEN.iter().filter(|rule| !shown.contains(rule)).collect();
    assert!(unshown.is_empty(), "no open door shows {unshown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn identity_of_the_clients_own_reaches_the_upstream_where_the_doctor_says_so_and_nowhere_else() {
    let claims = |upstream: &Upstream, probe: &str| {
        let received = upstream.received(probe);
        assert_eq!(received.len(), 1, "{probe}");
        ["x-entrance-roles", "x-entrance-groups"].iter().any(|name| received[0].values(name).contains(&"Admin"))
    };
    for (case, is_kept) in tried("kept", permissive(PERMIT).await, claims).await {
        let is_said = examine(&made(&case)).unwrap().iter().any(|finding| finding.rule == Rule::IdentityKept);
        assert_eq!((is_kept, is_said), (case["kept"] == true, case["kept"] == true), "{}", case["name"]);
    }
}

/// What `--strict` is not needed for: an open door is an error, unless somebody may have meant it.
#[test]
fn open_doors_are_errors() {
    let softer: Vec<_> = OPEN.iter().filter(|rule| rule.severity() != Severity::Error).collect();
    assert_eq!(softer, [&Rule::NotHttp, &Rule::FilterConditional]);
}
