//! The side that faces Envoy, seen from Envoy: its own messages, its own calls.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail")]

mod answer;
mod connections;
mod decisions;
mod server;
mod service;
