//! Conditions: one CEL expression of an entry.

/// A compiled CEL expression.
#[derive(Debug)]
pub struct Condition;
