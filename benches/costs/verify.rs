//! `token`: a token that nobody has seen, against one bare RSA verification; and one that is remembered.

use std::hint::black_box;

use bytes::Bytes;
use criterion::Criterion;
use entrance::authorize::ports::Decide as _;
use entrance::identity::Guid;
use entrance::request::{Named, Request};
use entrance::token::{KeySource, RawToken, Version, inspect};

use crate::check::HOST;
use crate::lines::headers;
use crate::resources::PATH;
use crate::rsa::Bare;
use crate::token::TENANT;
use crate::world::{Bench, NOW, SMALL};

pub(crate) fn token(c: &mut Criterion) {
    let bench = Bench::new(SMALL);
    let token = bench.minter.token(0);
    let mut group = c.benchmark_group("token");

    let bare = Bare::new(&bench.minter);
    group.bench_function("rsa_alone", |b| b.iter(|| bare.verify()));

    let profile = &bench.compiled.profiles[0];
    let source = profile.source(Guid::parse(TENANT).unwrap(), Version::V2);
    let Some(KeySource::Static(authority)) = source else { panic!("the keys are static") };
    let raw = RawToken::new(Bytes::from(token.clone()));
    group.bench_function("inspect", |b| b.iter(|| inspect(black_box(&raw), profile).is_ok()));
    group.bench_function("new", |b| {
        b.iter(|| inspect(black_box(&raw), profile).unwrap().verify(authority, NOW).unwrap())
    });

    let (method, host, target) = (Bytes::from("GET"), Bytes::from(HOST), Bytes::from(PATH));
    let headers = headers(&token);
    let request = Request { method: &method, host: &host, target: &target, headers: &headers, named: Named::default() };
    group.bench_function("remembered", |b| b.iter(|| bench.authorizer.try_decide(black_box(&request)).is_ok()));
}
