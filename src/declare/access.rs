//! What the loop and the lab ask of a declaration before anything is resolved.

use super::Declaration;
use crate::model::{
    name::{EnvironmentName, InstanceName},
    quantity::Span,
};

impl Declaration {
    pub fn instances(&self) -> Vec<&InstanceName> {
        self.instances.keys().collect()
    }

    pub fn instances_of<'a>(&'a self, environment: &'a EnvironmentName) -> impl Iterator<Item = &'a InstanceName> {
        let of = self.instances.iter().filter(move |(_, file)| *file.environment == environment.as_str());
        of.map(|(name, _)| name)
    }

    /// How often `environment` is looked at for drift.
    pub fn observe_interval(&self, environment: &EnvironmentName) -> Span {
        let declared = self.environments.get(environment).and_then(|declared| declared.observe_interval.as_deref());
        declared.copied().unwrap_or(super::resolve::OBSERVE_INTERVAL)
    }
}
