//! The command line's entry: see `cli`.

use std::process::ExitCode;

use evenkeel::engine::prepare::confined::Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    evenkeel::cli::main()
}
