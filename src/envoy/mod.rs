//! The side that faces Envoy: external authorization over gRPC, on a TCP port or a Unix socket.
//!
//! A check comes in as one HTTP/2 stream with one message. [`service`] takes the message apart without copying
//! ([`check`]), has it decided, and sends back what [`answer`] makes of the decision. Two rules shape everything here:
//!
//! - **The call always succeeds.** A failed call would fall under Envoy's `failure_mode_allow`, so a message that cannot
//!   be read, a server that is too busy, a deadline that is too near and a panic are all answered with a refusal.
//! - **An empty answer means yes to Envoy.** Only `answer.rs` makes answers, and it makes each of them from a verdict.

pub mod answer;
pub mod check;
pub mod server;
pub mod service;

mod budget;
mod facts;
mod frame;
mod greeting;
mod together;

mod proto {
    //! Generated from `proto/envoy_auth.proto`.
    #![expect(unreachable_pub, reason = "generated code")]

    include!(concat!(env!("OUT_DIR"), "/entrance.envoy.auth.rs"));
}
