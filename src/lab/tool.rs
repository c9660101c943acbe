//! Running the system's own programs (`ip`, `ssh-keygen`, `mmdebstrap` …).
//!
//! Keeps true: each run has a time limit; each holds the lock it works under until it ends, even if
//! we are killed meanwhile; what it said is part of the error. Never does: a shell with our values in
//! its text.

use std::{
    ffi::{OsStr, OsString},
    process::{Command, Output},
    time::Duration,
};

use super::{
    error::{Doing, LabError},
    lock::Lock,
};

/// Ample for programs that ask the kernel for something and end.
pub(super) const SHORT: Duration = Duration::from_secs(30);

/// What `timeout` answers when the limit was reached.
const TIMED_OUT: i32 = 124;

/// Runs `program` to its end and returns what it wrote to standard output.
pub(super) fn run<S: AsRef<OsStr>>(
    doing: &str,
    program: &str,
    arguments: impl IntoIterator<Item = S>,
    lock: &Lock,
    limit: Duration,
) -> Result<String, LabError> {
    let arguments: Vec<OsString> = arguments.into_iter().map(|argument| argument.as_ref().to_owned()).collect();
    let output = attempt(program, &arguments, lock, limit)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let command =
        [program.to_owned()].into_iter().chain(arguments.iter().map(|word| word.to_string_lossy().into_owned()));
    let command = command.collect::<Vec<_>>().join(" ");
    let doing = doing.to_owned();
    if output.status.code() == Some(TIMED_OUT) {
        return Err(LabError::TimedOut { doing, command, limit });
    }
    let said = last_lines(&String::from_utf8_lossy(&output.stderr), 12);
    Err(LabError::Failed { doing, command, status: output.status.to_string(), said })
}

/// Like `run`, for a program that is allowed to fail.
pub(super) fn attempt<S: AsRef<OsStr>>(
    program: &str,
    arguments: impl IntoIterator<Item = S>,
    lock: &Lock,
    limit: Duration,
) -> Result<Output, LabError> {
    // Without --foreground, `timeout` leaves the terminal's process group and Ctrl-C misses the program.
    Command::new("timeout")
        .args(["--foreground", "--kill-after=5", &limit.as_secs().to_string(), program])
        .args(arguments)
        .stdin(lock.as_stdin()?)
        .output()
        .doing(|| format!("starting `{program}`"))
}

/// Like `attempt`, for a program that starts many others: all of them end with it, and it ends with us.
///
/// They run in a PID namespace of their own, which dies as a whole, and in a mount namespace of their
/// own, so that their mounts die too.
pub(super) fn contained<S: AsRef<OsStr>>(
    program: &str,
    arguments: impl IntoIterator<Item = S>,
    lock: &Lock,
    limit: Duration,
) -> Result<Output, LabError> {
    Command::new("setpriv")
        .args(["--pdeathsig=KILL", "unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc"])
        .args(["timeout", "--foreground", "--kill-after=5", &limit.as_secs().to_string(), program])
        .args(arguments)
        .stdin(lock.as_stdin()?)
        .output()
        .doing(|| format!("starting `{program}`"))
}

/// The end of a text, where programs say why they gave up.
pub(super) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
