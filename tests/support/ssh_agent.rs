//! An ssh-agent of a test's own: OpenSSH's, or one that hears and never answers.

use std::{
    fs,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use super::waiting::wait_for;

/// The programs that it takes.
pub const PROGRAMS: [&str; 3] = ["ssh-agent", "ssh-add", "ssh-keygen"];

/// A running `ssh-agent`. Dropping it ends it.
pub struct SshAgent {
    process: Child,
    folder: TempDir,
}

impl SshAgent {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let socket = folder.path().join("socket");
        let mut command = Command::new("ssh-agent");
        let process = command.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let agent = Self { process: process.expect("ssh-agent runs"), folder };
        wait_for("an ssh-agent that listens", || UnixStream::connect(&socket).ok());
        agent
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// Makes a key that the agent alone holds, and answers its public line. `kind` is as ssh-keygen takes it,
    /// `constraints` as ssh-add does.
    pub fn make(&self, kind: &str, constraints: &[&str]) -> String {
        let file = self.folder.path().join(kind);
        let made = Command::new("ssh-keygen").args(["-q", "-N", "", "-C", kind, "-t", kind, "-f"]).arg(&file).output();
        let made = made.expect("ssh-keygen runs");
        assert!(made.status.success(), "{made:?}");
        self.add(&file, constraints);
        fs::remove_file(&file).expect("it is ours");
        fs::read_to_string(file.with_extension("pub")).expect("its public half").trim().to_owned()
    }

    fn add(&self, file: &Path, constraints: &[&str]) {
        let mut command = Command::new("ssh-add");
        let added = command.arg("-q").args(constraints).arg(file).env("SSH_AUTH_SOCK", self.socket()).output();
        let added = added.expect("ssh-add runs");
        assert!(added.status.success(), "{added:?}");
    }
}

impl Drop for SshAgent {
    fn drop(&mut self) {
        // Ended already is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Connections are taken and nothing is ever answered, for as long as this lives.
pub struct MuteAgent {
    _listener: UnixListener,
    folder: TempDir,
}

impl MuteAgent {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let listener = UnixListener::bind(folder.path().join("socket")).expect("it can be bound");
        Self { _listener: listener, folder }
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }
}
