//! Waiting longer after each failure.

use std::time::Duration;

use super::Millis;
use crate::model::backoff::{self, Backoff};

const BACKOFF: Backoff = Backoff { first: Duration::from_secs(2), longest: Duration::from_secs(300), factor: 2 };

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
        self.until = now + spread(BACKOFF.pause(self.failures).as_millis() as Millis, jitter);
        self.until
    }
}

pub(super) fn spread(pause: Millis, jitter: f64) -> Millis {
    backoff::spread(Duration::from_millis(pause), jitter).as_millis() as Millis
}
