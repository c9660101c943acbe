//! A port that a step is about to bind: free, or held by what makes room for it.
//!
//! Keeps true: a hint frees the port and nothing else. A unit is named as one to stop only where it runs this one program;
//! else its process is. `replaces` is named for services alone, which have it.

use std::collections::BTreeSet;

use super::{instance::Differ, rollout::PlannedChange};
use crate::model::{
    desired::{Replica, Resource},
    drift::{Difference, DriftRule},
    finding::{Code, Finding},
    grants,
    observation::{Listener, Stranger},
    plan::Action,
    rollout::Slot,
    run::Run,
};

/// A port that is about to be bound.
struct Wanted {
    port: u16,
    /// Whose it is to be.
    resource: String,
    /// Units that may hold it until then.
    allowed: BTreeSet<String>,
    /// What may stand in the place of the port.
    otherwise: &'static str,
    /// Whether who wants it can declare `replaces`.
    replaces: bool,
}

const DIGEST: &str = ", or choose another `digest_port` in fleet.yaml";
const COPY: &str = ", or name two other ports with `rollout: {ports: [PORT, PORT]}`";
const SERVICE: &str = ", or choose another port";

impl Differ<'_> {
    pub(super) fn ports(&mut self) {
        let wanted: Vec<Wanted> = {
            let of_nginx = self.of_nginx().into_iter().chain(self.of_fronts());
            self.of_services().into_iter().chain(of_nginx).collect()
        };
        if wanted.is_empty() {
            return;
        }
        let live = self.live;
        let Some(listeners) = self.known("who listens on which port", &live.listeners) else { return };
        for wanted in wanted {
            let taken = |listener: &&Listener| {
                listener.port == wanted.port
                    && !listener.unit.as_ref().is_some_and(|unit| wanted.allowed.contains(unit))
            };
            if let Some(listener) = listeners.iter().find(taken) {
                let stranger = live.strangers.get(&listener.pid);
                let hint = hint(&wanted, listener, stranger);
                self.refuse(Code::PortTaken, message(&wanted, listener, stranger), hint);
            }
        }
    }

    /// A unit that systemd starts again and again is not as it was deployed, and no step mends that: said, with who has
    /// its port.
    pub(super) fn failing(&mut self, replica: &Replica, run: &Run) {
        if self.inputs.fleet.environment.drift.rule(Difference::Processes) == DriftRule::Ignore {
            return;
        }
        let live = self.live;
        let listeners = self.known("who listens on which port", &live.listeners).map_or(&[][..], Vec::as_slice);
        let is_other = |listener: &&Listener| {
            listener.port == replica.port && listener.unit.as_ref().is_none_or(|unit| *unit != replica.unit)
        };
        let (resource, unit) = (format!("service/{}", replica.service), &replica.unit);
        let message = format!("{resource} has drifted: {unit} is {}", run.told());
        let (message, hint) = match listeners.iter().find(is_other) {
            Some(listener) => {
                let stranger = live.strangers.get(&listener.pid);
                let allowed = BTreeSet::new();
                let wanted = Wanted { port: replica.port, resource, allowed, otherwise: SERVICE, replaces: true };
                let message = format!("{message}; its port {} is held by {}", replica.port, listener.told(stranger));
                (message, hint(&wanted, listener, stranger))
            }
            None => (message, format!("see why it ends: `journalctl -u {unit}` on the instance")),
        };
        self.drift.push((Resource::Service(replica.service.clone()), message.clone()));
        self.findings.push(Finding::warning(Code::Drift, message).on(self.name()).hint(hint));
    }

    fn of_services(&self) -> Vec<Wanted> {
        let is_started =
            |replica: &&Replica| self.changes.iter().any(|step| step.action.started() == Some(&replica.unit));
        let wanted = |replica: &Replica| {
            let mut allowed: BTreeSet<String> = self.owned.units.keys().cloned().collect();
            // Of our own units only the ones that go, or the replica itself, may hold it.
            allowed.retain(|unit| *unit == replica.unit || !self.desired.replicas.contains_key(unit));
            allowed.insert(replica.unit.clone());
            allowed.extend(replica.replaces.iter().cloned());
            // Where one of two copies ran, nginx leaves the port first.
            let leaves = |step: &PlannedChange| matches!(step.action, Action::SwitchPort { port, to: None, .. } if port == replica.port);
            allowed.extend(self.changes.iter().any(leaves).then(|| "nginx.service".to_owned()));
            let resource = format!("service/{}", replica.service);
            let (otherwise, replaces) = match replica.slot {
                Slot::Sole => (SERVICE, true),
                Slot::Blue | Slot::Green => (COPY, false),
            };
            Wanted { port: replica.port, resource, allowed, otherwise, replaces }
        };
        self.desired.replicas.values().filter(is_started).map(wanted).collect()
    }

    /// Ports of services that nginx is about to bind.
    fn of_fronts(&self) -> Vec<Wanted> {
        let wanted = |step: &PlannedChange| {
            let (Action::SwitchPort { port, to: Some(_), .. }, Resource::Service(service)) =
                (&step.action, &step.resource)
            else {
                return None;
            };
            let mut allowed: BTreeSet<String> = self.owned.units.keys().cloned().collect();
            allowed.retain(|unit| !self.desired.replicas.contains_key(unit));
            allowed.insert("nginx.service".to_owned());
            let replicas = self.desired.replicas.values().filter(|replica| replica.service == *service);
            allowed.extend(replicas.flat_map(|replica| replica.replaces.iter().cloned()));
            let resource = format!("service/{service}");
            Some(Wanted { port: *port, resource, allowed, otherwise: SERVICE, replaces: true })
        };
        self.changes.iter().filter_map(wanted).collect()
    }

    fn of_nginx(&self) -> Vec<Wanted> {
        let reloads = self.changes.iter().any(|step| matches!(step.action, Action::ReloadNginx { .. }));
        let Some(nginx) = self.desired.nginx.as_ref().filter(|_| reloads) else { return Vec::new() };
        let wanted = |port, otherwise| {
            let mut allowed = BTreeSet::from(["nginx.service".to_owned()]);
            allowed.extend(self.desired.replaces.values().flatten().cloned());
            Wanted { port, resource: "nginx".to_owned(), allowed, otherwise, replaces: false }
        };
        let tls = (!self.desired.certificates.is_empty()).then(|| wanted(443, ""));
        [wanted(80, "")].into_iter().chain(tls).chain([wanted(nginx.digest_port, DIGEST)]).collect()
    }
}

fn message(wanted: &Wanted, listener: &Listener, stranger: Option<&Stranger>) -> String {
    format!("port {} of {} is taken by {}", wanted.port, wanted.resource, listener.told(stranger))
}

fn hint(wanted: &Wanted, listener: &Listener, stranger: Option<&Stranger>) -> String {
    let otherwise = wanted.otherwise;
    let own = listener.unit.as_ref().filter(|unit| runs_this_alone(unit, listener, stranger));
    let process = match listener.pid {
        0 => "stop that process".to_owned(),
        pid => format!("stop that process (`sudo kill {pid}`)"),
    };
    match (own, &listener.unit) {
        (Some(unit), _) if wanted.replaces => {
            format!("stop it (`sudo systemctl disable --now {unit}`){otherwise}, or declare `replaces: [{unit}]`")
        }
        (Some(unit), _) => format!("stop it (`sudo systemctl disable --now {unit}`){otherwise}"),
        (None, Some(unit)) => format!("{process}{otherwise}; leave {unit}, which is not its alone"),
        (None, None) => format!("{process}{otherwise}"),
    }
}

/// Whether the unit is this program's own, as far as was seen.
fn runs_this_alone(unit: &str, listener: &Listener, stranger: Option<&Stranger>) -> bool {
    let alone = |stranger: &Stranger| stranger.programs.len() == 1 && stranger.programs.contains(&listener.process);
    grants::may_be_suggested(unit) && stranger.is_some_and(alone)
}
