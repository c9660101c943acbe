//! Hidden commands that evenkeel starts itself: the process with limits that reads a proposal, and the first process in
//! the sandbox of a build with a network.

use std::io::{stdin, stdout};

use super::{DONE, ERROR, Exit, Failure};
use crate::{engine::prepare::confined, pulls::read_proposal, release};

/// For evenkeel itself: read and plan one proposal, asked on standard input.
#[derive(clap::Args)]
pub struct Args {
    /// Bytes of memory.
    memory: u64,
    /// Seconds of the processor.
    seconds: u64,
}

pub fn proposal(args: &Args) -> Exit {
    let told = |doing| move |error: std::io::Error| Failure::new(ERROR, format!("cannot {doing}: {error}"));
    confined::confine(args.memory, args.seconds).map_err(told("put this process under its limits"))?;
    read_proposal(stdin().lock(), stdout().lock()).map_err(told("read a proposal"))?;
    Ok(DONE)
}

/// For evenkeel itself: give a build's sandbox its network, and run the build.
#[derive(clap::Args)]
pub struct EnterArgs {
    /// The descriptor of the socket that leads out.
    socket: i32,
    #[arg(last = true)]
    command: Vec<String>,
}

pub fn enter_build(args: &EnterArgs) -> Exit {
    let error = release::enter(args.socket, &args.command);
    Err(Failure::new(ERROR, format!("cannot open the way to the network: {error}")))
}
