//! What every sync uses and none changes: the repository, the hosts, and how commits are prepared.

use std::sync::Arc;

use super::error::SyncError;
use crate::{
    engine::{
        events::Events,
        history::{
            controller_id::ControllerId,
            log::{self, Newest},
            store::Store,
        },
        observe::connections::Connections,
        prepare::{
            Prepared,
            config::StoreError,
            preparation::{Build, Preparation},
        },
    },
    host::HostRead,
    model::{name::EnvironmentName, plan::Commits},
};

/// Numbers between 0 and 1 that spread what many controllers do at once.
pub type Jitter = dyn Fn() -> f64 + Send + Sync;

/// Shared by the syncs of all environments.
pub struct Workspace<H, S> {
    pub store: S,
    pub connections: Connections<H>,
    pub preparation: Preparation,
    pub identity: ControllerId,
    pub events: Events,
    pub jitter: Box<Jitter>,
}

impl<H: HostRead, S: Store> Workspace<H, S> {
    /// The newest that the environment's history says, without the network.
    pub async fn newest(&self, environment: &EnvironmentName) -> Result<Newest, StoreError> {
        log::newest(&self.store, environment).await
    }

    /// What the commits ask of hosts. `newest` says what was built before, and where sources were.
    pub async fn prepared(
        &self,
        environment: &EnvironmentName,
        commits: &Commits,
        newest: &Newest,
        build: Build,
    ) -> Result<Arc<Prepared>, SyncError> {
        let preparing = self.preparation.prepared(&self.store, environment, commits, newest.recorded(), build);
        Ok(preparing.await?)
    }
}
