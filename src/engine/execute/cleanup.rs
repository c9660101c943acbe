//! What was cut off on an instance is undone there before anything is planned on it.
//!
//! Keeps true: only what the history says is over, for what is open is ended whole (`sync/recover.rs`), and what
//! it does not tell of may be running; an instance on which it cannot be undone is Unknown, and nothing is
//! planned there.
//!
//! The file `open` names the deployment that began on a host and is neither finished nor undone; a host refuses every other
//! one while it is there. The races:
//! (a) The cut came before the end, and no intent is open in the history: the next sync undoes what `open` names first.
//! (b) The power went after the end, before `open` was removed: what was finished stays as it is.

use futures_util::future::join_all;

use crate::{
    engine::{
        Watch,
        history::lease::Lease,
        observe::probe::{self, Hosts},
        prepare::Prepared,
    },
    host::HostWrite,
    model::{
        event::{Detail, EventKind},
        name::{FleetName, InstanceName},
        observation::Observation,
        paths,
    },
    plan::Observed,
    report,
};

/// Undoes what the observed instances say is neither finished nor undone, and looks at those again.
pub async fn heal<H: HostWrite>(
    lease: &Lease,
    prepared: &Prepared,
    hosts: &Hosts<H>,
    observed: &mut Observed,
    watch: &Watch<'_>,
) {
    let broken: Vec<(InstanceName, String)> = observed
        .iter()
        .filter_map(|(name, seen)| Some((name.clone(), seen.as_ref().ok()?.unfinished.clone()?)))
        .collect();
    let healed = broken.iter().map(|(name, deployment)| async move {
        if !lease.covers(generation(deployment)) {
            let by_hand = paths::undo_script(&prepared.fleet.name, deployment);
            let why = format!(
                "deployment {deployment} was begun there, and the history does not tell how it ended; where no other \
                 controller is at it, log in there, and undo it by hand: `sudo sh {by_hand}`"
            );
            return (name.clone(), Err(why));
        }
        watch(EventKind::RollbackBegun { instance: name.clone() });
        let seen = one(prepared, hosts, name, deployment).await;
        if seen.is_ok() {
            watch(EventKind::RollbackDone { instance: name.clone() });
        }
        (name.clone(), seen)
    });
    observed.extend(join_all(healed).await);
}

/// Makes an instance refuse what another controller may still send under the lease's generation. A failure is told, and
/// stops nobody.
pub async fn fence<H: HostWrite>(lease: &Lease, fleet: &FleetName, name: &InstanceName, host: &H, watch: &Watch<'_>) {
    if let Err(error) = host.fence(fleet, lease.generation().saturating_add(1)).await {
        watch(EventKind::HostUnfenced { instance: name.clone(), why: Detail::of(report::chain(&error)) });
    }
}

/// The generation in the name of a deployment's directory.
fn generation(deployment: &str) -> u64 {
    deployment.split('-').next().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

async fn one<H: HostWrite>(
    prepared: &Prepared,
    hosts: &Hosts<H>,
    name: &InstanceName,
    deployment: &str,
) -> Result<Observation, String> {
    let (Some(host), Some(desired)) = (hosts.get(name), prepared.desired.get(name)) else {
        return Err("it is not declared".to_owned());
    };
    host.heal(&prepared.fleet.name, deployment).await.map_err(|error| {
        format!("deployment {deployment} was cut off there, and cannot be undone: {}", report::chain(&error))
    })?;
    probe::one(prepared, host.as_ref(), desired, None).await.map_err(|error| report::chain(&error))
}
