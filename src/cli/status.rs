//! `evenkeel status`: what the reconciler knows; where none runs, what can be seen now.

use std::path::Path;

use super::{DONE, Exit, PARTIAL, common, progress, repository::RepositoryArgs};
use crate::{
    engine::{look::look, survey},
    model::plan::Commits,
    report::{self, status::StatusView},
    server,
};

/// Show whether the hosts are as declared, and healthy.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    hosts: common::HostArgs,
    #[command(flatten)]
    repository: RepositoryArgs,
    #[arg(long, default_value = "text")]
    format: common::Format,
}

pub fn run(args: &Args) -> Exit {
    let place = args.repository.place(args.hosts.fleet.fleet.as_path(), args.hosts.reach.ssh_key.as_deref());
    let place = place.or_else(|failure| args.repository.place(Path::new("."), None).map_err(|_| failure))?;
    let overrides = args.hosts.reach.overrides()?;
    let mut views = common::block_on(async {
        if server::is_running(&place.socket()).await {
            return server::ask_status(&place.socket()).await.map_err(|error| super::Failure::of(&error));
        }
        let tree = args.hosts.fleet.read()?;
        let commit = if tree.clean { tree.commit.clone() } else { None };
        let prepared =
            args.hosts.prepare(&tree, &overrides, Commits { default: commit.clone(), environment: commit })?;
        let hosts = args.hosts.reach.roster().hosts(&prepared.fleet);
        let spinner = progress::Spinner::start("observing");
        let plan = look(&prepared, &hosts, &spinner.watch()).await;
        let newest = match place.ledger().await {
            Ok(ledger) => {
                let environment = plan.environment.clone();
                ledger.call(move |repository| repository.records(&environment, 1)).await?.into_iter().next()
            }
            // Without its history an environment has a status all the same.
            Err(_) => None,
        };
        let view = survey::survey(&prepared, &plan, &hosts, newest.as_ref().map(|record| &record.deployment)).await;
        spinner.finish();
        Ok(vec![view])
    })?;
    views.retain(|view| args.hosts.environment.as_ref().is_none_or(|wanted| view.environment == *wanted));
    show(&views, args.format);
    let unknown = views.iter().any(|view| view.sync == report::status::Sync::Unknown);
    Ok(if unknown { PARTIAL } else { DONE })
}

fn show(views: &[StatusView], format: common::Format) {
    for view in views {
        match format {
            common::Format::Text => anstream::print!("{}", report::status::text(view, common::style())),
            common::Format::Json => println!("{}", report::status::json(view)),
        }
    }
    if views.is_empty() && format == common::Format::Text {
        anstream::println!("The reconciler has just started and has looked at nothing yet.");
    }
}
