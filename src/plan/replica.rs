//! A replica's processes: what is enabled, started, restarted, and why.

use super::{
    instance::{Differ, NOT_ASKED},
    rollout::Tier,
};
use crate::model::{
    desired::{Replica, Resource},
    digest::Digest,
    finding::{Code, Finding},
    manifest::StartedWith,
    observation::{LiveFile, LiveRelease, LiveUnit},
    plan::{Action, Before},
    run::Run,
    seen::Seen,
};

impl Differ<'_> {
    pub(super) fn replicas(&mut self) {
        for replica in self.desired.replicas.values() {
            self.replica(replica);
        }
    }

    fn replica(&mut self, replica: &Replica) {
        let resource = Resource::Service(replica.service.clone());
        let tier = self.tier_of(&resource);
        let wanted = StartedWith { inputs: Some(self.inputs_of(replica)), env_file: self.env_file(replica) };
        let started = self.owned.units.get(&replica.unit).cloned();
        self.after.units.insert(replica.unit.clone(), wanted.clone());

        let live = self.unit(&replica.unit);
        let replaces = self.replaced(&replica.replaces, &tier, &resource, &replica.unit);
        if !live.is_some_and(LiveUnit::is_enabled) {
            let action = Action::EnableUnit { unit: replica.unit.clone() };
            self.change(tier.clone(), &resource, action, "it must start after a reboot");
        }
        let drifted = self.drifted(replica);
        let is_written = self.changes.iter().any(|step| step.action.subject() == replica.unit_path);
        if self.is_read_anew(replica) && !is_written {
            let action = Action::ReadUnits { unit: replica.unit.clone() };
            self.change(tier.clone(), &resource, action, "drift: systemd runs it from another state of its files");
        }
        let run = live.map(LiveUnit::run);
        let beside = self
            .desired
            .copies
            .get(&replica.service)
            .is_some_and(|copies| self.owned.units.contains_key(&copies.in_slot(replica.slot.next()).replica.unit));
        let step = process(replica, &wanted, started.as_ref(), live, drifted).map(|(action, reason)| match action {
            Action::StartUnit { .. } if beside && started.is_none() => {
                (action, "the new version starts beside the old one".to_owned())
            }
            action => (action, reason),
        });
        let step = step.or_else(|| {
            // What stops may be what kept it from its port.
            run.as_ref().filter(|run| replaces && run.is_unsteady())?;
            Some((
                Action::RestartUnit { unit: replica.unit.clone() },
                "it does not stay up, and what it replaces stops".to_owned(),
            ))
        });
        let Some((action, reason)) = step else {
            if let Some(run) = run.filter(Run::is_failing) {
                self.failing(replica, &run);
            }
            return;
        };
        self.change(tier.clone(), &resource, action, reason);
        let wait = Action::await_health(replica);
        self.change(tier, &resource, wait, "what comes after waits until it is healthy");
    }

    /// Why what runs may have been started from something else than what is declared.
    fn drifted(&self, replica: &Replica) -> Option<&'static str> {
        let changed = self.live.releases.get(&replica.release) == Some(&Seen::Known(LiveRelease::Changed));
        if changed || self.files_drifted(replica) {
            return Some("drift: it may have been started from the files as they were changed on the instance");
        }
        if self.is_cut_off(replica) {
            return Some("drift: it could not start while a folder on the way to its files was closed");
        }
        if self.is_read_anew(replica) {
            return Some("drift: it may have been started from another state of its unit's files");
        }
        self.is_venv_made_anew(replica).then_some("drift: its virtual environment is made anew")
    }

    /// Whether its unit or environment file holds something else: it may have been started from that.
    fn files_drifted(&self, replica: &Replica) -> bool {
        self.changes.iter().any(|step| match &step.action {
            Action::WriteFile { path, before, content, .. }
                if [&replica.unit_path, &replica.env_path].contains(&path) =>
            {
                match before {
                    Before::Absent => false,
                    Before::File { digest, .. } => *digest != content.digest(),
                    Before::Link { .. } => true,
                }
            }
            _ => false,
        })
    }

    /// Over everything a process is started with. The unit names the release, so that is in it.
    fn inputs_of(&self, replica: &Replica) -> Digest {
        let content = |path| self.desired.files.get(path).map(|file| file.content.in_digest()).unwrap_or_default();
        Digest::of_fields([content(&replica.unit_path), content(&replica.env_path)])
    }

    fn env_file(&mut self, replica: &Replica) -> Option<Digest> {
        let path = replica.env_file.as_ref()?;
        match self.live.files.get(path) {
            Some(Seen::Known(LiveFile::Regular { digest, .. })) => Some(*digest),
            Some(Seen::Known(file)) => {
                let kind = match file {
                    LiveFile::Other { kind } => kind,
                    LiveFile::Symlink { .. } | LiveFile::Regular { .. } => "symbolic link",
                };
                let message =
                    format!("{path}, the env_file of {}, is a {kind}: its changes cannot be seen", replica.service);
                let hint = "name the file itself in env_file";
                self.findings.push(Finding::error(Code::NoEnvFile, message).on(self.name()).hint(hint));
                None
            }
            Some(Seen::Unknown(why)) => {
                self.unknown.push(format!("{path}: {why}"));
                None
            }
            None => {
                self.unknown.push(format!("{path}: {NOT_ASKED}"));
                None
            }
            Some(Seen::Absent) => {
                let message = format!("{path}, the env_file of {}, does not exist", replica.service);
                let hint = format!("create {path} on the instance, or take env_file out of the service");
                self.findings.push(Finding::error(Code::NoEnvFile, message).on(self.name()).hint(hint));
                None
            }
        }
    }

    /// Units that ran before evenkeel, and what runs in their place. Whether any of them has to stop.
    pub(super) fn replaced(&mut self, units: &[String], tier: &Tier, resource: &Resource, by: &str) -> bool {
        let before = self.changes.len();
        for unit in units {
            if self.unit(unit).is_some_and(|live| live.is_up() || live.is_enabled()) {
                let action = Action::StopUnit { unit: unit.clone(), foreign: true };
                self.change(tier.clone(), resource, action, format!("{by} replaces it"));
            }
        }
        self.changes.len() > before
    }
}

/// Whether a process is started or restarted, and why.
fn process(
    replica: &Replica,
    wanted: &StartedWith,
    started: Option<&StartedWith>,
    live: Option<&LiveUnit>,
    drifted: Option<&str>,
) -> Option<(Action, String)> {
    let unit = replica.unit.clone();
    let start = |reason: &str| Some((Action::StartUnit { unit: unit.clone() }, reason.to_owned()));
    let restart = |reason: &str| Some((Action::RestartUnit { unit: unit.clone() }, reason.to_owned()));
    let Some(live) = live else { return start("declared and not there yet") };
    // `activating` covers systemd's own restarts of a crashing process: starting it again would not help.
    let runs = live.is_active() || live.active == "activating" || live.active == "reloading";
    let Some(started) = started else {
        return if runs {
            restart("it runs, and evenkeel did not start it")
        } else {
            start("declared and not there yet")
        };
    };
    if !runs {
        return start(&format!("it should run and is {}", live.active));
    }
    if started.inputs.is_none() {
        return restart("it was not started again when a deployment failed: it may run from what is there no more");
    }
    if started.inputs != wanted.inputs {
        return restart("its unit, environment or release changes");
    }
    if let Some(why) = drifted {
        return restart(why);
    }
    if started.env_file != wanted.env_file {
        let path = replica.env_file.as_deref().unwrap_or("its env_file");
        return restart(&format!("{path} has changed since it was started"));
    }
    match &live.directory {
        Some(directory) if is_another_release(directory, replica) => restart(&format!("drift: it runs in {directory}")),
        _ => None,
    }
}

/// Whether a process's working directory lies in another release than the replica's. One that changed to a
/// directory outside of all releases says nothing of what it was started from.
fn is_another_release(directory: &str, replica: &Replica) -> bool {
    let Some((releases, own)) = replica.directory.rsplit_once('/') else { return false };
    let Some(below) = directory.strip_prefix(releases).and_then(|rest| rest.strip_prefix('/')) else { return false };
    // Linux says so of a directory that is gone, also where another has its name by now (proc_pid_cwd(5)).
    below.split('/').next() != Some(own) || below.ends_with(" (deleted)")
}
