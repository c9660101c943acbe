//! Override files: the same fleet on other hosts, for rehearsals and the lab.
//!
//! Keeps true: an override changes how an instance is reached, never what runs on it.
//!
//! An override file may name a network namespace, for all instances or for one. A thread of its own dials in it, and
//! nothing else happens there; that is how a command outside reaches lab hosts, beside others.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};

use super::{
    Declaration, check,
    de::At,
    file::File,
    findings::{Draft, Findings},
    kinds::{Arch, JumpHost, Kind, OverrideFile},
    schema, typed,
};
use crate::model::{
    budget::Budget,
    finding::{Code, Finding},
    fleet::Fleet,
    name::InstanceName,
};

/// What of a fleet is replaced on this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    pub instances: BTreeMap<InstanceName, InstanceOverride>,
    /// The network namespace in which all instances are dialled that name none of their own.
    pub network_namespace: Option<String>,
}

/// What of one instance is replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstanceOverride {
    pub address: Option<IpAddr>,
    pub host_key: Option<String>,
    pub arch: Option<Arch>,
    pub network_namespace: Option<String>,
    pub ssh: SshOverride,
}

/// What of the way to log in is replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SshOverride {
    pub user: Option<String>,
    pub port: Option<u16>,
    pub key: Option<PathBuf>,
    pub jump: Option<JumpHost>,
}

/// Reads an override file; `file` is its path, for findings.
pub fn read_overrides(text: &str, file: &str) -> Result<Overrides, Vec<Finding>> {
    let file = File::new(file, text);
    let mut findings = Findings::new(&Budget::STANDARD);
    let read = typed::read::<OverrideFile>(&file, schema::overriding(), &mut findings).whole();
    let Some(read) = read else { return Err(findings.finish()) };
    let mut overrides = Overrides { network_namespace: read.network_namespace, ..Overrides::default() };
    for (name, instance) in read.instances {
        let mut pin = |key: Option<&At<String>>| {
            let key = key?;
            check::host_key(key).map_err(|finding| findings.say(finding.at(&file, key.span))).ok()
        };
        let host_key = pin(instance.host_key.as_ref());
        pin(instance.ssh.jump.as_ref().and_then(|jump| jump.host_key.as_ref()));
        let ssh = SshOverride {
            user: instance.ssh.user.map(|user| user.to_string()),
            port: instance.ssh.port,
            key: instance.ssh.key,
            jump: instance.ssh.jump,
        };
        let address = instance.address.map(|address| address.value);
        let (arch, network_namespace) = (instance.arch, instance.network_namespace);
        overrides.instances.insert(name, InstanceOverride { address, host_key, arch, network_namespace, ssh });
    }
    findings.finish_or(overrides)
}

/// Overridden instances that the fleet does not declare.
pub(super) fn unknown_instances(declaration: &Declaration, overrides: &Overrides, findings: &mut Findings) {
    for name in overrides.instances.keys().filter(|name| !declaration.instances.contains_key(*name)) {
        let message = format!("the override file names an instance `{name}`, which is not declared");
        let hint = declaration.names.hint_for(Kind::Instance, name.as_str());
        findings.say(Draft::error(Code::UnknownInstance, message).hint_of(hint));
    }
}

/// Instances that the override file leads to one and the same sshd: what is one's would be taken for the
/// other's. One address with several ports is how hosts on this machine are reached.
/// And those that it leads through themselves.
pub(super) fn led_astray(fleet: &Fleet, overrides: &Overrides, findings: &mut Findings) {
    let mut reached = BTreeMap::new();
    for (name, instance) in &fleet.instances {
        if overrides.instances.contains_key(name)
            && let Some(finding) = check::own_jump_host(instance)
        {
            findings.say(finding);
        }
        let Some(first) = reached.insert(instance.way(), name) else { continue };
        if overrides.instances.contains_key(name) || overrides.instances.contains_key(first) {
            let message = format!(
                "with the override file `{first}` and `{name}` have one address, {} port {}",
                instance.address, instance.ssh.port
            );
            let hint = "give each a host of its own, or leave one of the two out of the override file";
            findings.say(Draft::error(Code::DuplicateAddress, message).hint(hint));
        }
    }
}
