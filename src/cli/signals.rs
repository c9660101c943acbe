//! What the daemon does at a signal: SIGTERM and SIGINT end it, SIGHUP has it read its credentials anew.
//!
//! Keeps true: systemd is told of either before it begins.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::{ERROR, Failure, common};
use crate::server::systemd;

/// Shorter than the unit's `TimeoutStopSec=`, after which systemd kills.
const LONGEST_STOP: Duration = Duration::from_secs(15);

/// From now on. `on_reload` lets go of what was made with credentials that may have been replaced.
pub fn obey(
    stop: CancellationToken,
    status: String,
    on_reload: impl Fn() + Send + Sync + 'static,
) -> Result<(), Failure> {
    let told = |error| Failure::new(ERROR, format!("cannot wait for signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(told)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(told)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(told)?;
    // A terminal that is closed says it with SIGHUP too, and means the end.
    let on_terminal = common::on_terminal();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                // All are cancel-safe: a signal that comes is kept.
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hangup.recv() => {}
            }
            if on_terminal {
                break;
            }
            systemd::reloading();
            on_reload();
            info!("SIGHUP: keys, tokens and secrets are read anew at their next use");
            systemd::ready(&status);
        }
        systemd::stopping();
        stop.cancel();
        tokio::time::sleep(LONGEST_STOP).await;
        #[expect(clippy::disallowed_methods, reason = "a call that hangs must not keep systemd waiting for its kill")]
        std::process::exit(i32::from(ERROR));
    });
    Ok(())
}
