//! A plan carried out and recorded: intent, deployment, outcome.

use std::{collections::BTreeMap, time::Instant};

use chrono::{DateTime, SecondsFormat, Utc};
use thiserror::Error;

use super::{
    Prepared, Watch,
    deploy::{self, Ended},
    ledger::{Ledger, LedgerError},
    look::Hosts,
    record::{self, Files},
};
use crate::{
    git::GitError,
    host::Host,
    model::{
        name::InstanceName,
        outcome::{Deployment, Failure, Kind, Outcome, Record},
        plan::Plan,
    },
    report::{self, progress::Event},
};

/// How often an outcome is offered to a history that others write to as well.
const OUTCOME_TRIES: u32 = 5;

/// Everything one deployment needs.
pub struct Order<'a, H> {
    pub prepared: &'a Prepared,
    pub plan: &'a Plan,
    pub hosts: &'a Hosts<H>,
    pub ledger: &'a Ledger,
    /// Who or what asked for it, in words.
    pub triggered_by: String,
    pub watch: &'a Watch,
}

#[derive(Debug, Error)]
pub enum PassError {
    #[error(
        "another controller began a deployment of {environment} at the same moment; \
         nothing was touched, look at `evenkeel history` and plan again"
    )]
    AnotherController { environment: String, source: LedgerError },
    #[error("the intent could not be recorded, so nothing was touched")]
    Intent(#[source] LedgerError),
    #[error("the deployment ended ({outcome}), and its outcome could not be recorded; `evenkeel history` lacks it")]
    Outcome { outcome: Outcome, source: LedgerError },
}

/// Carries the plan out. The caller has made sure that it has changes and is not refused.
pub async fn carry_out<H: Host>(order: &Order<'_, H>) -> Result<Deployment, PassError> {
    let (newest, previous) = newest(order).await.map_err(PassError::Intent)?;
    let kind = kind(order.plan, newest.as_ref());
    let mut deployment = begin(order, newest.as_ref(), kind);
    if kind == Kind::Change {
        let files = record::intent_files(&previous, &deployment);
        append(order, files, &deployment).await.map_err(|source| match source {
            LedgerError::Git(GitError::Diverged { .. }) => {
                PassError::AnotherController { environment: deployment.environment.to_string(), source }
            }
            source => PassError::Intent(source),
        })?;
    }
    let began = Instant::now();
    let name = match kind {
        Kind::Change => deployment.generation.to_string(),
        // A repair belongs to a generation that already has its directory.
        Kind::DriftRepair => format!("{}-repair-{}", deployment.generation, Utc::now().timestamp_millis()),
    };
    let running = deploy::Deployment {
        prepared: order.prepared,
        plan: order.plan,
        hosts: order.hosts,
        generation: deployment.generation,
        name,
        watch: order.watch,
    };
    let ended = running.run().await;
    deployment.duration_ms = Some(began.elapsed().as_millis() as u64);
    conclude(&mut deployment, ended);
    record_outcome(order, previous, &deployment).await?;
    Ok(deployment)
}

async fn newest<H: Host>(order: &Order<'_, H>) -> Result<(Option<Record>, Files), LedgerError> {
    let environment = order.plan.environment.clone();
    order
        .ledger
        .call(move |repository| {
            let Some(record) = repository.history(&environment, 1)?.into_iter().next() else {
                return Ok((None, Files::new()));
            };
            let files = repository.history_files(&environment, &record.commit)?;
            Ok((Some(record), files))
        })
        .await
}

/// The same commits as the last good deployment: what differs, no commit asked for.
fn kind(plan: &Plan, newest: Option<&Record>) -> Kind {
    let settled = newest.is_some_and(|record| {
        record.deployment.outcome == Some(Outcome::Applied) && record.deployment.commits == plan.commits
    });
    if settled && plan.commits.environment.is_some() { Kind::DriftRepair } else { Kind::Change }
}

fn begin<H>(order: &Order<'_, H>, newest: Option<&Record>, kind: Kind) -> Deployment {
    let recorded = newest.map_or(0, |record| record.deployment.generation);
    // A history branch that was lost does not make instances take an older generation.
    let seen = order.plan.instances.values().map(|instance| instance.generation).max().unwrap_or(0);
    let generation = recorded.max(seen) + u64::from(kind == Kind::Change);
    Deployment {
        version: 1,
        environment: order.plan.environment.clone(),
        generation,
        kind,
        commits: order.plan.commits.clone(),
        plan_digest: order.plan.digest(),
        triggered_by: order.triggered_by.clone(),
        controller: controller(),
        started: timestamp(Utc::now()),
        outcome: None,
        duration_ms: None,
        summary: order.plan.summary(),
        touches: order.plan.steps.iter().map(|step| step.instance.clone()).collect(),
        limit_ms: 0,
        changes: report::plan::change_lines(order.plan),
        failure: None,
        unreached: unreached(order),
        not_undone: Vec::new(),
    }
}

/// Instances that this deployment leaves as they are: not reached, or left out by `-i`. What is
/// recorded is then no deployment of everything.
fn unreached<H>(order: &Order<'_, H>) -> BTreeMap<InstanceName, String> {
    let unknown = order.plan.unknown_instances().map(|(name, why)| (name.clone(), why.to_owned()));
    let left_out = order.prepared.fleet.instances.keys().filter(|name| !order.plan.instances.contains_key(*name));
    unknown.chain(left_out.map(|name| (name.clone(), "left out by --instance".to_owned()))).collect()
}

/// This process, as another controller would have to find it.
pub fn controller() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{host} (pid {})", std::process::id())
}

fn timestamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn conclude(deployment: &mut Deployment, ended: Ended) {
    let failed = |deployment: &mut Deployment, failure: Failure| deployment.failure = Some(failure);
    deployment.outcome = Some(match ended {
        Ended::Applied if deployment.unreached.is_empty() => Outcome::Applied,
        Ended::Applied => Outcome::Partial,
        Ended::RolledBack(failure) => {
            failed(deployment, failure);
            Outcome::RolledBack
        }
        Ended::RollbackFailed { failure, not_undone } => {
            failed(deployment, failure);
            deployment.not_undone = not_undone;
            Outcome::RollbackFailed
        }
    });
}

/// Appends to the history, again on top of what others appended meanwhile.
async fn record_outcome<H: Host>(
    order: &Order<'_, H>,
    previous: Files,
    deployment: &Deployment,
) -> Result<(), PassError> {
    let outcome = deployment.outcome.unwrap_or(Outcome::Unchanged);
    let failed = |source| PassError::Outcome { outcome, source };
    let files = record::outcome_files(&previous, order.prepared, deployment);
    let mut tries = 0;
    loop {
        tries += 1;
        match append(order, files.clone(), deployment).await {
            Ok(()) => break,
            Err(LedgerError::Git(GitError::Diverged { .. })) if tries < OUTCOME_TRIES => {
                order.ledger.call(|repository| repository.fetch().map(|_| ())).await.map_err(failed)?;
            }
            Err(error) => return Err(failed(error)),
        }
    }
    if let (Outcome::Applied, Some(commit)) = (outcome, deployment.commits.environment.clone()) {
        let environment = deployment.environment.clone();
        order.ledger.call(move |repository| repository.mark_good(&environment, &commit)).await.map_err(failed)?;
    }
    Ok(())
}

async fn append<H: Host>(order: &Order<'_, H>, files: Files, deployment: &Deployment) -> Result<(), LedgerError> {
    let environment = deployment.environment.clone();
    let commit = deployment.commits.environment.clone();
    let deployment = deployment.clone();
    let written = order
        .ledger
        .call(move |repository| {
            // A commit whose subject cannot be read is named by its id alone.
            let subject = commit.and_then(|id| repository.commit_summary(&id).ok()).map(|summary| summary.subject);
            let message = report::deployment::commit_message(&deployment, subject.as_deref());
            repository.append(&environment, &files, &message, Utc::now())
        })
        .await?;
    tracing::debug!(commit = written, "history written");
    Ok(())
}

/// Says aloud what an outcome leaves to be done.
pub fn warn_of<H>(order: &Order<'_, H>, deployment: &Deployment) {
    for failure in &deployment.not_undone {
        (order.watch)(Event::Warning(format!("{} is not undone: {}", failure.instance, failure.message)));
    }
}
