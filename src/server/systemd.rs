//! What systemd is told of the daemon, as sd_notify(3) has it.
//!
//! Keeps true: outside of systemd nothing is told and nothing fails; the watchdog is told only while the
//! loop turns.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use crate::{engine::events::Events, model::event::EventKind, report::words::visible};

/// The daemon does its work from now on.
pub fn ready(events: &Events, status: &str) {
    tell(events, &[NotifyState::Ready, NotifyState::Status(&visible(status))]);
}

/// What is read from outside is read anew; [`ready`] says that it is done.
pub fn reloading(events: &Events) {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(events, &[NotifyState::Reloading, now]),
        Err(error) => untold(events, format!("of the reload, for there is no clock: {error}")),
    }
}

pub fn stopping(events: &Events) {
    tell(events, &[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

/// Tells systemd that the daemon is alive, twice in the time it waits, for as long as `alive` says so.
/// Ends with `stop`: one who stops is not watched any more.
pub async fn watchdog(events: Events, alive: impl Fn() -> bool, stop: CancellationToken) {
    let Some(limit) = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero()) else { return };
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(limit / 2) => {}
        }
        if alive() {
            tell(&events, &[NotifyState::Watchdog]);
        } else {
            events.emit(EventKind::ControllerStuck {});
        }
    }
}

/// Whether a counter has moved since this was last asked. It must move more often than it is asked.
pub fn beats(pulse: Arc<AtomicU64>) -> impl Fn() -> bool {
    let seen = AtomicU64::new(pulse.load(Ordering::Relaxed));
    move || {
        let now = pulse.load(Ordering::Relaxed);
        seen.swap(now, Ordering::Relaxed) != now
    }
}

fn tell(events: &Events, states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        untold(events, format!("{:?}: {error}", states.first()));
    }
}

fn untold(events: &Events, what: String) {
    events.emit(EventKind::SystemdNotifyFailed { why: what.into() });
}
