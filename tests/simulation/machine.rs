//! A host in memory: its disk, its systemd, its nginx, and what goes wrong with it.
//!
//! Keeps true: what runs on it runs without any controller, one small operation after the other; power is
//! lost between two of them, and the disk stays as it was then.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use evenkeel::model::{
    digest::Digest,
    manifest::Manifest,
    paths,
    rollout::{ReplicaId, Slot},
};
use tokio::{
    task::{AbortHandle, JoinHandle},
    time::{Instant, sleep},
};

use crate::{
    deployments::{Directory, Kept},
    systemd::{Held, Systemd},
    tale::{Tale, lock},
};

pub const MANIFEST: &str = "/var/lib/evenkeel/sim/manifest";
pub const DEFAULT_SITE: &str = "/etc/nginx/sites-enabled/default";
const DIGEST_SERVER: &str = "/etc/nginx/conf.d/evenkeel-sim-00.conf";

/// What lies at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lies {
    File { content: Arc<[u8]>, digest: Digest, mode: u32 },
    Link(String),
}

impl Lies {
    pub fn digest(&self) -> Option<Digest> {
        match self {
            Lies::File { digest, .. } => Some(*digest),
            Lies::Link(_) => None,
        }
    }
}

pub fn file(content: &[u8], mode: u32) -> Lies {
    Lies::File { content: content.into(), digest: Digest::of(content), mode }
}

/// What happens to a machine after so many operations of its own.
#[derive(Debug, Clone)]
pub enum Trip {
    PowerLoss {
        boots_after: Duration,
    },
    /// Somebody kills the script; systemd then runs what comes after it.
    Kill,
    /// The operation cannot be done.
    Fails(&'static str),
    /// The controller of this number loses its way here for so long.
    Cut(usize, Duration),
    /// The controller of this number dies.
    Crash(usize),
    /// Somebody takes the other controller for dead, and has this one take over.
    TakeOver(usize),
}

pub struct Fuse {
    pub left: u64,
    pub trip: Trip,
}

/// What systemd runs for evenkeel at a moment.
pub struct Transient {
    pub active: bool,
    pub task: Option<AbortHandle>,
    /// What is run when the script ends: the deployment, the phase, and whether a failure undoes it.
    pub stop: Option<(String, u32, bool)>,
}

#[derive(Default)]
pub struct State {
    pub up: bool,
    pub boot: u64,
    pub files: BTreeMap<String, Lies>,
    pub systemd: Systemd,
    pub packages: BTreeSet<String>,
    pub held: Held,
    /// The digest in the configuration that nginx has in force.
    pub serving: Option<Digest>,
    /// What nginx answers for itself at each port of a service that has two copies.
    pub fronts: BTreeMap<u16, Digest>,
    /// So many reloads nginx says yes to and does not make.
    pub deaf: u32,
    pub garbled: u32,
    pub generation: Option<u64>,
    pub open: Option<String>,
    /// What began here last.
    pub last: Option<String>,
    pub deployments: Vec<Directory>,
    pub transient: Option<Transient>,
    /// The newest generation that began here and was not undone since.
    pub begun: u64,
    /// How many times slower than others.
    pub slow: u32,
    pub fuses: Vec<Fuse>,
    /// What people changed by hand, and when.
    pub by_hand: BTreeMap<String, Instant>,
    /// When a script of each deployment last began here.
    pub worked: BTreeMap<String, Instant>,
    /// When anything of evenkeel's last changed something here.
    pub changed: Option<Instant>,
    shells: Vec<AbortHandle>,
}

pub struct Machine {
    pub name: String,
    pub tale: Arc<Tale>,
    state: Mutex<State>,
    /// Who hears of trips that are not the machine's own.
    pub trips: tokio::sync::mpsc::UnboundedSender<(String, Trip)>,
}

impl Machine {
    pub fn new(name: String, tale: Arc<Tale>, trips: tokio::sync::mpsc::UnboundedSender<(String, Trip)>) -> Arc<Self> {
        let mut state = State { up: true, boot: 1, slow: 1, ..State::default() };
        state.packages.insert("nginx-light".to_owned());
        let mut put = |path: &str, text: &str| state.files.insert(path.to_owned(), file(text.as_bytes(), 0o644));
        put("/etc/nginx/nginx.conf", "events {}\n");
        put("/etc/nginx/conf.d/somebody.conf", "# not ours\n");
        put("/etc/systemd/system/nginx.service", "[Service]\n");
        put("/etc/systemd/system/somebody.service", "[Service]\n");
        put("/etc/systemd/system/old-alpha.service", "[Service]\n");
        for name in ["alpha", "beta", "delta", "gamma", "omega"] {
            put(&format!("/etc/secrets/{name}.env"), "TOKEN=1\n");
        }
        state.files.insert(DEFAULT_SITE.to_owned(), Lies::Link("/etc/nginx/sites-available/default".to_owned()));
        for unit in ["nginx.service", "somebody.service", "old-alpha.service"] {
            let State { files, systemd, held, .. } = &mut state;
            systemd.enable(files, unit).expect("it is there");
            systemd.start(files, held, unit).expect("it starts");
        }
        Arc::new(Self { name, tale, state: Mutex::new(state), trips })
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Something that the host does without whoever asked for it, until its power goes.
    pub fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        let task = tokio::spawn(work);
        let mut state = self.state();
        state.shells.retain(|shell| !shell.is_finished());
        state.shells.push(task.abort_handle());
        task
    }

    /// One operation of a script is about to be made: time goes by, and what was to happen now happens.
    pub async fn moment(self: &Arc<Self>) -> Result<(), String> {
        let pause = Duration::from_millis(8) * self.state().slow;
        sleep(pause).await;
        let Some(trip) = self.burn() else { return Ok(()) };
        self.tale.tell(|| format!("{}: {trip:?}", self.name));
        match trip {
            Trip::Fails(why) => {
                self.tale.count("failing operations");
                return Err(why.to_owned());
            }
            Trip::PowerLoss { boots_after } => {
                self.lose_power(Some(boots_after));
                std::future::pending::<()>().await;
            }
            Trip::Kill => {
                if self.kill() {
                    std::future::pending::<()>().await;
                }
            }
            // The story has ended when nobody hears.
            trip @ (Trip::Cut(..) | Trip::Crash(_) | Trip::TakeOver(_)) => {
                _ = self.trips.send((self.name.clone(), trip))
            }
        }
        Ok(())
    }

    fn burn(&self) -> Option<Trip> {
        let mut state = self.state();
        state.fuses.iter_mut().for_each(|fuse| fuse.left = fuse.left.saturating_sub(1));
        let burnt = state.fuses.iter().position(|fuse| fuse.left == 0)?;
        Some(state.fuses.remove(burnt).trip)
    }

    /// The disk stays; all that ran is gone. What was written to events a moment ago was not synced.
    pub fn lose_power(self: &Arc<Self>, boots_after: Option<Duration>) {
        let mut state = self.state();
        if !state.up {
            return;
        }
        self.tale.count("power losses");
        state.up = false;
        if let Some(transient) = state.transient.take() {
            self.tale.count("power losses in a phase or an undo");
            transient.task.inspect(AbortHandle::abort);
        }
        state.shells.drain(..).for_each(|shell| shell.abort());
        state.systemd.stop_all();
        state.serving = None;
        state.fronts.clear();
        let now = Instant::now();
        state.deployments.iter_mut().for_each(|directory| directory.forget_events(now));
        drop(state);
        if let Some(pause) = boots_after {
            let machine = self.clone();
            tokio::spawn(async move {
                sleep(pause).await;
                machine.power_on();
            });
        }
    }

    pub fn power_on(&self) {
        let mut state = self.state();
        if state.up {
            return;
        }
        self.tale.tell(|| format!("{}: boots", self.name));
        state.up = true;
        state.boot += 1;
        let State { files, systemd, held, .. } = &mut *state;
        systemd.boot(files, held);
        if systemd.is_active("nginx.service") {
            state.read_nginx();
        }
    }

    /// Kills what systemd runs for evenkeel, and has it run what comes after. What comes after can be killed,
    /// too: then it is cut off.
    pub fn kill(self: &Arc<Self>) -> bool {
        let mut state = self.state();
        let Some(transient) = state.transient.as_mut() else { return false };
        self.tale.count("killed scripts");
        transient.task.take().inspect(AbortHandle::abort);
        if !std::mem::take(&mut transient.active) {
            state.transient = None;
            return true;
        }
        let stop = transient.stop.clone();
        drop(state);
        let machine = self.clone();
        let task = tokio::spawn(async move { crate::transient::after(&machine, stop, "signal").await });
        if let Some(transient) = &mut self.state().transient {
            transient.task = Some(task.abort_handle());
        }
        true
    }

    /// A person changes something; what drifts so is nobody's lie.
    pub fn by_hand(&self, what: &str, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        if !state.up {
            return;
        }
        self.tale.tell(|| format!("{}: somebody changes {what}", self.name));
        state.by_hand.insert(what.to_owned(), Instant::now());
        change(&mut state);
    }
}

impl State {
    pub fn directory(&mut self, name: &str) -> Option<&mut Directory> {
        self.deployments.iter_mut().find(|directory| directory.name == name)
    }

    pub fn manifest_text(&self) -> Option<&[u8]> {
        match self.files.get(MANIFEST)? {
            Lies::File { content, .. } => Some(content),
            Lies::Link(_) => None,
        }
    }

    pub fn manifest(&self) -> Option<Manifest> {
        let text = std::str::from_utf8(self.manifest_text()?).expect("text");
        Some(Manifest::parse(text).expect("a manifest"))
    }

    /// The manifest that lies there, and those that deployments keep.
    pub fn manifests(&self) -> impl Iterator<Item = Manifest> {
        let phases = self.deployments.iter().flat_map(|directory| directory.phases.values());
        let kept = phases.flat_map(|phase| phase.journal.iter().flatten()).filter_map(|line| match line {
            Kept::File(path, Lies::File { content, .. }) if path == MANIFEST => std::str::from_utf8(content).ok(),
            _ => None,
        });
        kept.chain(self.manifest_text().and_then(|text| std::str::from_utf8(text).ok()))
            .map(|text| Manifest::parse(text).expect("a manifest"))
    }

    /// Puts into the manifest what a unit was started with, and answers what it said before.
    pub fn set_started_with(&mut self, unit: &str, inputs: Option<Digest>) -> Option<Digest> {
        let mut manifest = self.manifest()?;
        let before = std::mem::replace(&mut manifest.units.get_mut(unit)?.inputs, inputs);
        self.files.insert(MANIFEST.to_owned(), file(manifest.write().as_bytes(), 0o644));
        before
    }

    /// systemd tries again what does not come up.
    pub fn retry(&mut self) {
        let State { files, systemd, held, .. } = self;
        systemd.retry(files, held);
    }

    /// Stops a unit. What is wrong with that: of two copies one has to run while nginx leads a port to them.
    pub fn stop(&mut self, unit: &str) -> Option<String> {
        let ran = self.systemd.is_active(unit);
        self.systemd.stop(unit);
        let fleet = crate::fleet::NAME.parse().expect("a name");
        let replica = paths::replica_of_unit(&fleet, unit).filter(|replica| replica.slot != Slot::Sole)?;
        let leads = self.fronts.contains_key(&replica.port)
            && self.files.contains_key(&paths::front_file(&fleet, &replica.service, replica.port));
        let other = paths::unit(&fleet, &ReplicaId { slot: replica.slot.next(), ..replica });
        // Whom somebody stopped by hand nobody counted on.
        let by_hand = [unit, other.as_str()].iter().any(|unit| self.by_hand.contains_key(*unit));
        (ran && leads && !by_hand && !self.systemd.is_active(&other))
            .then(|| format!("{unit} stops, and no copy of it runs"))
    }

    /// The digest that nginx would answer with the files that lie there.
    pub fn digest_server(&self) -> Option<Digest> {
        let Lies::File { content, .. } = self.files.get(DIGEST_SERVER)? else { return None };
        let text = std::str::from_utf8(content).ok()?;
        text.split("return 200 \"").nth(1)?.split("\\n\";").next()?.parse().ok()
    }

    /// systemctl reload nginx: it says yes, and may go on as before.
    pub fn reload_nginx(&mut self) {
        if self.deaf > 0 {
            self.deaf -= 1;
        } else {
            self.read_nginx();
        }
    }

    /// nginx takes its files as they lie there.
    pub fn read_nginx(&mut self) {
        self.serving = self.digest_server();
        let fleet = crate::fleet::NAME.parse().expect("a name");
        let fronts = self.files.iter().filter_map(|(path, lies)| {
            let ((_, port), Lies::File { content, .. }) = (paths::front_of(&fleet, path)?, lies) else { return None };
            let text = std::str::from_utf8(content).ok()?;
            let answer = text.split("return 200 \"").nth(1)?.split("\\n\";").next()?.parse().ok()?;
            Some((port, answer))
        });
        self.fronts = fronts.collect();
    }
}
