//! `instances/NAME.yaml`.

use std::{collections::BTreeMap, net::IpAddr};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{PackageName, SshDefaults};
use crate::{declare::de::At, model::quantity::PortRange};

/// One host, and how it is reached.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Instance")]
pub struct InstanceFile {
    /// For people.
    pub description: Option<String>,
    /// The environment it belongs to.
    pub environment: At<String>,
    /// The IP address at which it is reached, by evenkeel and by the other instances.
    #[schemars(with = "String", extend("format" = "ip"))]
    pub address: At<IpAddr>,
    /// The host's public key, `ALGORITHM BASE64`. Without it nothing connects.
    pub host_key: Option<At<String>>,
    /// The processor: archives are chosen by it.
    pub arch: Option<Arch>,
    /// The ports its services may have, both ends included.
    pub ports: At<PortRange>,
    /// What `place.where` looks at.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Debian packages that must be there: added, never removed.
    #[serde(default)]
    pub packages: Vec<PackageName>,
    /// Which GPU it has, for people.
    pub gpu: Option<String>,
    /// How it is logged in to, where that differs from the fleet's way.
    #[serde(default)]
    pub ssh: SshDefaults,
}

/// A processor architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Arch {
    #[serde(rename = "x86_64")]
    X86_64,
    Aarch64,
}

impl std::fmt::Display for Arch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Arch::X86_64 => "x86_64",
            Arch::Aarch64 => "aarch64",
        })
    }
}
