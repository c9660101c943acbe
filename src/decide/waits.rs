//! Waiting longer after each failure.

use super::Millis;

/// The first pause after a failure; each further one doubles it.
const FIRST: Millis = 2_000;
const LONGEST: Millis = 300_000;

/// Something that failed, and when it is tried again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Wait {
    pub failures: u32,
    pub until: Millis,
}

impl Wait {
    /// One failure more. Answers when to try again.
    pub fn longer(&mut self, now: Millis, jitter: f64) -> Millis {
        self.failures += 1;
        self.until = now + spread(pause(self.failures), jitter);
        self.until
    }
}

fn pause(failures: u32) -> Millis {
    FIRST.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(LONGEST)
}

/// Between nine tenths and eleven tenths of the pause.
pub(super) fn spread(pause: Millis, jitter: f64) -> Millis {
    let tenth = pause / 10;
    pause - tenth + (2.0 * jitter.clamp(0.0, 1.0) * tenth as f64) as Millis
}
