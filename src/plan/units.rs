//! What changes a unit besides the file that evenkeel writes, and folders that are not as evenkeel needs them.
//!
//! Keeps true: what evenkeel did not make is told and left. systemd reads files again only where all of them are
//! evenkeel's: nobody's drop-in comes into force by a repair.
//!
//! What changes a unit besides its file is drift that is told and left (`InstancePlan::drift`): no plan, status or
//! `why` says *as declared* where there is some, whatever kind it is. Of drop-ins their settings leave a host without
//! values that may let somebody in. systemd tells nothing of a unit that it has not loaded, so the drop-ins of
//! evenkeel's own transient unit are worked out from its folders. A drop-in that nobody has had systemd read yet
//! comes into force by no repair. The first thing that a phase does is to see whether its unit may write where it
//! will: if not, nothing was touched, and that says nothing of the commit. A unit that cannot even write its events
//! is told of by who follows them.
//!
//! systemd tells that a unit's file changed by its time alone. One that is changed, read, and put back with its old
//! time (`mv`, `cp -a`) passes for the declared one until it is restarted.

use std::collections::BTreeMap;

use super::{instance::Differ, rollout::Tier};
use crate::model::{
    desired::{Replica, Resource},
    drift::{Difference, DriftRule},
    finding::{Code, Finding},
    folders,
    observation::LiveUnit,
    paths,
    plan::Action,
    seen::Seen,
};

/// Services named in one message.
const NAMED: usize = 4;

/// What changes units on an instance: the words for it, and what takes it away.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Foreign {
    /// In force.
    DropIns(Vec<String>),
    /// Not read by systemd yet.
    Unread(Vec<String>),
    /// Read in the place of evenkeel's file.
    Fragment(String),
}

impl Differ<'_> {
    pub(super) fn folders(&mut self) {
        for (path, need) in folders::of(&self.inputs.fleet.name, self.desired) {
            let Some(Seen::Known(folder)) = self.live.folders.get(&path) else { continue };
            if need.is_met(folder) {
                continue;
            }
            let mode = need.mended(folder.mode);
            let is_open = folder.mode & !mode != 0 || folder.owner.split(':').next() != Some("root");
            let reason = if is_open {
                "drift: others than root could change what lies in it; look at what does"
            } else {
                "drift: it was closed, and services or nginx do not get to their files"
            };
            let action = Action::MendFolder { path, before: folder.clone(), mode };
            self.change(Tier::Prepare, &Resource::Folders, action, reason);
        }
    }

    /// Whether a unit tries to start while a folder is closed: it may have tried for the last time before it is open.
    pub(super) fn is_cut_off(&self, replica: &Replica) -> bool {
        let opens = self.changes.iter().any(|step| match &step.action {
            Action::MendFolder { before, mode, .. } => mode & !before.mode != 0,
            _ => false,
        });
        opens && self.live.unit(&replica.unit).is_some_and(|unit| unit.active == "activating")
    }

    /// Whether systemd runs a unit from another state of its files, all of which are evenkeel's by now.
    pub(super) fn is_read_anew(&self, replica: &Replica) -> bool {
        let is_unread = |unit: &LiveUnit| unit.needs_reload && self.setting(&unit.unread).is_empty();
        self.live.unit(&replica.unit).is_some_and(is_unread)
    }

    /// What evenkeel did not write and changes what runs.
    pub(super) fn units(&mut self) {
        if self.inputs.fleet.environment.drift.rule(Difference::Units) == DriftRule::Ignore {
            return;
        }
        let mut changed: BTreeMap<Foreign, Vec<&Replica>> = BTreeMap::new();
        for replica in self.desired.replicas.values() {
            for foreign in self.foreign(replica) {
                changed.entry(foreign).or_default().push(replica);
            }
        }
        for (foreign, replicas) in changed {
            let message = self.changed(&foreign, &replicas);
            for replica in &replicas {
                let why = self.changed(&foreign, &[replica]);
                self.drift.push((Resource::Service(replica.service.clone()), why));
            }
            let hint = hint(&foreign, &replicas);
            self.findings.push(Finding::warning(Code::UnitChanged, message).on(self.name()).hint(hint));
        }
        let own = self.setting(&self.live.own_drop_ins);
        if !own.is_empty() && !self.changes.is_empty() {
            let unit = paths::apply_unit(&self.inputs.fleet.name);
            let message = format!("{unit}, in which evenkeel carries this out, is changed by {}", self.described(&own));
            let hint = exempt(&unit, &own[0]);
            self.findings.push(Finding::warning(Code::OwnUnitChanged, message).on(self.name()).hint(hint));
        }
    }

    fn foreign(&self, replica: &Replica) -> Vec<Foreign> {
        let Some(unit) = self.live.unit(&replica.unit) else { return Vec::new() };
        let (read, on_disk) = (self.setting(&unit.drop_ins), self.setting(&unit.unread));
        let is_shadowed = !unit.fragment.is_empty() && unit.fragment != replica.unit_path;
        // Where systemd is to read its files again, what is gone from the disk goes out of force then.
        let (drop_ins, unread) = if unit.needs_reload {
            on_disk.into_iter().partition(|path| read.contains(path))
        } else {
            (read, Vec::new())
        };
        let of = [
            is_shadowed.then(|| Foreign::Fragment(unit.fragment.clone())),
            (!drop_ins.is_empty()).then_some(Foreign::DropIns(drop_ins)),
            (!unread.is_empty()).then_some(Foreign::Unread(unread)),
        ];
        of.into_iter().flatten().collect()
    }

    /// Those that set something, as far as it is known.
    fn setting(&self, paths: &[String]) -> Vec<String> {
        let sets = |path: &&String| self.live.drop_ins.get(*path).is_none_or(|settings| !settings.is_empty());
        paths.iter().filter(sets).cloned().collect()
    }

    fn changed(&self, foreign: &Foreign, replicas: &[&Replica]) -> String {
        let mut names: Vec<String> =
            replicas.iter().take(NAMED).map(|replica| format!("service/{}", replica.service)).collect();
        if replicas.len() > NAMED {
            names.push(format!("{} more", replicas.len() - NAMED));
        }
        let verb = if replicas.len() == 1 { "runs" } else { "run" };
        let names = names.join(", ");
        let foreign_to = "which evenkeel did not write";
        match foreign {
            Foreign::DropIns(drop_ins) => format!("{names} {verb} with {}, {foreign_to}", self.described(drop_ins)),
            Foreign::Unread(drop_ins) => {
                let drop_ins = self.described(drop_ins);
                format!("{names} will run with {drop_ins}, {foreign_to}, once systemd reads its files again")
            }
            Foreign::Fragment(path) => {
                format!("{names} {verb} from {path}, {foreign_to}, not from evenkeel's unit file")
            }
        }
    }

    /// `/etc/…/override.conf (User=root, ExecStart=/bin/x …)`.
    fn described(&self, drop_ins: &[String]) -> String {
        let one = |path: &String| match self.live.drop_ins.get(path) {
            Some(settings) => format!("{path} ({})", settings.join(", ")),
            None => path.clone(),
        };
        drop_ins.iter().map(one).collect::<Vec<_>>().join(" and ")
    }
}

fn hint(foreign: &Foreign, replicas: &[&Replica]) -> String {
    let files = match foreign {
        Foreign::DropIns(paths) | Foreign::Unread(paths) => paths.join(" "),
        Foreign::Fragment(path) => path.clone(),
    };
    let units: Vec<&str> = replicas.iter().take(NAMED).map(|replica| replica.unit.as_str()).collect();
    format!(
        "declare what it is for, remove it (`sudo rm {files} && sudo systemctl daemon-reload && sudo systemctl restart \
         {}`), or accept it with `drift_of: {{units: ignore}}` in the environment",
        units.join(" ")
    )
}

/// What exempts evenkeel's own unit from a drop-in for all services, and from no other.
fn exempt(unit: &str, drop_in: &str) -> String {
    let name = drop_in.rsplit('/').next().unwrap_or(drop_in);
    format!(
        "where that keeps evenkeel from its work, exempt its unit: `sudo mkdir -p /etc/systemd/system/{unit}.d && sudo ln \
         -s /dev/null /etc/systemd/system/{unit}.d/{name}`"
    )
}
