//! Looking at every instance of an environment at once, and planning from what was seen.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::future::join_all;
use tokio::time::Instant;

use super::{Prepared, Watch};
use crate::{
    host::{self, Host},
    model::{
        desired::Desired,
        name::InstanceName,
        observation::{LiveFile, Observation},
        plan::Plan,
        seen::Seen,
    },
    plan::{self, Inputs, Observed},
    report::progress::Event,
};

/// The hosts behind the instances.
pub type Hosts<H> = BTreeMap<InstanceName, Arc<H>>;

/// Probes every instance in parallel. Those that are known not to answer are not asked and cost nothing; a
/// slow or dead one that is asked costs its own time limit.
pub async fn observe<H: Host>(
    prepared: &Prepared,
    hosts: &Hosts<H>,
    absent: &BTreeMap<InstanceName, String>,
    watch: &Watch,
) -> Observed {
    let probes = prepared.desired.iter().filter_map(|(name, desired)| {
        let host = hosts.get(name)?;
        Some(async move {
            if let Some(why) = absent.get(name) {
                return (name.clone(), Err(why.clone()));
            }
            let began = Instant::now();
            let seen = one(prepared, host.as_ref(), desired).await.map_err(|error| crate::report::chain(&error));
            watch(match &seen {
                Ok(_) => Event::Observed { instance: name.clone(), ms: began.elapsed().as_millis() as u64 },
                Err(why) => Event::NotReached { instance: name.clone(), why: why.clone() },
            });
            (name.clone(), seen)
        })
    });
    join_all(probes).await.into_iter().collect()
}

pub async fn one<H: Host>(prepared: &Prepared, host: &H, desired: &Desired) -> Result<Observation, host::HostError> {
    let mut observation = host.probe(&host::question(&prepared.fleet, desired)).await?;
    let differing = host::differing(&observation, desired);
    if !differing.is_empty() {
        for (path, live) in host.read(&differing).await? {
            if let Some(Seen::Known(LiveFile::Regular { content, .. })) = observation.files.get_mut(&path) {
                *content = Some(live);
            }
        }
    }
    Ok(observation)
}

/// Plans from what was seen.
pub fn plan_from(prepared: &Prepared, observed: &Observed) -> Plan {
    let releases = prepared.releases.iter().map(|(digest, release)| (*digest, release)).collect();
    plan::plan(&Inputs {
        fleet: &prepared.fleet,
        commits: prepared.commits.clone(),
        desired: &prepared.desired,
        releases: &releases,
        observed,
    })
}

/// Observes and plans.
pub async fn look<H: Host>(prepared: &Prepared, hosts: &Hosts<H>, watch: &Watch) -> Plan {
    watch(Event::Connecting { instances: prepared.desired.len() });
    let observed = observe(prepared, hosts, &BTreeMap::new(), watch).await;
    plan_from(prepared, &observed)
}
