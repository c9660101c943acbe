//! Checks of instances and environments among themselves.

use std::collections::BTreeMap;

use russh::keys::ssh_key::PublicKey;

use crate::{
    declare::{Declaration, codes, de::At, file::File, kinds::Kind},
    model::{finding::Finding, quantity::Span},
};

pub fn check(declaration: &Declaration, findings: &mut Vec<Finding>) {
    let mut addresses = BTreeMap::new();
    for (name, instance) in &declaration.instances {
        let place = |span| instance.file.place(span);
        if !declaration.knows(Kind::Environment, &instance.environment) {
            let message = format!("there is no environment `{}`", *instance.environment);
            let hint = declaration.hint_for(Kind::Environment, &instance.environment);
            findings.push(
                Finding::error(codes::UNKNOWN_ENVIRONMENT, message).at(place(instance.environment.span)).hint(hint),
            );
        }
        let address_place = || place(instance.address.span);
        match &instance.host_key {
            Some(key) => findings.extend(host_key(key).err().map(|finding| finding.at(place(key.span)))),
            None => {
                let port = instance.ssh.port.or(declaration.fleet.ssh.port).unwrap_or(22);
                let port = if port == 22 { String::new() } else { format!("-p {port} ") };
                let message = format!("`{name}` has no host_key, so nothing will connect to it");
                let hint = format!(
                    "`ssh-keyscan -t ed25519 {port}{}` prints it; compare it with /etc/ssh/ssh_host_ed25519_key.pub \
                     on the host before you pin it",
                    *instance.address
                );
                findings.push(Finding::warning(codes::MISSING_HOST_KEY, message).at(address_place()).hint(hint));
            }
        }
        if let Some((first, place)) = addresses.insert(*instance.address, (name, address_place())) {
            let message = format!("`{first}` and `{name}` have one address, {}", *instance.address);
            findings.push(
                Finding::error(codes::DUPLICATE_ADDRESS, message)
                    .at(address_place())
                    .also(place, format!("`{first}`"))
                    .hint("one host is one instance; place both instances' services on it"),
            );
        }
    }
    for environment in declaration.environments.values() {
        positive(environment.observe_interval.as_ref(), "observe_interval", &environment.file, findings);
        positive(environment.lost_after.as_ref(), "lost_after", &environment.file, findings);
    }
    let health = &declaration.fleet.defaults.health;
    positive(health.interval.as_ref(), "interval", &declaration.fleet.file, findings);
    positive(health.timeout.as_ref(), "timeout", &declaration.fleet.file, findings);
}

/// Spans of no length would have a loop run without rest, or a check never succeed.
pub fn positive(span: Option<&At<Span>>, name: &str, file: &File, findings: &mut Vec<Finding>) {
    if let Some(span) = span.filter(|span| span.0.is_zero()) {
        let message = format!("`{name}` must be longer than nothing");
        findings.push(Finding::error(codes::INVALID_VALUE, message).at(file.place(span.span)));
    }
}

/// A public key as `ALGORITHM BASE64`; a comment after it, as in a `.pub` file, is dropped.
pub fn host_key(text: &str) -> Result<String, Box<Finding>> {
    let mut words = text.split_whitespace();
    let key = format!("{} {}", words.next().unwrap_or_default(), words.next().unwrap_or_default());
    match PublicKey::from_openssh(&key) {
        Ok(_) => Ok(key),
        Err(_) => {
            let hint = "write `ALGORITHM BASE64`, as in /etc/ssh/ssh_host_ed25519_key.pub: ssh-ed25519 AAAA…";
            Err(Box::new(Finding::error(codes::INVALID_HOST_KEY, "this is not a public key").hint(hint)))
        }
    }
}
