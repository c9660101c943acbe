//! `evenkeel run`: the long-running controller.
//!
//! The controller's files. The state directory is 0700, one that was open is closed at the start, and what commands
//! that keep state write is their owner's alone (umask 077), but for commits in a repository on this machine: those
//! are as open as its own objects (`git/local.rs`).

use std::{path::Path, sync::Arc};

use notify::{RecursiveMode, Watcher as _};
use rand::RngExt as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{DONE, Exit, Failure, common, log, repository::RepositoryArgs, signals, webhook::WebhookArgs};
use crate::{
    decide::Policy,
    engine::{
        controller::Controller,
        events::Events,
        history::{controller_id::ControllerId, store::GitStore},
        prepare::{attempts::Attempts, confined::Limits, preparation::Preparation},
        sync::workspace::Workspace,
    },
    git::Repository,
    model::{
        event::{Detail, EventKind},
        quantity::{Memory, Span},
    },
    pulls::{PullRequests, ReaderSetup},
    server::{self, door, systemd},
};

/// So many deliveries wait for their turn; what is lost of more, polling finds.
const DELIVERIES: usize = 1000;

/// Follow the config repository and keep the hosts equal to it.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    repository: RepositoryArgs,
    /// The fleet folder's path in the repository.
    #[arg(long, value_name = "DIR", default_value = "fleet")]
    fleet: String,
    #[command(flatten)]
    reach: common::ReachArgs,
    /// How often the repository is asked for new commits. A local one is watched besides.
    #[arg(long, value_name = "SPAN", default_value = "30s")]
    poll: Span,
    /// Change nothing, anywhere: only look, and say what would be done. For a first week.
    #[arg(long)]
    observe_only: bool,
    #[command(flatten)]
    webhook: WebhookArgs,
    /// The most memory that reading and planning one pull request may take, in a process of its own.
    #[arg(long, value_name = "SIZE", default_value = "1G")]
    proposal_memory: Memory,
    /// The longest that reading or planning one pull request may take, of the processor and of the clock.
    #[arg(long, value_name = "SPAN", default_value = "1m")]
    proposal_time: Span,
    /// How records on stderr look. In JSON, what a record is about has a field of its own, as in `jq .instance`.
    #[arg(long, default_value = "text")]
    log_format: common::Format,
}

pub fn run(args: &Args) -> Exit {
    log::start(args.log_format);
    let overrides = args.reach.overrides()?;
    let place = args.repository.place(Path::new("."), args.reach.ssh_key.as_deref())?;
    let fetcher = place.fetcher()?;
    let events = Events::new(log::record);
    common::block_on(async {
        let repository = place.open()?;
        let listener = server::bind(&place.socket())
            .await
            .map_err(|error| Failure::of(&error).hint("stop the other one first, or name another --state DIR"))?;
        let _claim = place.claim()?;
        let stop = CancellationToken::new();
        let (poke, triggers) = mpsc::channel(1);
        let github = place.github.clone();
        let (heard, deliveries) = mpsc::channel(DELIVERIES);
        let webhook = args.webhook.open(poke.clone(), github.is_some().then_some(heard), &events).await?;
        // Held as long as the loop runs: a watcher that is dropped watches no more.
        let _watcher = watch_local(&repository, poke.clone(), &events);
        let following = format!("following {}", place.url);
        let (of, state) = (Detail::of(&place.url), Detail::of(place.state.display()));
        events.emit(EventKind::ControllerStarted { repository: of, state });
        let key = place.controllers_key()?;
        events.emit(EventKind::ControllerKey { key: Detail::of(key.line()) });
        let mut preparation = Preparation::new(args.fleet.trim_matches('/').to_owned(), overrides.clone());
        preparation.fetcher = Arc::new(fetcher);
        let build_cache = Arc::new(place.build_cache());
        // Before any other process is started: a cgroup that is divided holds none itself.
        let why = build_cache.cgroups().as_ref().err().map(Detail::of);
        events.emit(EventKind::BuildsConfined { build_cgroups: why.is_none(), why });
        preparation.build_cache = Some(build_cache);
        let attempts = Arc::new(Attempts::open(&place.state));
        preparation.attempts = attempts.clone();
        let workspace = Workspace {
            store: GitStore::new(repository, &args.fleet).with_signers(vec![key]).with_events(events.clone()),
            connections: args.reach.connections(&overrides)?,
            preparation,
            identity: ControllerId::of(&place.state),
            events: events.clone(),
            jitter: Box::new(|| rand::rng().random()),
        };
        let policy = Policy { poll_every: args.poll.0.as_millis() as u64, observe_only: args.observe_only };
        let (controller, handle) = Controller::new(workspace, policy, github.clone());
        let pulls = github.map(|github| -> Result<_, Failure> {
            let connections = args.reach.connections(&overrides)?;
            let limits = Limits { memory: args.proposal_memory.bytes(), time: args.proposal_time.0 };
            let mut reading = ReaderSetup::new(place.state.clone(), limits);
            reading.overrides.clone_from(&args.reach.overrides);
            Ok(Arc::new(PullRequests::new(handle.clone(), github, connections, reading, args.poll.0, poke.clone())))
        });
        let pulls = pulls.transpose()?;
        let reloading = (handle.clone(), pulls.clone());
        signals::obey(events.clone(), stop.clone(), following.clone(), move || {
            let (handle, pulls) = &reloading;
            handle.workspace.connections.forget();
            pulls.iter().for_each(|pulls| pulls.forget_connections());
            handle.workspace.events.emit(EventKind::ConnectionsRenewed {});
        })?;
        let pulls = pulls.map(|pulls| {
            tokio::spawn(pulls.clone().tell(stop.clone()));
            tokio::spawn(pulls.clone().tell_what_waits(stop.clone()));
            tokio::spawn(pulls.run(deliveries, stop.clone()))
        });
        let serving = tokio::spawn(server::serve(listener, handle.clone(), stop.clone()));
        let webhook =
            webhook.map(|(door, router)| tokio::spawn(door::serve(events.clone(), door, router, stop.clone())));
        tokio::spawn(systemd::watchdog(events.clone(), systemd::beats(handle.pulse.clone()), stop.clone()));
        systemd::ready(&events, &following);
        let ended = controller.run(stop.clone(), triggers).await;
        // Also when the loop ended by itself.
        stop.cancel();
        if let Ok(Err(error)) = serving.await {
            events.emit(EventKind::SocketFailed { why: Detail::of(error) });
        }
        // They end by themselves, soon after `stop`.
        if let Some(webhook) = webhook {
            let _ = webhook.await;
        }
        if let Some(pulls) = pulls {
            let _ = pulls.await;
        }
        // Gone already is as good.
        let _ = std::fs::remove_file(place.socket());
        attempts.close();
        events.emit(EventKind::ControllerEnded {});
        ended.map(|()| DONE).map_err(|error| Failure::of(&error))
    })
}

/// Wakes the loop when a repository on this machine changes. One waiting poke is enough.
pub fn watch_local(
    repository: &Repository,
    poke: mpsc::Sender<()>,
    events: &Events,
) -> Option<notify::RecommendedWatcher> {
    let paths = repository.watch_paths();
    if paths.is_empty() {
        return None;
    }
    let on_event = move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !event.kind.is_access()) {
            // A full channel holds a poke already.
            let _ = poke.try_send(());
        }
    };
    let unwatched = |why: String| events.emit(EventKind::RepositoryUnwatched { why: why.into() });
    let watcher = notify::recommended_watcher(on_event);
    let mut watcher = watcher.inspect_err(|error| unwatched(error.to_string())).ok()?;
    for path in paths {
        if let Err(error) = watcher.watch(&path, RecursiveMode::Recursive) {
            unwatched(format!("{}: {error}", path.display()));
        }
    }
    Some(watcher)
}
