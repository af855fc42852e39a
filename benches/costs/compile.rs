//! `compile`: 10,000 policies with 100,000 routes, from nothing, and when one of them changed.

use std::cell::LazyCell;
use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion};
use entrance::api::compile::Compiler;
use entrance::api::settings::Settings;

use crate::resources::{Size, policy};
use crate::token::Minter;
use crate::world::{NOW, object, resources};

/// The size of the bar.
const LARGE: Size = Size { policies: 10_000, routes: 10, one_host: false };

pub(crate) fn compile(c: &mut Criterion) {
    let minter = Minter::new(NOW.0);
    let settings = Settings::default();
    let mut group = c.benchmark_group("compile");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    // made only if the filter asks for them
    let all = LazyCell::new(|| resources(&minter, LARGE));
    group.bench_function("10000_policies", |b| {
        let all = &*all;
        b.iter_batched(
            Compiler::default,
            |mut compiler| (compiler.compile(all, &settings), compiler),
            BatchSize::PerIteration,
        );
    });

    group.bench_function("one_changed", |b| {
        let (mut all, mut compiler, mut count) = (all.clone(), Compiler::default(), 0_u64);
        black_box(compiler.compile(&all, &settings));
        b.iter_batched(
            || {
                count += 1;
                let mut changed = policy(5_000, LARGE);
                changed["spec"]["routes"][0]["path"] = format!("/changed-{count}").into();
                all.put(object(changed));
                all.clone()
            },
            |resources| (compiler.compile(&resources, &settings), resources),
            BatchSize::PerIteration,
        );
    });
}
