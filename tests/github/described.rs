//! Every request of the client, compared with GitHub's own description of its API: prism serves that, refuses what
//! does not match it, and answers with GitHub's examples.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use evenkeel::{
    github::{
        DeploymentState, GitHub, NewDeployment, NewDeploymentStatus, NewPull, Pace, Permission, Reaction, Settings,
        SignIn, settings,
    },
    model::{
        finding::{Code, Finding, Place},
        pull::{Check, CheckState, Conclusion, PullState},
    },
};
use serde_json::json;

use crate::{
    app,
    description::{self, OPERATIONS, operation},
    npm,
    server::QUICK,
    support::needs::lacks,
};

const PATIENCE: Duration = Duration::from_secs(60);
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

struct Prism {
    process: Child,
    url: String,
    log: PathBuf,
}

impl Prism {
    fn start(folder: &tempfile::TempDir) -> Self {
        let description = folder.path().join("description.json");
        fs::write(&description, description::of_github().to_string()).expect("it can be written");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a port");
        let port = listener.local_addr().expect("it is bound").port();
        drop(listener);
        let log = folder.path().join("prism.log");
        let file = File::create(&log).expect("it can be written");
        // Not `--errors`: that refuses GitHub's own examples as well, where they do not match its own schemas. What
        // is asked is held against the description either way, as is shown below.
        let mut process = Command::new(npm::modules().join("node_modules/.bin/prism"))
            .args(["mock", "--host", "127.0.0.1", "--port", &port.to_string()])
            .arg(&description)
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("it is open"))
            .stderr(file)
            .spawn()
            .expect("npm has installed it");
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let ended = process.try_wait().expect("it is our child");
            let log = || fs::read_to_string(&log).unwrap_or_default();
            assert!(ended.is_none() && begun.elapsed() < PATIENCE, "prism does not listen: {ended:?}\n{}", log());
            thread::sleep(Duration::from_millis(50));
        }
        Self { process, url: format!("http://127.0.0.1:{port}"), log }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("it is written")
    }

    fn github(&self, sign_in: SignIn) -> GitHub {
        let api = settings::api_at(&self.url).expect("it is an address");
        let repository = "octocat/Hello-World".parse().expect("it is a name");
        let settings = Settings { repository, api, sign_in, ca_file: None };
        // When the token of GitHub's example is still good.
        let now: DateTime<Utc> = "2016-07-11T21:20:00Z".parse().expect("it is a time");
        GitHub::with(&settings, Pace { first_retry: PATIENCE, ..QUICK }, Arc::new(move || now)).expect("it is a client")
    }
}

impl Drop for Prism {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A check with more annotations than one request takes, and all that one can have.
fn check(state: CheckState) -> Check {
    let place = |line| Place {
        file: "fleet/services/a.yaml".into(),
        line,
        column: 3,
        end_column: 9,
        text: "x".into(),
        ..Place::default()
    };
    let finding = |line| Finding::error(Code::PortTaken, "b has that port").at(place(line)).hint("choose another");
    Check {
        name: "evenkeel/plan".to_owned(),
        commit: COMMIT.into(),
        state,
        title: "3 instances change".to_owned(),
        summary: "**3** instances".to_owned(),
        text: Some("all of it".to_owned()),
        findings: (1..=60).map(finding).collect(),
    }
}

#[tokio::test]
async fn every_request_is_as_github_describes_it_and_every_answer_can_be_read() {
    if lacks(&["node", "npm"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let prism = Prism::start(&folder);
    let token = folder.path().join("token");
    fs::write(&token, "github_pat_x").expect("it can be written");
    as_an_app(&prism.github(app::sign_in(folder.path()))).await;
    with_a_token(&prism.github(SignIn::Token { file: token })).await;

    let log = prism.log();
    assert!(!log.contains("Violation: request"), "{log}");
    let asked = asked(&log);
    for operation in OPERATIONS {
        assert!(asked.contains(operation), "{operation} was not asked:\n{log}");
    }
    assert_eq!(a_wrong_request(&prism.url).await, 422, "what does not match is refused");
}

async fn as_an_app(github: &GitHub) {
    assert!(github.is_app());
    assert_eq!(github.who_am_i().await.expect("it is described"), "octoapp[bot]");
    let installation = github.installation().await.expect("it is described").expect("it is an App");
    assert_eq!((installation.id, installation.permissions["contents"].as_str()), (1, "read"));

    let pulls = github.open_pulls(None).await.expect("it is described").expect("it is not known").now;
    let pull = pulls.first().expect("the example has one");
    assert_eq!((pull.number, pull.title.as_str(), pull.author.as_str()), (1347, "Amazing new feature", "octocat"));
    assert_eq!((pull.base.as_str(), pull.head.as_str()), ("master", "6dcb09b5b57875f334f61aebed695e2e4193db5e"));
    assert_eq!((&pull.state, pull.from.as_deref()), (&PullState::Open, Some("octocat/Hello-World")));
    assert_eq!(github.pull(1347).await.expect("it is described").number, 1347);
    let new = NewPull { title: "a".into(), body: "b".into(), head: "c".into(), base: "main".into() };
    assert_eq!(github.create_pull(&new).await.expect("it is described").number, 1347);
    assert_eq!(github.pulls_of_commit(&COMMIT.into()).await.expect("it is described").len(), 1);

    let comments = github.comments(1347).await.expect("it is described");
    assert_eq!(
        (comments[0].number, comments[0].author.as_str(), comments[0].body.as_str()),
        (1347, "octocat", "Me too")
    );
    let since = github.comments_since(Utc::now(), None).await.expect("it is described");
    assert_eq!(since.expect("nobody had them").now, comments);
    assert_eq!(github.comment(1).await.expect("it is described"), comments[0]);
    assert_eq!(github.create_comment(1347, "a").await.expect("it is described"), comments[0]);
    assert_eq!(github.update_comment(1, "b").await.expect("it is described"), comments[0]);
    for reaction in [Reaction::Eyes, Reaction::ThumbsUp, Reaction::Confused] {
        github.react(1, reaction).await.expect("it is described");
    }
    assert_eq!(github.reacted(1, Reaction::Eyes).await.expect("it is described"), ["octocat"]);

    for ended in [
        CheckState::Queued,
        CheckState::InProgress,
        CheckState::Done(Conclusion::Success),
        CheckState::Done(Conclusion::ActionRequired),
        CheckState::Done(Conclusion::Cancelled),
        CheckState::Done(Conclusion::Neutral),
        CheckState::Done(Conclusion::Failure),
    ] {
        github.put_check(&check(ended)).await.expect("it is described");
    }
    assert_eq!(github.check_runs(&"main".into()).await.expect("it is described")[0].name, "mighty_readme");

    let payload = json!({"generation": 7});
    let (commit, environment) = (COMMIT.to_owned(), "production".to_owned());
    let new = NewDeployment { commit: commit.into(), environment, description: "a".into(), payload };
    assert_eq!(github.create_deployment(&new).await.expect("it is described").environment, "production");
    assert_eq!(github.deployments("production", Some(COMMIT)).await.expect("it is described").len(), 1);
    for state in [
        DeploymentState::Queued,
        DeploymentState::Pending,
        DeploymentState::InProgress,
        DeploymentState::Success,
        DeploymentState::Failure,
        DeploymentState::Inactive,
        DeploymentState::Error,
    ] {
        let log_url = Some("https://example.com/1".to_owned());
        let new = NewDeploymentStatus { state, log_url, description: "a".into(), auto_inactive: true };
        github.set_deployment_status(1, &new).await.expect("it is described");
    }
    let statuses = github.deployment_statuses(1).await.expect("it is described");
    assert_eq!(statuses[0].state, DeploymentState::Success);
    assert_eq!(github.permission("octocat").await.expect("it is described"), Permission::Admin);
    let team = "acme/ops".parse().expect("it is a team");
    assert!(github.is_in_team(&team, "octocat").await.expect("it is described"));
    let rules = github.rules_of_branch("evenkeel/history/production").await.expect("it is described");
    assert_eq!((rules[0].kind.as_str(), rules[0].ruleset_id), ("commit_message_pattern", Some(42)));
    let ruleset = github.ruleset(42).await.expect("it is described");
    let actors = ruleset.bypass_actors.expect("the example has some");
    assert_eq!((ruleset.name.as_str(), actors[0].to_string().as_str()), ("super cool ruleset", "Team:234"));
}

async fn with_a_token(github: &GitHub) {
    assert!(!github.is_app());
    assert_eq!(github.who_am_i().await.expect("it is described"), "octocat");
    assert!(github.installation().await.expect("nothing is asked").is_none());
    let repository = github.repository().await.expect("it is described");
    assert_eq!((repository.full_name.as_str(), repository.default_branch.as_str()), ("octocat/Hello-World", "master"));
    for state in [
        CheckState::InProgress,
        CheckState::Done(Conclusion::Success),
        CheckState::Done(Conclusion::Failure),
        CheckState::Done(Conclusion::Cancelled),
    ] {
        github.put_check(&check(state)).await.expect("it is described");
    }
    assert_eq!(github.statuses("main").await.expect("it is described")[0].context, "continuous-integration/jenkins");
    let conclusions = github.conclusions(&"main".into()).await.expect("it is described");
    assert_eq!(conclusions["continuous-integration/jenkins"], Conclusion::Success);
    assert_eq!(conclusions["mighty_readme"], Conclusion::Neutral);
}

/// The operations that prism's log has requests of.
fn asked(log: &str) -> BTreeSet<&'static str> {
    let lines = log.lines().filter_map(|line| Some(line.split_once("[HTTP SERVER] ")?.1));
    let requests = lines.filter_map(|line| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_uppercase(), words.next()?))
    });
    requests.filter_map(|(method, path)| operation(&method, path)).collect()
}

/// One without the branch that a pull request is for.
async fn a_wrong_request(url: &str) -> u16 {
    let client = reqwest::Client::builder().no_proxy().build().expect("it is a client");
    let body = json!({"title": "a", "head": "b"});
    let answer = client.post(format!("{url}/repos/o/r/pulls")).json(&body).send().await;
    answer.expect("prism answers").status().as_u16()
}

/// A function that nobody adds to the above would be compared with nothing.
#[test]
fn no_request_of_the_client_is_left_out() {
    let asks = fs::read_to_string(npm::here().join("described.rs")).expect("it can be read");
    let sources = npm::here().join("../../src/github");
    for entry in fs::read_dir(sources).expect("it is a folder") {
        let path = entry.expect("it can be read").path();
        // What signing in asks is asked before everything else here.
        if path.ends_with("sign_in.rs") {
            continue;
        }
        for line in fs::read_to_string(&path).expect("it can be read").lines() {
            let Some(rest) = line.trim_start().strip_prefix("pub async fn ") else { continue };
            let name = rest.split('(').next().unwrap_or_default();
            assert!(asks.contains(&format!("github.{name}(")), "{name} of {} is not asked here", path.display());
        }
    }
}
