//! Rules, routes and the one decision. Pure: no I/O, no clock, no tokens.
//!
//! `rules` is what the compiler hands over; `table` and `snapshot` merge it by host, `scope` by what a proxy names; `locate` finds the route that
//! speaks for a request; `decide` weighs its entries against the caller; `explain` tells how that went.

pub mod clause;
pub mod condition;
pub mod decide;
pub mod entry;
pub mod explain;
pub mod grant;
pub mod host;
pub mod locate;
pub mod method;
pub mod overrides;
pub mod path;
pub mod pins;
pub mod rules;
pub mod scope;
pub mod slot;
pub mod snapshot;
pub mod table;
pub mod template;
pub mod tree;
mod weigh;
