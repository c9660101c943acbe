//! The command line: one file per subcommand; exit codes and hints live here and nowhere below.
//!
//! Exit codes: 0 done or no change; 1 error; 2 `plan --detailed-exitcode` found changes; 3 deployed and
//! rolled back; 4 refused; 5 partial, some instance unreachable.

mod apply;
mod common;
mod completions;
mod controls;
mod demo;
mod demo_builds;
mod demo_change;
mod failure;
mod github;
mod github_args;
mod history;
mod init;
mod internal;
mod lab;
mod log;
mod plan;
mod progress;
mod question;
mod release;
mod render;
mod repository;
mod rollback;
mod run;
mod schema;
mod signals;
mod status;
mod validate;
mod webhook;
mod why;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use failure::Failure;

/// Keeps a fleet of plain Linux hosts equal to a folder in git.
///
/// No Kubernetes, no agent on the hosts, no database: git, SSH, systemd and nginx.
#[derive(Parser)]
#[command(name = "evenkeel", version, max_term_width = 100)]
struct Cli {
    /// Colour and symbols: on a terminal, always, or never (NO_COLOR is heeded).
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: clap::ColorChoice,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Init(init::Args),
    Validate(validate::Args),
    Render(render::Args),
    Plan(plan::Args),
    Apply(apply::Args),
    Run(run::Args),
    Status(status::Args),
    History(history::HistoryArgs),
    Show(history::ShowArgs),
    Why(why::Args),
    Hold(controls::HoldArgs),
    Resume(controls::ResumeArgs),
    Retry(controls::RetryArgs),
    Cancel(controls::CancelArgs),
    Rollback(rollback::Args),
    Release(release::Args),
    Github(github::Args),
    Lab(lab::Args),
    Demo(demo::Args),
    Schema(schema::Args),
    Completions(completions::Args),
    #[command(name = crate::pulls::READ_PROPOSAL, hide = true)]
    ReadProposal(internal::Args),
    #[command(name = crate::release::ENTER_BUILD, hide = true)]
    EnterBuild(internal::EnterArgs),
}

impl Command {
    /// Whether somebody sits there and waits for hosts or remotes. The daemon and the demo keep a log of their own.
    fn waits_for_people(&self) -> bool {
        matches!(
            self,
            Command::Plan(_)
                | Command::Apply(_)
                | Command::Status(_)
                | Command::Why(_)
                | Command::Rollback(_)
                | Command::Release(_)
                | Command::Github(_)
        )
    }

    /// Whether what it writes is the controller's own. The others write what people asked for, as their umask says.
    fn keeps_state(&self) -> bool {
        match self {
            Command::Plan(_)
            | Command::Apply(_)
            | Command::Run(_)
            | Command::Status(_)
            | Command::History(_)
            | Command::Show(_)
            | Command::Why(_)
            | Command::Hold(_)
            | Command::Resume(_)
            | Command::Retry(_)
            | Command::Cancel(_)
            | Command::Rollback(_)
            | Command::Release(_)
            | Command::Github(_) => true,
            Command::Init(_)
            | Command::Validate(_)
            | Command::Render(_)
            | Command::Lab(_)
            | Command::Demo(_)
            | Command::Schema(_)
            | Command::Completions(_)
            // It writes nothing at all.
            | Command::ReadProposal(_)
            | Command::EnterBuild(_) => false,
        }
    }
}

/// What a command that ended well exits with.
type Exit = Result<u8, Failure>;

pub const DONE: u8 = 0;
pub const ERROR: u8 = 1;
pub const CHANGES: u8 = 2;
pub const ROLLED_BACK: u8 = 3;
pub const REFUSED: u8 = 4;
pub const PARTIAL: u8 = 5;

/// A reader that has gone ends the program, as in `evenkeel history | head`. Rust ignores SIGPIPE, and a
/// print would panic. Not for commands that change something: they must not end half-way.
fn end_with_the_reader() {
    // SAFETY: it sets a signal to its default, before there is any other thread.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// Parses the arguments, runs the command, says what went wrong.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // A closed pipe is nobody who could be told.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { ERROR } else { DONE });
        }
    };
    common::choose_colour(cli.color);
    if cli.command.keeps_state() {
        common::write_for_the_owner_alone();
    }
    if !matches!(cli.command, Command::Apply(_) | Command::Run(_) | Command::Lab(_) | Command::Demo(_)) {
        end_with_the_reader();
    }
    // reqwest is built without a TLS provider of its own; the only error is that one is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    if cli.command.waits_for_people() {
        log::start_for_people();
    }
    let exit = match cli.command {
        Command::Init(args) => init::run(&args),
        Command::Validate(args) => validate::run(&args),
        Command::Render(args) => render::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Apply(args) => apply::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Status(args) => status::run(&args),
        Command::History(args) => history::run(&args),
        Command::Show(args) => history::show(&args),
        Command::Why(args) => why::run(&args),
        Command::Hold(args) => controls::hold(&args),
        Command::Resume(args) => controls::resume(&args),
        Command::Retry(args) => controls::retry(&args),
        Command::Cancel(args) => controls::cancel(&args),
        Command::Rollback(args) => rollback::run(&args),
        Command::Release(args) => release::run(&args),
        Command::Github(args) => github::run(&args),
        Command::Lab(args) => lab::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::ReadProposal(args) => internal::proposal(&args),
        Command::EnterBuild(args) => internal::enter_build(&args),
    };
    match exit {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.code)
        }
    }
}
