//! Packages that an instance lacks, and what stands against installing them.

use super::{
    instance::{Differ, NOT_ASKED},
    rollout::Tier,
};
use crate::model::{
    desired::Resource,
    finding::{Code, Finding},
    plan::Action,
    seen::Seen,
};

impl Differ<'_> {
    pub(super) fn packages(&mut self) {
        let live = self.live;
        let mut missing = Vec::new();
        for package in &self.desired.packages {
            match live.packages.get(package) {
                Some(Seen::Known(_)) => {}
                Some(Seen::Absent) => missing.push(package.clone()),
                Some(Seen::Unknown(why)) => self.unknown.push(format!("package {package}: {why}")),
                None => self.unknown.push(format!("package {package}: {NOT_ASKED}")),
            }
        }
        if !missing.is_empty() {
            self.installing(&missing);
            let reason = "declared and not installed; added, never removed, and not undone";
            self.change(Tier::Prepare, &Resource::Packages, Action::InstallPackages { names: missing }, reason);
        }
    }

    /// What stands against installing: nothing of it is this commit's.
    fn installing(&mut self, missing: &[String]) {
        let installing = &self.live.installing;
        let missing = missing.join(", ");
        if installing.interrupted {
            let message = format!("dpkg was interrupted, so apt installs nothing, {missing} neither");
            self.refuse(
                Code::DpkgInterrupted,
                message,
                "`sudo dpkg --configure -a` there ends it, or says why not".into(),
            );
            return;
        }
        if !installing.half_way.is_empty() {
            let named = installing.half_way.iter().map(|(package, state)| format!("{package} ({state})"));
            let message = format!("dpkg left half-way: {}", named.collect::<Vec<_>>().join(", "));
            let hint = "`sudo dpkg --configure -a` there ends it, or says why not; each installation tries it again";
            self.findings.push(Finding::warning(Code::HalfInstalled, message).on(self.name()).hint(hint));
        }
        if let Some(why) = &installing.refused {
            let message = format!("apt cannot install {missing} from its lists as they are: {why}");
            let hint =
                "its lists are fetched anew for this; look at `apt-cache policy` and /etc/apt/sources.list there";
            self.findings.push(Finding::warning(Code::NotInstallable, message).on(self.name()).hint(hint));
        }
    }
}
