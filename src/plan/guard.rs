//! What is refused before anything is touched, and why.

use super::instance::{Differ, NOT_ASKED};
use crate::model::{
    desired::Resource,
    finding::{Code, Finding},
    observation::{LiveFile, LiveUnit},
    paths,
    seen::Seen,
};

/// Debian's packages that bring an nginx that runs.
const NGINX_PACKAGES: [&str; 5] = ["nginx", "nginx-core", "nginx-extras", "nginx-full", "nginx-light"];

impl Differ<'_> {
    pub(super) fn guards(&mut self) {
        self.unfinished();
        self.users();
        self.programs();
        self.own_programs();
        self.state_folders();
        self.nginx_installed();
        self.way_in();
        self.ports();
        self.deployment_running();
    }

    pub(super) fn refuse(&mut self, code: Code, message: String, hint: String) {
        self.findings.push(Finding::error(code, message).on(self.name()).hint(hint));
    }

    /// Said, and no more: what is planned from what is live brings it to an end.
    fn unfinished(&mut self) {
        if let Some(deployment) = &self.live.unfinished {
            let message = format!("deployment {deployment} was begun here, and is neither finished nor undone");
            let hint = "its controller or the host was cut off; it is completed or undone before anything else is done";
            self.findings.push(Finding::warning(Code::Unfinished, message).on(self.name()).hint(hint));
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
                        Code::NoUser,
                        format!("there is no user {user}, as whom {services} should run"),
                        format!(
                            "create it on the instance (sudo useradd --system {user}), or declare another run.user"
                        ),
                    );
                }
            }
        }
    }

    /// systemd takes no link in the place of a folder that it makes for a unit, and does not start that.
    fn state_folders(&mut self) {
        let fleet = &self.inputs.fleet;
        for replica in self.desired.replicas.values() {
            let Some(service) = fleet.services.get(&replica.service) else { continue };
            for path in paths::made_for(&fleet.name, &service.name, &service.state) {
                let target = match self.live.files.get(&path) {
                    Some(Seen::Known(LiveFile::Symlink { target })) => target,
                    Some(Seen::Known(_) | Seen::Absent) => continue,
                    Some(Seen::Unknown(why)) => {
                        self.unknown.push(format!("{path}: {why}"));
                        continue;
                    }
                    None => {
                        self.unknown.push(format!("{path}: {NOT_ASKED}"));
                        continue;
                    }
                };
                let starts = self.changes.iter().any(|step| step.action.started() == Some(&replica.unit));
                let message = format!("{path} is a link to {target}, and systemd starts no {} with that", replica.unit);
                let hint = format!(
                    "have the folder itself there: `rm {path}`, then `mount --bind {target} {path}`, and the same in /etc/fstab"
                );
                let (code, name) = (Code::StateIsLink, self.name());
                let finding = if starts { Finding::error(code, message) } else { Finding::warning(code, message) };
                self.findings.push(finding.on(name).hint(hint));
            }
        }
    }

    fn nginx_installed(&mut self) {
        let installs = self.desired.packages.iter().any(|package| NGINX_PACKAGES.contains(&package.as_str()));
        if self.desired.nginx.is_some() && self.live.nginx.is_absent() && !installs {
            let sites = self.desired.sites.iter().map(|name| name.as_str());
            let services = self.desired.copies.keys().map(|name| name.as_str());
            let sites = sites.chain(services).collect::<Vec<_>>().join(", ");
            self.refuse(
                Code::NoNginx,
                format!("nginx is not installed, and {sites} needs it"),
                format!("declare `packages: [nginx]` in instances/{}.yaml", self.name()),
            );
        }
    }

    /// Two deployments on one host would exclude each other half-way: the later one does not begin.
    fn deployment_running(&mut self) {
        let unit = paths::apply_unit(&self.inputs.fleet.name);
        if !self.changes.is_empty() && self.unit(&unit).is_some_and(LiveUnit::is_up) {
            let message = format!("another deployment is running there (unit {unit})");
            let hint = format!("wait for it to end, or look at it with `journalctl -u {unit}`; then plan again");
            self.refuse(Code::DeploymentRunning, message, hint);
        }
    }

    /// Whatever a unit is called on this host: evenkeel does not stop what it comes in by.
    fn way_in(&mut self) {
        let desired = self.desired;
        let of_services =
            desired.replicas.values().map(|replica| (Resource::Service(replica.service.clone()), &replica.replaces));
        let of_sites = desired.replaces.iter().map(|(site, units)| (Resource::Site(site.clone()), units));
        let replaced =
            of_services.chain(of_sites).flat_map(|(who, units)| units.iter().map(move |unit| (who.clone(), unit)));
        for (who, unit) in replaced.filter(|(_, unit)| self.live.way_in.contains(*unit)).collect::<Vec<_>>() {
            let message = format!("{who} replaces {unit}, through which evenkeel comes in there");
            self.refuse(Code::KeptUnit, message, "take it out of `replaces`; no grant allows it".to_owned());
        }
    }
}
