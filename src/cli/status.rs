//! `evenkeel status`: what the controller knows; where none runs, what can be seen now.

use std::{cell::RefCell, io::IsTerminal as _, path::Path, time::Duration};

use super::{
    DONE, ERROR, Exit, Failure, PARTIAL, common, progress,
    question::Question,
    repository::{Place, RepositoryArgs},
};
use crate::{
    declare::Overrides,
    engine::sync::environment::{BackedOff, leave},
    engine::{
        history::{
            log::{self, Newest},
            store::HistoryStore as _,
        },
        observe::{connections::Connections, probe::look, status},
    },
    host::SshHost,
    model::status::{StatusView, Sync},
    report,
    server::{
        self,
        follow::{Answers, say_the_same},
    },
};

/// Show whether the hosts are as declared, and healthy.
///
/// A controller of the repository is asked where one runs; else the hosts are, for what is declared by the work tree, or
/// with `--repo` by that repository at the newest commit of the environment's branch.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    hosts: common::HostArgs,
    #[command(flatten)]
    repository: RepositoryArgs,
    /// Go on showing it, whenever it changes, until interrupted.
    #[arg(short, long)]
    watch: bool,
    #[arg(long, default_value = "text")]
    format: common::Format,
}

/// Between two looks at the hosts themselves.
const LOOK: Duration = Duration::from_secs(5);

pub fn run(args: &Args) -> Exit {
    let place = args.repository.place(args.hosts.fleet.fleet.as_path(), args.hosts.reach.ssh_key.as_deref());
    let place = place.or_else(|failure| args.repository.place(Path::new("."), None).map_err(|_| failure))?;
    let overrides = args.hosts.reach.overrides()?;
    let connections = args.hosts.reach.connections(&overrides)?;
    let viewer = Viewer { args, place, overrides, connections, told: RefCell::default() };
    let views = common::block_on(async {
        if args.watch { viewer.watch().await } else { viewer.views().await.inspect(|views| show(views, args.format)) }
    })?;
    let unknown = views.iter().any(|view| view.sync == Sync::Unknown);
    Ok(if unknown { PARTIAL } else { DONE })
}

struct Viewer<'a> {
    args: &'a Args,
    place: Place,
    overrides: Overrides,
    /// Kept, so that a second look finds its connections open.
    connections: Connections<SshHost>,
    /// Which commit of which repository was said to be read.
    told: RefCell<Option<String>>,
}

impl Viewer<'_> {
    async fn views(&self) -> Result<Vec<StatusView>, Failure> {
        let views = if server::is_running(&self.place.socket()).await {
            server::ask_status(&self.place.socket()).await.map_err(|error| Failure::of(&error))?
        } else {
            vec![self.look().await?]
        };
        self.wanted(views)
    }

    /// Of the environment and the instances that are asked for.
    fn wanted(&self, mut views: Vec<StatusView>) -> Result<Vec<StatusView>, Failure> {
        let wanted = &self.args.hosts;
        views.retain(|view| wanted.environment.as_ref().is_none_or(|wanted| view.environment == *wanted));
        self.refuse_unknown_instances(&views)?;
        if !wanted.instance.is_empty() {
            views = views.into_iter().map(|view| status::narrowed(view, &wanted.instance)).collect();
        }
        Ok(views)
    }

    /// A controller that has looked at nothing yet knows no instances.
    fn refuse_unknown_instances(&self, views: &[StatusView]) -> Result<(), Failure> {
        let known: Vec<&str> = views.iter().flat_map(|view| &view.instances).map(|told| told.name.as_str()).collect();
        let unknown = self.args.hosts.instance.iter().find(|name| !known.contains(&name.as_str()));
        match unknown {
            Some(name) if !known.is_empty() => Err(Failure::new(ERROR, format!("there is no instance {name}"))
                .hint(format!("there are {}", known.join(", ")))),
            _ => Ok(()),
        }
    }

    /// Never ends by itself.
    async fn watch(&self) -> Result<Vec<StatusView>, Failure> {
        let mut shown = None;
        loop {
            if server::is_running(&self.place.socket()).await {
                let answers = Answers::of(&self.place.socket()).await;
                let mut answers = answers.map_err(|error| Failure::of(&error))?;
                while let Some(views) = answers.next().await {
                    self.show_anew(&mut shown, self.wanted(views)?);
                }
            } else {
                self.show_anew(&mut shown, self.wanted(vec![self.look().await?])?);
            }
            // Nobody publishes what hosts are like where no controller runs.
            tokio::time::sleep(LOOK).await;
        }
    }

    /// That it was looked at once more is no news.
    fn show_anew(&self, shown: &mut Option<Vec<StatusView>>, views: Vec<StatusView>) {
        if shown.as_ref().is_some_and(|shown| say_the_same(shown, &views)) {
            return;
        }
        if shown.is_some() || std::io::stdout().is_terminal() {
            // Clears the screen and goes to its beginning (ECMA-48); taken out where there is no terminal.
            anstream::print!("\x1b[2J\x1b[H");
        }
        show(&views, self.args.format);
        *shown = Some(views);
    }

    /// Where no controller runs the hosts are asked.
    async fn look(&self) -> Result<StatusView, Failure> {
        let (args, overrides, place) = (self.args, &self.overrides, &self.place);
        let (read, tree, prepared) = common::apart(|| {
            let Question { tree, commits, read, .. } = args.hosts.question(&args.repository)?;
            let prepared = args.hosts.prepare(&tree, overrides, commits, || Ok(place.clone()))?;
            Ok((read, tree, prepared))
        })?;
        if let Some(read) = read.filter(|read| self.told.borrow().as_ref() != Some(read)) {
            common::say(&read);
            self.told.replace(Some(read));
        }
        let hosts = self.connections.hosts(&prepared.fleet);
        let spinner = progress::Spinner::start("observing");
        let environment = &prepared.fleet.environment.name;
        let (newest, advice) = match self.place.store(&tree.fleet).await {
            Ok(store) => (log::newest(&store, environment).await, store.signing().await?.advice()),
            // Without its history an environment has a status all the same.
            Err(_) => (Ok(Newest::default()), Vec::new()),
        };
        let last_error = newest.as_ref().err().map(|error| report::chain(error));
        let newest = newest.unwrap_or_default();
        let leave = leave(&prepared, &newest, &BackedOff::new());
        let plan = look(&prepared, &hosts, newest.newest_generation(), &leave, &spinner.watch()).await;
        let mut view = status::of_hosts(&prepared, &plan, &hosts, newest.deployment.as_deref()).await;
        view.notes = report::status::state(&newest.state);
        (view.refused, view.last_error, view.advice) = (newest.refusals, last_error, advice);
        spinner.finish();
        Ok(view)
    }
}

fn show(views: &[StatusView], format: common::Format) {
    for view in views {
        match format {
            common::Format::Text => anstream::print!("{}", report::status::text(view, common::style())),
            common::Format::Json => print!("{}", report::status::json(view)),
        }
    }
    if views.is_empty() && format == common::Format::Text {
        anstream::println!("The controller has just started and has looked at nothing yet.");
    }
}
