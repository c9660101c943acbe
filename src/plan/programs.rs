//! Programs that a service starts and its host does not have.
//!
//! Keeps true: one that is missing is an error where a process would be started with it, so that nothing is stopped for
//! it; of a service that runs on, and where a package of this plan may bring it, it is only told. Never does: taking what
//! was not asked about for missing.

use super::instance::Differ;
use crate::model::{
    finding::{Code, Finding},
    observation::LiveProgram,
    plan::Action,
    program::{self, HostProgram},
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
                let starts = self
                    .steps
                    .iter()
                    .any(|step| matches!(&step.action, Action::AwaitHealth { unit, .. } if *unit == replica.unit));
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

    /// The packages that this plan installs.
    fn installed_by_this(&self) -> String {
        let names = self.steps.iter().find_map(|step| match &step.action {
            Action::InstallPackages { names } => Some(names.join(", ")),
            _ => None,
        });
        names.unwrap_or_default()
    }
}
