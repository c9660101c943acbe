//! Which processes belong to a lab, read from /proc, and ending them.
//!
//! A host's processes are found by the `--directory=` of its systemd-nspawn. The same words stand in
//! the arguments of the programs that lead to it (setsid, sh), so there is no moment between starting
//! a host and its running at which it could be missed. Nothing has to be remembered in a file.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{error::LabError, mounts};

/// How long a killed host may take to be gone; it takes some 50 ms.
const LIMIT: Duration = Duration::from_secs(20);

/// From when on the supervisor is killed too, and not only what it supervises.
const PATIENCE: Duration = Duration::from_secs(2);

/// Every process of this machine.
pub(super) fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The processes that are, or are about to become, the supervisor of a host whose root directory is at
/// or below `dir`. Zombies are none.
pub(super) fn supervisors(dir: &Path) -> Vec<u32> {
    let supervises = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        let mut words = line.split('\0');
        words.clone().any(|word| word.ends_with("systemd-nspawn"))
            && words.any(|word| word.strip_prefix("--directory=").is_some_and(|root| Path::new(root).starts_with(dir)))
    };
    pids().filter(supervises).collect()
}

/// Takes the power from every host at or below `dir` and waits until they are gone.
pub(super) fn power_off(what: &str, dir: &Path) -> Result<(), LabError> {
    let begun = Instant::now();
    loop {
        let supervisors = supervisors(dir);
        // A host whose supervisor was killed alone runs on.
        let orphans: Vec<u32> = match supervisors.is_empty() {
            true => pids().filter(|pid| mounts::is_root_below(*pid, dir)).collect(),
            false => Vec::new(),
        };
        if supervisors.is_empty() && orphans.is_empty() {
            return Ok(());
        }
        if begun.elapsed() > LIMIT {
            let pids = supervisors.iter().chain(&orphans).map(u32::to_string).collect::<Vec<_>>().join(", ");
            return Err(LabError::WillNotDie { what: what.to_owned(), waited: LIMIT, pids });
        }
        // A host dies with its leader, the supervisor's child; the supervisor then tidies up and ends.
        for pid in pids().filter(|pid| parent(*pid).is_some_and(|parent| supervisors.contains(&parent))).chain(orphans)
        {
            kill(pid);
        }
        if begun.elapsed() > PATIENCE {
            supervisors.into_iter().for_each(kill);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// `/proc/PID/stat` is `PID (name) state PPID …`, and a name may hold blanks and parentheses.
fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// That it is gone already is as good.
fn kill(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::KILL);
    }
}
