//! See `review` in README.md.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| entrance_fuzz::run("review", data));
