//! Any bytes for `state`: see `evenkeel::engine::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| evenkeel::engine::fuzz::feed("standing", input));
