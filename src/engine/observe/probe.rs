//! Looking at every instance of an environment at once, and planning from what was seen.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::Arc,
    time::Duration,
};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::{Instant, sleep_until};

use super::bounded;
use crate::{
    engine::{Watch, prepare::Prepared},
    host::{self, HostError, HostRead, ProbeRequest},
    model::{
        content::Content,
        desired::Desired,
        digest::Digest,
        event::{Detail, EventKind},
        name::InstanceName,
        observation::{LiveFile, Observation},
        plan::Plan,
        seen::Seen,
    },
    plan::{self, Inputs, Leave, Observed},
};

/// The hosts behind the instances.
pub type Hosts<H> = BTreeMap<InstanceName, Arc<H>>;

/// An instance that takes so much longer than most is left out of a sync.
const GRACE: Duration = Duration::from_secs(5);
/// Where all are slow, so many times as long as most took.
const GRACE_FACTOR: u32 = 3;

/// How thoroughly an instance is looked at.
#[derive(Clone, Copy)]
struct Depth {
    /// Of what is too large for each look, which turn it is; None: all is compared.
    turn: Option<u64>,
    /// As in [`ProbeRequest`].
    listeners: bool,
}

const ALL: Depth = Depth { turn: None, listeners: true };

/// Probes every instance in parallel, and waits for each as long as it may take.
pub async fn observe<H: HostRead>(prepared: &Prepared, hosts: &Hosts<H>, watch: &Watch<'_>) -> Observed {
    at(prepared, hosts, prepared.desired.keys(), ALL, watch).await
}

async fn at<H: HostRead>(
    prepared: &Prepared,
    hosts: &Hosts<H>,
    names: impl Iterator<Item = &InstanceName>,
    depth: Depth,
    watch: &Watch<'_>,
) -> Observed {
    let probes = names.filter_map(|name| probe(prepared, hosts, name, depth, watch));
    bounded::each(probes.collect()).await.into_iter().collect()
}

/// As [`observe`], for the loop: nobody waits for the slow and the dead. Those that are known not to answer
/// are not asked, and those that take much longer than most are not waited for. Of what is too large for each
/// look, `turn` says what is compared. Who listens is not asked: see [`lacking`].
pub async fn observe_promptly<H: HostRead>(
    prepared: &Prepared,
    hosts: &Hosts<H>,
    unreachable: &BTreeMap<InstanceName, String>,
    turn: u64,
) -> Observed {
    let asked: Vec<&InstanceName> = prepared.desired.keys().filter(|name| !unreachable.contains_key(*name)).collect();
    let depth = Depth { turn: Some(turn), listeners: false };
    let mut observed = promptly(prepared, hosts, &asked, depth).await;
    observed.extend(unreachable.iter().map(|(name, why)| (name.clone(), Err(why.clone()))));
    observed
}

/// Looks at instances again, with what a plan turned out to lack; for the loop, as [`observe_promptly`].
pub async fn again_promptly<H: HostRead>(
    prepared: &Prepared,
    hosts: &Hosts<H>,
    lacking: &BTreeSet<InstanceName>,
    turn: u64,
) -> Observed {
    let asked: Vec<&InstanceName> = lacking.iter().collect();
    promptly(prepared, hosts, &asked, Depth { turn: Some(turn), listeners: true }).await
}

async fn promptly<H: HostRead>(
    prepared: &Prepared,
    hosts: &Hosts<H>,
    asked: &[&InstanceName],
    depth: Depth,
) -> Observed {
    let quiet: &Watch<'_> = &|_| {};
    let mut probes: FuturesUnordered<_> =
        asked.iter().filter_map(|name| probe(prepared, hosts, name, depth, quiet)).collect();
    let mut observed = Observed::new();
    let began = Instant::now();
    let mut deadline = None;
    let mut answered = 0;
    loop {
        let late = async {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            // Cancel-safe: what has not ended stays among the probes.
            next = probes.next() => match next {
                Some((name, seen)) => {
                    answered += usize::from(seen.is_ok());
                    observed.insert(name, seen);
                }
                None => return observed,
            },
            () = late => break,
        }
        if deadline.is_none() && answered * 2 >= asked.len() {
            deadline = Some(Instant::now() + GRACE.max(began.elapsed() * GRACE_FACTOR));
        }
    }
    for name in asked {
        let waits_for = || hosts.get(*name).and_then(|host| host.waits_for()).unwrap_or_else(|| "an answer".to_owned());
        let why = || {
            let seconds = began.elapsed().as_secs_f64();
            let waits_for = waits_for();
            format!(
                "no answer within {seconds:.0} s, while others answered; it waits for {waits_for}: log in and see what hangs there"
            )
        };
        observed.entry((*name).clone()).or_insert_with(|| Err(why()));
    }
    observed
}

/// None for an instance without a host.
fn probe<'a, H: HostRead>(
    prepared: &'a Prepared,
    hosts: &'a Hosts<H>,
    name: &'a InstanceName,
    depth: Depth,
    watch: &'a Watch<'a>,
) -> Option<impl Future<Output = (InstanceName, Result<Observation, String>)> + 'a> {
    let (host, desired) = (hosts.get(name)?, prepared.desired.get(name)?);
    Some(async move {
        let began = Instant::now();
        let seen = one_at(prepared, host.as_ref(), desired, depth).await.map_err(|error| crate::report::chain(&error));
        watch(match &seen {
            Ok(_) => EventKind::HostObserved { instance: name.clone(), ms: began.elapsed().as_millis() as u64 },
            Err(why) => EventKind::HostUnreachable { instance: name.clone(), why: Detail::of(why) },
        });
        (name.clone(), seen)
    })
}

/// The releases that are compared in this turn, of all with their numbers of files: about so many files, and in
/// the next turn the next ones.
fn in_turn(releases: impl Iterator<Item = (Digest, usize)>, turn: u64) -> BTreeSet<Digest> {
    const FILES: usize = 3000;
    let mut parts: Vec<(usize, BTreeSet<Digest>)> = Vec::new();
    for (digest, files) in releases {
        match parts.last_mut() {
            Some((sum, part)) if *sum + files <= FILES => {
                *sum += files;
                part.insert(digest);
            }
            _ => parts.push((files, BTreeSet::from([digest]))),
        }
    }
    let number = turn % parts.len().max(1) as u64;
    parts.into_iter().nth(number as usize).map(|(_, part)| part).unwrap_or_default()
}

/// Looks at one instance for a plan of `desired`. `turn` is as in [`observe_promptly`]; None: all is asked and compared.
pub async fn one<H: HostRead>(
    prepared: &Prepared,
    host: &H,
    desired: &Desired,
    turn: Option<u64>,
) -> Result<Observation, HostError> {
    one_at(prepared, host, desired, Depth { turn, listeners: turn.is_none() }).await
}

async fn one_at<H: HostRead>(
    prepared: &Prepared,
    host: &H,
    desired: &Desired,
    depth: Depth,
) -> Result<Observation, HostError> {
    let mut question = host::question(&prepared.fleet, desired);
    question.listeners = depth.listeners;
    if let Some(turn) = depth.turn {
        let files = |digest| prepared.releases.get(digest).map_or(0, |release| release.files.len());
        let due = in_turn(desired.releases.iter().map(|digest| (*digest, files(digest))), turn);
        question.spared = &desired.releases - &due;
    }
    answer(host, &question, &[desired]).await
}

/// Has a host answer, and reads what is worth showing of files that differ from what any of `desired` says.
pub async fn answer<H: HostRead>(
    host: &H,
    question: &ProbeRequest,
    desired: &[&Desired],
) -> Result<Observation, HostError> {
    let mut observation = host.probe(question).await?;
    let differing = host::differing(&observation, desired);
    if !differing.is_empty() {
        for (path, live) in host.read(&Vec::from_iter(differing)).await? {
            if let Some(Seen::Known(LiveFile::Regular { content, .. })) = observation.files.get_mut(&path) {
                *content = Some(Content::Public(live));
            }
        }
    }
    Ok(observation)
}

/// Plans from what was seen, all that differs.
/// `newest_generation` is the newest that the history tells of; None where there is none, or it was not asked.
pub fn plan_from(prepared: &Prepared, observed: &Observed, newest_generation: Option<u64>) -> Plan {
    plan_leaving(prepared, observed, newest_generation, &Leave::default())
}

/// As [`plan_from`], but for what is to stay as it is.
pub fn plan_leaving(prepared: &Prepared, observed: &Observed, newest_generation: Option<u64>, leave: &Leave) -> Plan {
    let moved = plan::moved(&prepared.fleet, &prepared.deployed, &prepared.commits.sources);
    let releases = prepared.releases.iter().map(|(digest, release)| (*digest, release)).collect();
    plan::plan(&Inputs {
        fleet: &prepared.fleet,
        commits: prepared.commits.clone(),
        desired: &prepared.desired,
        releases: &releases,
        observed,
        newest_generation,
        moved: &moved,
        leave,
    })
}

/// Instances that are to be looked at again: something is unknown to their plan, and that may be who listens there, which
/// was not asked.
pub fn lacking(plan: &Plan, observed: &Observed) -> BTreeSet<InstanceName> {
    let is_unasked = |name: &InstanceName| {
        observed.get(name).and_then(|seen| seen.as_ref().ok()).is_some_and(|seen| seen.listeners.unknown().is_some())
    };
    plan.unknown_instances().map(|(name, _)| name).filter(|name| is_unasked(name)).cloned().collect()
}

/// Observes and plans, but for what is to stay as it is.
pub async fn look<H: HostRead>(
    prepared: &Prepared,
    hosts: &Hosts<H>,
    newest_generation: Option<u64>,
    leave: &Leave,
    watch: &Watch<'_>,
) -> Plan {
    watch(EventKind::HostsAsked { instances: prepared.desired.len() });
    let depth = Depth { listeners: false, ..ALL };
    let mut observed = at(prepared, hosts, prepared.desired.keys(), depth, watch).await;
    let plan = plan_leaving(prepared, &observed, newest_generation, leave);
    let lacking = lacking(&plan, &observed);
    if lacking.is_empty() {
        return plan;
    }
    observed.extend(at(prepared, hosts, lacking.iter(), ALL, &|_| {}).await);
    plan_leaving(prepared, &observed, newest_generation, leave)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_releases_are_compared_in_each_look_and_large_ones_take_turns() {
        let digests: Vec<Digest> = (0..4).map(|number: u8| Digest::of([number])).collect();
        let due = |files: [usize; 4], turn| in_turn(digests.iter().copied().zip(files), turn);
        assert_eq!(due([10, 900, 2000, 90], 7), digests.iter().copied().collect());
        let all = (0..4).map(|turn| due([2000, 2000, 1, 9000], turn));
        let seen: BTreeSet<Digest> = all.clone().flatten().collect();
        assert_eq!(seen, digests.iter().copied().collect(), "none is left out for ever");
        assert_eq!(all.map(|due| due.len()).collect::<Vec<_>>(), [1, 2, 1, 1]);
        assert_eq!(in_turn(std::iter::empty(), 3), BTreeSet::new());
    }
}
