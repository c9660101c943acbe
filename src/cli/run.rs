//! `evenkeel run`: the long-running reconciler.

use std::{path::Path, sync::Arc, time::Duration};

use notify::{RecursiveMode, Watcher as _};
use tokio::{signal::unix, sync::mpsc};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

use super::{DONE, ERROR, Exit, Failure, common, repository::RepositoryArgs};
use crate::{
    decide::Policy,
    engine::{ledger::GitLedger, pass::Seat, reconcile::Reconciler},
    git::Repository,
    model::quantity::Span,
    report::{
        self, Style,
        progress::{Event, StepState},
    },
    server,
};

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
    #[arg(long, default_value = "text")]
    log_format: common::Format,
}

pub fn run(args: &Args) -> Exit {
    start_log(args.log_format);
    let overrides = args.reach.overrides()?;
    let place = args.repository.place(Path::new("."), args.reach.ssh_key.as_deref())?;
    common::block_on(async {
        let repository = place.open()?;
        let listener = server::bind(&place.socket())
            .await
            .map_err(|error| Failure::of(&error).hint("stop the other one first, or name another --state DIR"))?;
        let _claim = place.claim()?;
        let stop = CancellationToken::new();
        let (poke, pokes) = mpsc::channel(1);
        // Held as long as the loop runs: a watcher that is dropped watches no more.
        let _watcher = watch_local(&repository, poke);
        info!("following {}, state in {}", place.url, place.state.display());
        let reconciler = Arc::new(Reconciler::new(
            GitLedger::new(repository),
            args.reach.roster(),
            overrides,
            args.fleet.trim_matches('/').to_owned(),
            Policy { poll_every: args.poll.0.as_millis() as u64, observe_only: args.observe_only },
            Seat::of(&place.state),
            Box::new(log_event),
        ));
        stop_on_signals(stop.clone())?;
        let serving = tokio::spawn(server::serve(listener, reconciler.clone(), stop.clone()));
        reconciler.run(stop, pokes).await;
        if let Ok(Err(error)) = serving.await {
            warn!("the socket: {error}");
        }
        // Gone already is as good.
        let _ = std::fs::remove_file(place.socket());
        info!("ended");
        Ok(DONE)
    })
}

fn start_log(format: common::Format) {
    let filter = EnvFilter::try_from_env("EVENKEEL_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match format {
        common::Format::Json => builder.json().init(),
        common::Format::Text => builder.with_ansi(common::style().0).init(),
    }
}

/// Wakes the loop when a repository on this machine changes. One waiting poke is enough.
pub fn watch_local(repository: &Repository, poke: mpsc::Sender<()>) -> Option<notify::RecommendedWatcher> {
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
    let mut watcher = notify::recommended_watcher(on_event)
        .inspect_err(|error| warn!("cannot watch the repository, polling only: {error}"))
        .ok()?;
    for path in paths {
        if let Err(error) = watcher.watch(&path, RecursiveMode::Recursive) {
            warn!("cannot watch {}, polling only: {error}", path.display());
        }
    }
    Some(watcher)
}

fn stop_on_signals(stop: CancellationToken) -> Result<(), Failure> {
    let told = |error| Failure::new(ERROR, format!("cannot wait for signals: {error}"));
    let mut terminate = unix::signal(unix::SignalKind::terminate()).map_err(told)?;
    let mut interrupt = unix::signal(unix::SignalKind::interrupt()).map_err(told)?;
    tokio::spawn(async move {
        tokio::select! {
            // Both are cancel-safe: a signal that comes is kept.
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
        tokio::time::sleep(Duration::from_secs(60)).await;
        #[expect(clippy::disallowed_methods, reason = "a call that hangs must not keep systemd waiting for its kill")]
        std::process::exit(i32::from(ERROR));
    });
    Ok(())
}

/// What happens on instances, into the log.
fn log_event(event: Event) {
    match &event {
        Event::Step { instance, id, state: StepState::Failed(why), .. } => {
            tracing::error!(%instance, step = id, "{why}");
        }
        Event::Step { instance, id, state: StepState::Done, .. } => info!(%instance, step = id, "done"),
        Event::Step { state: StepState::Started, .. } | Event::Connecting { .. } | Event::Observed { .. } => {}
        Event::NotReached { instance, why } => warn!(%instance, "{why}"),
        Event::Warning(_) | Event::Unhealthy { .. } => warn!("{}", report::progress::line(&event, Style(false)).trim()),
        _ => info!("{}", report::progress::line(&event, Style(false)).trim()),
    }
}
