//! What a program that runs on does at a signal. The daemon: SIGTERM and SIGINT end it, SIGHUP has it read its
//! credentials anew. The demo: each of them ends it in order, and a second one at once.
//!
//! Keeps true: systemd is told of what the daemon does before it begins; no signal is lost that comes after a
//! function here was called.

use std::{io, time::Duration};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{ERROR, Failure, common};
use crate::{engine::events::Events, model::event::EventKind, server::systemd};

/// Shorter than the unit's `TimeoutStopSec=`, after which systemd kills.
const LONGEST_STOP: Duration = Duration::from_secs(15);

/// `timeout` and a terminal that closes send the same signal two or three times at once: to the program, and to the
/// group that it is in.
const ONE_SIGNAL: Duration = Duration::from_secs(1);

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn from_now_on() -> Result<Self, Failure> {
        let told = |error: io::Error| Failure::new(ERROR, format!("cannot wait for signals: {error}"));
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(told)?,
            interrupt: signal(SignalKind::interrupt()).map_err(told)?,
            hangup: signal(SignalKind::hangup()).map_err(told)?,
        })
    }

    async fn next(&mut self) -> SignalKind {
        // All are cancel-safe: a signal that comes is kept.
        tokio::select! {
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.hangup.recv() => SignalKind::hangup(),
        }
    }
}

/// From now on. The first signal cancels what is returned, and calls `on_first`. One that a person sends after that
/// calls `on_second` and ends the program as it is.
pub fn interruption(
    on_first: impl FnOnce() + Send + 'static,
    on_second: impl FnOnce() + Send + 'static,
) -> Result<CancellationToken, Failure> {
    let mut signals = Signals::from_now_on()?;
    let interrupted = CancellationToken::new();
    let cancelled = interrupted.clone();
    tokio::spawn(async move {
        signals.next().await;
        cancelled.cancel();
        on_first();
        tokio::time::sleep(ONE_SIGNAL).await;
        // Those that came meanwhile are forgotten.
        let Ok(mut signals) = Signals::from_now_on() else { return };
        while signals.next().await == SignalKind::hangup() {}
        on_second();
        end_at_once();
    });
    Ok(interrupted)
}

/// From now on. `on_reload` lets go of what was made with credentials that may have been replaced.
pub fn obey(
    events: Events,
    stop: CancellationToken,
    status: String,
    on_reload: impl Fn() + Send + Sync + 'static,
) -> Result<(), Failure> {
    let mut signals = Signals::from_now_on()?;
    // A terminal that is closed says it with SIGHUP too, and means the end.
    let on_terminal = common::on_terminal();
    tokio::spawn(async move {
        while signals.next().await == SignalKind::hangup() && !on_terminal {
            systemd::reloading(&events);
            on_reload();
            events.emit(EventKind::CredentialsReread {});
            systemd::ready(&events, &status);
        }
        systemd::stopping(&events);
        stop.cancel();
        tokio::time::sleep(LONGEST_STOP).await;
        end_at_once();
    });
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a call that hangs keeps neither systemd nor a person waiting")]
fn end_at_once() {
    std::process::exit(i32::from(ERROR));
}
