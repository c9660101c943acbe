//! The client and the fake: what GitHub takes, what it refuses, and how it counts.

use std::{sync::Arc, time::Duration};

use chrono::{TimeDelta, Utc};
use evenkeel::{
    github::{
        self, DeploymentState, GitHubError, NewDeployment, NewDeploymentStatus, NewPull, Pace, Permission, Reaction,
        SignIn,
    },
    model::{
        finding::{Code, Finding, Place},
        pull::{Check, CheckState, Conclusion, PullState},
    },
};
use serde_json::json;

use crate::support::{
    git::git,
    github::{APP, GitHub, REPOSITORY, SLUG, TOKEN_OWNER, Trouble, Who},
    hosted::Hosted,
    waiting::PATIENCE,
};

fn status(error: &GitHubError) -> u16 {
    match error {
        GitHubError::Status { status, .. } => status.as_u16(),
        other => panic!("not answered with a status: {other}"),
    }
}

fn check(commit: &str, findings: u32) -> Check {
    let finding = |line| {
        let place = Place {
            file: "fleet/fleet.yaml".to_owned(),
            line,
            column: 1,
            end_column: 5,
            text: String::new(),
            ..Place::default()
        };
        Finding::error(Code::UnknownKey, "no such key").at(place)
    };
    Check {
        name: "evenkeel/validate".to_owned(),
        commit: commit.into(),
        state: CheckState::Done(Conclusion::Failure),
        title: "a title".to_owned(),
        summary: "a summary".to_owned(),
        text: None,
        findings: (1..=findings).map(finding).collect(),
    }
}

/// Asks as it likes: a client of HTTP that knows nothing of GitHub.
fn stranger(forge: &Hosted) -> reqwest::Client {
    let pem = std::fs::read(forge.github.authority()).expect("it is there");
    let authority = reqwest::Certificate::from_pem(&pem).expect("it is PEM");
    let client = reqwest::Client::builder().user_agent("tests").no_proxy().tls_certs_merge([authority]);
    client.build().expect("it is made")
}

#[tokio::test(flavor = "multi_thread")]
async fn one_signs_in_as_an_app_or_with_a_token() {
    let forge = Hosted::new();
    let (app, token) = (forge.app(), forge.token());
    assert_eq!(app.who_am_i().await.expect("it is told"), format!("{SLUG}[bot]"));
    assert_eq!(token.who_am_i().await.expect("it is told"), TOKEN_OWNER);
    assert_eq!(app.repository().await.expect("it is told").full_name, REPOSITORY);
    let installation = app.installation().await.expect("it is told").expect("it is an App");
    assert_eq!(installation.permissions["checks"], "write");
    assert_eq!(token.repository().await.expect("it is told").default_branch, "main");
    let who: Vec<Who> = forge.github.requests().iter().map(|request| request.who).collect();
    // One token is made, and used for both questions about the repository.
    assert_eq!(who, [Who::App, Who::Token, Who::App, Who::App, Who::Installation, Who::App, Who::Token]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_signs_with_another_key_or_at_another_time_is_not_let_in() {
    let (forge, other) = (Hosted::new(), Hosted::new());
    let stranger = forge.with(SignIn::App { id: APP, key_file: other.github.key_file() });
    assert_eq!(status(&stranger.repository().await.expect_err("it is another key")), 401);
    let sign_in = SignIn::App { id: APP, key_file: forge.github.key_file() };
    for minutes in [-20, 20] {
        let clock = move || Utc::now() + TimeDelta::minutes(minutes);
        let late = github::GitHub::with(&forge.settings(sign_in.clone()), Pace::default(), Arc::new(clock));
        assert_eq!(status(&late.expect("it is made").repository().await.expect_err("it has ended")), 401);
    }
    let wrong = forge.with(SignIn::App { id: APP + 1, key_file: forge.github.key_file() });
    assert_eq!(status(&wrong.repository().await.expect_err("it is another App")), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn pull_requests_are_seen_as_people_make_them_and_an_unchanged_list_is_free() {
    let forge = Hosted::new();
    let (github, client) = (&forge.github, forge.token());
    let head = forge.branch("ahoy");
    let number = github.opens("Say ahoy", "alice", "ahoy", false);
    let fork = github.opens("From elsewhere", "mallory", "ahoy", true);
    let listed = client.open_pulls(None).await.expect("it is told").expect("it is new");
    assert_eq!(listed.now.iter().map(|pull| pull.number).collect::<Vec<_>>(), [fork, number]);
    assert_eq!(listed.now[0].from.as_deref(), Some("mallory/config"));
    assert_eq!((listed.now[1].head.as_str(), listed.now[1].from.as_deref()), (head.as_str(), Some(REPOSITORY)));

    let used = |github: &GitHub| github.requests().iter().filter(|request| request.status != 304).count();
    let before = used(github);
    assert!(client.open_pulls(listed.etag.as_deref()).await.expect("it is told").is_none());
    assert_eq!(used(github), before);

    github.closes(fork);
    assert!(client.open_pulls(listed.etag.as_deref()).await.expect("it is told").is_some());
    let merge = github.merges(number);
    assert_eq!(
        client.pull(number).await.expect("it is told").state,
        PullState::Merged { commit: merge.clone().into() }
    );
    assert_eq!(client.pull(fork).await.expect("it is told").state, PullState::Closed);
    let brought: Vec<u64> = client
        .pulls_of_commit(&merge.as_str().into())
        .await
        .expect("it is told")
        .iter()
        .map(|pull| pull.number)
        .collect();
    assert_eq!(brought, [number]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_is_opened_for_a_branch_that_is_there_and_once() {
    let forge = Hosted::new();
    let client = forge.app();
    forge.branch("revert");
    git(&forge.clone(), &["push", "--quiet", "../config.git", "revert"]);
    let new = |head: &str| NewPull {
        title: "Revert it".to_owned(),
        body: "It failed.".to_owned(),
        head: head.to_owned(),
        base: "main".to_owned(),
    };
    let made = client.create_pull(&new("revert")).await.expect("it is made");
    assert_eq!((made.author.as_str(), made.state), (format!("{SLUG}[bot]").as_str(), PullState::Open));
    assert_eq!(forge.github.opened_by_evenkeel().len(), 1);
    git(&forge.clone(), &["push", "--quiet", "../config.git", "main:nothing"]);
    for head in ["revert", "nowhere", "nothing"] {
        assert_eq!(status(&client.create_pull(&new(head)).await.expect_err(head)), 422);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn comments_are_made_changed_and_found_and_too_long_ones_refused() {
    let forge = Hosted::new();
    let (github, client) = (&forge.github, forge.token());
    forge.branch("ahoy");
    let number = github.opens("Say ahoy", "alice", "ahoy", false);
    let asked = github.comments(number, "alice", "/evenkeel plan");
    let made = client.create_comment(number, "one").await.expect("it is made");
    client.update_comment(made.id, "two").await.expect("it is changed");
    let all: Vec<String> =
        client.comments(number).await.expect("it is told").into_iter().map(|comment| comment.body).collect();
    assert_eq!(all, ["/evenkeel plan", "two"]);
    assert_eq!(github.comments_of_evenkeel(number), ["two"]);
    for _ in 0..2 {
        client.react(asked, Reaction::Eyes).await.expect("it is made");
    }
    assert_eq!(github.reactions(asked), ["eyes"]);
    assert_eq!(client.reacted(asked, Reaction::Eyes).await.expect("it is told").len(), 1);
    assert_eq!(client.reacted(asked, Reaction::Confused).await.expect("it is told"), [""; 0]);
    let since = client.comments_since(Utc::now() - TimeDelta::minutes(1), None).await.expect("it is told");
    let since = since.expect("nobody had it").now;
    assert_eq!(since.iter().map(|comment| comment.number).collect::<Vec<_>>(), [number, number]);

    let longest = "ä".repeat(65_536);
    client.update_comment(made.id, &longest).await.expect("characters are counted, not bytes");
    assert_eq!(status(&client.update_comment(made.id, &(longest + "a")).await.expect_err("it is longer")), 422);

    for each in 0..150 {
        github.comments(number, "alice", &each.to_string());
    }
    assert_eq!(client.comments(number).await.expect("page after page").len(), 152);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misspelt_field_is_refused_and_so_are_check_runs_of_people() {
    let forge = Hosted::new();
    let commit = forge.branch("ahoy");
    let number = forge.github.opens("Say ahoy", "alice", "ahoy", false);
    let client = stranger(&forge);
    let token = std::fs::read_to_string(forge.github.token_file()).expect("it is there");
    let post = async |path: &str, body: serde_json::Value| {
        let url = format!("{}/repos/{REPOSITORY}/{path}", forge.github.api());
        let answer = client.post(url).bearer_auth(&token).json(&body).send().await.expect("it answers");
        answer.status().as_u16()
    };
    let comments = format!("issues/{number}/comments");
    assert_eq!(post(&comments, json!({"body": "well"})).await, 201);
    assert_eq!(post(&comments, json!({"body": "well", "boddy": "well"})).await, 422);
    let statuses = format!("statuses/{commit}");
    assert_eq!(post(&statuses, json!({"state": "success", "description": "a".repeat(140)})).await, 201);
    assert_eq!(post(&statuses, json!({"state": "success", "description": "a".repeat(141)})).await, 422);
    assert_eq!(post("check-runs", json!({"name": "theirs", "head_sha": commit})).await, 403);
    assert_eq!(post("deployments", json!({"ref": commit})).await, 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_makes_check_runs_and_a_token_statuses() {
    let forge = Hosted::new();
    let (github, app, token) = (&forge.github, forge.app(), forge.token());
    let commit = forge.branch("ahoy");
    github.opens("Say ahoy", "alice", "ahoy", false);
    app.put_check(&check(&commit, 120)).await.expect("in batches");
    assert_eq!(github.annotations(&commit, "evenkeel/validate").len(), 120);
    assert_eq!(github.checks(&commit), [("evenkeel/validate".to_owned(), "failure".to_owned())].into());
    token.put_check(&Check { name: "evenkeel/plan".to_owned(), ..check(&commit, 0) }).await.expect("it is a status");
    assert_eq!(github.checks(&commit).len(), 2);
    assert_eq!(
        app.conclusions(&commit.as_str().into()).await.expect("it is told")["evenkeel/plan"],
        Conclusion::Failure
    );
    let unknown = check(&"0".repeat(40), 0);
    for client in [&app, &token] {
        assert_eq!(status(&client.put_check(&unknown).await.expect_err("there is no such commit")), 422);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_succeeds_makes_the_one_before_inactive() {
    let forge = Hosted::new();
    let client = forge.app();
    let commit = forge.branch("ahoy");
    forge.github.opens("Say ahoy", "alice", "ahoy", false);
    for environment in ["test", "test", "production", "production"] {
        let new = NewDeployment {
            commit: commit.clone().into(),
            environment: environment.to_owned(),
            description: "a deployment".to_owned(),
            payload: json!({"generation": 1}),
        };
        let made = client.create_deployment(&new).await.expect("it is made");
        for state in [DeploymentState::InProgress, DeploymentState::Success] {
            let status =
                NewDeploymentStatus { state, log_url: None, description: "so".to_owned(), auto_inactive: true };
            client.set_deployment_status(made.id, &status).await.expect("it is set");
        }
    }
    let states = |environment| forge.github.deployments(environment).into_iter().map(|(_, state)| state);
    assert_eq!(states("test").collect::<Vec<_>>(), ["success", "inactive"]);
    // GitHub calls `production` what is called so, and leaves it.
    assert_eq!(states("production").collect::<Vec<_>>(), ["success", "success"]);
    assert_eq!(client.deployments("test", Some(&commit)).await.expect("they are told").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_has_a_tag_and_pages_of_at_most_a_hundred() {
    let forge = Hosted::new();
    let commit = forge.branch("ahoy");
    let number = forge.github.opens("Say ahoy", "alice", "ahoy", false);
    for each in 0..101 {
        forge.github.comments(number, "alice", &each.to_string());
        forge.github.reports(&commit, &format!("ci/{each}"), "success");
    }
    let client = stranger(&forge);
    let token = std::fs::read_to_string(forge.github.token_file()).expect("it is there");
    let get = async |path: &str, tag: Option<&str>| {
        let url = format!("{}/repos/{REPOSITORY}/{path}", forge.github.api());
        let mut request = client.get(url).bearer_auth(&token);
        if let Some(tag) = tag {
            request = request.header("if-none-match", tag);
        }
        let answer = request.send().await.expect("it answers");
        let header = |name: &str| answer.headers().get(name).and_then(|it| it.to_str().ok()).map(str::to_owned);
        (answer.status().as_u16(), header("etag"), header("link").unwrap_or_default())
    };
    for list in [
        "pulls".to_owned(),
        "issues/comments".to_owned(),
        format!("issues/{number}/comments"),
        format!("commits/{commit}/check-runs"),
        format!("commits/{commit}/status"),
        format!("commits/{commit}/pulls"),
        "deployments".to_owned(),
    ] {
        let (status, tag, _) = get(&list, None).await;
        assert_eq!(status, 200, "{list}");
        assert_eq!(get(&list, tag.as_deref()).await.0, 304, "{list}");
        assert_eq!(get(&list, Some("W/\"another\"")).await.0, 200, "{list}");
    }
    for list in [format!("issues/{number}/comments"), format!("commits/{commit}/status")] {
        for (asked, last) in [("", 4), ("?per_page=100", 2), ("?per_page=1000", 2), ("?per_page=101", 2)] {
            let link = get(&format!("{list}{asked}"), None).await.2;
            assert!(link.contains(&format!("page={last}>; rel=\"last\"")), "{list}{asked}: {link}");
            assert!(link.contains("page=2>; rel=\"next\""), "{list}{asked}: {link}");
        }
        let end = get(&format!("{list}?per_page=100&page=2"), None).await.2;
        assert!(!end.contains("next") && end.contains("rel=\"prev\"") && end.contains("rel=\"first\""), "{end}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_may_do_what_their_role_says() {
    let forge = Hosted::new();
    let client = forge.token();
    forge.github.lets("alice", "maintain");
    assert_eq!(client.permission("alice").await.expect("it is told"), Permission::Maintain);
    assert_eq!(client.permission("mallory").await.expect("it is told"), Permission::None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_waited_for_and_a_failure_met_again() {
    let forge = Hosted::new();
    let (github, client) = (&forge.github, forge.token());
    for trouble in [
        Trouble::Limited(429, 1),
        Trouble::Limited(403, 1),
        Trouble::UsedUp(403, 1),
        Trouble::UsedUp(429, 1),
        Trouble::Status(502),
    ] {
        let before = github.requests().len();
        github.answers_next(1, trouble);
        client.repository().await.unwrap_or_else(|error| panic!("{trouble:?}: {error}"));
        assert_eq!(github.requests().len() - before, 2, "{trouble:?}");
    }
    github.is_in_trouble(Trouble::Status(503));
    assert_eq!(status(&client.repository().await.expect_err("it is down")), 503);
    github.is_back();
    client.repository().await.expect("it is back");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_while_it_hangs_is_answered_when_it_is_back() {
    let forge = Hosted::new();
    let (github, client) = (&forge.github, forge.token());
    github.is_in_trouble(Trouble::Hangs);
    let asked = tokio::spawn(async move { client.repository().await });
    let is_asked = async {
        while github.requests().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, is_asked).await.expect("it asks");
    github.is_back();
    asked.await.expect("it runs").expect("what got 502 is asked again");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_repository_is_fetched_over_https_by_those_whom_github_knows() {
    let forge = Hosted::new();
    let head = forge.branch("ahoy");
    let number = forge.github.opens("From elsewhere", "mallory", "ahoy", true);
    let authority = forge.github.authority();
    let asked = |login: &str| {
        let url = forge.github.repository().replace("://", &format!("://{login}"));
        let authority = authority.to_str().expect("it is UTF-8");
        let certificates = format!("http.sslCAInfo={authority}");
        crate::support::git::try_git(
            forge.folder.path(),
            &["-c", &certificates, "-c", "core.askPass=true", "ls-remote", &url],
        )
    };
    let token = std::fs::read_to_string(forge.github.token_file()).expect("it is there");
    let listed = asked(&format!("x-access-token:{token}@")).expect("it is let in");
    assert!(listed.contains(&format!("{head}\trefs/pull/{number}/head")), "{listed}");
    assert!(!listed.contains("refs/heads/ahoy"), "a fork's branch is none of this repository: {listed}");
    asked("").expect_err("nobody is let in without a token");
}
