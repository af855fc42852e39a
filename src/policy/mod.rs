//! Rules, routes and the one decision. Pure: no I/O, no clock, no tokens.

pub mod condition;
pub mod rules;
pub mod template;
