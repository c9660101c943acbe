//! How a running deployment is told to stop.
//!
//! Keeps true: it stops only where nothing runs on a host on its behalf.

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::model::{failure::Failure, outcome::Cause};

/// What a running deployment is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Halt {
    #[default]
    GoOn,
    /// This controller ends: hosts finish what they run, and the next controller goes on from there.
    Detach,
    /// Stop at the next safe step, and undo.
    Cancel { by: String, reason: String },
}

/// Where a deployment listens.
#[derive(Debug, Clone)]
pub struct Halting {
    told: watch::Receiver<Halt>,
    /// None: it may take as long as it likes.
    deadline: Option<Instant>,
}

impl Halting {
    pub fn new(told: watch::Receiver<Halt>) -> Self {
        Self { told, deadline: None }
    }

    /// For those whom nobody tells anything.
    pub fn never() -> Self {
        Self::new(watch::channel(Halt::GoOn).1)
    }

    pub fn until(&self, deadline: Instant) -> Self {
        Self { told: self.told.clone(), deadline: Some(deadline) }
    }

    /// Why to stop now; none to go on.
    pub fn reason(&self) -> Option<Failure> {
        let failure = |cause, message| Some(Failure::of_deployment(cause, message));
        match &*self.told.borrow() {
            Halt::Cancel { by, reason } => failure(Cause::Cancelled, format!("by {by}: {reason}")),
            Halt::GoOn | Halt::Detach if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) => {
                failure(Cause::Step, "it took longer than a deployment of this plan may".to_owned())
            }
            Halt::GoOn | Halt::Detach => None,
        }
    }

    /// Ends when there is a reason to stop.
    pub async fn stop(&self) {
        let mut told = self.told.clone();
        let cancelled = async {
            if told.wait_for(|halt| matches!(halt, Halt::Cancel { .. })).await.is_err() {
                // Nobody is left who could tell.
                std::future::pending::<()>().await;
            }
        };
        let late = async {
            match self.deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            // Both only wait.
            () = cancelled => {}
            () = late => {}
        }
    }

    /// Ends when this controller is to leave what runs to the hosts.
    pub async fn detach(&self) {
        let mut told = self.told.clone();
        if told.wait_for(|halt| matches!(halt, Halt::Detach)).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
