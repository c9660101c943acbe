//! The command line's entry: see `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    evenkeel::cli::main()
}
