//! `evenkeel apply`: plans, asks, carries out, records. From a clean checkout, without a daemon.

use std::io::{BufRead as _, IsTerminal as _};

use super::{
    DONE, ERROR, Exit, Failure, PARTIAL, REFUSED, ROLLED_BACK, common, progress,
    repository::{Place, RepositoryArgs},
};
use crate::{
    engine::{
        controller::targets,
        execute::{cancellation::Halting, cleanup::heal},
        history::{
            log::{self, Newest},
            store::{GitStore, HistoryStore as _, Signing, StoreError},
        },
        observe::{
            connections::Roster,
            probe::{Hosts, observe, plan_from},
        },
        prepare::Prepared,
        sync::{
            deploy::{self, ControllerId, PassError},
            recover::Case,
        },
    },
    git::WorkTree,
    host::SshHost,
    model::{
        name::EnvironmentName,
        outcome::{Conclusion, Outcome},
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
    let roster = args.hosts.reach.roster(&overrides)?;
    let mut tree = args.hosts.fleet.read()?;
    let place = args.repository.place(&tree.root, args.hosts.reach.ssh_key.as_deref())?;
    let Some(commit) = tree.commit.clone().filter(|_| tree.clean) else {
        return Err(Failure::new(REFUSED, "the work tree has changes that are not committed")
            .hint("commit them: what is deployed must have a name (`evenkeel plan` works without)"));
    };
    // Refused before anybody is asked anything.
    args.hosts.environment(&tree)?;
    let _claim = common::block_on(async {
        if server::is_running(&place.socket()).await {
            return Err(Failure::new(
                REFUSED,
                "a controller is running for this repository, and applies what is pushed",
            )
            .hint("push the commit, and watch `evenkeel status`"));
        }
        place.claim()
    })?;
    let commits = common::block_on(compose(&place, &mut tree, &commit))?;
    let prepared = args.hosts.prepare(&tree, &overrides, commits.clone(), || Ok(place.clone()))?;
    let plan = match common::block_on(deploy(args, &roster, &place, &tree.fleet, prepared, &commit))? {
        Next::Done(code) => return Ok(code),
        Next::Build(plan) => plan,
    };
    println!("Building what is not built yet; no host is touched before that is done.");
    if let Err(why) = place.build_cache().cgroups() {
        println!("Builds get no cgroup of their own: {why}.");
    }
    match args.hosts.build(&tree, &overrides, commits, &place)? {
        Ok(built) => match common::block_on(deploy(args, &roster, &place, &tree.fleet, built, &commit))? {
            Next::Done(code) => Ok(code),
            Next::Build(_) => Err(Failure::new(ERROR, "what was built is gone again; nothing was touched")),
        },
        Err(error) => {
            if let Some(refused) = error.failed_build(&asked_by()) {
                common::block_on(async {
                    let store = place.store(&tree.fleet).await?;
                    Ok(deploy::record_refusal(&store, &plan, &ControllerId::of(&place.state), &refused).await?)
                })?;
            }
            Err(error.into())
        }
    }
}

/// Puts into the tree what the default branch alone decides, as a controller does: a branch does not move where it
/// is deployed to. Answers the commits that the tree is made of then.
async fn compose(place: &Place, tree: &mut WorkTree, commit: &str) -> Result<Commits, Failure> {
    let store = GitStore::new(place.open()?, &tree.fleet);
    let fetched = store.fetch().await?;
    let id = commit.to_owned();
    if store.call(move |repository| repository.commit_summary(&id)).await.is_err() {
        return Err(Failure::new(REFUSED, format!("commit {commit:.12} is not at {}", place.url))
            .hint("push it first: the record names it, and others must find it"));
    }
    let branch = &fetched.default_branch;
    let Some(default) = fetched.branches.get(branch) else {
        return Err(Failure::new(REFUSED, format!("{} has no branch {branch}", place.url))
            .hint("push it: fleet.yaml, environments/ and instances/ are read from there"));
    };
    if default != commit {
        let composed = store.tree(default, commit, &tree.fleet).await?;
        if composed != tree.tree {
            println!("fleet.yaml, environments/ and instances/ are those of {branch}, which differ from these here.");
        }
        tree.tree = composed;
    }
    Ok(Commits::of_config(Some(default.clone()), Some(commit.to_owned())))
}

/// What an attempt came to.
enum Next {
    Done(u8),
    /// This plan needs builds first.
    Build(Box<Plan>),
}

/// Plans and carries out, unless something has to be built first.
async fn deploy(
    args: &Args,
    roster: &Roster<SshHost>,
    place: &Place,
    fleet: &str,
    prepared: Prepared,
    commit: &str,
) -> Result<Next, Failure> {
    let store = place.store(fleet).await?;
    if let Signing::NotListed(line) = store.signing().await? {
        return Err(StoreError::NoWriter { line }.into());
    }
    // Whoever reaches the hosts from here needs no branch for it; controllers that follow one do.
    store.vouch(&prepared.fleet.environment.name, &prepared.commits).await?;
    let good = log::newest(&store, &prepared.fleet.environment.name).await?.state.good;
    let prepared = prepared.after(good.map(|good| good.commits.sources).unwrap_or_default());
    let hosts = roster.hosts(&prepared.fleet);
    let apply =
        Apply { args, prepared: &prepared, hosts: &hosts, store: &store, identity: ControllerId::of(&place.state) };
    apply.close_what_is_open().await?;
    let on = log::newest(&store, apply.environment()).await?;
    apply.permitted(&on).await?;
    let plan = apply.plan(&on).await?;
    if plan.needs_builds() && !plan.is_refused() {
        apply.merged(commit).await?;
        return Ok(Next::Build(Box::new(plan)));
    }
    apply.run(&plan, &on).await.map(Next::Done)
}

fn asked_by() -> String {
    format!("{} (evenkeel apply)", std::env::var("USER").unwrap_or_else(|_| "somebody".into()))
}

struct Apply<'a> {
    args: &'a Args,
    prepared: &'a Prepared,
    hosts: &'a Hosts<SshHost>,
    store: &'a GitStore,
    identity: ControllerId,
}

impl Apply<'_> {
    fn environment(&self) -> &EnvironmentName {
        &self.prepared.fleet.environment.name
    }

    /// A deployment that was cut off is ended before another begins.
    async fn close_what_is_open(&self) -> Result<(), Failure> {
        let newest = log::newest(self.store, self.environment()).await?;
        let Some(intent) = newest.open() else { return Ok(()) };
        if intent.controller_id != self.identity.id && !self.args.take_over {
            let (environment, controller) = (self.environment().clone(), intent.controller.clone());
            return Err(PassError::UnderWay { environment, generation: intent.generation, controller }.into());
        }
        anstream::println!("Generation {} was left open by {}; ending it first.", intent.generation, intent.controller);
        let Some(intent) = deploy::claim(self.store, &newest, &self.identity).await? else { return Ok(()) };
        let case = Case {
            intent: &intent,
            prepared: self.prepared,
            hosts: self.hosts,
            store: self.store,
            still_wanted: intent.commits == self.prepared.commits && self.args.hosts.instance.is_empty(),
            halt: &Halting::never(),
            watch: &|event| progress::print(&event),
        };
        let deployment = case.close().await?;
        anstream::println!("{}", report::deployment::outcome(&deployment, common::style()));
        Ok(())
    }

    /// What stands against deploying these commits.
    async fn permitted(&self, on: &Newest) -> Result<(), Failure> {
        let state = &on.state;
        for refusal in &on.refusals {
            anstream::eprintln!("{}", report::refusal::line(self.environment(), refusal));
        }
        let refuse = |what: String, hint: &str| Err(Failure::new(REFUSED, what).hint(hint));
        if let Some(hold) = state.hold() {
            return refuse(format!("{} is {}", self.environment(), report::control::held(hold)), "`evenkeel resume`");
        }
        let required = &self.prepared.fleet.environment.require_checks;
        if !required.is_empty() {
            let what = format!("{} asks for checks to be green first: {}", self.environment(), required.join(", "));
            return refuse(what, "a controller that is signed in to GitHub looks at them, and deploys");
        }
        let commits = &self.prepared.commits;
        if let Some(quarantined) = state.quarantined(commits) {
            let (generation, why) = (quarantined.generation, &quarantined.why);
            return refuse(
                format!("this commit is quarantined: generation {generation} failed: {why}"),
                "commit what mends it, or `evenkeel retry`",
            );
        }
        let meant = self.args.allow_rewind || state.rewind_to.as_ref().is_some_and(|meant| meant.same_config(commits));
        let rewinds = targets::rewinds(self.store, state, commits).await.map_err(|error| Failure::of(&error))?;
        if on.doubt.is_some() && !meant {
            return refuse(
                format!(
                    "it is not known what is live in {}: the history names commits that do not count",
                    self.environment()
                ),
                "look at `evenkeel history`, then deploy this commit all the same: --allow-rewind",
            );
        }
        if rewinds && !meant {
            return refuse(
                "this commit leaves out the deployed one".to_owned(),
                "merge the deployed commit, or say that it is meant: --allow-rewind",
            );
        }
        Ok(())
    }

    /// A build runs what a commit says, so only what somebody has merged is built.
    async fn merged(&self, commit: &str) -> Result<(), Failure> {
        let branch = &self.prepared.fleet.environment.branch;
        let fetched = self.store.fetch().await?;
        let merged = match fetched.branches.get(branch) {
            Some(head) => self.store.is_ancestor(commit, head).await?,
            None => false,
        };
        if merged {
            return Ok(());
        }
        let message = format!("something of commit {commit:.12} has to be built, and {branch} does not hold it");
        Err(Failure::new(REFUSED, message).hint("merge it first: nothing is built of what is not merged"))
    }

    async fn plan(&self, on: &Newest) -> Result<Plan, Failure> {
        let spinner = progress::Spinner::start("observing");
        let mut observed = observe(self.prepared, self.hosts, &spinner.watch()).await;
        heal(self.prepared, self.hosts, &mut observed, on.ended(), &spinner.watch()).await;
        let mut plan = plan_from(self.prepared, &observed, on.newest_generation());
        spinner.finish();
        let held = on.state.held_instances().map(|(name, hold)| (name, report::control::held(hold)));
        drift::without_held(&mut plan, held);
        Ok(plan)
    }

    async fn run(&self, plan: &Plan, on: &Newest) -> Exit {
        let (args, watch) = (self.args, |event| progress::print(&event));
        anstream::print!("{}", report::plan::text(plan, common::style()));
        if plan.is_refused() {
            return Ok(REFUSED);
        }
        if !plan.has_changes() {
            return Ok(if plan.unknown_instances().next().is_some() { PARTIAL } else { DONE });
        }
        if !args.yes {
            confirm(plan)?;
        }
        let order = deploy::Order {
            prepared: self.prepared,
            plan,
            hosts: self.hosts,
            store: self.store,
            on,
            identity: &self.identity,
            triggered_by: asked_by(),
            suspects: Vec::new(),
            halt: &Halting::never(),
            watch: &watch,
        };
        let deployment = deploy::carry_out(&order).await?;
        anstream::println!("{}", report::deployment::outcome(&deployment, common::style()));
        Ok(exit(plan, &deployment))
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

fn exit(plan: &Plan, deployment: &Conclusion) -> u8 {
    match deployment.outcome() {
        Outcome::Applied | Outcome::Unchanged => DONE,
        // What `-i` left out was not asked for.
        Outcome::Partial if deployment.failed.is_empty() && plan.unknown_instances().next().is_none() => DONE,
        Outcome::Partial => PARTIAL,
        Outcome::RolledBack => ROLLED_BACK,
        Outcome::Refused => REFUSED,
        Outcome::RollbackFailed | Outcome::Stopped => ERROR,
    }
}
