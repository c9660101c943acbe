//! `evenkeel rollback`: an earlier deployment's fleet, as a commit on a branch; with `--now` also live at once.

use super::{DONE, ERROR, Exit, Failure, REFUSED, common, controls::Counter};
use crate::engine::requests::{
    control::Ask,
    rollback::{self, Past, RollbackError},
};

/// Restore an earlier deployment's fleet, as a commit on a branch to be merged.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    counter: Counter,
    /// The generation to go back to. Default: the last one that was applied before what is live.
    generation: Option<u64>,
    /// Also bring the hosts back now: the environment is pinned to that deployment until a newer commit.
    #[arg(long)]
    now: bool,
    /// Why: it stands in the commit, and with `--now` in the record.
    #[arg(short, long, value_name = "TEXT")]
    reason: Option<String>,
}

pub fn run(args: &Args) -> Exit {
    let place = args.counter.place()?;
    let (target, branch) = common::block_on(async {
        let store = place.store(args.counter.folder()).await?;
        let environment = args.counter.environment(&store).await?;
        let target = rollback::earlier(&store, &environment, args.generation).await?;
        match rollback::restore(&store, args.counter.folder(), &target, args.reason.as_deref()).await {
            Ok(restored) => Ok((target, Some(restored.branch))),
            // Only what lies elsewhere has moved since: no commit here brings that back.
            Err(error) if args.now && error.is_nothing_to_restore() => Ok((target, None)),
            Err(error) => Err(error.into()),
        }
    })?;
    let Past { environment, generation, commits } = &target;
    let commit = commits.environment.as_deref().unwrap_or_default();
    match branch {
        Some(branch) => anstream::println!(
            "{environment}: branch {branch} holds the fleet as generation {generation} deployed it (commit {commit:.12})."
        ),
        None => anstream::println!(
            "{environment}: the fleet is as generation {generation} deployed it (commit {commit:.12}); what has moved \
             lies in other repositories."
        ),
    }
    if args.now {
        let ask = Ask::Pin { generation: target.generation, commits: target.commits };
        return args.counter.ask(ask, args.reason.clone());
    }
    anstream::println!("Merge it to go back; `evenkeel rollback --now` brings the hosts back at once.");
    Ok(DONE)
}

impl From<RollbackError> for Failure {
    fn from(error: RollbackError) -> Self {
        match error {
            RollbackError::Store(error) => error.into(),
            RollbackError::NeverApplied { .. } => {
                Failure::new(ERROR, error.to_string()).hint("`evenkeel history` lists them")
            }
            RollbackError::Refused { .. } => Failure::new(REFUSED, error.to_string())
                .hint("`evenkeel show` says who recorded it; to go back there all the same, merge that commit"),
            RollbackError::NothingEarlier { .. } => Failure::new(REFUSED, error.to_string()),
            RollbackError::Unreadable { .. } => {
                Failure::new(ERROR, error.to_string()).hint("restore its commit by hand, with git")
            }
        }
    }
}
