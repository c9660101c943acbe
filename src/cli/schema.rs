//! `evenkeel schema`: the JSON Schemas of everything people write and read.

use std::{fs, path::PathBuf};

use super::{DONE, ERROR, Exit, Failure};
use crate::{declare, report};

/// Print or write the JSON Schemas.
#[derive(clap::Args)]
pub struct Args {
    /// Write all of them into a folder.
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = "schema")]
    write: Option<PathBuf>,
    /// The schema to print, for example `service`; without it, their names.
    name: Option<String>,
}

/// Every schema, by file name.
pub fn all() -> Vec<(&'static str, String)> {
    let mut schemas = declare::schemas();
    schemas.extend(report::json::schemas());
    schemas
}

pub fn run(args: &Args) -> Exit {
    let schemas = all();
    if let Some(folder) = &args.write {
        fs::create_dir_all(folder)?;
        for (name, text) in &schemas {
            fs::write(folder.join(name), text)?;
            println!("wrote {}", folder.join(name).display());
        }
        return Ok(DONE);
    }
    let Some(wanted) = &args.name else {
        schemas.iter().for_each(|(name, _)| println!("{}", name.trim_end_matches(".json")));
        return Ok(DONE);
    };
    match schemas.iter().find(|(name, _)| name.trim_end_matches(".json") == wanted.trim_end_matches(".json")) {
        Some((_, text)) => print!("{text}"),
        None => {
            return Err(
                Failure::new(ERROR, format!("there is no schema {wanted}")).hint("`evenkeel schema` lists them")
            );
        }
    }
    Ok(DONE)
}
