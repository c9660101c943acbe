//! Virtual environments of Python services: which are made, and why.
//!
//! Keeps true: one is made before anything that runs is touched, in the phase that stages releases. Services
//! that share one have a step each; on the host the first makes it and the others find it.

use super::{
    instance::{Differ, NOT_ASKED},
    rollout::Tier,
};
use crate::model::{
    desired::{Replica, Resource},
    digest::Digest,
    finding::{Code, Finding},
    observation::LiveVenv,
    plan::Action,
    seen::Seen,
    venv::Venv,
};

impl Differ<'_> {
    pub(super) fn venvs(&mut self) {
        let desired = self.desired;
        self.after.venvs.extend(desired.venvs.keys());
        for replica in desired.replicas.values() {
            let Some((key, venv)) = replica.venv.and_then(|key| desired.venvs.get_key_value(&key)) else { continue };
            let interpreter = self.interpreter(replica, venv);
            let Some(reason) = self.why_made(key, interpreter.as_deref()) else { continue };
            let action = Action::BuildVenv {
                service: replica.service.clone(),
                key: *key,
                interpreter: venv.interpreter.clone(),
                requirements: venv.requirements.clone(),
                index: venv.index.clone(),
                netrc: venv.netrc.clone(),
                programs: self.programs_of_venv(replica),
            };
            self.change(Tier::Prepare, &Resource::Service(replica.service.clone()), action, reason);
        }
    }

    /// Whether a replica's virtual environment is another after this plan than what it was started from.
    pub(super) fn is_venv_made_anew(&self, replica: &Replica) -> bool {
        let made = |action: &Action| matches!(action, Action::BuildVenv { service, .. } if *service == replica.service);
        replica.venv.is_some_and(|key| self.owned.venvs.contains(&key))
            && self.changes.iter().any(|step| made(&step.action))
    }

    /// Whether a service runs from this release in a virtual environment of which nobody knows yet what it holds.
    pub(super) fn waits_for_requirements(&self, release: &Digest) -> bool {
        let mut users = self.desired.replicas.values().filter(|replica| replica.release == *release);
        let service = |replica: &Replica| self.inputs.fleet.services.get(&replica.service);
        users.any(|replica| replica.venv.is_none() && service(replica).is_some_and(|service| service.python.is_some()))
    }

    /// What a virtual environment would be made with. None where that is not known, or is a finding.
    fn interpreter(&mut self, replica: &Replica, venv: &Venv) -> Option<String> {
        let path = &venv.interpreter;
        match self.live.interpreters.get(path) {
            Some(Seen::Known(tag)) => return Some(tag.clone()),
            Some(Seen::Unknown(why)) => self.unknown_once(format!("{path}: {why}")),
            None => self.unknown_once(format!("{path}: {NOT_ASKED}")),
            // A package that this plan installs may bring it.
            Some(Seen::Absent) if self.desired.packages.iter().any(|package| package.starts_with("python")) => {}
            Some(Seen::Absent) => {
                let message = format!("{path}, with which service/{} is to run, does not exist", replica.service);
                let hint = format!(
                    "declare `packages: [python3-venv]` in instances/{}.yaml, or another run.python.interpreter",
                    self.name()
                );
                self.findings.push(Finding::error(Code::NoPython, message).on(self.name()).hint(hint));
            }
        }
        None
    }

    fn why_made(&mut self, key: &Digest, interpreter: Option<&str>) -> Option<String> {
        match self.live.venvs.get(key) {
            Some(Seen::Known(LiveVenv::Whole { made_with })) => {
                let now = interpreter.filter(|now| now != made_with)?;
                Some(format!("it was made with {made_with}, and the interpreter is {now} now"))
            }
            Some(Seen::Known(LiveVenv::Damaged)) => Some("drift: it was changed on the instance".to_owned()),
            Some(Seen::Absent) if self.owned.venvs.contains(key) => {
                Some("drift: it was removed on the instance".to_owned())
            }
            Some(Seen::Absent) => Some("the instance does not hold it yet".to_owned()),
            Some(Seen::Unknown(why)) => {
                self.unknown_once(format!("virtual environment {}: {why}", key.short()));
                None
            }
            None => {
                self.unknown_once(format!("virtual environment {}: {NOT_ASKED}", key.short()));
                None
            }
        }
    }

    /// Services share what is asked about.
    fn unknown_once(&mut self, what: String) {
        if !self.unknown.contains(&what) {
            self.unknown.push(what);
        }
    }
}
