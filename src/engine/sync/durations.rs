//! How long each part of a sync took, for the log.

use std::{future::Future, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::debug;

/// What a sync is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Reading the commit, and fetching what it takes from elsewhere; builds too.
    Read,
    /// Looking at the hosts.
    Probe,
    Plan,
    /// Carrying the plan out.
    Apply,
    /// Writing to the history.
    Record,
}

/// The parts of one sync so far.
pub struct SyncDurations {
    began: Instant,
    spent: Mutex<[Duration; 5]>,
}

impl SyncDurations {
    pub fn begin() -> Self {
        Self { began: Instant::now(), spent: Mutex::default() }
    }

    /// Counts a span as spent on the part.
    pub fn spend(&self, part: Part, span: Duration) {
        self.spent.lock()[part as usize] += span;
    }

    /// Awaits `future` as the part.
    pub async fn timed<T>(&self, part: Part, future: impl Future<Output = T>) -> T {
        let began = Instant::now();
        // On the heap, as in `host::waits`.
        let output = Box::pin(future).await;
        self.spend(part, began.elapsed());
        output
    }

    /// Does `work` as the part.
    pub fn done<T>(&self, part: Part, work: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let output = work();
        self.spend(part, began.elapsed());
        output
    }

    /// The sync has ended: its parts go to the log, in milliseconds.
    pub fn tell(&self) {
        let ms = |span: Duration| span.as_millis() as u64;
        let [read_ms, probe_ms, plan_ms, apply_ms, record_ms] = self.spent.lock().map(ms);
        debug!(read_ms, probe_ms, plan_ms, apply_ms, record_ms, total_ms = ms(self.began.elapsed()), "sync ended");
    }
}
