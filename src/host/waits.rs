//! What is said of a wait, while it lasts.
//!
//! Owns: when a wait is said, and its fields. Keeps true: whatever lasts longer than five seconds is said, with where and
//! for what, and said again until it ends. Never does: ending a wait. Its limit is whoever waits.

use std::{future::Future, sync::mpsc, thread, time::Duration};

use tokio::time::{Instant, sleep_until};

use crate::model::event::logged;

/// The target of these records: whoever shows them to people knows them by it.
pub const TARGET: &str = "evenkeel::waits";

/// What takes no longer is nothing to speak of.
const FIRST: Duration = Duration::from_secs(5);
/// From then on at least so often.
const LAST: Duration = Duration::from_secs(60);

/// After how much waiting it is said next: after 5, 10, 20, 40 and 80 s, then each minute.
fn next(waited: Duration) -> Duration {
    if waited < FIRST { FIRST } else { waited + waited.min(LAST) }
}

/// Awaits `future`, and says meanwhile that `place` (an instance; empty: this machine) waits for `what`.
pub async fn said<T>(place: &str, what: impl Fn() -> String, future: impl Future<Output = T>) -> T {
    let began = Instant::now();
    said_since(place, || Some((what(), began)), future).await
}

/// As [`said`], where what is waited for changes: `now` answers what that is, and since when; none: nothing.
pub async fn said_since<T>(
    place: &str,
    now: impl Fn() -> Option<(String, Instant)>,
    future: impl Future<Output = T>,
) -> T {
    let mut said = (Instant::now(), Duration::ZERO);
    // On the heap: what is waited for is large, and many waits lie in one another.
    let mut future = Box::pin(future);
    loop {
        let since = now().map_or_else(Instant::now, |(_, since)| since);
        if said.0 != since {
            said = (since, Duration::ZERO);
        }
        let due = next(said.1);
        tokio::select! {
            biased;
            // Cancel-safe: it is pinned outside of the loop and polled again.
            output = &mut future => return output,
            () = sleep_until(since + due) => {
                if let Some((what, since)) = now().filter(|(_, now)| *now == since) {
                    say(place, &what, due);
                    said = (since, due);
                }
            }
        }
    }
}

/// As [`said`], of what blocks this thread.
pub fn said_blocking<T>(place: &str, what: &str, work: impl FnOnce() -> T) -> T {
    let (end, ended) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            let (mut waited, mut due) = (Duration::ZERO, FIRST);
            // Ends when the other side is dropped.
            while ended.recv_timeout(due - waited) == Err(mpsc::RecvTimeoutError::Timeout) {
                say(place, what, due);
                (waited, due) = (due, next(due));
            }
        });
        let output = work();
        drop(end);
        output
    })
}

fn say(place: &str, what: &str, waited: Duration) {
    let waited_s = waited.as_secs();
    if place.is_empty() {
        tracing::warn!(target: TARGET, event = logged::WAITING, waiting_for = what, waited_s, "still waiting");
    } else {
        tracing::warn!(target: TARGET, event = logged::WAITING, instance = place, waiting_for = what, waited_s, "still waiting");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use tracing::Subscriber;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn a_wait_is_said_after_five_seconds_and_again_at_least_each_minute() {
        let mut waited = Duration::ZERO;
        let mut times = Vec::new();
        while waited < Duration::from_secs(200) {
            waited = next(waited);
            times.push(waited.as_secs());
        }
        assert_eq!(times, [5, 10, 20, 40, 80, 140, 200]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_waited_for_ends_as_it_would_unsaid() {
        let began = Instant::now();
        let answer = said("h1", || "sudo".to_owned(), async {
            tokio::time::sleep(Duration::from_secs(33)).await;
            7
        });
        assert_eq!((answer.await, began.elapsed().as_secs()), (7, 33));
    }

    /// What a subscriber hears of the waits.
    #[derive(Clone, Default)]
    struct Heard(Arc<Mutex<Vec<String>>>);

    impl<S: Subscriber> tracing_subscriber::Layer<S> for Heard {
        fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
            struct Fields(String);
            impl tracing::field::Visit for Fields {
                fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                    if field.name() != "message" {
                        self.0 += &format!("{}={value:?} ", field.name());
                    }
                }
            }
            let mut fields = Fields(String::new());
            event.record(&mut fields);
            self.0.lock().push(fields.0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_step_that_lasts_is_said_with_its_place_and_none_that_does_not() {
        let heard = Heard::default();
        let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(heard.clone()));
        let current = Mutex::new(None);
        let work = async {
            for (step, seconds) in [("a", 4), ("b", 4), ("c", 12), ("d", 3), ("e", 6)] {
                *current.lock() = Some((step.to_owned(), Instant::now()));
                tokio::time::sleep(Duration::from_secs(seconds)).await;
            }
            *current.lock() = None;
            tokio::time::sleep(Duration::from_secs(600)).await;
        };
        said_since("h1", || current.lock().clone(), work).await;
        let expected = [("c", 5), ("c", 10), ("e", 5)].map(|(step, waited)| {
            format!("event=\"waiting\" instance=\"h1\" waiting_for=\"{step}\" waited_s={waited} ")
        });
        assert_eq!(*heard.0.lock(), expected);
    }
}
