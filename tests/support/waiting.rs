//! Waiting for what is to become so.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Longer than anything takes that works, on a slow and busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks until there is an answer.
#[track_caller]
pub fn wait_for<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    wait_for_or(what, ask, String::new)
}

/// As [`wait_for`]; where there is none, `instead` says what is known.
#[track_caller]
pub fn wait_for_or<T>(what: &str, mut ask: impl FnMut() -> Option<T>, instead: impl Fn() -> String) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "{what}: not within {} s; {}", PATIENCE.as_secs(), instead());
        thread::sleep(Duration::from_millis(20));
    }
}
