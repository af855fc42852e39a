//! The seeds of `fuzz/corpus`, and a short run of mutations of them, through the entry functions of the fuzz targets.
//!
//! The run is the same every time; `ENTRANCE_FUZZ_SEED` and `ENTRANCE_FUZZ_RUNS` (a factor) take it elsewhere. What
//! fails is printed as a byte string: it belongs into the corpus, under a name that says what it is.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    reason = "what does not hold panics"
)]
#![expect(clippy::indexing_slicing, clippy::string_slice, reason = "what does not hold panics")]
#![expect(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "small numbers, and overflow panics"
)]
#![expect(clippy::disallowed_methods, reason = "a run takes its seed from the environment and measures time")]

#[path = "../fuzz/src/lib.rs"]
pub mod entries;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use bytes::Bytes;
use entrance::token::credential;
use entries::{TARGETS, Target};

/// Longest mutated input.
const LONGEST: usize = 20 * 1024;

fn corpus(target: &Target) -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target.name);
    let mut seeds: Vec<(String, Vec<u8>)> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()))
        .collect();
    seeds.sort();
    assert!(seeds.len() >= 10, "{} has a corpus", target.name);
    seeds
}

fn try_on(target: &Target, input: &[u8], origin: &str) {
    let tried = catch_unwind(AssertUnwindSafe(|| (target.entry)(input)));
    assert!(tried.is_ok(), "target {}, {origin}, input b\"{}\"", target.name, input.escape_ascii());
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `end`; 0 if that is 0.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % (end.max(1) as u64)) as usize
    }

    /// A part of something of this length.
    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let (one, other) = (self.below(length + 1), self.below(length + 1));
        one.min(other)..one.max(other)
    }
}

/// Changes an input in one to four places.
fn mutated(random: &mut Random, seeds: &[(String, Vec<u8>)], words: &[&str]) -> Vec<u8> {
    let mut input = seeds[random.below(seeds.len())].1.clone();
    for _ in 0..=random.below(4) {
        let at = random.below(input.len());
        match random.below(7) {
            0 if !input.is_empty() => input[at] ^= 1 << random.below(8),
            1 if !input.is_empty() => input[at] = random.next() as u8,
            2 => {
                let part = random.range(input.len());
                input.drain(part);
            }
            3 => {
                let part = input[random.range(input.len())].to_vec();
                input.splice(at..at, part);
            }
            4 => {
                let other = &seeds[random.below(seeds.len())].1;
                let part = other[random.range(other.len())].to_vec();
                let replaced = random.range(input.len());
                input.splice(replaced, part);
            }
            _ => {
                let word = words[random.below(words.len())].bytes();
                let end = at + random.below(input.len() - at + 1).min(word.len());
                input.splice(at..end, word);
            }
        }
        input.truncate(LONGEST);
    }
    input
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

fn run(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let seeds = corpus(target);
    for (name, seed) in &seeds {
        try_on(target, seed, &format!("seed {name}"));
    }
    let start = number("ENTRANCE_FUZZ_SEED", 1);
    let runs = u64::from(target.runs) * number("ENTRANCE_FUZZ_RUNS", 1);
    let mut random = Random(start);
    for at in 0..runs {
        let input = mutated(&mut random, &seeds, target.words);
        try_on(target, &input, &format!("ENTRANCE_FUZZ_SEED={start}, run {at}"));
    }
}

macro_rules! targets {
    ($($name:ident)+) => {
        $(#[test] fn $name() { run(stringify!($name)); })+

        #[test]
        fn every_target_runs_here_and_in_the_fuzzer() {
            let here = [$(stringify!($name)),+];
            assert_eq!(TARGETS.iter().map(|target| target.name).collect::<Vec<_>>(), here);
            let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
            let readme = std::fs::read_to_string(fuzz.join("README.md")).unwrap();
            let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
            for name in here {
                let wrapper = std::fs::read_to_string(fuzz.join(format!("fuzz_targets/{name}.rs"))).unwrap();
                assert!(wrapper.contains(&format!("run(\"{name}\", data)")), "{name}");
                assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
                assert!(readme.contains(&format!("| `{name}` |")), "{name}");
            }
        }
    };
}

targets! { token claims jwks metadata check_request path host template condition resources review yaml }

/// Properties that hold because nobody is ever let through would prove nothing.
#[test]
fn what_is_genuine_and_sound_gets_through() {
    let read = |target: &str, seed: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target).join(seed);
        std::fs::read(path).unwrap()
    };
    for value in entries::token::GENUINE {
        let headers = vec![(Bytes::from_static(b"authorization"), Bytes::from(value))];
        let raw = credential(&headers).unwrap();
        assert!(entries::token::judge(&raw, &entries::world::PROFILE).is_ok());
    }
    for seed in ["user", "app", "user-v1", "access-token-type", "scopes-with-spaces"] {
        assert!(entries::claims::accepted(&read("claims", seed)), "{seed}");
    }
    let checks =
        ["a-user-reads", "a-workload-writes", "anonymous", "anonymous-on-a-wildcard", "raw-headers", "preflight"];
    for seed in checks {
        assert!(entries::check::permits(&read("check_request", seed)), "{seed}");
    }
    let conditions = [
        ("header", Some(true)),
        ("query", Some(true)),
        ("regex", Some(true)),
        ("filter-and-map", Some(true)),
        ("office-hours", Some(true)),
        ("own-object", Some(false)),
        ("as-deep-as-allowed", Some(true)),
        ("sum-as-deep-as-allowed", Some(true)),
        ("lists-as-deep-as-allowed", Some(false)),
        ("calls-as-deep-as-allowed", None),
        ("forbidden-claim", None),
        ("large-regex", None),
        ("pattern-of-the-request", None),
        ("text-that-grows-in-a-loop", None),
        ("a-secret-header", None),
    ];
    for (seed, expected) in conditions {
        let source = String::from_utf8(read("condition", seed)).unwrap();
        assert_eq!(entries::condition::says(&source), expected, "{seed}");
    }
    // GET with each of two tokens on /healthz, GET with the user's on an order, POST with the workload's on a job
    assert_eq!(entries::resources::permits(&read("resources", "sound")), 4);
    assert_eq!(entries::resources::permits(&read("resources", "attached")), 4);
    assert_eq!(entries::resources::permits(&read("resources", "attached-to-nothing")), 0);
    assert_eq!(entries::resources::permits(&read("resources", "broken-entry")), 3);
    assert_eq!(entries::resources::permits(&read("resources", "broken-host")), 0);
}
