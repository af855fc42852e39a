//! Kubernetes: the API server as the place where intent is declared.
//!
//! `mirror` keeps a copy of the resources that concern us and publishes it whole; nothing here judges them. An API server
//! that is away takes nothing along: what was mirrored last stays, and says how old it is.

pub mod client;
pub mod document;
pub mod mirror;
mod store;
