//! The corridor: from a request through token and rules to a decision, with keys that a test puts on the shelf.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::indexing_slicing, reason = "a missing member fails the test")]
#![expect(clippy::panic, reason = "a test that cannot go on fails")]

#[expect(dead_code, reason = "other tests ask for single reasons")]
#[path = "../support/rules.rs"]
mod rules;
#[path = "../support/signer.rs"]
mod signer;
#[expect(dead_code, reason = "the tests of tokens alone use the rest")]
#[path = "../support/token_world.rs"]
mod token_world;

mod cached;
mod keys;
mod lent;
mod revoked;
mod scene;
mod worlds;
