//! `build` of a source: how what is deployed is made of it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::service::variable;
use crate::{
    declare::de::At,
    model::quantity::{CpuShare, Memory, Span},
};

/// How what is deployed is made of the source. It runs on the machine that runs evenkeel, in a sandbox, and
/// only for what is merged.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Build")]
pub struct BuildKeys {
    /// A line for the shell, run in the source's folder, as in `npm ci && npm run build`.
    pub run: At<String>,
    /// The folder that it leaves what is deployed in, from the source's folder; `.` is that folder itself.
    pub output: At<String>,
    /// Environment variables for it. Public, and taken as they are written.
    #[serde(default)]
    #[schemars(extend("propertyNames" = variable()))]
    pub env: BTreeMap<At<String>, At<String>>,
    /// Whether it reaches other machines, over http and https through a proxy of evenkeel's; false if not given.
    pub network: Option<bool>,
    /// How long it may take.
    pub timeout: Option<At<Span>>,
    /// How much memory all its processes may take together.
    pub memory: Option<Memory>,
    /// How much of the processors all its processes may take together, where builds have cgroups; all if not given.
    pub cpu: Option<CpuShare>,
}
