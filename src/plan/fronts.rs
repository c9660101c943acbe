//! nginx at the ports of services that run as one of two copies: when it is led to the other one, and what follows.
//!
//! Keeps true: nginx is led to a copy once that is healthy at its own port, and has to show that it is; what comes after
//! waits until the service is healthy at its port, and the old copy goes when no request of nginx is under way there.
//! Never does: saying which copy is to run (`rollout/blue_green.rs`).

use super::{
    instance::{Differ, NOT_ASKED},
    rollout::Tier,
};
use crate::model::{
    desired::{Front, Replica, Resource},
    name::ServiceName,
    paths,
    plan::{Action, Leading},
    rollout::{BlueGreen, Rollout},
    seen::Seen,
};

const NGINX: &str = "nginx.service";

impl Differ<'_> {
    pub(super) fn fronts(&mut self) {
        let desired = self.desired;
        for (service, front) in desired.fronts() {
            if let Some(reason) = self.switch_reason(front) {
                self.switch(service, front, reason);
            }
        }
        let fleet = &self.inputs.fleet.name;
        let left: Vec<(String, ServiceName, u16)> = self
            .owned
            .files
            .keys()
            .filter(|path| !desired.files.contains_key(*path))
            .filter_map(|path| paths::front_of(fleet, path).map(|(service, port)| (path.clone(), service, port)))
            .collect();
        for (path, service, port) in left {
            let tier = self.tier_of_leaving(&service, port);
            let action = Action::SwitchPort { path, port, to: None };
            self.change(tier, &Resource::Service(service), action, "it is not nginx that holds this port any more");
        }
    }

    /// Why nginx has to read the file at a port again.
    fn switch_reason(&mut self, front: &Front) -> Option<&'static str> {
        if self.changes.iter().any(|step| step.action.file().is_some_and(|(path, _)| path == front.path)) {
            return Some("its file changes");
        }
        let live = match &self.live.nginx {
            Seen::Known(live) if live.running => live,
            Seen::Known(_) | Seen::Absent => return Some("nginx should run and does not"),
            // Said of nginx as a whole.
            Seen::Unknown(_) => return None,
        };
        match live.fronts.get(&front.port) {
            Some(Seen::Known(answer)) if *answer == front.proof.answer => None,
            Some(Seen::Known(_)) => Some("drift: it leads this port elsewhere than its file says"),
            Some(Seen::Absent) => Some("drift: it does not hold this port as its file says"),
            Some(Seen::Unknown(why)) => {
                self.unknown.push(format!("where port {} leads: {why}", front.port));
                None
            }
            None => {
                self.unknown.push(format!("where port {} leads: {NOT_ASKED}", front.port));
                None
            }
        }
    }

    fn switch(&mut self, service: &ServiceName, front: &Front, reason: &str) {
        let (Some(copies), Some(declared)) =
            (self.desired.copies.get(service), self.inputs.fleet.services.get(service))
        else {
            return;
        };
        let Rollout::BlueGreen(BlueGreen { bake, drain_timeout, .. }) = declared.rollout else { return };
        let slot = self.desired.slot_of(copies);
        let (next, old) = (&copies.in_slot(slot).replica, &copies.in_slot(slot.next()).replica);
        let (resource, tier) = (Resource::Service(service.clone()), Tier::Services([service.clone()].into()));
        let instance = self.inputs.fleet.instances.get(self.name());
        let is_old_up = self.is_up(old);
        let to = Leading {
            slot,
            at: next.port,
            instead_of: is_old_up.then_some(old.port),
            drain_timeout,
            proof: Some(front.proof.clone()),
            address: instance.map(|instance| instance.address),
        };
        let action = Action::SwitchPort { path: front.path.clone(), port: front.port, to: Some(to) };
        self.change(tier.clone(), &resource, action, reason);
        let wait = Action::await_health_at(next, front.port, Some(NGINX.to_owned()));
        self.change(tier.clone(), &resource, wait, "what comes after waits until it is healthy through nginx");
        if !is_old_up {
            return;
        }
        // The new copy has to prove itself while both run, and what is under way at the old one ends before that stops.
        if !bake.0.is_zero() {
            let action = Action::Pause { unit: next.unit.clone(), span: bake };
            self.change(tier.clone(), &resource, action, "the old copy goes when the new one has stayed healthy");
        }
        let from = [[127, 0, 0, 1].into()].into();
        let action = Action::Drain { unit: old.unit.clone(), port: old.port, from, timeout: drain_timeout };
        self.change(tier, &resource, action, "what is under way is answered before it stops");
    }

    fn is_up(&self, replica: &Replica) -> bool {
        self.owned.units.contains_key(&replica.unit)
            && self.live.unit(&replica.unit).is_some_and(|unit| unit.is_active())
    }
}
