//! Files and links: what is written, what is removed, and why.
//!
//! Keeps true: what lies at a path and is not in the manifest is refused, by its name; nothing of others is touched.

use super::{
    confined,
    instance::{Differ, NOT_ASKED},
    rollout::Tier,
};
use crate::model::{
    desired::Resource,
    finding::{Code, Finding},
    fleet::Service,
    name::ServiceName,
    observation::LiveFile,
    paths,
    plan::{Action, Before},
    rollout::Slot,
    seen::Seen,
};

/// Why a step is taken that a commit asked for, where nothing lies yet and where something does.
const DECLARED: [&str; 2] = ["declared and not there yet", "what is declared has changed"];

/// Of a previous link nothing is declared.
const SERVED: [&str; 2] = ["what was served until now stays at hand for pages that are open"; 2];

impl<'a> Differ<'a> {
    pub(super) fn files(&mut self) {
        let desired = self.desired;
        for (path, file) in &desired.files {
            let digest = file.digest();
            self.after.files.insert(path.clone(), digest);
            let owned = self.owned.files.get(path).copied();
            let Some(before) = self.before(path, owned.is_some()) else { continue };
            if let Before::File { digest: live, mode, owner, .. } = &before
                && (*live, *mode, owner.as_str()) == (digest, file.mode, "root:root")
            {
                continue;
            }
            let reason = reason(&before, owned.is_some(), DECLARED, |live| {
                // With the declared content only its mode or owner can differ, and those are never declared.
                owned != live.digest() || live.digest() == Some(digest)
            });
            let reason = self.declared(&file.resource, reason);
            let action =
                Action::WriteFile { path: path.clone(), before, content: file.content.clone(), mode: file.mode };
            let reason = if action.only_confines().is_some() { confined::REASON } else { reason };
            self.change(self.tier_of(&file.resource), &file.resource, action, reason);
        }
        for path in desired.links.values().flat_map(|link| &link.previous) {
            let seen = self.live.files.get(path).cloned().unwrap_or_else(|| Seen::Unknown(NOT_ASKED.to_owned()));
            self.known(path, &seen);
        }
        for (path, link) in &self.links.clone() {
            self.after.links.insert(path.clone(), link.target.clone());
            // What a link points to stays.
            self.after.releases.extend(paths::release_at(&self.inputs.fleet.name, &link.target));
            let owned = self.owned.links.get(path).cloned();
            let Some(before) = self.before(path, owned.is_some()) else { continue };
            if before == (Before::Link { target: link.target.clone() }) {
                continue;
            }
            let asked = if desired.links.contains_key(path) { DECLARED } else { SERVED };
            let reason = reason(&before, owned.is_some(), asked, |live| match live {
                Before::Link { target } => owned.as_ref() != Some(target),
                Before::Absent | Before::File { .. } => true,
            });
            let reason = self.declared(&link.resource, reason);
            let action = Action::WriteLink { path: path.clone(), before, target: link.target.clone() };
            self.change(self.tier_of(&link.resource), &link.resource, action, reason);
        }
    }

    /// What is declared may have changed in another repository than the config repository.
    fn declared(&self, resource: &Resource, reason: &'static str) -> &'a str {
        match self.inputs.moved.get(resource) {
            Some(moved) if reason == DECLARED[1] => moved,
            _ => reason,
        }
    }

    /// What lies at a path that is to be ours. None when that forbids a step: it is then a finding, or unknown.
    pub fn before(&mut self, path: &str, owned: bool) -> Option<Before> {
        let live = match self.live.files.get(path) {
            Some(Seen::Known(live)) => live,
            Some(Seen::Absent) => return Some(Before::Absent),
            Some(Seen::Unknown(why)) => {
                self.unknown.push(format!("{path}: {why}"));
                return None;
            }
            None => {
                self.unknown.push(format!("{path}: {NOT_ASKED}"));
                return None;
            }
        };
        if !owned {
            let finding = Finding::error(Code::ForeignFile, format!("{path} exists and evenkeel did not make it"));
            let hint = "look at it, then move it away; evenkeel never touches what it did not make";
            self.findings.push(finding.on(self.name()).hint(hint));
            return None;
        }
        match live {
            LiveFile::Regular { digest, mode, owner, content } => {
                Some(Before::File { digest: *digest, mode: *mode, owner: owner.clone(), content: content.clone() })
            }
            LiveFile::Symlink { target } => Some(Before::Link { target: target.clone() }),
            LiveFile::Other { kind } => {
                let message = format!("{path} was a file of evenkeel's and is now a {kind}");
                self.findings.push(Finding::error(Code::ForeignFile, message).on(self.name()).hint("move it away"));
                None
            }
        }
    }

    /// Files, links and units in the manifest that nothing declares any more.
    pub(super) fn leftovers(&mut self) {
        let fleet = &self.inputs.fleet.name;
        let owned = self.owned.clone();
        for unit in owned.units.keys().filter(|unit| !self.desired.replicas.contains_key(*unit)) {
            let resource = match paths::replica_of_unit(fleet, unit) {
                Some(replica) => Resource::Service(replica.service),
                None => Resource::Leftover(unit.clone()),
            };
            if self.unit(unit).is_some_and(|live| live.is_up() || live.is_enabled()) {
                let tier = self.tier_of_removal(unit);
                let action = Action::StopUnit { unit: unit.clone(), foreign: false };
                self.change(tier, &resource, action, "no longer declared on this instance");
            }
        }
        let links = self.links.clone();
        let paths = owned.files.keys().chain(owned.links.keys());
        for path in paths.filter(|path| !self.desired.files.contains_key(*path) && !links.contains_key(*path)) {
            let resource = paths::resource_of(fleet, path);
            let Some(before) = self.before(path, true) else { continue };
            let tier = match &resource {
                Resource::Site(_) | Resource::Nginx => Tier::Traffic,
                _ => match (path.strip_prefix("/etc/systemd/system/"), paths::front_of(fleet, path)) {
                    (Some(unit), _) => self.tier_of_removal(unit),
                    (None, Some((service, port))) => self.tier_of_leaving(&service, port),
                    // One of two copies goes as a whole.
                    (None, None) => match paths::replica_of_env_file(fleet, path) {
                        Some(old) if old.slot != Slot::Sole => self.tier_of_leaving(&old.service, old.port),
                        _ => Tier::Prune,
                    },
                },
            };
            let reason = match before {
                Before::Absent => "no longer declared, and gone already: evenkeel forgets it",
                Before::File { .. } | Before::Link { .. } => "no longer declared on this instance",
            };
            self.change(tier, &resource, Action::RemoveFile { path: path.clone(), before }, reason);
        }
    }

    /// When a unit that is declared no more goes: with the replica that needs its port or takes its
    /// place, else at the very end, when no traffic goes there any more.
    fn tier_of_removal(&self, unit: &str) -> Tier {
        match paths::replica_of_unit(&self.inputs.fleet.name, unit) {
            Some(old) => self.tier_of_leaving(&old.service, old.port),
            None => Tier::Prune,
        }
    }

    /// The same of what has a service's port.
    pub(super) fn tier_of_leaving(&self, service: &ServiceName, port: u16) -> Tier {
        let services = self.inputs.fleet.services_on(self.name());
        let succeeds = |next: &&Service| next.port == port || next.name == *service;
        Tier::Services(services.filter(succeeds).map(|next| next.name.clone()).collect())
    }
}

fn reason(
    before: &Before,
    owned: bool,
    [new, changed]: [&'static str; 2],
    drifted: impl Fn(&Before) -> bool,
) -> &'static str {
    match before {
        Before::Absent if owned => "drift: it was removed on the instance",
        Before::Absent => new,
        Before::File { .. } | Before::Link { .. } if drifted(before) => "drift: it was changed on the instance",
        Before::File { .. } | Before::Link { .. } => changed,
    }
}
