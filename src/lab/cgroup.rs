//! One control group per host.
//!
//! On a machine run by systemd, nspawn asks it for a scope and there is nothing to do. Elsewhere (a
//! container, a bare virtual machine) every nspawn would put its host into the *same* group
//! `/payload`: two hosts' `nginx.service` would be one group, so that stopping one waits for the
//! other. There we make a group for each host and remove it with the host.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use super::{
    error::{Doing, LabError},
    mounts,
};

/// A group can be removed once the last process that died in it was reaped, by whoever is PID 1 here.
const LIMIT: Duration = Duration::from_secs(10);

/// Whether this machine's PID 1 is systemd, told as sd_booted(3) does.
pub(super) fn run_by_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// The groups named `name` in each hierarchy that a systemd in a container uses.
fn named(name: &Path) -> Result<Vec<PathBuf>, LabError> {
    if run_by_systemd() {
        return Ok(Vec::new());
    }
    let used = |mount: &mounts::Mount| {
        mount.kind == "cgroup2"
            || mount.kind == "cgroup" && mount.options.split(',').any(|option| option == "name=systemd")
    };
    Ok(mounts::list()?.into_iter().filter(used).map(|mount| mount.at.join(name)).collect())
}

/// Makes the groups `name`, to be joined by writing to their `cgroup.procs`.
pub(super) fn make(name: &Path) -> Result<Vec<PathBuf>, LabError> {
    let groups = named(name)?;
    for group in &groups {
        fs::create_dir_all(group).doing(|| format!("making the control group {}", group.display()))?;
    }
    Ok(groups)
}

/// Removes the groups `name` and below.
pub(super) fn remove(name: &Path) -> Result<(), LabError> {
    let begun = Instant::now();
    for group in named(name)? {
        loop {
            let mut removed = Ok(());
            walk(&group, &mut |dir| removed = fs::remove_dir(dir));
            match removed {
                Err(_) if group.exists() && begun.elapsed() < LIMIT => thread::sleep(Duration::from_millis(50)),
                Err(source) if group.exists() => {
                    return Err(LabError::Io {
                        doing: format!("removing the control group {}", group.display()),
                        source,
                    });
                }
                _ => break,
            }
        }
    }
    Ok(())
}

/// Visits `dir` and the directories below, inner first.
fn walk(dir: &Path, visit: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), visit);
        }
    }
    visit(dir);
}
