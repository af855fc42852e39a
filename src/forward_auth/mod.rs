//! The side that faces proxies which ask over plain HTTP: Traefik's `ForwardAuth`, nginx' `auth_request`, Caddy's
//! `forward_auth`, and Envoy's `http_service`.
//!
//! Such a proxy describes a request in headers, and whatever can send headers could describe another one. So one listener
//! speaks one [`dialect`], which is said aloud and never guessed; it answers peers that are named and nobody else; and what
//! is missing, repeated, spelled in a second way or contradictory is refused ([`original`]). The decision is the one that a
//! check over gRPC gets; what of its answer a proxy can carry is told in [`answer`].

pub mod dialect;
pub mod server;

mod answer;
mod original;
