//! Undoing a deployment on every instance, by each from what it kept, in the plan's reverse order.
//!
//! Keeps true: a phase is undone everywhere before the one that came before it, so traffic goes back
//! before the processes that it went to; what is not undone is named.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::future::join_all;

use crate::{
    engine::{Watch, observe::probe::Hosts},
    host::{HostWrite, LossTimer, PHASE_LIMIT, waits},
    model::{
        event::{Detail, EventKind},
        failure::Failure,
        name::{FleetName, InstanceName},
        outcome::Cause,
        paths,
    },
    report,
};

pub struct Undo<'a, H> {
    pub fleet: &'a FleetName,
    /// The deployment's directory on the instances.
    pub deployment: &'a str,
    pub hosts: &'a Hosts<H>,
    /// Where it may have changed something.
    pub instances: BTreeSet<InstanceName>,
    pub newest_phase: u32,
    /// The instances that were given up already: they are asked once more, and not waited for.
    pub lost: BTreeSet<InstanceName>,
    /// How long an instance that cannot be reached is waited for.
    pub loss_timer: Duration,
    pub watch: &'a Watch<'a>,
}

pub enum Undone {
    Everywhere,
    /// Where it is not, and why.
    Not(Vec<Failure>),
}

impl<H: HostWrite> Undo<'_, H> {
    pub async fn run(&self) -> Undone {
        let mut not_undone: BTreeMap<InstanceName, Failure> = BTreeMap::new();
        for name in &self.instances {
            (self.watch)(EventKind::RollbackBegun { instance: name.clone() });
        }
        // At the end once more without a number: whatever is there, of whatever phase.
        let phases = (1..=self.newest_phase).rev().map(Some).chain([None]);
        for phase in phases {
            let there = self.instances.iter().filter(|name| !not_undone.contains_key(*name));
            let asked = there.map(|name| async move { Some((name.clone(), self.on_instance(name, phase).await?)) });
            not_undone.extend(join_all(asked).await.into_iter().flatten());
        }
        for name in self.instances.iter().filter(|name| !not_undone.contains_key(*name)) {
            (self.watch)(EventKind::RollbackDone { instance: name.clone() });
        }
        if not_undone.is_empty() { Undone::Everywhere } else { Undone::Not(not_undone.into_values().collect()) }
    }

    async fn on_instance(&self, name: &InstanceName, phase: Option<u32>) -> Option<Failure> {
        let Some(host) = self.hosts.get(name) else { return Some(self.out_of_reach(name)) };
        let loss_timer = if self.lost.contains(name) { Duration::ZERO } else { self.loss_timer };
        let undoing = Box::pin(self.ask(host.as_ref(), name, phase, LossTimer::new(loss_timer, PHASE_LIMIT)));
        waits::said(name.as_str(), || "its undo".to_owned(), undoing).await
    }

    async fn ask(
        &self,
        host: &H,
        name: &InstanceName,
        phase: Option<u32>,
        mut loss_timer: LossTimer,
    ) -> Option<Failure> {
        loop {
            match host.undo(self.fleet, self.deployment, phase).await {
                Ok(()) => return None,
                Err(error) if loss_timer.outlasts(&error).await => {}
                Err(error) => {
                    let mut failure = error.failure(name);
                    failure.message = report::chain(&error);
                    // What is not undone is told as such, whatever step it was.
                    failure.step = None;
                    let (instance, why) = (name.clone(), Detail::of(&failure.message));
                    (self.watch)(EventKind::RollbackFailed { instance, why });
                    return Some(failure);
                }
            }
        }
    }

    /// Of an instance that is declared no more: nobody knows how to reach it, and what is there is there still.
    fn out_of_reach(&self, name: &InstanceName) -> Failure {
        let by_hand = paths::undo_script(self.fleet, self.deployment);
        let message = format!("it is declared no more; log in there, and undo it by hand: `sudo sh {by_hand}`");
        let (instance, why) = (name.clone(), Detail::of(&message));
        (self.watch)(EventKind::RollbackFailed { instance, why });
        Failure::of_instance(name, Cause::Interrupted, message)
    }
}
