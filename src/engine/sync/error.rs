//! What can keep a sync from ending with everything as it should be.

use thiserror::Error;

use super::deploy::DeployError;
use crate::{
    engine::prepare::{PrepareError, config::StoreError, preparation::PreparationError},
    model::{failure::Refused, finding::Finding, outcome::Outcome},
    report,
};

/// Why a sync did not end with everything as it should be.
#[derive(Debug, Error)]
pub enum SyncError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the fleet does not validate: {why}")]
    Invalid { why: String, findings: Vec<Finding> },
    #[error(transparent)]
    Prepare(PrepareError),
    #[error(transparent)]
    Deploy(#[from] DeployError),
    #[error("refused: {0}")]
    Refused(String),
    #[error("generation {generation} ended {outcome}: {why}")]
    Deployment { generation: u64, outcome: Outcome, why: String },
    #[error("what was built is gone again; nothing was touched")]
    Unbuilt,
    #[error("the default branch holds no environment that is complete enough to go on")]
    NoCommits,
    #[error("the repository has no such branch")]
    NoBranch,
    #[error("fetching what lies elsewhere did not end")]
    Panicked(#[from] tokio::task::JoinError),
}

impl From<PrepareError> for SyncError {
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::Invalid { findings } => {
                SyncError::Invalid { why: report::findings::first(&findings), findings }
            }
            error => SyncError::Prepare(error),
        }
    }
}

impl From<PreparationError> for SyncError {
    fn from(error: PreparationError) -> Self {
        match error {
            PreparationError::Store(error) => SyncError::Store(error),
            PreparationError::Condemned(why) => SyncError::Refused(why),
            PreparationError::NoCommits => SyncError::NoCommits,
            PreparationError::Prepare(error) => error.into(),
            PreparationError::Panicked(error) => SyncError::Panicked(error),
        }
    }
}

impl SyncError {
    /// The next move, where there is one to name besides what the error says.
    pub fn hint(&self) -> Option<String> {
        match self {
            SyncError::Store(StoreError::Git(error)) => error.hint(),
            SyncError::NoBranch => Some("push it again, or name another one in the environment's file".to_owned()),
            _ => None,
        }
    }

    /// A build that failed by its own fault. `triggered_by` is who asked.
    pub fn failed_build(&self, triggered_by: &str) -> Option<Refused> {
        match self {
            SyncError::Prepare(error) => error.failed_build(triggered_by),
            _ => None,
        }
    }

    /// Somebody else was at it: no failure of ours, nor of the commits.
    pub fn is_overtaken(&self) -> bool {
        matches!(
            self,
            SyncError::Deploy(
                DeployError::AnotherController { .. }
                    | DeployError::UnderWay { .. }
                    | DeployError::Outdated { .. }
                    | DeployError::TakenOver { .. }
                    | DeployError::Detached
            )
        )
    }
}
