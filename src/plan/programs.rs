//! Programs that a service starts and that are not there, or cannot be started where they lie.
//!
//! Keeps true: one that is missing is an error where a process would be started with it, so that nothing is stopped for
//! it; of a service that runs on, and where a package of this plan may bring it, it is only told. Never does: taking what
//! was not asked about for missing.

use std::collections::BTreeSet;

use super::instance::Differ;
use crate::model::{
    desired::Replica,
    finding::{Code, Finding},
    fleet::Service,
    observation::{LiveProgram, LiveVenv},
    paths,
    plan::Action,
    program::{self, HostProgram, Lies, OwnProgram},
    seen::Seen,
};

impl Differ<'_> {
    pub(super) fn programs(&mut self) {
        let fleet = self.inputs.fleet;
        for replica in self.desired.replicas.values() {
            let Some(service) = fleet.services.get(&replica.service) else { continue };
            for HostProgram { program, key } in program::of_host(&fleet.name, service) {
                let trouble = match self.live.programs.get(&program) {
                    Some(Seen::Known(LiveProgram::Executable)) | None => continue,
                    Some(Seen::Unknown(why)) => {
                        self.unknown.push(format!("{program}: {why}"));
                        continue;
                    }
                    Some(Seen::Known(LiveProgram::NotExecutable)) => "is no executable file",
                    Some(Seen::Absent) => "does not exist",
                };
                let message = format!("{program}, which service/{} starts ({key}), {trouble} there", service.name);
                let installing = self.installed_by_this();
                let starts = self.starts(replica);
                let file = format!("instances/{}.yaml", self.name());
                let hint = match program::package_of(&program) {
                    _ if !installing.is_empty() => format!("{installing} is installed first, and may bring it"),
                    Some(package) => {
                        format!("add `packages: [{package}]` to {file}, or correct {key} of {}", service.declared_in)
                    }
                    None => format!(
                        "install it there, name the package that has it in `packages` of {file}, or correct {key} of {}",
                        service.declared_in
                    ),
                };
                let new = if starts && installing.is_empty() { Finding::error } else { Finding::warning };
                self.findings.push(new(Code::NoProgram, message).on(self.name()).hint(hint));
            }
        }
    }

    /// What a service brings along: its virtual environment has to have it, and it has to lie where things can be started.
    pub(super) fn own_programs(&mut self) {
        let fleet = self.inputs.fleet;
        for replica in self.desired.replicas.values() {
            let Some(service) = fleet.services.get(&replica.service) else { continue };
            for own in program::own(service) {
                if let Some(finding) =
                    self.cannot_be_started(service, &own).or_else(|| self.not_in_venv(service, replica, &own))
                {
                    self.findings.push(finding.on(self.name()));
                }
            }
        }
    }

    fn cannot_be_started(&self, service: &Service, own: &OwnProgram) -> Option<Finding> {
        let OwnProgram { program, key, lies_in } = own;
        let mount = self.live.noexec.get(lies_in.folder())?;
        let folder = format!("{}/{}", paths::base(&self.inputs.fleet.name), lies_in.folder());
        // An interpreter there is a link to the host's own.
        let is_interpreter = *lies_in == Lies::Venv && program.starts_with("python");
        let what = match is_interpreter {
            true => "packages with compiled parts are not loaded from there".to_owned(),
            false => format!("{program}, which service/{} starts ({key}), does not start there", service.name),
        };
        let message = format!("{folder} lies on {mount}, which is mounted noexec: {what}");
        let hint = format!("`sudo mount -o remount,exec {mount}` there, and the same in /etc/fstab");
        let new = if is_interpreter || !self.is_started(service) { Finding::warning } else { Finding::error };
        Some(new(Code::NoProgram, message).hint(hint))
    }

    /// Of one that is there already. One that is made is looked at then, before anything stops.
    fn not_in_venv(&self, service: &Service, replica: &Replica, own: &OwnProgram) -> Option<Finding> {
        let key = replica.venv.filter(|_| own.lies_in == Lies::Venv)?;
        let is_whole = matches!(self.live.venvs.get(&key), Some(Seen::Known(LiveVenv::Whole { .. })));
        let place = paths::venv_program(&self.inputs.fleet.name, &key, &own.program);
        if !is_whole || self.live.programs.get(&place) != Some(&Seen::Absent) {
            return None;
        }
        let requirements = service.python.as_ref().map(|python| python.requirements.as_str()).unwrap_or_default();
        let OwnProgram { program, key, .. } = own;
        let message = format!(
            "what {requirements} installs has no program {program}, which service/{} starts ({key})",
            service.name
        );
        let hint =
            format!("name the package that brings it in {requirements}, or correct {key} of {}", service.declared_in);
        let new = if self.is_started(service) { Finding::error } else { Finding::warning };
        Some(new(Code::NoProgram, message).hint(hint))
    }

    /// The programs of its virtual environment that a replica starts, by their names.
    pub(super) fn programs_of_venv(&self, replica: &Replica) -> Vec<String> {
        let service = self.inputs.fleet.services.get(&replica.service);
        let own = service.into_iter().flat_map(program::own).filter(|own| own.lies_in == Lies::Venv);
        let names: BTreeSet<String> = own.map(|own| own.program).collect();
        names.into_iter().collect()
    }

    fn is_started(&self, service: &Service) -> bool {
        self.desired.replicas.values().any(|replica| replica.service == service.name && self.starts(replica))
    }

    fn starts(&self, replica: &Replica) -> bool {
        self.changes
            .iter()
            .any(|step| matches!(&step.action, Action::AwaitHealth { unit, .. } if *unit == replica.unit))
    }

    /// The packages that this plan installs.
    fn installed_by_this(&self) -> String {
        let names = self.changes.iter().find_map(|step| match &step.action {
            Action::InstallPackages { names } => Some(names.join(", ")),
            _ => None,
        });
        names.unwrap_or_default()
    }
}
