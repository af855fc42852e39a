//! Envoy Gateway, the real one, with the real Envoy: that the files of `examples/envoy-gateway` put Entrance before every
//! route, and what its resources can take away again.
//!
//! Everything runs in a network of its own. Tests share the API server and Envoy Gateway; each has its Gateway, and so its
//! Envoy, its Entrance and its API.
#![cfg(feature = "emulator")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "a test that cannot go on fails")]
#![expect(clippy::indexing_slicing, reason = "a missing member fails the test")]
#![expect(clippy::arithmetic_side_effects, reason = "small numbers of a test")]

#[path = "support/api_server.rs"]
#[expect(dead_code, reason = "not every test needs all of it")]
mod api_server;
#[path = "mesh_eg/baseline.rs"]
mod baseline;
#[path = "mesh_eg/chart.rs"]
mod chart;
#[path = "support/children.rs"]
#[expect(dead_code, reason = "not every test needs all of it")]
mod children;
#[path = "support/envoy_process.rs"]
#[expect(dead_code, reason = "this Envoy is configured by Envoy Gateway")]
mod envoy_process;
#[path = "support/free_port.rs"]
mod free_port;
#[path = "support/golden.rs"]
mod golden;
#[path = "mesh_eg/grpc.rs"]
mod grpc;
#[path = "mesh_eg/guard.rs"]
mod guard;
#[path = "support/helm.rs"]
#[expect(dead_code, reason = "what is refused is tested elsewhere")]
mod helm;
#[path = "mesh_eg/https.rs"]
mod https;
#[path = "support/objects.rs"]
mod objects;
#[path = "mesh_eg/past.rs"]
mod past;
#[path = "mesh_eg/plane.rs"]
mod plane;
#[path = "support/pod.rs"]
#[expect(dead_code, reason = "the whole story is told elsewhere")]
mod pod;
#[path = "support/private_network.rs"]
mod private_network;
#[path = "support/program.rs"]
#[expect(dead_code, reason = "no files of its own")]
mod program;
#[path = "mesh_eg/proxy.rs"]
mod proxy;
#[path = "support/raw_http.rs"]
#[expect(dead_code, reason = "not every test needs all of it")]
mod raw_http;
#[path = "support/rbac.rs"]
#[expect(dead_code, reason = "the file as it stands is tested elsewhere")]
mod rbac;
#[path = "support/relay.rs"]
#[expect(dead_code, reason = "it is never cut here")]
mod relay;
#[path = "mesh_eg/requests.rs"]
mod requests;
#[path = "support/same_requests.rs"]
#[expect(dead_code, reason = "the page is written elsewhere")]
mod same_requests;
#[path = "mesh_eg/scene.rs"]
mod scene;
#[path = "support/server.rs"]
#[expect(dead_code, reason = "signals and health are tested elsewhere")]
mod server;
#[path = "mesh_eg/sidecar.rs"]
mod sidecar;
#[path = "bypass/suite.rs"]
#[expect(dead_code, reason = "not every test needs all of it")]
mod suite;
#[path = "mesh_eg/tls.rs"]
mod tls;
#[path = "mesh_eg/traps.rs"]
mod traps;
#[path = "support/upstream.rs"]
#[expect(dead_code, reason = "bodies are tested elsewhere")]
mod upstream;
#[path = "bypass/upstreams.rs"]
#[expect(dead_code, reason = "one of them is enough")]
mod upstreams;

/// The host of the rules that the bypass suite runs against.
const HOST: &str = "paths.example.com";
