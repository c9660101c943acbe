//! Checks of instances and environments among themselves.

use std::collections::BTreeMap;

use russh::keys::ssh_key::PublicKey;

use crate::{
    declare::{
        Declaration, Declared, calendar,
        de::At,
        file::File,
        findings::{Draft, Findings},
        kinds::{EnvironmentFile, InstanceFailureRule, Kind},
        overrides::Overrides,
        resolve,
    },
    model::{
        drift::{Difference, DriftRule},
        finding::Code,
        fleet::{Instance, Jump},
        quantity::Span,
        text::name as short,
        writer::Writer,
    },
};

pub fn check(declaration: &Declaration, findings: &mut Findings) {
    let mut addresses = BTreeMap::new();
    for (name, instance) in &declaration.instances {
        let file = &instance.file;
        if !declaration.knows(Kind::Environment, &instance.environment) {
            let message = format!("there is no environment `{}`", short(&instance.environment));
            let finding = Draft::error(Code::UnknownEnvironment, message).at(file, instance.environment.span);
            findings.say(finding.hint_of(declaration.names.hint_for(Kind::Environment, &instance.environment)));
        }
        let reached = resolve::instance(declaration, name, instance, &Overrides::default());
        let pin = |key: Option<&At<String>>, missing: &dyn Fn() -> Draft| match key {
            Some(key) => host_key(key).err().map(|finding| finding.at(file, key.span)),
            None => Some(missing()),
        };
        let unpinned = pin(instance.host_key.as_ref(), &|| {
            not_pinned(format!("`{name}` has no host_key"), &reached.prints_key()).at(file, instance.address.span)
        });
        unpinned.into_iter().for_each(|finding| findings.say(finding));
        if let (Some(written), Some(jump)) = (&instance.ssh.jump, &reached.ssh.jump) {
            let span = written.address.span;
            let unpinned = pin(written.host_key.as_ref(), &|| {
                not_pinned(format!("the jump host of `{name}` has no host_key"), &jump.prints_key()).at(file, span)
            });
            let own = own_jump_host(&reached).map(|finding| finding.at(file, span));
            unpinned.into_iter().chain(own).for_each(|finding| findings.say(finding));
        }
        // Behind another jump host the same address is another host's.
        let way = (reached.ssh.jump.as_ref().map(Jump::end), *instance.address);
        if let Some((first, (file_of_first, span))) = addresses.insert(way, (name, (file, instance.address.span))) {
            let message = format!("`{first}` and `{name}` have one address, {}", *instance.address);
            findings.say(
                Draft::error(Code::DuplicateAddress, message)
                    .at(file, instance.address.span)
                    .also(file_of_first, span, format!("`{first}`"))
                    .hint("one host is one instance; place both instances' services on it"),
            );
        }
    }
    for environment in declaration.environments.values() {
        positive(environment.observe_interval.as_ref(), "observe_interval", &environment.file, findings);
        positive(environment.lost_after.as_ref(), "lost_after", &environment.file, findings);
        positive(environment.repair_after.as_ref(), "repair_after", &environment.file, findings);
        let rules = [left_out_without_rule(environment), repaired_units(environment)];
        rules.into_iter().flatten().for_each(|finding| findings.say(finding));
        calendar::check(environment, findings);
    }
    let health = &declaration.fleet.defaults.health;
    positive(health.interval.as_ref(), "interval", &declaration.fleet.file, findings);
    positive(health.timeout.as_ref(), "timeout", &declaration.fleet.file, findings);
    for line in declaration.fleet.history_writers.iter().flatten() {
        if let Err(finding) = writer(line) {
            findings.say(finding.at(&declaration.fleet.file, line.span));
        }
    }
}

/// A number of instances that may be left out, where none is.
fn left_out_without_rule(environment: &Declared<EnvironmentFile>) -> Option<Draft> {
    let at_most = environment.leave_out_at_most.as_ref()?;
    (environment.on_instance_failure != Some(InstanceFailureRule::LeaveOut)).then(|| {
        let message = "`leave_out_at_most` counts only with `on_instance_failure: leave-out`";
        Draft::error(Code::WithoutEffect, message)
            .at(&environment.file, at_most.span)
            .hint("add `on_instance_failure: leave-out`, or take `leave_out_at_most` out")
    })
}

/// What evenkeel did not make it cannot repair: that would be to remove what somebody wrote.
fn repaired_units(environment: &Declared<EnvironmentFile>) -> Option<Draft> {
    let rule = environment.drift_of.as_ref()?.get(&Difference::Units)?;
    (rule.value == DriftRule::Repair).then(|| {
        let message = "`repair` is no rule for `units`: evenkeel removes no drop-in that it did not write";
        Draft::error(Code::InvalidValue, message)
            .at(&environment.file, rule.span)
            .hint("write `units: report`, which is what happens without it, or `units: ignore`")
    })
}

fn not_pinned(what: String, printed_by: &str) -> Draft {
    let hint = format!(
        "`{printed_by}` prints it; compare it with /etc/ssh/ssh_host_ed25519_key.pub on the host's console before \
         you pin it"
    );
    Draft::warning(Code::MissingHostKey, format!("{what}, so nothing will connect to it")).hint(hint)
}

/// Whoever goes through an instance to reach it has reached it already.
pub fn own_jump_host(instance: &Instance) -> Option<Draft> {
    let (_, jump, end) = instance.way();
    (jump == Some(end)).then(|| {
        let message = format!("the jump host of `{}` is `{}` itself, {end}", instance.name, instance.name);
        let hint = "leave `jump` out where an instance is reached directly";
        Draft::error(Code::OwnJumpHost, message).hint(hint)
    })
}

/// Spans of no length would have a loop run without rest, or a check never succeed.
pub fn positive(span: Option<&At<Span>>, name: &str, file: &File, findings: &mut Findings) {
    if let Some(span) = span.filter(|span| span.0.is_zero()) {
        let message = format!("`{name}` must be longer than nothing");
        findings.say(Draft::error(Code::InvalidValue, message).at(file, span.span));
    }
}

/// The key and the name of a line as in `authorized_keys`.
pub fn writer(text: &str) -> Result<Writer, Box<Draft>> {
    match PublicKey::from_openssh(text.trim()) {
        Ok(key) => {
            let name = text.split_whitespace().skip(2).collect::<Vec<_>>().join(" ");
            let name = (!name.is_empty()).then_some(name);
            let key = PublicKey::from(key.key_data().clone()).to_openssh().unwrap_or_default();
            Ok(Writer { name, key })
        }
        Err(_) => {
            let hint = "write `ALGORITHM BASE64 NAME`, as in a `.pub` file; a controller prints its own when it starts";
            Err(Box::new(Draft::error(Code::InvalidHistoryWriter, "this is not a public key").hint(hint)))
        }
    }
}

/// A public key as `ALGORITHM BASE64`; a comment after it, as in a `.pub` file, is dropped.
pub fn host_key(text: &str) -> Result<String, Box<Draft>> {
    let mut words = text.split_whitespace();
    let key = format!("{} {}", words.next().unwrap_or_default(), words.next().unwrap_or_default());
    match PublicKey::from_openssh(&key) {
        Ok(_) => Ok(key),
        Err(_) => {
            let hint = "write `ALGORITHM BASE64`, as in /etc/ssh/ssh_host_ed25519_key.pub: ssh-ed25519 AAAA…";
            Err(Box::new(Draft::error(Code::InvalidHostKey, "this is not a public key").hint(hint)))
        }
    }
}
