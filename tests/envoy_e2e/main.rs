//! A client, a real Envoy, a real Entrance, an Entra stand-in and an API that keeps every byte it gets.
//!
//! What counts is what reaches the API: the answer to the client is one thing, a request that slipped through another.
//! Envoy runs with the files of `examples/envoy`. Most tests share one of three stacks; those that break something have
//! their own.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]
#![expect(clippy::indexing_slicing, reason = "a missing member fails the test")]
#![expect(clippy::arithmetic_side_effects, reason = "small numbers of a test")]

#[path = "../support/children.rs"]
#[expect(dead_code, reason = "CPU time is for benches")]
mod children;
#[path = "../support/entrance_process.rs"]
mod entrance_process;
#[path = "../support/envoy_process.rs"]
#[expect(dead_code, reason = "asking over HTTP is tested elsewhere")]
mod envoy_process;
#[path = "../support/free_port.rs"]
mod free_port;
#[path = "../support/h2_frames.rs"]
mod h2_frames;
#[path = "../support/load.rs"]
mod load;
#[path = "../support/raw_http.rs"]
mod raw_http;
#[path = "../support/stack.rs"]
mod stack;
#[path = "../support/upstream.rs"]
mod upstream;

mod answers;
mod canonical;
mod identity;
mod keys;
mod lifecycle;
mod paths;
mod readings;
mod reload;
mod scopes;
mod shared;
mod table;
