//! `environments/NAME.yaml`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Branch;
use crate::{declare::de::At, model::quantity::Span};

/// A branch and the instances that follow it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Environment")]
pub struct EnvironmentFile {
    /// For people.
    pub description: Option<String>,
    /// The branch whose services, sites and code are deployed.
    pub branch: Branch,
    /// How often the loop looks for drift; 30s if not given.
    pub observe_interval: Option<At<Span>>,
}
