//! `instances/NAME.yaml`.

use std::{collections::BTreeMap, net::IpAddr};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Allow, PackageName, UserName};
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
    pub packages: Vec<At<PackageName>>,
    /// What services and sites may ask of root here: narrows the fleet's `allow`, for both must have it.
    pub allow: Option<Allow>,
    /// Which GPU it has, for people.
    pub gpu: Option<String>,
    /// How it is logged in to, where that differs from the fleet's way.
    #[serde(default)]
    pub ssh: InstanceSsh,
}

/// How to log in to an instance.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InstanceSsh {
    /// The user; the fleet's if not given. Any other than `root` needs `sudo` without a password.
    pub user: Option<UserName>,
    /// The port of sshd; the fleet's if not given.
    #[schemars(range(min = 1))]
    pub port: Option<u16>,
    /// The host through which the instance is reached, where it is not reached directly.
    pub jump: Option<JumpHost>,
}

/// A jump host, logged in to with the keys that the instance is logged in to with.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JumpHost {
    /// Its IP address.
    #[schemars(with = "String", extend("format" = "ip"))]
    pub address: At<IpAddr>,
    /// The user there; the instance's if not given.
    pub user: Option<UserName>,
    /// The port of its sshd; 22 if not given.
    #[schemars(range(min = 1))]
    pub port: Option<u16>,
    /// Its public key, `ALGORITHM BASE64`. Without it nothing connects.
    pub host_key: Option<At<String>>,
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
