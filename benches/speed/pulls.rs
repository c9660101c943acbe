//! Pull requests: from a delivery of the webhook to the comment, and a storm of deliveries.

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{
    Result,
    lab::{Daemon, Scene},
    median,
    support::github::GitHub,
    table::{Table, milliseconds},
};

const ROUNDS: usize = 5;
const DELIVERIES: usize = 500;
/// In which they come.
const STORM: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(60);
/// Writes begin a second apart: so long after one pull request's comment its checks are put.
const QUIET: Duration = Duration::from_secs(4);

pub fn measure(table: &mut Table, scene: &Scene) -> Result {
    let (bare, clone) = (scene.path("config.git"), scene.path("clone"));
    git(Path::new("/"), &["clone", "--quiet", &bare.to_string_lossy(), &clone.to_string_lossy()])?;
    git(&clone, &["config", "user.name", "alice"])?;
    git(&clone, &["config", "user.email", "alice@example.com"])?;
    let github = GitHub::start(&bare, &clone);
    let daemon = Daemon::of_github(scene, &github)?;
    let listens = daemon.says("the webhook listens on ")?;
    let url = format!("http://{listens}/webhook/github");
    github.delivers_to(&url);
    // Its first look at the hosts is over.
    thread::sleep(QUIET);
    to_comment(table, &github, &clone)?;
    storm(table, &github, &url, &daemon)?;
    daemon.stop()
}

fn to_comment(table: &mut Table, github: &GitHub, clone: &Path) -> Result {
    let mut taken = Vec::new();
    // The first opens connections to hosts and to GitHub, and does not count.
    for round in 0..=ROUNDS {
        let branch = format!("change-{round}");
        propose(clone, &branch, round)?;
        let began = Instant::now();
        let number = github.opens("A change", "alice", &branch, false);
        let deadline = began + PATIENCE;
        while github.comment_of_evenkeel(number).is_none() {
            if Instant::now() > deadline {
                return Err("there is no comment".into());
            }
            thread::sleep(Duration::from_millis(2));
        }
        if round > 0 {
            taken.push(began.elapsed());
        }
        thread::sleep(QUIET);
    }
    let took = median(&mut taken);
    let beside = "the push to the repository included";
    table.row("a pull request, webhook to comment", milliseconds(took), beside, ("1 s", took.as_secs() < 1));
    Ok(())
}

/// Another environment for a service, on a branch of its own.
fn propose(clone: &Path, branch: &str, round: usize) -> Result {
    git(clone, &["checkout", "--quiet", "-B", branch, "origin/main"])?;
    let path = clone.join("fleet/services/asana_mcp.yaml");
    let text = fs::read_to_string(&path)?.replacen("env: {", &format!("env: {{ROUND: \"{round}\", "), 1);
    fs::write(&path, text)?;
    git(clone, &["commit", "--quiet", "--all", "--message", "A change"])?;
    git(clone, &["checkout", "--quiet", "main"])
}

/// Deliveries of one pull request after the other, as fast as they come.
fn storm(table: &mut Table, github: &GitHub, url: &str, daemon: &Daemon<'_>) -> Result {
    let secret = fs::read(github.secret_file())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let pulls: Vec<Value> = (1..=ROUNDS + 1).map(|number| github.sees(&format!("pulls/{number}"))).collect();
    let (writes, mut taken, mut at_fiftieth) = (github.writes().len(), Vec::new(), 0.0);
    let began = Instant::now();
    for delivery in 0..DELIVERIES {
        if delivery == 50 {
            at_fiftieth = daemon.resident()?;
        }
        let body = synchronize(&pulls[delivery % pulls.len()]);
        let request = client
            .post(url)
            .header("x-github-event", "pull_request")
            .header("x-github-delivery", format!("storm-{delivery}"))
            .header("x-hub-signature-256", signature(&secret, &body))
            .body(body);
        let sent = Instant::now();
        let status =
            runtime.block_on(async { request.send().await?.error_for_status().map(|answer| answer.status()) })?;
        taken.push(sent.elapsed());
        if status != 202 {
            return Err(format!("a delivery was answered {status}").into());
        }
        let next = began + STORM * (delivery as u32 + 1) / DELIVERIES as u32;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    taken.sort();
    let slowest = taken[taken.len() * 99 / 100];
    let name = "500 deliveries in 5 s, 99 of 100 answered within";
    let within = slowest < Duration::from_millis(50);
    table.row(name, milliseconds(slowest), "", ("50 ms", within));
    thread::sleep(QUIET);
    let growth = daemon.resident()? - at_fiftieth;
    table.row("memory between the 50th and the last", format!("{growth:.1} MiB"), "", ("10 MiB", growth < 10.0));
    let writes = github.writes().len() - writes;
    table.row("writes to GitHub for all of them", writes.to_string(), "nothing differs", ("12", writes < 12));
    Ok(())
}

/// That somebody has pushed: a commit that is another one each time, as far as is told.
fn synchronize(pull: &Value) -> Vec<u8> {
    let mut pull = pull.clone();
    pull["head"]["sha"] = json!(format!("{:040x}", rand::random::<u64>()));
    pull["merged"] = json!(false);
    json!({"action": "synchronize", "number": pull["number"], "pull_request": pull}).to_string().into_bytes()
}

fn signature(secret: &[u8], body: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret).expect("a key of any length is taken");
    let bytes = mac.chain_update(body).finalize().into_bytes();
    bytes.iter().fold("sha256=".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn git(folder: &Path, arguments: &[&str]) -> Result {
    let ended = Command::new("git").current_dir(folder).args(arguments).output()?;
    match ended.status.success() {
        true => Ok(()),
        false => Err(format!("git {}: {}", arguments.join(" "), String::from_utf8_lossy(&ended.stderr)).into()),
    }
}
