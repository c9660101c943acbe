//! Waiting until a host lets its user in and has finished booting.
//!
//! sshd answers before pam_nologin lets anyone in, so only a login tells.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use super::{
    Lab,
    error::LabError,
    lock::Lock,
    machine::Machine,
    tool::{attempt, last_lines},
};

/// Five hosts boot in about 2 s and fifty in about 15 s; the rest is for machines that do much else.
const LIMIT: Duration = Duration::from_secs(90);

/// A connect to a host that is off would hang for minutes.
const CONNECT: Duration = Duration::from_millis(500);

/// One login: the command it runs waits until systemd has started all units.
const LOGIN: Duration = Duration::from_secs(20);

const SSH_PORT: u16 = 22;

/// Answers `running` or `degraded` once booting is over, and nothing while there is no bus to ask.
const BOOTED: &str = "systemctl is-system-running --wait";

/// Waits for `machine`. To be called inside the lab's namespace.
pub(super) fn wait(lab: &Lab, machine: &Machine<'_>, lock: &Lock) -> Result<(), LabError> {
    let address = lab.network.address(machine.number);
    let begun = Instant::now();
    while begun.elapsed() < LIMIT {
        // Cheap, and fifty hosts share the processors with their own booting.
        if TcpStream::connect_timeout(&SocketAddr::from((address, SSH_PORT)), CONNECT).is_ok() {
            let output = attempt("ssh", arguments(lab, machine), lock, LOGIN)?;
            let state = String::from_utf8_lossy(&output.stdout);
            if matches!(state.trim(), "running" | "degraded") {
                return Ok(());
            }
        } else if !machine.is_running() {
            let said = fs::read_to_string(machine.console()).unwrap_or_default();
            let last_words = last_lines(&said, 8);
            return Err(LabError::Died { host: machine.lab_name(), console: machine.console(), last_words });
        }
        thread::sleep(Duration::from_millis(50));
    }
    Err(LabError::NoLogin { host: machine.lab_name(), waited: LIMIT, console: machine.console() })
}

fn arguments(lab: &Lab, machine: &Machine<'_>) -> Vec<String> {
    // -F none: what the person at this machine has configured for ssh is not for these hosts.
    let mut arguments: Vec<String> = ["-F", "none", "-i", &lab.key_file().to_string_lossy()].map(str::to_owned).into();
    for option in [
        "BatchMode=yes",
        "IdentitiesOnly=yes",
        "IdentityAgent=none",
        "StrictHostKeyChecking=yes",
        "GlobalKnownHostsFile=none",
        "ConnectTimeout=2",
        "ServerAliveInterval=2",
        &format!("UserKnownHostsFile={}", machine.known_hosts().display()),
    ] {
        arguments.extend(["-o".to_owned(), option.to_owned()]);
    }
    arguments.push(format!("{}@{}", super::USER, lab.network.address(machine.number)));
    arguments.push(BOOTED.to_owned());
    arguments
}
