//! Plain Envoy, with the files of examples/envoy.

use crate::envoy_process::Bootstrap;
use crate::same_requests::{Column, POLICIES, Way, differences};
use crate::stack::{Link, Stack};

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
