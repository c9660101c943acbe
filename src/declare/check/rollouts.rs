//! Whether a new version can take over as it is declared to.
//!
//! Keeps true: what an environment says for all of its services is no fault of one that it does not fit.

use super::{environment::Checker, sites::known_instance};
use crate::{
    declare::{
        de::At,
        effective::Effective,
        file::{File, Span},
        findings::{Draft, Findings},
        kinds::{Kind, RolloutKeys},
        rollout,
    },
    model::{
        finding::Code,
        fleet::Service,
        name::InstanceName,
        rollout::{BOUND_PORT, BlueGreen, PrivatePorts, Rollout, Strategy},
    },
};

impl Checker<'_> {
    pub(super) fn rollouts(&self, findings: &mut Findings) {
        let environment = self.fleet.environment.name.as_str();
        let Some(of_environment) = self.declaration.environments.get(environment) else { return };
        if let Some(keys) = &of_environment.rollout {
            self.order(&of_environment.file, keys, findings);
            if let Some(ports) = &keys.ports {
                let message = "`ports` are those of one service's copies; an environment has many services";
                let draft = Draft::error(Code::WithoutEffect, message).at(&of_environment.file, ports.span);
                findings.say(draft.hint("write `ports` in the service, or leave it out: each gets two of its own"));
            }
        }
        for service in self.fleet.services.values() {
            let Some(file) = self.declaration.services.get(&service.name) else { continue };
            let effective = file.within(environment);
            let keys = effective.rollout();
            // Where instances cannot be read, it is not known how many match.
            if !self.declaration.any_broken(Kind::Instance) {
                let strategy = rollout::strategy(keys, of_environment.rollout.as_ref(), service.on.len());
                if let Some(keys) = keys {
                    without_effect(&file.file, keys, service.on.len(), strategy, findings);
                    one_by_one(&file.file, keys, service, strategy, findings);
                }
                if let Rollout::BlueGreen(blue_green) = &service.rollout {
                    self.two_copies(&file.file, &effective, service, blue_green, findings);
                }
            }
            if let Some(keys) = keys {
                self.order(&file.file, keys, findings);
            }
        }
    }

    fn order(&self, file: &File, keys: &RolloutKeys, findings: &mut Findings) {
        for name in keys.order.iter().flatten() {
            known_instance(self.declaration, file, name, findings);
        }
    }

    /// What two copies beside each other need.
    fn two_copies(
        &self,
        file: &File,
        effective: &Effective<'_>,
        service: &Service,
        blue_green: &BlueGreen,
        findings: &mut Findings,
    ) {
        let (name, run) = (&service.name, effective.run());
        if effective.health().is_none() {
            let message = format!("nothing says when a new copy of `{name}` is healthy and may take over");
            let hint = "add a check, as in `health: {http: /health}`; a port that is open tells little";
            findings.say(Draft::error(Code::NoHealth, message).at(file, run.exec.span).hint(hint));
        }
        if let Some(span) = literal_port(effective, service) {
            let message = format!(
                "`{name}` binds {} as it is written here; with `blue-green` nginx has that port, and each copy another",
                service.port
            );
            let hint = "write `${port}` in its place, or have the program read SERVICE_PORT; where this is not the port that \
                        it binds, write `${service.NAME.port}`";
            findings
                .say(Draft::error(Code::LiteralPort, message).at(file, span).hint(hint.replace("NAME", name.as_str())));
        }
        if let Some(state) = run.state.first() {
            let message = format!("two versions of `{name}` have `{}` open at once while one takes over", state);
            let hint = "make sure that both can, or write `strategy: recreate`";
            findings.say(Draft::warning(Code::SharedState, message).at(file, run.exec.span).hint(hint));
        }
        let declared = effective.rollout().and_then(|keys| keys.ports.as_ref());
        match declared {
            Some(ports) => self.declared_ports(file, ports.span, service, ports.value.0, findings),
            None => {
                for instance in service.on.iter().filter(|name| !blue_green.ports.contains_key(*name)).take(1) {
                    self.no_ports(file, effective.port().span, service, instance, findings);
                }
            }
        }
    }

    fn no_ports(&self, file: &File, span: Span, service: &Service, instance: &InstanceName, findings: &mut Findings) {
        let Some(ports) = self.fleet.instances.get(instance).map(|instance| instance.ports) else { return };
        let message = format!("no two ports of {ports} on `{instance}` are free for the copies of `{}`", service.name);
        let hint = format!("widen the `ports` of `{instance}`, or name two with `rollout: {{ports: [PORT, PORT]}}`");
        findings.say(Draft::error(Code::NoPrivatePorts, message).at(file, span).hint(hint));
    }

    fn declared_ports(&self, file: &File, span: Span, service: &Service, ports: PrivatePorts, findings: &mut Findings) {
        let others = self.fleet.services.values().filter(|other| !other.on.is_disjoint(&service.on));
        let own = [(ports.blue == ports.green).then(|| "they are one".to_owned())].into_iter().flatten();
        let held = others.flat_map(|other| {
            let copies = match &other.rollout {
                Rollout::BlueGreen(of) if other.name != service.name => of.ports.values().copied().collect(),
                _ => Vec::new(),
            };
            let of_copies = copies.into_iter().flat_map(|copy| [copy.blue, copy.green]);
            let taken = std::iter::once(other.port).chain(of_copies);
            taken.filter(|port| [ports.blue, ports.green].contains(port)).map(|port| {
                let whose = if other.name == service.name { "the service itself" } else { other.name.as_str() };
                format!("{port} is the port of {whose}")
            })
        });
        let digest = [ports.blue, ports.green].contains(&self.fleet.digest_port);
        let digest = digest.then(|| format!("{} is where nginx answers its digest", self.fleet.digest_port));
        if let Some(why) = own.chain(held).chain(digest).next() {
            let message = format!("the copies of `{}` cannot have these ports: {why}", service.name);
            let hint = "name two that nothing else has, or leave `ports` out";
            findings.say(Draft::error(Code::NoPrivatePorts, message).at(file, span).hint(hint));
        }
    }
}

/// Where the service's own port stands in what it runs, if nothing there is told which port to bind.
fn literal_port(effective: &Effective<'_>, service: &Service) -> Option<Span> {
    let port = service.port.to_string();
    let names_it = |text: &str| text.split(|c: char| !c.is_ascii_digit()).any(|number| number == port);
    let is_it = |text: &str| text.trim() == port;
    let is_told = service.exec.iter().chain(service.env.values()).any(|text| text.contains(BOUND_PORT));
    let run = effective.run();
    let in_exec = names_it(&run.exec).then_some(run.exec.span);
    let in_env = || effective.env().into_values().find(|(text, _)| is_it(text)).map(|(_, span)| span);
    in_exec.or_else(in_env).filter(|_| !is_told)
}

/// Keys that another strategy has.
fn without_effect(file: &File, keys: &RolloutKeys, replicas: usize, strategy: Strategy, findings: &mut Findings) {
    let order = keys.order.as_ref().and_then(|order| order.first()).map(|first| first.span);
    const ROLLING: &[Strategy] = &[Strategy::Rolling];
    const COPIES: &[Strategy] = &[Strategy::BlueGreen];
    let keys = [
        ("max_unavailable", keys.max_unavailable.as_ref().map(|key| key.span), ROLLING),
        ("pause", keys.pause.as_ref().map(|key| key.span), ROLLING),
        ("order", order, ROLLING),
        ("drain_timeout", keys.drain_timeout.as_ref().map(|key| key.span), &[Strategy::Rolling, Strategy::BlueGreen]),
        ("bake", keys.bake.as_ref().map(|key| key.span), COPIES),
        ("ports", keys.ports.as_ref().map(|key| key.span), COPIES),
    ];
    for (key, span, of) in keys {
        let Some(span) = span.filter(|_| !of.contains(&strategy)) else { continue };
        let (message, hint) = match of {
            COPIES => (
                format!("`{key}` is about two copies beside each other; `{}` has one", strategy.as_str()),
                "write `strategy: blue-green`".to_owned(),
            ),
            _ => (
                format!(
                    "`{key}` says how replicas change one after the other; `{}` changes all at once",
                    strategy.as_str()
                ),
                if replicas > 1 { "write `strategy: rolling`".to_owned() } else { format!("leave `{key}` out") },
            ),
        };
        findings.say(Draft::error(Code::WithoutEffect, message).at(file, span).hint(hint));
    }
}

/// Whether replicas that change one after the other leave one to answer.
fn one_by_one(file: &File, keys: &RolloutKeys, service: &Service, strategy: Strategy, findings: &mut Findings) {
    if strategy != Strategy::Rolling {
        return;
    }
    let replicas = service.on.len();
    if let (Some(At { span, .. }), 0..=1) = (&keys.strategy, replicas) {
        let on = service.on.first().map_or("no instance", |name| name.as_str());
        let message =
            format!("`{}` runs on `{on}` alone: while its one replica restarts, no other answers", service.name);
        let hint = "place it on a second instance, or write `strategy: blue-green`, or `recreate` with a gap";
        findings.say(Draft::error(Code::OneReplica, message).at(file, *span).hint(hint));
    } else if let Some(portion) = keys.max_unavailable.as_ref().filter(|portion| portion.of(replicas) >= replicas) {
        let message = format!("{} of {replicas} replicas is all of them: no other answers meanwhile", **portion);
        let most = replicas.saturating_sub(1);
        let hint = match most {
            0 => "leave `max_unavailable` out: there is one replica".to_owned(),
            most => format!("write at most `max_unavailable: {most}`, or `strategy: recreate`"),
        };
        findings.say(Draft::error(Code::NoneLeft, message).at(file, portion.span).hint(hint));
    }
}
