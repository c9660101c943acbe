//! What wakes those who tell GitHub: events of the controller, which they subscribe to.
//!
//! Keeps true: many events while something is told wake its teller once; one that was too slow for some is woken all the
//! same, for it looks at all that is so and not at what an event says.

use crate::{engine::events::Subscription, model::event::EventKind};

/// Why a teller is woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wake {
    /// There may be something to tell.
    News,
    /// What GitHub did not take, it may take now.
    SignedIn,
}

/// One teller's subscription.
pub(super) struct Wakes {
    events: Subscription,
    is_news: fn(&EventKind) -> bool,
}

impl Wakes {
    pub(super) fn of(events: Subscription, is_news: fn(&EventKind) -> bool) -> Self {
        Self { events, is_news }
    }

    /// Waits for the next one that is at least so much. Cancel-safe: who is not waiting looks at all that is so first.
    pub(super) async fn next(&mut self, least: Wake) -> Wake {
        loop {
            let Some(first) = self.events.next().await else { return std::future::pending().await };
            let more = std::iter::from_fn(|| self.events.next_now());
            let wake = std::iter::once(first).chain(more).filter_map(|event| wake(&event.kind, self.is_news)).max();
            if let Some(wake) = wake.filter(|wake| *wake >= least) {
                return wake;
            }
        }
    }
}

fn wake(kind: &EventKind, is_news: fn(&EventKind) -> bool) -> Option<Wake> {
    match kind {
        // That we were signed in again may be among those that were missed.
        EventKind::GitHubSignedIn { .. } | EventKind::EventsMissed { .. } => Some(Wake::SignedIn),
        kind => is_news(kind).then_some(Wake::News),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::{engine::events::Events, model::budget::Budget};

    #[tokio::test(start_paused = true)]
    async fn many_events_wake_once_and_after_a_failure_only_what_may_have_mended_it_does() {
        let events = Events::new(|_| {});
        let mut wakes = Wakes::of(events.subscribe(), |kind| matches!(kind, EventKind::DeploymentReported {}));
        let news = || events.emit(EventKind::DeploymentReported {});
        let sign_in = || events.emit(EventKind::GitHubSignedIn { action: String::new().into() });
        let soon = Duration::from_secs(1);

        (0..3).for_each(|_| news());
        assert_eq!(timeout(soon, wakes.next(Wake::News)).await, Ok(Wake::News));
        assert!(timeout(soon, wakes.next(Wake::News)).await.is_err(), "each of them has woken");
        events.emit(EventKind::ControllerStopping {});
        assert!(timeout(soon, wakes.next(Wake::News)).await.is_err(), "what is no news has woken");

        news();
        assert!(timeout(soon, wakes.next(Wake::SignedIn)).await.is_err(), "news have shortened a pause");
        news();
        sign_in();
        assert_eq!(timeout(soon, wakes.next(Wake::SignedIn)).await, Ok(Wake::SignedIn));

        sign_in();
        (0..=Budget::STANDARD.events).for_each(|_| events.emit(EventKind::ControllerStopping {}));
        assert_eq!(timeout(soon, wakes.next(Wake::SignedIn)).await, Ok(Wake::SignedIn), "it was missed for good");
    }
}
