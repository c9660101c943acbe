//! What the loop keeps of an environment between its syncs: outcomes that are not recorded yet, and what is due.
//!
//! Keeps true: an outcome that cannot be recorded is kept until it can, or until the history says that another stands in
//! its place.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    deploy::{self, DeployError},
    error::SyncError,
    workspace::Workspace,
};
use crate::{
    engine::{
        events::Events,
        execute::scrub,
        history::{log, store::Store},
        prepare::Prepared,
    },
    host::HostRead,
    model::{
        event::{Detail, EventKind},
        name::EnvironmentName,
        outcome::Conclusion,
        repair::ReplicaUnit,
    },
    report,
};

/// What the loop keeps of an environment between its syncs. Each sync is lent it.
#[derive(Default)]
pub struct SyncMemory {
    /// How many syncs there were.
    pub turn: u64,
    /// Outcomes that could not be recorded yet, with what they made live.
    unrecorded: Vec<(Conclusion, Arc<Prepared>)>,
    /// When releases are read again next.
    pub scrubs: scrub::Due,
    /// Replicas of which it was said that they are not restarted any more.
    pub given_up: BTreeSet<ReplicaUnit>,
}

impl SyncMemory {
    /// An outcome that cannot be recorded now is kept, and recorded when the repository is back.
    pub fn kept(
        &mut self,
        events: &Events,
        result: Result<Conclusion, DeployError>,
        prepared: &Arc<Prepared>,
    ) -> Result<Conclusion, SyncError> {
        match result {
            Err(DeployError::Outcome { conclusion, source }) => {
                let (outcome, why) = (conclusion.outcome(), Detail::of(report::chain(&source)));
                let scope = events.of(&conclusion.environment).deployment(conclusion.generation);
                scope.emit(EventKind::OutcomeUnrecorded { outcome, why });
                self.unrecorded.push(((*conclusion).clone(), prepared.clone()));
                Ok(*conclusion)
            }
            result => Ok(result?),
        }
    }

    /// Records the outcomes that could not be recorded before.
    pub async fn record_what_is_due<H: HostRead, S: Store>(
        &mut self,
        workspace: &Workspace<H, S>,
        environment: &EnvironmentName,
    ) -> Result<(), SyncError> {
        let (store, events) = (&workspace.store, workspace.events.of(environment));
        while let Some((conclusion, prepared)) = self.unrecorded.first() {
            match deploy::record(store, conclusion, prepared).await {
                Ok(()) => {
                    let outcome = conclusion.outcome();
                    events.deployment(conclusion.generation).emit(EventKind::OutcomeRecorded { outcome });
                }
                // What the history says stands. To offer it again would only keep all that comes after it waiting.
                Err(lost @ DeployError::TakenOver { .. }) => {
                    let lost = lost_outcome(store, environment, conclusion, &lost).await?;
                    events.deployment(conclusion.generation).emit(lost);
                }
                Err(error) => return Err(error.into()),
            }
            self.unrecorded.remove(0);
        }
        Ok(())
    }
}

/// Of an outcome that is never recorded: whose it was, and who wrote in its place.
async fn lost_outcome(
    store: &impl Store,
    environment: &EnvironmentName,
    conclusion: &Conclusion,
    lost: &DeployError,
) -> Result<EventKind, SyncError> {
    let newest = log::newest(store, environment).await?.deployment;
    Ok(EventKind::OutcomeLost {
        outcome: conclusion.outcome(),
        controller: Detail::of(&conclusion.controller),
        newest: newest.as_ref().map(|newest| newest.generation),
        newest_by: newest.map(|newest| Detail::of(&newest.controller)),
        why: Detail::of(report::chain(lost)),
    })
}
