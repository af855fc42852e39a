//! Entrance behind a real istiod: proxies of every kind that it configures, by the files of `examples/istio`, and the
//! ways in which a mesh comes to let requests through that nobody decided.
#![cfg(feature = "emulator")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "a test that cannot go on fails")]
#![expect(clippy::indexing_slicing, reason = "a missing member fails the test")]
#![expect(clippy::arithmetic_side_effects, reason = "small numbers of a test")]

#[path = "../support/api_server.rs"]
#[expect(dead_code, reason = "not every test needs all of it")]
mod api_server;
mod chart;
#[path = "../support/children.rs"]
#[expect(dead_code, reason = "not every test needs all of it")]
mod children;
mod edge;
#[path = "../support/envoy_process.rs"]
#[expect(dead_code, reason = "here istiod configures Envoy")]
mod envoy_process;
#[path = "../support/free_port.rs"]
mod free_port;
#[path = "../support/golden.rs"]
mod golden;
#[path = "../support/helm.rs"]
#[expect(dead_code, reason = "what it refuses is tested elsewhere")]
mod helm;
mod injector;
mod meshed;
mod modes;
mod mutual;
#[path = "../support/objects.rs"]
#[expect(dead_code, reason = "not every test needs all of it")]
mod objects;
mod others;
#[path = "../support/permissive.rs"]
mod permissive;
mod plane;
#[path = "../support/private_network.rs"]
#[expect(dead_code, reason = "no certificates in files here")]
mod private_network;
#[path = "../support/program.rs"]
#[expect(dead_code, reason = "programs without input")]
mod program;
mod proxy;
#[path = "../support/raw_http.rs"]
#[expect(dead_code, reason = "not every test needs all of it")]
mod raw_http;
#[path = "../support/rbac.rs"]
#[expect(dead_code, reason = "one installation is enough")]
mod rbac;
mod requests;
#[path = "../support/same_requests.rs"]
#[expect(dead_code, reason = "the page is written elsewhere")]
mod same_requests;
mod secrets;
#[path = "../support/server.rs"]
#[expect(dead_code, reason = "signals and health are tested elsewhere")]
mod server;
#[path = "../bypass/suite.rs"]
#[expect(dead_code, reason = "the suite itself is tested elsewhere")]
mod suite;
mod traps;
mod tricks;
#[path = "../support/upstream.rs"]
#[expect(dead_code, reason = "bodies are tested elsewhere")]
mod upstream;
#[path = "../bypass/upstreams.rs"]
#[expect(dead_code, reason = "the suite itself is tested elsewhere")]
mod upstreams;
mod world;

/// The host that the bypass suite attacks.
const HOST: &str = "paths.example.com";
