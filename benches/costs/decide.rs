//! `decide`: from a request to a decision, the token known. `check`: from the bytes of a check to those of its answer.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::Criterion;
use entrance::authorize::ports::{Decide as _, Outcome};
use entrance::clock::FixedClock;
use entrance::envoy::service::{Limits, Service};
use entrance::metrics::Metrics;
use entrance::recorder::Surroundings;
use entrance::request::{Named, Request};
use futures_util::FutureExt as _;

use crate::check::{HOST, message};
use crate::lines::headers;
use crate::resources::PATH;
use crate::world::{Bench, Forgets, NOW, SMALL};

pub(crate) fn decide(c: &mut Criterion) {
    let bench = Bench::new(SMALL);
    let headers = headers(&bench.minter.token(0));
    let mut group = c.benchmark_group("decide");
    let cases = [("allowed", PATH, Outcome::Allow), ("no_route", "/nothing/here", Outcome::Deny)];
    for (name, path, expected) in cases {
        let (method, host, target) = (Bytes::from("GET"), Bytes::from(HOST), Bytes::from(path));
        let request =
            Request { method: &method, host: &host, target: &target, headers: &headers, named: Named::default() };
        let decided = || bench.authorizer.try_decide(black_box(&request)).unwrap_or_else(|_| panic!("keys are static"));
        assert_eq!(Outcome::of(&decided().verdict).0, expected, "{name}");
        group.bench_function(name, |b| b.iter(|| black_box(decided())));
    }
}

pub(crate) fn check(c: &mut Criterion) {
    let bench = Bench::new(SMALL);
    let message = Bytes::from(message(PATH, &bench.minter.token(0)));
    let surroundings = Surroundings {
        audit: Arc::new(Forgets),
        metrics: Arc::new(Metrics::default()),
        clock: Arc::new(FixedClock(NOW)),
    };
    let service = Service::new(Arc::clone(&bench.authorizer), surroundings, Limits::default());
    let mut group = c.benchmark_group("check");
    group.throughput(criterion::Throughput::Bytes(message.len() as u64));
    group.bench_function("cached", |b| {
        b.iter(|| service.answer(Some(message.clone()), Duration::from_secs(1)).now_or_never());
    });
}
