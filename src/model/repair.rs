//! Health as it is seen between deployments, and what is declared to be done about it.
//!
//! Keeps true: plain values. Never does: deciding; that is `decide/health.rs`.

use std::collections::BTreeMap;

use super::name::InstanceName;

/// A replica: its instance and its unit.
pub type ReplicaUnit = (InstanceName, String);

/// What is remembered of the health of replicas when a sync begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ailing {
    /// How many checks of each have failed in a row.
    pub failed: BTreeMap<ReplicaUnit, u32>,
    /// Those that are due to be restarted, each with why it counts as unhealthy.
    pub due: BTreeMap<ReplicaUnit, String>,
    /// Those that were restarted so many times within an hour, and are not restarted any more.
    pub given_up: BTreeMap<ReplicaUnit, u32>,
}

/// What is declared for a replica.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HealthRule {
    /// So many checks in a row make it unhealthy.
    pub failures: u32,
    /// In milliseconds: for so long it may be unhealthy until it is restarted; None: it is not.
    pub repair_after: Option<u64>,
    /// How often within an hour.
    pub repair_limit: u32,
}

/// What a check between deployments came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    Healthy,
    /// It runs and does not pass its check, for this reason.
    Unhealthy(String),
    /// Nobody could tell, systemd starts it, or it may still be starting.
    Unknown,
}

/// A replica as a sync saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenReplica {
    pub seen: Seen,
    pub rule: HealthRule,
    /// What tells its declared form from another one.
    pub inputs: String,
}
