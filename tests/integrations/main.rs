//! The same requests through every way into an API: the same verdict and the same reason, but for what a proxy forces.
//!
//! Each way is one column of docs/integrations.md. What became of the requests on it is kept in
//! `tests/goldens/integrations/`, what the proxy does otherwise in `tests/cases/same_differences/`.
#![cfg(feature = "emulator")]
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]
#![expect(clippy::indexing_slicing, reason = "a missing member fails the test")]
#![expect(clippy::arithmetic_side_effects, reason = "small numbers of a test")]

#[path = "../support/children.rs"]
#[expect(dead_code, reason = "not every test needs all of it")]
mod children;
#[path = "../support/entrance_process.rs"]
#[expect(dead_code, reason = "not every test needs all of it")]
mod entrance_process;
#[path = "../support/envoy_process.rs"]
#[expect(dead_code, reason = "not every test needs all of it")]
mod envoy_process;
#[path = "../support/free_port.rs"]
mod free_port;
#[path = "../support/golden.rs"]
mod golden;
#[path = "../support/proxy_process.rs"]
mod proxy_process;
#[path = "../support/raw_http.rs"]
#[expect(dead_code, reason = "not every test needs all of it")]
mod raw_http;
#[path = "../support/same_requests.rs"]
mod same_requests;
#[path = "../support/stack.rs"]
#[expect(dead_code, reason = "not every test needs all of it")]
mod stack;
#[path = "../support/upstream.rs"]
mod upstream;

#[path = "../envoy_e2e/readings.rs"]
mod readings;
#[path = "../envoy_e2e/table.rs"]
mod table;

mod corners;
mod edge;
mod envoy;
mod forward_auth;
mod http3;
mod musts;
mod page;
mod paths;
mod trailers;

/// The order for a token of somebody who reads orders and administers nothing.
fn bob() -> entrance::emulator::MintRequest {
    entrance::emulator::MintRequest { user: Some("bob".into()), ..Default::default() }
}
