//! `evenkeel lab`: real throw-away hosts on this machine.

use std::{
    ffi::OsString,
    io::{BufRead as _, IsTerminal as _},
    path::PathBuf,
};

use clap::Subcommand;

use super::{DONE, ERROR, Exit, Failure, common};
use crate::{
    declare,
    lab::{Lab, LabError, Progress, Suite},
};

/// Real throw-away hosts on this machine: systemd, sshd, nginx, in a network of their own. Needs root.
#[derive(clap::Args)]
pub struct Args {
    /// The lab's name; several stand side by side.
    #[arg(long, global = true, default_value = "evenkeel")]
    name: String,
    #[command(subcommand)]
    command: LabCommand,
}

#[derive(Subcommand)]
enum LabCommand {
    /// Boot hosts: one per declared instance, or a number of them.
    Up {
        /// One host for each instance of this fleet folder.
        #[arg(long, value_name = "DIR", conflicts_with = "hosts")]
        fleet: Option<PathBuf>,
        /// So many hosts, h1 to hN.
        #[arg(long, value_name = "N")]
        hosts: Option<usize>,
        /// The release of Debian that new hosts run: bullseye, bookworm or trixie.
        #[arg(long, default_value = "bookworm")]
        suite: Suite,
        /// Install what is missing without asking.
        #[arg(short, long)]
        yes: bool,
    },
    /// Remove everything but the cached root file system.
    Down {
        /// That too.
        #[arg(long)]
        purge: bool,
    },
    /// List the hosts.
    Status,
    /// Run a command inside the lab's network.
    Exec {
        #[arg(trailing_var_arg = true, required = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
    /// Unplug a host's network.
    Cut { host: String },
    /// Plug it in again.
    Mend { host: String },
    /// Power a host off at once.
    Kill { host: String },
    /// Boot it again, with the same disk.
    Boot { host: String },
}

/// Says on standard error what the lab is doing.
pub struct Say;

impl Progress for Say {
    fn say(&self, message: &str) {
        common::say(message);
    }
}

impl From<LabError> for Failure {
    fn from(error: LabError) -> Self {
        Failure::of(&error)
    }
}

pub fn run(args: &Args) -> Exit {
    let lab = Lab::open(&args.name)?;
    match &args.command {
        LabCommand::Up { fleet, hosts, suite, yes } => {
            up(&lab.clone().with_suite(*suite), fleet.as_ref(), *hosts, *yes)?;
        }
        LabCommand::Down { purge } => {
            lab.down(&Say)?;
            if *purge {
                lab.purge()?;
            }
        }
        LabCommand::Status => status(&lab)?,
        LabCommand::Exec { command } => {
            let status = lab.exec(command)?;
            return Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(ERROR));
        }
        LabCommand::Cut { host } => lab.cut(host)?,
        LabCommand::Mend { host } => lab.mend(host)?,
        LabCommand::Kill { host } => lab.kill(host)?,
        LabCommand::Boot { host } => lab.boot(host, &Say)?,
    }
    Ok(DONE)
}

fn up(lab: &Lab, fleet: Option<&PathBuf>, hosts: Option<usize>, yes: bool) -> Result<(), Failure> {
    let instances = match (fleet, hosts) {
        (Some(folder), _) => declared_instances(folder)?,
        (None, Some(number)) => (1..=number).map(|k| format!("h{k}")).collect(),
        (None, None) => {
            return Err(Failure::new(ERROR, "which hosts?").hint("say `lab up --fleet DIR` or `lab up --hosts N`"));
        }
    };
    install_missing(lab, yes)?;
    lab.up(&instances, &Say)?;
    status(lab)?;
    let file = lab.override_file();
    println!("\nUse them:  {} plan --override {}", common::program(), common::quoted(&file));
    Ok(())
}

/// The names of a fleet's instances, whatever else may be wrong with it.
pub fn declared_instances(folder: &std::path::Path) -> Result<Vec<String>, Failure> {
    let tree = common::FleetArgs { fleet: folder.to_owned() }.read()?;
    let (declaration, findings) = declare::read(&tree.tree, &tree.fleet);
    let Some(declaration) = declaration else {
        let mut failure = Failure::new(ERROR, format!("{} is no fleet that can be read", folder.display()));
        failure.findings = findings;
        return Err(failure);
    };
    Ok(declaration.instances().into_iter().map(|name| name.to_string()).collect())
}

/// Installs what the lab needs, after asking.
pub fn install_missing(lab: &Lab, yes: bool) -> Result<(), Failure> {
    let missing = lab.missing();
    if missing.is_empty() {
        return Ok(());
    }
    let commands: Vec<&str> = missing.iter().map(|missing| missing.install.as_str()).collect();
    for missing in &missing {
        anstream::eprintln!("missing: {} (install it with `{}`)", missing.what, missing.install);
    }
    if !yes {
        if !std::io::stdin().is_terminal() {
            return Err(Failure::new(ERROR, "the lab needs packages that are not installed")
                .hint(format!("run `{}`, or use --yes", commands.join(" && "))));
        }
        anstream::eprint!("Install now? [y/N] ");
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer)?;
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            return Err(Failure::new(ERROR, "not installed; nothing was changed"));
        }
    }
    Ok(lab.install(&Say)?)
}

fn status(lab: &Lab) -> Result<(), Failure> {
    let hosts = lab.hosts()?;
    if hosts.is_empty() {
        println!("No lab hosts are up.");
    }
    for host in hosts {
        let state = if host.running { "up" } else { "off" };
        println!("{:4} {:20} {:15} {state}", host.lab_name, host.instance, host.address);
    }
    Ok(())
}
