//! How a new version of a service takes over from the old one, and which copy of a replica is which.
//!
//! Owns: strategies, and the identity of what runs on an instance. Keeps true: the sole copy of a replica is named as
//! replicas were before they had slots, so a manifest of any age names the copies that are meant. Never does: saying when
//! what is done (`plan/rollout/`), or what a unit is called (`paths.rs`).

use std::collections::BTreeMap;

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
    /// A new copy of each replica starts beside the old one, and takes over when it is healthy.
    BlueGreen,
}

impl Strategy {
    pub const fn as_str(self) -> &'static str {
        match self {
            Strategy::Recreate => "recreate",
            Strategy::Rolling => "rolling",
            Strategy::BlueGreen => "blue-green",
        }
    }
}

/// How a new version of a service takes over on its instances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rollout {
    Recreate,
    Rolling(Rolling),
    BlueGreen(BlueGreen),
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

/// A second copy beside the first, with nginx at the service's port leading to one of the two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlueGreen {
    /// What the copies bind on each instance.
    pub ports: BTreeMap<InstanceName, PrivatePorts>,
    /// How long the new copy must stay healthy with all requests before the old one goes.
    pub bake: Span,
    /// How long requests may go on at the old copy. What is left then is cut.
    pub drain_timeout: Span,
}

/// The ports of a replica's two copies, which nobody but its instance's nginx calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivatePorts {
    pub blue: u16,
    pub green: u16,
}

impl PrivatePorts {
    /// None for a copy that binds the service's own port.
    pub const fn of(self, slot: Slot) -> Option<u16> {
        match slot {
            Slot::Sole => None,
            Slot::Blue => Some(self.blue),
            Slot::Green => Some(self.green),
        }
    }
}

/// Stands in a service's texts for the port that a copy of it binds, until they are rendered for that copy. No text that is
/// rendered holds a NUL, so it is nobody's own word.
pub const BOUND_PORT: &str = "\0port\0";

/// In which slot each service runs on an instance, of those that have two.
pub type Slots = BTreeMap<ServiceName, Slot>;

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
    Blue,
    Green,
}

impl Slot {
    pub const ALL: [Slot; 3] = [Slot::Sole, Slot::Blue, Slot::Green];

    /// The one that takes over from it where a second copy runs beside the first.
    pub const fn next(self) -> Self {
        match self {
            Slot::Sole | Slot::Green => Slot::Blue,
            Slot::Blue => Slot::Green,
        }
    }

    /// In words, where there are two.
    pub const fn as_str(self) -> &'static str {
        match self {
            Slot::Sole => "sole",
            Slot::Blue => "blue",
            Slot::Green => "green",
        }
    }

    /// What names on an instance say of it, behind the port.
    pub const fn suffix(self) -> &'static str {
        match self {
            Slot::Sole => "",
            Slot::Blue => "-blue",
            Slot::Green => "-green",
        }
    }

    pub fn of_suffix(suffix: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|slot| slot.suffix() == suffix)
    }
}
