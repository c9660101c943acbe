//! A simulated host as a controller reaches it: every call takes time, and may be lost on its way there or
//! back, while the machine goes on.
//!
//! Keeps true: behaves as `SshHost` does with the scripts; a controller's calls to one host go one after the
//! other, but for health checks.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use evenkeel::{
    host::{
        Checkup, ConnectError, FailedStep, Health, HealthCheck, HostError, HostProgress, HostRead, HostWrite,
        LossTimer, PHASE_LIMIT, PhaseWork, ProbeRequest, ReleaseTransfer, StepEvent, Trace, TrailState,
    },
    model::{
        digest::Digest,
        name::FleetName,
        observation::Observation,
        plan::Step,
        release::{Compression, Holdings, Placed},
    },
};
use tokio::time::{Instant, sleep};

use crate::{
    deployments::{Line, Order},
    machine::{Lies, Machine},
    probe,
    tale::lock,
    transient,
};

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Until a connection on which nothing comes back counts as dead.
const SILENCE: Duration = Duration::from_secs(15);
const LOOK: Duration = Duration::from_millis(40);

/// What is between one controller and one machine.
#[derive(Default)]
pub struct Wire {
    cut: AtomicBool,
    /// After so many calls, this.
    fuses: Mutex<Vec<(u64, Snap)>>,
}

/// What goes wrong with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snap {
    RequestLost,
    AnswerLost,
}

impl Wire {
    pub fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
    }

    pub fn mend(&self) {
        self.cut.store(false, Ordering::Relaxed);
        lock(&self.fuses).clear();
    }

    pub fn arm(&self, calls: u64, snap: Snap) {
        lock(&self.fuses).push((calls, snap));
    }

    fn next(&self) -> Option<Snap> {
        let mut fuses = lock(&self.fuses);
        fuses.iter_mut().for_each(|(left, _)| *left = left.saturating_sub(1));
        let burnt = fuses.iter().position(|(left, _)| *left == 0)?;
        Some(fuses.remove(burnt).1)
    }
}

pub struct SimHost {
    pub machine: Arc<Machine>,
    pub wire: Arc<Wire>,
    /// The machine's boot to which there is a connection.
    shell: tokio::sync::Mutex<Option<u64>>,
}

impl SimHost {
    pub fn new(machine: Arc<Machine>, wire: Arc<Wire>) -> Self {
        Self { machine, wire, shell: tokio::sync::Mutex::default() }
    }

    fn reaches(&self, boot: u64) -> bool {
        let state = self.machine.state();
        state.up && state.boot == boot && !self.wire.cut.load(Ordering::Relaxed)
    }

    /// One script on the host, and its answer. What runs there goes on when nobody listens any more.
    async fn run<T: Send + 'static>(
        &self,
        doing: &'static str,
        script: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, HostError> {
        let mut shell = self.shell.lock().await;
        let boot = self.connected(&mut shell, doing).await?;
        let snap = self.wire.next();
        let slow = self.machine.state().slow;
        let asked = Instant::now();
        sleep(Duration::from_millis(10) * slow).await;
        if snap == Some(Snap::RequestLost) || !self.reaches(boot) {
            return self.lost(&mut shell, doing, None).await;
        }
        let answer = self.machine.spawn(script);
        while !answer.is_finished() {
            if !self.reaches(boot) {
                return self.lost(&mut shell, doing, alive(asked)).await;
            }
            sleep(LOOK).await;
        }
        if snap == Some(Snap::AnswerLost) || !self.reaches(boot) {
            return self.lost(&mut shell, doing, alive(asked)).await;
        }
        match answer.await {
            Ok(answer) => Ok(answer),
            Err(_) => self.lost(&mut shell, doing, alive(asked)).await,
        }
    }

    async fn connected(&self, shell: &mut Option<u64>, doing: &'static str) -> Result<u64, HostError> {
        let boot = self.machine.state().boot;
        if *shell == Some(boot) {
            if self.reaches(boot) {
                return Ok(boot);
            }
            return self.lost(shell, doing, None).await;
        }
        *shell = None;
        if !self.reaches(boot) {
            sleep(CONNECT_LIMIT).await;
        }
        if self.reaches(boot) {
            sleep(Duration::from_millis(60)).await;
            *shell = Some(boot);
            return Ok(boot);
        }
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 22));
        Err(ConnectError::Unreachable { address, why: "it is off or cut off".to_owned() }.into())
    }

    async fn lost<T>(
        &self,
        shell: &mut Option<u64>,
        doing: &'static str,
        heard: Option<Instant>,
    ) -> Result<T, HostError> {
        self.machine.tale.count("lost connections");
        sleep(SILENCE).await;
        *shell = None;
        Err(HostError::Lost { doing, why: "nothing was heard".to_owned(), heard })
    }

    async fn put_back(&self, deployment: &str, phase: Option<u32>, if_open: bool) -> Result<(), HostError> {
        let doing = "undoing a deployment";
        let undo = transient::undo(self.machine.clone(), deployment.to_owned(), phase, if_open);
        match self.run(doing, undo).await? {
            0 => Ok(()),
            status => Err(HostError::Status { doing, status, output: "undo-failed".to_owned() }),
        }
    }

    /// Starts a phase, or finds it begun, and hands its events on until it has ended.
    async fn follow(&self, order: Order, heard: &mut Heard<'_>) -> Result<i32, HostError> {
        let doing = "applying a phase";
        let (name, phase) = (order.work.name.clone(), order.work.phase);
        let status = self.run(doing, transient::launch(self.machine.clone(), order)).await?;
        if status != 0 {
            return Ok(status);
        }
        let mut shell = self.shell.lock().await;
        let boot = self.connected(&mut shell, doing).await?;
        let mut number = 0;
        let mut quiet = Instant::now();
        loop {
            if !self.reaches(boot) {
                // Where nothing happens, empty lines come.
                return self.lost(&mut shell, doing, Some(Instant::now())).await;
            }
            let (lines, runs) = {
                let mut state = self.machine.state();
                let runs = state.transient.is_some();
                let phase = state.directory(&name).and_then(|directory| directory.phases.get(&phase));
                let lines = phase.and_then(|phase| phase.events.as_ref());
                let lines: Vec<Line> =
                    lines.map(|l| l.iter().skip(number).map(|(_, line)| line.clone()).collect()).unwrap_or_default();
                (lines, runs)
            };
            if !lines.is_empty() || runs {
                quiet = Instant::now();
            }
            for line in lines {
                number += 1;
                heard.line(number, line);
            }
            if heard.end.is_some() {
                return Ok(0);
            }
            if quiet.elapsed() > Duration::from_secs(2) {
                heard.end = Some("cut-off");
                return Ok(0);
            }
            sleep(LOOK).await;
        }
    }
}

impl HostRead for SimHost {
    async fn probe(&self, question: &ProbeRequest) -> Result<Observation, HostError> {
        let (machine, question) = (self.machine.clone(), question.clone());
        let answer = self.run("the probe", async move {
            sleep(Duration::from_millis(30)).await;
            probe::look(&machine, &question)
        });
        answer.await?.map_err(|why| HostError::Garbled { doing: "the probe", why })
    }

    async fn read(&self, paths: &[String]) -> Result<Vec<(String, Vec<u8>)>, HostError> {
        let (machine, paths) = (self.machine.clone(), paths.to_vec());
        let read = async move {
            let state = machine.state();
            let content = |path: String| match state.files.get(&path)? {
                Lies::File { content, .. } => Some((path, content.to_vec())),
                Lies::Link(_) => None,
            };
            paths.into_iter().filter_map(content).collect()
        };
        self.run("reading files", read).await
    }

    async fn holdings(&self, _: &FleetName, release: &Digest) -> Result<Holdings, HostError> {
        let (machine, digest) = (self.machine.clone(), *release);
        let whole =
            self.run("asking which releases are held", async move { machine.state().held.releases.contains(&digest) });
        let (compression, listings) = (Compression::Zstd, BTreeMap::new());
        Ok(Holdings { whole: whole.await?, compression, free: u64::MAX, free_inodes: None, listings })
    }

    async fn trail(&self, _: &FleetName, deployment: &str) -> Result<HostProgress, HostError> {
        let (machine, name) = (self.machine.clone(), deployment.to_owned());
        self.run("asking what became of a deployment", async move { trail(&machine, &name) }).await
    }

    async fn traces(&self, _: &[String]) -> Result<Vec<Trace>, HostError> {
        Ok(Vec::new())
    }

    async fn health(&self, check: &HealthCheck) -> Checkup {
        let boot = self.machine.state().boot;
        sleep(Duration::from_millis(15)).await;
        if !self.reaches(boot) {
            sleep(CONNECT_LIMIT).await;
            return Health::Unknown("the tunnel does not open".to_owned()).into();
        }
        let mut state = self.machine.state();
        state.retry();
        let listens = match &check.held_by {
            // nginx leads the port to the copy, or to none.
            Some(_) if !state.systemd.is_active("nginx.service") => None,
            Some(_) => state.systemd.process(&check.unit).filter(|_| state.fronts.contains_key(&check.port)),
            None => {
                let has_port = |(unit, _): &(&String, _)| probe::port(&state, unit) == Some(check.port);
                state.systemd.running().find(has_port).map(|(_, process)| process)
            }
        };
        let health = match listens {
            Some(process) if process.healthy => Health::Healthy,
            Some(_) => Health::Unhealthy("GET /health answered 500".to_owned()),
            None => Health::Unhealthy(format!("nothing listens on 127.0.0.1:{}", check.port)),
        };
        health.into()
    }

    /// Nobody writes drop-ins there.
    async fn drop_ins(&self, _: &str) -> Result<Vec<String>, HostError> {
        Ok(Vec::new())
    }

    async fn log(&self, unit: &str, _: u32) -> Result<Vec<String>, HostError> {
        Ok(vec![format!("{unit} says something")])
    }
}

impl HostWrite for SimHost {
    /// Nothing damages a release there.
    async fn reread(&self, _: &FleetName, _: &BTreeSet<Digest>) -> Result<(), HostError> {
        Ok(())
    }

    async fn stage(&self, _: &FleetName, transfer: &ReleaseTransfer<'_>) -> Result<Placed, HostError> {
        let (machine, digest) = (self.machine.clone(), transfer.release.digest);
        let doing = "staging a release";
        let staged = async move {
            machine.moment().await?;
            machine.state().held.releases.insert(digest);
            Ok(Placed::Done)
        };
        let staged: Result<Placed, String> = self.run(doing, staged).await?;
        staged.map_err(|output| HostError::Status { doing, status: 1, output })
    }

    async fn apply(
        &self,
        work: &PhaseWork,
        steps: &[&Step],
        events: &mut (dyn FnMut(StepEvent) + Send),
    ) -> Result<(), HostError> {
        let order = Order { work: work.clone(), steps: steps.iter().map(|step| (*step).clone()).collect() };
        let mut heard = Heard { told: 0, failed: None, end: None, events };
        let mut loss_timer = LossTimer::new(work.lost_after, PHASE_LIMIT);
        let status = loop {
            match self.follow(order.clone(), &mut heard).await {
                Ok(status) => break status,
                Err(error) if loss_timer.outlasts(&error).await => {}
                Err(error) => return Err(error),
            }
        };
        heard.verdict(work, status)
    }

    async fn undo(&self, _: &FleetName, deployment: &str, phase: Option<u32>) -> Result<(), HostError> {
        self.put_back(deployment, phase, false).await
    }

    async fn heal(&self, _: &FleetName, deployment: &str) -> Result<(), HostError> {
        self.put_back(deployment, None, true).await
    }

    async fn fence(&self, _: &FleetName, generation: u64) -> Result<(), HostError> {
        let machine = self.machine.clone();
        let fence = async move {
            machine.tale.count("fences");
            {
                let mut state = machine.state();
                state.generation = Some(state.generation.unwrap_or(0).max(generation));
            }
            sleep(Duration::from_millis(5)).await;
            // One that is ending, and undoing itself, is waited for.
            if machine.state().transient.as_ref().is_some_and(|transient| transient.active) {
                machine.kill();
            }
            while machine.state().transient.is_some() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        self.run("fencing off an older deployment", fence).await
    }
}

/// A connection that stood for so long was answered on until now.
fn alive(asked: Instant) -> Option<Instant> {
    (asked.elapsed() > SILENCE).then(Instant::now)
}

fn trail(machine: &Machine, name: &str) -> HostProgress {
    let mut state = machine.state();
    let runs = state.transient.is_some();
    let nothing = if runs { TrailState::Running } else { TrailState::Nothing };
    let Some(directory) = state.directory(name) else {
        return HostProgress { state: nothing, newest_phase: 0, failed: None };
    };
    let newest = directory.newest_begun();
    let ended_well = |phase: &crate::deployments::Phase| {
        matches!(phase.events.iter().flatten().last(), Some((_, Line::End("success"))))
    };
    let state = match newest {
        _ if runs => TrailState::Running,
        None => TrailState::Nothing,
        _ if directory.undone => TrailState::Undone,
        _ if directory.undoing => TrailState::Broken,
        _ if directory.finished => TrailState::Finished,
        Some((_, phase)) if ended_well(phase) => TrailState::Between,
        Some(_) => TrailState::Broken,
    };
    let ended =
        newest.is_some_and(|(_, phase)| phase.events.iter().flatten().any(|(_, line)| matches!(line, Line::End(_))));
    let failed = directory.failed().filter(|_| ended);
    HostProgress { state, newest_phase: newest.map_or(0, |(number, _)| number), failed }
}

/// What the events of a phase have said so far.
struct Heard<'a> {
    /// Lines that were handed on; after a cut they are read from the first again.
    told: usize,
    failed: Option<FailedStep>,
    end: Option<&'static str>,
    events: &'a mut (dyn FnMut(StepEvent) + Send),
}

impl Heard<'_> {
    fn line(&mut self, number: usize, line: Line) {
        if number <= self.told {
            return;
        }
        self.told = number;
        match line {
            Line::Event(event) => {
                if let StepEvent::Failed(failed) = &event {
                    self.failed = Some(failed.clone());
                }
                (self.events)(event);
            }
            Line::End(result) => self.end = Some(result),
        }
    }

    fn verdict(self, work: &PhaseWork, status: i32) -> Result<(), HostError> {
        match (status, self.end, self.failed) {
            (transient::BUSY, ..) => Err(HostError::Busy { unit: "evenkeel-sim.service".to_owned() }),
            (0, Some("success"), _) => Ok(()),
            (_, Some("cut-off"), _) => Err(HostError::CutOff { phase: work.phase }),
            (_, Some(_), Some(failed)) => Err(HostError::Step(failed)),
            (_, Some(_), None) => Err(HostError::CutOff { phase: work.phase }),
            (status, None, _) => Err(HostError::Status { doing: "applying a phase", status, output: String::new() }),
        }
    }
}
