//! How long it takes until something that failed is tried again: longer each time, up to a limit.
//!
//! Owns: the one computation of such pauses. Never does: counting failures, reading a clock, drawing the random number
//! that spreads a pause (it is handed in).

use std::time::Duration;

/// The pauses of one kind of thing that is tried again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure.
    pub first: Duration,
    pub longest: Duration,
    /// Each pause is so many times the one before.
    pub factor: u32,
}

impl Backoff {
    /// After so many failures in a row.
    pub fn pause(self, failures: u32) -> Duration {
        let factor = self.factor.saturating_pow(failures.saturating_sub(1));
        self.first.saturating_mul(factor).min(self.longest)
    }
}

/// Between nine tenths and eleven tenths of the pause, so that many who failed at once do not come back at once.
/// `jitter` is between 0 and 1.
pub fn spread(pause: Duration, jitter: f64) -> Duration {
    let tenth = pause / 10;
    pause - tenth + tenth.mul_f64(2.0 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOUBLED: Backoff = Backoff { first: Duration::from_secs(5), longest: Duration::from_secs(600), factor: 2 };

    #[test]
    fn a_backoff_is_longer_after_each_failure_up_to_the_longest() {
        let seconds: Vec<u64> = (1..=9).map(|failures| DOUBLED.pause(failures).as_secs()).collect();
        assert_eq!(seconds, [5, 10, 20, 40, 80, 160, 320, 600, 600]);
        let fourfold = Backoff { factor: 4, ..DOUBLED };
        assert_eq!([1, 2, 3].map(|failures| fourfold.pause(failures).as_secs()), [5, 20, 80]);
        assert_eq!((DOUBLED.pause(0), DOUBLED.pause(u32::MAX)), (DOUBLED.first, DOUBLED.longest));
    }

    #[test]
    fn a_backoff_is_spread_by_a_tenth_and_no_more() {
        let spreads = [-1.0, 0.0, 0.5, 1.0, 7.0].map(|jitter| spread(Duration::from_secs(10), jitter).as_millis());
        assert_eq!(spreads, [9_000, 9_000, 10_000, 11_000, 11_000]);
        assert_eq!(spread(Duration::ZERO, 1.0), Duration::ZERO);
    }
}
