//! Resources as users write them, and the one compiler that turns them into what is enforced.
//!
//! `object` is one resource as it came in; `read` walks it and gathers faults with their field paths; `application`,
//! `policy`, `claim`, `target`, `entry`, `grant` and `revocation` know the fields, `gateway` and `topology` what Gateway API
//! objects say of hosts; `compile` puts everything together: which policy owns which host, what a broken
//! part takes with it, and the [`Snapshot`](crate::policy::snapshot::Snapshot) that decides. Files, webhook, controller
//! and command line all come through here, so that what one accepts, the others enforce.
//!
//! State is a function of the set of objects and of nothing else: neither their order nor what was there before.

pub mod application;
mod claim;
pub mod compile;
mod elder;
pub mod entry;
pub mod fault;
pub mod field_path;
mod gateway;
pub mod grant;
mod guard;
pub mod hosts;
pub mod lint;
mod memo;
pub mod object;
mod opening;
mod owner;
pub mod policy;
pub mod read;
pub mod reference;
pub mod revocation;
pub mod schema;
mod scopes;
pub mod settings;
pub mod target;
mod topology;
