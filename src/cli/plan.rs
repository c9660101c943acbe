//! `evenkeel plan`: what differs between the work tree's fleet and the live hosts. Changes nothing.

use super::{CHANGES, DONE, Exit, PARTIAL, REFUSED, common, progress, repository::RepositoryArgs};
use crate::{
    engine::observe::probe::look,
    model::plan::{Commits, Plan},
    report,
};

/// Show what would change on the live hosts; changes nothing.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    hosts: common::HostArgs,
    #[command(flatten)]
    repository: RepositoryArgs,
    #[arg(long, default_value = "text")]
    format: common::Format,
    /// Exit with 2 when there are changes.
    #[arg(long)]
    detailed_exitcode: bool,
}

pub fn run(args: &Args) -> Exit {
    let overrides = args.hosts.reach.overrides()?;
    let tree = args.hosts.fleet.read()?;
    args.repository.refuse_mixture(&tree, args.hosts.reach.ssh_key.as_deref())?;
    let commit = if tree.clean { tree.commit.clone() } else { None };
    let commits = Commits::of_config(commit.clone(), commit);
    let prepared = args.hosts.prepare(&tree, &overrides, commits, || {
        args.repository.place(&tree.root, args.hosts.reach.ssh_key.as_deref())
    })?;
    common::block_on(async {
        let hosts = args.hosts.reach.roster(&overrides)?.hosts(&prepared.fleet);
        let spinner = progress::Spinner::start("observing");
        let plan = look(&prepared, &hosts, None, &spinner.watch()).await;
        spinner.finish();
        match args.format {
            common::Format::Text => anstream::print!("{}", report::plan::text(&plan, common::style())),
            common::Format::Json => print!("{}", report::plan::json(&plan)),
        }
        Ok(exit(&plan, args.detailed_exitcode))
    })
}

fn exit(plan: &Plan, detailed: bool) -> u8 {
    if plan.is_refused() {
        REFUSED
    } else if plan.has_changes() && detailed {
        CHANGES
    } else if plan.unknown_instances().next().is_some() {
        PARTIAL
    } else {
        DONE
    }
}
