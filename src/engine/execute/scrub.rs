//! Live releases, read again byte by byte now and then: what a signature does not tell is found so.
//!
//! Keeps true: hosts read when they have nothing better to do, nobody waits for them, and what they find is
//! told by a later look.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use crate::{
    engine::{Watch, observe::probe::Hosts, prepare::Prepared},
    host::HostWrite,
    model::{
        event::{Detail, EventKind},
        name::InstanceName,
    },
    plan::Observed,
    report,
};

/// How long after one reading the next begins.
const EVERY: Duration = Duration::from_secs(3600);

/// When each instance is due.
pub type Due = BTreeMap<InstanceName, Instant>;

/// Has the hosts that answered begin, where it is due. The first time is spread over as long as the time
/// between two: a controller that is started does not make all its hosts read at once.
pub async fn where_due<H: HostWrite>(
    due: &mut Due,
    jitter: impl Fn() -> f64,
    prepared: &Prepared,
    hosts: &Hosts<H>,
    seen: &Observed,
    watch: &Watch<'_>,
) {
    for (name, desired) in &prepared.desired {
        let (Some(host), Some(Ok(_))) = (hosts.get(name), seen.get(name)) else { continue };
        let now = Instant::now();
        let at = due.entry(name.clone()).or_insert_with(|| now + EVERY.mul_f64(jitter()));
        if *at > now {
            continue;
        }
        *at = now + EVERY;
        if let Err(error) = host.reread(&prepared.fleet.name, &desired.releases).await {
            watch(EventKind::ReleasesUnread { instance: name.clone(), why: Detail::of(report::chain(&error)) });
        }
    }
}
