//! A controller that runs beside the test, and the repository that it shares with others.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use evenkeel::model::event::EventName;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{events, world::wait_for};

/// A running controller. Dropping it ends it.
pub struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts the command, with its log in the folder.
    pub fn start(mut evenkeel: Command, folder: &Path) -> Self {
        let log = folder.join("log");
        let file = File::create(&log).expect("the log can be made");
        let child = evenkeel.stdout(Stdio::null()).stderr(file).spawn().expect("evenkeel runs");
        Self { child, log }
    }

    /// The number of its process, by which records name it.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until the event has happened; answers its first record.
    #[track_caller]
    pub fn tells(&self, event: EventName) -> Value {
        self.tells_that(event, |_| true)
    }

    /// As [`Self::tells`], of a record with these fields.
    #[track_caller]
    pub fn tells_that(&self, event: EventName, is_meant: impl Fn(&Value) -> bool) -> Value {
        wait_for(event.as_str(), || events::told(&self.log(), event).find(&is_meant))
    }

    /// Asks it to end, and waits until it has.
    pub fn terminate(&mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it runs");
        wait_for("the end of the controller", || self.child.try_wait().expect("it can be waited for"))
    }

    /// Takes it out in the middle of whatever it does.
    pub fn kill(&mut self) {
        // It may have ended in between.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.kill();
        }
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

/// What the controller on a socket says of its one environment: asked often, so without a program for it.
pub fn status(socket: &Path) -> Option<Value> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.write_all(b"GET /status HTTP/1.1\r\nHost: evenkeel\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    serde_json::from_str::<Vec<Value>>(body).ok()?.into_iter().next()
}
