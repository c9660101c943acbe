//! `evenkeel apply`: plans, asks, carries out, records. From a clean checkout, without a daemon.

use std::io::{BufRead as _, IsTerminal as _};

use super::{
    DONE, ERROR, Exit, Failure, PARTIAL, REFUSED, ROLLED_BACK, candidate::Candidate, common, repository::RepositoryArgs,
};
use crate::{
    decide::sync::{Meant, Next},
    model::{
        outcome::{Conclusion, Outcome},
        plan::Plan,
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
    /// Deploy even if the commit does not contain the deployed commit (after a force-push), or was rolled back.
    #[arg(long)]
    allow_rewind: bool,
    /// End a deployment that another controller left open. Only when that controller is gone for good.
    #[arg(long)]
    take_over: bool,
    /// Deploy although no deployment may begin now (`windows` and `freezes` of the environment).
    #[arg(long)]
    now: bool,
}

pub fn run(args: &Args) -> Exit {
    let tree = args.hosts.fleet.read()?;
    let place = args.repository.place(&tree.root, args.hosts.reach.ssh_key.as_deref())?;
    if tree.commit.is_none() || !tree.clean {
        return Err(Failure::new(REFUSED, "the work tree has changes that are not committed")
            .hint("commit them: what is deployed must have a name (`evenkeel plan` works without)"));
    }
    // Refused before anybody is asked anything.
    let environment = args.hosts.environment(&tree)?;
    common::block_on(async {
        if server::is_running(&place.socket()).await {
            let message = "a controller is running for this repository, and applies what is pushed";
            return Err(Failure::new(REFUSED, message).hint("push the commit, and watch `evenkeel status`"));
        }
        let _claim = place.claim()?;
        let candidate = Candidate::new(&args.hosts, &place, &tree, environment).await?;
        apply(args, &candidate).await
    })
}

async fn apply(args: &Args, candidate: &Candidate) -> Exit {
    let meant = Meant { rewind: args.allow_rewind, take_over: args.take_over, now: args.now };
    let prepared = candidate.permitted(meant).await?;
    let mut planned = candidate.plan(prepared).await?;
    if planned.next() == Next::Build {
        planned = candidate.plan(candidate.built(&planned).await?).await?;
    }
    anstream::print!("{}", report::plan::text(&planned.plan, common::style()));
    match planned.next() {
        Next::Refuse => Ok(REFUSED),
        Next::Build => Err(Failure::new(ERROR, "what was built is gone again; nothing was touched")),
        Next::Complete | Next::Nothing if planned.plan.unknown_instances().next().is_some() => Ok(PARTIAL),
        Next::Complete | Next::Nothing => Ok(DONE),
        Next::CarryOut => {
            if !args.yes {
                confirm(&planned.plan)?;
            }
            let conclusion = candidate.carry_out(&planned).await?;
            anstream::println!("{}", report::deployment::outcome(&conclusion, common::style()));
            Ok(exit(&planned.plan, &conclusion))
        }
    }
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

fn exit(plan: &Plan, conclusion: &Conclusion) -> u8 {
    match conclusion.outcome() {
        Outcome::Applied | Outcome::Unchanged => DONE,
        // What `-i` left out was not asked for, and what is held is meant to stay.
        Outcome::Partial if conclusion.failed.is_empty() && plan.unknown_instances().next().is_none() => DONE,
        Outcome::Partial => PARTIAL,
        Outcome::RolledBack => ROLLED_BACK,
        Outcome::Refused => REFUSED,
        Outcome::RollbackFailed | Outcome::Stopped => ERROR,
    }
}
