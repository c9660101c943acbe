//! Whether a new version can take over as it is declared to.
//!
//! Keeps true: what an environment says for all of its services is no fault of one that it does not fit.

use super::{environment::Checker, sites::known_instance};
use crate::{
    declare::{
        de::At,
        file::File,
        findings::{Draft, Findings},
        kinds::{Kind, RolloutKeys},
        rollout,
    },
    model::{finding::Code, fleet::Service, rollout::Strategy},
};

impl Checker<'_> {
    pub(super) fn rollouts(&self, findings: &mut Findings) {
        let environment = self.fleet.environment.name.as_str();
        let Some(of_environment) = self.declaration.environments.get(environment) else { return };
        if let Some(keys) = &of_environment.rollout {
            self.order(&of_environment.file, keys, findings);
        }
        for service in self.fleet.services.values() {
            let Some(file) = self.declaration.services.get(&service.name) else { continue };
            let Some(keys) = file.within(environment).rollout() else { continue };
            self.order(&file.file, keys, findings);
            // Where instances cannot be read, it is not known how many match.
            if !self.declaration.any_broken(Kind::Instance) {
                let strategy = rollout::strategy(Some(keys), of_environment.rollout.as_ref(), service.on.len());
                fits(&file.file, keys, service, strategy, findings);
            }
        }
    }

    fn order(&self, file: &File, keys: &RolloutKeys, findings: &mut Findings) {
        for name in keys.order.iter().flatten() {
            known_instance(self.declaration, file, name, findings);
        }
    }
}

fn fits(file: &File, keys: &RolloutKeys, service: &Service, strategy: Strategy, findings: &mut Findings) {
    let replicas = service.on.len();
    if strategy == Strategy::Recreate {
        let order = keys.order.as_ref().and_then(|order| order.first()).map(|first| first.span);
        let spans = [
            ("max_unavailable", keys.max_unavailable.as_ref().map(|key| key.span)),
            ("pause", keys.pause.as_ref().map(|key| key.span)),
            ("drain_timeout", keys.drain_timeout.as_ref().map(|key| key.span)),
            ("order", order),
        ];
        for (key, span) in spans.into_iter().filter_map(|(key, span)| Some((key, span?))) {
            let message =
                format!("`{key}` says how replicas change one after the other; `recreate` changes all at once");
            let hint = if replicas > 1 { "write `strategy: rolling`".to_owned() } else { format!("leave `{key}` out") };
            findings.say(Draft::error(Code::WithoutEffect, message).at(file, span).hint(hint));
        }
        return;
    }
    if let (Some(At { span, .. }), 0..=1) = (&keys.strategy, replicas) {
        let on = service.on.first().map_or("no instance", |name| name.as_str());
        let message =
            format!("`{}` runs on `{on}` alone: while its one replica restarts, no other answers", service.name);
        let hint = "place it on a second instance, or write `strategy: recreate`";
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
