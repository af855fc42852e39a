//! Entrance: who may reach which route of which API.
//!
//! Storeys, from the top; imports go down only: `cli` starts things; `envoy`, `forward_auth`, `entra`, `files`, `cluster`,
//! `delivery`, `admin`, `emulator`, `demo` and `bypass` each speak to one outside world and never to each other; `doctor`
//! judges what proxies are told; `recorder`, `authorize`, `audit` and `metrics` are the corridor from a request to a recorded
//! decision, `answer` is what every proxy is told, and `listen` and `tls` are what ports of our own have in common; `api` holds the resources and the one compiler; `policy` and
//! `token` are pure and do not know each other; `request`, `identity`, `reason` and `clock` are the words they share.

pub mod admin;
pub mod admission;
pub mod answer;
pub mod api;
pub mod audit;
pub mod authorize;
pub mod bypass;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod delivery;
#[cfg(feature = "emulator")]
pub mod demo;
pub mod doctor;
#[cfg(feature = "emulator")]
pub mod emulator;
pub mod entra;
pub mod envoy;
pub mod files;
pub mod forward_auth;
pub mod identity;
pub mod listen;
pub mod metrics;
pub mod policy;
pub mod reason;
pub mod recorder;
pub mod request;
pub mod tls;
pub mod token;
