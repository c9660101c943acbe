//! A small fleet in a git repository of its own, and evenkeel as a person would run it on it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, atomic::Ordering},
};

use serde_json::{Map, Value};
use tempfile::TempDir;

use crate::{
    daemon::{self, Daemon},
    git,
    told::{Begun, Plan, Ran},
    world::{EVENKEEL, Host, World, assert_is, wait_for},
};

/// Ports are 8000 and up; a fleet has twenty of them, and one on which nginx answers its digest.
const PORTS: u16 = 20;

pub struct Fleet<'a> {
    pub world: &'a World,
    pub name: &'static str,
    first_port: u16,
    pub digest_port: u16,
    repository: TempDir,
    state: TempDir,
    /// The state of one who looks at the history from elsewhere.
    elsewhere: TempDir,
    /// The bare repository that others follow too; none: they follow the fleet's own.
    remote: Option<TempDir>,
    pub overrides: PathBuf,
}

/// The names of all fleets, whichever lab they are in: which statements share a lab is left to chance.
static NAMES: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());

impl<'a> Fleet<'a> {
    /// A fleet of the lab's five hosts, with nothing on them yet.
    pub fn new(world: &'a World, name: &'static str) -> Self {
        let number = world.fleets.fetch_add(1, Ordering::Relaxed);
        let is_new = NAMES.lock().expect("nobody panicked with it").insert(name);
        assert!(is_new, "two statements have a fleet {name}: what one leaves would be the other's");
        let temporary = || tempfile::tempdir().expect("a temporary folder can be made");
        let fleet = Self {
            world,
            name,
            first_port: 8000 + PORTS * number,
            digest_port: 19000 + number,
            repository: temporary(),
            state: temporary(),
            elsewhere: temporary(),
            remote: None,
            overrides: world.lab.override_file(),
        };
        fleet.git(&["init", "--quiet", "--initial-branch=main"]);
        fleet.write(
            "fleet.yaml",
            &format!(
                "name: {name}\nssh: {{user: ubuntu}}\ndigest_port: {}\n\
                 defaults: {{user: ubuntu, health: {{interval: 200ms, start_period: 15s}}}}\n\
                 allow:\n  users: [root, nobody-here, nobody-of-this-name]\n  env_files: [/etc/labtest/*.env]\n  \
                 netrc: [/etc/lab-netrc]\n  tls: [/etc/labtls/*]\n",
                fleet.digest_port
            ),
        );
        fleet.write("environments/test.yaml", "branch: main\nobserve_interval: 2s\n");
        for host in &world.hosts {
            fleet.instance(host, "");
        }
        fleet.write("program/server.py", include_str!("server.py"));
        fleet
    }

    /// As [`Self::new`], with a bare repository to which commits are pushed and which controllers follow.
    pub fn shared(world: &'a World, name: &'static str) -> Self {
        let remote = tempfile::tempdir().expect("a temporary folder can be made");
        let fleet = Self { remote: Some(remote), ..Self::new(world, name) };
        let path = fleet.remote();
        fleet.git(&["init", "--quiet", "--bare", "--initial-branch=main", &path]);
        fleet.git(&["remote", "add", "origin", &path]);
        fleet
    }

    /// The path of the repository that controllers follow.
    pub fn remote(&self) -> String {
        let path = match &self.remote {
            Some(folder) => folder.path().join("config.git"),
            None => self.repository.path().to_owned(),
        };
        path.to_str().expect("it is UTF-8").to_owned()
    }

    /// Declares how the environment is dealt with: looked at each second, and `extra`.
    pub fn environment(&self, extra: &str) {
        self.write("environments/test.yaml", &merged("branch: main\nobserve_interval: 1s\nlost_after: 3s\n", extra));
    }

    pub fn instance(&self, host: &Host, extra: &str) {
        let (name, address) = (&host.name, &host.address);
        let text = format!("environment: test\naddress: {address}\nports: 8000-15999\n{extra}");
        self.write(&format!("instances/{name}.yaml"), &text);
    }

    /// A service's port by its number in this fleet.
    pub fn port(&self, number: u16) -> u16 {
        self.first_port + number
    }

    /// The unit of a service.
    pub fn unit(&self, service: &str, port: u16) -> String {
        format!("{}-{service}@{port}.service", self.name)
    }

    /// Declares a service: a server that is asked for its health. Keys in `extra` add to that or replace it.
    pub fn service(&self, name: &str, port: u16, on: &[&str], extra: &str) {
        let declared = format!(
            "source: {{path: program}}\nrun: {{exec: /usr/bin/python3 server.py}}\nplace: {{on: [{}]}}\nport: {port}\n\
             health: {{http: /health}}\n",
            on.join(", ")
        );
        self.write(&format!("services/{name}.yaml"), &merged(&declared, extra));
    }

    /// Declares a site of the domain `NAME.test`.
    pub fn site(&self, name: &str, on: &[&str], extra: &str) {
        let declared = format!("domain: {name}.test\non: [{}]\n", on.join(", "));
        self.write(&format!("sites/{name}.yaml"), &merged(&declared, extra));
    }

    pub fn path(&self) -> PathBuf {
        self.repository.path().join("fleet")
    }

    /// Writes a file of the fleet folder.
    pub fn write(&self, path: &str, content: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().expect("it has a folder")).expect("the folder can be made");
        fs::write(path, content).expect("the file can be written");
    }

    /// Removes a file of the fleet folder.
    pub fn remove(&self, path: &str) {
        fs::remove_file(self.path().join(path)).expect("the file is there");
    }

    pub fn git(&self, arguments: &[&str]) -> String {
        git::git(self.repository.path(), arguments)
    }

    /// Commits what has changed, and answers the commit.
    pub fn commit(&self) -> String {
        self.git(&["add", "--all"]);
        if !self.git(&["status", "--porcelain"]).is_empty() {
            self.git(&["commit", "--quiet", "--message", "A change"]);
        }
        if self.remote.is_some() {
            self.git(&["push", "--quiet", "origin", "main"]);
        }
        self.git(&["rev-parse", "HEAD"])
    }

    /// evenkeel on this fleet, with what it needs to reach the lab.
    pub fn evenkeel(&self, command: &str, arguments: &[&str]) -> Command {
        let state = if command == "history" { &self.elsewhere } else { &self.state };
        self.evenkeel_at(state.path(), command, arguments)
    }

    /// As [`Self::evenkeel`], with its state in another folder.
    pub fn evenkeel_at(&self, state: &Path, command: &str, arguments: &[&str]) -> Command {
        let mut evenkeel = Command::new(EVENKEEL);
        evenkeel.arg(command).args(arguments).current_dir(self.repository.path()).env("NO_COLOR", "1");
        evenkeel.stdin(Stdio::null());
        if matches!(command, "plan" | "apply" | "run" | "status" | "release" | "why") {
            evenkeel.arg("--override").arg(&self.overrides);
        }
        if !matches!(command, "plan" | "validate") {
            evenkeel.arg("--state").arg(state);
        }
        evenkeel
    }

    /// Runs a command to its end.
    pub fn run(&self, command: &str, arguments: &[&str]) -> Ran {
        Self::to_its_end(command, self.evenkeel(command, arguments))
    }

    /// As [`Self::run`], with its state in another folder.
    pub fn run_at(&self, state: &Path, command: &str, arguments: &[&str]) -> Ran {
        Self::to_its_end(command, self.evenkeel_at(state, command, arguments))
    }

    fn to_its_end(command: &str, mut evenkeel: Command) -> Ran {
        Ran::of(command, evenkeel.output().expect("evenkeel runs"))
    }

    /// Begins a command, which goes on beside the test.
    pub fn begin(&self, command: &str, arguments: &[&str]) -> Begun {
        let mut evenkeel = self.evenkeel(command, arguments);
        let child = evenkeel.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("evenkeel runs");
        Begun { command: command.to_owned(), child }
    }

    /// Succeeds on a host once a deployment has begun a step of this kind there.
    pub fn begun(&self, generation: u64, verb: &str) -> String {
        format!("grep -q '^started.*{verb}' /var/lib/evenkeel/{}/deployments/{generation}/*/events", self.name)
    }

    /// Every record in the order in which it was made: `GENERATION OUTCOME`; `begun` for an intent, and `taken
    /// over` for one of another. Repairs are left out.
    pub fn told(&self) -> Vec<String> {
        let changes = self.history().into_iter().rev().filter(|record| record["kind"] == "change");
        let said = |record: Value| {
            let open = if record["taken_over"].is_object() { "taken over" } else { "begun" };
            format!("{} {}", record["generation"], record["outcome"].as_str().unwrap_or(open))
        };
        changes.map(said).collect()
    }

    /// How a generation ended, each time that something says so.
    pub fn outcomes(&self, generation: u64) -> Vec<String> {
        let of = format!("{generation} ");
        let told = self.told();
        told.iter()
            .filter_map(|told| told.strip_prefix(&of))
            .filter(|end| !["begun", "taken over"].contains(end))
            .map(str::to_owned)
            .collect()
    }

    /// Waits until a generation has ended so, and so only.
    #[track_caller]
    pub fn ends(&self, generation: u64, outcome: &str) {
        let remote = self.remote();
        wait_for(&format!("the end of generation {generation}"), || {
            let shown = ["-C", &remote, "show", "refs/heads/evenkeel/history/test:deployment.json"];
            let newest: Value = serde_json::from_str(&git::try_git(self.repository.path(), &shown).ok()?).ok()?;
            let ended =
                newest["generation"] == generation && newest["kind"] == "change" && newest["outcome"].is_string();
            (ended || newest["generation"].as_u64()? > generation).then_some(())
        });
        assert_is(&format!("the end of generation {generation}"), self.outcomes(generation), vec![outcome.to_owned()]);
    }

    /// Waits until the running controller has looked at everything twice more.
    #[track_caller]
    pub fn looked_at_twice(&self) {
        for _ in 0..2 {
            let before = self.status()["observed_at"].clone();
            wait_for("another look", || {
                let now = self.status()["observed_at"].clone();
                (now.is_string() && now != before).then_some(())
            });
        }
    }

    pub fn plan(&self) -> Plan {
        let ran = self.run("plan", &["--format", "json"]);
        let json = serde_json::from_str(&ran.said);
        let json = json.unwrap_or_else(|error| panic!("the plan is no JSON: {error}\n{}\n{}", ran.said, ran.errors));
        Plan { code: ran.code.expect("it exits"), json }
    }

    /// Applies what is committed.
    pub fn apply(&self) -> Ran {
        self.run("apply", &["--yes"])
    }

    /// Commits and applies.
    pub fn deploy(&self) -> Ran {
        self.commit();
        self.apply()
    }

    /// The records of deployments in the environment's history, newest first.
    pub fn history(&self) -> Vec<Value> {
        let ran = self.run("history", &["--format", "json", "-n", "1000"]).ends_with(0);
        let entries = ran.said.lines().map(|line| serde_json::from_str(line).expect("an entry is JSON"));
        entries.filter(|entry: &Value| entry["control"].is_null()).collect()
    }

    /// What the newest record says under a JSON pointer.
    pub fn newest(&self, pointer: &str) -> Value {
        let history = self.history();
        let newest = history.first().expect("something is recorded");
        newest.pointer(pointer).cloned().unwrap_or_default()
    }

    /// The invocation of each unit of the fleet, by host and service: another one is another process.
    pub fn invocations(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        for host in &self.world.hosts {
            let shown = host.run(&format!("systemctl show -p Id,InvocationID '{}-*.service'", self.name));
            let mut service = "";
            for (key, value) in shown.lines().filter_map(|line| line.split_once('=')) {
                match key {
                    "Id" => service = &value[self.name.len() + 1..value.find('@').unwrap_or(value.len())],
                    _ => _ = found.insert(format!("{}/{service}", host.name), value.to_owned()),
                }
            }
        }
        found
    }

    /// Starts the controller on the repository.
    pub fn reconcile(&self) -> Daemon {
        self.reconcile_at(self.state.path(), &[])
    }

    /// Starts one with its state in another folder: a controller of its own.
    pub fn reconcile_at(&self, state: &Path, arguments: &[&str]) -> Daemon {
        // Only watching can make it see a commit in time.
        self.follow(&self.remote(), state, &[&["--poll", "1h"], arguments].concat())
    }

    /// Starts one that follows the repository at another address. Its log is JSON.
    pub fn follow(&self, repository: &str, state: &Path, arguments: &[&str]) -> Daemon {
        let arguments = [&["--repo", repository, "--log-format", "json"], arguments].concat();
        Daemon::start(self.evenkeel_at(state, "run", &arguments), state)
    }

    /// Where the state is kept, and the one socket.
    pub fn state(&self) -> &Path {
        self.state.path()
    }

    /// What the running controller says of the environment.
    pub fn status(&self) -> Value {
        self.status_at(self.state.path())
    }

    /// What the one with this state says.
    pub fn status_at(&self, state: &Path) -> Value {
        daemon::status(&state.join("socket")).unwrap_or_default()
    }

    /// Waits until the running controller says that all is as declared at this commit, and recorded.
    #[track_caller]
    pub fn is_live(&self, commit: &str) {
        wait_for(&format!("{commit:.12} live"), || {
            let status = self.status();
            (status["sync"] == "synced"
                && status["deployed"]["commit"] == commit
                && status["deployed"]["outcome"] == "applied")
                .then_some(())
        });
    }

    /// Waits until the status has a note that says this.
    #[track_caller]
    pub fn notes(&self, text: &str) {
        wait_for(&format!("`{text}` in the status"), || {
            let status = self.status();
            let said = format!("{} {}", status["notes"], status["last_error"]);
            said.contains(text).then_some(())
        });
    }
}

/// Keys of the second text added to, or replacing, those of the first.
fn merged(first: &str, second: &str) -> String {
    let mut all: Map<String, Value> = serde_saphyr::from_str(first).expect("it is YAML");
    if !second.trim().is_empty() {
        all.extend(serde_saphyr::from_str::<Map<String, Value>>(second).expect("it is YAML"));
    }
    serde_yaml::to_string(&all).expect("it can be written")
}

/// What is in the second and not the same in the first.
pub fn restarted(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> BTreeSet<String> {
    after.iter().filter(|(unit, id)| before.get(*unit) != Some(id)).map(|(unit, _)| unit.clone()).collect()
}

/// Names as a set, to be compared with one.
pub fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
