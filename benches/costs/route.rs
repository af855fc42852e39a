//! `route`: from host and path to the place that decides, by how many others there are.

use std::cell::LazyCell;
use std::hint::black_box;

use bytes::Bytes;
use criterion::Criterion;
use entrance::policy::locate::{Finding, locate};
use entrance::request::{Named, Request};

use crate::check::HOST;
use crate::lines::headers;
use crate::resources::{PATH, Size};
use crate::world::Bench;

/// Worlds by their number of routes, then by their number of hosts.
const SIZES: [(&str, Size); 5] = [
    ("routes/1", Size { policies: 1, routes: 0, one_host: true }),
    ("routes/1000", Size { policies: 10, routes: 100, one_host: true }),
    ("routes/100000", Size { policies: 500, routes: 200, one_host: true }),
    ("hosts/1", Size { policies: 1, routes: 10, one_host: false }),
    ("hosts/10000", Size { policies: 10_000, routes: 10, one_host: false }),
];

pub(crate) fn route(c: &mut Criterion) {
    let mut group = c.benchmark_group("route");
    for (name, size) in SIZES {
        // made only if the filter asks for it
        let bench = LazyCell::new(|| Bench::new(size));
        let (method, host, target) = (Bytes::from("GET"), Bytes::from(HOST), Bytes::from(PATH));
        let headers = headers("x");
        let request =
            Request { method: &method, host: &host, target: &target, headers: &headers, named: Named::default() };
        group.bench_function(name, |b| {
            let snapshot = &bench.compiled.snapshot;
            assert!(matches!(locate(snapshot, &request).enforcing, Finding::Protected(_)), "{name}");
            b.iter(|| black_box(locate(snapshot, black_box(&request))));
        });
    }
}
