//! The health of replicas between deployments, as far as it is a reason to restart one.
//!
//! Keeps true: a replica that systemd starts, or that may still be starting, is not known to be unhealthy. Never does:
//! counting; that is `decide/health.rs`.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use super::{probe::Hosts, status::check};
use crate::{
    engine::prepare::Prepared,
    host::{Checkup, Health, HostRead},
    model::{
        desired::Replica,
        repair::{HealthRule, ReplicaUnit, Seen},
    },
};

/// What a check says of a replica.
pub fn seen(replica: &Replica, checkup: &Checkup) -> Seen {
    let runs_for = checkup.run.as_ref().filter(|run| run.is_active()).and_then(|run| run.tries.runs_for);
    match &checkup.health {
        Health::Healthy => Seen::Healthy,
        Health::Unhealthy(why) if runs_for.is_some_and(|runs_for| runs_for >= replica.health.start_period.0) => {
            Seen::Unhealthy(why.clone())
        }
        Health::Unhealthy(_) | Health::Unknown(_) => Seen::Unknown,
    }
}

pub fn rule(replica: &Replica) -> HealthRule {
    let health = &replica.health;
    let after = health.repair_after.map(|span| u64::try_from(span.0.as_millis()).unwrap_or(u64::MAX));
    HealthRule { failures: health.failures, repair_after: after, repair_limit: health.repair_limit }
}

/// Those that are unhealthy still: they were when the last sync looked.
pub async fn still_unhealthy<H: HostRead>(
    prepared: &Prepared,
    hosts: &Hosts<H>,
    due: &BTreeMap<ReplicaUnit, String>,
) -> BTreeMap<ReplicaUnit, String> {
    let asked = due.keys().map(|replica| async move {
        let (instance, unit) = replica;
        let desired = prepared.desired.get(instance)?;
        let declared = desired.replicas.values().find(|declared| declared.unit == *unit)?;
        let checkup = check(hosts.get(instance)?.as_ref(), instance, declared).await?;
        match seen(declared, &checkup) {
            Seen::Unhealthy(why) => Some((replica.clone(), why)),
            Seen::Healthy | Seen::Unknown => None,
        }
    });
    join_all(asked).await.into_iter().flatten().collect()
}
