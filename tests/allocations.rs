//! How often one check with a remembered token allocates, from the bytes of the message to those of the answer.
//!
//! The bar is ten beyond what the HTTP/2 server needs anyway. What is counted here includes what any server would need
//! for this message, such as the list of its headers.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]
#![expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "a test may fail")]

#[path = "../benches/world/check.rs"]
mod check;
#[path = "../benches/world/resources.rs"]
mod resources;
#[path = "support/signer.rs"]
mod signer;
#[path = "../benches/world/token.rs"]
mod token;
#[path = "../benches/costs/world.rs"]
mod world;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use entrance::clock::FixedClock;
use entrance::envoy::service::{Limits, Service, Surroundings};
use entrance::metrics::Metrics;
use futures_util::FutureExt as _;

use check::message;
use resources::PATH;
use world::{Bench, Forgets, NOW, SMALL};

#[test]
fn a_check_with_a_remembered_token_allocates_at_most_ten_times() {
    let bench = Bench::new(SMALL);
    assert!(bench.compiled.faults.is_empty());
    let surroundings = Surroundings {
        audit: Arc::new(Forgets),
        metrics: Arc::new(Metrics::default()),
        clock: Arc::new(FixedClock(NOW)),
    };
    let service = Service::new(Arc::clone(&bench.authorizer), surroundings, Limits::default());
    let message = Bytes::from(message(PATH, &bench.minter.token(0)));
    let answer = || service.answer(Some(message.clone()), Duration::from_secs(1)).now_or_never().unwrap();
    let first = answer();
    // dynamic metadata first, then `ok_response`: a refusal would name its status before that
    assert!(first.windows(19).any(|window| window == b"allow_entry_matched"));
    // what is the same for all requests of a caller is kept from the second one on
    drop(answer());
    let counted = allocation_counter::measure(|| drop(answer()));
    assert!(
        (1..=10).contains(&counted.count_total),
        "{} allocations, {} bytes",
        counted.count_total,
        counted.bytes_total
    );
}
