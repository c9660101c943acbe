//! How a new version of a service takes over from the old one, and which copy of a replica is which.
//!
//! Owns: strategies, and the identity of what runs on an instance. Keeps true: the sole copy of a replica is named as
//! replicas were before they had slots, so a manifest of any age names the copies that are meant. Never does: saying when
//! what is done (`plan/rollout/`), or what a unit is called (`paths.rs`).

use serde::{Deserialize, Serialize};

use super::{
    name::{InstanceName, ServiceName},
    quantity::{Portion, Span},
};

/// A way for a new version to take over, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Strategy {
    /// Each replica is stopped, then started anew; all of them at once.
    Recreate,
    /// As `recreate`, but a few replicas at a time, while the others answer.
    Rolling,
}

impl Strategy {
    pub const fn as_str(self) -> &'static str {
        match self {
            Strategy::Recreate => "recreate",
            Strategy::Rolling => "rolling",
        }
    }
}

/// How a new version of a service takes over on its instances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rollout {
    Recreate,
    Rolling(Rolling),
}

/// A few replicas at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rolling {
    /// How many replicas may be away at the same time.
    pub max_unavailable: Portion,
    /// How long those that have changed must stay healthy before the next ones change.
    pub pause: Span,
    /// Instances whose replicas change first; the others follow by name.
    pub order: Vec<InstanceName>,
    /// How long requests may go on at a replica that is to restart. What is left then is cut.
    pub drain_timeout: Span,
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
