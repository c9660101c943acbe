//! A deployment undone on a host, from what was kept, as `undo.sh` has it.

use std::sync::Arc;

use evenkeel::host::StepEvent;
use tokio::time::Instant;

use crate::{
    deployments::{Kept, Line, Phase},
    machine::{Machine, State},
    systemd::UNITS,
};

/// Undoes the phases; none: all, newest first. False when something could not be undone.
pub async fn undo(machine: &Arc<Machine>, name: &str, phases: Option<u32>) -> bool {
    let all = |state: &mut State| -> Vec<u32> {
        state.directory(name).map(|directory| directory.phases.keys().rev().copied().collect()).unwrap_or_default()
    };
    let phases = phases.map_or_else(|| all(&mut machine.state()), |phase| vec![phase]);
    if !begin(&mut machine.state(), name) {
        return false;
    }
    let mut whole = true;
    for phase in phases {
        whole &= one(machine, name, phase).await;
        let mut state = machine.state();
        let found = state.directory(name).and_then(|directory| directory.phases.get(&phase));
        if found.is_some_and(|phase| phase.journal.is_some() && !phase.undone) {
            break;
        }
    }
    let mut state = machine.state();
    let Some(directory) = state.directory(name) else { return whole };
    if directory.phases.values().any(|phase| phase.journal.is_some() && !phase.undone) {
        return whole;
    }
    let began = directory.has_begun();
    directory.undone = true;
    if state.open.as_deref() == Some(name) {
        state.open = None;
    }
    let generation = name.parse().ok().filter(|generation| began && *generation == state.begun);
    if let Some(generation) = generation {
        let generation: u64 = generation;
        state.begun = generation.saturating_sub(1);
    }
    whole
}

/// From here on it is neither finished nor undone, wherever it is cut off. False where something that began later
/// lies over it.
fn begin(state: &mut State, name: &str) -> bool {
    let later = state.last.clone().filter(|last| last != name);
    let later = later.filter(|last| !state.directory(last).is_some_and(|last| last.undone));
    let Some(directory) = state.directory(name) else { return true };
    if directory.undone {
        return true;
    }
    if later.is_some() {
        return false;
    }
    if directory.has_begun() {
        directory.undoing = true;
        state.open.get_or_insert_with(|| name.to_owned());
    }
    true
}

struct Undoing<'a> {
    machine: &'a Arc<Machine>,
    name: &'a str,
    phase: u32,
    whole: bool,
}

async fn one(machine: &Arc<Machine>, name: &str, phase: u32) -> bool {
    let (journal, undone) = {
        let mut state = machine.state();
        let Some(found) = state.directory(name).and_then(|directory| directory.phases.get(&phase)) else { return true };
        match &found.journal {
            Some(journal) if !found.undone || found.not_running => (journal.clone(), found.undone),
            _ => return true,
        }
    };
    machine.tale.count("undone phases");
    let mut undoing = Undoing { machine, name, phase, whole: true };
    if !undone {
        undoing.put_back(&journal).await;
        if !undoing.whole {
            return false;
        }
        undoing.note(|phase| (phase.not_running, phase.undone) = (true, true));
    }
    undoing.run_again(&journal).await;
    if undoing.whole {
        undoing.note(|phase| phase.not_running = false);
    }
    undoing.whole
}

impl Undoing<'_> {
    fn note(&self, change: impl FnOnce(&mut Phase)) {
        let mut state = self.machine.state();
        if let Some(phase) = state.directory(self.name).and_then(|directory| directory.phases.get_mut(&self.phase)) {
            change(phase);
        }
    }

    async fn put_back(&mut self, journal: &[Kept]) {
        let newest_first = || journal.iter().rev();
        for line in newest_first().filter(|line| line.is_traffic()) {
            self.restore(line).await;
        }
        if journal.contains(&Kept::Nginx) && self.machine.state().systemd.is_active("nginx.service") {
            self.attempt("nginx.service", |state| {
                state.reload_nginx();
                Ok(())
            })
            .await;
        }
        for line in newest_first() {
            match line {
                Kept::Active(unit, None) => {
                    let tale = self.machine.tale.clone();
                    self.attempt(unit, |state| {
                        state.stop(unit).into_iter().for_each(|wrong| tale.wrong(wrong));
                        Ok(())
                    })
                    .await;
                }
                Kept::Enabled(unit, false) => {
                    self.attempt(unit, |state| {
                        if state.systemd.is_enabled(&state.files, unit) {
                            state.systemd.disable(&state.files, unit)?;
                        }
                        Ok(())
                    })
                    .await;
                }
                _ => {}
            }
        }
        for line in newest_first().filter(|line| !line.is_traffic()) {
            self.restore(line).await;
        }
        self.attempt("daemon-reload", |state| {
            state.systemd.reload(&state.files);
            Ok(())
        })
        .await;
    }

    async fn run_again(&mut self, journal: &[Kept]) {
        for line in journal.iter().rev() {
            match line {
                Kept::Enabled(unit, true) => {
                    self.attempt(unit, |state| {
                        if !state.files.contains_key(&format!("{UNITS}{unit}")) {
                            return Ok(());
                        }
                        state.systemd.enable(&state.files, unit)
                    })
                    .await;
                }
                Kept::Active(unit, Some(start)) if unit != "nginx.service" => {
                    let started = self
                        .attempt(unit, |state| {
                            let as_before = state.systemd.process(unit).is_some_and(|now| now.invocation == *start);
                            if as_before {
                                return Ok(());
                            }
                            if !state.files.contains_key(&format!("{UNITS}{unit}")) {
                                state.systemd.stop(unit);
                                return Ok(());
                            }
                            let restarted = state.systemd.restart(&state.files, &state.held, unit);
                            // What did not come up before need not come up now.
                            if *start == 0 { Ok(()) } else { restarted }
                        })
                        .await;
                    if *start != 0 {
                        self.note_start(unit, started);
                    }
                }
                _ => {}
            }
        }
    }

    /// What could not be started again may run from what is undone here.
    fn note_start(&self, unit: &str, started: bool) {
        let mut state = self.machine.state();
        let known = state.directory(self.name).and_then(|directory| directory.phases.get(&self.phase));
        let known = known.and_then(|phase| phase.forgotten.get(unit).copied());
        match known {
            Some(inputs) if started => _ = state.set_started_with(unit, Some(inputs)),
            None if !started => {
                if let Some(inputs) = state.set_started_with(unit, None) {
                    drop(state);
                    self.note(|phase| _ = phase.forgotten.insert(unit.to_owned(), inputs));
                }
            }
            _ => {}
        }
    }

    async fn restore(&mut self, line: &Kept) {
        let Some(path) = line.path().map(str::to_owned) else { return };
        self.attempt(&path, |state| {
            match line {
                Kept::File(path, lies) => _ = state.files.insert(path.clone(), lies.clone()),
                _ => _ = state.files.remove(&path),
            }
            Ok(())
        })
        .await;
    }

    async fn attempt(&mut self, subject: &str, change: impl FnOnce(&mut State) -> Result<(), String>) -> bool {
        let result = match self.machine.moment().await {
            Ok(()) => {
                let mut state = self.machine.state();
                let generation = self.name.split('-').next().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
                if state.begun > generation {
                    let (begun, machine) = (state.begun, &self.machine.name);
                    self.machine.tale.wrong(format!("{machine}: undoing {} writes over {begun}", self.name));
                }
                state.changed = Some(Instant::now());
                change(&mut state)
            }
            Err(why) => Err(why),
        };
        let done = result.is_ok();
        if let Err(message) = result {
            self.whole = false;
            self.machine.tale.tell(|| format!("{}: undoing {subject} fails: {message}", self.machine.name));
            let mut state = self.machine.state();
            let phase = state.directory(self.name).and_then(|directory| directory.phases.get_mut(&self.phase));
            if let Some(phase) = phase {
                phase.say(Line::Event(StepEvent::UndoFailed { subject: subject.to_owned(), message }));
            }
        }
        done
    }
}
