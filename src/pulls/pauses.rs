//! How long it takes until something about a pull request that did not work is tried again.

use std::time::Duration;

use crate::model::backoff::Backoff;

pub(super) const FIRST: Duration = Duration::from_secs(5);
pub(super) const LONGEST: Duration = Duration::from_secs(600);
const BACKOFF: Backoff = Backoff { first: FIRST, longest: LONGEST, factor: 2 };

/// The pauses of one thing that is tried again and again.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    failures: u32,
}

impl Pauses {
    /// The next one, after a failure.
    pub fn next(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        BACKOFF.pause(self.failures)
    }

    /// It did not work when it was tried last.
    pub fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// It worked, or there is a reason why it should now.
    pub fn begin_anew(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_longer_until_it_worked() {
        let mut pauses = Pauses::default();
        let seconds: Vec<u64> = (0..9).map(|_| pauses.next().as_secs()).collect();
        assert_eq!(seconds, [5, 10, 20, 40, 80, 160, 320, 600, 600]);
        pauses.begin_anew();
        assert_eq!(pauses.next(), FIRST);
    }
}
