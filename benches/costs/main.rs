//! What each step of a decision costs: `cargo bench --bench costs`, or `-- token` for one group.
//!
//! Groups: `path`, `route`, `decide`, `token`, `check`, `compile`, `attached`. The bars are ratios within one run, and
//! `docs/performance.md` says which. What a check costs on the wire, against a server that always allows, is measured by
//! `tools/bench_floor.py`.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench that cannot go on ends")]
#![expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "small numbers")]

#[path = "../world/check.rs"]
mod check;
#[path = "../world/resources.rs"]
mod resources;
#[path = "../world/rsa.rs"]
mod rsa;
#[path = "../../tests/support/signer.rs"]
mod signer;
#[path = "../world/token.rs"]
mod token;

mod attached;
mod compile;
mod decide;
mod lines;
mod path;
mod route;
mod verify;
mod world;

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

fn settings() -> Criterion {
    Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .without_plots()
}

criterion_group! {
    name = benches;
    config = settings();
    targets = path::path, route::route, decide::decide, verify::token, decide::check, compile::compile, attached::compile
}
criterion_main!(benches);
