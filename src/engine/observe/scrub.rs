//! Live releases, read again byte by byte now and then: what a signature does not tell is found so.
//!
//! Keeps true: hosts read when they have nothing better to do, nobody waits for them, and what they find is
//! told by a later look.

use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::probe::Hosts;
use crate::{
    engine::{controller::Controller, prepare::Prepared},
    host::Host,
    plan::Observed,
    report,
};

/// How long after one reading the next begins.
const EVERY: Duration = Duration::from_secs(3600);

/// Has the hosts that answered begin, where it is due. The first time is spread over as long as the time
/// between two: a controller that is started does not make all its hosts read at once.
pub async fn where_due<H: Host, L>(
    controller: &Controller<H, L>,
    prepared: &Prepared,
    hosts: &Hosts<H>,
    seen: &Observed,
) {
    for (name, desired) in &prepared.desired {
        let (Some(host), Some(Ok(_))) = (hosts.get(name), seen.get(name)) else { continue };
        let now = Instant::now();
        let due = {
            let mut rereads = controller.rereads.lock();
            let at = *rereads.entry(name.clone()).or_insert_with(|| now + EVERY.mul_f64((controller.jitter)()));
            let due = at <= now;
            if due {
                rereads.insert(name.clone(), now + EVERY);
            }
            due
        };
        if due && let Err(error) = host.reread(&prepared.fleet.name, &desired.releases).await {
            warn!(instance = %name, "its releases are not read again: {}", report::chain(&error));
        }
    }
}
