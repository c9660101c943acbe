//! As much of systemd as scripts and probes see: which units are enabled and run, and what their processes
//! were started from.
//!
//! Keeps true: a process is started from the unit file as it was last loaded, and reads its environment
//! files when it starts (systemd.exec(5)).

use std::collections::{BTreeMap, BTreeSet};

use evenkeel::model::{digest::Digest, observation::LiveUnit};

use crate::machine::Lies;

pub const UNITS: &str = "/etc/systemd/system/";

/// What a process was started from: the unit's text, which names the release, and its environment files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inputs {
    pub unit: Digest,
    pub environment: Vec<Option<Digest>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub from: Inputs,
    pub directory: Option<String>,
    pub healthy: bool,
    /// Counts starts, as InvocationID tells them apart.
    pub invocation: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Runs {
    #[default]
    No,
    /// It does not come up, and systemd tries again and again.
    Looping,
    Yes(Process),
}

#[derive(Debug, Clone, Default)]
struct Unit {
    runs: Runs,
    loaded: Option<Lies>,
}

#[derive(Debug, Clone, Default)]
pub struct Systemd {
    units: BTreeMap<String, Unit>,
    /// Links in multi-user.target.wants: on the disk.
    pub enabled: BTreeSet<String>,
    starts: u64,
}

/// Contents that lie on a disk, by their digests.
#[derive(Debug, Default)]
pub struct Held {
    pub releases: BTreeSet<Digest>,
    /// Virtual environments, by their key.
    pub venvs: BTreeSet<Digest>,
}

type Files = BTreeMap<String, Lies>;

impl Systemd {
    pub fn runs(&self, unit: &str) -> &Runs {
        self.units.get(unit).map_or(&Runs::No, |unit| &unit.runs)
    }

    pub fn process(&self, unit: &str) -> Option<&Process> {
        match self.runs(unit) {
            Runs::Yes(process) => Some(process),
            Runs::No | Runs::Looping => None,
        }
    }

    pub fn is_active(&self, unit: &str) -> bool {
        self.process(unit).is_some()
    }

    /// Every unit of which something runs.
    pub fn running(&self) -> impl Iterator<Item = (&String, &Process)> {
        self.units.iter().filter_map(|(name, unit)| match &unit.runs {
            Runs::Yes(process) => Some((name, process)),
            Runs::No | Runs::Looping => None,
        })
    }

    pub fn is_enabled(&self, files: &Files, unit: &str) -> bool {
        self.enabled.contains(unit) && files.contains_key(&format!("{UNITS}{unit}"))
    }

    pub fn enable(&mut self, files: &Files, unit: &str) -> Result<(), String> {
        self.there(files, unit)?;
        self.enabled.insert(unit.to_owned());
        Ok(())
    }

    pub fn disable(&mut self, files: &Files, unit: &str) -> Result<(), String> {
        // A link that points nowhere can be removed all the same.
        if self.enabled.remove(unit) { Ok(()) } else { self.there(files, unit) }
    }

    fn there(&self, files: &Files, unit: &str) -> Result<(), String> {
        let there = files.contains_key(&format!("{UNITS}{unit}"));
        if there { Ok(()) } else { Err(format!("Unit file {unit} does not exist.")) }
    }

    /// What a start would start from now.
    pub fn inputs(&self, files: &Files, unit: &str) -> Option<Inputs> {
        let text = self.text(files, unit)?;
        let environment = text.lines().filter_map(|line| line.strip_prefix("EnvironmentFile="));
        let digest = |path| match files.get(path) {
            Some(Lies::File { digest, .. }) => Some(*digest),
            Some(Lies::Link(_)) | None => None,
        };
        Some(Inputs { unit: Digest::of(&text), environment: environment.map(digest).collect() })
    }

    fn text(&self, files: &Files, unit: &str) -> Option<String> {
        let loaded = self.units.get(unit).and_then(|unit| unit.loaded.as_ref());
        match loaded.or_else(|| files.get(&format!("{UNITS}{unit}")))? {
            Lies::File { content, .. } => Some(String::from_utf8_lossy(content).into_owned()),
            Lies::Link(_) => None,
        }
    }

    pub fn start(&mut self, files: &Files, held: &Held, unit: &str) -> Result<(), String> {
        if self.is_active(unit) {
            return Ok(());
        }
        let (Some(text), Some(from)) = (self.text(files, unit), self.inputs(files, unit)) else {
            return Err(format!("Unit {unit} not found."));
        };
        let directory = text.lines().find_map(|line| line.strip_prefix("WorkingDirectory="));
        let release = directory.and_then(|directory| directory.rsplit('/').next()?.parse::<Digest>().ok());
        let environment = text.lines().filter_map(|line| line.strip_prefix("EnvironmentFile="));
        let says = |what: &str| {
            environment.clone().any(|path| match files.get(path) {
                Some(Lies::File { content, .. }) => String::from_utf8_lossy(content).contains(what),
                Some(Lies::Link(_)) | None => false,
            })
        };
        let whole = from.environment.iter().all(Option::is_some)
            && release.is_none_or(|release| held.releases.contains(&release))
            && venv_of(&text).is_none_or(|venv| held.venvs.contains(&venv))
            && !self.port_is_taken(unit);
        self.starts += 1;
        let runs = if whole && !says("SICK=\"Dead\"") {
            let healthy = !says("SICK=\"Unhealthy\"");
            Runs::Yes(Process { from, directory: directory.map(str::to_owned), healthy, invocation: self.starts })
        } else {
            Runs::Looping
        };
        let failed = runs == Runs::Looping;
        let loaded = files.get(&format!("{UNITS}{unit}")).cloned();
        let entry = self.units.entry(unit.to_owned()).or_default();
        entry.runs = runs;
        entry.loaded = entry.loaded.take().or(loaded);
        if failed {
            Err(format!("Job for {unit} failed because the control process exited with error code."))
        } else {
            Ok(())
        }
    }

    pub fn retry(&mut self, files: &Files, held: &Held) {
        let looping = self.units.iter().filter(|(_, unit)| unit.runs == Runs::Looping).map(|(name, _)| name.clone());
        for unit in looping.collect::<Vec<_>>() {
            // It is tried again later.
            let _ = self.start(files, held, &unit);
        }
    }

    fn port_is_taken(&self, unit: &str) -> bool {
        port(unit).is_some_and(|own| self.running().any(|(other, _)| other != unit && port(other) == Some(own)))
    }

    pub fn stop(&mut self, unit: &str) {
        if let Some(unit) = self.units.get_mut(unit) {
            unit.runs = Runs::No;
        }
    }

    pub fn restart(&mut self, files: &Files, held: &Held, unit: &str) -> Result<(), String> {
        self.stop(unit);
        self.start(files, held, unit)
    }

    /// Unit files are read anew; what has no file any more and does not run is forgotten.
    pub fn reload(&mut self, files: &Files) {
        for (name, unit) in &mut self.units {
            unit.loaded =
                files.get(&format!("{UNITS}{name}")).cloned().or(unit.loaded.take().filter(|_| unit.runs != Runs::No));
        }
    }

    /// Power is gone.
    pub fn stop_all(&mut self) {
        self.units.clear();
    }

    pub fn boot(&mut self, files: &Files, held: &Held) {
        for unit in self.enabled.clone() {
            // What does not start is tried again and again.
            let _ = self.start(files, held, &unit);
        }
    }

    /// As `systemctl show` has it; none for a unit that is not known.
    pub fn show(&self, files: &Files, name: &str) -> Option<LiveUnit> {
        let runs = self.runs(name);
        if *runs == Runs::No && !files.contains_key(&format!("{UNITS}{name}")) {
            return None;
        }
        let (active, sub) = match runs {
            Runs::No => ("inactive", "dead"),
            Runs::Looping => ("activating", "auto-restart"),
            Runs::Yes(_) => ("active", "running"),
        };
        let directory = self.process(name).and_then(|process| process.directory.clone());
        Some(LiveUnit {
            active: active.to_owned(),
            sub: sub.to_owned(),
            enabled: if self.is_enabled(files, name) { "enabled" } else { "disabled" }.to_owned(),
            main_pid: if self.is_active(name) { 4242 } else { 0 },
            directory,
            tries: Default::default(),
        })
    }
}

/// The virtual environment whose program a unit starts.
pub fn venv_of(text: &str) -> Option<Digest> {
    text.lines()
        .find_map(|line| line.strip_prefix("ExecStart=")?.split("/venvs/").nth(1)?.split('/').next()?.parse().ok())
}

/// The port in a unit's name.
pub fn port(unit: &str) -> Option<u16> {
    unit.split(['@', '.']).nth(1)?.parse().ok()
}
