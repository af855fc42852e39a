//! Admission: what the API server asks before it keeps an object.
//!
//! *Reviews* come over HTTPS (`server`), are read and answered (`review`), and judged by functions that know nothing but
//! their arguments: `validate` our own resources, `grant` who may lend roles, `inject` what a pod gets. What has to be
//! asked of the API server is behind [`desk::Cluster`].
//!
//! # What is promised
//! - **Nothing invalid gets in.** One compiler judges; what it refuses here no data plane would enforce.
//! - **No side effects.** Every answer is a function of the question and of what stands; a dry run is answered like any.
//! - **Fail closed.** What cannot be told now is refused, with the advice to try again, and never let in.
//! - **Nothing that works breaks.** An update that leaves the spec alone is never refused.

pub mod desk;
pub mod grant;
pub mod inject;
pub mod review;
pub mod server;
pub mod validate;
