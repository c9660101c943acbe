//! The two plans of a pull request's environment, with it and without it, from one look at its hosts.

use super::{
    proposal::Pair,
    reader::{Reader, ReaderError},
    trust,
};
use crate::{
    engine::observe::{
        bounded,
        probe::{Hosts, answer, plan_from},
    },
    host::{self, HostError, HostRead, ProbeRequest},
    model::{name::InstanceName, observation::Observation, plan::Plan},
    plan::Observed,
    report,
};

/// What would be done once it is merged, and what would be done without it.
#[derive(Debug)]
pub struct Plans {
    pub with: Plan,
    pub without: Plan,
}

/// Looks at the hosts of the base, each where the base says that it is. `newest` is the newest generation that the
/// history tells of.
pub async fn plans<H: HostRead>(
    pair: &Pair,
    hosts: &Hosts<H>,
    reader: &Reader,
    newest: Option<u64>,
) -> Result<Plans, ReaderError> {
    let (base, proposed) = (&pair.base, &pair.proposed);
    let names = base.desired.keys().chain(proposed.desired.keys().filter(|name| !base.desired.contains_key(*name)));
    let asked = names.map(|name| async {
        let seen = match hosts.get(name).filter(|_| base.desired.contains_key(name)) {
            Some(host) => one(pair, name, host.as_ref()).await.map_err(|error| report::chain(&error)),
            None => Err("it is new, and is looked at once this is merged".to_owned()),
        };
        (name.clone(), seen)
    });
    let observed: Observed = bounded::each(asked.collect()).await.into_iter().collect();
    let without = plan_from(base, &observed, newest);
    let mut with = reader.plan(pair.environment(), observed, newest).await?;
    with.findings.extend(trust::findings(&base.fleet, &proposed.fleet));
    Ok(Plans { with, without })
}

async fn one<H: HostRead>(pair: &Pair, name: &InstanceName, host: &H) -> Result<Observation, HostError> {
    let both = [&pair.base, &pair.proposed].map(|of| Some((of, of.desired.get(name)?)));
    let question = match both.map(|of| of.map(|(prepared, desired)| host::question(&prepared.fleet, desired))) {
        [Some(base), Some(proposed)] => trust::question(base, proposed, &pair.base.fleet, &pair.proposed.fleet),
        [base, proposed] => base.or(proposed).unwrap_or_default(),
    };
    // Comparing every file is the loop's business. Most proposals start something.
    let question = ProbeRequest { spared: question.releases.clone(), listeners: true, ..question };
    let desired: Vec<_> = both.into_iter().flatten().map(|(_, desired)| desired).collect();
    answer(host, &question, &desired).await
}
