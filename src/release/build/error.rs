//! What can stand against a build, and what is wrong with one.

use std::{io, path::PathBuf, process::ExitStatus};

use thiserror::Error;

use super::sandbox::MOST_PROCESSES;
use crate::model::quantity::Span;

#[derive(Debug, Error)]
pub enum BuildError {
    #[error("nothing is built without bubblewrap, which is not installed; run `apt-get install bubblewrap`")]
    NoSandbox,
    #[error(
        "bubblewrap made no sandbox ({said}); it needs user namespaces, and under evenkeel's unit the drop-in builds.conf: \
         see \"Builds\" in the README for how to allow them"
    )]
    Sandbox { said: String },
    #[error("a build was stopped because only {} MiB are left on its disk; make room", free >> 20)]
    NoRoom { free: u64 },
    #[error("there is no place to build in; name one with --state DIR")]
    NoPlace,
    #[error("cannot {doing} {path}: {source}; see that there is room, and that it is ours")]
    File { doing: &'static str, path: PathBuf, source: io::Error },
    /// The command failed, or did what no build may.
    #[error(
        "{command} {fault}{}{}{}all of what it said is in {log}", said(last_lines), offline(fault, *network),
        refused(*out_of_tasks)
    )]
    Failed {
        command: String,
        fault: Fault,
        last_lines: Vec<String>,
        network: bool,
        /// Whether it was refused one process or thread too many.
        out_of_tasks: bool,
        log: PathBuf,
    },
}

impl BuildError {
    /// Whether the same source would fail again, wherever it is built.
    pub fn is_of_the_build(&self) -> bool {
        matches!(self, BuildError::Failed { fault, .. } if !matches!(fault, Fault::Unanswered(_)))
    }
}

/// What a build did wrong.
#[derive(Debug, Error)]
pub enum Fault {
    #[error("failed ({0}); correct it and commit")]
    Exit(ExitStatus),
    /// It asked for something elsewhere that did not answer: the same source may be built when that does.
    #[error("failed ({0}) without what it asked another machine for; see that that answers, and it is tried again")]
    Unanswered(ExitStatus),
    #[error("took longer than {0}; make it faster, or allow it more with build.timeout")]
    Timeout(Span),
    #[error("took more than {} MiB of memory; let it take less, or allow it more with build.memory", .0 >> 20)]
    Memory(u64),
    #[error("ran more than {0} processes at once; let it run fewer")]
    Processes(usize),
    #[error(
        "left more than {} GiB, or {entries} files, in its folders; let it write less, or remove what it is done with",
        bytes >> 30
    )]
    Disk { bytes: u64, entries: u64 },
    #[error("left no folder {0}; correct build.output")]
    NoOutput(String),
    #[error("left something that cannot be deployed: {0}")]
    Output(String),
}

fn said(lines: &[String]) -> String {
    if lines.is_empty() {
        return "; it said nothing; ".to_owned();
    }
    let lines: String = lines.iter().map(|line| format!("    {line}\n")).collect();
    format!("; its last lines:\n{lines}")
}

/// People who write a build expect a network.
fn offline(fault: &Fault, network: bool) -> &'static str {
    match fault {
        Fault::Exit(_) if !network => "it had no network, which `network: true` of the build gives; ",
        _ => "",
    }
}

/// The last lines say "cannot fork" at best.
fn refused(out_of_tasks: bool) -> String {
    if !out_of_tasks {
        return String::new();
    }
    format!("it was refused more than {MOST_PROCESSES} processes and threads at once; let it run fewer; ")
}
