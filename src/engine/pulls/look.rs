//! The two plans of a pull request's environment, with it and without it, from one look at its hosts.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use super::{proposal::Pair, trust};
use crate::{
    engine::look::{Hosts, plan_from},
    host::{self, Host, Question},
    model::{
        name::InstanceName,
        observation::{LiveFile, Observation},
        plan::Plan,
        seen::Seen,
    },
    plan::Observed,
    report,
};

/// What would be done once it is merged, and what would be done without it.
#[derive(Debug)]
pub struct Plans {
    pub with: Plan,
    pub without: Plan,
}

/// Looks at the hosts of the base, each where the base says that it is.
pub async fn plans<H: Host>(pair: &Pair, hosts: &Hosts<H>) -> Plans {
    let (base, proposed) = (&pair.base, &pair.proposed);
    let names = base.desired.keys().chain(proposed.desired.keys().filter(|name| !base.desired.contains_key(*name)));
    let seen = join_all(names.map(|name| async {
        let seen = match hosts.get(name).filter(|_| base.desired.contains_key(name)) {
            Some(host) => one(pair, name, host.as_ref()).await.map_err(|error| report::chain(&error)),
            None => Err("it is new, and is looked at once this is merged".to_owned()),
        };
        (name.clone(), seen)
    }));
    let observed: Observed = seen.await.into_iter().collect();
    let mut with = plan_from(proposed, &observed);
    with.findings.extend(trust::findings(&base.fleet, &proposed.fleet));
    Plans { with, without: plan_from(base, &observed) }
}

async fn one<H: Host>(pair: &Pair, name: &InstanceName, host: &H) -> Result<Observation, host::HostError> {
    let asked = |prepared: &crate::engine::Prepared| {
        prepared.desired.get(name).map(|desired| (host::question(&prepared.fleet, desired), desired.clone()))
    };
    let (base, proposed) = (asked(&pair.base), asked(&pair.proposed));
    let question_of = |of: &Option<(Question, _)>| of.as_ref().map(|(question, _)| question.clone());
    let question = match (question_of(&base), question_of(&proposed)) {
        (Some(base), Some(proposed)) => trust::question(base, proposed),
        (base, proposed) => base.or(proposed).unwrap_or_default(),
    };
    // Comparing every file is the loop's business.
    let question = Question { spared: question.releases.clone(), ..question };
    let mut seen = host.probe(&question).await?;
    let desired = [&base, &proposed].into_iter().flatten().map(|(_, desired)| desired);
    let mut differing: Vec<String> = desired.flat_map(|desired| host::differing(&seen, desired)).collect();
    differing.sort();
    differing.dedup();
    if !differing.is_empty() {
        let contents: BTreeMap<String, Vec<u8>> = host.read(&differing).await?.into_iter().collect();
        for (path, live) in contents {
            if let Some(Seen::Known(LiveFile::Regular { content, .. })) = seen.files.get_mut(&path) {
                *content = Some(live);
            }
        }
    }
    Ok(seen)
}
