//! How long a host that is out of reach is waited for.
//!
//! Keeps true: it counts from when the host was heard last, however often it was lost before; a host that is heard
//! and lost again and again is given up too, once what it was asked should long be done.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::HostError;

/// Between two attempts to reach a host.
const AGAIN: Duration = Duration::from_millis(500);

/// With one host, that is asked the same until it answers.
pub struct LossTimer {
    lost_after: Duration,
    limit: Duration,
    began: Instant,
    /// When the host was heard last; at first, when it was asked.
    heard: Instant,
}

impl LossTimer {
    /// A host counts as lost when it was not heard for `lost_after`. After `limit` it is not asked again.
    pub fn new(lost_after: Duration, limit: Duration) -> Self {
        let began = Instant::now();
        Self { lost_after, limit, began, heard: began }
    }

    /// The host has answered.
    pub fn hears(&mut self) {
        self.heard = Instant::now();
    }

    /// Whether the host is to be asked again after this error; a moment has passed then.
    pub async fn outlasts(&mut self, error: &HostError) -> bool {
        if let HostError::Lost { heard: Some(heard), .. } = error {
            self.heard = self.heard.max(*heard);
        }
        let lasts = error.may_pass() && self.heard.elapsed() < self.lost_after && self.began.elapsed() < self.limit;
        if lasts {
            sleep(AGAIN).await;
        }
        lasts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOST_AFTER: Duration = Duration::from_secs(60);
    const LIMIT: Duration = Duration::from_secs(900);

    fn lost(heard: Option<Instant>) -> HostError {
        HostError::Lost { doing: "waiting", why: "it is away".to_owned(), heard }
    }

    /// For how many seconds it is asked again after such errors.
    async fn lasts(loss_timer: &mut LossTimer, error: impl Fn() -> HostError) -> u64 {
        let began = Instant::now();
        while loss_timer.outlasts(&error()).await {}
        began.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_is_waited_for_from_when_it_was_heard_last_and_not_from_the_first_blink() {
        let mut loss_timer = LossTimer::new(LOST_AFTER, LIMIT);
        assert!(loss_timer.outlasts(&lost(Some(Instant::now()))).await, "the first blink");
        sleep(Duration::from_secs(210)).await;
        assert!(loss_timer.outlasts(&lost(Some(Instant::now()))).await, "the second, minutes later");
        sleep(Duration::from_secs(210)).await;
        loss_timer.hears();
        assert_eq!(lasts(&mut loss_timer, || lost(None)).await, 60);
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_was_never_heard_is_lost_in_time() {
        assert_eq!(lasts(&mut LossTimer::new(LOST_AFTER, LIMIT), || lost(None)).await, 60);
        let began = Instant::now();
        let refused = HostError::NoRoot { why: "sudo asks for a password".to_owned() };
        assert!(!LossTimer::new(LOST_AFTER, LIMIT).outlasts(&refused).await, "waiting mends nothing");
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_is_lost_again_each_time_is_given_up_at_last() {
        let mut loss_timer = LossTimer::new(LOST_AFTER, LIMIT);
        assert_eq!(lasts(&mut loss_timer, || lost(Some(Instant::now()))).await, 900);
    }
}
