//! Plain Envoy, with the files of examples/envoy.

use crate::envoy_process::Bootstrap;
use crate::raw_http::{Ask, http1};
use crate::same_requests::{Column, POLICIES, Way, differences};
use crate::stack::{Ground, Link, Stack};

/// The rules of the requests beside those of the example.
const FILES: [(&str, &str); 1] = [("same.yaml", POLICIES)];

async fn walked(link: Link, adjust: impl FnOnce(Bootstrap) -> Bootstrap) -> Column {
    let stack = Stack::adjusted(link, &FILES, adjust).await;
    let audit = stack.entrance.audit_log();
    let Stack { envoy, upstream, emulator, .. } = &stack;
    let way = Way { address: envoy.address, upstream, audit: &audit, emulator };
    let column = way.walk().await;
    stack.entrance.process.signal("KILL");
    stack.entrance.process.end().await;
    assert_eq!(way.open_doors().await, Vec::<String>::new());
    column
}

#[tokio::test(flavor = "multi_thread")]
async fn envoy_over_tcp() {
    walked(Link::Tcp, Bootstrap::patient).await.settles("envoy-tcp");
}

#[tokio::test(flavor = "multi_thread")]
async fn envoy_over_a_unix_socket() {
    walked(Link::Unix, Bootstrap::patient).await.settles("envoy-uds");
}

/// What is expected is what Entrance says: an Envoy that changes nothing shows it.
#[tokio::test(flavor = "multi_thread")]
async fn an_envoy_that_lets_pass_what_it_can() {
    let careless = |bootstrap: Bootstrap| bootstrap.patient().lax_underscores().careless_paths();
    let column = walked(Link::Tcp, careless).await;
    assert_eq!(column.faults(&differences(&["envoy-careless"])), Vec::<String>::new());
}

/// To ask by plain HTTP/2 where gRPC is spoken is one wrong word away, and gRPC says 200 to what it does not know.
#[tokio::test(flavor = "multi_thread")]
async fn a_port_for_grpc_that_is_asked_by_plain_http_permits_nothing() {
    let ground = Ground::prepare(&FILES).await;
    let entrance = ground.entrance(Link::Tcp, &[]).await;
    entrance.ready().await;
    let mistaken = Bootstrap::http(entrance.listen.parse().unwrap()).patient().shown("content-type");
    let envoy = ground.envoy(mistaken.put("{http_protocol_options: {}}", "{http2_protocol_options: {}}")).await;
    // To a client of gRPC Envoy tells a refusal as gRPC does.
    for (method, path, refusal) in [
        ("GET", "/orders/7", "415"),
        ("DELETE", "/admin", "415"),
        ("GET", "/grpc.health.v1.Health/Check", "415"),
        ("POST", "/orders", "grpc 12"),
        ("GET", "/envoy.service.auth.v3.Authorization/Check", "grpc 2"),
        ("POST", "/grpc.health.v1.Health/List", "grpc 12"),
    ] {
        let ask = Ask::new(method, "same.example.com", path);
        let ask = if refusal == "415" { ask } else { ask.header("content-type", "application/grpc") };
        let answer = http1(envoy.address, &ask).await;
        let said = match answer.values("grpc-status")[..] {
            [status] => format!("grpc {status}"),
            _ => answer.status.to_string(),
        };
        assert_eq!(said, refusal, "{method} {path}");
        assert!(ground.upstream.received(&ask.probe).is_empty(), "{method} {path}");
    }
}
