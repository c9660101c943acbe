//! Any bytes for `archive`: see `evenkeel::engine::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| evenkeel::engine::fuzz::feed("archive", input));
