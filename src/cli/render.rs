//! `evenkeel render`: the exact bytes every instance should hold. Connects to nothing.

use std::{fs, path::PathBuf};

use super::{DONE, Exit, common, repository::RepositoryArgs};
use crate::model::{plan::Commits, release::Making};

/// Show the exact files every instance should hold; connects to nothing.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    hosts: common::HostArgs,
    #[command(flatten)]
    repository: RepositoryArgs,
    /// Write the files below this folder, by instance, instead of printing them.
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

pub fn run(args: &Args) -> Exit {
    let overrides = args.hosts.reach.overrides()?;
    let tree = args.hosts.fleet.read()?;
    args.repository.refuse_mixture(&tree, args.hosts.reach.ssh_key.as_deref())?;
    let prepared = args.hosts.prepare(&tree, &overrides, Commits::default(), || {
        args.repository.place(&tree.root, args.hosts.reach.ssh_key.as_deref())
    })?;
    if let Some(due) = prepared.releases.values().find(|release| matches!(release.making, Making::Due { .. })) {
        anstream::eprintln!("{} is not built yet: its digest below stands for one that nobody knows", due.source);
    }
    for (name, desired) in &prepared.desired {
        for (path, file) in &desired.files {
            let Some(content) = file.content.public() else {
                anstream::eprintln!("{name}:{path} is sealed, and not written");
                continue;
            };
            match &args.output {
                Some(output) => {
                    let target = output.join(name.as_str()).join(path.trim_start_matches('/'));
                    if let Some(parent) = target.parent() {
                        fs::create_dir_all(parent)?;
                    }
                    fs::write(target, content)?;
                }
                None => anstream::println!(
                    "# {name}:{path} ({:04o}, {})\n{}",
                    file.mode,
                    file.resource,
                    String::from_utf8_lossy(content)
                ),
            }
        }
    }
    Ok(DONE)
}
