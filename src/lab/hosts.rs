//! Which host plays which instance, and the override file that tells so.
//!
//! Keeps true: a name means one host: `h2` is never the instance of another host than h2. A host keeps
//! its number for as long as the lab is up.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{
    LabHost, USER,
    error::{Doing, LabError},
};

/// Gives each wanted instance its host: the one it has, else `hN` if that is its name, else the lowest
/// that is free.
pub(super) fn assign(
    lab: &str,
    existing: &BTreeMap<u8, String>,
    wanted: &[String],
    most: u8,
) -> Result<Vec<(u8, String)>, LabError> {
    let mut taken = existing.clone();
    let reserved: BTreeSet<u8> = wanted.iter().filter_map(|name| number(name)).collect();
    let mut seen = BTreeSet::new();
    let mut assigned = Vec::new();
    for instance in wanted {
        check(lab, instance)?;
        if !seen.insert(instance) {
            let why = "it is asked for twice";
            return Err(LabError::Instance { lab: lab.to_owned(), name: instance.clone(), why });
        }
        let has = taken.iter().find(|(_, name)| *name == instance).map(|(host, _)| *host);
        let host = match (has, number(instance)) {
            (Some(host), _) => host,
            (None, Some(host)) => match taken.get(&host) {
                Some(by) => {
                    return Err(LabError::HostTaken { lab: lab.to_owned(), host: instance.clone(), by: by.clone() });
                }
                None => host,
            },
            (None, None) => {
                // With none free in 255 numbers the limit below speaks.
                let free = (1..u8::MAX).find(|host| !taken.contains_key(host) && !reserved.contains(host));
                free.unwrap_or(u8::MAX)
            }
        };
        if host > most {
            let asked = existing.len().max(wanted.len()).max(host.into());
            let or = "ask for fewer, or give the lab a shorter name (an interface name has 15 characters)";
            return Err(LabError::TooMany { lab: lab.to_owned(), most, asked, or });
        }
        taken.insert(host, instance.clone());
        assigned.push((host, instance.clone()));
    }
    Ok(assigned)
}

/// The N of `hN`.
pub(super) fn number(name: &str) -> Option<u8> {
    let digits = name.strip_prefix('h')?;
    let number = digits.parse().ok()?;
    // `h01` and `h+1` are not names of hosts.
    (number > 0 && digits == format!("{number}")).then_some(number)
}

/// An instance's name becomes a host name and a word in files.
fn check(lab: &str, name: &str) -> Result<(), LabError> {
    let why = if name.is_empty() {
        "it is empty"
    } else if name.len() > 63 {
        "a host name has 63 characters at most"
    } else if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte)) {
        "only a-z, 0-9, - and _ can stand in it"
    } else if name.starts_with(['-', '_']) || name.ends_with(['-', '_']) {
        "it begins or ends with - or _"
    } else {
        return Ok(());
    };
    Err(LabError::Instance { lab: lab.to_owned(), name: name.to_owned(), why })
}

#[derive(Serialize)]
struct Override<'a> {
    network_namespace: String,
    instances: BTreeMap<&'a str, HostEntry<'a>>,
}

#[derive(Serialize)]
struct HostEntry<'a> {
    address: Ipv4Addr,
    host_key: &'a str,
    arch: &'static str,
    ssh: LabSsh<'a>,
}

#[derive(Serialize)]
struct LabSsh<'a> {
    user: &'static str,
    port: u16,
    key: &'a Path,
}

/// Writes the override file that points instances at the lab's hosts.
pub(super) fn write_override(path: &Path, namespace: String, key: &Path, hosts: &[LabHost]) -> Result<(), LabError> {
    let instances = hosts.iter().map(|host| {
        let ssh = LabSsh { user: USER, port: 22, key };
        let arch = std::env::consts::ARCH;
        (host.instance.as_str(), HostEntry { address: host.address, host_key: &host.host_key, arch, ssh })
    });
    let file = Override { network_namespace: namespace, instances: instances.collect() };
    let text = serde_yaml::to_string(&file).map_err(|source| LabError::Yaml { path: path.to_owned(), source })?;
    let mut partial = PathBuf::from(path);
    partial.set_extension("partial");
    fs::write(&partial, text)
        .and_then(|()| fs::rename(&partial, path))
        .doing(|| format!("writing the override file {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assigned(existing: &[(u8, &str)], wanted: &[&str], most: u8) -> Result<String, String> {
        let existing = existing.iter().map(|(host, name)| (*host, (*name).to_owned())).collect();
        let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
        match assign("lab", &existing, &wanted, most) {
            Ok(hosts) => Ok(hosts.iter().map(|(host, name)| format!("h{host}={name}")).collect::<Vec<_>>().join(" ")),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn instances_get_hosts_in_order() {
        assert_eq!(assigned(&[], &["ai-core", "gateway"], 9).unwrap(), "h1=ai-core h2=gateway");
        assert_eq!(assigned(&[(1, "ai-core")], &["gateway", "ai-core"], 9).unwrap(), "h2=gateway h1=ai-core");
        assert_eq!(assigned(&[], &["ai-core", "h1"], 9).unwrap(), "h2=ai-core h1=h1");
    }

    #[test]
    fn what_cannot_be_assigned_is_said() {
        assert!(assigned(&[(1, "ai-core")], &["h1"], 9).unwrap_err().contains("already the host of ai-core"));
        assert!(assigned(&[], &["a", "b"], 1).unwrap_err().contains("room for 1 hosts and 2 are asked"));
        assert!(assigned(&[], &["a", "a"], 9).unwrap_err().contains("twice"));
        assert!(assigned(&[], &["../x"], 9).unwrap_err().contains("only a-z"));
    }

    #[test]
    fn host_numbers() {
        assert_eq!(number("h7"), Some(7));
        for other in ["h0", "h07", "h+7", "h256", "h", "7", "ai"] {
            assert_eq!(number(other), None, "{other}");
        }
    }
}
