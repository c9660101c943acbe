//! Whether a machine is as a fleet declares it, or as it was at a moment, worked out without the planner.

use std::collections::{BTreeMap, BTreeSet};

use evenkeel::model::{
    desired::{Copies, Desired},
    digest::Digest,
    manifest::Manifest,
    rollout::{Slot, Slots},
};
use tokio::time::Instant;

use crate::{
    machine::{DEFAULT_SITE, Lies, MANIFEST, State},
    systemd::{Inputs, UNITS, venv_of},
};

/// A machine at a moment.
pub struct Snapshot {
    boot: u64,
    files: BTreeMap<String, Lies>,
    enabled: BTreeSet<String>,
    active: BTreeMap<String, Inputs>,
    serving: Option<Digest>,
    /// What ran from something else than what lay there.
    stale: BTreeSet<String>,
    /// What could not start: its virtual environment had gone. One that is made is not undone, and systemd tries on.
    unstartable: BTreeSet<String>,
}

/// Since when what people changed by hand is not held against anybody.
pub type Excused = Instant;

impl Snapshot {
    pub fn of(state: &State) -> Self {
        Self {
            boot: state.boot,
            files: state.files.clone(),
            enabled: state.systemd.enabled.clone(),
            active: state.systemd.running().map(|(name, process)| (name.clone(), process.from.clone())).collect(),
            serving: state.serving,
            stale: stale(state).collect(),
            unstartable: unstartable(state).collect(),
        }
    }

    /// What is not as it was.
    pub fn differs(&self, state: &State, excused: Excused) -> Vec<String> {
        let hand = ByHand { state, since: excused };
        let mut wrong = Vec::new();
        let paths: BTreeSet<&String> = self.files.keys().chain(state.files.keys()).collect();
        for path in paths.into_iter().filter(|path| !hand.touched(path)) {
            let (was, is) = (self.files.get(path), state.files.get(path));
            // A repair may have noted what people's files hold by now.
            if was != is && !(path.as_str() == MANIFEST && hand.touched_any() && names(was) == names(is)) {
                wrong.push(format!("{path} is not as it was"));
            }
        }
        let units: BTreeSet<&String> = self.enabled.iter().chain(&state.systemd.enabled).collect();
        for unit in units.into_iter().filter(|unit| !hand.touched_unit(unit)) {
            // A unit whose file has gone is enabled in name only.
            let there = state.files.contains_key(&format!("{UNITS}{unit}"));
            if there && self.enabled.contains(unit) != state.systemd.enabled.contains(unit) {
                wrong.push(format!("whether {unit} is enabled is not as it was"));
            }
        }
        if state.up && state.boot == self.boot {
            let running: BTreeMap<_, _> = state.systemd.running().collect();
            for unit in self.active.keys().chain(running.keys().copied()).filter(|unit| !hand.touched_unit(unit)) {
                // What ran without its file, or from another, cannot be started again as it was.
                let lay = !unit.starts_with("sim-") || self.files.contains_key(&format!("{UNITS}{unit}"));
                if !lay || self.stale.contains(unit) {
                    continue;
                }
                let (was, is) = (self.active.get(unit), running.get(unit).map(|process| &process.from));
                if was.is_none() && self.unstartable.contains(unit) {
                    continue;
                }
                if was.is_some() != is.is_some() {
                    wrong.push(format!("whether {unit} runs is not as it was"));
                } else if was != is && !hand.ever_touched(unit) {
                    wrong.push(format!("{unit} runs, from something else than before"));
                }
            }
            // A reload brings back what lies there, also where something else was served before.
            if self.serving != state.serving && state.serving != state.digest_server() {
                wrong.push("nginx serves something else than before".to_owned());
            }
        }
        let stale = stale(state).filter(|unit| !self.stale.contains(unit) && !hand.ever_touched(unit));
        wrong.extend(stale.map(|unit| format!("{unit} runs from something else than what lies there")));
        wrong
    }
}

/// What a manifest says is ours.
fn names(lies: Option<&Lies>) -> Option<(BTreeMap<String, Digest>, BTreeMap<String, String>)> {
    let Some(Lies::File { content, .. }) = lies else { return None };
    let manifest = Manifest::parse(std::str::from_utf8(content).ok()?).ok()?;
    Some((manifest.files, manifest.links))
}

/// What is not as declared.
pub fn differs(state: &State, desired: &Desired, excused: Excused) -> Vec<String> {
    let hand = ByHand { state, since: excused };
    let desired = &*desired.in_slots(&live_slots(state, desired));
    let mut wrong = Vec::new();
    let mut say = |path: &str, what: String| {
        if !hand.touched(path) {
            wrong.push(what);
        }
    };
    let manifest = state.manifest().unwrap_or_default();
    for (path, file) in &desired.files {
        let lies = state.files.get(path);
        let is =
            matches!(lies, Some(Lies::File { digest, mode, .. }) if *digest == file.digest() && *mode == file.mode);
        if !is {
            say(path, format!("{path} is not as declared"));
        }
    }
    for (path, link) in &desired.links {
        if state.files.get(path) != Some(&Lies::Link(link.target.clone())) {
            say(path, format!("{path} does not point where it should"));
        }
    }
    for path in state.files.keys().filter(|path| is_ours(path) && !is_previous(desired, path)) {
        if !desired.files.contains_key(path) && !desired.links.contains_key(path) {
            say(path, format!("{path} is there and not declared"));
        }
    }
    for link in desired.links.values() {
        let mut served = BTreeSet::from([link.target.as_str()]);
        for path in &link.previous {
            let Some(Lies::Link(target)) = state.files.get(path) else { continue };
            if !state.held.releases.iter().any(|release| target.ends_with(&format!("/{release}"))) {
                say(path, format!("{path} leads to no release"));
            }
            if !served.insert(target) {
                say(path, format!("{path} leads where another link of its site leads"));
            }
        }
    }
    if desired.replaces_default && state.files.contains_key(DEFAULT_SITE) {
        say(DEFAULT_SITE, format!("{DEFAULT_SITE} is there"));
    }
    wrong.extend(units(state, desired, &hand));
    wrong.extend(owned(&manifest, desired));
    for (unit, replica) in desired.replicas.iter().filter(|(unit, _)| !hand.touched_unit(unit)) {
        if replica.venv.is_some_and(|venv| !state.held.venvs.contains(&venv)) {
            wrong.push(format!("{unit} has no virtual environment"));
        }
    }
    if let Some(nginx) = desired.nginx.as_ref().filter(|_| state.up && !hand.touched("nginx"))
        && state.serving != Some(nginx.digest)
    {
        wrong.push("nginx does not serve what is declared".to_owned());
    }
    for (service, front) in desired.fronts().filter(|_| state.up && !hand.touched("nginx")) {
        if state.fronts.get(&front.port) != Some(&front.proof.answer) {
            wrong.push(format!("nginx does not lead the port of {service} to the copy that runs"));
        }
    }
    wrong
}

/// The copy that runs of each service that has two. Where both do, one is declared and the other one is told.
fn live_slots(state: &State, desired: &Desired) -> Slots {
    let runs = |copies: &Copies, slot| state.systemd.is_enabled(&state.files, &copies.in_slot(slot).replica.unit);
    let slot = |copies| if runs(copies, Slot::Green) && !runs(copies, Slot::Blue) { Slot::Green } else { Slot::Blue };
    desired.copies.iter().map(|(service, copies)| (service.clone(), slot(copies))).collect()
}

/// What runs from something else than what lies there. After a boot that is all that can be compared.
fn stale(state: &State) -> impl Iterator<Item = String> {
    let ours = state.systemd.running().filter(|(unit, _)| unit.starts_with("sim-"));
    let stale = ours.filter(|(unit, process)| {
        let lies = state.files.get(&format!("{UNITS}{unit}")).and_then(Lies::digest);
        let environment = state.files.get(&environment_of(unit)).and_then(Lies::digest);
        let read = process.from.environment.first().copied().flatten();
        (lies, environment) != (Some(process.from.unit), read)
    });
    stale.map(|(unit, _)| unit.clone())
}

/// Units of ours that cannot be started, for the virtual environment that they name is not there.
fn unstartable(state: &State) -> impl Iterator<Item = String> {
    let units = state.files.iter().filter_map(|(path, lies)| Some((path.strip_prefix(UNITS)?, lies)));
    let gone = units.filter(|(_, lies)| match lies {
        Lies::File { content, .. } => {
            venv_of(&String::from_utf8_lossy(content)).is_some_and(|venv| !state.held.venvs.contains(&venv))
        }
        Lies::Link(_) => false,
    });
    gone.map(|(unit, _)| unit.to_owned())
}

fn environment_of(unit: &str) -> String {
    format!("/etc/evenkeel/sim/{}.env", unit.trim_start_matches("sim-").trim_end_matches(".service"))
}

fn units(state: &State, desired: &Desired, hand: &ByHand<'_>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (unit, replica) in desired.replicas.iter().filter(|(unit, _)| !hand.touched_unit(unit)) {
        if !state.systemd.is_enabled(&state.files, unit) {
            wrong.push(format!("{unit} is not enabled"));
        }
        if !state.up {
            continue;
        }
        let Some(process) = state.systemd.process(unit) else {
            wrong.push(format!("{unit} does not run"));
            continue;
        };
        let read = process.from.environment.first().copied().flatten();
        let declared = |path: &String| Some(desired.files[path].digest());
        if Some(process.from.unit) != declared(&replica.unit_path) || read != declared(&replica.env_path) {
            wrong.push(format!("{unit} was started from something else than declared"));
        }
        if replica.replaces.iter().any(|old| state.systemd.is_active(old)) {
            wrong.push(format!("what {unit} replaces still runs"));
        }
    }
    for (unit, _) in state.systemd.running().filter(|(unit, _)| unit.starts_with("sim-")) {
        if !desired.replicas.contains_key(unit) && !hand.touched_unit(unit) {
            wrong.push(format!("{unit} runs and is not declared"));
        }
    }
    wrong
}

fn owned(manifest: &Manifest, desired: &Desired) -> Vec<String> {
    let mut wrong = Vec::new();
    let links = manifest.links.keys().filter(|path| !is_previous(desired, path));
    if !manifest.files.keys().eq(desired.files.keys()) || !links.eq(desired.links.keys()) {
        wrong.push(format!("{MANIFEST} names other files than are declared"));
    }
    if !manifest.venvs.iter().eq(desired.venvs.keys()) {
        wrong.push(format!("{MANIFEST} names other virtual environments than are declared"));
    }
    if !manifest.units.keys().eq(desired.replicas.keys()) {
        wrong.push(format!("{MANIFEST} names other units than are declared"));
    }
    wrong
}

/// Whether a path is a link to what a site served before: of those as many are there as there were switches.
fn is_previous(desired: &Desired, path: &str) -> bool {
    desired.links.values().any(|link| link.previous.iter().any(|previous| previous == path))
}

/// Whether a path is of the kind that evenkeel makes.
fn is_ours(path: &str) -> bool {
    path.starts_with("/etc/systemd/system/sim-")
        || path.starts_with("/etc/evenkeel/sim/")
        || path.starts_with("/etc/nginx/conf.d/evenkeel-sim-")
        || path.starts_with("/var/lib/evenkeel/sim/sites/")
}

/// What people did.
struct ByHand<'a> {
    state: &'a State,
    since: Instant,
}

impl ByHand<'_> {
    fn touched(&self, what: &str) -> bool {
        self.state.by_hand.get(what).is_some_and(|at| *at >= self.since)
    }

    fn touched_any(&self) -> bool {
        self.state.by_hand.values().any(|at| *at >= self.since)
    }

    /// A unit is touched with any of the files that it is started from.
    fn touched_unit(&self, unit: &str) -> bool {
        parts(unit).iter().any(|part| self.touched(part))
    }

    /// What a process was started from may have been changed long before it is started again.
    fn ever_touched(&self, unit: &str) -> bool {
        parts(unit).iter().any(|part| self.state.by_hand.contains_key(part))
    }
}

/// What a unit is started from, and itself.
pub fn parts(unit: &str) -> [String; 4] {
    let name = unit.trim_start_matches("sim-").split('@').next().unwrap_or_default();
    [unit.to_owned(), format!("{UNITS}{unit}"), environment_of(unit), format!("/etc/secrets/{name}.env")]
}
