//! How often one check allocates, from the bytes of the message to those of the answer.
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
use entrance::authorize::Authorizer;
use entrance::clock::FixedClock;
use entrance::envoy::service::{Limits, Service};
use entrance::metrics::Metrics;
use entrance::recorder::Surroundings;
use futures_util::FutureExt as _;

use check::message;
use resources::PATH;
use world::{Bench, Forgets, NOW, SMALL};

/// A service and the checks of as many tokens as it is asked for.
fn service(bench: &Bench) -> Service<Authorizer> {
    assert!(bench.compiled.faults.is_empty());
    let surroundings = Surroundings {
        audit: Arc::new(Forgets),
        metrics: Arc::new(Metrics::default()),
        clock: Arc::new(FixedClock(NOW)),
    };
    Service::new(Arc::clone(&bench.authorizer), surroundings, Limits::default())
}

fn answer(service: &Service<Authorizer>, message: Bytes) -> Bytes {
    let answer = service.answer(Some(message), Duration::from_secs(1)).now_or_never().unwrap();
    // dynamic metadata first, then `ok_response`: a refusal would name its status before that
    assert!(answer.windows(19).any(|window| window == b"allow_entry_matched"));
    answer
}

#[test]
fn a_check_with_a_remembered_token_allocates_at_most_ten_times() {
    let bench = Bench::new(SMALL);
    let service = service(&bench);
    let message = Bytes::from(message(PATH, &bench.minter.token(0)));
    // what is the same for all requests of a caller is kept from the second one on
    for _ in 0..2 {
        answer(&service, message.clone());
    }
    let counted = allocation_counter::measure(|| drop(answer(&service, message.clone())));
    assert!(
        (1..=10).contains(&counted.count_total),
        "{} allocations, {} bytes",
        counted.count_total,
        counted.bytes_total
    );
}

/// What is remembered of a token is more than the caches hold, so that each block of memory is a wait.
#[test]
fn a_check_with_a_new_token_allocates_at_most_thirty_times() {
    let bench = Bench::new(SMALL);
    let service = service(&bench);
    let [first, second] = [0, 1].map(|number| Bytes::from(message(PATH, &bench.minter.token(number))));
    answer(&service, first);
    let counted = allocation_counter::measure(|| drop(answer(&service, second.clone())));
    assert!(
        (1..=30).contains(&counted.count_total),
        "{} allocations, {} bytes",
        counted.count_total,
        counted.bytes_total
    );
}
