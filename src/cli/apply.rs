//! `evenkeel apply`: plans, asks, carries out, records. From a clean checkout, without a daemon.

use std::io::{BufRead as _, IsTerminal as _};

use super::{DONE, ERROR, Exit, Failure, PARTIAL, REFUSED, ROLLED_BACK, common, progress, repository::RepositoryArgs};
use crate::{
    engine::{look::look, pass},
    model::{
        outcome::{Deployment, Outcome},
        plan::{Commits, Plan},
    },
    report, server,
};

/// Make the live hosts equal to the work tree's fleet, and record it.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    hosts: common::HostArgs,
    #[command(flatten)]
    repository: RepositoryArgs,
    /// Do not ask.
    #[arg(short, long)]
    yes: bool,
}

pub fn run(args: &Args) -> Exit {
    let overrides = args.hosts.reach.overrides()?;
    let tree = args.hosts.fleet.read()?;
    let place = args.repository.place(&tree.root, args.hosts.reach.ssh_key.as_deref())?;
    let Some(commit) = tree.commit.clone().filter(|_| tree.clean) else {
        return Err(Failure::new(REFUSED, "the work tree has changes that are not committed")
            .hint("commit them: what is deployed must have a name (`evenkeel plan` works without)"));
    };
    let commits = Commits { default: Some(commit.clone()), environment: Some(commit.clone()) };
    let prepared = args.hosts.prepare(&tree, &overrides, commits)?;
    common::block_on(async {
        if server::is_running(&place.socket()).await {
            return Err(Failure::new(
                REFUSED,
                "a reconciler is running for this repository, and applies what is pushed",
            )
            .hint("push the commit, and watch `evenkeel status`"));
        }
        let ledger = place.ledger().await?;
        let id = commit.clone();
        if ledger.call(move |repository| repository.commit_summary(&id)).await.is_err() {
            return Err(Failure::new(REFUSED, format!("commit {commit:.12} is not at {}", place.url))
                .hint("push it first: the record names it, and others must find it"));
        }
        let hosts = args.hosts.reach.roster().hosts(&prepared.fleet);
        let spinner = progress::Spinner::start("observing");
        let plan = look(&prepared, &hosts, &spinner.watch()).await;
        spinner.finish();
        anstream::print!("{}", report::plan::text(&plan, common::style()));
        if plan.is_refused() {
            return Ok(REFUSED);
        }
        if !plan.has_changes() {
            return Ok(if plan.unknown_instances().next().is_some() { PARTIAL } else { DONE });
        }
        if !args.yes {
            confirm(&plan)?;
        }
        let watch = |event| progress::print(&event);
        let order = pass::Order {
            prepared: &prepared,
            plan: &plan,
            hosts: &hosts,
            ledger: &ledger,
            triggered_by: format!("{} (evenkeel apply)", std::env::var("USER").unwrap_or_else(|_| "somebody".into())),
            watch: &watch,
        };
        let deployment = pass::carry_out(&order).await?;
        anstream::println!("{}", report::deployment::outcome(&deployment, common::style()));
        Ok(exit(&plan, &deployment))
    })
}

fn confirm(plan: &Plan) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(ERROR, "nobody is there to confirm").hint("look at the plan, then use --yes"));
    }
    anstream::eprint!("\nApply {}? Only `yes` is taken: ", report::plan::headline(plan));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    if answer.trim() == "yes" { Ok(()) } else { Err(Failure::new(ERROR, "not confirmed; nothing was touched")) }
}

fn exit(plan: &Plan, deployment: &Deployment) -> u8 {
    match deployment.outcome {
        Some(Outcome::Applied | Outcome::Unchanged) => DONE,
        // What `-i` left out was not asked for.
        Some(Outcome::Partial) if plan.unknown_instances().next().is_none() => DONE,
        Some(Outcome::Partial) => PARTIAL,
        Some(Outcome::RolledBack) => ROLLED_BACK,
        Some(Outcome::Refused) => REFUSED,
        Some(Outcome::RollbackFailed | Outcome::Stopped) | None => ERROR,
    }
}
