//! Policies that are attached to objects of the Gateway API, at a real API server: with its definitions, without them,
//! and when they come later; what follows an edit of a route; and what the status says, beside the controllers of others.
#![cfg(feature = "emulator")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

#[path = "../support/api_server.rs"]
#[expect(dead_code, reason = "not every test needs all of it")]
mod api_server;
#[path = "../support/free_port.rs"]
mod free_port;
#[path = "../support/gateway_api.rs"]
mod gateway_api;
#[path = "../support/rbac.rs"]
#[expect(dead_code, reason = "the file as it stands is tested elsewhere")]
mod rbac;
#[path = "../kube_e2e/scene.rs"]
#[expect(dead_code, reason = "outages and lost watches are tested elsewhere")]
mod scene;
#[path = "../support/server.rs"]
#[expect(dead_code, reason = "signals and health are tested elsewhere")]
mod server;

mod example;
mod hosts;
mod neighbours;
mod statuses;
