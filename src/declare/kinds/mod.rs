//! The kinds of file in a fleet folder, as people write them.
//!
//! Owns: which keys there are, which of them are needed, and what each may hold. The JSON Schemas are
//! generated from these types, docstrings included. Keeps true: what has no effect today has no key.
//! Never does: looking beyond one file.

#![expect(dead_code, reason = "some keys are for people or have one value only: reading them checks them")]

mod allow;
mod build;
mod calendar;
mod credentials;
mod environment;
mod fleet;
mod instance;
mod overriding;
mod rights;
mod rollout;
mod service;
mod site;
mod source;
mod text;

pub use allow::Allow;
pub use build::BuildKeys;
pub use calendar::{FreezeKeys, WindowKeys};
pub use credentials::{CredentialKeys, CredentialsFile};
pub use environment::{EnvironmentFile, InstanceFailureRule};
pub use fleet::FleetFile;
pub use instance::{Arch, InstanceFile, JumpHost};
pub use overriding::OverrideFile;
pub use rights::Commands;
pub use rollout::RolloutKeys;
pub use service::{HealthCheck, Overlay, Place, Python, Resources, Run, ServiceFile};
pub use site::{RouteTo, SiteFile, SiteOverlay, Tls};
pub use source::{Archive, SourceKeys};
pub use text::*;

/// The kinds that have a folder, in the order in which findings about them read best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Environment,
    Instance,
    Service,
    Site,
}

impl Kind {
    pub const ALL: [Kind; 4] = [Kind::Environment, Kind::Instance, Kind::Service, Kind::Site];

    /// Whether a file is checked although keys in it are not known or stand twice. Where a service runs and a site is
    /// served hangs on environments and instances: without a key that is misspelt there, much would be found elsewhere.
    pub fn is_checked_in_part(self) -> bool {
        matches!(self, Kind::Service | Kind::Site)
    }

    pub fn folder(self) -> &'static str {
        match self {
            Kind::Environment => "environments",
            Kind::Instance => "instances",
            Kind::Service => "services",
            Kind::Site => "sites",
        }
    }
}
