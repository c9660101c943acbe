//! `evenkeel hold`, `resume`, `retry`, `cancel`: what people ask of an environment. Where a controller runs
//! it is asked over its socket; where none runs it is written into the history, and the next one heeds it.

use std::path::Path;

use super::{
    DONE, ERROR, Exit, Failure, REFUSED, common,
    repository::{Place, RepositoryArgs},
};
use crate::{
    engine::{
        history::store::GitStore,
        requests::control::{self, Ask, Request},
    },
    model::name::{EnvironmentName, InstanceName},
    report,
    server::{self, ServerError},
};

/// Which environment, and where its controller is.
#[derive(clap::Args)]
pub struct Counter {
    #[command(flatten)]
    repository: RepositoryArgs,
    /// The environment; needed where the fleet declares several.
    #[arg(short, long, value_name = "NAME")]
    environment: Option<EnvironmentName>,
    /// The fleet folder's path in the repository.
    #[arg(long, value_name = "DIR", default_value = "fleet")]
    fleet: String,
    /// Who asks, for the record. Default: you.
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

/// Change nothing in an environment, or on one instance, until it is resumed.
#[derive(clap::Args)]
pub struct HoldArgs {
    #[command(flatten)]
    counter: Counter,
    /// Only this instance.
    #[arg(short, long, value_name = "NAME")]
    instance: Option<InstanceName>,
    /// Why: people read it in `status` and in the history.
    #[arg(short, long, value_name = "TEXT")]
    reason: String,
}

/// End a hold.
#[derive(clap::Args)]
pub struct ResumeArgs {
    #[command(flatten)]
    counter: Counter,
    /// The instance that is held.
    #[arg(short, long, value_name = "NAME")]
    instance: Option<InstanceName>,
    /// Why: it stands in the record.
    #[arg(short, long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Try the newest commits again now: lifts their quarantine, and waits for nothing.
#[derive(clap::Args)]
pub struct RetryArgs {
    #[command(flatten)]
    counter: Counter,
    /// Also when they leave out the deployed commit, as after a forced push.
    #[arg(long)]
    allow_rewind: bool,
    /// Also end a deployment that another controller left open. Only when that one is gone for good: it is
    /// fenced off, and what it did is undone.
    #[arg(long)]
    take_over: bool,
    /// Why: it stands in the record.
    #[arg(short, long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Stop a running deployment at the next safe step, and undo it.
#[derive(clap::Args)]
pub struct CancelArgs {
    #[command(flatten)]
    counter: Counter,
    /// Why: it stands in the record.
    #[arg(short, long, value_name = "TEXT", default_value = "no reason given")]
    reason: String,
}

pub fn hold(args: &HoldArgs) -> Exit {
    args.counter.ask(Ask::Hold { instance: args.instance.clone(), reason: args.reason.clone() }, None)
}

pub fn resume(args: &ResumeArgs) -> Exit {
    args.counter.ask(Ask::Resume { instance: args.instance.clone() }, args.reason.clone())
}

pub fn retry(args: &RetryArgs) -> Exit {
    let ask = Ask::Retry { allow_rewind: args.allow_rewind, take_over: args.take_over };
    args.counter.ask(ask, args.reason.clone())
}

pub fn cancel(args: &CancelArgs) -> Exit {
    args.counter.ask(Ask::Cancel { reason: args.reason.clone() }, None)
}

impl Counter {
    pub fn place(&self) -> Result<Place, Failure> {
        self.repository.place(Path::new("."), None)
    }

    pub fn folder(&self) -> &str {
        self.fleet.trim_matches('/')
    }

    /// The environment that is meant.
    pub async fn environment(&self, store: &GitStore) -> Result<EnvironmentName, Failure> {
        Ok(control::environment(store, self.folder(), self.environment.as_ref()).await?)
    }

    /// Asks, for this reason where `ask` has none of its own.
    pub fn ask(&self, ask: Ask, reason: Option<String>) -> Exit {
        let place = self.place()?;
        let user = self.by.clone().or_else(|| std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).ok());
        let by = if self.by.is_some() { user.unwrap_or_default() } else { control::asker(user) };
        let request = Request { environment: self.environment.clone(), by, ask, reason };
        let said = common::block_on(async {
            if server::is_running(&place.socket()).await {
                return server::ask_control(&place.socket(), &request).await.map_err(|error| match error {
                    ServerError::Refused(_) => Failure::new(REFUSED, error.to_string()),
                    error => Failure::of(&error),
                });
            }
            if request.ask.needs_reconciler() {
                let what = match request.ask {
                    Ask::Cancel { .. } => "no controller runs here, so nothing runs that could be cancelled",
                    _ => "no controller runs here that could take a deployment over",
                };
                return Err(Failure::new(ERROR, what)
                    .hint("ask where one runs; `evenkeel status` says which controller that is"));
            }
            let store = place.store(self.folder()).await?;
            let (environment, control) = control::record(&store, self.folder(), &request).await?;
            let said = report::control::line(&control);
            Ok(format!("{environment}: {said} (recorded; no controller runs here)"))
        })?;
        anstream::println!("{said}");
        Ok(DONE)
    }
}
