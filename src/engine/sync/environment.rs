//! One environment's sync: what the daemon, `apply` and `status` do alike. Observe, clean up, plan, build, carry out.
//!
//! Keeps true: what may be done and what comes next is decided by `decide::sync`; drift policy, holds and what is backed
//! off go into the plan, and no finished plan is patched. Never does: choosing what to deploy.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use super::{
    deploy::{self, DeployError, Order, Recorded},
    durations::{Part, SyncDurations},
    error::SyncError,
    recover::Case,
    workspace::Workspace,
};

use crate::{
    decide::sync::{self, Facts, Next},
    engine::{
        Watch,
        execute::{cancellation::Halting, cleanup::heal},
        history::{log::Newest, store::Store},
        observe::{
            ailing, attribution,
            probe::{self, Hosts},
        },
        prepare::{Prepared, preparation::Build},
    },
    host::{HostWrite, waits},
    model::{
        desired::Resource,
        event::{Detail, EventKind},
        failure::Refused,
        name::{EnvironmentName, InstanceName},
        outcome::Conclusion,
        plan::{Commits, Plan},
        repair::{Ailing, ReplicaUnit},
    },
    plan::{Leave, Observed},
    report,
};

/// Instances that are not asked, each with the reason.
pub type Unreachable = BTreeMap<InstanceName, String>;
/// What was repaired too often, and how often.
pub type BackedOff = BTreeMap<(InstanceName, Resource), u32>;

/// How hosts are looked at.
#[derive(Clone, Copy)]
pub enum Look<'a> {
    /// Each is waited for as long as it may take, and compared whole.
    Whole,
    /// For the loop: nobody waits for the slow and the dead. `turn` says what of large releases is compared.
    Prompt { unreachable: &'a Unreachable, turn: u64 },
}

impl Look<'_> {
    /// Whether the instance is known not to answer, and is not asked.
    pub fn leaves_out(&self, instance: &InstanceName) -> bool {
        matches!(self, Look::Prompt { unreachable, .. } if unreachable.contains_key(instance))
    }
}

/// What a look is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Nothing is changed, not even what a cut left behind.
    Observe,
    /// The plan may be carried out.
    Change,
}

/// What is to be deployed once a deployment that was left open has ended.
#[derive(Clone, Copy)]
pub struct RecoveryTarget<'a> {
    pub commits: &'a Commits,
    /// False where only some instances are asked for.
    pub is_whole: bool,
}

/// How a deployment ended that was left open.
pub struct Recovery {
    /// What it was prepared as.
    pub prepared: Arc<Prepared>,
    pub ended: Result<Conclusion, DeployError>,
}

/// Who wants the environment to be as declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// Drift is repaired by the environment's policy.
    Loop,
    /// Everything that differs is changed: a person has seen the plan.
    Person,
}

/// One environment's sync.
pub struct EnvironmentSync<'a, H, S> {
    pub workspace: &'a Workspace<H, S>,
    pub environment: &'a EnvironmentName,
    /// Who or what asked for it, in words.
    pub triggered_by: &'a str,
    pub asker: Asker,
    pub look: Look<'a>,
    pub backed_off: &'a BackedOff,
    /// What is remembered of the health of replicas.
    pub ailing: &'a Ailing,
    /// How what is begun is told to stop.
    pub halting: &'a (dyn Fn() -> Halting + Send + Sync),
    /// Who is told what is observed. What is carried out is an event of the workspace's.
    pub watch: &'a Watch<'a>,
    pub durations: &'a SyncDurations,
}

/// A plan, with all that it was made from.
pub struct Planned<H> {
    pub prepared: Arc<Prepared>,
    pub hosts: Hosts<H>,
    pub observed: Observed,
    pub plan: Plan,
    /// What the history said after the hosts were observed.
    pub on: Newest,
    /// What is declared is what the last good deployment declared: what differs, no commit asked for.
    pub is_settled: bool,
    /// Replicas that the plan restarts for their health.
    pub unhealthy: BTreeMap<ReplicaUnit, String>,
}

impl<H> Planned<H> {
    /// What comes next.
    pub fn next(&self) -> Next {
        sync::next(Facts {
            is_refused: self.plan.is_refused(),
            has_changes: self.plan.has_changes(),
            needs_builds: self.plan.needs_builds(),
            is_settled: self.is_settled,
            leaves_instances: self.plan.left_instances().next().is_some(),
        })
    }

    /// Whether it was begun by nothing but drift.
    pub fn is_repair(&self) -> bool {
        deploy::is_repair(&self.on, &self.prepared, &self.plan)
    }
}

impl<H: HostWrite, S: Store> EnvironmentSync<'_, H, S> {
    /// Reads the commits, and fetches what lies elsewhere.
    pub async fn prepared(&self, commits: &Commits, newest: &Newest) -> Result<Arc<Prepared>, SyncError> {
        let preparing = Box::pin(self.workspace.prepared(self.environment, commits, newest, Build::LookUp));
        let preparing = waits::said("", || "the commit and its sources to be read".to_owned(), preparing);
        self.durations.timed(Part::Read, preparing).await
    }

    /// As [`Self::prepared`], with everything built.
    pub async fn built(&self, commits: &Commits, newest: &Newest) -> Result<Arc<Prepared>, SyncError> {
        let building = Box::pin(self.workspace.prepared(self.environment, commits, newest, Build::Run));
        let building = waits::said("", || "the builds".to_owned(), building);
        self.durations.timed(Part::Read, building).await
    }

    /// Observes the hosts, cleans up what a cut left there, and plans.
    pub async fn plan(&self, prepared: Arc<Prepared>, purpose: Purpose) -> Result<Planned<H>, SyncError> {
        let hosts = self.workspace.connections.hosts(&prepared.fleet);
        let mut observed = self.observed(&prepared, &hosts).await;
        let on = self.workspace.newest(self.environment).await?;
        self.plan_observed(prepared, hosts, &mut observed, on, purpose).await
    }

    /// Plans from what was observed already.
    pub async fn plan_observed(
        &self,
        prepared: Arc<Prepared>,
        hosts: Hosts<H>,
        observed: &mut Observed,
        on: Newest,
        purpose: Purpose,
    ) -> Result<Planned<H>, SyncError> {
        if purpose == Purpose::Change {
            let lease = deploy::lease_while_idle(&on, self.environment)?;
            heal(&lease, &prepared, &hosts, observed, self.watch).await;
        }
        let is_settled = deploy::is_settled(&on.state, &prepared);
        let mut leave = leave(&prepared, &on, self.backed_off);
        match self.asker {
            Asker::Person => leave.drift = None,
            Asker::Loop if is_settled && purpose == Purpose::Change => {
                leave.unhealthy = ailing::still_unhealthy(&prepared, &hosts, &self.ailing.due).await;
            }
            Asker::Loop => {}
        }
        let plan = self.planned(&prepared, &hosts, observed, on.newest_generation(), &leave).await;
        let prepared = match prepared.in_slots(&plan.slots()) {
            Cow::Owned(moved) => Arc::new(moved),
            Cow::Borrowed(_) => prepared,
        };
        let unhealthy = leave.unhealthy;
        Ok(Planned { prepared, hosts, observed: std::mem::take(observed), plan, on, is_settled, unhealthy })
    }

    /// Looks at the hosts.
    pub async fn observed(&self, prepared: &Prepared, hosts: &Hosts<H>) -> Observed {
        let looking = async {
            match self.look {
                Look::Whole => Box::pin(probe::observe(prepared, hosts, self.watch)).await,
                Look::Prompt { unreachable, turn } => {
                    Box::pin(probe::observe_promptly(prepared, hosts, unreachable, turn)).await
                }
            }
        };
        self.durations.timed(Part::Probe, looking).await
    }

    /// As [`Self::observed`], without asking those who did not answer a moment ago.
    pub async fn observed_but(&self, prepared: &Prepared, hosts: &Hosts<H>, unreached: &Unreachable) -> Observed {
        let Look::Prompt { unreachable, turn } = self.look else { return self.observed(prepared, hosts).await };
        let all = unreachable.iter().chain(unreached).map(|(name, why)| (name.clone(), why.clone())).collect();
        let looking = Box::pin(probe::observe_promptly(prepared, hosts, &all, turn));
        self.durations.timed(Part::Probe, looking).await
    }

    /// Plans from what was seen, once all is known that the plan takes.
    pub async fn planned(
        &self,
        prepared: &Prepared,
        hosts: &Hosts<H>,
        observed: &mut Observed,
        newest_generation: Option<u64>,
        leave: &Leave,
    ) -> Plan {
        let plan =
            self.durations.done(Part::Plan, || probe::plan_leaving(prepared, observed, newest_generation, leave));
        let lacking = probe::lacking(&plan, observed);
        let Look::Prompt { turn, .. } = self.look else { return plan };
        if lacking.is_empty() {
            return plan;
        }
        let looking = Box::pin(probe::again_promptly(prepared, hosts, &lacking, turn));
        observed.extend(self.durations.timed(Part::Probe, looking).await);
        self.durations.done(Part::Plan, || probe::plan_leaving(prepared, observed, newest_generation, leave))
    }

    /// Carries the plan out and records it. The caller has made sure that this comes next.
    pub async fn carry_out(&self, planned: &Planned<H>) -> Result<Conclusion, DeployError> {
        let suspects =
            if planned.is_settled { attribution::of(&planned.plan, &planned.hosts).await } else { Vec::new() };
        let events = self.workspace.events.of(self.environment);
        suspects.iter().for_each(|suspect| events.emit(EventKind::DriftSuspect { suspect: Detail::of(suspect) }));
        let order = Order {
            prepared: &planned.prepared,
            plan: &planned.plan,
            hosts: &planned.hosts,
            store: &self.workspace.store,
            on: &planned.on,
            identity: &self.workspace.identity,
            triggered_by: self.triggered_by.to_owned(),
            suspects,
            halt: &(self.halting)(),
            events: &self.workspace.events,
        };
        Box::pin(deploy::carry_out(&order)).await
    }

    /// Ends a deployment that was left open. What another controller began is taken over first. `target` is what is to be
    /// deployed now; where all of it is what was begun, that is completed.
    pub async fn recover(&self, newest: &Newest, target: RecoveryTarget<'_>) -> Result<Option<Recovery>, SyncError> {
        let workspace = self.workspace;
        let claimed = deploy::claim(&workspace.store, newest, &workspace.identity).await?;
        let Some((intent, lease)) = claimed else { return Ok(None) };
        let events = workspace.events.of(self.environment).deployment(intent.generation);
        let of = if intent.commits.environment.is_some() { &intent.commits } else { target.commits };
        let prepared = match self.prepared(of, newest).await {
            Ok(prepared) => prepared,
            Err(failure) => {
                // Its hosts are reached by what is declared now; it can only be undone then.
                events.emit(EventKind::DeploymentUnprepared { why: Detail::of(report::chain(&failure)) });
                self.prepared(target.commits, newest).await?
            }
        };
        let by = intent.taken_over.as_ref().map_or(&intent.controller, |taken_over| &taken_over.from);
        events.emit(EventKind::DeploymentFoundOpen { by: Detail::of(by) });
        let is_target = target.is_whole && *target.commits == intent.commits && prepared.commits == intent.commits;
        let case = Case {
            intent: &intent,
            lease: &lease,
            prepared: &prepared,
            hosts: &workspace.connections.hosts(&prepared.fleet),
            store: &workspace.store,
            still_wanted: is_target,
            halt: &(self.halting)(),
            watch: &|kind| events.emit(kind),
        };
        let ended = case.close().await;
        Ok(Some(Recovery { prepared, ended }))
    }

    /// Records that the plan's commits were refused before anything was touched: once, until something else happens.
    pub async fn record_refusal(&self, plan: &Plan, refused: &Refused) {
        let (store, identity) = (&self.workspace.store, &self.workspace.identity);
        let (commit, events) = (plan.commits.environment.clone(), self.workspace.events.of(self.environment));
        match deploy::record_refusal(store, plan, identity, refused).await {
            Ok(Recorded::Now) => events.emit(EventKind::CommitsRefused { commit, why: Detail::of(&refused.why) }),
            Ok(Recorded::Before) => {}
            Err(error) => {
                events.emit(EventKind::RefusalUnrecorded { commit, why: Detail::of(report::chain(&error)) });
            }
        }
    }
}

/// What stays as it is although it differs: by the drift policy where no commit asked for it, because it is held, or
/// because it was repaired too often.
pub fn leave(prepared: &Prepared, on: &Newest, backed_off: &BackedOff) -> Leave {
    let is_settled = deploy::is_settled(&on.state, prepared);
    let backed_off = backed_off.iter().map(|(what, count)| (what.clone(), report::status::does_not_hold(*count)));
    let held = on.state.held_instances().map(|(name, hold)| (name.clone(), report::control::held(hold)));
    Leave {
        drift: is_settled.then(|| prepared.fleet.environment.drift.clone()),
        backed_off: backed_off.collect(),
        held: held.collect(),
        unhealthy: BTreeMap::new(),
    }
}
