//! One story: commits, faults, crashes, people; then all faults end, and what was promised must hold.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel::engine::requests::control::Ask;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

use crate::{
    controllers::Controllers,
    dice::Dice,
    ending,
    fleet::{self, Declared},
    host::Snap,
    judge::Judge,
    machine::{Fuse, Lies, Machine, State, Trip, file},
    remote::Remote,
    systemd::{UNITS, venv_of},
    tale::{Tale, Tally, lock},
};

/// How a story ended.
pub struct Told {
    pub wrongs: Vec<String>,
    pub tally: Tally,
}

/// Tells the story of a seed, in virtual time.
pub fn tell(seed: u64, aloud: bool) -> Told {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let mut story = Story::new(seed, aloud);
        story.run().await;
        Told { wrongs: story.tale.wrongs(), tally: story.tale.tally() }
    })
}

pub struct Story {
    pub tale: Arc<Tale>,
    pub dice: Dice,
    pub machines: BTreeMap<String, Arc<Machine>>,
    pub remote: Arc<Mutex<Remote>>,
    pub judge: Arc<Mutex<Judge>>,
    pub controllers: Controllers,
    trips: mpsc::UnboundedReceiver<(String, Trip)>,
}

impl Story {
    pub fn new(seed: u64, aloud: bool) -> Self {
        let tale = Arc::new(Tale::new(aloud));
        let mut dice = Dice::new(seed);
        // A quarter of all stories: told by the seed, so that what the others are does not depend on it.
        let first = Declared { copies: seed.is_multiple_of(4), ..Declared::first(&mut dice) };
        let (tripped, trips) = mpsc::unbounded_channel();
        let machines: BTreeMap<String, Arc<Machine>> = (0..first.instances)
            .map(|number| {
                let name = fleet::instance(number);
                (name.clone(), Machine::new(name, tale.clone(), tripped.clone()))
            })
            .collect();
        let remote = Arc::new(Mutex::new(Remote::default()));
        lock(&remote).push(first, None);
        let judge = Arc::new(Mutex::new(Judge::new(tale.clone(), machines.clone())));
        let controllers = Controllers::new(tale.clone(), machines.clone(), remote.clone(), judge.clone(), seed);
        Self { tale, dice, machines, remote, judge, controllers, trips }
    }

    pub async fn run(&mut self) {
        self.controllers.start(0);
        if self.dice.chance(75) {
            self.pause(Duration::from_secs(30)).await;
        }
        for _ in 0..self.dice.between(5, 12) {
            self.event().await;
            let pause = if self.dice.chance(65) { self.dice.below(4_000) } else { self.dice.below(100_000) };
            self.pause(Duration::from_millis(pause)).await;
        }
        ending::end(self).await;
    }

    /// Time goes by, and what trips on machines is brought about.
    pub async fn pause(&mut self, pause: Duration) {
        let until = Instant::now() + pause;
        while let Ok(Some((machine, trip))) = timeout(until.duration_since(Instant::now()), self.trips.recv()).await {
            match trip {
                Trip::Crash(number) => self.controllers.crash(number),
                Trip::Cut(number, pause) => {
                    self.tale.count("cuts");
                    let wire = self.controllers.wires[&(number, machine)].clone();
                    wire.cut();
                    tokio::spawn(async move {
                        sleep(pause).await;
                        wire.mend();
                    });
                }
                Trip::TakeOver(number) => self.controllers.take_over(number),
                Trip::PowerLoss { .. } | Trip::Kill | Trip::Fails(_) => {}
            }
        }
    }

    fn machine(&mut self) -> Arc<Machine> {
        let number = self.dice.below(self.machines.len() as u64) as usize;
        self.machines.values().nth(number).expect("a machine").clone()
    }

    async fn event(&mut self) {
        match self.dice.below(20) {
            0..=7 => {
                if self.dice.chance(60) {
                    self.trap();
                }
                self.commit();
            }
            8 => self.trap(),
            9 => {
                if self.dice.chance(30) {
                    self.remove_venv();
                } else {
                    self.drift();
                }
            }
            10 => self.stop_by_hand(),
            11 => self.people(),
            12 | 13 => self.controller().await,
            14 => self.remote_fault(),
            15 => {
                let boots_after = Duration::from_secs(self.dice.between(5, 90));
                self.machine().lose_power(Some(boots_after));
            }
            16 => {
                let (machine, number) = (self.machine(), self.dice.below(2) as usize);
                let wire = self.controllers.wires[&(number, machine.name.clone())].clone();
                wire.cut();
                self.tale.count("cuts");
                self.tale.tell(|| format!("{} is cut off from {number}", machine.name));
                let pause = Duration::from_secs(self.dice.between(2, 120));
                tokio::spawn(async move {
                    sleep(pause).await;
                    wire.mend();
                });
            }
            17 => {
                let slow = self.dice.between(1, 40) as u32;
                self.machine().state().slow = slow;
            }
            18 => {
                let machine = self.machine();
                let mut state = machine.state();
                if self.dice.chance(50) { state.garbled = 2 } else { state.deaf = 1 }
            }
            _ => self.drift_elsewhere(),
        }
    }

    fn commit(&mut self) {
        let now = lock(&self.remote).declared().clone();
        let dice = &mut self.dice;
        let next = match dice.below(10) {
            0 | 1 => now.sickened(dice),
            2 => Declared { broken: true, ..now.changed(dice) },
            3..=5 => now.mended(dice),
            _ => now.changed(dice),
        };
        let mut remote = lock(&self.remote);
        let head = remote.head.clone();
        let rewinds = self.dice.chance(6);
        let parent =
            if rewinds { remote.parent_of(&head).and_then(|parent| remote.parent_of(&parent)) } else { Some(head) };
        let id = remote.push(next, parent);
        drop(remote);
        self.tale.count(if rewinds { "forced pushes" } else { "commits" });
        self.tale.tell(|| format!("somebody pushes {id:.8}: {:?}", lock(&self.remote).declared()));
        if self.dice.chance(70) {
            self.controllers.poke();
        }
    }

    /// Something that happens in the middle of what a machine will do next.
    fn trap(&mut self) {
        let machine = self.machine();
        let number = self.dice.below(2) as usize;
        let left = self.dice.between(1, 30);
        let seconds = Duration::from_secs(self.dice.between(3, 60));
        let trip = match self.dice.below(9) {
            0 | 1 => Trip::PowerLoss { boots_after: seconds },
            2 => Trip::Kill,
            3 => Trip::Fails("No space left on device"),
            4 => Trip::Cut(number, seconds),
            5 | 6 => Trip::Crash(number),
            7 => Trip::TakeOver(number),
            _ => {
                let snap = if self.dice.chance(50) { Snap::RequestLost } else { Snap::AnswerLost };
                self.controllers.wires[&(number, machine.name.clone())].arm(self.dice.between(1, 6), snap);
                return;
            }
        };
        self.tale.tell(|| format!("{}: in {left} operations: {trip:?}", machine.name));
        machine.state().fuses.push(Fuse { left, trip });
    }

    pub fn drift(&mut self) {
        let machine = self.machine();
        let owned = machine.state().manifest().unwrap_or_default();
        let paths: Vec<String> = owned.files.keys().cloned().collect();
        if paths.is_empty() {
            return;
        }
        let path = self.dice.pick(&paths).clone();
        let removes = self.dice.chance(25);
        machine.by_hand(&path, |state| {
            if removes {
                state.files.remove(&path);
            } else if let Some(Lies::File { content, mode, .. }) = state.files.get(&path).cloned() {
                let text = [&content[..], b"# by hand\n"].concat();
                state.files.insert(path.clone(), file(&text, mode));
            }
        });
        self.tale.count("drifts by hand");
    }

    fn stop_by_hand(&mut self) {
        let machine = self.machine();
        let units: Vec<String> = machine.state().systemd.running().map(|(unit, _)| unit.clone()).collect();
        let ours: Vec<String> = units.into_iter().filter(|unit| unit.starts_with("sim-")).collect();
        if ours.is_empty() {
            return;
        }
        let unit = self.dice.pick(&ours).clone();
        machine.by_hand(&unit, |state| state.systemd.stop(&unit));
        self.tale.count("drifts by hand");
    }

    /// Somebody removes the virtual environment that a unit starts from.
    fn remove_venv(&mut self) {
        let machine = self.machine();
        let venv = |(unit, lies): (&String, &Lies)| match lies {
            Lies::File { content, .. } => {
                Some((unit.strip_prefix(UNITS)?.to_owned(), venv_of(&String::from_utf8_lossy(content))?))
            }
            Lies::Link(_) => None,
        };
        let found: Vec<_> = machine.state().files.iter().filter_map(venv).collect();
        if found.is_empty() {
            return;
        }
        let (unit, venv) = self.dice.pick(&found).clone();
        machine.by_hand(&unit, |state| _ = state.held.venvs.remove(&venv));
        self.tale.count("virtual environments removed by hand");
    }

    fn drift_elsewhere(&mut self) {
        let machine = self.machine();
        let path = *self.dice.pick(&["/etc/nginx/conf.d/somebody.conf", "/etc/secrets/alpha.env", "/etc/hosts"]);
        let text = format!("TOKEN={}\n", self.dice.below(1000));
        machine
            .by_hand(path, |state: &mut State| _ = state.files.insert(path.to_owned(), file(text.as_bytes(), 0o644)));
        self.tale.count("changes of what is not ours");
    }

    fn people(&mut self) {
        let instance = self.dice.chance(50).then(|| self.machine().name.parse().expect("a name"));
        let ask = match self.dice.below(6) {
            0 | 1 => Ask::Hold { instance, reason: "a look at it".to_owned() },
            2 => Ask::Resume { instance },
            3 => Ask::Retry { allow_rewind: self.dice.chance(50), take_over: self.dice.chance(30) },
            _ => Ask::Cancel { reason: "not now".to_owned() },
        };
        self.controllers.ask(ask);
    }

    async fn controller(&mut self) {
        let number = self.dice.below(2) as usize;
        match self.dice.below(6) {
            0 => self.controllers.crash(number),
            1 => self.controllers.end(number).await,
            2 => {
                self.controllers.crash(number);
                self.controllers.moves(number);
                self.controllers.start(number);
            }
            _ => self.controllers.start(number),
        }
    }

    fn remote_fault(&mut self) {
        let seconds = Duration::from_secs(self.dice.between(5, 150));
        let remote = self.remote.clone();
        match self.dice.below(6) {
            0 => lock(&remote).slow = true,
            1 => {
                lock(&remote).lost_answers = 1;
                return;
            }
            2 => {
                let identity = self.controllers.identity(self.dice.below(2) as usize);
                self.tale.count("controllers that the remote is away for");
                lock(&remote).cut_off.insert(identity);
            }
            3 => lock(&remote).unmarkable = true,
            _ => lock(&remote).down = true,
        }
        self.tale.tell(|| "the remote is down, or slow, or away for one, or takes no mark".to_owned());
        tokio::spawn(async move {
            sleep(seconds).await;
            let mut remote = lock(&remote);
            (remote.down, remote.slow, remote.unmarkable) = (false, false, false);
            remote.cut_off.clear();
        });
    }
}
