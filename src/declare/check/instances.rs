//! Checks of instances and environments among themselves.

use std::collections::BTreeMap;

use russh::keys::ssh_key::PublicKey;

use crate::{
    declare::{Declaration, codes, de::At, file::File, kinds::Kind, resolve},
    model::{
        finding::Finding,
        fleet::{Instance, Jump},
        quantity::Span,
        writer::Writer,
    },
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
        let reached = resolve::instance(declaration, name, instance, None);
        let pin = |key: Option<&At<String>>, missing: &dyn Fn() -> Finding| match key {
            Some(key) => host_key(key).err().map(|finding| finding.at(place(key.span))),
            None => Some(missing()),
        };
        findings.extend(pin(instance.host_key.as_ref(), &|| {
            not_pinned(format!("`{name}` has no host_key"), &reached.prints_key()).at(address_place())
        }));
        if let (Some(written), Some(jump)) = (&instance.ssh.jump, &reached.ssh.jump) {
            let jump_place = || place(written.address.span);
            findings.extend(pin(written.host_key.as_ref(), &|| {
                not_pinned(format!("the jump host of `{name}` has no host_key"), &jump.prints_key()).at(jump_place())
            }));
            findings.extend(own_jump_host(&reached).map(|finding| finding.at(jump_place())));
        }
        // Behind another jump host the same address is another host's.
        let way = (reached.ssh.jump.as_ref().map(Jump::end), *instance.address);
        if let Some((first, place)) = addresses.insert(way, (name, address_place())) {
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
    for line in declaration.fleet.history_writers.iter().flatten() {
        findings.extend(writer(line).err().map(|finding| finding.at(declaration.fleet.file.place(line.span))));
    }
}

fn not_pinned(what: String, printed_by: &str) -> Finding {
    let hint = format!(
        "`{printed_by}` prints it; compare it with /etc/ssh/ssh_host_ed25519_key.pub on the host's console before \
         you pin it"
    );
    Finding::warning(codes::MISSING_HOST_KEY, format!("{what}, so nothing will connect to it")).hint(hint)
}

/// Whoever goes through an instance to reach it has reached it already.
pub fn own_jump_host(instance: &Instance) -> Option<Finding> {
    let (jump, end) = instance.way();
    (jump == Some(end)).then(|| {
        let message = format!("the jump host of `{}` is `{}` itself, {end}", instance.name, instance.name);
        let hint = "leave `jump` out where an instance is reached directly";
        Finding::error(codes::OWN_JUMP_HOST, message).hint(hint)
    })
}

/// Spans of no length would have a loop run without rest, or a check never succeed.
pub fn positive(span: Option<&At<Span>>, name: &str, file: &File, findings: &mut Vec<Finding>) {
    if let Some(span) = span.filter(|span| span.0.is_zero()) {
        let message = format!("`{name}` must be longer than nothing");
        findings.push(Finding::error(codes::INVALID_VALUE, message).at(file.place(span.span)));
    }
}

/// The key and the name of a line as in `authorized_keys`.
pub fn writer(text: &str) -> Result<Writer, Box<Finding>> {
    match PublicKey::from_openssh(text.trim()) {
        Ok(key) => {
            let name = text.split_whitespace().skip(2).collect::<Vec<_>>().join(" ");
            let name = (!name.is_empty()).then_some(name);
            let key = PublicKey::from(key.key_data().clone()).to_openssh().unwrap_or_default();
            Ok(Writer { name, key })
        }
        Err(_) => {
            let hint = "write `ALGORITHM BASE64 NAME`, as in a `.pub` file; a controller prints its own when it starts";
            Err(Box::new(Finding::error(codes::INVALID_HISTORY_WRITER, "this is not a public key").hint(hint)))
        }
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
