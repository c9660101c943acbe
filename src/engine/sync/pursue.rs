//! What the loop wants of an environment, carried out: end what is open, observe, plan, carry out, and tell what was found.
//!
//! Keeps true: what a sync finds out it answers as a value, for `decide` and for `status`; nothing is changed under a goal
//! that only looks; an outcome that cannot be recorded is kept until it can.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use chrono::Utc;
use tokio::time::Instant;

use super::{
    deploy::DeployError,
    durations::Part,
    environment::{EnvironmentSync, Planned, Purpose, RecoveryTarget},
    error::SyncError,
    memory::SyncMemory,
    pending,
};
use crate::{
    decide::{End, Goal, SyncResult, sync::Next},
    engine::{
        execute::scrub,
        history::{
            controller_id::CONTROLLER,
            log::{self, Newest},
            store::{Store, StoreError},
        },
        observe::{
            probe::{self, Hosts},
            status::{self, SeenReplicas},
        },
        prepare::Prepared,
    },
    host::{HostRead, HostWrite},
    model::{
        belief::Refusal,
        desired::Resource,
        environment_state::{Control, EnvironmentState, StateEvent},
        event::{Detail, EventKind},
        failure::Refused,
        name::{EnvironmentName, InstanceName},
        outcome::{Cause, Conclusion, Kind, Outcome},
        paths,
        plan::{Commits, Plan, Step},
        repair::ReplicaUnit,
        status::{StatusView, Waiting},
        time::timestamp,
    },
    plan::Observed,
    report,
};

/// What of the status changes while a sync runs.
#[derive(Debug, Clone, PartialEq)]
pub enum StatusChange {
    /// The hosts were looked at.
    Looked(Box<StatusView>),
    /// These resources are being changed.
    Progressing(BTreeSet<(InstanceName, Resource)>),
    /// Something is merged that waits.
    Waiting(Waiting),
}

/// What a sync came to.
pub struct Pursued {
    pub result: SyncResult,
    /// Why not everything is as it should be, for people.
    pub error: Option<String>,
    /// What of the history is not believed; none where it could not be read.
    pub refusals: Option<Vec<Refusal>>,
    pub memory: SyncMemory,
}

/// What a sync saw of instances, and did.
#[derive(Default)]
struct SyncFindings {
    unreached: BTreeMap<InstanceName, String>,
    differs: bool,
    repaired: BTreeSet<(InstanceName, Resource)>,
    seen: SeenReplicas,
    restarted: BTreeSet<ReplicaUnit>,
    /// Why outcomes are not recorded yet.
    unrecorded: Option<String>,
    /// What the history says, where nothing was written after it was read.
    newest: Option<Newest>,
}

/// A goal of the loop, and where its sync tells of itself.
pub struct Pursuit<'a, H, S> {
    pub sync: EnvironmentSync<'a, H, S>,
    pub goal: &'a Goal,
    pub tell: &'a (dyn Fn(StatusChange) + Send + Sync),
}

impl<H: HostWrite, S: Store> Pursuit<'_, H, S> {
    /// Carries the goal out.
    pub async fn run(&self, mut memory: SyncMemory) -> Pursued {
        let mut found = SyncFindings::default();
        self.tell_of_given_up(&mut memory);
        let result = Box::pin(self.pursue(&mut found, &mut memory)).await;
        self.sync.durations.tell();
        let end = match &result {
            Ok(()) => End::Done,
            Err(failure) if failure.is_overtaken() => {
                self.emit(EventKind::SyncSuperseded { why: Detail::of(report::chain(failure)) });
                End::Overtaken
            }
            Err(failure) => {
                self.emit(EventKind::SyncFailed { why: Detail::of(report::chain(failure)) });
                End::Failed
            }
        };
        let failed = result.err().filter(|failure| !failure.is_overtaken()).map(|failure| report::chain(&failure));
        let newest = match found.newest.take() {
            Some(newest) => Ok(newest),
            None => self.sync.workspace.newest(self.sync.environment).await,
        };
        let newest = newest.inspect_err(|error| self.emit(history_unread(error))).ok();
        let history = newest.as_ref().map(|newest| newest.snapshot(&self.sync.workspace.identity));
        let SyncFindings { unreached, differs, repaired, seen, restarted, unrecorded, .. } = found;
        Pursued {
            result: SyncResult { end, history, unreached, differs, repaired, seen, restarted },
            error: failed.or(unrecorded),
            refusals: newest.map(|newest| newest.refusals),
            memory,
        }
    }

    async fn pursue(&self, found: &mut SyncFindings, memory: &mut SyncMemory) -> Result<(), SyncError> {
        let recorded = memory.record_what_is_due(self.sync.workspace, self.sync.environment).await;
        let told = |error: &SyncError| format!("what was done is not recorded yet: {}", report::chain(error));
        found.unrecorded = recorded.as_ref().err().map(told);
        let newest = self.sync.workspace.newest(self.sync.environment).await?;
        match self.goal {
            Goal::Recover { target, take_over, .. } => {
                recorded?;
                self.recover(&newest, target, *take_over, memory).await
            }
            // While outcomes cannot be recorded intents cannot either, but drift can be repaired.
            Goal::Deploy(commits) | Goal::Repair { good: commits, .. } => {
                let prepared = self.sync.prepared(commits, &newest).await?;
                self.bring(prepared, found, memory, recorded).await
            }
            Goal::Observe { commits, .. } => {
                let prepared = self.sync.prepared(commits, &newest).await?;
                let planned = self.plan(prepared, Purpose::Observe, found).await?;
                let unfinished = planned.observed.values().flatten().any(|seen| seen.unfinished.is_some());
                found.differs = planned.plan.has_changes() || unfinished;
                found.seen = self.publish(&planned.prepared, &planned.plan, &planned.hosts, &planned.on).await;
                found.newest = Some(planned.on);
                Ok(())
            }
        }
    }

    /// Ends a deployment that was left open.
    async fn recover(
        &self,
        newest: &Newest,
        target: &Commits,
        take_over: bool,
        memory: &mut SyncMemory,
    ) -> Result<(), SyncError> {
        let identity = &self.sync.workspace.identity;
        if newest.open().is_some_and(|open| open.controller_id != identity.id) && !take_over {
            return Ok(());
        }
        let target = RecoveryTarget { commits: target, is_whole: true };
        let Some(recovery) = self.sync.recover(newest, target).await? else { return Ok(()) };
        let conclusion = memory.kept(&self.sync.workspace.events, recovery.ended, &recovery.prepared)?;
        self.tell_of_end(&conclusion);
        Ok(())
    }

    /// Observes, cleans up, plans, and carries out what there is to do.
    async fn bring(
        &self,
        prepared: Arc<Prepared>,
        found: &mut SyncFindings,
        memory: &mut SyncMemory,
        recorded: Result<(), SyncError>,
    ) -> Result<(), SyncError> {
        let mut planned = self.plan(prepared, Purpose::Change, found).await?;
        if planned.next() == Next::Build {
            // All of it before the first host is touched. What is declared is known only then, so it is looked at anew.
            let built = self.built(&planned).await?;
            planned = self.plan(built, Purpose::Change, found).await?;
        }
        match planned.next() {
            Next::Refuse => {
                found.seen = self.publish(&planned.prepared, &planned.plan, &planned.hosts, &planned.on).await;
                Err(self.refuse(&planned).await)
            }
            Next::Build => Err(SyncError::Unbuilt),
            Next::CarryOut => {
                if !planned.is_repair() {
                    recorded?;
                }
                self.carry_out(&planned, found, memory).await
            }
            next @ (Next::Complete | Next::Nothing) => {
                let completed = next == Next::Complete && self.complete(&planned).await;
                let on = if completed { self.newest().await } else { planned.on.clone() };
                found.seen = self.publish(&planned.prepared, &planned.plan, &planned.hosts, &on).await;
                let jitter = &self.sync.workspace.jitter;
                let Planned { prepared, hosts, observed, .. } = &planned;
                scrub::where_due(&mut memory.scrubs, jitter, prepared, hosts, observed, self.sync.watch).await;
                found.newest = Some(on);
                Ok(())
            }
        }
    }

    /// Observes and plans. A goal that something stands against by now is not pursued.
    async fn plan(
        &self,
        prepared: Arc<Prepared>,
        purpose: Purpose,
        found: &mut SyncFindings,
    ) -> Result<Planned<H>, SyncError> {
        let sync = &self.sync;
        let hosts = sync.workspace.connections.hosts(&prepared.fleet);
        let mut observed = sync.observed(&prepared, &hosts).await;
        self.note_unreached(&observed, found);
        let on = sync.workspace.newest(sync.environment).await?;
        if purpose == Purpose::Change && on.open().is_none() && self.is_barred_by_now(&on.state) {
            return Err(DeployError::Outdated { environment: sync.environment.clone() }.into());
        }
        sync.plan_observed(prepared, hosts, &mut observed, on, purpose).await
    }

    async fn carry_out(
        &self,
        planned: &Planned<H>,
        found: &mut SyncFindings,
        memory: &mut SyncMemory,
    ) -> Result<(), SyncError> {
        let changing = planned.plan.steps.iter().map(|step| (step.instance.clone(), step.resource.clone())).collect();
        (self.tell)(StatusChange::Progressing(changing));
        let is_restart = |step: &&Step| {
            // Of two copies the other one is started in the place of one that is unhealthy.
            let fleet = &planned.prepared.fleet.name;
            let is_of = |unit: &str| {
                paths::replica_of_unit(fleet, unit).map(|of| Resource::Service(of.service)).as_ref()
                    == Some(&step.resource)
            };
            let of_unhealthy = planned.unhealthy.keys().any(|(name, unit)| *name == step.instance && is_of(unit));
            step.action.started().is_some() && of_unhealthy
        };
        let restarts: Vec<&Step> = planned.plan.steps.iter().filter(is_restart).collect();
        // Whatever becomes of it: each try counts.
        found.restarted = planned.unhealthy.keys().filter(|_| !restarts.is_empty()).cloned().collect();
        let began = Instant::now();
        let ended = self.sync.carry_out(planned).await;
        let conclusion = memory.kept(&self.sync.workspace.events, ended, &planned.prepared)?;
        let applied = Duration::from_millis(conclusion.duration_ms.unwrap_or(0));
        self.sync.durations.spend(Part::Apply, applied);
        self.sync.durations.spend(Part::Record, began.elapsed().saturating_sub(applied));
        self.tell_of_end(&conclusion);
        let outcome = conclusion.outcome();
        if planned.is_settled && outcome == Outcome::Applied {
            // How often a replica may be restarted for its health has a rule of its own.
            let restarts: BTreeSet<_> = restarts.iter().map(|step| (&step.instance, &step.resource)).collect();
            let steps = planned.plan.steps.iter().filter(|step| !restarts.contains(&(&step.instance, &step.resource)));
            found.repaired = steps.map(|step| (step.instance.clone(), step.resource.clone())).collect();
        }
        self.look_after(planned, &conclusion, found).await;
        match conclusion.failure.as_ref().or(conclusion.failed.first()) {
            None => Ok(()),
            Some(failure) => {
                if let (Cause::Lost, Some(name)) = (failure.cause, failure.instance()) {
                    found.unreached.insert(name.clone(), failure.message.clone());
                }
                let why = report::deployment::failure_line(failure);
                Err(SyncError::Deployment { generation: conclusion.generation, outcome, why })
            }
        }
    }

    /// Looks at the hosts after a deployment, and publishes what is live. Who did not answer a moment ago is not waited
    /// for again.
    async fn look_after(&self, planned: &Planned<H>, conclusion: &Conclusion, found: &mut SyncFindings) {
        let Planned { prepared, hosts, .. } = planned;
        let mut observed = self.sync.observed_but(prepared, hosts, &found.unreached).await;
        let generation = Some(conclusion.generation);
        let plan = self.sync.planned(prepared, hosts, &mut observed, generation, &Default::default()).await;
        let newest = self.newest().await;
        found.seen = self.publish(prepared, &plan, hosts, &newest).await;
        found.newest = Some(newest).filter(|newest| newest.commit.is_some());
    }

    /// What stands against the goal, and did not yet when it was decided.
    fn is_barred_by_now(&self, state: &EnvironmentState) -> bool {
        let failed = matches!(self.goal, Goal::Deploy(commits) if state.quarantined(commits).is_some());
        failed || state.hold().is_some()
    }

    /// What was deployed in part is live everywhere by now. Unless that is said, drift would be repaired, and
    /// a bad commit's place be taken, by what was deployed before it. Commits that changed nothing are not
    /// recorded. Answers whether something was recorded.
    async fn complete(&self, planned: &Planned<H>) -> bool {
        let Planned { prepared, on, .. } = planned;
        let good = on.state.good.as_ref().map(|good| &good.commits);
        let Some(deployment) = on.deployment.as_ref().filter(|newest| Some(&newest.commits) != good) else {
            return false;
        };
        let partial = on.state.partial.as_ref().filter(|partial| partial.commits == prepared.commits);
        let generation = partial.map_or(deployment.generation, |partial| partial.generation);
        let commits = prepared.commits.clone();
        let control = Control::Complete { commits, generation, desired: prepared.digest, builds: prepared.builds() };
        let (by, when) = (CONTROLLER.to_owned(), timestamp(Utc::now()));
        let event = StateEvent { control, by, reason: None, when };
        let completed = log::complete(&self.sync.workspace.store, self.sync.environment, on, &event).await;
        completed
            .inspect_err(|error| self.emit(EventKind::CompletionUnrecorded { why: Detail::of(report::chain(error)) }))
            .is_ok()
    }

    /// Says why, and records it once for these commits.
    async fn refuse(&self, planned: &Planned<H>) -> SyncError {
        let refused = Refused::for_findings(&planned.plan.findings, CONTROLLER);
        if !planned.is_settled && planned.on.state.quarantined(&planned.plan.commits).is_none() {
            self.sync.record_refusal(&planned.plan, &refused).await;
        }
        SyncError::Refused(refused.why)
    }

    /// With everything built. A build that fails bars the commits, as any failure of theirs would; that those
    /// fail which were good says nothing of the newer ones.
    async fn built(&self, planned: &Planned<H>) -> Result<Arc<Prepared>, SyncError> {
        self.emit(EventKind::BuildBegun {});
        let (commits, newest) = (&planned.plan.commits, &planned.on);
        if let Some(waiting) = pending::for_builds(newest, commits) {
            (self.tell)(StatusChange::Waiting(waiting));
        }
        let built = self.sync.built(commits, newest).await;
        let by_itself = built.as_ref().err().and_then(|error| error.failed_build(CONTROLLER));
        if let (Goal::Deploy(_), Some(refused)) = (self.goal, by_itself) {
            self.sync.record_refusal(&planned.plan, &refused).await;
        }
        built
    }

    fn note_unreached(&self, observed: &Observed, found: &mut SyncFindings) {
        for (name, seen) in observed {
            if let (Err(why), false) = (seen, self.sync.look.leaves_out(name)) {
                self.emit(EventKind::HostUnreachable { instance: name.clone(), why: Detail::of(why) });
                found.unreached.insert(name.clone(), why.clone());
            }
        }
    }

    async fn newest(&self) -> Newest {
        let newest = self.sync.workspace.newest(self.sync.environment).await;
        newest.inspect_err(|error| self.emit(history_unread(error))).unwrap_or_default()
    }

    fn emit(&self, kind: EventKind) {
        self.sync.workspace.events.of(self.sync.environment).emit(kind);
    }

    fn tell_of_end(&self, conclusion: &Conclusion) {
        let (outcome, ms) = (conclusion.outcome(), conclusion.duration_ms);
        let failure = conclusion.failure.as_ref().or(conclusion.failed.first());
        let cause = failure.map(|failure| failure.cause);
        let instance = failure.and_then(|failure| failure.instance().cloned());
        let step = failure.and_then(|failure| failure.step.clone());
        let why = failure.map(|failure| Detail::of(&failure.message));
        let kind = match conclusion.kind {
            Kind::Change => EventKind::DeploymentEnded { outcome, ms, cause, instance, step, why },
            Kind::DriftRepair => EventKind::DriftRepaired { outcome, ms, cause, instance, step, why },
        };
        self.sync.workspace.events.of(self.sync.environment).deployment(conclusion.generation).emit(kind);
    }

    /// Puts what is known of the environment where `status` finds it.
    async fn publish(&self, prepared: &Prepared, plan: &Plan, hosts: &Hosts<H>, newest: &Newest) -> SeenReplicas {
        let (mut view, seen) = status::of_hosts(prepared, plan, hosts, newest.deployment.as_deref()).await;
        status::ailing(&mut view, &seen, self.sync.ailing);
        status::stand(&mut view, self.goal, newest, self.sync.backed_off);
        let identity = &self.sync.workspace.identity;
        view.waiting = pending::behind(self.goal, newest, identity, plan.has_changes());
        view.controller = Some(identity.name.clone());
        (self.tell)(StatusChange::Looked(Box::new(view)));
        seen
    }

    /// Says once of each replica that it is not restarted any more.
    fn tell_of_given_up(&self, memory: &mut SyncMemory) {
        for ((instance, unit), times) in &self.sync.ailing.given_up {
            if memory.given_up.insert((instance.clone(), unit.clone())) {
                let (instance, unit) = (instance.clone(), unit.clone());
                self.emit(EventKind::ServiceGivenUp { instance, unit, times: *times });
            }
        }
        memory.given_up.retain(|replica| self.sync.ailing.given_up.contains_key(replica));
    }
}

fn history_unread(error: &StoreError) -> EventKind {
    EventKind::HistoryUnread { why: Detail::of(report::chain(error)) }
}

/// Asks an instance that did not answer whether it does now.
pub async fn ask<H: HostRead, S: Store>(
    workspace: &super::workspace::Workspace<H, S>,
    environment: &EnvironmentName,
    instance: &InstanceName,
) -> Result<(), String> {
    let Some(prepared) = workspace.preparation.latest(environment) else { return Ok(()) };
    let hosts = workspace.connections.hosts(&prepared.fleet);
    let (Some(host), Some(desired)) = (hosts.get(instance), prepared.desired.get(instance)) else { return Ok(()) };
    let seen = probe::one(&prepared, host.as_ref(), desired, Some(0)).await;
    let back = |_| workspace.events.of(environment).emit(EventKind::HostBack { instance: instance.clone() });
    seen.map(back).map_err(|error| report::chain(&error))
}
