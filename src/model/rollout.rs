//! How a new version of a service takes over from the old one, and which copy of a replica is which.
//!
//! Owns: strategies, and the identity of what runs on an instance. Keeps true: the sole copy of a replica is named as
//! replicas were before they had slots, so a manifest of any age names the copies that are meant. Never does: saying when
//! what is done (`plan/rollout/`), or what a unit is called (`paths.rs`).

use serde::{Deserialize, Serialize};

use super::name::ServiceName;

/// A way for a new version to take over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Strategy {
    /// The old one is stopped, then the new one started.
    #[default]
    Recreate,
}

/// A replica on its instance: one of the copies of a service that may run there beside each other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ReplicaId {
    pub service: ServiceName,
    /// The service's stable port.
    pub port: u16,
    pub slot: Slot,
}

/// Which of the copies of a replica that a strategy has run beside each other while one takes over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Slot {
    /// There is one, which is stopped before another starts.
    #[default]
    Sole,
}

impl Slot {
    pub const ALL: [Slot; 1] = [Slot::Sole];

    /// What names on an instance say of it, behind the port.
    pub const fn suffix(self) -> &'static str {
        match self {
            Slot::Sole => "",
        }
    }

    pub fn of_suffix(suffix: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|slot| slot.suffix() == suffix)
    }
}
