//! `evenkeel init`: a small commented fleet to begin from.

use std::{fs, path::PathBuf};

use super::{DONE, ERROR, Exit, Failure};
use crate::{declare, model::name::FleetName};

/// Write a small commented fleet to begin from.
#[derive(clap::Args)]
pub struct Args {
    /// The folder to make.
    #[arg(default_value = "fleet")]
    folder: PathBuf,
    /// The fleet's name: the prefix of everything evenkeel makes on a host.
    #[arg(long, default_value = "myfleet")]
    name: FleetName,
}

pub fn run(args: &Args) -> Exit {
    if args.folder.join("fleet.yaml").exists() {
        return Err(Failure::new(ERROR, format!("{} holds a fleet already", args.folder.display()))
            .hint("name another folder, or edit what is there"));
    }
    for (path, text) in declare::starter(&args.name) {
        let path = args.folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, text)?;
        println!("wrote {}", path.display());
    }
    let folder = args.folder.display();
    println!(
        "\nNext: edit instances/, commit, then\n  evenkeel validate --fleet {folder}\n  evenkeel plan --fleet {folder}"
    );
    Ok(DONE)
}
