//! A fleet whose repository lies on a GitHub, and a controller that is told of pull requests there.

use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use evenkeel::model::event::EventName;
use serde_json::Value;

use crate::{
    daemon::Daemon,
    fleet::Fleet,
    support::github::{APP, GitHub},
    waiting::{PATIENCE, wait_for_or},
    world::{World, wait_for},
};

/// As whom the controller signs in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum As {
    App,
    Token,
}

pub struct Story<'a> {
    pub fleet: Fleet<'a>,
    pub github: GitHub,
}

impl<'a> Story<'a> {
    /// A fleet with nothing declared but its hosts, and nothing committed.
    pub fn of(fleet: Fleet<'a>) -> Self {
        let (bare, clone) = (fleet.remote(), fleet.path());
        let clone = clone.parent().expect("it lies in the repository");
        let github = GitHub::start(Path::new(&bare), clone);
        Self { fleet, github }
    }

    /// alpha on h1 and h2, committed, and live once somebody follows.
    pub fn begins(world: &'a World, name: &'static str) -> Self {
        let story = Self::of(Fleet::shared(world, name));
        story.fleet.environment("");
        story.declares("one");
        story.fleet.write("../README.md", "How we run things.\n");
        story.fleet.commit();
        story
    }

    /// As [`Self::begins`], with h4 in another environment, which follows a branch of its own or that of `test`.
    pub fn with_another(world: &'a World, name: &'static str, environment: &str, branch: &str) -> Self {
        let story = Self::of(Fleet::shared(world, name));
        let fleet = &story.fleet;
        fleet.environment("");
        fleet.write(&format!("environments/{environment}.yaml"), &format!("branch: {branch}\nobserve_interval: 1s\n"));
        let address = &world.host("h4").address;
        let h4 = format!("environment: {environment}\naddress: {address}\nports: 8000-15999\n");
        fleet.write("instances/h4.yaml", &h4);
        greets(fleet, "one");
        fleet.service("beta", fleet.port(1), &["h4"], "env: {GREETING: one}");
        fleet.commit();
        if branch != "main" {
            fleet.git(&["push", "--quiet", "origin", &format!("main:{branch}")]);
        }
        story
    }

    /// Declares alpha, with a greeting.
    pub fn declares(&self, greeting: &str) {
        let fleet = &self.fleet;
        fleet.service("alpha", fleet.port(0), &["h1", "h2"], &format!("env: {{GREETING: {greeting}}}"));
    }

    /// Starts a controller that follows the repository there, and has GitHub tell it what happens. Waits until what
    /// is committed is live.
    pub fn follows(&self, sign_in: As, poll: &str) -> Daemon {
        let controller = self.starts(sign_in, poll);
        let commit = self.fleet.git(&["rev-parse", "main"]);
        self.fleet.is_live(&commit);
        controller
    }

    /// As [`Self::follows`], without waiting.
    pub fn starts(&self, sign_in: As, poll: &str) -> Daemon {
        let github = &self.github;
        let text = |path: std::path::PathBuf| path.to_str().expect("it is UTF-8").to_owned();
        let (url, app, token) = (github.repository(), APP.to_string(), text(github.token_file()));
        let (key, secret, authority) = (text(github.key_file()), text(github.secret_file()), text(github.authority()));
        let mut arguments = vec!["--repo", &url, "--poll", poll, "--listen", "127.0.0.1:0", "--log-format", "json"];
        arguments.extend(["--webhook-secret-file", &secret, "--ca-file", &authority]);
        match sign_in {
            As::App => arguments.extend(["--github-app-id", &app, "--github-key-file", &key]),
            As::Token => arguments.extend(["--github-token-file", &token]),
        }
        let mut evenkeel = self.fleet.evenkeel_at(self.fleet.state(), "run", &arguments);
        // Nothing else lets git in there, or has it trust that server.
        evenkeel.env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR");
        let controller = Daemon::start(evenkeel, self.fleet.state());
        let listening = controller.tells(EventName::WebhookListening);
        let address = listening["address"].as_str().expect("a text");
        github.delivers_to(&format!("http://{address}/webhook/github"));
        controller
    }

    /// Commits a change on a branch, which begins at `main` as it is at the remote. `main` is checked out at the end.
    pub fn branch(&self, name: &str, change: impl FnOnce(&Fleet<'a>)) {
        let fleet = &self.fleet;
        fleet.git(&["fetch", "--quiet", "origin"]);
        fleet.git(&["checkout", "--quiet", "-B", name, "origin/main"]);
        self.commits(change);
    }

    /// One more commit on a branch.
    pub fn amends(&self, branch: &str, change: impl FnOnce(&Fleet<'a>)) {
        self.fleet.git(&["checkout", "--quiet", branch]);
        self.commits(change);
    }

    fn commits(&self, change: impl FnOnce(&Fleet<'a>)) {
        change(&self.fleet);
        self.fleet.git(&["add", "--all"]);
        self.fleet.git(&["commit", "--quiet", "--message", "A proposal"]);
        self.fleet.git(&["checkout", "--quiet", "main"]);
    }

    /// A branch of the repository with a change, proposed by somebody who works here.
    pub fn proposes(&self, branch: &str, change: impl FnOnce(&Fleet<'a>)) -> u64 {
        self.branch(branch, change);
        self.github.opens(branch, "alice", branch, false)
    }

    /// Waits until what evenkeel says first of a pull request holds all these words; answers it.
    #[track_caller]
    pub fn is_told(&self, number: u64, words: &[&str]) -> String {
        self.some_comment(number, words, |all| all.into_iter().take(1).collect())
    }

    /// Waits until something that evenkeel says below a pull request holds all these words; answers it.
    #[track_caller]
    pub fn is_answered(&self, number: u64, words: &[&str]) -> String {
        self.some_comment(number, words, |all| all)
    }

    #[track_caller]
    fn some_comment(&self, number: u64, words: &[&str], of: fn(Vec<String>) -> Vec<String>) -> String {
        let began = Instant::now();
        loop {
            let comments = of(self.github.comments_of_evenkeel(number));
            let found = comments.iter().find(|comment| words.iter().all(|words| comment.contains(words)));
            if let Some(found) = found {
                if std::env::var_os("SHOW").is_some() {
                    println!("--- below #{number}:\n{found}");
                }
                return found.clone();
            }
            let said = comments.join("\n---\n");
            assert!(began.elapsed() < PATIENCE, "{words:?} is not told below #{number}, but:\n{said}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the checks of the newest commit of a pull request ended so.
    #[track_caller]
    pub fn checked(&self, number: u64, validate: &str, plan: &str) {
        let head = self.github.head(number);
        self.check_is(&head, "evenkeel/validate", validate);
        self.check_is(&head, "evenkeel/plan", plan);
    }

    /// Waits until a check of a commit is so.
    #[track_caller]
    pub fn check_is(&self, commit: &str, name: &str, wanted: &str) {
        wait_for(&format!("{name} of {commit:.12} being {wanted}"), || {
            self.github.checks(commit).get(name).is_some_and(|found| found == wanted).then_some(())
        });
    }

    /// Waits until the deployments of an environment are these there, the newest first: commit and state.
    #[track_caller]
    pub fn deployments_are(&self, environment: &str, wanted: &[(&str, &str)]) {
        let wanted: Vec<_> = wanted.iter().map(|(commit, state)| ((*commit).to_owned(), (*state).to_owned())).collect();
        wait_for(&format!("{environment}: {wanted:?}"), || {
            (self.github.deployments(environment) == wanted).then_some(())
        });
    }

    /// Waits until `status` says this of what waits in the one environment; null: that nothing does.
    #[track_caller]
    pub fn waiting_is(&self, wanted: &Value) {
        let status = || self.fleet.run("status", &["--format", "json"]);
        let is_so = || {
            let view: Value = serde_json::from_str(&status().said).ok()?;
            (view["waiting"] == *wanted).then_some(())
        };
        wait_for_or(&format!("{wanted} waiting"), is_so, || format!("{} {}", status().said, status().errors));
    }

    /// What alpha answers, once it answers so.
    #[track_caller]
    pub fn is_heard(&self, greeting: &str) {
        let (answer, port) = (format!("alpha h1 / {greeting}"), self.fleet.port(0));
        wait_for(&answer, || (self.fleet.world.host("h1").asks(port, "/") == answer).then_some(()));
    }
}

/// Declares alpha on hosts of two environments.
pub fn greets(fleet: &Fleet<'_>, greeting: &str) {
    fleet.service("alpha", fleet.port(0), &["h1", "h2", "h4"], &format!("env: {{GREETING: {greeting}}}"));
}

/// Somewhere in the lab's network, where nobody has any business.
pub struct Trap {
    listener: TcpListener,
    pub address: SocketAddr,
}

impl Trap {
    pub fn set(world: &World) -> Self {
        let lab = world.lab.clone();
        let listening = thread::spawn(move || {
            lab.enter().expect("the lab is up");
            TcpListener::bind((lab.gateway(), 0)).expect("a port is free")
        });
        let listener = listening.join().expect("it listens");
        listener.set_nonblocking(true).expect("it can be asked");
        let address = listener.local_addr().expect("it is bound");
        Self { listener, address }
    }

    /// Where evenkeel itself is, and where builds and fetches go.
    pub fn set_outside() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        listener.set_nonblocking(true).expect("it can be asked");
        let address = listener.local_addr().expect("it is bound");
        Self { listener, address }
    }

    #[track_caller]
    pub fn is_untouched(&self) {
        assert!(self.listener.accept().is_err(), "something connected to {}", self.address);
    }
}
