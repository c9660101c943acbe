//! Carrying a plan out: phase by phase, all instances of a phase at once.
//!
//! Keeps true: a phase begins when the one before is done and healthy everywhere; a failure anywhere
//! undoes the deployment everywhere (`rollback.rs`). Never does: deciding what a step is; it matches on steps.
//!
//! A stage of a wave is a phase on each instance, and stages come one after the other on each by itself; `recreate` has one
//! stage in each wave. Values reach a shell, systemd and nginx only quoted for them. The races:
//! (a) Something changed since it was planned: a step holds what lay there, and the host refuses it.
//! (b) Another deployment is faster: a host refuses a generation older than the newest it has seen, and every other
//!     deployment while one is open there.
//! (c) The connection is cut in the middle: it is made again, and the host's events are read again, until the instance
//!     counts as lost.
//! (d) A failure anywhere: the deployment is undone everywhere, by each instance from what it kept, in reverse order.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use tokio::time::sleep;

use super::{
    cancellation::Halting,
    phase_progress::{Alike, Current},
    rollback::{Undo, Undone},
    staging::Stage,
};
use crate::{
    decide::FailureScope,
    engine::{
        Watch,
        history::lease::Lease,
        observe::{
            health::{NotHealthy, Started, await_healthy},
            probe::Hosts,
        },
        prepare::Prepared,
    },
    host::{HostError, HostWrite, PhaseWork, StepEvent, waits},
    model::{
        digest::Digest,
        event::{Detail, EventKind},
        failure::Failure,
        manifest::Manifest,
        name::InstanceName,
        outcome::Cause,
        paths,
        plan::{Action, Phase, Plan, Side, Step, StepId},
    },
    report,
};

/// How many lines of a failed unit's log are kept with the failure.
const LOG_LINES: u32 = 15;

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    Applied,
    /// It is live, but for the instances that failed; there it is undone, unless `not_undone` names them.
    LeftOut {
        failed: Vec<Failure>,
        not_undone: Vec<Failure>,
    },
    /// It failed, and everything is as it was before.
    RolledBack(Failure),
    /// It failed, and undoing it failed too on the named instances.
    RollbackFailed {
        failure: Failure,
        not_undone: Vec<Failure>,
    },
    /// It failed, and is left as it is, because that is declared.
    Stopped(Failure),
}

/// A plan about to be carried out as a generation.
pub struct Executor<'a, H> {
    pub prepared: &'a Prepared,
    pub plan: &'a Plan,
    pub hosts: &'a Hosts<H>,
    /// That it may begin: its intent is recorded, or nothing is open and it repairs.
    pub lease: &'a Lease,
    /// The deployment's directory on the instances.
    pub name: String,
    /// Instances that an earlier controller may have changed for this deployment, and the number of its
    /// newest phase there. Nothing and 0 for one that begins.
    pub begun: (BTreeSet<InstanceName>, u32),
    /// Whether a failure is undone; else everything stays as it is then.
    pub undo_on_failure: bool,
    /// Which failures leave the other instances alone.
    pub scope: FailureScope<'a>,
    pub halt: &'a Halting,
    pub watch: &'a Watch<'a>,
}

impl<H: HostWrite> Executor<'_, H> {
    pub async fn run(&self) -> Ended {
        if let Some(failure) = self.unbuilt() {
            return self.failed(failure, 0).await;
        }
        let stage = Stage::new(&self.prepared.fleet.name, self.prepared.fleet.environment.lost_after.0);
        let phases = self.plan.phases();
        let waves: Vec<&[Phase]> = phases.chunk_by(|a, b| a.wave == b.wave).collect();
        let mut begun = 0;
        let (mut failed, mut not_undone): (Vec<Failure>, Vec<Failure>) = Default::default();
        for (number, wave) in (1..).zip(&waves) {
            if let Some(failure) = self.halt.reason() {
                return self.failed(failure, begun).await;
            }
            let mut instances = self.instances_of(wave);
            instances.retain(|name| failed.iter().all(|failure| failure.instance() != Some(*name)));
            (self.watch)(EventKind::PhaseBegun {
                number,
                of: u32::try_from(waves.len()).unwrap_or(u32::MAX),
                title: Detail::of(report::plan::phase_title(self.plan, wave[0].wave)),
            });
            let work = instances.iter().map(|name| self.stages(name, begun, wave, &stage));
            let results = join_all(work).await;
            begun += wave.len();
            let failures: Vec<Failure> = results.into_iter().filter_map(Result::err).collect();
            let Some(first) = failures.first().cloned() else { continue };
            failed.extend(failures.iter().cloned());
            if self.halt.reason().is_some() || !self.scope.goes_on_without(&failed) {
                return self.failed(first, begun).await;
            }
            not_undone.extend(self.leave_out(&failures, begun).await);
        }
        if failed.is_empty() { Ended::Applied } else { Ended::LeftOut { failed, not_undone } }
    }

    /// Undoes the deployment where it failed, and nowhere else; answers where that failed too.
    async fn leave_out(&self, failures: &[Failure], begun: usize) -> Vec<Failure> {
        let lost = failures.iter().filter(|failure| failure.cause == Cause::Lost);
        let lost = lost.filter_map(|failure| failure.instance().cloned()).collect();
        let failed = failures.iter().filter_map(|failure| failure.instance().cloned()).collect();
        let undo = self.undoing(failed, begun, lost);
        match undo.run().await {
            Undone::Everywhere => Vec::new(),
            Undone::Not(not_undone) => not_undone,
        }
    }

    fn undoing(&self, instances: BTreeSet<InstanceName>, begun: usize, lost: BTreeSet<InstanceName>) -> Undo<'_, H> {
        Undo {
            fleet: &self.prepared.fleet.name,
            deployment: &self.name,
            hosts: self.hosts,
            instances,
            newest_phase: self.number(begun),
            lost,
            loss_timer: self.prepared.fleet.environment.lost_after.0,
            watch: self.watch,
        }
    }

    /// Undoes everything, or leaves it, as the environment declares. `begun` is how many of the plan's phases were.
    pub async fn failed(&self, failure: Failure, begun: usize) -> Ended {
        if !self.undo_on_failure && failure.cause != Cause::Cancelled {
            return Ended::Stopped(failure);
        }
        let phases: BTreeSet<Phase> = self.plan.phases().into_iter().take(begun).collect();
        let steps = self.plan.steps.iter().filter(|step| phases.contains(&step.phase) && is_scripted(step));
        let instances = steps.map(|step| step.instance.clone()).chain(self.begun.0.iter().cloned()).collect();
        let lost = failure.instance().filter(|_| failure.cause == Cause::Lost).cloned().into_iter().collect();
        let undo = self.undoing(instances, begun, lost);
        match undo.run().await {
            Undone::Everywhere => Ended::RolledBack(failure),
            Undone::Not(not_undone) => Ended::RollbackFailed { failure, not_undone },
        }
    }

    /// A release that is to be put in place, and of which only its name is known.
    fn unbuilt(&self) -> Option<Failure> {
        self.plan.steps.iter().find_map(|step| {
            let Action::StageRelease { release, .. } = &step.action else { return None };
            let release = self.prepared.releases.get(release).filter(|release| !release.is_at_hand())?;
            let message = format!("{} is not built", release.source);
            Some(Failure::of_instance(&step.instance, Cause::Refused, message).at(step.id.clone()))
        })
    }

    fn instances_of(&self, wave: &[Phase]) -> BTreeSet<&InstanceName> {
        self.plan.steps.iter().filter(|step| wave.contains(&step.phase)).map(|step| &step.instance).collect()
    }

    /// The number that the plan's phase of this index, from 1, has among those of the deployment: its directory's name.
    fn number(&self, index: usize) -> u32 {
        self.begun.1.saturating_add(u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// An instance's part of a wave, stage by stage. `before` is how many phases come before the wave.
    async fn stages(
        &self,
        name: &InstanceName,
        before: usize,
        wave: &[Phase],
        stage: &Stage<'_>,
    ) -> Result<(), Failure> {
        for (index, phase) in (before + 1..).zip(wave) {
            let steps = self.plan.steps.iter().filter(|step| step.phase == *phase && step.instance == *name);
            let steps: Vec<&Step> = steps.collect();
            if !steps.is_empty() {
                self.on_instance(self.work(index, *phase, name), &steps, name, stage).await?;
            }
        }
        Ok(())
    }

    async fn on_instance(
        &self,
        work: PhaseWork,
        steps: &[&Step],
        name: &InstanceName,
        stage: &Stage<'_>,
    ) -> Result<(), Failure> {
        let Some(host) = self.hosts.get(name) else { return Ok(()) };
        for step in steps {
            if let Action::StageRelease { release, .. } = &step.action
                && let Some(release) = self.prepared.releases.get(release)
            {
                self.tell(step, StepState::Started);
                if let Err(error) = stage.put(host.as_ref(), release).await {
                    let failure = self.failure(name, Some(&step.id), &error);
                    self.tell(step, StepState::Failed(failure.message.clone()));
                    return Err(failure);
                }
                self.tell(step, StepState::Done);
            }
        }
        let scripted: Vec<&Step> = steps.iter().copied().filter(|step| is_scripted(step)).collect();
        if !scripted.is_empty() {
            let (current, mut alike) = (Current::default(), Alike::default());
            let mut events = |event: StepEvent| {
                current.hear(steps, &event);
                if alike.is_new(&event) {
                    self.on_event(name, steps, event);
                }
            };
            let applying = Box::pin(host.apply(&work, &scripted, &mut events));
            let applied = waits::said_since(name.as_str(), || current.now(), applying).await;
            for (more, why) in alike.more() {
                let (instance, why) = (name.clone(), Detail::of(why));
                (self.watch)(EventKind::RollbackStepsFailed { instance, more, why });
            }
            if let Err(error) = applied {
                return Err(self.with_log(host.as_ref(), steps, self.failure(name, None, &error)).await);
            }
        }
        let waits = steps.iter().map(|step| async move {
            let step = self.paused(step).await;
            let healthy = Box::pin(await_healthy(host.as_ref(), name, step, Started::Now, self.watch));
            let healthy = waits::said(name.as_str(), || format!("{} to be healthy", step.resource), healthy).await;
            healthy.map_err(|failed| (step, failed))
        });
        let results = tokio::select! {
            biased;
            // Both only wait: nothing runs on the host on our behalf any more.
            results = join_all(waits) => results,
            () = self.halt.stop() => match self.halt.reason() {
                Some(failure) => return Err(failure),
                None => Vec::new(),
            },
        };
        match results.into_iter().find_map(Result::err) {
            None => Ok(()),
            Some((step, NotHealthy { why, cause })) => {
                let message = format!("{}: {why}", step.resource);
                let failure = Failure::of_instance(name, cause, message).at(step.id.clone());
                Err(self.with_log(host.as_ref(), steps, failure).await)
            }
        }
    }

    /// Waits where the step is a pause. Answers the step that tells what has to be healthy then.
    async fn paused<'s>(&'s self, step: &'s Step) -> &'s Step {
        let Action::Pause { unit, span } = &step.action else { return step };
        self.tell(step, StepState::Started);
        sleep(span.0).await;
        let awaits = |other: &&Step| other.instance == step.instance && other.action.awaited() == Some(unit);
        // Of two copies the newest wait asks where callers do.
        self.plan.steps.iter().take_while(|other| other.id != step.id).filter(awaits).last().unwrap_or(step)
    }

    fn work(&self, index: usize, phase: Phase, name: &InstanceName) -> PhaseWork {
        let instance = &self.plan.instances[name];
        let scripted = self.plan.steps.iter().filter(|step| step.instance == *name && is_scripted(step));
        let phases: BTreeSet<Phase> = scripted.map(|step| step.phase).collect();
        let first = phases.first().is_none_or(|first| *first == phase);
        let last = phases.last().is_none_or(|last| *last == phase);
        let manifest = self.manifest_after(name, |done| done < phase).write();
        PhaseWork {
            fleet: self.prepared.fleet.name.clone(),
            generation: self.lease.generation(),
            name: self.name.clone(),
            phase: self.number(index),
            manifest_before: if first { instance.manifest_digest } else { Some(Digest::of(&manifest)) },
            new_key: instance.new_key.clone(),
            manifest_during: manifest,
            manifest_after: match last {
                true => instance.manifest_after.write(),
                false => self.manifest_after(name, |done| done <= phase).write(),
            },
            last,
            undo_on_failure: self.undo_on_failure,
            keep_releases: self.prepared.fleet.environment.keep_releases,
            lost_after: self.prepared.fleet.environment.lost_after.0,
        }
    }

    /// The manifest when these phases are done: what the plan finds and what it makes, and of each unit what it
    /// was really started with by then. Whoever goes on from there restarts nothing twice.
    fn manifest_after(&self, name: &InstanceName, is_done: impl Fn(Phase) -> bool) -> Manifest {
        let instance = &self.plan.instances[name];
        let before = instance.manifest_before.clone().unwrap_or_default();
        let had = &before.venvs;
        let mut manifest = before.union(&instance.manifest_after);
        let steps = || self.plan.steps.iter().filter(|step| step.instance == *name);
        let renewed = |unit: &str| {
            let of = paths::replica_of_unit(&self.prepared.fleet.name, unit).map(|replica| replica.service);
            steps().any(|step| match &step.action {
                Action::BuildVenv { service, key, .. } => of.as_ref() == Some(service) && had.contains(key),
                _ => false,
            })
        };
        // What ran from a virtual environment that is replaced runs from nothing that is there, until it is restarted.
        for (_, started) in manifest.units.iter_mut().filter(|(unit, _)| renewed(unit)) {
            started.inputs = None;
        }
        // What is not written yet is still what was written before.
        let written: BTreeSet<&str> = steps()
            .filter(|step| is_done(step.phase))
            .filter_map(|step| step.action.file().map(|(path, _)| path))
            .collect();
        let unwritten = before.files.iter().filter(|(path, _)| !written.contains(path.as_str()));
        manifest.files.extend(unwritten.map(|(path, digest)| (path.clone(), *digest)));
        for step in steps().filter(|step| is_done(step.phase)) {
            if let Some(unit) = step.action.started()
                && let Some(started) = instance.manifest_after.units.get(unit)
            {
                manifest.units.insert(unit.to_owned(), started.clone());
            }
        }
        manifest
    }

    /// Ends the deployment on an instance where an earlier controller left nothing more to do.
    pub async fn settle(&self, name: &InstanceName) -> Result<(), Failure> {
        let (Some(host), true) = (self.hosts.get(name), self.plan.instances.contains_key(name)) else { return Ok(()) };
        let applied = host.apply(&self.work(1, Phase::default(), name), &[], &mut |_| {}).await;
        applied.map_err(|error| self.failure(name, None, &error))
    }

    fn on_event(&self, name: &InstanceName, steps: &[&Step], event: StepEvent) {
        let (id, state) = match event {
            StepEvent::Started(id) => (id, StepState::Started),
            StepEvent::Done(id) => (id, StepState::Done),
            StepEvent::Failed(failed) => (failed.step, StepState::Failed(failed.message)),
            StepEvent::Waiting { .. } => return,
            StepEvent::UndoFailed { subject, message } => {
                let (instance, why) = (name.clone(), Detail::of(message));
                (self.watch)(EventKind::RollbackStepFailed { instance, subject, why });
                return;
            }
        };
        // What the script does besides the plan's steps (the manifest, a daemon-reload) is not told.
        if let Some(step) = steps.iter().find(|step| step.id == *id) {
            self.tell(step, state);
        }
    }

    fn tell(&self, step: &Step, state: StepState) {
        let (instance, id) = (step.instance.clone(), step.id.clone());
        let (verb, subject) = (step.action.verb(), step.action.subject());
        (self.watch)(match state {
            StepState::Started => EventKind::StepBegun { instance, step: id, verb, subject },
            StepState::Done => EventKind::StepDone { instance, step: id, verb, subject },
            StepState::Failed(why) => EventKind::StepFailed { instance, step: id, verb, subject, why: Detail::of(why) },
        });
    }

    pub fn failure(&self, instance: &InstanceName, step: Option<&StepId>, error: &HostError) -> Failure {
        let mut failure = error.failure(instance);
        failure.message = report::chain(error);
        failure.step = failure.step.or(step.cloned());
        failure
    }

    /// Adds what the failed unit logged last.
    async fn with_log(&self, host: &H, steps: &[&Step], mut failure: Failure) -> Failure {
        let Some(step) = steps.iter().find(|step| Some(&step.id) == failure.step.as_ref()) else { return failure };
        let Some(unit) = step.action.unit() else { return failure };
        // Whatever it is that failed, a drop-in is not what the commit declares. A start that fails names those of its
        // unit by itself, before it is undone (`run_unit` in scripts/apply_units.sh).
        if step.action.started().is_none() {
            let drop_ins = host.drop_ins(unit).await.unwrap_or_default();
            if !drop_ins.is_empty() {
                failure.message += &format!("; {unit} is changed by {}, not by evenkeel", drop_ins.join(", "));
            }
        }
        match host.log(unit, LOG_LINES).await {
            Ok(lines) => failure.log = lines,
            Err(error) => failure.log = vec![format!("its log could not be read: {error}")],
        }
        failure
    }
}

/// How far a step is.
enum StepState {
    Started,
    Done,
    Failed(String),
}

/// Whether the host's script does it; the controller stages releases and waits for health.
pub fn is_scripted(step: &Step) -> bool {
    step.action.traits().side == Side::Host
}
