//! `evenkeel apply`: plans, asks, carries out, records. From a clean checkout, without a daemon.

use std::io::{BufRead as _, IsTerminal as _};

use super::{DONE, ERROR, Exit, Failure, PARTIAL, REFUSED, ROLLED_BACK, common, progress, repository::RepositoryArgs};
use crate::{
    engine::{
        Prepared, chronicle,
        halt::Halting,
        heal::heal,
        ledger::GitLedger,
        look::{Hosts, observe, plan_from},
        pass::{self, PassError, Seat},
        recover::Case,
        wanted,
    },
    host::SshHost,
    model::{
        name::EnvironmentName,
        outcome::{Deployment, Outcome},
        plan::{Commits, Plan},
    },
    plan::drift,
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
    /// Also when the commit leaves out the deployed one.
    #[arg(long)]
    allow_rewind: bool,
    /// End a deployment that another controller left open. Only when that controller is gone for good.
    #[arg(long)]
    take_over: bool,
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
    let _claim = common::block_on(async {
        if server::is_running(&place.socket()).await {
            return Err(Failure::new(
                REFUSED,
                "a reconciler is running for this repository, and applies what is pushed",
            )
            .hint("push the commit, and watch `evenkeel status`"));
        }
        place.claim()
    })?;
    common::block_on(async {
        let ledger = place.ledger().await?;
        let id = commit.clone();
        if ledger.call(move |repository| repository.commit_summary(&id)).await.is_err() {
            return Err(Failure::new(REFUSED, format!("commit {commit:.12} is not at {}", place.url))
                .hint("push it first: the record names it, and others must find it"));
        }
        let hosts = args.hosts.reach.roster().hosts(&prepared.fleet);
        let apply = Apply { args, prepared: &prepared, hosts: &hosts, ledger: &ledger, seat: Seat::of(&place.state) };
        apply.close_what_is_open().await?;
        apply.permitted().await?;
        apply.run().await
    })
}

struct Apply<'a> {
    args: &'a Args,
    prepared: &'a Prepared,
    hosts: &'a Hosts<SshHost>,
    ledger: &'a GitLedger,
    seat: Seat,
}

impl Apply<'_> {
    fn environment(&self) -> &EnvironmentName {
        &self.prepared.fleet.environment.name
    }

    /// A deployment that was cut off is ended before another begins.
    async fn close_what_is_open(&self) -> Result<(), Failure> {
        let newest = chronicle::newest(self.ledger, self.environment()).await?;
        let Some(intent) = newest.open() else { return Ok(()) };
        if intent.seat != self.seat.id && !self.args.take_over {
            let (environment, controller) = (self.environment().clone(), intent.controller.clone());
            return Err(PassError::UnderWay { environment, generation: intent.generation, controller }.into());
        }
        anstream::println!("Generation {} was left open by {}; ending it first.", intent.generation, intent.controller);
        let Some(intent) = pass::claim(self.ledger, &newest, &self.seat).await? else { return Ok(()) };
        let case = Case {
            intent: &intent,
            prepared: self.prepared,
            hosts: self.hosts,
            ledger: self.ledger,
            still_wanted: intent.commits == self.prepared.commits && self.args.hosts.instance.is_empty(),
            halt: &Halting::never(),
            watch: &|event| progress::print(&event),
        };
        let deployment = case.close().await?;
        anstream::println!("{}", report::deployment::outcome(&deployment, common::style()));
        Ok(())
    }

    /// What stands against deploying these commits.
    async fn permitted(&self) -> Result<(), Failure> {
        let standing = chronicle::newest(self.ledger, self.environment()).await?.standing;
        let refuse = |what: String, hint: &str| Err(Failure::new(REFUSED, what).hint(hint));
        if let Some(hold) = standing.hold() {
            return refuse(format!("{} is {}", self.environment(), report::control::held(hold)), "`evenkeel resume`");
        }
        let commits = &self.prepared.commits;
        if let Some(quarantined) = standing.quarantined(commits) {
            let (generation, why) = (quarantined.generation, &quarantined.why);
            return refuse(
                format!("this commit is quarantined: generation {generation} failed: {why}"),
                "commit what mends it, or `evenkeel retry`",
            );
        }
        let meant = self.args.allow_rewind || standing.rewind_to.as_ref() == Some(commits);
        let rewinds = wanted::rewinds(self.ledger, &standing, commits).await.map_err(|error| Failure::of(&error))?;
        if rewinds && !meant {
            return refuse(
                "this commit leaves out the deployed one".to_owned(),
                "merge the deployed commit, or say that it is meant: --allow-rewind",
            );
        }
        Ok(())
    }

    async fn run(&self) -> Exit {
        let (args, watch) = (self.args, |event| progress::print(&event));
        let spinner = progress::Spinner::start("observing");
        let mut observed = observe(self.prepared, self.hosts, &spinner.watch()).await;
        let newest = chronicle::newest(self.ledger, self.environment()).await?;
        heal(self.prepared, self.hosts, &mut observed, newest.ended(), &spinner.watch()).await;
        let mut plan = plan_from(self.prepared, &observed);
        spinner.finish();
        let standing = newest.standing;
        let held = standing.held_instances().map(|(name, hold)| (name, report::control::held(hold)));
        drift::without_held(&mut plan, held);
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
        let order = pass::Order {
            prepared: self.prepared,
            plan: &plan,
            hosts: self.hosts,
            ledger: self.ledger,
            seat: &self.seat,
            triggered_by: format!("{} (evenkeel apply)", std::env::var("USER").unwrap_or_else(|_| "somebody".into())),
            suspects: Vec::new(),
            halt: &Halting::never(),
            watch: &watch,
        };
        let deployment = pass::carry_out(&order).await?;
        anstream::println!("{}", report::deployment::outcome(&deployment, common::style()));
        Ok(exit(&plan, &deployment))
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
