//! Who may have changed a file: logins and sudo lines of the minutes before its time.
//!
//! Keeps true: it is a hint and never more; no argument of a command is shown, for it may be a secret.
//! Source of the lines: the journal, as sshd(8) and sudo(8) write them.

use super::{
    quote::{assign, word},
    scripts::script,
};

/// How long before a file's change somebody may have logged in who made it.
const BEFORE_SECONDS: u32 = 900;
/// Clocks and saved files lag a little.
const AFTER_SECONDS: u32 = 5;

/// One line of what somebody did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    pub path: String,
    /// Unix time of the line.
    pub at: i64,
    /// `ubuntu logged in from 10.0.0.7`, `ubuntu ran vim as root`.
    pub what: String,
}

/// Prints, for each path, `path PATH` and the journal's lines around the time of its last change.
pub(super) fn script(paths: &[String]) -> String {
    let paths: String = paths.iter().map(|path| format!(" {}", word(path))).collect();
    let (before, after) = (BEFORE_SECONDS.to_string(), AFTER_SECONDS.to_string());
    format!("set --{paths}\n") + &assign("before", &before) + &assign("after", &after) + &script!("login_audit.sh")
}

pub(super) fn parse(output: &str) -> Vec<Trace> {
    let mut path = "";
    let mut traces = Vec::new();
    for line in output.lines() {
        if let Some(next) = line.strip_prefix("path ") {
            path = next;
            continue;
        }
        let Some((time, rest)) = line.split_once(' ') else { continue };
        let Some(at) = time.split('.').next().and_then(|seconds| seconds.parse().ok()) else { continue };
        // `HOST PROGRAM[PID]: MESSAGE`
        let Some((_, message)) = rest.split_once("]: ") else { continue };
        if let Some(what) = login(message).or_else(|| command(message)) {
            traces.push(Trace { path: path.to_owned(), at, what });
        }
    }
    traces
}

/// `Accepted publickey for USER from ADDRESS port …`
fn login(message: &str) -> Option<String> {
    let rest = message.strip_prefix("Accepted ")?;
    let (_, rest) = rest.split_once(" for ")?;
    let (user, rest) = rest.split_once(" from ")?;
    Some(format!("{user} logged in from {}", rest.split(' ').next()?))
}

/// `USER : TTY=… ; PWD=… ; USER=root ; COMMAND=/usr/bin/vim …`. Without a terminal it is a program's
/// doing, ours among them.
fn command(message: &str) -> Option<String> {
    let (user, rest) = message.trim_start().split_once(" : ")?;
    if !rest.contains("TTY=") {
        return None;
    }
    let (before, command) = rest.split_once("COMMAND=")?;
    let target = before.split("; USER=").nth(1)?.split(' ').next()?;
    let program = command.split(' ').next()?.rsplit('/').next()?;
    Some(format!("{user} ran {program} as {target}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_and_commands_are_told_without_arguments() {
        let output = "path /etc/a\n\
            1763730000.123456 h1 sshd[411]: Accepted publickey for ann from 10.0.0.7 port 50022 ssh2: ED25519 SHA256:x\n\
            1763730010.000001 h1 sudo[420]:      ann : TTY=pts/0 ; PWD=/home/ann ; USER=root ; COMMAND=/usr/bin/vim /etc/a --pass=secret\n\
            1763730011.000001 h1 sudo[421]:   ubuntu : PWD=/home/ubuntu ; USER=root ; COMMAND=/usr/bin/sh -c script\n\
            1763730012.000001 h1 sudo[420]: pam_unix(sudo:session): session opened for user root(uid=0) by ann(uid=1001)\n";
        let said: Vec<_> = parse(output).into_iter().map(|trace| (trace.path, trace.at, trace.what)).collect();
        assert_eq!(
            said,
            [
                ("/etc/a".to_owned(), 1_763_730_000, "ann logged in from 10.0.0.7".to_owned()),
                ("/etc/a".to_owned(), 1_763_730_010, "ann ran vim as root".to_owned()),
            ]
        );
    }
}
