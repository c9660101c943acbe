//! Why a pass did not end with everything as it should be, and what that says of the commits.

use thiserror::Error;

use super::RECONCILER;
use crate::{
    engine::{
        ledger::LedgerError,
        pass::{PassError, Refused},
        prepare::PrepareError,
    },
    model::outcome::Outcome,
};

/// Why a pass did not end with everything as it should be.
#[derive(Debug, Error)]
pub enum RoundError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    #[error(transparent)]
    Pass(#[from] PassError),
    #[error("refused: {0}")]
    Refused(String),
    #[error("generation {generation} ended {outcome}: {why}")]
    Deployment { generation: u64, outcome: Outcome, why: String },
    #[error("fetching what lies elsewhere did not end")]
    Panicked(#[from] tokio::task::JoinError),
    #[error("the default branch holds no environment that is complete enough to go on")]
    NoCommits,
}

impl RoundError {
    /// A build that failed by its own fault.
    pub(super) fn failed_build(&self) -> Option<Refused> {
        match self {
            RoundError::Prepare(error) => error.failed_build(RECONCILER),
            _ => None,
        }
    }

    /// Somebody else was at it: no failure of ours, nor of the commits.
    pub(super) fn is_overtaken(&self) -> bool {
        matches!(
            self,
            RoundError::Pass(PassError::AnotherController { .. } | PassError::UnderWay { .. } | PassError::Detached)
        )
    }
}
