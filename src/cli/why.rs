//! `evenkeel why`: from something on a host back to the commit that asked for it.

use super::{DONE, Exit, PARTIAL, common, progress, question::Question, repository::RepositoryArgs};
use crate::{
    engine::{
        history::{log, store::HistoryStore as _},
        observe::probe::{observe, plan_from},
        requests::why::{Subject, why},
    },
    model::name::InstanceName,
    report::{self, release::Known},
};

/// How many deployments back the last change is looked for.
const RECORDS: usize = 500;

/// Say why a service, site, unit or path is as it is on its instances.
///
/// With `--repo` the answer is of what that repository declares at the newest commit of the environment's branch, and
/// says which that is; else of the work tree. Example: `evenkeel why service/shop --repo git@github.com:acme/fleet.git`.
#[derive(clap::Args)]
pub struct Args {
    /// service/NAME, site/NAME, a unit's name, or a path on a host.
    subject: Subject,
    #[command(flatten)]
    hosts: common::HostArgs,
    #[command(flatten)]
    repository: RepositoryArgs,
    #[arg(long, default_value = "text")]
    format: common::Format,
}

pub fn run(args: &Args) -> Exit {
    let overrides = args.hosts.reach.overrides()?;
    let Question { tree, place, commits, read } = args.hosts.question(&args.repository)?;
    let prepared = args.hosts.prepare(&tree, &overrides, commits, || Ok(place.clone()))?;
    read.iter().for_each(|read| common::say(read));
    common::block_on(async {
        let hosts = args.hosts.reach.roster(&overrides)?.hosts(&prepared.fleet);
        let spinner = progress::Spinner::start("observing");
        let observed = observe(&prepared, &hosts, &spinner.watch()).await;
        let environment = prepared.fleet.environment.name.clone();
        let store = place.store(&tree.fleet).await?;
        let recorded = log::newest(&store, &environment).await?;
        let plan = plan_from(&prepared, &observed, recorded.newest_generation());
        let mut known = Known::default();
        let newest = store.tip(&environment).await?.map(|tip| tip.files).unwrap_or_default();
        newest.iter().for_each(|(path, text)| known.learn(path, &String::from_utf8_lossy(text)));
        let records = log::records(&store, &environment, RECORDS).await?;
        spinner.finish();
        let view = why(&args.subject, &prepared, &plan, &observed, &records, &known.logs);
        match args.format {
            common::Format::Text => anstream::print!("{}", report::why::text(&view, common::style())),
            common::Format::Json => print!("{}", report::why::json(&view)),
        }
        let unknown = |name: &InstanceName| plan.unknown_instances().any(|(unknown, _)| unknown == name);
        Ok(if view.instances.iter().any(|told| unknown(&told.instance)) { PARTIAL } else { DONE })
    })
}
