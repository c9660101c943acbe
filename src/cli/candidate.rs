//! What `apply` deploys: a commit of the work tree, by the same sync as the daemon's.
//!
//! Keeps true: what the default branch alone decides comes from there, as for a controller; a commit that others cannot
//! find is not deployed, and nothing is built of what is not merged.

use std::sync::Arc;

use super::{Failure, REFUSED, common, progress, repository::Place};
use crate::{
    decide::{
        self,
        sync::{self, Meant, Permit},
    },
    engine::{
        Watch,
        controller::targets::{hours, rewinds},
        events::Events,
        execute::cancellation::Halting,
        history::{
            controller_id::ControllerId,
            log::Newest,
            store::{ConfigSource as _, GitStore, HistoryStore as _, Signing, StoreError},
        },
        prepare::{Prepared, preparation::Preparation},
        sync::{
            deploy::DeployError,
            durations::SyncDurations,
            environment::{Asker, BackedOff, EnvironmentSync, Look, Planned, Purpose, RecoveryTarget},
            workspace::Workspace,
        },
    },
    git::WorkTree,
    host::SshHost,
    model::{
        name::{EnvironmentName, InstanceName},
        outcome::Conclusion,
        plan::Commits,
        repair::Ailing,
    },
    report,
};

/// A commit, and all that it takes to deploy it.
pub struct Candidate {
    workspace: Workspace<SshHost, GitStore>,
    environment: EnvironmentName,
    commits: Commits,
    /// Only these instances; all where there are none.
    instances: Vec<InstanceName>,
    triggered_by: String,
    backed_off: BackedOff,
    ailing: Ailing,
    durations: SyncDurations,
}

impl Candidate {
    /// Of the work tree's commit, which the repository has to hold.
    pub async fn new(
        hosts: &common::HostArgs,
        place: &Place,
        tree: &WorkTree,
        environment: EnvironmentName,
    ) -> Result<Self, Failure> {
        let overrides = hosts.reach.overrides()?;
        let connections = hosts.reach.connections(&overrides)?;
        let store = place.store(&tree.fleet).await?;
        if let Signing::NotListed(line) = store.signing().await? {
            return Err(StoreError::NoWriter { line }.into());
        }
        let commits = commits(&store, place, tree).await?;
        // Whoever reaches the hosts from here needs no branch for it; controllers that follow one do.
        store.vouch(&environment, &commits).await?;
        let mut preparation = Preparation::new(tree.fleet.clone(), overrides);
        preparation.fetcher = Arc::new(place.fetcher()?);
        preparation.build_cache = Some(Arc::new(place.build_cache()));
        let workspace = Workspace {
            store,
            connections,
            preparation,
            identity: ControllerId::of(&place.state),
            events: Events::new(progress::print),
            jitter: Box::new(|| 0.0),
        };
        Ok(Self {
            workspace,
            environment,
            commits,
            instances: hosts.instance.clone(),
            triggered_by: format!("{} (evenkeel apply)", std::env::var("USER").unwrap_or_else(|_| "somebody".into())),
            backed_off: BackedOff::new(),
            ailing: Ailing::default(),
            durations: SyncDurations::begin(),
        })
    }

    fn sync<'a>(&'a self, watch: &'a Watch<'a>) -> EnvironmentSync<'a, SshHost, GitStore> {
        EnvironmentSync {
            workspace: &self.workspace,
            environment: &self.environment,
            triggered_by: &self.triggered_by,
            asker: Asker::Person,
            look: Look::Whole,
            backed_off: &self.backed_off,
            ailing: &self.ailing,
            halting: &Halting::never,
            watch,
            durations: &self.durations,
        }
    }

    /// The commit prepared, once nothing stands against deploying it. A deployment that was cut off is ended first.
    pub async fn permitted(&self, meant: Meant) -> Result<Arc<Prepared>, Failure> {
        loop {
            let newest = self.workspace.newest(&self.environment).await?;
            for refusal in &newest.refusals {
                anstream::eprintln!("{}", report::refusal::line(&self.environment, refusal));
            }
            let prepared = self.prepared(&newest).await?;
            let target = self.target(&prepared, &newest).await?;
            let refuse = |(what, hint): (String, &str)| Err(Failure::new(REFUSED, what).hint(hint));
            return match sync::permit(&target, meant) {
                Permit::Deploy => Ok(prepared),
                Permit::Recover => {
                    self.recover(&newest).await?;
                    continue;
                }
                Permit::UnderWay => {
                    let controller = newest.open().map(|open| open.controller.clone()).unwrap_or_default();
                    let (environment, generation) = (self.environment.clone(), newest.generation());
                    Err(DeployError::UnderWay { environment, generation, controller }.into())
                }
                Permit::Pinned(pin) => refuse(report::permit::pinned(&self.environment, &pin)),
                Permit::Refused(why) => {
                    refuse(report::permit::refused(&self.environment, &why, &target.commits, &newest.state))
                }
            };
        }
    }

    async fn prepared(&self, newest: &Newest) -> Result<Arc<Prepared>, Failure> {
        let _fetching = progress::Spinner::start("fetching what lies elsewhere");
        let prepared = self.sync(&|_| {}).prepared(&self.commits, newest).await?;
        self.narrowed(prepared)
    }

    /// Leaves only the instances that are asked for.
    fn narrowed(&self, prepared: Arc<Prepared>) -> Result<Arc<Prepared>, Failure> {
        common::only_known(&prepared, &self.instances)?;
        Ok(if self.instances.is_empty() { prepared } else { Arc::new((*prepared).clone().only(&self.instances)) })
    }

    async fn target(&self, prepared: &Prepared, newest: &Newest) -> Result<decide::Target, Failure> {
        let commits = prepared.commits.clone();
        let history = newest.snapshot(&self.workspace.identity);
        let required = &prepared.fleet.environment.require_checks;
        let checks = decide::Checks { of: commits.clone(), missing: required.clone() };
        Ok(decide::Target {
            rewinds: rewinds(&self.workspace.store, &newest.state, &commits).await?,
            observe_every: 0,
            checks: (!required.is_empty()).then_some(checks),
            hours: hours(&prepared.fleet.environment.calendar, chrono::Utc::now()),
            commits,
            history,
        })
    }

    async fn recover(&self, newest: &Newest) -> Result<(), Failure> {
        if let Some(open) = newest.open() {
            anstream::println!("Generation {} was left open by {}; ending it first.", open.generation, open.controller);
        }
        let target = RecoveryTarget { commits: &self.commits, is_whole: self.instances.is_empty() };
        if let Some(recovery) = self.sync(&|_| {}).recover(newest, target).await? {
            let conclusion = recovery.ended?;
            anstream::println!("{}", report::deployment::outcome(&conclusion, common::style()));
        }
        Ok(())
    }

    /// Observes and plans.
    pub async fn plan(&self, prepared: Arc<Prepared>) -> Result<Planned<SshHost>, Failure> {
        let spinner = progress::Spinner::start("observing");
        Ok(self.sync(&spinner.watch()).plan(prepared, Purpose::Change).await?)
    }

    /// A build runs what a commit says, so only what somebody has merged is built.
    pub async fn built(&self, planned: &Planned<SshHost>) -> Result<Arc<Prepared>, Failure> {
        self.refuse_unmerged(&planned.prepared.fleet.environment.branch).await?;
        println!("Building what is not built yet; no host is touched before that is done.");
        if let Some(Err(why)) = self.workspace.preparation.build_cache.as_ref().map(|cache| cache.cgroups()) {
            println!("Builds get no cgroup of their own: {why}.");
        }
        let sync = self.sync(&|_| {});
        match sync.built(&self.commits, &planned.on).await {
            Ok(built) => self.narrowed(built),
            Err(error) => {
                if let Some(refused) = error.failed_build(&self.triggered_by) {
                    sync.record_refusal(&planned.plan, &refused).await;
                }
                Err(error.into())
            }
        }
    }

    async fn refuse_unmerged(&self, branch: &str) -> Result<(), Failure> {
        let store = &self.workspace.store;
        let fetched = store.fetch().await?;
        let commit = self.commits.environment.as_ref();
        let merged = match (commit, fetched.branches.get(branch)) {
            (Some(commit), Some(head)) => store.is_ancestor(commit, head).await?,
            _ => false,
        };
        if merged {
            return Ok(());
        }
        let commit = commit.map_or("", |commit| commit.as_str());
        let message = format!("something of commit {commit:.12} has to be built, and {branch} does not hold it");
        Err(Failure::new(REFUSED, message).hint("merge it first: nothing is built of what is not merged"))
    }

    /// Carries the plan out, and records it.
    pub async fn carry_out(&self, planned: &Planned<SshHost>) -> Result<Conclusion, Failure> {
        Ok(self.sync(&|_| {}).carry_out(planned).await?)
    }
}

/// The commits that are deployed: the default branch alone decides where to, so a branch does not move that.
async fn commits(store: &GitStore, place: &Place, tree: &WorkTree) -> Result<Commits, Failure> {
    let Some(commit) = tree.commit.clone() else {
        return Err(Failure::new(REFUSED, format!("{} has no commit yet", tree.root.display()))
            .hint("commit and push it first: the record names the commit, and others must find it"));
    };
    let fetched = store.fetch().await?;
    let id = commit.clone();
    if store.call(move |repository| repository.commit_summary(&id)).await.is_err() {
        return Err(Failure::new(REFUSED, format!("commit {commit:.12} is not at {}", place.url))
            .hint("push it first: the record names it, and others must find it"));
    }
    let branch = &fetched.default_branch;
    let Some(default) = fetched.branches.get(branch) else {
        return Err(Failure::new(REFUSED, format!("{} has no branch {branch}", place.url))
            .hint("push it: fleet.yaml, environments/ and instances/ are read from there"));
    };
    if *default != commit && store.tree(default, &commit, &tree.fleet).await? != tree.tree {
        println!("fleet.yaml, environments/ and instances/ are those of {branch}, which differ from these here.");
    }
    Ok(Commits::of_config(Some(default.clone()), Some(commit)))
}
