//! A phase's script on a host, operation by operation, as `apply.sh` has it.
//!
//! Keeps true, and checks at each change: what changes is owned, and no generation writes over a newer one.

use std::{collections::BTreeSet, sync::Arc};

use evenkeel::{
    host::{FailedStep, PhaseWork, StepEvent},
    model::{
        digest::Digest,
        outcome::Cause,
        plan::{Action, Before, ShiftedFile, Step},
    },
};
use tokio::time::Instant;

use crate::{
    deployments::{Kept, Line, Order, Phase},
    machine::{DEFAULT_SITE, Lies, MANIFEST, Machine, State, file},
    systemd::{Runs, UNITS},
    truth,
};

pub struct Script<'a> {
    machine: &'a Arc<Machine>,
    work: &'a PhaseWork,
    steps: &'a [Step],
}

/// Runs a phase to its end. False when a step failed.
pub async fn run(machine: &Arc<Machine>, order: &Order) -> bool {
    let script = Script { machine, work: &order.work, steps: &order.steps };
    script.phase(|phase| _ = phase.events.get_or_insert_default());
    script.all().await.is_ok()
}

/// Why a step is not done, and whose failure that is.
struct Trouble {
    cause: Cause,
    message: String,
}

impl Trouble {
    /// What the plan was made on is no longer so.
    fn overtaken(message: String) -> Self {
        Self { cause: Cause::Overtaken, message }
    }
}

impl From<String> for Trouble {
    fn from(message: String) -> Self {
        Self { cause: Cause::Step, message }
    }
}

impl Script<'_> {
    async fn all(&self) -> Result<(), ()> {
        self.step("begin", self.begin()).await?;
        self.step("own", self.own(&self.work.manifest_during)).await?;
        self.step("note", self.note_running()).await?;
        let mut reload = false;
        for step in self.steps {
            let is_process = matches!(
                step.action,
                Action::StartUnit { .. } | Action::RestartUnit { .. } | Action::ReloadNginx { .. }
            );
            if reload && is_process {
                self.step("daemon-reload", self.daemon_reload()).await?;
                reload = false;
            }
            reload |= match &step.action {
                Action::EnableUnit { .. } => true,
                Action::WriteFile { path, .. } | Action::RemoveFile { path, .. } => path.starts_with(UNITS),
                _ => false,
            };
            self.step(step.id.as_str(), self.action(step)).await?;
        }
        if reload {
            self.step("daemon-reload", self.daemon_reload()).await?;
        }
        if self.work.manifest_after != self.work.manifest_during {
            self.step("disown", self.own(&self.work.manifest_after)).await?;
        }
        if self.work.last {
            self.step("finish", self.finish()).await?;
        }
        Ok(())
    }

    async fn step(&self, id: &str, work: impl Future<Output = Result<(), Trouble>>) -> Result<(), ()> {
        self.say(StepEvent::Started(id.to_owned()));
        match work.await {
            Ok(()) => {
                self.say(StepEvent::Done(id.to_owned()));
                Ok(())
            }
            Err(Trouble { cause, message }) => {
                self.machine.tale.tell(|| format!("{}: {id} fails: {message}", self.machine.name));
                self.say(StepEvent::Failed(FailedStep { step: id.to_owned(), cause, message }));
                Err(())
            }
        }
    }

    fn say(&self, event: StepEvent) {
        self.phase(|phase| phase.say(Line::Event(event)));
    }

    fn phase<T>(&self, change: impl FnOnce(&mut Phase) -> T) -> T {
        let mut state = self.machine.state();
        let directory = state.directory(&self.work.name).expect("it was sent");
        change(directory.phases.entry(self.work.phase).or_default())
    }

    /// Changes something that a path or a unit stands for.
    fn change<T>(&self, path: Option<&str>, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.machine.state();
        if state.begun > self.work.generation {
            let (begun, name) = (state.begun, &self.machine.name);
            self.machine.tale.wrong(format!("{name}: generation {} writes over {begun}", self.work.generation));
        }
        if let Some(path) = path.filter(|path| ![MANIFEST, DEFAULT_SITE].contains(path))
            && !state.manifest().is_some_and(|manifest| manifest.owns(path))
        {
            self.machine.tale.wrong(format!("{}: {path} is touched and not owned", self.machine.name));
        }
        state.changed = Some(Instant::now());
        change(&mut state)
    }

    async fn begin(&self) -> Result<(), Trouble> {
        self.machine.moment().await?;
        let generation = self.work.generation;
        {
            let mut state = self.machine.state();
            if state.directory(&self.work.name).is_some_and(|directory| directory.undoing) {
                return Err(Trouble::overtaken(format!(
                    "deployment {} has been undone here meanwhile; plan again",
                    self.work.name
                )));
            }
            let newest = state.generation.unwrap_or(0);
            if newest > generation {
                self.machine.tale.count("refused generations");
                return Err(Trouble::overtaken(format!(
                    "this instance has seen generation {newest}; generation {generation} is older; plan again"
                )));
            }
            if let Some(open) = state.open.as_ref().filter(|open| **open != self.work.name) {
                return Err(Trouble::overtaken(format!(
                    "deployment {open} was begun here, and is neither finished nor undone; plan again"
                )));
            }
            let manifest = state.manifest_text().map(Digest::of);
            if manifest != self.work.manifest_before {
                return Err(Trouble::overtaken(format!(
                    "{MANIFEST} is no longer as it was when this was planned; plan again"
                )));
            }
        }
        self.phase(|phase| phase.journal = Some(Vec::new()));
        self.machine.moment().await?;
        self.machine.state().directory(&self.work.name).expect("it was sent").finished = false;
        self.machine.state().generation = Some(generation);
        self.machine.moment().await?;
        let mut state = self.machine.state();
        state.open = Some(self.work.name.clone());
        state.last = Some(self.work.name.clone());
        state.begun = state.begun.max(generation);
        drop(state);
        self.keep(MANIFEST);
        Ok(())
    }

    async fn own(&self, manifest: &str) -> Result<(), Trouble> {
        self.machine.moment().await?;
        self.change(Some(MANIFEST), |state| state.files.insert(MANIFEST.to_owned(), file(manifest.as_bytes(), 0o644)));
        Ok(())
    }

    async fn finish(&self) -> Result<(), Trouble> {
        self.machine.moment().await?;
        self.machine.state().directory(&self.work.name).expect("it was sent").finished = true;
        self.machine.moment().await?;
        let mut state = self.machine.state();
        state.open = None;
        let surplus = state.deployments.len().saturating_sub(10);
        let name = &self.work.name;
        let mut position = 0;
        state.deployments.retain(|directory| {
            position += 1;
            position > surplus || directory.name == *name
        });
        let named: BTreeSet<Digest> = state.manifests().flat_map(|manifest| manifest.venvs).collect();
        state.held.venvs.retain(|venv| named.contains(venv));
        Ok(())
    }

    async fn note_running(&self) -> Result<(), Trouble> {
        for step in self.steps {
            if let Action::StopUnit { unit, .. } | Action::StartUnit { unit } | Action::RestartUnit { unit } =
                &step.action
            {
                self.note_active(unit);
                self.machine.moment().await?;
            }
        }
        Ok(())
    }

    async fn daemon_reload(&self) -> Result<(), Trouble> {
        self.machine.moment().await?;
        let mut state = self.machine.state();
        let State { systemd, files, .. } = &mut *state;
        systemd.reload(files);
        Ok(())
    }

    /// Keeps what lies at a path, once per phase.
    fn keep(&self, path: &str) {
        let lies = self.machine.state().files.get(path).cloned();
        self.record(match lies {
            Some(lies) => Kept::File(path.to_owned(), lies),
            None => Kept::Absent(path.to_owned()),
        });
    }

    fn record(&self, line: Kept) {
        self.phase(|phase| {
            let journal = phase.journal.get_or_insert_default();
            let known = journal.iter().any(|known| match (known, &line) {
                (Kept::Active(known, _), Kept::Active(unit, _)) | (Kept::Enabled(known, _), Kept::Enabled(unit, _)) => {
                    known == unit
                }
                _ => known.path().is_some() && known.path() == line.path(),
            });
            if !known {
                journal.push(line);
            }
        });
    }

    fn note_active(&self, unit: &str) {
        let start = match self.machine.state().systemd.runs(unit) {
            Runs::No => None,
            Runs::Looping => Some(0),
            Runs::Yes(process) => Some(process.invocation),
        };
        self.record(Kept::Active(unit.to_owned(), start));
    }

    fn note_enabled(&self, unit: &str) {
        let state = self.machine.state();
        let enabled = state.systemd.is_enabled(&state.files, unit);
        drop(state);
        self.record(Kept::Enabled(unit.to_owned(), enabled));
    }

    fn still(&self, path: &str, before: &Before) -> Result<(), Trouble> {
        let state = self.machine.state();
        let is = match (state.files.get(path), before) {
            (None, Before::Absent) => true,
            (Some(Lies::Link(live)), Before::Link { target }) => live == target,
            (Some(Lies::File { digest: live, .. }), Before::File { digest, .. }) => live == digest,
            _ => false,
        };
        if is {
            return Ok(());
        }
        Err(Trouble::overtaken(format!("{path} is no longer as it was when this was planned; plan again")))
    }

    async fn put(&self, path: &str, before: &Before, lies: Option<Lies>) -> Result<(), Trouble> {
        self.machine.moment().await?;
        self.still(path, before)?;
        if lies.is_none() && *before == Before::Absent {
            return Ok(());
        }
        self.keep(path);
        self.machine.moment().await?;
        self.change(Some(path), |state| match lies {
            Some(lies) => _ = state.files.insert(path.to_owned(), lies),
            None => _ = state.files.remove(path),
        });
        Ok(())
    }

    async fn action(&self, step: &Step) -> Result<(), Trouble> {
        match &step.action {
            // The manifest is written by each phase.
            Action::StageRelease { .. }
            | Action::AwaitHealth { .. }
            | Action::Pause { .. }
            | Action::SealManifest { .. }
            | Action::MendFolder { .. }
            | Action::ReadUnits { .. } => Ok(()),
            Action::InstallPackages { names } => {
                self.machine.moment().await?;
                self.machine.state().packages.extend(names.iter().cloned());
                Ok(())
            }
            Action::BuildVenv { key, .. } => {
                // Power may go, or pip fail, before it is renamed: half a one is nowhere.
                self.machine.moment().await?;
                self.machine.moment().await?;
                self.machine.tale.count("virtual environments made");
                self.machine.state().held.venvs.insert(*key);
                Ok(())
            }
            Action::WriteFile { path, before, content, mode } => {
                self.put(path, before, Some(file(content.public().expect("public"), *mode))).await
            }
            Action::WriteLink { path, before, target } => {
                self.put(path, before, Some(Lies::Link(target.clone()))).await
            }
            Action::RemoveFile { path, before } => self.put(path, before, None).await,
            Action::StopUnit { unit, .. } => {
                let leaves = self.steps.iter().any(|step| matches!(step.action, Action::SwitchPort { to: None, .. }));
                self.machine.moment().await?;
                self.note_active(unit);
                self.note_enabled(unit);
                self.machine.moment().await?;
                self.change(None, |state| {
                    // One without a file runs all the same.
                    let _ = state.systemd.disable(&state.files, unit);
                    let wrong = state.stop(unit).filter(|_| !leaves);
                    wrong.into_iter().for_each(|wrong| self.machine.tale.wrong(wrong));
                    Ok(())
                })
            }
            Action::EnableUnit { unit } => {
                self.note_enabled(unit);
                self.machine.moment().await?;
                self.change(None, |state| state.systemd.enable(&state.files, unit)).map_err(Trouble::from)
            }
            Action::StartUnit { unit } => {
                self.note_active(unit);
                self.machine.moment().await?;
                self.change(None, |state| state.systemd.start(&state.files, &state.held, unit)).map_err(Trouble::from)
            }
            Action::RestartUnit { unit } => {
                self.note_active(unit);
                self.machine.moment().await?;
                self.no_needless_restart(step, unit);
                self.change(None, |state| state.systemd.restart(&state.files, &state.held, unit)).map_err(Trouble::from)
            }
            Action::ReloadNginx { digest, .. } => self.reload_nginx(*digest).await,
            Action::ShiftTraffic { files, digest, .. } => {
                self.machine.tale.count("shifts of traffic");
                for ShiftedFile { path, before, content, mode } in files {
                    self.put(path, before, Some(file(content.public().expect("public"), *mode))).await?;
                }
                self.reload_nginx(*digest).await
            }
            Action::SwitchPort { port, to, .. } => {
                self.machine.tale.count("switches of ports");
                let proof = to.as_ref().and_then(|to| to.proof.as_ref());
                self.switch_port(*port, proof.map(|proof| proof.answer)).await
            }
            Action::Drain { .. } => Ok(()),
            Action::ReleaseNginx => {
                self.record(Kept::Nginx);
                self.machine.moment().await?;
                self.change(None, State::reload_nginx);
                Ok(())
            }
        }
    }

    /// A process may have been started by a boot in the middle from what is written only now for good.
    fn has_written_to(&self, state: &State, unit: &str) -> bool {
        let directory = state.deployments.iter().find(|directory| directory.name == self.work.name);
        let journal = directory.and_then(|directory| directory.phases.get(&self.work.phase)?.journal.as_ref());
        let parts = truth::parts(unit);
        journal.into_iter().flatten().any(|line| match line {
            Kept::File(path, was) => parts.contains(path) && state.files.get(path) != Some(was),
            Kept::Absent(path) => parts.contains(path),
            _ => false,
        })
    }

    /// What runs was started from the very same: then only a file that had been changed by hand is a reason,
    /// for nobody can tell from outside what the process had read, be it ours or its `env_file`.
    fn no_needless_restart(&self, step: &Step, unit: &str) {
        let state = self.machine.state();
        let Some(process) = state.systemd.process(unit) else { return };
        let same = state.systemd.inputs(&state.files, unit).as_ref() == Some(&process.from);
        let nobody_can_tell = step.reason.starts_with("drift:")
            || step.reason.contains("has changed since it was started")
            || step.reason.contains("was not started again");
        if same && !nobody_can_tell && !self.has_written_to(&state, unit) {
            let (name, reason) = (&self.machine.name, &step.reason);
            self.machine.tale.wrong(format!("{name}: {unit} is restarted and nothing of it changed ({reason})"));
        }
    }

    async fn switch_port(&self, port: u16, answer: Option<Digest>) -> Result<(), Trouble> {
        self.note_active("nginx.service");
        self.record(Kept::Nginx);
        self.machine.moment().await?;
        let answers = self.change(None, |state| {
            if state.systemd.is_active("nginx.service") {
                state.reload_nginx();
            } else {
                state.systemd.start(&state.files, &state.held, "nginx.service")?;
                state.read_nginx();
            }
            Ok::<_, String>(state.fronts.get(&port).copied())
        })?;
        if answers == answer {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_secs(10)).await;
        self.machine.tale.count("reloads that nginx did not make");
        Err(format!("port {port} is not led to the new copy: something else answers there").into())
    }

    async fn reload_nginx(&self, digest: Digest) -> Result<(), Trouble> {
        self.note_active("nginx.service");
        self.record(Kept::Nginx);
        self.machine.moment().await?;
        let served = self.change(None, |state| {
            if state.systemd.is_active("nginx.service") {
                state.reload_nginx();
            } else {
                state.systemd.start(&state.files, &state.held, "nginx.service")?;
                state.read_nginx();
            }
            Ok::<_, String>(state.serving)
        })?;
        if served == Some(digest) {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_secs(10)).await;
        self.machine.tale.count("reloads that nginx did not make");
        Err("nginx accepted the reload and goes on serving its old configuration".to_owned().into())
    }
}
