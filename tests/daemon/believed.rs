//! What somebody writes into a history by hand: none of it brings in a commit that was never merged, all of it is told
//! by name, and the environment goes on with what was believed before.

use std::net::{Ipv4Addr, TcpListener};

use evenkeel::model::event::EventName;
use serde_json::{Value, json};

use crate::{
    daemon::{Config, Daemon, EVENKEEL, assert_is, wait_for},
    environments::{HISTORY, both, commits, follow, is_at, says, status},
    git_program::git,
};

/// Any key: it makes an instance one that is connected to.
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIEGM6XNpGr7XXIb8SqdoTYhPWiGvZ7zrhuhwcgdmJwX";

/// A branch that nobody merged, which adds an instance to each environment. It validates: once merged, they are
/// connected to.
struct Unmerged {
    commit: String,
    hosts: Vec<TcpListener>,
}

impl Unmerged {
    fn of(config: &Config) -> Self {
        git(&config.repository(), &["branch", "--force", "unmerged", "main"]);
        let (mut commit, mut hosts) = (String::new(), Vec::new());
        for (environment, address) in
            [("production", Ipv4Addr::new(127, 0, 0, 1)), ("staging", Ipv4Addr::new(127, 0, 0, 2))]
        {
            let host = listens(address);
            let file = instance(environment, &host);
            commit = commits(config, "unmerged", &format!("fleet/instances/at-{environment}.yaml"), file.as_bytes());
            hosts.push(host);
        }
        Self { commit, hosts }
    }

    fn named(&self) -> Value {
        json!({"default": self.commit, "environment": self.commit})
    }

    /// The effect that counts: nobody connects to its hosts, and no environment is at its commit.
    #[track_caller]
    fn is_deployed_nowhere(&self, config: &Config) {
        let is_idle = |host: &TcpListener| host.accept().is_err();
        assert!(self.hosts.iter().all(is_idle), "somebody connects to a host that nobody merged");
        for environment in ["production", "staging"] {
            let at = status(config, environment).map(|view| view["commit"].clone());
            assert!(at != Some(json!(self.commit)), "{environment} is at the commit that nobody merged");
        }
    }

    /// Its hosts are connected to once it is merged: they would be seen to be.
    #[track_caller]
    fn is_deployed_once_merged(&self, config: &Config) {
        git(&config.repository(), &["update-ref", "refs/heads/main", &self.commit]);
        for host in &self.hosts {
            wait_for("a connection to a host that is merged", || host.accept().ok());
        }
    }
}

/// A host of this machine's, which takes connections and never speaks.
pub fn listens(address: Ipv4Addr) -> TcpListener {
    let host = TcpListener::bind((address, 0)).expect("a port is free");
    host.set_nonblocking(true).expect("it can be asked without waiting");
    host
}

/// The declaration of such a host.
pub fn instance(environment: &str, host: &TcpListener) -> String {
    let address = host.local_addr().expect("it is bound");
    let (ip, port) = (address.ip(), address.port());
    format!("environment: {environment}\naddress: {ip}\nssh: {{port: {port}}}\nhost_key: {KEY}\nports: 9000-9099\n")
}

fn head(config: &Config, branch: &str) -> String {
    git(&config.repository(), &["rev-parse", branch])
}

fn wanted(config: &Config) -> Value {
    json!({"default": head(config, "main"), "environment": head(config, "staging")})
}

fn good(commits: &Value, generation: u64) -> Value {
    json!({"commits": commits, "generation": generation, "desired": null})
}

/// A deployment's record.
fn record(environment: &str, commits: &Value, generation: u64, outcome: Option<&str>) -> Value {
    json!({
        "version": 1, "environment": environment, "generation": generation, "kind": "change", "commits": commits,
        "plan_digest": "0".repeat(64), "triggered_by": "mallory", "controller": "elsewhere", "seat": "elsewhere",
        "started": "2026-11-21T13:14:05Z", "outcome": outcome, "changes": [], "unreached": {}, "limit_ms": 600_000,
        "summary": {
            "create": 0, "update": 0, "restart": 0, "delete": 0, "changed_instances": 0, "instances": 1, "services": 1,
            "unknown_instances": 0,
        },
    })
}

fn writes(config: &Config, file: &str, content: &Value) -> String {
    commits(config, HISTORY, file, content.to_string().as_bytes())
}

/// Waits until the status refuses exactly this, and answers what it refuses. Meanwhile nothing unmerged is deployed.
#[track_caller]
fn refuses(config: &Config, unmerged: &Unmerged, claims: &[(&str, &str)]) -> Vec<Value> {
    wait_for(&format!("{claims:?} among what is refused"), || {
        unmerged.is_deployed_nowhere(config);
        let refused = status(config, "staging")?["refused"].as_array()?.clone();
        let told = refused.iter().map(|refusal| (refusal["claim"].as_str(), refusal["reason"].as_str()));
        told.eq(claims.iter().map(|(claim, reason)| (Some(*claim), Some(*reason)))).then_some(refused)
    })
}

/// The environment follows its branch, whatever its history says.
#[track_caller]
fn goes_on(config: &Config) {
    let next = commits(config, "staging", "fleet/hello/more.txt", head(config, "staging").as_bytes());
    is_at(config, "staging", &next);
}

/// A daemon that believes what is written of a deployment of staging's newest commit.
fn deployed(config: &Config) -> Daemon {
    writes(config, "standing.json", &json!({"good": good(&wanted(config), 4)}));
    writes(config, "deployment.json", &record("staging", &wanted(config), 4, Some("applied")));
    let daemon = follow(config);
    is_at(config, "staging", &head(config, "staging"));
    daemon
}

#[test]
fn a_pin_to_a_branch_that_was_never_merged_deploys_nothing_and_connects_nowhere() {
    let config = both();
    let daemon = deployed(&config);
    let unmerged = Unmerged::of(&config);
    let pin = json!({"commits": unmerged.named(), "instead_of": wanted(&config), "owner": "mallory"});
    let written = writes(&config, "standing.json", &json!({"good": good(&wanted(&config), 4), "pin": pin}));
    let refused = refuses(&config, &unmerged, &[("pin", "not-on-branch")]);
    assert_is("the commit", refused[0]["commit"].as_str(), Some(unmerged.commit.as_str()));
    assert_is("who says so", refused[0]["history"].as_str(), Some(written.as_str()));
    let is_of_pin = |told: &Value| told["refusal"]["claim"] == "pin" && told["environment"] == "staging";
    daemon.tells_that(EventName::HistoryRefused, is_of_pin);
    is_at(&config, "staging", &head(&config, "staging"));
    goes_on(&config);
    unmerged.is_deployed_nowhere(&config);
    unmerged.is_deployed_once_merged(&config);
}

#[test]
fn each_half_of_a_pin_is_looked_for_on_its_own_branch() {
    let config = both();
    let _daemon = deployed(&config);
    let unmerged = Unmerged::of(&config);
    let half = json!({"default": unmerged.commit, "environment": head(&config, "staging")});
    let pin = json!({"commits": half, "instead_of": wanted(&config), "owner": "mallory"});
    writes(&config, "standing.json", &json!({"good": good(&wanted(&config), 4), "pin": pin}));
    refuses(&config, &unmerged, &[("pin", "not-on-default-branch")]);
    goes_on(&config);
    unmerged.is_deployed_nowhere(&config);
}

#[test]
fn forged_good_partial_rewind_and_quarantine_steer_nothing() {
    let config = both();
    let _daemon = deployed(&config);
    let unmerged = Unmerged::of(&config);
    let quarantined = json!({"commits": unmerged.named(), "generation": 4, "why": "nobody likes it"});
    let forged = json!({
        "good": good(&unmerged.named(), 4), "partial": good(&unmerged.named(), 4), "rewind_to": unmerged.named(),
        "quarantine": [quarantined],
    });
    writes(&config, "standing.json", &forged);
    let claims = ["good", "partial", "rewind", "quarantine"].map(|claim| (claim, "not-on-branch"));
    refuses(&config, &unmerged, &claims);
    goes_on(&config);
    // Its branch is gone: what was good last is kept up, and that is not what was forged.
    let last = head(&config, "staging");
    git(&config.repository(), &["branch", "-D", "staging"]);
    says(&config, "staging", &["the repository has no such branch", "its last good commits are kept up"]);
    wait_for("what is kept up", || {
        unmerged.is_deployed_nowhere(&config);
        (status(&config, "staging")?["commit"].as_str()? != last).then_some(())
    });
    unmerged.is_deployed_nowhere(&config);
}

#[test]
fn a_forged_open_deployment_is_neither_gone_on_with_nor_waited_for() {
    let config = both();
    let daemon = deployed(&config);
    let unmerged = Unmerged::of(&config);
    let history = "evenkeel/history/production";
    let mut forged = record("production", &unmerged.named(), 5, None);
    // However long it says that it takes, it is not waited for longer than two minutes (`decide/tests.rs`).
    forged["limit_ms"] = 1_000.into();
    commits(&config, history, "deployment.json", forged.to_string().as_bytes());
    // It is fenced off and undone, so that no other waits for it; nothing names its commits any more.
    let ended = wait_for("its end", || {
        unmerged.is_deployed_nowhere(&config);
        let record = git(&config.repository(), &["show", &format!("{history}:deployment.json")]);
        let record: Value = serde_json::from_str(&record).expect("a record");
        (record["outcome"] == "rolled-back").then_some(record)
    });
    assert_is("what it deployed", &ended["commits"]["environment"], &Value::Null);
    daemon.tells_that(EventName::HistoryRefused, |told| told["refusal"]["claim"] == "intent");
    let next = commits(&config, "main", "fleet/hello/more.txt", b"more\n");
    is_at(&config, "production", &next);

    writes(&config, "deployment.json", &record("production", &wanted(&config), 5, None));
    refuses(&config, &unmerged, &[("intent", "other-environment")]);
    goes_on(&config);
    unmerged.is_deployed_nowhere(&config);
}

#[test]
fn a_forged_generation_is_not_counted_on() {
    let config = both();
    let _daemon = deployed(&config);
    for generation in [u64::MAX, u64::MAX - 1, 1 << 63, 1 << 41, 100_005] {
        writes(&config, "deployment.json", &record("staging", &wanted(&config), generation, Some("applied")));
        wait_for(&format!("the refusal of {generation}"), || {
            let refused = status(&config, "staging")?["refused"].as_array()?.clone();
            let [only] = refused.as_slice() else { return None };
            let told = (&only["claim"], &only["reason"], &only["generation"]);
            (told == (&json!("deployment"), &json!("generation"), &json!(generation))).then_some(())
        });
        goes_on(&config);
    }
}

/// A history that names a commit which this controller never saw on the branch: forged, or pushed away by force. What is
/// live is not known, so it looks, and a person decides.
#[test]
fn a_controller_that_never_saw_the_good_commit_waits_for_a_person() {
    let config = both();
    let unmerged = Unmerged::of(&config);
    writes(&config, "standing.json", &json!({"good": good(&unmerged.named(), 4)}));
    let _daemon = follow(&config);
    refuses(&config, &unmerged, &[("good", "not-on-branch")]);
    let notes = |words: &str| {
        wait_for(words, || status(&config, "staging")?["notes"].to_string().contains(words).then_some(()));
    };
    notes("retry --allow-rewind");
    let retried = std::process::Command::new(EVENKEEL)
        .args(["retry", "--allow-rewind", "-e", "staging", "--repo"])
        .arg(config.repository())
        .arg("--state")
        .arg(config.path("state"))
        .output()
        .expect("it runs");
    assert!(retried.status.success(), "{retried:?}");
    wait_for("the leave to deploy", || {
        let notes = status(&config, "staging")?["notes"].to_string();
        (!notes.contains("retry --allow-rewind")).then_some(())
    });
    unmerged.is_deployed_nowhere(&config);
}

#[test]
fn a_commit_that_was_pushed_away_by_force_is_believed_by_the_controller_that_saw_it() {
    let config = both();
    let before = head(&config, "staging");
    commits(&config, "staging", "fleet/hello/more.txt", b"more\n");
    let mut daemon = deployed(&config);
    git(&config.repository(), &["update-ref", "refs/heads/staging", &before]);
    let bars = || {
        wait_for("the refusal to go back", || {
            let view = status(&config, "staging")?;
            let is_barred = view["notes"].to_string().contains("leaves out the deployed commit");
            (is_barred && view["refused"].is_null()).then_some(())
        });
    };
    bars();
    daemon.signal(rustix::process::Signal::TERM);
    daemon.ends();
    let _daemon = follow(&config);
    bars();
}

#[test]
fn a_rollback_brings_back_no_deployment_that_was_never_merged() {
    let config = both();
    let unmerged = Unmerged::of(&config);
    for (commits, generation) in [(wanted(&config), 4), (unmerged.named(), 5), (wanted(&config), 6)] {
        writes(&config, "standing.json", &json!({"good": good(&commits, generation)}));
        writes(&config, "deployment.json", &record("staging", &commits, generation, Some("applied")));
    }
    let roll_back = |state: &str, arguments: &[&str]| {
        let mut command = std::process::Command::new(EVENKEEL);
        let told = command.args(["rollback", "-e", "staging"]).args(arguments).arg("--repo").arg(config.repository());
        told.arg("--state").arg(config.path(state)).output().expect("it runs")
    };
    for (state, arguments) in [("one", vec!["5"]), ("two", vec!["5", "--now"])] {
        let told = roll_back(state, &arguments);
        let errors = String::from_utf8_lossy(&told.stderr).into_owned();
        assert_is("the exit code", told.status.code(), Some(4));
        assert!(errors.contains(&unmerged.commit[..12]), "the commit is not named: {errors}");
    }
    let branches = git(&config.repository(), &["branch", "--list", "evenkeel/rollback/*"]);
    assert_is("what was pushed", branches.as_str(), "");
}

/// By hand as by the daemon: what a person has not said stays undone.
#[test]
fn apply_refuses_to_go_on_where_it_is_not_known_what_is_live() {
    let config = both();
    let unmerged = Unmerged::of(&config);
    writes(&config, "standing.json", &json!({"good": good(&unmerged.named(), 4)}));
    git(config.folder.path(), &["clone", "--quiet", "--branch", "staging", "config.git", "clone"]);
    let apply = |more: &[&str]| {
        let mut command = std::process::Command::new(EVENKEEL);
        command.args(["apply", "--yes", "-e", "staging"]).args(more).arg("--repo").arg(config.repository());
        command.arg("--state").arg(config.path("state")).current_dir(config.path("clone"));
        command.env("HOME", config.folder.path()).env_remove("SSH_AUTH_SOCK").output().expect("it runs")
    };
    let told = apply(&[]);
    let errors = String::from_utf8_lossy(&told.stderr).into_owned();
    assert_is("the exit code", told.status.code(), Some(4));
    assert!(errors.contains(&unmerged.commit[..7]) && errors.contains("--allow-rewind"), "{errors}");
    let told = apply(&["--allow-rewind"]);
    assert_is("the exit code", told.status.code(), Some(0));
    unmerged.is_deployed_nowhere(&config);
}
