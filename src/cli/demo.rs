//! `evenkeel demo`: the whole thing on this machine, for a newcomer.
//!
//! Boots a lab for the fleet folder, makes a config repository of it, runs the controller on that and
//! shows the first deployment. With `--once`: then commits a change, waits until it is live, prints the
//! history, tears everything down, and ends with 0 only if all of it worked.
//!
//! Keeps true: from the moment the lab begins to boot, a signal ends the demo in order, and the lab is taken down.

use std::{
    collections::BTreeSet,
    fs,
    future::Future,
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::Utc;
use rand::RngExt as _;
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::sync::CancellationToken;

use super::{
    DONE, ERROR, Exit, Failure, common,
    demo_builds::{self, Shown},
    demo_change,
    lab::{self, Say},
    progress,
    run::watch_local,
    signals,
};
use crate::{
    decide::Policy,
    engine::{
        controller::{Controller, Handle},
        events::Events,
        history::{controller_id::ControllerId, store::GitStore},
        prepare::{access::AccessFile, fetch::NetworkFetcher, overrides, preparation::Preparation},
        sync::workspace::Workspace,
    },
    git::{self, Credentials, Repository},
    host::{Namespace, SshHost},
    lab::{Lab, LabHost},
    model::{
        environment_state::HistoryEntry,
        name::{EnvironmentName, InstanceName},
        outcome::Record,
        status::{Health, StatusView, Sync},
    },
    report, server,
};

/// Where a browser finds the demo's site, when the port is free.
const DOOR: u16 = 8088;

/// A first deployment of fourteen services takes seconds; a slow machine gets minutes.
const PATIENCE: Duration = Duration::from_secs(180);

/// Watch a whole fleet being deployed to throw-away hosts on this machine. Needs root.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    fleet: common::FleetArgs,
    /// Install what is missing without asking.
    #[arg(short, long)]
    yes: bool,
    /// Without a terminal: deploy, change something, print the history, tear down.
    #[arg(long)]
    once: bool,
    /// The lab's name.
    #[arg(long, default_value = "demo")]
    name: String,
}

pub fn run(args: &Args) -> Exit {
    let shown = Arc::new(Shown::read(&args.fleet)?);
    let lab = Lab::open(&args.name)?.with_programs(shown.needs());
    let instances = lab::declared_instances(&args.fleet.fleet)?;
    lab::install_missing(&lab, args.yes)?;
    // Its threads wait for signals and build, so this one may be kept busy. A build that is not waited for ends with us.
    common::block_on(in_order(args, &lab, &instances, &shown))?;
    if args.once {
        println!("\nAll of it worked.");
    }
    Ok(DONE)
}

/// Boots the lab, shows it, and takes it down however that ended.
async fn in_order(args: &Args, lab: &Lab, instances: &[String], shown: &Arc<Shown>) -> Result<(), Failure> {
    let remove = format!("{} lab --name {} down", common::program(), lab.name());
    let leftover = format!("ended at once; `{remove}` removes what is left of the lab");
    let interrupted = signals::interruption(
        || heading("Interrupted: tearing the lab down (once more ends at once, and leaves it)"),
        move || common::say(&leftover),
    )?;
    let meanwhile = if shown.is_built() { ". Meanwhile what has to be built is built" } else { "" };
    heading(&format!("Booting the lab: one real Debian host for each declared instance{meanwhile}"));
    let building = tokio::task::spawn_blocking({
        let (shown, lab) = (shown.clone(), lab.clone());
        move || shown.build(&lab)
    });
    let hosts = match lab.up(instances, &Say) {
        // It stays as far as it got, to be looked at.
        Err(error) if !interrupted.is_cancelled() => {
            common::say(&format!("`{remove}` removes what there is of the lab"));
            return Err(error.into());
        }
        hosts => hosts,
    };
    let ready = unless(&interrupted, async {
        building.await.unwrap_or_else(|_| Err(Failure::new(ERROR, "the thread that builds ended by itself")))?;
        Ok(hosts?)
    });
    let ended = match ready.await {
        Ok(hosts) => show(args, lab, &hosts, shown, &interrupted).await,
        Err(failure) => Err(failure),
    };
    if !interrupted.is_cancelled() {
        heading("Tearing the lab down");
    }
    let down = lab.down(&Say);
    ended?;
    Ok(down?)
}

/// Does it to its end, or until a signal comes.
async fn unless<T>(
    interrupted: &CancellationToken,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let ended = interrupted.run_until_cancelled(work).await;
    ended.unwrap_or_else(|| Err(Failure::new(ERROR, "the demo was interrupted before all of it was shown")))
}

fn heading(text: &str) {
    // A terminal that was closed takes nothing any more, which is no reason to leave the lab.
    let _ = writeln!(anstream::stdout().lock(), "\n{}", report::message::heading(text, common::style()));
}

/// The demo's repository and controller.
struct DemoStage {
    /// Where the lab's hosts are.
    network: Namespace,
    bare: PathBuf,
    folder: PathBuf,
    environment: EnvironmentName,
    branch: String,
    /// Instances that serve a site.
    sites: BTreeSet<InstanceName>,
    /// A file that people may try a change on.
    service: String,
    controller: Handle<SshHost, GitStore>,
    stop: CancellationToken,
}

async fn show(
    args: &Args,
    lab: &Lab,
    hosts: &[LabHost],
    shown: &Shown,
    interrupted: &CancellationToken,
) -> Result<(), Failure> {
    let door = match TcpListener::bind(("127.0.0.1", DOOR)).await {
        Ok(door) => door,
        Err(_) => TcpListener::bind("127.0.0.1:0").await?,
    };
    let folder = empty_folder(lab)?;
    let (stage, controller) = DemoStage::set(args, lab, shown, folder).await?;
    heading("The first deployment");
    let began = Instant::now();
    let (poke, triggers) = mpsc::channel(1);
    let watched = Repository::open(&stage.folder.join("watch.git"), &address(&stage.bare)?, Credentials::default())?;
    let _watcher = watch_local(&watched, poke, &stage.controller.workspace.events);
    let listener = server::bind(&stage.folder.join("state/socket")).await.map_err(|error| Failure::of(&error))?;
    let serving = tokio::spawn(server::serve(listener, stage.controller.clone(), stage.stop.clone()));
    let looping = tokio::spawn(controller.run(stage.stop.clone(), triggers));
    let site = format!("http://{}", door.local_addr()?);
    let carrying =
        stage.site_host(hosts).map(|host| tokio::spawn(carry(door, stage.network.clone(), (host.address, 80).into())));
    let ended = unless(interrupted, stage.show(args.once, began)).await;
    if ended.is_ok() && !args.once {
        stage.print_what_to_try(args, lab, hosts, &site);
        interrupted.cancelled().await;
    }
    if let Some(carrying) = carrying {
        carrying.abort();
    }
    stage.stop.cancel();
    if let Ok(Err(error)) = looping.await {
        anstream::eprintln!("{}", report::chain(&error));
    }
    if let Ok(Err(error)) = serving.await {
        anstream::eprintln!("the socket: {error}");
    }
    // Beside the lab's own files; the next demo makes it anew.
    let _ = fs::remove_dir_all(&stage.folder);
    ended
}

fn empty_folder(lab: &Lab) -> Result<PathBuf, Failure> {
    let folder = lab.override_file().with_file_name("demo");
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    fs::create_dir_all(folder.join("state"))?;
    Ok(folder)
}

/// Carries connections from the loopback address into the lab.
async fn carry(door: TcpListener, lab: Namespace, site: SocketAddr) -> std::io::Result<()> {
    loop {
        let (mut browser, _) = door.accept().await?;
        let lab = lab.clone();
        tokio::spawn(async move {
            if let Ok(Some(mut nginx)) = lab.connect(site).await {
                // Either side may leave when it likes.
                let _ = tokio::io::copy_bidirectional(&mut browser, &mut nginx).await;
            }
        });
    }
}

fn address(bare: &Path) -> Result<git::RemoteUrl, Failure> {
    Ok(bare.display().to_string().parse()?)
}

impl DemoStage {
    async fn set(
        args: &Args,
        lab: &Lab,
        shown: &Shown,
        folder: PathBuf,
    ) -> Result<(Self, Controller<SshHost, GitStore>), Failure> {
        let (environment, branch) = (shown.environment.clone(), shown.branch.clone());
        let sites = shown.fleet.sites.values().flat_map(|site| site.on.clone()).collect();
        let service = shown.fleet.services.keys().next().map(|name| format!("fleet/services/{name}.yaml"));
        let service = service.unwrap_or_else(|| "fleet/fleet.yaml".to_owned());
        let bare = folder.join("config.git");
        git::create_bare_from_folder(
            &bare,
            &[(&args.fleet.fleet, "fleet")],
            &branch,
            "The fleet as it runs",
            Utc::now(),
        )?;
        println!("The folder {} is now the repository {}", args.fleet.fleet.display(), bare.display());
        let repository = Repository::open(&folder.join("state/mirror.git"), &address(&bare)?, Credentials::default())?;
        let overrides = overrides::read(&lab.override_file())?;
        let reach = common::ReachArgs { overrides: None, ssh_key: None };
        let mut preparation = Preparation::new("fleet".to_owned(), overrides.clone());
        let fetcher = NetworkFetcher::new(&folder.join("state"), &Credentials::default(), AccessFile::default());
        preparation.fetcher = Arc::new(fetcher);
        preparation.build_cache = Some(Arc::new(demo_builds::build_cache(lab)));
        let workspace = Workspace {
            store: GitStore::new(repository, "fleet"),
            connections: reach.connections(&overrides)?,
            preparation,
            identity: ControllerId::of(&folder.join("state")),
            events: Events::new(progress::print),
            jitter: Box::new(|| rand::rng().random()),
        };
        let (controller, handle) = Controller::new(workspace, Policy { poll_every: 10_000, observe_only: false }, None);
        let stop = CancellationToken::new();
        let network = Namespace::named(&lab.namespace());
        let stage = Self { network, bare, folder, environment, branch, sites, service, controller: handle, stop };
        Ok((stage, controller))
    }

    /// The lab host that serves a site, where the fleet declares one.
    fn site_host<'a>(&self, hosts: &'a [LabHost]) -> Option<&'a LabHost> {
        hosts.iter().find(|host| self.sites.iter().any(|name| name.as_str() == host.instance))
    }

    async fn show(&self, once: bool, began: Instant) -> Result<(), Failure> {
        self.settled(1).await?;
        anstream::println!("\nEverything is live and healthy after {:.1} s.\n", began.elapsed().as_secs_f64());
        self.print_status();
        if !once {
            return Ok(());
        }
        heading("A commit: one service's environment changes");
        let began = Instant::now();
        demo_change::commit(&self.bare, &self.folder.join("edit.git"), &self.branch)?;
        let records = self.settled(2).await?;
        anstream::println!("\nLive and healthy {:.1} s after the commit.", began.elapsed().as_secs_f64());
        heading("The history, as git commits");
        let restarted = records.first().map(|record| record.deployment.summary.restart);
        let entries: Vec<HistoryEntry> =
            records.into_iter().map(|record| HistoryEntry::Deployment(Box::new(record))).collect();
        anstream::print!("{}", report::deployment::history(&entries, common::style()));
        if restarted == Some(1) {
            Ok(())
        } else {
            Err(Failure::new(ERROR, format!("one service should have restarted, and {restarted:?} did")))
        }
    }

    /// Waits until so many deployments are recorded and everything is as declared and healthy.
    async fn settled(&self, deployments: usize) -> Result<Vec<Record>, Failure> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let mut published = self.controller.published();
        loop {
            let environment = self.environment.clone();
            let records =
                self.controller.workspace.store.call(move |repository| repository.records(&environment, 100)).await?;
            let ended: Vec<Record> =
                records.into_iter().filter(|record| record.deployment.conclusion().is_some()).collect();
            let view = self.view();
            let settled = view.as_ref().is_some_and(|view| {
                let newest = ended.first().map(|record| record.deployment.generation);
                view.sync == Sync::Synced
                    && view.health == Health::Healthy
                    && view.deployed.as_ref().map(|deployed| deployed.generation) == newest
            });
            if ended.len() >= deployments && settled {
                return Ok(ended);
            }
            // A look at the hosts follows every record.
            let changed = tokio::time::timeout_at(deadline, published.changed()).await;
            if !matches!(changed, Ok(Ok(()))) {
                let why = view.and_then(|view| view.last_error).unwrap_or_else(|| "it took too long".to_owned());
                return Err(Failure::new(ERROR, format!("the fleet did not settle: {why}")));
            }
        }
    }

    fn view(&self) -> Option<StatusView> {
        self.controller.statuses().get(&self.environment).cloned()
    }

    fn print_status(&self) {
        if let Some(view) = self.view() {
            anstream::print!("{}", report::status::text(&view, common::style()));
        }
    }

    fn print_what_to_try(&self, args: &Args, lab: &Lab, hosts: &[LabHost], site: &str) {
        let (bare, state) = (common::quoted(&self.bare), common::quoted(&self.folder.join("state")));
        let here = format!("--repo {bare} --state {state}");
        let (evenkeel, name) = (common::program(), &args.name);
        heading("It stays up. Things to try in another terminal");
        if self.site_host(hosts).is_some() {
            println!("  See the site:       {site}");
        }
        println!(
            "  Change something:   git clone {bare} /tmp/config && cd /tmp/config\n                      \
               edit {}, commit, push, and watch this terminal\n  \
             Ask for the state:  {evenkeel} status {here}\n  \
             Read the history:   git -C {bare} log -p evenkeel/history/{}\n  \
             See a plan:         {evenkeel} plan --fleet {} --override {}",
            self.service,
            self.environment,
            common::quoted(&args.fleet.fleet),
            common::quoted(&lab.override_file()),
        );
        if let Some(host) = hosts.first() {
            let ssh = format!("ssh -i {} ubuntu@{}", common::quoted(&lab.key_file()), host.address);
            println!("  Look around:        {evenkeel} lab --name {name} exec -- {ssh}");
            println!("                      stop or edit something there: it is repaired within the observe_interval");
            println!("  Power a host off:   {evenkeel} lab --name {name} kill {0}, and boot {0} again", host.lab_name);
        }
        println!("\nCtrl-C ends the demo and removes the lab.");
    }
}
