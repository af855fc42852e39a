//! Kubernetes: the API server as the place where intent is declared.
//!
//! `mirror` keeps a copy of the resources that concern us and publishes it whole; nothing here judges them. `review` says
//! who holds a service-account token, `lease` which replica writes, `board` what the others tell it, `conditions` and `ancestors` what a
//! status says, `statuses` what stands and is put there. An API server that is
//! away takes nothing along: what was mirrored last stays, and says how old it is.

pub mod ancestors;
pub mod approval;
pub mod board;
pub mod bundle;
pub mod certificates;
pub mod client;
pub mod conditions;
pub mod document;
pub mod lease;
pub mod mirror;
mod refusals;
pub mod review;
pub mod statuses;
mod store;
pub mod version;
