//! A deployment that began and of which nothing says how it ended: its controller was stopped in the
//! middle. It is completed where the hosts are between two phases, and undone otherwise.
//!
//! Keeps true: what is recorded is what the hosts tell; nothing goes on while a host still runs something
//! of it; a controller that may still be alive is fenced off first, in the history (`deploy::claim`) and then on
//! the hosts.
//!
//! Every intent gets exactly one outcome. The races:
//! (a) The same controller starts again: it finds its own intent by its `ControllerId`, which is the machine and the state
//!     directory, on which it holds a lock (`seat` in a record).
//! (b) The cut came between two phases, or after the last: where every host is so far, the deployment is completed.
//! (c) The cut came within a phase: where one host was cut off, the deployment is undone.
//! (d) Another controller takes over while the first may be alive: it fences first, so the hosts refuse that generation.

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};
use tracing::{Instrument as _, info_span};

use super::deploy::{self, DeployError};
use crate::{
    decide::FailureScope,
    engine::{
        Watch,
        execute::{
            cancellation::Halting,
            cleanup,
            executor::{Ended, Executor, is_scripted},
        },
        history::{lease::Lease, store::Store},
        observe::{
            health::{Started, await_healthy},
            probe::{self, Hosts},
            status,
        },
        prepare::Prepared,
    },
    host::{HostError, HostProgress, HostWrite, LossTimer, TrailState},
    model::{
        failure::Failure,
        fleet::OnInstanceFailure,
        name::InstanceName,
        outcome::{Cause, Conclusion, Intent},
        plan::Plan,
        rollout::Slots,
    },
    plan::Leave,
    report,
};

/// Between two looks at a host that still runs something.
const AGAIN: Duration = Duration::from_millis(300);

/// An intent without outcome, and what is needed to end it.
pub struct Case<'a, H, S> {
    /// Of this controller, if need be by [`deploy::claim`].
    pub intent: &'a Intent,
    pub lease: &'a Lease,
    /// Of the intent's commits.
    pub prepared: &'a Prepared,
    pub hosts: &'a Hosts<H>,
    pub store: &'a S,
    /// Whether it is still what the environment is to be brought to.
    pub still_wanted: bool,
    pub halt: &'a Halting,
    pub watch: &'a Watch<'a>,
}

/// What each touched instance says, or why it says nothing.
type Trails = BTreeMap<InstanceName, Result<HostProgress, HostError>>;

impl<H: HostWrite, S: Store> Case<'_, H, S> {
    /// Ends it, records how, and answers the record.
    pub async fn close(&self) -> Result<Conclusion, DeployError> {
        let began = Instant::now();
        let ended = tokio::select! {
            biased;
            // As for every deployment: what is dropped in the middle goes on at the hosts.
            ended = self.end().instrument(info_span!("deployment", deployment = self.intent.generation)) => ended,
            () = self.halt.detach() => return Err(DeployError::Detached),
        };
        let (ended, slots) = ended;
        let conclusion = deploy::conclude(self.intent.clone(), ended, began);
        deploy::record(self.store, &conclusion, &self.prepared.in_slots(&slots)).await?;
        Ok(conclusion)
    }

    /// How it ended, and in which slots services run by then that have two copies.
    async fn end(&self) -> (Ended, BTreeMap<InstanceName, Slots>) {
        if self.intent.taken_over.is_some() {
            // From here on the hosts refuse what the other controller may still send.
            let fleet = &self.prepared.fleet.name;
            join_all(self.touched().map(|(name, host)| cleanup::fence(self.lease, fleet, name, host, self.watch)))
                .await;
        }
        let trails = self.trails().await;
        let newest_phase = trails.values().flatten().map(|trail| trail.newest_phase).max().unwrap_or(0);
        match self.trouble(&trails) {
            Some(failure) => (self.undo(failure, newest_phase).await, BTreeMap::new()),
            None => self.complete(newest_phase, &trails).await,
        }
    }

    fn touched(&self) -> impl Iterator<Item = (&InstanceName, &H)> {
        self.intent.touches.iter().filter_map(|name| Some((name, self.hosts.get(name)?.as_ref())))
    }

    /// Asks each instance, until it runs nothing of it any more. One that does not answer is waited for as
    /// long as any that is lost.
    async fn trails(&self) -> Trails {
        let fleet = &self.prepared.fleet.name;
        let name = self.intent.generation.to_string();
        let lost_after = self.prepared.fleet.environment.lost_after.0;
        let asked = self.touched().map(|(instance, host)| {
            let name = name.clone();
            async move {
                // What runs there has an end of its own.
                let mut loss_timer = LossTimer::new(lost_after, Duration::MAX);
                loop {
                    match host.trail(fleet, &name).await {
                        Ok(trail) if trail.state == TrailState::Running => {
                            loss_timer.hears();
                            sleep(AGAIN).await;
                        }
                        Err(error) if loss_timer.outlasts(&error).await => {}
                        trail => return (instance.clone(), trail),
                    }
                }
            }
        });
        join_all(asked).await.into_iter().collect()
    }

    /// Why it cannot be completed; none when it can.
    fn trouble(&self, trails: &Trails) -> Option<Failure> {
        let generation = self.intent.generation;
        for (instance, trail) in trails {
            if let Ok(HostProgress { state: TrailState::Broken | TrailState::Undone, failed: Some(failed), .. }) = trail
            {
                return Some(HostError::Step(failed.clone()).failure(instance));
            }
        }
        for (instance, trail) in trails {
            match trail {
                Err(error) => {
                    let mut lost = error.failure(instance);
                    lost.message = format!("lost while its controller was away: {}", report::chain(error));
                    return Some(lost);
                }
                Ok(HostProgress { state: TrailState::Broken | TrailState::Undone, .. }) => {
                    let message = format!("generation {generation} was cut off there in the middle of a phase");
                    return Some(Failure::of_instance(instance, Cause::Interrupted, message));
                }
                Ok(_) => {}
            }
        }
        if self.intent.touches.is_empty() && self.hosts.is_empty() {
            return None;
        }
        let gone = trails.len() < self.intent.touches.len();
        let message = if gone {
            "an instance that it changes is declared no more"
        } else if self.intent.taken_over.is_some() {
            "the controller that began it was taken for dead, and another took over"
        } else if !self.still_wanted {
            "its controller was stopped in the middle, and something else is wanted by now"
        } else if trails.values().flatten().all(|trail| trail.state == TrailState::Nothing) {
            "its controller was stopped before anything was changed"
        } else {
            return None;
        };
        Some(Failure::of_deployment(Cause::Interrupted, message))
    }

    fn deployment<'d>(&'d self, plan: &'d Plan, newest_phase: u32) -> Executor<'d, H> {
        Executor {
            prepared: self.prepared,
            plan,
            hosts: self.hosts,
            lease: self.lease,
            name: self.intent.generation.to_string(),
            begun: (self.intent.touches.clone(), newest_phase),
            undo_on_failure: self.prepared.fleet.environment.rollback_on_failure,
            // What an earlier controller left out is not recorded: all of it is undone, or none.
            scope: FailureScope { rule: OnInstanceFailure::Undo, touched: Default::default(), completes: false },
            halt: self.halt,
            watch: self.watch,
        }
    }

    async fn undo(&self, failure: Failure, newest_phase: u32) -> Ended {
        let nothing = probe::plan_from(self.prepared, &BTreeMap::new(), None);
        self.deployment(&nothing, newest_phase).failed(failure, 0).await
    }

    /// What is left is planned from what is live, and carried out as the same deployment: on the instances that its intent
    /// names, and on no other that answers by now. Whoever undid it after another cut would not know of that one.
    async fn complete(&self, newest_phase: u32, trails: &Trails) -> (Ended, BTreeMap<InstanceName, Slots>) {
        let touched: Vec<InstanceName> = self.intent.touches.iter().cloned().collect();
        let prepared = self.prepared.clone().only(&touched);
        let plan =
            probe::look(&prepared, self.hosts, Some(self.intent.generation), &Leave::default(), self.watch).await;
        let slots = plan.slots();
        let prepared = prepared.in_slots(&slots).into_owned();
        (self.carry_out(&prepared, &plan, newest_phase, trails).await, slots)
    }

    async fn carry_out(&self, prepared: &Prepared, plan: &Plan, newest_phase: u32, trails: &Trails) -> Ended {
        let running = Executor { prepared, ..self.deployment(plan, newest_phase) };
        if let Some(failure) = self.unplannable(plan) {
            return running.failed(failure, 0).await;
        }
        match running.run().await {
            Ended::Applied => {}
            ended => return ended,
        }
        // What is undone from here on is undone with what was done just now, and that first.
        let last = plan.phases().len();
        for (name, trail) in trails {
            let open = trail.as_ref().is_ok_and(|trail| trail.state == TrailState::Between);
            let closed = plan.steps.iter().any(|step| step.instance == *name && is_scripted(step));
            if open
                && !closed
                && let Err(failure) = running.settle(name).await
            {
                return running.failed(failure, last.max(1)).await;
            }
        }
        // What the lost controller waited for, nobody may have seen.
        let waits = self.intent.touches.iter().flat_map(|name| {
            let replicas = prepared.desired.get(name).into_iter().flat_map(|desired| desired.replicas.values());
            replicas.map(move |replica| (name, status::waiting_for(name, replica)))
        });
        let waits = waits.filter_map(|(name, step)| {
            let host = self.hosts.get(name)?;
            Some(async move {
                let healthy = await_healthy(host.as_ref(), name, &step, Started::Before, self.watch).await;
                healthy.map_err(|failed| {
                    let message = format!("{}: {}", step.resource, failed.why);
                    Failure::of_instance(name, failed.cause, message).at(step.id)
                })
            })
        });
        match join_all(waits).await.into_iter().find_map(Result::err) {
            Some(failure) => running.failed(failure, last).await,
            None => Ended::Applied,
        }
    }

    /// A plan that cannot be carried out on what the deployment touches.
    fn unplannable(&self, plan: &Plan) -> Option<Failure> {
        if let Some(finding) = plan.findings.iter().find(|finding| finding.is_error()) {
            let message = format!("what is left of it is refused: {}", finding.message);
            return Some(Failure::of_deployment(Cause::Interrupted, message));
        }
        let unknown = plan.unknown_instances().find(|(name, _)| self.intent.touches.contains(*name));
        unknown.map(|(name, why)| {
            Failure::of_instance(name, Cause::Interrupted, format!("what is left of it cannot be told: {why}"))
        })
    }
}
