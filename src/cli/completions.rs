//! `evenkeel completions`: for shells.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Cli, DONE, Exit};

/// Print completions for a shell.
#[derive(clap::Args)]
pub struct Args {
    shell: Shell,
}

pub fn run(args: &Args) -> Exit {
    clap_complete::generate(args.shell, &mut Cli::command(), "evenkeel", &mut std::io::stdout());
    Ok(DONE)
}
