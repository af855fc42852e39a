//! `compile`: 10,000 policies with 100,000 routes, from nothing, and when one of them changed.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion};
use entrance::api::compile::{Compiler, Settings};
use serde_json::json;

use crate::resources::{Size, policy};
use crate::token::Minter;
use crate::world::{NOW, object, resources};

/// The size of the bar.
const LARGE: Size = Size { policies: 10_000, routes: 10, one_host: false };

pub(crate) fn compile(c: &mut Criterion) {
    let mut resources = resources(&Minter::new(NOW.0), LARGE);
    let settings = Settings::default();
    let mut group = c.benchmark_group("compile");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    group.bench_function("10000_policies", |b| {
        b.iter_batched(
            Compiler::default,
            |mut compiler| (compiler.compile(&resources, &settings), compiler),
            BatchSize::PerIteration,
        );
    });

    let mut compiler = Compiler::default();
    black_box(compiler.compile(&resources, &settings));
    let mut count = 0_u64;
    group.bench_function("one_changed", |b| {
        b.iter_batched(
            || {
                count += 1;
                let mut changed = policy(5_000, LARGE);
                changed["metadata"]["labels"] = json!({ "count": count.to_string() });
                changed["spec"]["routes"][0]["path"] = format!("/changed-{count}").into();
                resources.put(object(changed));
                resources.clone()
            },
            |resources| (compiler.compile(&resources, &settings), resources),
            BatchSize::PerIteration,
        );
    });
}
