//! `path`: one reading of a path.

use std::hint::black_box;

use criterion::Criterion;
use entrance::policy::path::Canonical;

/// Paths of every kind, with the name of each.
const PATHS: [(&str, &str); 4] = [
    ("plain", "/orders/4711?expand=lines"),
    ("long", "/api/v2/customers/4711/orders/2026/11/lines/17/attachments/scan-0001.pdf"),
    ("escaped", "/files/M%C3%BCnchen/%7Eannual%20report.pdf"),
    ("ambiguous", "/orders/..%2fadmin"),
];

pub(crate) fn path(c: &mut Criterion) {
    let mut group = c.benchmark_group("path");
    for (name, target) in PATHS {
        group.bench_function(name, |b| b.iter(|| Canonical::parse(black_box(target.as_bytes())).is_ok()));
    }
}
