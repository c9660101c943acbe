//! A plan carried out and recorded: intent, deployment, outcome.
//!
//! A drift repair belongs to a generation that already has its directory, so it gets one of its own,
//! `deployments/<generation>-repair-<random>`, and records an outcome without an intent.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono::Utc;
use thiserror::Error;
use tokio::time::Instant;
use tracing::{Instrument as _, info_span};

use crate::{
    decide::FailureScope,
    engine::{
        events::Events,
        execute::{
            cancellation::Halting,
            deadline,
            executor::{Ended, Executor},
        },
        history::{
            controller_id::ControllerId,
            lease::Lease,
            log::{self, Newest},
            store::{Store, StoreError},
        },
        observe::probe::Hosts,
        prepare::Prepared,
    },
    host::HostWrite,
    model::{
        environment_state::EnvironmentState,
        event::EventKind,
        failure::{Failure, Refused},
        name::{EnvironmentName, InstanceName},
        outcome::{Conclusion, Deployment, Intent, Kind, Outcome, RecordVersion, RecordedDeployment, TakenOver},
        plan::Plan,
        time::timestamp,
    },
};

/// Everything one deployment needs.
pub struct Order<'a, H, S> {
    pub prepared: &'a Prepared,
    pub plan: &'a Plan,
    pub hosts: &'a Hosts<H>,
    pub store: &'a S,
    /// What the history said when this was decided: it is begun on that, and on nothing newer.
    pub on: &'a Newest,
    /// Which process asks, and where it sits.
    pub identity: &'a ControllerId,
    /// Who or what asked for it, in words.
    pub triggered_by: String,
    /// Who may have caused the drift that is repaired, in words.
    pub suspects: Vec<String>,
    pub halt: &'a Halting,
    pub events: &'a Events,
}

#[derive(Debug, Error)]
pub enum DeployError {
    #[error(
        "another controller began a deployment of {environment} at the same moment; \
         nothing was touched, look at `evenkeel history` and plan again"
    )]
    AnotherController { environment: EnvironmentName, source: StoreError },
    #[error(
        "what the history of {environment} says has changed since this was decided; \
         nothing was touched, look at `evenkeel history` and plan again"
    )]
    Outdated { environment: EnvironmentName },
    #[error("generation {generation} of {environment} is being deployed by {controller}; nothing was touched")]
    UnderWay { environment: EnvironmentName, generation: u64, controller: String },
    #[error(
        "generation {generation} of {environment} was taken over by another controller meanwhile; \
         `evenkeel history` tells how it ended"
    )]
    TakenOver { environment: EnvironmentName, generation: u64 },
    #[error("the history could not be read, so nothing was touched")]
    History(#[source] StoreError),
    #[error("the intent could not be recorded, so nothing was touched")]
    Intent(#[source] StoreError),
    #[error(
        "generation {} ended ({}), and its outcome could not be recorded; the next start records it",
        conclusion.generation, conclusion.outcome()
    )]
    Outcome { conclusion: Box<Conclusion>, source: StoreError },
    #[error("left to the hosts in the middle; the next start goes on from there")]
    Detached,
}

/// Carries the plan out. The caller has made sure that it has changes and is not refused.
pub async fn carry_out<H: HostWrite, S: Store>(order: &Order<'_, H, S>) -> Result<Conclusion, DeployError> {
    let newest = log::newest(order.store, &order.plan.environment).await.map_err(DeployError::History)?;
    let idle = lease_while_idle(&newest, &order.plan.environment)?;
    if newest.commit != order.on.commit {
        return Err(DeployError::Outdated { environment: order.plan.environment.clone() });
    }
    let deployment = begin(order, &newest);
    let (lease, name) = match deployment.kind {
        Kind::Change => (intend(order.store, &newest, &deployment).await?, deployment.generation.to_string()),
        // A repair belongs to a generation that already has its directory. Two of one name would take each
        // other's events for their own.
        Kind::DriftRepair => (idle, format!("{}-repair-{:08x}", deployment.generation, rand::random::<u32>())),
    };
    let events = order.events.of(&deployment.environment).deployment(deployment.generation);
    events.emit(begun(&deployment));
    let began = Instant::now();
    let halt = order.halt.until(began + Duration::from_millis(deployment.limit_ms));
    let running = Executor {
        prepared: order.prepared,
        plan: order.plan,
        hosts: order.hosts,
        lease: &lease,
        name,
        begun: (BTreeSet::new(), 0),
        undo_on_failure: deployment.kind == Kind::DriftRepair || order.prepared.fleet.environment.rollback_on_failure,
        scope: scope(order),
        halt: &halt,
        watch: &|kind| events.emit(kind),
    };
    let ended = tokio::select! {
        biased;
        // What is dropped in the middle goes on at the hosts; the intent stays open.
        ended = running.run().instrument(info_span!("deployment", deployment = deployment.generation)) => ended,
        () = order.halt.detach() => return Err(DeployError::Detached),
    };
    let mut conclusion = conclude(deployment.clone(), ended, began);
    if !conclusion.failed.is_empty() {
        // The record tells what was done. The intent before it tells what was planned.
        let failed = conclusion.failed.iter().filter_map(|failure| failure.instance().cloned()).collect();
        let done = order.plan.without(&failed);
        conclusion = conclusion.narrowed(done.summary(), done.changes());
    }
    record(order.store, &conclusion, order.prepared).await?;
    Ok(conclusion)
}

fn begun(intent: &Intent) -> EventKind {
    let (commit, plan) = (intent.commits.environment.clone(), intent.summary);
    match intent.kind {
        Kind::Change => EventKind::DeploymentBegun { commit, plan },
        Kind::DriftRepair => EventKind::DriftSeen { plan },
    }
}

fn scope<'a, H, S>(order: &Order<'a, H, S>) -> FailureScope<'a> {
    FailureScope {
        rule: order.prepared.fleet.environment.on_instance_failure,
        touched: order.plan.steps.iter().map(|step| &step.instance).collect(),
        completes: order.on.state.partial.as_ref().is_some_and(|partial| partial.commits == order.plan.commits),
    }
}

/// The right to clean up and to repair; an error while a deployment is open.
pub fn lease_while_idle(newest: &Newest, environment: &EnvironmentName) -> Result<Lease, DeployError> {
    newest.lease_while_idle().ok_or_else(|| match newest.open() {
        Some(open) => {
            let (environment, controller) = (open.environment.clone(), open.controller.clone());
            DeployError::UnderWay { environment, generation: open.generation, controller }
        }
        None => DeployError::Outdated { environment: environment.clone() },
    })
}

/// An open deployment as one of this controller: what another began is taken over from it in the history, so
/// that how it ends is written by one of them only, before anything of it is touched.
pub async fn claim<S: Store>(
    store: &S,
    newest: &Newest,
    identity: &ControllerId,
) -> Result<Option<(Intent, Lease)>, DeployError> {
    let Some(open) = newest.open().cloned() else { return Ok(None) };
    if let Some(lease) = newest.lease_of_own(identity) {
        return Ok(Some((open, lease)));
    }
    let taken_over = TakenOver { from: open.controller.clone(), at: timestamp(Utc::now()) };
    let (controller, identity) = (identity.name.clone(), identity.id.clone());
    let ours = open.claimed_by(controller, identity, taken_over);
    let lease = intend(store, newest, &ours).await?;
    Ok(Some((ours, lease)))
}

async fn intend<S: Store>(store: &S, on: &Newest, deployment: &Intent) -> Result<Lease, DeployError> {
    log::intend(store, on, deployment).await.map_err(|source| {
        if source.is_diverged() {
            DeployError::AnotherController { environment: deployment.environment.clone(), source }
        } else {
            DeployError::Intent(source)
        }
    })
}

/// Writes how it ended.
pub async fn record<S: Store>(store: &S, conclusion: &Conclusion, prepared: &Prepared) -> Result<(), DeployError> {
    let recorded = log::conclude(store, conclusion, Some(prepared))
        .await
        .map_err(|source| DeployError::Outcome { conclusion: Box::new(conclusion.clone()), source })?;
    let (environment, generation) = (conclusion.environment.clone(), conclusion.generation);
    let lost = !recorded && conclusion.kind == Kind::Change;
    if lost { Err(DeployError::TakenOver { environment, generation }) } else { Ok(()) }
}

/// What is declared is what the last good deployment declared: what differs, no commit asked for.
pub fn is_settled(state: &EnvironmentState, prepared: &Prepared) -> bool {
    let same = state.good.as_ref().is_some_and(|good| good.desired == Some(prepared.digest));
    same && prepared.commits.environment.is_some()
}

/// Whether the plan repairs drift, and deploys nothing. A repair has no intent, so nobody else may have begun
/// anything: when an instance has seen a generation that the history does not tell of, it is a deployment,
/// whose intent shows who else is at it.
pub fn is_repair(newest: &Newest, prepared: &Prepared, plan: &Plan) -> bool {
    is_settled(&newest.state, prepared) && seen(plan) <= newest.generation()
}

/// The newest generation that an instance has seen.
fn seen(plan: &Plan) -> u64 {
    plan.instances.values().map(|instance| instance.generation).max().unwrap_or(0)
}

fn begin<H, S>(order: &Order<'_, H, S>, newest: &Newest) -> Intent {
    let repair = is_repair(newest, order.prepared, order.plan);
    let kind = if repair { Kind::DriftRepair } else { Kind::Change };
    // A history branch that was lost does not make instances take an older generation.
    // No instance's number makes it wrap: what is far from the history's is not believed (`model/generation.rs`).
    let generation = newest.generation().max(seen(order.plan)).saturating_add(u64::from(kind == Kind::Change));
    Intent::begun(Deployment {
        version: RecordVersion::CURRENT,
        environment: order.plan.environment.clone(),
        generation,
        kind,
        commits: order.plan.commits.clone(),
        plan_digest: order.plan.digest(),
        desired: Some(order.prepared.digest),
        triggered_by: order.triggered_by.clone(),
        controller: order.identity.name.clone(),
        controller_id: order.identity.id.clone(),
        started: timestamp(Utc::now()),
        taken_over: None,
        outcome: None,
        duration_ms: None,
        summary: order.plan.summary(),
        builds: order.prepared.builds(),
        touches: order.plan.steps.iter().map(|step| step.instance.clone()).collect(),
        limit_ms: deadline::of(order.plan, &order.prepared.fleet.environment).as_millis() as u64,
        changes: order.plan.changes(),
        suspects: order.suspects.clone(),
        refused_for: None,
        failure: None,
        unreached: unreached(order),
        left_out: left_out(order).cloned().collect(),
        failed: Vec::new(),
        not_undone: Vec::new(),
    })
}

/// Whether a refusal is new to the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    Now,
    /// Or something else is under way.
    Before,
}

/// Records that these commits were refused before anything was touched: once, until something else happens.
pub async fn record_refusal<S: Store>(
    store: &S,
    plan: &Plan,
    identity: &ControllerId,
    refused: &Refused,
) -> Result<Recorded, StoreError> {
    let newest = log::newest(store, &plan.environment).await?;
    let ended = newest.deployment.as_ref().and_then(RecordedDeployment::conclusion);
    let is_recorded = ended.is_some_and(|newest| {
        newest.outcome() == Outcome::Refused
            && newest.commits == plan.commits
            && newest.refused_for == Some(refused.grounds)
    });
    if is_recorded || newest.open().is_some() {
        return Ok(Recorded::Before);
    }
    let failure = Failure { log: refused.log.clone(), ..Failure::of_deployment(refused.cause, refused.why.clone()) };
    let refusal = Deployment {
        version: RecordVersion::CURRENT,
        environment: plan.environment.clone(),
        generation: newest.generation(),
        kind: Kind::Change,
        commits: plan.commits.clone(),
        plan_digest: plan.digest(),
        desired: None,
        triggered_by: refused.triggered_by.clone(),
        controller: identity.name.clone(),
        controller_id: identity.id.clone(),
        started: timestamp(Utc::now()),
        taken_over: None,
        outcome: None,
        duration_ms: None,
        summary: plan.summary(),
        builds: Default::default(),
        touches: BTreeSet::new(),
        limit_ms: 0,
        changes: plan.changes(),
        suspects: Vec::new(),
        refused_for: Some(refused.grounds),
        failure: Some(failure),
        unreached: BTreeMap::new(),
        left_out: BTreeSet::new(),
        failed: Vec::new(),
        not_undone: Vec::new(),
    };
    log::conclude(store, &Conclusion::new(refusal, Outcome::Refused), None).await.map(|_| Recorded::Now)
}

/// Instances that this deployment leaves as they are: not reached, held, or left out by `-i`. What is
/// recorded is then no deployment of everything.
fn unreached<H, S>(order: &Order<'_, H, S>) -> BTreeMap<InstanceName, String> {
    let unknown = order.plan.left_instances().map(|(name, why)| (name.clone(), why.to_owned()));
    unknown.chain(left_out(order).map(|name| (name.clone(), "left out by --instance".to_owned()))).collect()
}

fn left_out<'a, H, S>(order: &Order<'a, H, S>) -> impl Iterator<Item = &'a InstanceName> {
    let plan = order.plan;
    order.prepared.fleet.instances.keys().filter(|name| !plan.instances.contains_key(*name))
}

/// Puts the end into the record.
pub fn conclude(intent: Intent, ended: Ended, began: Instant) -> Conclusion {
    let mut deployment = intent.into_deployment();
    deployment.duration_ms = Some(began.elapsed().as_millis() as u64);
    let outcome = match ended {
        Ended::Applied if deployment.unreached.is_empty() => Outcome::Applied,
        Ended::Applied => Outcome::Partial,
        Ended::LeftOut { failed, not_undone } => {
            (deployment.failed, deployment.not_undone) = (failed, not_undone);
            Outcome::Partial
        }
        Ended::RolledBack(failure) => {
            deployment.failure = Some(failure);
            Outcome::RolledBack
        }
        Ended::RollbackFailed { failure, not_undone } => {
            (deployment.failure, deployment.not_undone) = (Some(failure), not_undone);
            Outcome::RollbackFailed
        }
        Ended::Stopped(failure) => {
            deployment.failure = Some(failure);
            Outcome::Stopped
        }
    };
    Conclusion::new(deployment, outcome)
}
