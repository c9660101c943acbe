//! Override files: the same fleet on other hosts, for rehearsals.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Arch, JumpHost, UserName};
use crate::{declare::de::At, model::name::InstanceName};

/// What of the fleet is replaced on this machine. Not part of the fleet folder.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Override")]
pub struct OverrideFile {
    /// By instance.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, OverriddenInstance>")]
    pub instances: BTreeMap<InstanceName, OverriddenInstance>,
    /// The network namespace in which every instance is dialled that names none of its own.
    pub network_namespace: Option<String>,
}

/// What of one instance is replaced.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OverriddenInstance {
    /// The IP address.
    #[schemars(with = "Option<String>", extend("format" = "ip"))]
    pub address: Option<At<IpAddr>>,
    /// The host's public key, `ALGORITHM BASE64`.
    pub host_key: Option<At<String>>,
    /// The processor.
    pub arch: Option<Arch>,
    /// The network namespace in which this instance is dialled.
    pub network_namespace: Option<String>,
    /// How it is logged in to.
    #[serde(default)]
    pub ssh: OverriddenSsh,
}

/// How to log in.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OverriddenSsh {
    /// The user.
    pub user: Option<UserName>,
    /// The port of sshd.
    #[schemars(range(min = 1))]
    pub port: Option<u16>,
    /// A private key file for this instance alone.
    #[schemars(with = "Option<String>")]
    pub key: Option<PathBuf>,
    /// The host through which the instance is reached. With another address and without this, it is reached directly.
    pub jump: Option<JumpHost>,
}
