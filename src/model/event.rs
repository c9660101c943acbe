//! What happens, as a value.
//!
//! Owns the form in JSON that the log and every stream share; the kinds of events are a table (`event/kinds.rs`). Keeps true: a name is stable, because people
//! and programs select by it, and means one kind; a field holds a name, a number, a closed enum, or a [`Detail`], which is
//! bounded and which no code reads. None can hold the content of a file ([`super::content`] has no JSON form for what is
//! sealed), so no secret of a fleet gets into an event. Never does: wording (that is `report/event.rs`), reading a clock.

use serde::{Deserialize, Serialize};

use super::{
    budget::Budget,
    name::{EnvironmentName, InstanceName},
    text,
};

mod kinds;
pub mod logged;

pub use kinds::{EventKind, EventName};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// RFC 3339, in UTC.
    pub at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentName>,
    /// The generation of the deployment that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<u64>,
    #[serde(flatten)]
    pub kind: EventKind,
}

/// How much an event matters to whoever reads the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Debug,
    Info,
    Warning,
    Error,
}

/// What an error, a person or another program said, for people to read: machines read the other fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Detail(String);

impl Detail {
    pub fn of(text: impl ToString) -> Self {
        Self::from(text.to_string())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Detail {
    fn from(text: String) -> Self {
        Self(text::clipped(&text, Budget::STANDARD.event_text).into_owned())
    }
}

impl From<Detail> for String {
    fn from(detail: Detail) -> Self {
        detail.0
    }
}

impl std::fmt::Display for Detail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

impl EventKind {
    /// The instance that the event is about, where it is about one.
    pub fn instance(&self) -> Option<&InstanceName> {
        match self {
            Self::HostObserved { instance, .. }
            | Self::HostUnreachable { instance, .. }
            | Self::HostBack { instance }
            | Self::HostUnfenced { instance, .. }
            | Self::ReleasesUnread { instance, .. }
            | Self::StepBegun { instance, .. }
            | Self::StepDone { instance, .. }
            | Self::StepFailed { instance, .. }
            | Self::ServiceHealthy { instance, .. }
            | Self::ServiceUnhealthy { instance, .. }
            | Self::RollbackBegun { instance }
            | Self::RollbackDone { instance }
            | Self::RollbackFailed { instance, .. }
            | Self::RollbackStepFailed { instance, .. }
            | Self::RollbackStepsFailed { instance, .. } => Some(instance),
            Self::DeploymentEnded { instance, .. } | Self::DriftRepaired { instance, .. } => instance.as_ref(),
            _ => None,
        }
    }
}
