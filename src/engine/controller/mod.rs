//! The loop: follows the repository, and keeps every environment equal to it.
//!
//! Owns the loop's state, alone: who else wants to know or to change something of it has a [`Handle`], which sends
//! messages and watches what is published. Keeps true: one `select!`; handling an event is `decide`, a plain function; a
//! trigger only wakes the loop, which looks again; an environment has one sync at a time, and environments do not wait
//! for one another. What a sync does is `sync/pursue.rs`.
//!
//! A branch or a history that is gone or cannot be read is the trouble of its own environment (`Unresolved` in
//! `targets.rs`): its last good commits are kept up, and the others go on. An instance that did not answer is asked on its
//! own, and no sync waits for it.

pub mod checks;
mod handle;
mod state;
pub mod targets;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use thiserror::Error;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, info_span};

pub use handle::Handle;
pub use state::{Published, Statuses};

use crate::{
    decide::{self, Effect, Event, Policy, State},
    engine::{
        execute::cancellation::{Halt, Halting},
        history::{controller_id::CONTROLLER, store::Store},
        sync::{
            durations::SyncDurations,
            environment::{Asker, EnvironmentSync, Look, Purpose},
            pursue::{Pursuit, ask},
            workspace::Workspace,
        },
    },
    github::GitHub,
    host::HostWrite,
    model::{event::EventKind, name::EnvironmentName},
};
use handle::Message;
use state::ControllerState;

/// How long what runs is waited for when the loop ends. Hosts go on by themselves.
const FAREWELL: Duration = Duration::from_secs(8);
/// The loop shows that it lives at least so often.
const PULSE: Duration = Duration::from_secs(2);

/// Why the loop ended without being told to.
#[derive(Debug, Error)]
pub enum LoopError {
    #[error("a sync ended in a panic, which is a fault of evenkeel; the next start looks at everything again")]
    Panicked(#[source] tokio::task::JoinError),
}

/// The loop, before it runs.
pub struct Controller<H, S> {
    workspace: Arc<Workspace<H, S>>,
    policy: Policy,
    /// Where checks are asked for, when it is signed in to.
    github: Option<Arc<GitHub>>,
    state: ControllerState,
    pulse: Arc<AtomicU64>,
    messages: mpsc::UnboundedReceiver<Message>,
    sender: mpsc::UnboundedSender<Message>,
}

impl<H: HostWrite, S: Store> Controller<H, S> {
    /// A loop, and what others have of it.
    pub fn new(workspace: Workspace<H, S>, policy: Policy, github: Option<Arc<GitHub>>) -> (Self, Handle<H, S>) {
        let workspace = Arc::new(workspace);
        let (sender, messages) = mpsc::unbounded_channel();
        let (published, watched) = watch::channel(Published::default());
        let pulse = Arc::<AtomicU64>::default();
        let handle = Handle::new(workspace.clone(), watched, sender.clone(), pulse.clone());
        let state =
            ControllerState::new(workspace.identity.clone(), workspace.events.clone(), policy.observe_only, published);
        (Self { workspace, policy, github, state, pulse, messages, sender }, handle)
    }

    /// Runs until `stop`. `triggers` wake it. What runs on hosts then is left to them, and the next start
    /// goes on from there. When it is dropped, all that it does ends with it.
    pub async fn run(mut self, stop: CancellationToken, mut triggers: mpsc::Receiver<()>) -> Result<(), LoopError> {
        let began = Instant::now();
        let now = || began.elapsed().as_millis() as u64;
        let mut decided = State::default();
        let mut tasks = JoinSet::new();
        let mut event = Some(Event::Tick);
        loop {
            self.pulse.fetch_add(1, Ordering::Relaxed);
            if let Some(event) = event.take() {
                let jitter = (self.workspace.jitter)();
                for effect in decide::decide(&mut decided, self.policy, event, now(), jitter) {
                    self.start(effect, &mut tasks);
                }
            }
            let pause = Duration::from_millis(decide::next_due(&decided, self.policy).saturating_sub(now()).max(1));
            while let Some(ended) = tasks.try_join_next() {
                // Nobody would ever hear that it has ended; a new start finds out what it left behind.
                ended.map_err(LoopError::Panicked)?;
            }
            event = tokio::select! {
                // Each branch is cancel-safe: a token, a timer, and channels that lose nothing.
                biased; // so that the same events make the same story
                () = stop.cancelled() => break,
                Some(()) = triggers.recv() => Some(Event::Triggered),
                Some(message) = self.messages.recv() => self.state.hear(message),
                () = tokio::time::sleep(pause.min(PULSE)) => Some(Event::Tick),
            };
        }
        self.workspace.events.emit(EventKind::ControllerStopping {});
        self.state.detach();
        let ended = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(FAREWELL, ended).await.is_err() {
            self.workspace.events.emit(EventKind::ControllerCutShort {});
        }
        Ok(())
    }

    /// Has a task carry the effect out, which sends what comes of it.
    fn start(&mut self, effect: Effect, tasks: &mut JoinSet<()>) {
        let (workspace, sender) = (self.workspace.clone(), self.sender.clone());
        // The send fails only after the loop has ended.
        let send = move |message| drop(sender.send(message));
        match effect {
            Effect::Fetch => {
                let mut resolver = self.state.lend_resolver();
                let (github, knows_nothing) = (self.github.clone(), self.state.knows_nothing());
                let purpose = if self.policy.observe_only { Purpose::Observe } else { Purpose::Change };
                tasks.spawn(async move {
                    let fetching = resolver.fetch(&workspace, github.as_deref(), knows_nothing, purpose);
                    let fetched = Box::pin(fetching).await;
                    send(Message::Fetched { fetched: Box::new(fetched), resolver: Box::new(resolver) });
                });
            }
            Effect::Pass { environment, goal, unreachable, backed_off, ailing } => {
                let (memory, halts) = self.state.lend_memory(&environment);
                let span = info_span!("pass", %environment);
                let pursuing = async move {
                    let durations = SyncDurations::begin();
                    let watch = |kind| workspace.events.of(&environment).emit(kind);
                    let tell = |change| send(Message::Status { environment: environment.clone(), change });
                    let pursuit = Pursuit {
                        sync: EnvironmentSync {
                            workspace: &workspace,
                            environment: &environment,
                            triggered_by: CONTROLLER,
                            asker: Asker::Loop,
                            look: Look::Prompt { unreachable: &unreachable, turn: memory.turn },
                            backed_off: &backed_off,
                            ailing: &ailing,
                            halting: &|| Halting::new(halts.subscribe()),
                            watch: &watch,
                            durations: &durations,
                        },
                        goal: &goal,
                        tell: &tell,
                    };
                    let pursued = Box::new(Box::pin(pursuit.run(memory)).await);
                    send(Message::Pursued { environment: environment.clone(), goal: goal.clone(), pursued });
                };
                tasks.spawn(pursuing.instrument(span));
            }
            Effect::Ask { environment, instance } => {
                tasks.spawn(async move {
                    let answered = ask(&workspace, &environment, &instance).await;
                    send(Message::Event(Event::Asked { environment, instance, answered }));
                });
            }
        }
    }
}

/// The cancellation of what runs in each environment.
type Halts = BTreeMap<EnvironmentName, watch::Sender<Halt>>;
