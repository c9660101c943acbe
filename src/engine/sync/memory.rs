//! What the loop keeps of an environment between its syncs: outcomes that are not recorded yet, and what is due.
//!
//! Keeps true: an outcome that cannot be recorded is kept until it can, or until the history says that another stands in
//! its place.

use std::sync::Arc;

use tracing::{info, warn};

use super::{
    deploy::{self, DeployError},
    error::SyncError,
};
use crate::{
    engine::{
        execute::scrub,
        history::{log, store::Store},
        prepare::Prepared,
    },
    model::{name::EnvironmentName, outcome::Conclusion},
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
}

impl SyncMemory {
    /// An outcome that cannot be recorded now is kept, and recorded when the repository is back.
    pub fn kept(
        &mut self,
        result: Result<Conclusion, DeployError>,
        prepared: &Arc<Prepared>,
    ) -> Result<Conclusion, SyncError> {
        match result {
            Err(DeployError::Outcome { conclusion, source }) => {
                let (generation, outcome) = (conclusion.generation, conclusion.outcome());
                warn!("generation {generation} ended {outcome}; it is recorded later: {}", report::chain(&source));
                self.unrecorded.push(((*conclusion).clone(), prepared.clone()));
                Ok(*conclusion)
            }
            result => Ok(result?),
        }
    }

    /// Records the outcomes that could not be recorded before.
    pub async fn record_what_is_due(
        &mut self,
        store: &impl Store,
        environment: &EnvironmentName,
    ) -> Result<(), SyncError> {
        while let Some((conclusion, prepared)) = self.unrecorded.first() {
            match deploy::record(store, conclusion, prepared).await {
                Ok(()) => info!(deployment = conclusion.generation, "its outcome is recorded now"),
                // What the history says stands. To offer it again would only keep all that comes after it waiting.
                Err(lost @ DeployError::TakenOver { .. }) => {
                    tell_of_lost(store, environment, conclusion, &lost).await?
                }
                Err(error) => return Err(error.into()),
            }
            self.unrecorded.remove(0);
        }
        Ok(())
    }
}

/// Says of an outcome that is never recorded whose it was, and who wrote in its place.
async fn tell_of_lost(
    store: &impl Store,
    environment: &EnvironmentName,
    conclusion: &Conclusion,
    lost: &DeployError,
) -> Result<(), SyncError> {
    let newest = log::newest(store, environment).await?.deployment;
    let newest = newest.map_or("no deployment".to_owned(), |newest| {
        format!("generation {} by {}", newest.generation, newest.controller)
    });
    let outcome = conclusion.outcome();
    warn!(
        deployment = conclusion.generation,
        "it ended {outcome} under {}, which is not recorded: {}; the newest there is {newest}",
        conclusion.controller,
        report::chain(lost)
    );
    Ok(())
}
