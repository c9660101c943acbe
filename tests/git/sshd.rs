//! A real sshd, that can be made to say something else than git.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use evenkeel::git::{Credentials, RemoteUrl};
use tempfile::TempDir;

use crate::{
    helpers::{temporary, url},
    needs::lacks,
};

/// A real sshd on loopback that lets one key in.
pub struct Sshd {
    pub folder: TempDir,
    pub port: u16,
    process: Child,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub fn new_key(path: &Path) -> String {
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"]).arg(path).status();
    assert!(made.is_ok_and(|status| status.success()), "ssh-keygen is needed (package openssh-client)");
    fs::read_to_string(path.with_extension("pub")).expect("it was made").trim().to_owned()
}

impl Sshd {
    /// None where this machine has none, which is said.
    pub fn start() -> Option<Self> {
        const SSHD: &str = "/usr/sbin/sshd";
        if lacks(&["sshd", "ssh-keygen"]) {
            return None;
        }
        // As root it insists on this folder, which its service would make.
        let _ = fs::create_dir_all("/run/sshd");
        let folder = temporary();
        let at = |name: &str| folder.path().join(name);
        new_key(&at("host"));
        fs::write(at("authorized"), new_key(&at("client"))).expect("it can be written");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("loopback has a port").port();
        // What runs instead of what is asked for, as long as somebody has written it.
        let command =
            format!("if [ -e '{0}' ]; then . '{0}'; else eval \"$SSH_ORIGINAL_COMMAND\"; fi", at("instead").display());
        let config = format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\n\
             UsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n\
             SetEnv PATH={}\nForceCommand {command}\n",
            at("host").display(),
            at("authorized").display(),
            std::env::var("PATH").expect("there is one"),
        );
        fs::write(at("config"), config).expect("it can be written");
        let mut process = Command::new(SSHD)
            .args(["-D", "-e", "-f"])
            .arg(at("config"))
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(process.stderr.take().expect("it is piped")).lines();
        let mut said = Vec::new();
        while !said.last().is_some_and(|line: &String| line.starts_with("Server listening")) {
            match lines.next() {
                Some(Ok(line)) => said.push(line),
                _ => panic!("sshd did not start: {said:?}"),
            }
        }
        // What it goes on saying must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { folder, port, process })
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs this shell script instead of what is asked for, which is `$SSH_ORIGINAL_COMMAND`.
    pub fn instead(&self, script: &str) {
        fs::write(self.at("instead"), script).expect("it can be written");
    }

    pub fn url(&self, path: &Path) -> RemoteUrl {
        let user = Command::new("id").arg("-un").output().expect("id is installed").stdout;
        let user = String::from_utf8_lossy(&user).trim().to_owned();
        url(format!("ssh://{user}@127.0.0.1:{}{}", self.port, path.display()))
    }

    pub fn credentials(&self, known: &str) -> Credentials {
        let path = self.at("known_hosts");
        let mut file = fs::File::create(&path).expect("it can be written");
        writeln!(file, "{known}").expect("it can be written");
        Credentials { ssh_key: Some(self.at("client")), known_hosts: Some(path), ..Credentials::default() }
    }

    pub fn known(&self) -> String {
        let key = fs::read_to_string(self.at("host.pub")).expect("it was made");
        format!("[127.0.0.1]:{} {key}", self.port)
    }
}
