//! The controllers of a story: started, stopped as by a signal, and killed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel::{
    decide::Policy,
    declare::Overrides,
    engine::{
        controller::{Controller, Handle, LoopError},
        events::Events,
        history::controller_id::ControllerId,
        observe::connections::Connections,
        prepare::preparation::Preparation,
        requests::control::{Ask, Request},
        sync::workspace::Workspace,
    },
};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    dice::Dice,
    fleet::FOLDER,
    host::{SimHost, Wire},
    judge::Judge,
    machine::Machine,
    remote::{Remote, SimStore},
    tale::{Tale, lock},
};

/// How often the repository is asked.
const POLL: Duration = Duration::from_secs(45);

type Simulated = Handle<SimHost, SimStore>;

/// What controllers are made of.
pub struct Controllers {
    pub tale: Arc<Tale>,
    pub machines: BTreeMap<String, Arc<Machine>>,
    pub wires: BTreeMap<(usize, String), Arc<Wire>>,
    pub remote: Arc<Mutex<Remote>>,
    pub judge: Arc<Mutex<Judge>>,
    pub running: BTreeMap<usize, RunningController>,
    /// How often each was started anew with an empty state directory.
    moved: BTreeMap<usize, u32>,
    seed: u64,
}

pub struct RunningController {
    controller: Simulated,
    stop: CancellationToken,
    triggers: mpsc::Sender<()>,
    task: JoinHandle<Result<(), LoopError>>,
}

impl Controllers {
    pub fn new(
        tale: Arc<Tale>,
        machines: BTreeMap<String, Arc<Machine>>,
        remote: Arc<Mutex<Remote>>,
        judge: Arc<Mutex<Judge>>,
        seed: u64,
    ) -> Self {
        let wires = machines.keys().flat_map(|name| (0..2).map(move |number| ((number, name.clone()), Arc::default())));
        let wires = wires.collect();
        Self { tale, machines, wires, remote, judge, running: BTreeMap::new(), moved: BTreeMap::new(), seed }
    }

    /// Starts a controller, unless it runs. The same one sits where it sat, unless it has moved.
    pub fn start(&mut self, number: usize) {
        self.running.retain(|_, controller| !controller.task.is_finished());
        if self.running.contains_key(&number) {
            return;
        }
        let identity = self.identity(number);
        self.tale.tell(|| format!("controller {identity} starts"));
        let store = SimStore {
            remote: self.remote.clone(),
            judge: self.judge.clone(),
            tale: self.tale.clone(),
            identity: identity.clone(),
            controller: self.tale.counted("starts of controllers"),
        };
        let (machines, wires) = (self.machines.clone(), self.wires.clone());
        let connections = Connections::new(move |instance, _| {
            let name = instance.name.to_string();
            SimHost::new(machines[&name].clone(), wires[&(number, name)].clone())
        });
        let policy = Policy { poll_every: POLL.as_millis() as u64, observe_only: false };
        let tale = self.tale.clone();
        let teller = identity.clone();
        let events = Events::new(move |event| {
            tale.tell(|| format!("  {teller} {}", evenkeel::report::event::words(event)));
        });
        let dice = Mutex::new(Dice::new(self.seed ^ number as u64));
        let workspace = Workspace {
            store,
            connections,
            preparation: Preparation::new(FOLDER.to_owned(), Overrides::default()),
            identity: ControllerId { name: identity.clone(), id: identity },
            events,
            jitter: Box::new(move || lock(&dice).part()),
        };
        let (looping, controller) = Controller::new(workspace, policy, None);
        let stop = CancellationToken::new();
        let (triggers, triggered) = mpsc::channel(1);
        let task = tokio::spawn(looping.run(stop.clone(), triggered));
        self.tale.count("starts of controllers");
        self.running.insert(number, RunningController { controller, stop, triggers, task });
    }

    /// Where a controller sits, or would.
    pub fn identity(&self, number: usize) -> String {
        format!("{}{}", ["a", "b"][number], self.moved.get(&number).copied().unwrap_or(0))
    }

    /// It dies in the middle of whatever it does.
    pub fn crash(&mut self, number: usize) {
        let Some(controller) = self.running.remove(&number) else { return };
        self.tale.tell(|| format!("controller {number} crashes"));
        self.tale.count("crashes of controllers");
        controller.task.abort();
    }

    /// As by SIGTERM.
    pub async fn end(&mut self, number: usize) {
        let Some(controller) = self.running.remove(&number) else { return };
        self.tale.tell(|| format!("controller {number} is asked to end"));
        self.tale.count("orderly ends of controllers");
        controller.stop.cancel();
        let _ = controller.task.await;
    }

    /// Its next start is on another machine.
    pub fn moves(&mut self, number: usize) {
        *self.moved.entry(number).or_default() += 1;
    }

    pub fn poke(&self) {
        for controller in self.running.values() {
            // A full channel holds a poke already.
            let _ = controller.triggers.try_send(());
        }
    }

    /// A person asks the first controller there is. Goes on by itself.
    pub fn ask(&self, ask: Ask) {
        if let Some(controller) = self.running.values().next() {
            self.ask_of(controller, ask);
        }
    }

    pub fn take_over(&self, number: usize) {
        if let Some(controller) = self.running.get(&number) {
            let _ = controller.triggers.try_send(());
            self.ask_of(controller, Ask::Retry { allow_rewind: false, take_over: true });
        }
    }

    fn ask_of(&self, controller: &RunningController, ask: Ask) {
        let (controller, tale) = (controller.controller.clone(), self.tale.clone());
        tokio::spawn(async move {
            let request = Request { environment: None, by: "ann".to_owned(), ask, reason: None };
            let said = controller.asked(&request).await;
            tale.tell(|| match said {
                Ok(said) => format!("asked: {said}"),
                Err(error) => format!("asked in vain: {error}"),
            });
        });
    }

    pub fn mend(&self) {
        self.wires.values().for_each(|wire| wire.mend());
    }
}
