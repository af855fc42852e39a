//! The bypass suite: tricks against whatever stands between clients and an API, judged by what the API got.
//!
//! A *trick* is one or more requests as bytes on a socket that try to reach a protected *resource* without a permit: by a
//! path that two servers read differently, a header that somebody believes, a token that nobody checked, a message whose
//! end is not where it seems. Tricks belong to *families*. An *upstream* behind the proxy under test reports its
//! *arrivals*: which of its handlers ran, with what. What the client was answered hardly matters: a request that was
//! refused but arrived has arrived.
//!
//! ```text
//! tricks ──bytes──▶ proxy ──check──▶ any authorizer
//!   ▲                 │
//!   │ nonce           └──▶ upstream ──arrivals──▶ judge
//!   └───────────────────────────────────────────────┘
//! ```
//!
//! Each request carries a nonce in a header, so that arrivals find their trick whatever became of the path. There are two
//! nonces for a trick: one for requests that are permitted, with the right token, and a bare one for all others. A bare
//! arrival at a protected resource is a bypass; so is one without a nonce, and a permitted one that arrives twice.
//! A run counts only if it shows that it can reach both the open and the protected resource the right way, before the
//! tricks, between them and after them, and if the last report still has all of that: otherwise nothing was proved.
//!
//! The suite knows nothing of the authorizer but, for its statistics, a text by which its refusals are recognised. Tokens
//! are put into requests at the last moment, and never shown.

pub mod arrivals;
pub mod door;
pub mod family;
pub mod judge;
pub mod plan;
pub mod run;
pub mod script;
pub mod settings;
pub mod tokens;
pub mod trick;

mod answers;
mod controls;
mod evidence;
mod forge;
mod http1;
mod http2;
mod reply;
mod tricks;

use family::Family;

/// The suite could not be run, or would have proved nothing.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// The proxy under test does not take connections.
    #[error("`{address}` cannot be reached: {error}; `--target` is the proxy under test")]
    Unreachable {
        /// Where it should be.
        address: String,
        /// Why not.
        error: std::io::Error,
    },
    /// The upstream's report cannot be had.
    #[error("the report of the upstream at `{from}` cannot be read: {why}")]
    Report {
        /// Where it should be.
        from: String,
        /// Why not.
        why: String,
    },
    /// A line of the report is not an arrival.
    #[error("line {line} of the upstream's report is no arrival: {why}; docs/bypass.md describes them")]
    Line {
        /// Counted from 1.
        line: usize,
        /// Why not.
        why: String,
    },
    /// A request that must come through did not.
    #[error("{control} did not arrive at `{resource}` ({seen}){hint}: a suite that reaches nothing proves nothing")]
    Control {
        /// The request.
        control: String,
        /// Where it should have arrived.
        resource: String,
        /// What was answered.
        seen: String,
        /// What may help.
        hint: &'static str,
    },
    /// One of those between the tricks did not: the tricks beside it may have reached nothing, either.
    #[error(
        "{control}, sent behind the trick `{trick}`, did not arrive at `{resource}` ({seen}): meanwhile nothing was \
         proved; if the proxy or the upstream ends or bans clients because of a trick, find it with `--family` and \
         `--connections 1`, and use an upstream of examples/bypass; of several upstreams the report must tell of all"
    )]
    Interrupted {
        /// The request.
        control: String,
        /// Where it should have arrived.
        resource: String,
        /// What was answered.
        seen: String,
        /// Before it.
        trick: String,
    },
    /// The report has less than before.
    #[error(
        "the upstream's report no longer has {what}: it must keep everything until the run is over; did the upstream \
         start anew, was the report cut or rotated, or does it come from one of several upstreams?"
    )]
    Forgotten {
        /// What is gone.
        what: String,
    },
    /// A control arrived again.
    #[error(
        "{control} was sent once and arrived {times} times: the report tells of requests twice, or the proxy repeats them"
    )]
    Repeated {
        /// The request.
        control: String,
        /// How often it arrived.
        times: usize,
    },
    /// Requests keep arriving when none are sent.
    #[error("the upstream's report still grows although nothing is sent: does something else use the upstream?")]
    Restless,
    /// A family that was asked for has nothing to try.
    #[error("`--family {}` has nothing to try: {why}", family.id())]
    NoTricks {
        /// The family.
        family: Family,
        /// What it lacks.
        why: &'static str,
    },
    /// A key for forged tokens could not be made.
    #[error("the cryptographic library refused to make or use a key")]
    Forgery,
}
