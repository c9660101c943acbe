//! GitHub's limits, and keeping to them.
//!
//! Keeps true: when GitHub says wait, every request waits, until the time that it named; writes go one after the
//! other, and begin a second apart. Never does: waiting long in silence; who would have to is told until when.
//!
//! <https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api>

use std::time::Duration;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use reqwest::{
    StatusCode,
    header::{self, HeaderMap},
};
use tokio::time::{Instant, sleep_until};

use super::error;
use crate::model::backoff::Backoff;

/// "Otherwise, wait for at least one minute before retrying."
/// <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit>
const UNNAMED: Duration = Duration::from_secs(60);

/// The times that are kept to.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// From the beginning of a write to the beginning of the next one.
    pub between_writes: Duration,
    /// The longest that a request waits until it may be sent at all.
    pub loss_timer: Duration,
    /// Until a request is sent again; each time four times as long, and a little at random.
    pub first_retry: Duration,
    /// For the whole of an answer.
    pub timeout: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            between_writes: Duration::from_secs(1),
            loss_timer: Duration::from_secs(60),
            first_retry: Duration::from_millis(500),
            timeout: Duration::from_secs(30),
        }
    }
}

impl Pace {
    /// Between the tries of one request.
    pub(super) fn backoff(&self) -> Backoff {
        Backoff { first: self.first_retry, longest: Duration::MAX, factor: 4 }
    }
}

/// What all requests pass.
pub(super) struct Gate {
    pace: Pace,
    /// Nothing is sent before.
    closed_until: Mutex<Option<Instant>>,
    /// When the last write began. Whoever writes holds it.
    wrote: tokio::sync::Mutex<Option<Instant>>,
}

/// The right to write. It ends when this is dropped.
pub(super) struct Turn<'a> {
    _wrote: tokio::sync::MutexGuard<'a, Option<Instant>>,
}

impl Gate {
    pub(super) fn new(pace: Pace) -> Self {
        Self { pace, closed_until: Mutex::default(), wrote: tokio::sync::Mutex::default() }
    }

    /// Waits until something may be sent. Where that is long, says how long.
    pub(super) async fn open(&self) -> Result<(), Duration> {
        loop {
            let until = *self.closed_until.lock();
            let Some(until) = until.filter(|until| *until > Instant::now()) else { return Ok(()) };
            let left = until - Instant::now();
            if left > self.pace.loss_timer {
                return Err(left);
            }
            sleep_until(until).await;
        }
    }

    /// Nothing is sent for as long.
    pub(super) fn close(&self, pause: Duration) {
        let mut closed = self.closed_until.lock();
        *closed = (*closed).max(Some(Instant::now() + pause));
    }

    /// Waits for the other writes, and for the time between two of them.
    pub(super) async fn turn(&self) -> Turn<'_> {
        let mut wrote = self.wrote.lock().await;
        if let Some(last) = *wrote {
            sleep_until(last + self.pace.between_writes).await;
        }
        *wrote = Some(Instant::now());
        Turn { _wrote: wrote }
    }
}

/// How long nothing may be sent after this answer, if it says so.
pub(super) fn pause(status: StatusCode, headers: &HeaderMap, body: &[u8], now: DateTime<Utc>) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u32>().ok();
    let refused = is_refusal(status);
    if refused && let Some(seconds) = number("retry-after") {
        return Some(Duration::from_secs(seconds.into()));
    }
    if number("x-ratelimit-remaining") == Some(0)
        && let Some(reset) = number("x-ratelimit-reset")
    {
        // By GitHub's clock: ours may differ. Both are in whole seconds.
        let date = headers.get(header::DATE).and_then(|date| DateTime::parse_from_rfc2822(date.to_str().ok()?).ok());
        let now = date.map_or(now, |date| date.with_timezone(&Utc));
        let left = i64::from(reset).saturating_sub(now.timestamp()).saturating_add(1);
        return Some(Duration::from_secs(left.max(1).unsigned_abs()));
    }
    let limited = status == StatusCode::TOO_MANY_REQUESTS
        || refused && error::said(body).is_some_and(|said| said.to_lowercase().contains("rate limit"));
    limited.then_some(UNNAMED)
}

/// Whether a limit may be the reason for an answer.
pub(super) fn is_refusal(status: StatusCode) -> bool {
    matches!(status, StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: u16, headers: &[(&'static str, &str)], body: &str) -> Option<u64> {
        let headers = headers
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), value.parse().expect("it is a header")))
            .collect();
        let now = DateTime::from_timestamp(1_000_000, 0).expect("it is a time");
        pause(StatusCode::from_u16(status).expect("it is a status"), &headers, body.as_bytes(), now)
            .map(|pause| pause.as_secs())
    }

    #[test]
    fn an_answer_says_how_long_to_wait() {
        assert_eq!(told(403, &[("retry-after", "7")], ""), Some(7));
        assert_eq!(told(429, &[("retry-after", "7")], ""), Some(7));
        let used_up = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1000030")];
        assert_eq!(told(403, &used_up, ""), Some(31));
        assert_eq!(told(200, &used_up, ""), Some(31), "the next one would be refused");
        assert_eq!(told(200, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "5")], ""), Some(1));
        let by_its_clock = [used_up[0], used_up[1], ("date", "Mon, 12 Jan 1970 13:47:00 GMT")];
        assert_eq!(told(403, &by_its_clock, ""), Some(11));
        assert_eq!(told(429, &[], ""), Some(60));
        assert_eq!(told(403, &[], r#"{"message":"You have exceeded a secondary rate limit."}"#), Some(60));
        assert_eq!(told(403, &[], r#"{"message":"Resource not accessible by integration"}"#), None);
        assert_eq!(told(200, &[("retry-after", "7"), ("x-ratelimit-remaining", "4999")], ""), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_write_goes_at_once_and_the_next_ones_a_second_apart() {
        let gate = Gate::new(Pace::default());
        let begun = Instant::now();
        for second in 0..3 {
            let _turn = gate.turn().await;
            assert_eq!(begun.elapsed().as_secs(), second);
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
        let begun = Instant::now();
        drop(gate.turn().await);
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_waits_for_the_one_before_it_to_end() {
        let gate = Gate::new(Pace::default());
        let turn = gate.turn().await;
        let next = tokio::time::timeout(Duration::from_secs(20), gate.turn());
        assert!(next.await.is_err());
        drop(turn);
        assert!(tokio::time::timeout(Duration::from_secs(20), gate.turn()).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_gate_is_waited_for_when_it_opens_soon() {
        let gate = Gate::new(Pace::default());
        let begun = Instant::now();
        gate.close(Duration::from_secs(50));
        gate.close(Duration::from_secs(5));
        assert_eq!(gate.open().await, Ok(()));
        assert!(begun.elapsed() >= Duration::from_secs(50), "the longest pause counts");
        gate.close(Duration::from_secs(3600));
        assert_eq!(gate.open().await, Err(Duration::from_secs(3600)));
    }
}
