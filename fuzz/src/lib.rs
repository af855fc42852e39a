//! What strangers' bytes can do, one entry function per target: each asserts a property, not only that nothing panics.
//!
//! `fuzz_targets/` hands libFuzzer's inputs to [`run`]; `tests/fuzz_corpus.rs` of the main package includes this file,
//! replays `corpus/` and adds a short run of mutations. `README.md` says what each target proves.

pub mod check;
pub mod claims;
pub mod condition;
pub mod documents;
pub mod hosts;
pub mod paths;
pub mod resources;
pub mod review;
pub mod templates;
pub mod token;
pub mod world;
pub mod yaml;

/// One target.
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    /// Takes any bytes; panics if the property does not hold.
    pub entry: fn(&[u8]),
    /// Mutated inputs in the ordinary test run: fewer where one is dear.
    pub runs: u32,
    /// Words that mutations insert.
    pub words: &'static [&'static str],
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "token", entry: token::bearer, runs: 20_000, words: token::WORDS },
    Target { name: "claims", entry: claims::signed, runs: 3_000, words: claims::WORDS },
    Target { name: "jwks", entry: documents::jwks, runs: 20_000, words: documents::KEY_WORDS },
    Target { name: "metadata", entry: documents::metadata, runs: 20_000, words: documents::METADATA_WORDS },
    Target { name: "check_request", entry: check::request, runs: 20_000, words: check::WORDS },
    Target { name: "path", entry: paths::path, runs: 20_000, words: paths::WORDS },
    Target { name: "host", entry: hosts::host, runs: 20_000, words: hosts::WORDS },
    Target { name: "template", entry: templates::template, runs: 20_000, words: templates::WORDS },
    Target { name: "condition", entry: condition::condition, runs: 2_000, words: condition::WORDS },
    Target { name: "resources", entry: resources::resources, runs: 3_000, words: resources::WORDS },
    Target { name: "review", entry: review::review, runs: 5_000, words: review::WORDS },
    Target { name: "yaml", entry: yaml::yaml, runs: 10_000, words: yaml::WORDS },
];

/// Runs one target on one input.
///
/// # Panics
/// The property does not hold, or there is no such target.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target of the table");
    (target.entry)(data);
}
