//! What several subcommands share: common flags, colour, reading the fleet, the runtime.

use std::{
    ffi::OsStr,
    future::Future,
    io::{IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use clap::{ColorChoice, ValueEnum};
use rustix::fs::Mode;

use super::{ERROR, Failure, REFUSED, progress, repository::Place};
use crate::{
    declare::{self, Declaration, Overrides},
    engine::{
        observe::connections::Roster,
        prepare::{PrepareError, Prepared, declared, gathered, overrides},
    },
    git::{self, WorkTree},
    host::{Namespace, SshHost, Target, waits},
    model::{
        build::BuiltReleases,
        finding::any_error,
        name::{EnvironmentName, InstanceName},
        plan::Commits,
    },
    release::{Builds, Unfetched},
    report::Style,
};

/// What the program is called where it is installed.
const NAME: &str = env!("CARGO_PKG_NAME");

/// Where the declared fleet lies.
#[derive(Debug, Clone, clap::Args)]
pub struct FleetArgs {
    /// The fleet folder.
    #[arg(long, value_name = "DIR", default_value = "fleet")]
    pub fleet: PathBuf,
}

/// Which part of the fleet, and how its hosts are reached.
#[derive(Debug, Clone, clap::Args)]
pub struct HostArgs {
    #[command(flatten)]
    pub fleet: FleetArgs,
    /// The environment; needed where the fleet declares several.
    #[arg(short, long, value_name = "NAME")]
    pub environment: Option<EnvironmentName>,
    /// Only this instance; may be given several times.
    #[arg(short, long, value_name = "NAME")]
    pub instance: Vec<InstanceName>,
    #[command(flatten)]
    pub reach: ReachArgs,
}

/// How hosts are reached.
#[derive(Debug, Clone, clap::Args)]
pub struct ReachArgs {
    /// A file that replaces addresses, host keys and logins of instances (as `lab up` writes one).
    #[arg(long = "override", value_name = "FILE")]
    pub overrides: Option<PathBuf>,
    /// The private key to log in with. Default: the ssh-agent, then ~/.ssh/id_ed25519.
    #[arg(long, value_name = "FILE")]
    pub ssh_key: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
}

pub fn choose_colour(choice: ColorChoice) {
    let choice = match choice {
        ColorChoice::Auto => return,
        ColorChoice::Always => anstream::ColorChoice::Always,
        ColorChoice::Never => anstream::ColorChoice::Never,
    };
    choice.write_global();
}

/// Colour and symbols only on a terminal, or where asked for. anstream knows NO_COLOR and the like.
pub fn style() -> Style {
    Style(anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never)
}

pub fn on_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// What the umask was that somebody started us with.
static FORMER_UMASK: OnceLock<Mode> = OnceLock::new();

/// Mirrors, archives, builds, the socket: what is written from now on is nobody's but its owner's.
pub fn write_for_the_owner_alone() {
    let _ = FORMER_UMASK.set(rustix::process::umask(Mode::from_raw_mode(0o077)));
}

/// For root at a state that is another user's: what root alone can read there, that user's daemon cannot.
pub fn write_as_before() {
    if let Some(umask) = FORMER_UMASK.get() {
        rustix::process::umask(*umask);
    }
}

/// Says a line on standard error. Nothing ends half-way because nobody is there to read it.
pub fn say(line: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{line}");
}

/// How this very program is called in a shell: by its name where that finds it, else by its path.
pub fn program() -> String {
    match std::env::current_exe() {
        Ok(running) => called(&running, &std::env::var_os("PATH").unwrap_or_default()),
        Err(_) => NAME.to_owned(),
    }
}

fn called(running: &Path, path: &OsStr) -> String {
    let found = std::env::split_paths(path).map(|folder| folder.join(NAME)).find(|file| file.is_file());
    // What is found may be a link; what runs is told without any.
    match found.and_then(|found| found.canonicalize().ok()) {
        Some(found) if found == running => NAME.to_owned(),
        _ => quoted(running),
    }
}

/// A path as a word of a shell's line, from wherever that is run.
pub fn quoted(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string();
    shlex::try_quote(&path).map_or(path.clone(), |quoted| quoted.into_owned())
}

impl ReachArgs {
    /// Reads the override file.
    pub fn overrides(&self) -> Result<Overrides, Failure> {
        let Some(path) = &self.overrides else { return Ok(Overrides::default()) };
        Ok(overrides::read(path)?)
    }

    /// The hosts, each dialled where the overrides say. Where that is one network namespace for all (a lab's), a command
    /// that cannot enter it ends at once.
    pub fn roster(&self, overrides: &Overrides) -> Result<Roster<SshHost>, Failure> {
        if let Some(name) = &overrides.network_namespace {
            Namespace::named(name).try_enter().map_err(|error| Failure::new(ERROR, error.to_string()))?;
        }
        let key = self.ssh_key.clone();
        let home = std::env::var_os("HOME").map(PathBuf::from);
        Ok(Roster::new(move |instance, jumps| SshHost::new(Target::new(instance, key.clone(), home.clone()), jumps)))
    }
}

impl FleetArgs {
    pub fn read(&self) -> Result<WorkTree, Failure> {
        git::work_tree(&self.fleet).map_err(|error| {
            let failure = Failure::from(error);
            if self.fleet.is_dir() {
                failure
            } else {
                failure.hint("name the fleet folder with --fleet DIR, or make one with `evenkeel init`")
            }
        })
    }
}

impl HostArgs {
    /// The work tree's fleet, ready to be compared with what is live. Nothing is built.
    /// `place` is only asked for where a source lies elsewhere or is built.
    pub fn prepare(
        &self,
        tree: &WorkTree,
        overrides: &Overrides,
        commits: Commits,
        place: impl FnOnce() -> Result<Place, Failure>,
    ) -> Result<Prepared, Failure> {
        Ok(self.gather(tree, overrides, commits, place, false)??)
    }

    /// As [`Self::prepare`], and builds what is not built yet. Only for what is merged.
    pub fn build(
        &self,
        tree: &WorkTree,
        overrides: &Overrides,
        commits: Commits,
        place: &Place,
    ) -> Result<Result<Prepared, PrepareError>, Failure> {
        self.gather(tree, overrides, commits, || Ok(place.clone()), true)
    }

    fn gather(
        &self,
        tree: &WorkTree,
        overrides: &Overrides,
        commits: Commits,
        place: impl FnOnce() -> Result<Place, Failure>,
        run: bool,
    ) -> Result<Result<Prepared, PrepareError>, Failure> {
        let environment = self.environment(tree)?;
        let declared = declared(&tree.tree, &tree.fleet, &environment, overrides)?;
        let sources = declared.0.sources();
        let elsewhere = sources.keys().any(|source| source.is_elsewhere());
        let built = sources.keys().any(|source| source.build.is_some());
        let prepared = if elsewhere || built {
            let place = place()?;
            // What is built tells of itself.
            let _fetching = (!run).then(|| progress::Spinner::start("fetching what lies elsewhere"));
            let (fetcher, build_cache) = (place.fetcher()?, place.build_cache());
            let recorded = if built { place.recorded_builds(&tree.fleet, &environment) } else { BuiltReleases::new() };
            let builds = Builds { build_cache: Some(&build_cache), recorded: Some(&recorded), run };
            let what = if run { "the builds" } else { "what lies elsewhere" };
            waits::said_blocking("", what, || gathered(declared, &tree.tree, commits, &fetcher, builds))
        } else {
            gathered(declared, &tree.tree, commits, &Unfetched, Builds::default())
        };
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return Ok(Err(error)),
        };
        for name in &self.instance {
            if !prepared.desired.contains_key(name) {
                let known: Vec<&str> = prepared.desired.keys().map(|name| name.as_str()).collect();
                return Err(Failure::new(ERROR, format!("{environment} has no instance {name}"))
                    .hint(format!("it has {}", known.join(", "))));
            }
        }
        Ok(Ok(prepared.only(&self.instance)))
    }

    pub fn environment(&self, tree: &WorkTree) -> Result<EnvironmentName, Failure> {
        let (declaration, findings) = declare::read(&tree.tree, &tree.fleet);
        let invalid = |findings| {
            let mut failure = Failure::new(REFUSED, "the fleet does not validate");
            failure.findings = findings;
            failure
        };
        let declaration: Declaration = match declaration {
            Some(declaration) if !any_error(&findings) => declaration,
            _ => return Err(invalid(findings)),
        };
        let known: Vec<EnvironmentName> = declaration.environments().into_iter().cloned().collect();
        let list = known.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
        match (&self.environment, &known[..]) {
            (Some(name), _) if known.contains(name) => Ok(name.clone()),
            (Some(name), _) => Err(Failure::new(ERROR, format!("the fleet declares no environment {name}"))
                .hint(format!("it declares {list}"))),
            (None, [only]) => Ok(only.clone()),
            (None, _) => Err(Failure::new(ERROR, "the fleet declares several environments")
                .hint(format!("name one with -e: {list}"))),
        }
    }
}

/// Runs a command's asynchronous part.
pub fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(future);
    // A blocking call of git that hangs must not hold the exit up.
    runtime.shutdown_background();
    result
}

/// Runs what blocks, and may need a runtime of its own, from within a command's asynchronous part, which waits: nothing
/// else goes on there meanwhile.
pub fn apart<T: Send>(work: impl FnOnce() -> Result<T, Failure> + Send) -> Result<T, Failure> {
    let ended = std::thread::scope(|threads| threads.spawn(work).join());
    ended.unwrap_or_else(|_| Err(Failure::new(ERROR, "internal error: a part of the command panicked")))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn a_program_is_called_by_its_name_only_where_that_means_this_one() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let place = |name: &str| {
            fs::create_dir(folder.join(name)).unwrap();
            folder.join(name)
        };
        let (built, linked, others, empty) = (place("it is"), place("linked"), place("others"), place("empty"));
        let running = built.join(NAME);
        fs::write(&running, "").unwrap();
        symlink(&running, linked.join(NAME)).unwrap();
        fs::write(others.join(NAME), "").unwrap();
        let called = |folders: &[&PathBuf]| called(&running, &std::env::join_paths(folders).unwrap());
        assert_eq!(called(&[&empty, &built]), NAME);
        assert_eq!(called(&[&linked, &others]), NAME);
        let path = format!("'{}'", running.display());
        assert_eq!(called(&[&empty]), path);
        assert_eq!(called(&[&others, &built]), path, "another program comes first");
    }
}
