//! One pass in one environment, as the loop makes it: end what is open, observe, heal, plan, carry out.
//!
//! Keeps true: what a pass finds out it answers as a value, for `decide`; nothing is changed under a goal
//! that only looks.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;
use tracing::{error, info, warn};

use super::{
    deploy::{self, Order, PassError},
    durations::{Part, SyncDurations},
    error::SyncError,
    recover::Case,
};
use crate::{
    decide::{End, Goal, SyncResult},
    engine::{
        controller::{Controller, pending},
        execute::cleanup::heal,
        history::{
            log::{self, Newest},
            store::HistoryStore,
        },
        observe::{
            attribution,
            probe::{self, Hosts},
            scrub, status,
        },
        prepare::Prepared,
    },
    host::{Host, waits},
    model::{
        desired::Resource,
        environment_state::{Barred, Control, EnvironmentState, StateEvent},
        failure::Refused,
        name::{EnvironmentName, InstanceName},
        outcome::{Cause, Conclusion, Kind, Outcome},
        plan::{Commits, Plan},
    },
    plan::drift,
    report::{
        self,
        status::{ErrorOf, StatusView},
    },
};

/// Who asks, where no person does.
pub(in crate::engine) const CONTROLLER: &str = "the controller";

/// Instances that are not asked, each with the reason.
pub type Unreachable = BTreeMap<InstanceName, String>;
/// What was repaired too often, and how often.
pub type BackedOff = BTreeMap<(InstanceName, Resource), u32>;

/// What a pass saw of instances, and did.
#[derive(Default)]
struct Found {
    unreached: BTreeMap<InstanceName, String>,
    differs: bool,
    repaired: BTreeSet<(InstanceName, Resource)>,
    /// Why outcomes are not recorded yet.
    unrecorded: Option<String>,
}

pub async fn round<H: Host, L: HistoryStore>(
    controller: &Controller<H, L>,
    environment: &EnvironmentName,
    goal: &Goal,
    unreachable: &Unreachable,
    backed_off: &BackedOff,
) -> SyncResult {
    let mut found = Found::default();
    let turn = controller.turn(environment);
    let parts = SyncDurations::begin();
    let round = EnvironmentSync { controller, environment, goal, unreachable, backed_off, turn, parts: &parts };
    let result = round.make(&mut found).await;
    parts.tell();
    let end = match &result {
        Ok(()) => End::Done,
        Err(failure) if failure.is_overtaken() => {
            info!("{}", report::chain(failure));
            End::Overtaken
        }
        Err(failure) => {
            error!("{}", report::chain(failure));
            End::Failed
        }
    };
    let failed = result.err().filter(|failure| !failure.is_overtaken()).map(|failure| report::chain(&failure));
    round.note_error(failed.or(found.unrecorded.take()));
    let history = controller.history_snapshot(environment).await;
    let history = history.inspect_err(|error| warn!("the history: {}", report::chain(error))).ok();
    SyncResult { end, history, unreached: found.unreached, differs: found.differs, repaired: found.repaired }
}

/// Asks an instance that did not answer whether it does now.
pub async fn ask<H: Host, L: HistoryStore>(
    controller: &Controller<H, L>,
    environment: &EnvironmentName,
    instance: &InstanceName,
) -> Result<(), String> {
    let latest = controller.prepared.lock().get(environment).and_then(|latest| latest.first().cloned());
    let Some(prepared) = latest else { return Ok(()) };
    let hosts = controller.roster.hosts(&prepared.fleet);
    let (Some(host), Some(desired)) = (hosts.get(instance), prepared.desired.get(instance)) else { return Ok(()) };
    let seen = probe::one(&prepared, host.as_ref(), desired, Some(0)).await;
    seen.map(|_| info!(%instance, "it answers again")).map_err(|error| report::chain(&error))
}

struct EnvironmentSync<'a, H, L> {
    controller: &'a Controller<H, L>,
    environment: &'a EnvironmentName,
    goal: &'a Goal,
    unreachable: &'a Unreachable,
    backed_off: &'a BackedOff,
    /// How many passes the environment has had.
    turn: u64,
    parts: &'a SyncDurations,
}

impl<H: Host, L: HistoryStore> EnvironmentSync<'_, H, L> {
    async fn make(&self, found: &mut Found) -> Result<(), SyncError> {
        let recorded = self.record_what_is_due().await;
        let told = |error: &SyncError| format!("what was done is not recorded yet: {}", report::chain(error));
        found.unrecorded = recorded.as_ref().err().map(told);
        match self.goal {
            Goal::Recover { target, take_over, .. } => {
                recorded?;
                self.recover(target, *take_over).await
            }
            Goal::Deploy(commits) => {
                // While outcomes cannot be recorded intents cannot either, but drift can be repaired.
                let prepared = self.prepared(commits).await?;
                self.bring(&prepared, found, recorded).await
            }
            Goal::Repair { good, .. } => {
                let prepared = self.prepared(good).await?;
                self.bring(&prepared, found, recorded).await
            }
            Goal::Observe { commits, .. } => {
                let prepared = self.prepared(commits).await?;
                let hosts = self.controller.roster.hosts(&prepared.fleet);
                let looking = Box::pin(probe::observe_promptly(&prepared, &hosts, self.unreachable, self.turn));
                let mut observed = self.parts.timed(Part::Probe, looking).await;
                self.note_unreached(&observed, found);
                let newest = log::newest(&self.controller.store, self.environment).await?;
                let plan = self.planned(&prepared, &hosts, &mut observed, newest.newest_generation()).await;
                let unfinished = observed.values().flatten().any(|seen| seen.unfinished.is_some());
                found.differs = plan.has_changes() || unfinished;
                self.publish(&prepared, &plan, &hosts).await;
                Ok(())
            }
        }
    }

    /// Ends a deployment that was left open.
    async fn recover(&self, target: &Commits, take_over: bool) -> Result<(), SyncError> {
        let newest = log::newest(&self.controller.store, self.environment).await?;
        if newest.open().is_some_and(|open| open.controller_id != self.controller.identity.id) && !take_over {
            return Ok(());
        }
        let claimed = deploy::claim(&self.controller.store, &newest, &self.controller.identity).await?;
        let Some(intent) = claimed.as_ref() else { return Ok(()) };
        let of = if intent.commits.environment.is_some() { &intent.commits } else { target };
        let prepared = match self.prepared(of).await {
            Ok(prepared) => prepared,
            Err(failure) => {
                // Its hosts are reached by what is declared now; it can only be undone then.
                warn!("generation {}: {}", intent.generation, report::chain(&failure));
                self.prepared(target).await?
            }
        };
        let by = intent.taken_over.as_ref().map_or(&intent.controller, |taken_over| &taken_over.from);
        info!(deployment = intent.generation, "a deployment was left open by {by}; ending it");
        let hosts = self.controller.roster.hosts(&prepared.fleet);
        let halt = self.controller.halting(self.environment);
        let case = Case {
            intent,
            prepared: &prepared,
            hosts: &hosts,
            store: &self.controller.store,
            still_wanted: *target == intent.commits && prepared.commits == intent.commits,
            halt: &halt,
            watch: &self.controller.watch,
        };
        let deployment = self.kept(case.close().await, &prepared)?;
        self.tell(&deployment);
        Ok(())
    }

    /// Observes, heals, plans, and carries out what there is to do.
    async fn bring(
        &self,
        prepared: &Arc<Prepared>,
        found: &mut Found,
        recorded: Result<(), SyncError>,
    ) -> Result<(), SyncError> {
        let hosts = self.controller.roster.hosts(&prepared.fleet);
        let looking = Box::pin(probe::observe_promptly(prepared, &hosts, self.unreachable, self.turn));
        let mut observed = self.parts.timed(Part::Probe, looking).await;
        self.note_unreached(&observed, found);
        let newest = log::newest(&self.controller.store, self.environment).await?;
        if let Some(open) = newest.open() {
            let (environment, controller) = (open.environment.clone(), open.controller.clone());
            return Err(PassError::UnderWay { environment, generation: open.generation, controller }.into());
        }
        if self.is_barred_by_now(&newest.state) {
            return Err(PassError::Outdated { environment: self.environment.clone() }.into());
        }
        heal(prepared, &hosts, &mut observed, newest.ended(), &self.controller.watch).await;
        let mut plan = self.planned(prepared, &hosts, &mut observed, newest.newest_generation()).await;
        let state = newest.state.clone();
        let settled = deploy::is_settled(&state, prepared);
        let mut suspects = Vec::new();
        if settled && plan.has_changes() {
            suspects = attribution::of(&plan, &hosts).await;
            let backed_off =
                self.backed_off.iter().map(|(what, count)| (what.clone(), report::status::does_not_hold(*count)));
            drift::by_policy(&mut plan, &prepared.fleet.environment.drift, &backed_off.collect());
        }
        let held = state.held_instances().map(|(name, hold)| (name, report::control::held(hold)));
        drift::without_held(&mut plan, held);
        if plan.is_refused() {
            self.publish(prepared, &plan, &hosts).await;
            return Err(self.refuse(&plan, settled, &state).await);
        }
        if !plan.has_changes() {
            if !settled && plan.unknown_instances().next().is_none() {
                self.complete(prepared, &newest).await;
            }
            self.publish(prepared, &plan, &hosts).await;
            scrub::where_due(self.controller, prepared, &hosts, &observed).await;
            return Ok(());
        }
        if plan.needs_builds() {
            // All of it before the first host is touched. What is declared is known only then, so it is looked at anew.
            let built = self.built(&plan, &newest).await?;
            return Box::pin(self.bring(&built, found, recorded)).await;
        }
        if !deploy::is_repair(&newest, prepared, &plan) {
            recorded?;
        }
        let deployment = self.carry_out(prepared, &plan, &hosts, &newest, suspects).await?;
        let outcome = deployment.outcome();
        if settled && outcome == Outcome::Applied {
            found.repaired = plan.steps.iter().map(|step| (step.instance.clone(), step.resource.clone())).collect();
        }
        // Who did not answer a moment ago is not waited for again.
        let unreachable =
            self.unreachable.iter().chain(&found.unreached).map(|(name, why)| (name.clone(), why.clone()));
        let unreachable = unreachable.collect();
        let looking = Box::pin(probe::observe_promptly(prepared, &hosts, &unreachable, self.turn));
        let mut after = self.parts.timed(Part::Probe, looking).await;
        let plan = self.planned(prepared, &hosts, &mut after, Some(deployment.generation)).await;
        self.publish(prepared, &plan, &hosts).await;
        match deployment.failure.as_ref().or(deployment.failed.first()) {
            None => Ok(()),
            Some(failure) => {
                if let (Cause::Lost, Some(name)) = (failure.cause, failure.instance()) {
                    found.unreached.insert(name.clone(), failure.message.clone());
                }
                let why = report::deployment::failure_line(failure);
                Err(SyncError::Deployment { generation: deployment.generation, outcome, why })
            }
        }
    }

    /// Plans from what was seen, once all is known that the plan takes.
    async fn planned(
        &self,
        prepared: &Prepared,
        hosts: &Hosts<H>,
        observed: &mut crate::plan::Observed,
        newest_generation: Option<u64>,
    ) -> Plan {
        let plan = self.parts.done(Part::Plan, || probe::plan_from(prepared, observed, newest_generation));
        let lacking = probe::lacking(&plan, observed);
        if lacking.is_empty() {
            return plan;
        }
        let looking = Box::pin(probe::again_promptly(prepared, hosts, &lacking, self.turn));
        observed.extend(self.parts.timed(Part::Probe, looking).await);
        self.parts.done(Part::Plan, || probe::plan_from(prepared, observed, newest_generation))
    }

    /// What stands against the goal, and did not yet when it was decided.
    fn is_barred_by_now(&self, state: &EnvironmentState) -> bool {
        let failed = matches!(self.goal, Goal::Deploy(commits) if state.quarantined(commits).is_some());
        failed || state.hold().is_some()
    }

    /// What was deployed in part is live everywhere by now. Unless that is history, drift would be repaired, and
    /// a bad commit's place be taken, by what was deployed before it. Commits that changed nothing are not
    /// recorded.
    async fn complete(&self, prepared: &Prepared, newest: &Newest) {
        let good = newest.state.good.as_ref().map(|good| &good.commits);
        let Some(deployment) = newest.deployment.as_ref().filter(|newest| Some(&newest.commits) != good) else {
            return;
        };
        let partial = newest.state.partial.as_ref().filter(|partial| partial.commits == prepared.commits);
        let generation = partial.map_or(deployment.generation, |partial| partial.generation);
        let commits = prepared.commits.clone();
        let control = Control::Complete { commits, generation, desired: prepared.digest, builds: prepared.builds() };
        let (by, when) = (CONTROLLER.to_owned(), deploy::timestamp(chrono::Utc::now()));
        let event = StateEvent { control, by, reason: None, when };
        if let Err(error) = log::complete(&self.controller.store, self.environment, newest, &event).await {
            warn!("that the deployment is complete is not recorded yet: {}", report::chain(&error));
        }
    }

    async fn carry_out(
        &self,
        prepared: &Arc<Prepared>,
        plan: &Plan,
        hosts: &Hosts<H>,
        on: &Newest,
        suspects: Vec<String>,
    ) -> Result<Conclusion, SyncError> {
        info!("{}", report::plan::headline(plan));
        suspects.iter().for_each(|suspect| info!("possibly: {suspect}"));
        status::progressing(&self.controller.status, plan);
        let halt = self.controller.halting(self.environment);
        let order = Order {
            prepared,
            plan,
            hosts,
            store: &self.controller.store,
            on,
            identity: &self.controller.identity,
            triggered_by: CONTROLLER.to_owned(),
            suspects,
            halt: &halt,
            watch: &self.controller.watch,
        };
        let began = Instant::now();
        let deployment = self.kept(Box::pin(deploy::carry_out(&order)).await, prepared)?;
        let applied = Duration::from_millis(deployment.duration_ms.unwrap_or(0));
        self.parts.spend(Part::Apply, applied);
        self.parts.spend(Part::Record, began.elapsed().saturating_sub(applied));
        self.tell(&deployment);
        Ok(deployment)
    }

    /// An outcome that cannot be recorded now is kept, and recorded when the repository is back.
    fn kept(&self, result: Result<Conclusion, PassError>, prepared: &Arc<Prepared>) -> Result<Conclusion, SyncError> {
        match result {
            Err(PassError::Outcome { conclusion, source }) => {
                warn!(
                    "generation {} ended {}; it is recorded later: {}",
                    conclusion.generation,
                    conclusion.outcome(),
                    report::chain(&source)
                );
                let mut unrecorded = self.controller.unrecorded.lock();
                unrecorded.entry(self.environment.clone()).or_default().push(((*conclusion).clone(), prepared.clone()));
                Ok(*conclusion)
            }
            result => Ok(result?),
        }
    }

    async fn record_what_is_due(&self) -> Result<(), SyncError> {
        loop {
            let next = self.controller.unrecorded.lock().get(self.environment).and_then(|due| due.first().cloned());
            let Some((deployment, prepared)) = next else { return Ok(()) };
            match deploy::record(&self.controller.store, &deployment, &prepared).await {
                Ok(()) => info!(deployment = deployment.generation, "its outcome is recorded now"),
                // What the history says stands. To offer it again would only keep all that comes after it waiting.
                Err(lost @ PassError::TakenOver { .. }) => self.tell_of_lost(&deployment, &lost).await?,
                Err(error) => return Err(error.into()),
            }
            if let Some(due) = self.controller.unrecorded.lock().get_mut(self.environment) {
                due.remove(0);
            }
        }
    }

    /// Says of an outcome that is never recorded whose it was, and who wrote in its place.
    async fn tell_of_lost(&self, deployment: &Conclusion, lost: &PassError) -> Result<(), SyncError> {
        let newest = log::newest(&self.controller.store, self.environment).await?.deployment;
        let newest = newest.map_or("no deployment".to_owned(), |newest| {
            format!("generation {} by {}", newest.generation, newest.controller)
        });
        let outcome = deployment.outcome();
        warn!(
            deployment = deployment.generation,
            "it ended {outcome} under {}, which is not recorded: {}; the newest there is {newest}",
            deployment.controller,
            report::chain(lost)
        );
        Ok(())
    }

    /// Says why, and records it once for these commits.
    async fn refuse(&self, plan: &Plan, settled: bool, state: &EnvironmentState) -> SyncError {
        let refused = Refused::for_findings(&plan.findings, CONTROLLER);
        if !settled && state.quarantined(&plan.commits).is_none() {
            self.record_refusal(plan, &refused).await;
        }
        SyncError::Refused(refused.why)
    }

    fn tell(&self, deployment: &Conclusion) {
        let outcome = deployment.outcome();
        let what = if deployment.kind == Kind::Change { "deployment ended" } else { "drift repair ended" };
        info!(deployment = deployment.generation, %outcome, ms = deployment.duration_ms, "{what}");
    }

    fn note_unreached(&self, observed: &crate::plan::Observed, found: &mut Found) {
        for (name, seen) in observed {
            if let (Err(why), false) = (seen, self.unreachable.contains_key(name)) {
                warn!(instance = %name, "{why}");
                found.unreached.insert(name.clone(), why.clone());
            }
        }
    }

    async fn prepared(&self, commits: &Commits) -> Result<Arc<Prepared>, SyncError> {
        let preparing = Box::pin(self.controller.prepared_for(self.environment, commits, false));
        let preparing = waits::said("", || "the commit and its sources to be read".to_owned(), preparing);
        self.parts.timed(Part::Read, preparing).await
    }

    /// With everything built. A build that fails bars the commits, as any failure of theirs would; that those
    /// fail which were good says nothing of the newer ones.
    async fn built(&self, plan: &Plan, newest: &Newest) -> Result<Arc<Prepared>, SyncError> {
        info!("building what is not built yet");
        self.viewed(&mut self.controller.status.lock());
        pending::note(&self.controller.status, self.environment, pending::for_builds(newest, &plan.commits));
        let building = Box::pin(self.controller.prepared_for(self.environment, &plan.commits, true));
        let building = waits::said("", || "the builds".to_owned(), building);
        let built = self.parts.timed(Part::Read, building).await;
        let by_itself = built.as_ref().err().and_then(SyncError::failed_build);
        if let (Goal::Deploy(_), Some(refused)) = (self.goal, by_itself) {
            self.record_refusal(plan, &refused).await;
        }
        built
    }

    async fn record_refusal(&self, plan: &Plan, refused: &Refused) {
        let recorded = deploy::record_refusal(&self.controller.store, plan, &self.controller.identity, refused).await;
        if let Err(error) = recorded {
            warn!("the refusal is not recorded: {}", report::chain(&error));
        }
    }

    /// Puts what is known of the environment where `status` finds it.
    async fn publish(&self, prepared: &Prepared, plan: &Plan, hosts: &Hosts<H>) {
        let newest = log::newest(&self.controller.store, self.environment).await;
        let newest = newest.inspect_err(|error| warn!("the history: {}", report::chain(error))).unwrap_or_default();
        let mut view = status::survey(prepared, plan, hosts, newest.deployment.as_deref()).await;
        status::stand(&mut view, self.goal, &newest, self.backed_off);
        view.waiting = pending::behind(self.goal, &newest, &self.controller.identity, plan.has_changes());
        view.controller = Some(self.controller.identity.controller.clone());
        view.advice = self.controller.advice();
        let mut status = self.controller.status.lock();
        // It stands until this pass has ended.
        if let Some(before) = status.get(self.environment) {
            (view.last_error, view.error_of) = (before.last_error.clone(), before.error_of);
        }
        status.insert(self.environment.clone(), view);
    }

    fn viewed<'s>(&self, status: &'s mut BTreeMap<EnvironmentName, StatusView>) -> &'s mut StatusView {
        let nothing = || status::nothing_known(self.environment, self.goal.commits(), &self.controller.identity);
        status.entry(self.environment.clone()).or_insert_with(nothing)
    }

    /// While commits are put off, what stands against them is still what went wrong last.
    fn note_error(&self, why: Option<String>) {
        let put_off =
            matches!(self.goal, Goal::Observe { why: Barred::Later, .. } | Goal::Repair { why: Barred::Later, .. });
        let trouble = self.controller.trouble.lock().clone();
        let trouble = trouble.or_else(|| self.controller.untold.lock().get(self.environment).cloned());
        let mut status = self.controller.status.lock();
        let view = self.viewed(&mut status);
        let before = view.last_error.take().filter(|_| put_off && view.error_of == ErrorOf::Pass);
        let of_a_pass = why.or(before);
        view.error_of = if of_a_pass.is_none() { ErrorOf::Repository } else { ErrorOf::Pass };
        view.last_error = of_a_pass.or(trouble);
    }
}
