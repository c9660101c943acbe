//! `evenkeel validate`: everything there is to say against the declared fleet, at once.

use clap::ValueEnum;

use super::{DONE, Exit, REFUSED, common};
use crate::{declare, model::finding::any_error, report};

/// Check the declared fleet: every finding at once, each with its place and a hint.
///
/// Where a file cannot be read yet, the last finding says what that kept from being checked.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    fleet: common::FleetArgs,
    #[arg(long, default_value = "text")]
    format: ValidateFormat,
}

#[derive(Clone, Copy, ValueEnum)]
enum ValidateFormat {
    Text,
    Json,
    /// GitHub's annotations.
    Github,
}

pub fn run(args: &Args) -> Exit {
    let tree = args.fleet.read()?;
    let (declaration, mut findings) = declare::read(&tree.tree, &tree.fleet);
    findings.extend(declaration.iter().flat_map(|declaration| declaration.advice()));
    let text = match args.format {
        ValidateFormat::Text => report::findings::text(&findings, common::style().0),
        ValidateFormat::Json => report::findings::json(&findings),
        ValidateFormat::Github => report::findings::github(&findings),
    };
    anstream::print!("{text}");
    if any_error(&findings) || declaration.is_none() { Ok(REFUSED) } else { Ok(DONE) }
}
