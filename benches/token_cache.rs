//! Which map holds verified tokens? Hits of a hot set, from one thread and beside a second busy one, by candidate.
//!
//! The price that matters is a hit under contention: every cached request pays it. Eviction differs between the
//! candidates and is judged in `docs/decisions/0002-token-cache.md`.
#![expect(clippy::expect_used, reason = "a bench that cannot go on ends")]
#![expect(clippy::arithmetic_side_effects, reason = "small numbers")]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use criterion::{Criterion, criterion_group, criterion_main};

const HOT: u64 = 1_000;
const CAPACITY: usize = 10_000;

trait Candidate: Send + Sync + 'static {
    fn put(&self, key: u64, value: Arc<[u8]>);
    fn hit(&self, key: u64) -> Option<Arc<[u8]>>;
}

struct Papaya(papaya::HashMap<u64, Arc<[u8]>, foldhash::quality::RandomState>);
struct Moka(moka::sync::Cache<u64, Arc<[u8]>, foldhash::quality::RandomState>);
struct Quick(quick_cache::sync::Cache<u64, Arc<[u8]>>);

impl Candidate for Papaya {
    fn put(&self, key: u64, value: Arc<[u8]>) {
        self.0.pin().insert(key, value);
    }
    fn hit(&self, key: u64) -> Option<Arc<[u8]>> {
        self.0.pin().get(&key).cloned()
    }
}

impl Candidate for Moka {
    fn put(&self, key: u64, value: Arc<[u8]>) {
        self.0.insert(key, value);
    }
    fn hit(&self, key: u64) -> Option<Arc<[u8]>> {
        self.0.get(&key)
    }
}

impl Candidate for Quick {
    fn put(&self, key: u64, value: Arc<[u8]>) {
        self.0.insert(key, value);
    }
    fn hit(&self, key: u64) -> Option<Arc<[u8]>> {
        self.0.get(&key)
    }
}

fn fill(candidate: &dyn Candidate) {
    for key in 0..HOT {
        candidate.put(key, Arc::from([0_u8; 64].as_slice()));
    }
}

fn measure(c: &mut Criterion, name: &str, candidate: Arc<dyn Candidate>) {
    fill(candidate.as_ref());
    let mut next = 0_u64;
    c.bench_function(&format!("token_cache/{name}/alone"), |b| {
        b.iter(|| {
            next = (next + 1) % HOT;
            black_box(candidate.hit(next))
        });
    });
    let stop = Arc::new(AtomicBool::new(false));
    let neighbour = {
        let (candidate, stop) = (Arc::clone(&candidate), Arc::clone(&stop));
        std::thread::spawn(move || {
            let mut key = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                key = (key + 7) % HOT;
                black_box(candidate.hit(key));
            }
        })
    };
    c.bench_function(&format!("token_cache/{name}/beside_another"), |b| {
        b.iter(|| {
            next = (next + 1) % HOT;
            black_box(candidate.hit(next))
        });
    });
    stop.store(true, Ordering::Relaxed);
    neighbour.join().expect("the neighbour only reads");
}

fn caches(c: &mut Criterion) {
    measure(c, "papaya", Arc::new(Papaya(papaya::HashMap::with_hasher(foldhash::quality::RandomState::default()))));
    let moka = moka::sync::Cache::builder()
        .max_capacity(CAPACITY as u64)
        .build_with_hasher(foldhash::quality::RandomState::default());
    measure(c, "moka", Arc::new(Moka(moka)));
    measure(c, "quick_cache", Arc::new(Quick(quick_cache::sync::Cache::new(CAPACITY))));
}

criterion_group!(benches, caches);
criterion_main!(benches);
