//! What can keep a pass from ending with everything as it should be.

use thiserror::Error;

use super::{deploy::PassError, environment::CONTROLLER};
use crate::{
    engine::{history::store::StoreError, prepare::PrepareError},
    model::{failure::Refused, outcome::Outcome},
    report,
};

/// Why a pass did not end with everything as it should be.
#[derive(Debug, Error)]
pub enum SyncError {
    #[error(transparent)]
    HistoryStore(#[from] StoreError),
    #[error("the fleet does not validate: {0}")]
    Invalid(String),
    #[error(transparent)]
    Prepare(PrepareError),
    #[error(transparent)]
    Pass(#[from] PassError),
    #[error("refused: {0}")]
    Refused(String),
    #[error("generation {generation} ended {outcome}: {why}")]
    Deployment { generation: u64, outcome: Outcome, why: String },
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
            PrepareError::Invalid { findings } => SyncError::Invalid(report::findings::first(&findings)),
            error => SyncError::Prepare(error),
        }
    }
}

impl SyncError {
    /// The next move, where there is one to name besides what the error says.
    pub(in crate::engine) fn hint(&self) -> Option<String> {
        match self {
            SyncError::HistoryStore(StoreError::Git(error)) => error.hint(),
            SyncError::NoBranch => Some("push it again, or name another one in the environment's file".to_owned()),
            _ => None,
        }
    }

    /// A build that failed by its own fault.
    pub(in crate::engine) fn failed_build(&self) -> Option<Refused> {
        match self {
            SyncError::Prepare(error) => error.failed_build(CONTROLLER),
            _ => None,
        }
    }

    /// Somebody else was at it: no failure of ours, nor of the commits.
    pub(in crate::engine) fn is_overtaken(&self) -> bool {
        matches!(
            self,
            SyncError::Pass(
                PassError::AnotherController { .. }
                    | PassError::UnderWay { .. }
                    | PassError::Outdated { .. }
                    | PassError::TakenOver { .. }
                    | PassError::Detached
            )
        )
    }
}
