//! What is refused before anything is touched, and why.

use std::collections::BTreeSet;

use super::instance::{Differ, NOT_ASKED};
use crate::model::{
    finding::Finding,
    observation::{Listener, LiveUnit},
    paths,
    plan::{Action, Step},
    seen::Seen,
};

/// Debian's packages that bring an nginx that runs.
const NGINX_PACKAGES: [&str; 5] = ["nginx", "nginx-core", "nginx-extras", "nginx-full", "nginx-light"];

impl Differ<'_> {
    pub(super) fn guards(&mut self) {
        self.unfinished();
        self.users();
        self.nginx_installed();
        self.ports();
        self.deployment_running();
    }

    fn refuse(&mut self, code: &str, message: String, hint: String) {
        self.findings.push(Finding::error(code, message).on(self.name()).hint(hint));
    }

    /// Said, and no more: what is planned from what is live brings it to an end.
    fn unfinished(&mut self) {
        if let Some(deployment) = &self.live.unfinished {
            let message = format!("deployment {deployment} was begun here, and is neither finished nor undone");
            let hint = "its controller or the host was cut off; it is completed or undone before anything else is done";
            self.findings.push(Finding::warning("unfinished", message).on(self.name()).hint(hint));
        }
    }

    fn users(&mut self) {
        for (user, services) in &self.desired.users {
            match self.live.users.get(user) {
                Some(Seen::Known(())) => {}
                Some(Seen::Unknown(why)) => self.unknown.push(format!("user {user}: {why}")),
                None => self.unknown.push(format!("user {user}: {NOT_ASKED}")),
                Some(Seen::Absent) => {
                    let services = services.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
                    self.refuse(
                        "no-user",
                        format!("there is no user {user}, as whom {services} should run"),
                        format!(
                            "create it on the instance (sudo useradd --system {user}), or declare another run.user"
                        ),
                    );
                }
            }
        }
    }

    fn nginx_installed(&mut self) {
        let installs = self.desired.packages.iter().any(|package| NGINX_PACKAGES.contains(&package.as_str()));
        if self.desired.nginx.is_some() && self.live.nginx.is_absent() && !installs {
            let sites = self.desired.sites.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
            self.refuse(
                "no-nginx",
                format!("nginx is not installed, and {sites} needs it"),
                format!("declare `packages: [nginx]` in instances/{}.yaml", self.name()),
            );
        }
    }

    /// Two deployments on one host would exclude each other half-way: the later one does not begin.
    fn deployment_running(&mut self) {
        let unit = paths::apply_unit(&self.inputs.fleet.name);
        if !self.steps.is_empty() && self.unit(&unit).is_some_and(LiveUnit::is_up) {
            let message = format!("another deployment is running there (unit {unit})");
            let hint = format!("wait for it to end, or look at it with `journalctl -u {unit}`; then plan again");
            self.refuse("deployment-running", message, hint);
        }
    }

    /// A port that a step is about to bind must be free, or held by what that step replaces.
    fn ports(&mut self) {
        let mut wanted = Vec::new();
        for replica in self.desired.replicas.values() {
            let starts = |step: &Step| matches!(&step.action, Action::StartUnit { unit } | Action::RestartUnit { unit } if *unit == replica.unit);
            if self.steps.iter().any(starts) {
                let mut allowed: BTreeSet<String> = self.owned.units.keys().cloned().collect();
                // Of our own units only the ones that go, or the replica itself, may hold it.
                allowed.retain(|unit| *unit == replica.unit || !self.desired.replicas.contains_key(unit));
                allowed.insert(replica.unit.clone());
                allowed.extend(replica.replaces.iter().cloned());
                wanted.push((replica.port, format!("service/{}", replica.service), allowed));
            }
        }
        if let Some(nginx) = &self.desired.nginx
            && self.steps.iter().any(|step| matches!(step.action, Action::ReloadNginx { .. }))
        {
            let allowed = BTreeSet::from(["nginx.service".to_owned()]);
            wanted.push((80, "nginx".to_owned(), allowed.clone()));
            if !self.desired.certificates.is_empty() {
                wanted.push((443, "nginx".to_owned(), allowed.clone()));
            }
            wanted.push((nginx.digest_port, "nginx".to_owned(), allowed));
        }
        if wanted.is_empty() {
            return;
        }
        let live = self.live;
        let Some(listeners) = self.known("who listens on which port", &live.listeners) else { return };
        for (port, resource, allowed) in wanted {
            let taken = |listener: &&Listener| {
                listener.port == port && !listener.unit.as_ref().is_some_and(|unit| allowed.contains(unit))
            };
            if let Some(listener) = listeners.iter().find(taken) {
                let unit = listener.unit.as_ref().map(|unit| format!(", of {unit}")).unwrap_or_default();
                let hint = match &listener.unit {
                    Some(unit) => format!("stop it, choose another port, or declare `replaces: [{unit}]`"),
                    None => "stop it, or choose another port".to_owned(),
                };
                self.refuse(
                    "port-taken",
                    format!("port {port} of {resource} is taken by {} (pid {}{unit})", listener.process, listener.pid),
                    hint,
                );
            }
        }
    }
}
