//! `evenkeel why`.
use super::{DONE, Exit};
/// Say why something is as it is.
#[derive(clap::Args)]
pub struct Args {}
pub fn run(_: &Args) -> Exit {
    Ok(DONE)
}
