//! `evenkeel rollback`: an earlier deployment's fleet, as a commit on a branch; with `--now` also live at once.

use super::{DONE, ERROR, Exit, Failure, REFUSED, common, controls::Counter};
use crate::{
    declare,
    engine::{chronicle, desk::Ask, ledger::GitLedger},
    model::{
        name::EnvironmentName,
        outcome::{Deployment, Kind, Outcome},
        source::Origin,
    },
    report,
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
}

pub fn run(args: &Args) -> Exit {
    let place = args.counter.place()?;
    let (environment, target, branch) = common::block_on(async {
        let ledger = place.ledger().await?;
        let environment = args.counter.environment(&ledger).await?;
        let target = earlier(&ledger, &environment, args.generation).await?;
        let branch = restore(&ledger, args.counter.folder(), &environment, &target).await?;
        Ok((environment, target, branch))
    })?;
    let commit = target.commits.environment.clone().unwrap_or_default();
    anstream::println!(
        "{environment}: branch {branch} holds the fleet as generation {} deployed it (commit {commit:.12}).",
        target.generation
    );
    if args.now {
        return args.counter.ask(Ask::Pin { generation: target.generation, commits: target.commits });
    }
    anstream::println!("Merge it to go back; `evenkeel rollback --now` brings the hosts back at once.");
    Ok(DONE)
}

/// The deployment to go back to.
async fn earlier(
    ledger: &GitLedger,
    environment: &EnvironmentName,
    generation: Option<u64>,
) -> Result<Deployment, Failure> {
    let name = environment.clone();
    let records = ledger.call(move |repository| repository.records(&name, usize::MAX)).await?;
    let good = chronicle::newest(ledger, environment).await?.standing.good;
    let applied = records.into_iter().map(|record| record.deployment).filter(|deployment| {
        deployment.outcome == Some(Outcome::Applied)
            && deployment.kind == Kind::Change
            && deployment.commits.environment.is_some()
    });
    let mut candidates = applied.filter(|deployment| match generation {
        Some(generation) => deployment.generation == generation,
        None => good
            .as_ref()
            .is_none_or(|good| deployment.generation < good.generation && deployment.commits != good.commits),
    });
    candidates.next().ok_or_else(|| match generation {
        Some(generation) => Failure::new(ERROR, format!("generation {generation} of {environment} was never applied"))
            .hint("`evenkeel history` lists them"),
        None => Failure::new(REFUSED, format!("{environment} has no earlier deployment to go back to")),
    })
}

/// Makes the branch, and answers its name.
async fn restore(
    ledger: &GitLedger,
    folder: &str,
    environment: &EnvironmentName,
    target: &Deployment,
) -> Result<String, Failure> {
    let missing = || Failure::new(ERROR, format!("generation {} names no commit", target.generation));
    let from = target.commits.environment.clone().ok_or_else(missing)?;
    let (folder, name, generation) = (folder.to_owned(), environment.clone(), target.generation);
    let branch = format!("evenkeel/rollback/{environment}-{generation}");
    let made = branch.clone();
    let message = report::deployment::restore_message(target);
    ledger
        .call(move |repository| {
            let fetched = repository.fetch()?;
            let default = fetched.branches.get(&fetched.default_branch).cloned().unwrap_or_default();
            let tree = repository.composed_tree(&default, &from, &folder)?;
            let (declaration, _) = declare::read(&tree, &folder);
            let follows = declaration.as_ref().and_then(|declared| declared.environment_branch(&name));
            let base = follows.and_then(|branch| fetched.branches.get(branch)).cloned().unwrap_or(default);
            // Code that lies outside of the fleet folder goes back with it.
            let fleet = declaration.and_then(|declared| declared.resolve(&name, &Default::default()).ok());
            let mut paths = vec![folder.clone()];
            for source in fleet.iter().flat_map(|fleet| fleet.sources().into_keys()) {
                match &source.origin {
                    Origin::Folder(path) if !path.starts_with(&format!("{folder}/")) => paths.push(path.clone()),
                    // What lies elsewhere is found where it was.
                    Origin::Folder(_) | Origin::Git(_) | Origin::Archive(_) => {}
                }
            }
            repository.restore(&made, &base, &from, &paths, &message, chrono::Utc::now())
        })
        .await?;
    Ok(branch)
}
