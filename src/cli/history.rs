//! `evenkeel history` and `evenkeel show`: the deployments, from the history branch.

use std::path::Path;

use super::{DONE, ERROR, Exit, Failure, common, repository::RepositoryArgs};
use crate::{
    declare,
    git::Repository,
    model::{environment_state::HistoryEntry, name::EnvironmentName, outcome::Record},
    report,
};

/// List the deployments of an environment, newest first.
#[derive(clap::Args)]
pub struct HistoryArgs {
    #[command(flatten)]
    which: Which,
    /// How many at most.
    #[arg(short = 'n', long, default_value_t = 20)]
    number: usize,
}

/// Show one deployment in full.
#[derive(clap::Args)]
pub struct ShowArgs {
    #[command(flatten)]
    which: Which,
    /// A generation, or the beginning of a history commit's id. Default: the newest.
    deployment: Option<String>,
}

/// Which history.
#[derive(Debug, Clone, clap::Args)]
pub struct Which {
    #[command(flatten)]
    repository: RepositoryArgs,
    /// The environment; needed where the fleet declares several.
    #[arg(short, long, value_name = "NAME")]
    environment: Option<EnvironmentName>,
    /// The fleet folder's path in the repository.
    #[arg(long, value_name = "DIR", default_value = "fleet")]
    fleet: String,
    #[arg(long, default_value = "text")]
    format: common::Format,
}

pub fn run(args: &HistoryArgs) -> Exit {
    let (repository, environment) = args.which.find()?;
    let entries = repository.history(&environment, args.number)?;
    match args.which.format {
        common::Format::Text => anstream::print!("{}", report::deployment::history(&entries, common::style())),
        common::Format::Json => entries.iter().for_each(|entry| print!("{}", report::deployment::json(entry))),
    }
    Ok(DONE)
}

pub fn show(args: &ShowArgs) -> Exit {
    let (repository, environment) = args.which.find()?;
    let matches = |record: &Record| match &args.deployment {
        None => true,
        Some(wanted) => {
            record.deployment.generation.to_string() == *wanted
                || (wanted.len() >= 6 && record.commit.starts_with(wanted.as_str()))
        }
    };
    let Some(record) = repository.find_record(&environment, matches)? else {
        return Err(match &args.deployment {
            None => Failure::new(ERROR, format!("{environment} has no deployments yet")),
            Some(wanted) => Failure::new(ERROR, format!("{environment} has no deployment {wanted}"))
                .hint("`evenkeel history` lists them"),
        });
    };
    match args.which.format {
        common::Format::Text => anstream::print!("{}", report::deployment::show(&record, common::style())),
        common::Format::Json => print!("{}", report::deployment::json(&HistoryEntry::Deployment(Box::new(record)))),
    }
    Ok(DONE)
}

impl Which {
    /// The mirror, and the environment.
    fn find(&self) -> Result<(Repository, EnvironmentName), Failure> {
        let repository = self.repository.place(Path::new("."), None)?.open()?;
        let fetched = repository.fetch()?;
        let environment = match &self.environment {
            Some(environment) => environment.clone(),
            None => {
                let commit = fetched.branches.get(&fetched.default_branch);
                let tree = commit.map(|commit| repository.tree(commit)).transpose()?.unwrap_or_default();
                let (declaration, _) = declare::read_shared(&tree, self.fleet.trim_matches('/'));
                let known: Vec<EnvironmentName> = declaration.iter().flat_map(|d| d.environments()).cloned().collect();
                match &known[..] {
                    [only] => only.clone(),
                    _ => {
                        let list = known.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
                        return Err(Failure::new(ERROR, "which environment?").hint(format!("name one with -e: {list}")));
                    }
                }
            }
        };
        Ok((repository, environment))
    }
}
