//! The bypass suite against Entrance behind Envoy in front of six servers, and against those who deserve to be found out.
//!
//! docs/bypass.md tells the result; `ENTRANCE_UPDATE=1` writes it there.
#![cfg(feature = "emulator")]
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]
#![expect(clippy::indexing_slicing, reason = "a missing member fails the test")]
#![expect(clippy::arithmetic_side_effects, reason = "small numbers of a test")]

#[path = "../support/children.rs"]
#[expect(dead_code, reason = "CPU time is for benches")]
mod children;
#[path = "../support/entrance_process.rs"]
#[expect(dead_code, reason = "the suite changes nothing while it runs")]
mod entrance_process;
#[path = "../support/envoy_process.rs"]
#[expect(dead_code, reason = "one Entrance, on a port")]
mod envoy_process;
#[path = "../support/free_port.rs"]
mod free_port;
#[path = "../support/program.rs"]
#[expect(dead_code, reason = "runs without standard input")]
mod program;
#[path = "../support/proxy_process.rs"]
mod proxy_process;
#[path = "../support/raw_http.rs"]
#[expect(dead_code, reason = "the suite sends by itself")]
mod raw_http;
#[path = "../support/upstream.rs"]
#[expect(dead_code, reason = "upstreams are real servers here")]
mod upstream;

mod doubts;
mod fake;
mod naive;
mod others;
mod ours;
mod page;
mod proxies;
mod suite;
mod upstreams;

/// The host of the rules that are tried.
const HOST: &str = "paths.example.com";
