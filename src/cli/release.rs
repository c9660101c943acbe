//! `evenkeel release`: what lies on instances of sources and frontends, and what can go there.

use std::collections::BTreeMap;

use super::{DONE, ERROR, Exit, Failure, PARTIAL, common, progress, question::Question, repository::RepositoryArgs};
use crate::{
    engine::{
        observe::{bounded, probe::Hosts},
        prepare::Prepared,
    },
    host::SshHost,
    model::{digest::Digest, name::InstanceName, plan::Commits},
    report::{
        self,
        release::{Held, Known, listing},
    },
};

/// So many deployments back it is looked up where a release came from.
const RECORDS: usize = 20;

/// Show and collect the releases that lie on instances.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: ReleaseCommand,
}

#[derive(clap::Subcommand)]
enum ReleaseCommand {
    List(ListArgs),
    Show(ReleaseShowArgs),
    Diff(DiffArgs),
    Verify(VerifyArgs),
    Gc(GcArgs),
}

/// List the releases of every instance.
#[derive(clap::Args)]
struct ListArgs {
    #[command(flatten)]
    at: Where,
}

/// Show one release: where it comes from, where it lies, what is in it.
#[derive(clap::Args)]
struct ReleaseShowArgs {
    /// Its digest, or how that begins.
    release: String,
    #[command(flatten)]
    at: Where,
}

/// Show what differs between two releases.
#[derive(clap::Args)]
struct DiffArgs {
    /// The digest of the first, or how that begins.
    from: String,
    /// The digest of the second.
    to: String,
    #[command(flatten)]
    at: Where,
}

/// Read every byte of the live releases now, as the controller does every hour.
#[derive(clap::Args)]
struct VerifyArgs {
    #[command(flatten)]
    at: Where,
}

/// Remove releases that nothing uses.
#[derive(clap::Args)]
struct GcArgs {
    /// How many stay beyond those in use. Default: `keep_releases` of the environment.
    #[arg(long, value_name = "N")]
    keep: Option<u32>,
    #[command(flatten)]
    at: Where,
}

#[derive(clap::Args)]
struct Where {
    #[command(flatten)]
    hosts: common::HostArgs,
    #[command(flatten)]
    repository: RepositoryArgs,
}

pub fn run(args: &Args) -> Exit {
    match &args.command {
        ReleaseCommand::List(args) => list(args),
        ReleaseCommand::Show(args) => show(args),
        ReleaseCommand::Diff(args) => diff(args),
        ReleaseCommand::Verify(args) => verify(args),
        ReleaseCommand::Gc(args) => gc(args),
    }
}

fn list(args: &ListArgs) -> Exit {
    let (held, known) = args.at.look()?;
    anstream::print!("{}", report::release::table(&held, &known.origins, common::style()));
    Ok(exit(&held))
}

fn show(args: &ReleaseShowArgs) -> Exit {
    let (held, known) = args.at.look()?;
    let digest = named(&args.release, &held)?;
    anstream::print!("{}", report::release::show(&digest, &held, &known, common::style()));
    Ok(exit(&held))
}

fn diff(args: &DiffArgs) -> Exit {
    let (held, _) = args.at.look()?;
    let [from, to] = [named(&args.from, &held)?, named(&args.to, &held)?];
    let unknown = |digest: &Digest| {
        Failure::new(ERROR, format!("what is in release {} no instance says", digest.short()))
            .hint("it was put there by an older evenkeel; the next deployment that uses it notes it")
    };
    let of = |digest| listing(digest, &held).ok_or_else(|| unknown(digest));
    anstream::print!("{}", report::release::diff((&from, of(&from)?), (&to, of(&to)?), common::style()));
    Ok(exit(&held))
}

/// Whether every instance has said what it holds.
fn exit(held: &Held) -> u8 {
    if held.values().all(Result::is_ok) { DONE } else { PARTIAL }
}

fn verify(args: &VerifyArgs) -> Exit {
    let (prepared, hosts) = args.at.reach()?;
    let fleet = &prepared.fleet.name;
    let reading = progress::Spinner::start("reading every byte of what is deployed");
    let verified = common::block_on(async {
        let each = hosts.iter().map(|(name, host)| {
            let releases = &prepared.desired[name].releases;
            async move { (name, releases.len(), host.verify(fleet, releases).await) }
        });
        Ok(bounded::each(each.collect()).await)
    })?;
    reading.finish();
    let mut exit = DONE;
    for (name, count, changed) in verified {
        match changed {
            Ok(changed) if changed.is_empty() => anstream::println!("{name}: {count} releases, as they were placed"),
            Ok(changed) => {
                let changed: Vec<String> = changed.iter().map(Digest::short).collect();
                let changed = changed.join(", ");
                anstream::println!("{name}: not as placed: {changed}; the controller, or `evenkeel apply`, mends it");
                exit = ERROR;
            }
            Err(error) => {
                anstream::eprintln!("{name}: {}", report::chain(&error));
                exit = if exit == DONE { PARTIAL } else { exit };
            }
        }
    }
    Ok(exit)
}

fn gc(args: &GcArgs) -> Exit {
    let (prepared, hosts) = args.at.reach()?;
    let keep = args.keep.unwrap_or(prepared.fleet.environment.keep_releases);
    let fleet = &prepared.fleet.name;
    let removing = progress::Spinner::start("removing what nothing uses");
    let collected = common::block_on(async {
        let each = hosts.iter().map(|(name, host)| async move { (name.clone(), host.collect(fleet, keep).await) });
        Ok(bounded::each(each.collect()).await)
    })?;
    removing.finish();
    let mut exit = DONE;
    for (name, removed) in collected {
        match removed {
            Ok(removed) if removed.is_empty() => anstream::println!("{name}: nothing to remove"),
            Ok(removed) => {
                let removed: Vec<String> = removed.iter().map(Digest::short).collect();
                anstream::println!("{name}: removed {}", removed.join(", "));
            }
            Err(error) => {
                anstream::eprintln!("{name}: {}", report::chain(&error));
                exit = PARTIAL;
            }
        }
    }
    Ok(exit)
}

/// The one release that a text is the beginning of.
fn named(text: &str, held: &Held) -> Result<Digest, Failure> {
    let digests = held.values().flatten().flatten().map(|release| release.digest);
    let mut found: Vec<Digest> = digests.filter(|digest| digest.to_string().starts_with(text)).collect();
    found.sort();
    found.dedup();
    match found[..] {
        [digest] => Ok(digest),
        [] => Err(Failure::new(ERROR, format!("no instance that answers holds a release {text}"))
            .hint("`evenkeel release list` shows them")),
        _ => Err(Failure::new(ERROR, format!("several releases begin with {text}")).hint("give more of the digest")),
    }
}

impl Where {
    fn reach(&self) -> Result<(Prepared, Hosts<SshHost>), Failure> {
        let overrides = self.hosts.reach.overrides()?;
        let prepared = if self.repository.repo.is_some() {
            let Question { tree, commits, place, read } = self.hosts.question(&self.repository)?;
            read.iter().for_each(|read| common::say(read));
            self.hosts.prepare(&tree, &overrides, commits, || Ok(place.clone()))?
        } else {
            let tree = self.hosts.fleet.read()?;
            let place = || self.repository.place(&tree.root, self.hosts.reach.ssh_key.as_deref());
            self.hosts.prepare(&tree, &overrides, Commits::default(), place)?
        };
        let mut hosts = self.hosts.reach.connections(&overrides)?.hosts(&prepared.fleet);
        hosts.retain(|name, _| prepared.desired.contains_key(name));
        Ok((prepared, hosts))
    }

    fn look(&self) -> Result<(Held, Known), Failure> {
        let (prepared, hosts) = self.reach()?;
        let fleet = &prepared.fleet.name;
        let _asking = progress::Spinner::start("asking the instances");
        let held = common::block_on(async {
            let each = hosts.iter().map(|(name, host)| async move {
                let held = host.held(fleet).await.map_err(|error| report::chain(&error));
                (name.clone(), held)
            });
            Ok(bounded::each(each.collect()).await.into_iter().collect::<BTreeMap<InstanceName, _>>())
        })?;
        let mut known = self.recorded(&prepared);
        known.origins.extend(prepared.releases.values().map(|release| (release.digest, release.origin())));
        Ok((held, known))
    }

    /// What the history tells of releases. It is a help for people: without a history there is none.
    fn recorded(&self, prepared: &Prepared) -> Known {
        let environment = &prepared.fleet.environment.name;
        let read = || -> Result<Known, Failure> {
            let near = match self.repository.repo {
                Some(_) => ".".into(),
                None => self.hosts.fleet.read()?.root,
            };
            let place = self.repository.place(&near, self.hosts.reach.ssh_key.as_deref())?;
            let repository = place.open()?;
            repository.fetch()?;
            let mut known = Known::default();
            for record in repository.records(environment, RECORDS)? {
                for (path, text) in repository.history_files(environment, &record.commit)? {
                    known.learn(&path, &String::from_utf8_lossy(&text));
                }
            }
            Ok(known)
        };
        read().unwrap_or_default()
    }
}
