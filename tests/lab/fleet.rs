//! A small fleet in a git repository of its own, and evenkeel as a person would run it on it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::Ordering,
};

use serde_json::{Map, Value};
use tempfile::TempDir;

use crate::world::{EVENKEEL, Host, World, wait_for};

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
    pub overrides: PathBuf,
}

impl<'a> Fleet<'a> {
    /// A fleet of the lab's five hosts, with nothing on them yet.
    pub fn new(world: &'a World, name: &'static str) -> Self {
        let number = world.fleets.fetch_add(1, Ordering::Relaxed);
        let temporary = || tempfile::tempdir().expect("a temporary folder can be made");
        let fleet = Self {
            world,
            name,
            first_port: 8000 + PORTS * number,
            digest_port: 19000 + number,
            repository: temporary(),
            state: temporary(),
            elsewhere: temporary(),
            overrides: world.lab.override_file(),
        };
        fleet.git(&["init", "--quiet", "--initial-branch=main"]);
        fleet.write(
            "fleet.yaml",
            &format!(
                "name: {name}\nssh: {{user: ubuntu}}\ndigest_port: {}\n\
                 defaults: {{user: ubuntu, health: {{interval: 200ms, start_period: 15s}}}}\n",
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

    pub fn instance(&self, host: &Host, extra: &str) {
        let (name, address) = (&host.name, &host.address);
        let text = format!("environment: test\naddress: {address}\nports: 8000-9999\n{extra}");
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
        let output = Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@localhost"])
            .args(arguments)
            .current_dir(self.repository.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .output()
            .expect("git is installed");
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Commits what has changed, and answers the commit.
    pub fn commit(&self) -> String {
        self.git(&["add", "--all"]);
        if !self.git(&["status", "--porcelain"]).is_empty() {
            self.git(&["commit", "--quiet", "--message", "A change"]);
        }
        self.git(&["rev-parse", "HEAD"])
    }

    /// evenkeel on this fleet, with what it needs to reach the lab.
    pub fn evenkeel(&self, command: &str, arguments: &[&str]) -> Command {
        let mut evenkeel = Command::new(EVENKEEL);
        evenkeel.arg(command).args(arguments).current_dir(self.repository.path()).env("NO_COLOR", "1");
        evenkeel.stdin(Stdio::null());
        if matches!(command, "plan" | "apply" | "run" | "status") {
            evenkeel.arg("--override").arg(&self.overrides);
        }
        let state = if command == "history" { &self.elsewhere } else { &self.state };
        if command != "plan" {
            evenkeel.arg("--state").arg(state.path());
        }
        evenkeel
    }

    /// Runs a command to its end.
    pub fn run(&self, command: &str, arguments: &[&str]) -> Ran {
        let output = self.evenkeel(command, arguments).output().expect("evenkeel runs");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ran {
            command: command.to_owned(),
            code: output.status.code(),
            said: text(output.stdout),
            errors: text(output.stderr),
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

    /// The deployments of the environment's history, newest first.
    pub fn history(&self) -> Vec<Value> {
        let ran = self.run("history", &["--format", "json"]).ends_with(0);
        let lines = ran.said.lines().map(|line| serde_json::from_str(line).expect("a record is JSON"));
        lines.filter(|entry: &Value| entry.get("control").is_none()).collect()
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

    /// Starts the reconciler on the repository.
    pub fn reconcile(&self) -> Reconciler {
        let log = self.state.path().join("log");
        let file = File::create(&log).expect("the log can be made");
        let repository = self.repository.path().to_str().expect("it is UTF-8");
        // Only watching can make it see a commit in time.
        let mut evenkeel = self.evenkeel("run", &["--repo", repository, "--poll", "1h"]);
        let child = evenkeel.stdout(Stdio::null()).stderr(file).spawn().expect("evenkeel runs");
        Reconciler { child, log }
    }

    /// What the running reconciler says of the environment.
    pub fn status(&self) -> Value {
        let ran = self.run("status", &["--format", "json"]);
        serde_json::from_str(&ran.said).unwrap_or_default()
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

/// A command that has ended.
pub struct Ran {
    command: String,
    pub code: Option<i32>,
    pub said: String,
    pub errors: String,
}

impl Ran {
    /// Fails, with all that was said, when it exited with another code.
    #[track_caller]
    pub fn ends_with(self, code: i32) -> Self {
        let (command, found) = (&self.command, self.code);
        let (said, errors) = (last_lines(&self.said), last_lines(&self.errors));
        assert!(found == Some(code), "{command}: exit {found:?}, expected {code}\n{said}\n{errors}");
        self
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(25)..].join("\n")
}

/// A plan as JSON.
pub struct Plan {
    pub code: i32,
    pub json: Value,
}

impl Plan {
    /// `INSTANCE ACTION SUBJECT`, in order.
    pub fn changes(&self) -> Vec<String> {
        self.steps()
            .iter()
            .map(|step| format!("{} {} {}", text(step, "instance"), text(step, "action"), text(step, "subject")))
            .collect()
    }

    pub fn steps(&self) -> &[Value] {
        self.json["steps"].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    /// The phase of a change.
    #[track_caller]
    pub fn phase(&self, change: &str) -> u64 {
        let at = self.changes().iter().position(|other| other == change);
        let at = at.unwrap_or_else(|| panic!("`{change}` is not planned; planned is {:#?}", self.changes()));
        self.steps()[at]["phase"].as_u64().expect("a phase is a number")
    }

    /// What the findings of a kind say, each with its instance in front.
    pub fn findings(&self, code: &str) -> Vec<String> {
        let findings = self.json["findings"].as_array().map(Vec::as_slice).unwrap_or_default();
        let of_kind = findings.iter().filter(|finding| finding["code"] == code);
        of_kind.map(|finding| format!("{}: {}", text(finding, "instance"), text(finding, "message"))).collect()
    }

    /// What is known of an instance, and why nothing is.
    pub fn instance(&self, name: &str) -> (String, String) {
        let instances = self.json["instances"].as_array().map(Vec::as_slice).unwrap_or_default();
        let found = instances.iter().find(|instance| instance["name"] == name).expect("it is in the plan");
        (text(found, "state").to_owned(), text(found, "why").to_owned())
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// A running reconciler. Dropping it ends it.
pub struct Reconciler {
    child: Child,
    log: PathBuf,
}

impl Reconciler {
    /// Asks it to end, and waits until it has.
    pub fn terminate(&mut self) -> ExitStatus {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, rustix::process::Signal::TERM).expect("it runs");
        wait_for("the end of the reconciler", || self.child.try_wait().expect("it can be waited for"))
    }
}

impl Drop for Reconciler {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            // It may have ended in between.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("{}", log(&self.log));
        }
    }
}

fn log(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
