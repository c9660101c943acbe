//! `evenkeel` as a program, with a fleet on the fake GitHub and nothing on this machine that lets it in there but the
//! App's key.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use evenkeel::model::event::EventName;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    events,
    git::{git, try_git},
    github::{APP, GitHub},
    waiting::wait_for,
};

const EVENKEEL: &str = env!("CARGO_BIN_EXE_evenkeel");

/// The fleet that `evenkeel init` writes, and its GitHub.
pub struct Story {
    pub github: GitHub,
    folder: TempDir,
}

impl Story {
    pub fn begins() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let clone = folder.path().join("clone");
        git(folder.path(), &["init", "--quiet", "clone"]);
        git(folder.path(), &["init", "--quiet", "--bare", "config.git"]);
        let made = Command::new(EVENKEEL).args(["init", "--name", "web"]).current_dir(&clone).output();
        assert!(made.expect("evenkeel runs").status.success());
        git(&clone, &["add", "--all"]);
        git(&clone, &["commit", "--quiet", "--message", "A fleet"]);
        git(&clone, &["push", "--quiet", "../config.git", "main"]);
        let github = GitHub::start(&folder.path().join("config.git"), &clone);
        Self { github, folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The newest commit that the daemon has fetched.
    pub fn fetched(&self) -> String {
        fs::read_to_string(self.path("state/mirror.git/refs/heads/main")).expect("it has fetched").trim().to_owned()
    }

    /// Adds lines to a file of the fleet, on the default branch.
    pub fn declares(&self, file: &str, lines: &str) {
        let (clone, path) = (self.path("clone"), self.path("clone/fleet").join(file));
        let text = fs::read_to_string(&path).expect("it can be read");
        fs::write(&path, format!("{text}\n{lines}\n")).expect("it can be written");
        git(&clone, &["commit", "--quiet", "--all", "--message", lines]);
        git(&clone, &["push", "--quiet", "../config.git", "main"]);
    }

    /// A branch with these files besides, proposed by somebody who works here.
    pub fn proposes_files(&self, branch: &str, files: impl Iterator<Item = (String, String)>) -> u64 {
        let clone = self.path("clone");
        git(&clone, &["checkout", "--quiet", "-b", branch, "main"]);
        for (path, text) in files {
            let path = clone.join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("it can be made");
            fs::write(path, text).expect("it can be written");
        }
        git(&clone, &["add", "--all"]);
        git(&clone, &["commit", "--quiet", "--message", branch]);
        git(&clone, &["checkout", "--quiet", "main"]);
        self.github.opens(branch, "alice", branch, false)
    }

    /// A branch with a change, proposed by somebody who works here.
    pub fn proposes(&self, branch: &str) -> u64 {
        self.changes(branch, branch);
        self.github.opens(branch, "alice", branch, false)
    }

    /// A branch with a change, which a stranger proposes from a fork.
    pub fn a_stranger_proposes(&self, branch: &str) -> u64 {
        self.changes(branch, branch);
        self.github.opens(branch, "mallory", branch, true)
    }

    /// One more commit on a branch, pushed to what proposes it. Answers the commit.
    pub fn pushes(&self, number: u64, branch: &str, greeting: &str) -> String {
        self.changes(branch, greeting);
        self.github.pushes(number)
    }

    /// Waits until a comment is answered; answers with what.
    #[track_caller]
    pub fn answer(&self, number: u64, comment: u64) -> String {
        let marker = format!("the answer to comment {comment} ");
        wait_for("the answer", || {
            self.github.comments_of_evenkeel(number).into_iter().find(|said| said.contains(&marker))
        })
    }

    /// Waits until the check with the plan of a commit has ended in one of these ways.
    #[track_caller]
    pub fn plan_ends(&self, commit: &str, ways: &[&str]) {
        wait_for(&format!("the plan of {commit} being one of {ways:?}"), || {
            let checks = self.github.checks(commit);
            checks.get("evenkeel/plan").is_some_and(|how| ways.contains(&how.as_str())).then_some(())
        });
    }

    fn changes(&self, branch: &str, greeting: &str) {
        let clone = self.path("clone");
        let is_new = try_git(&clone, &["rev-parse", "--verify", "--quiet", branch]).is_err();
        let checkout: &[&str] = if is_new { &["-b", branch, "main"] } else { &[branch] };
        git(&clone, &[&["checkout", "--quiet"], checkout].concat());
        let service = fs::read_dir(clone.join("fleet/services")).expect("there are services").next();
        let path = service.expect("there is one").expect("it can be read").path();
        let text = fs::read_to_string(&path).expect("it can be read");
        let text = text.lines().filter(|line| !line.starts_with("env: {GREETING")).collect::<Vec<_>>().join("\n");
        fs::write(&path, format!("{text}\nenv: {{GREETING: {greeting}}}\n")).expect("it can be written");
        git(&clone, &["commit", "--quiet", "--all", "--message", greeting]);
        git(&clone, &["checkout", "--quiet", "main"]);
    }

    /// A command for the repository at this address, as the App. No login, authority or proxy of this machine is heeded.
    pub fn command(&self, subcommand: &str, address: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(EVENKEEL);
        let inherited = ["SSL_CERT_FILE", "SSL_CERT_DIR", "NO_PROXY", "no_proxy", "HTTPS_PROXY", "https_proxy"];
        inherited
            .iter()
            .chain(&["ALL_PROXY", "all_proxy", "NOTIFY_SOCKET", "WATCHDOG_USEC", "JOURNAL_STREAM"])
            .for_each(|name| {
                command.env_remove(name);
            });
        command
            .args(subcommand.split(' '))
            .args(["--repo", &format!("{address}/acme/config.git"), "--github-app-id", &APP.to_string()])
            .arg("--github-key-file")
            .arg(self.github.key_file())
            .arg("--state")
            .arg(self.path("state"))
            .args(arguments)
            .env("HOME", self.folder.path())
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    /// As [`Self::command`], with GitHub where it is, and its authority trusted. Runs it to its end.
    pub fn run(&self, subcommand: &str, arguments: &[&str]) -> String {
        let authority = self.github.authority();
        let trusting = ["--ca-file", authority.to_str().expect("it is UTF-8")];
        ran(self.command(subcommand, &self.github.address, &[arguments, &trusting].concat()))
    }

    /// Starts the daemon, and has GitHub tell it what happens. It asks once an hour by itself, so within a test once.
    pub fn follows(&self) -> Daemon {
        self.follows_with(&[])
    }

    /// As [`Self::follows`], with other flags besides.
    pub fn follows_with(&self, more: &[&str]) -> Daemon {
        let (authority, secret) = (self.github.authority(), self.github.secret_file());
        let text = |path: &'_ PathBuf| path.to_str().expect("it is UTF-8").to_owned();
        let (authority, secret) = (text(&authority), text(&secret));
        let listen =
            ["--log-format", "json", "--poll", "1h", "--listen", "127.0.0.1:0", "--webhook-secret-file", &secret];
        let arguments = [&listen[..], &["--ca-file", &authority], more].concat();
        let log = self.path("log");
        let mut command = self.command("run", &self.github.address, &arguments);
        command.stdout(Stdio::null()).stderr(fs::File::create(&log).expect("the log can be made"));
        let process = command.spawn().expect("evenkeel runs");
        let daemon = Daemon { process, log, socket: self.path("state/socket") };
        let listening = daemon.tells(EventName::WebhookListening);
        let address = listening["address"].as_str().expect("a text");
        self.github.delivers_to(&format!("http://{address}/webhook/github"));
        daemon
    }
}

/// What a command printed, and how it ended.
pub fn ran(mut command: Command) -> String {
    let output = command.output().expect("evenkeel runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = format!("{}{}exit code {:?}\n", text(&output.stdout), text(&output.stderr), output.status.code());
    shows_no_token(&said);
    said
}

/// As the fake makes them.
#[track_caller]
pub fn shows_no_token(text: &str) {
    assert!(!text.contains("ghs_0") && !text.contains("BEGIN RSA"), "{text}");
}

/// A running `evenkeel run`. Dropping it ends it.
pub struct Daemon {
    process: Child,
    log: PathBuf,
    socket: PathBuf,
}

impl Daemon {
    pub fn log(&self) -> String {
        let log = fs::read_to_string(&self.log).expect("the log can be read");
        shows_no_token(&log);
        log
    }

    /// What it has logged of the event so far, the oldest first.
    pub fn told(&self, event: EventName) -> Vec<Value> {
        events::told(&self.log(), event).collect()
    }

    /// Waits until the event has happened; answers its first record.
    #[track_caller]
    pub fn tells(&self, event: EventName) -> Value {
        self.tells_that(event, |_| true)
    }

    /// As [`Self::tells`], of a record with these fields.
    #[track_caller]
    pub fn tells_that(&self, event: EventName, is_meant: impl Fn(&Value) -> bool) -> Value {
        wait_for(event.as_str(), || self.told(event).into_iter().find(&is_meant))
    }

    /// What `status` notes of the environment.
    pub fn notes(&self) -> Option<Vec<String>> {
        let mut stream = UnixStream::connect(&self.socket).ok()?;
        stream.write_all(b"GET /status HTTP/1.1\r\nHost: evenkeel\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        let views: Vec<Value> = serde_json::from_str(body).ok()?;
        let notes = views.first()?["notes"].as_array()?.iter();
        Some(notes.map(|note| note.as_str().expect("it is a text").to_owned()).collect())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Ended already is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if thread::panicking() {
            eprintln!("{}", fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

/// All that lies in a folder, as text.
pub fn everything(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).expect("it can be read").flatten() {
        let path = entry.path();
        match entry.file_type().expect("it has one") {
            kind if kind.is_dir() => text += &everything(&path),
            kind if kind.is_file() => text += &String::from_utf8_lossy(&fs::read(&path).expect("it can be read")),
            _ => {}
        }
    }
    text
}
