//! The fake GitHub that stories are told on, held against GitHub's own description: what it answers, what it refuses,
//! and what it delivers. So it cannot share a misunderstanding with the client.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Duration,
};

use chrono::Utc;
use evenkeel::{
    github::{DeploymentState, GitHub, NewDeployment, NewDeploymentStatus, NewPull, Reaction},
    model::{
        finding::{Code, Finding, Place},
        pull::{Check, CheckState, Conclusion},
    },
};
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::{
    description::{self, OPERATIONS, operation},
    npm,
    server::{Server, answer},
    support::{
        git::git,
        github::{REPOSITORY, Request, Trouble, Who},
        hosted::Hosted,
        needs::lacks,
    },
};

/// What the client reads of answers: where GitHub always says it, the fake has to.
const READ: &str = "number title user login head base ref sha repo full_name draft state merged_at merge_commit_sha \
    html_url id body created_at updated_at issue_url check_runs statuses name status conclusion context environment \
    payload permission role_name slug default_branch permissions events suspended_at token expires_at message \
    state type ruleset_id enforcement source";

/// A commit that nobody has.
const NOWHERE: &str = "0123456789abcdef0123456789abcdef01234567";

/// A GitHub with two pull requests; alice's is the first.
fn hosted() -> Hosted {
    let hosted = Hosted::new();
    for branch in ["ahoy", "revert", "later"] {
        hosted.branch(branch);
    }
    let github = &hosted.github;
    github.lets("alice", "maintain");
    github.opens("Say ahoy", "alice", "ahoy", false);
    github.opens("From elsewhere", "mallory", "ahoy", true);
    git(&hosted.clone(), &["push", "--quiet", "../config.git", "revert", "later"]);
    hosted
}

fn check(commit: &str, state: CheckState) -> Check {
    let place = Place {
        file: "fleet/a.yaml".to_owned(),
        line: 2,
        column: 3,
        end_column: 9,
        text: String::new(),
        ..Place::default()
    };
    Check {
        name: "evenkeel/plan".to_owned(),
        commit: commit.into(),
        state,
        title: "3 instances change".to_owned(),
        summary: "**3** instances".to_owned(),
        text: Some("all of it".to_owned()),
        findings: vec![Finding::error(Code::PortTaken, "b has that port").at(place)],
    }
}

/// Asks for everything that there is, and for some of it in vain.
async fn everything(hosted: &Hosted) {
    let (app, token) = (hosted.app(), hosted.token());
    let head = hosted.github.head(1);
    for client in [&app, &token] {
        client.who_am_i().await.expect("it is told");
        client.repository().await.expect("it is told");
        client.installation().await.expect("it is told");
        for state in [CheckState::InProgress, CheckState::Done(Conclusion::Failure)] {
            client.put_check(&check(&head, state)).await.expect("it is taken");
        }
        client.put_check(&check(NOWHERE, CheckState::Queued)).await.expect_err("there is no such commit");
        client.conclusions(&head.as_str().into()).await.expect("they are told");
    }
    app.put_check(&check(&head, CheckState::Queued)).await.expect("it is taken");
    app.check_runs(&head.as_str().into()).await.expect("they are told");
    pulls(&app, &head).await;
    comments(&app).await;
    deployments(&app, &head).await;
    hosted.github.is_in_team("alice", "acme/ops", "active");
    let team = "acme/ops".parse().expect("it is a team");
    for login in ["alice", "mallory"] {
        app.permission(login).await.expect("it is told");
        assert_eq!(app.is_in_team(&team, login).await.expect("it is told"), login == "alice");
    }
    for tells in [false, true] {
        hosted.github.tells_who_bypasses(tells);
        let rules = app.rules_of_branch("evenkeel/history/production").await.expect("they are told");
        let ruleset = app.ruleset(rules[0].ruleset_id.expect("it is told")).await.expect("it is told");
        assert_eq!(ruleset.bypass_actors.is_some(), tells);
    }
    app.ruleset(1).await.expect_err("there is none");
    for trouble in
        [Trouble::Limited(403, 1), Trouble::Limited(429, 1), Trouble::UsedUp(403, 1), Trouble::UsedUp(429, 1)]
    {
        hosted.github.answers_next(1, trouble);
        token.repository().await.expect("it waits");
    }
}

async fn pulls(client: &GitHub, head: &str) {
    let known = client.open_pulls(None).await.expect("they are told").expect("they are new");
    assert_eq!(client.open_pulls(known.etag.as_deref()).await.expect("they are told"), None);
    client.pull(1).await.expect("it is told");
    client.pull(99).await.expect_err("there is none");
    client.pulls_of_commit(&head.into()).await.expect("they are told");
    let new = NewPull {
        title: "Revert it".to_owned(),
        body: "It failed.".to_owned(),
        head: "revert".to_owned(),
        base: "main".to_owned(),
    };
    client.create_pull(&new).await.expect("it is made");
    client.create_pull(&new).await.expect_err("there is one");
}

async fn comments(client: &GitHub) {
    let made = client.create_comment(1, "one").await.expect("it is made");
    client.update_comment(made.id, "two").await.expect("it is changed");
    client.create_comment(1, &"a".repeat(65_537)).await.expect_err("it is too long");
    client.comment(made.id).await.expect("it is told");
    client.comment(1).await.expect_err("there is none");
    client.comments(1).await.expect("they are told");
    client.comments_since(Utc::now() - Duration::from_secs(60), None).await.expect("they are told");
    for reaction in [Reaction::Eyes, Reaction::Eyes, Reaction::ThumbsUp, Reaction::Confused] {
        client.react(made.id, reaction).await.expect("it is taken");
    }
    client.reacted(made.id, Reaction::Eyes).await.expect("it is told");
    client.reacted(1, Reaction::Eyes).await.expect_err("there is no such comment");
}

async fn deployments(client: &GitHub, head: &str) {
    let new = NewDeployment {
        commit: head.into(),
        environment: "test".to_owned(),
        description: "a deployment".to_owned(),
        payload: json!({"generation": 7}),
    };
    for _ in 0..2 {
        let made = client.create_deployment(&new).await.expect("it is made");
        for state in [DeploymentState::InProgress, DeploymentState::Success] {
            let log_url = Some("https://example.com/1".to_owned());
            let status = NewDeploymentStatus { state, log_url, description: "so".to_owned(), auto_inactive: true };
            client.set_deployment_status(made.id, &status).await.expect("it is set");
        }
        client.deployment_statuses(made.id).await.expect("they are told");
    }
    client.deployments("test", Some(head)).await.expect("they are told");
    client.create_deployment(&NewDeployment { commit: NOWHERE.into(), ..new }).await.expect_err("it is nowhere");
}

/// What GitHub answers like this: as it describes it for the operation, or else as it refuses everywhere.
fn expected(operation: &str, status: u16) -> Option<Validator> {
    let read: Vec<&str> = READ.split_whitespace().collect();
    description::answer(operation, status, &read).or_else(|| match status {
        422 => description::component("validation-error", &read),
        400 | 401 | 403 | 404 | 409 | 429 => description::component("basic-error", &read),
        _ => None,
    })
}

fn wrongs(validator: &Validator, value: &Value) -> Vec<String> {
    validator.iter_errors(value).map(|wrong| format!("{}: {wrong}", wrong.instance_path())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_answers_is_what_github_describes() {
    if lacks(&["node", "npm"]) {
        return;
    }
    let hosted = hosted();
    everything(&hosted).await;
    let mut asked = BTreeSet::new();
    let mut judges: BTreeMap<(&str, u16), Validator> = BTreeMap::new();
    let mut wrong = BTreeSet::new();
    for Request { method, path, status, answer, .. } in hosted.github.requests() {
        let operation = operation(&method, &path).unwrap_or_else(|| panic!("GitHub knows no {method} {path}"));
        if status < 300 {
            asked.insert(operation);
        }
        if status == 304 {
            continue;
        }
        let judge = judges.entry((operation, status)).or_insert_with(|| {
            expected(operation, status).unwrap_or_else(|| panic!("GitHub does not answer {operation} with {status}"))
        });
        wrong.extend(wrongs(judge, &answer).into_iter().map(|wrong| format!("{operation} {status}{wrong}")));
    }
    assert!(wrong.is_empty(), "{}", Vec::from_iter(wrong).join("\n"));
    for operation in OPERATIONS {
        assert!(asked.contains(operation), "{operation} was not asked");
    }
}

#[test]
fn the_ruleset_to_register_is_one_that_github_takes() {
    let judge = description::body("POST /repos/{owner}/{repo}/rulesets").expect("it is described");
    let found = wrongs(&judge, &evenkeel::github::rules::ruleset(Some(7)));
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Every value that differs from a given one in one place, with that place: something is missing there, or is
/// something else.
fn spoiled(value: &Value) -> Vec<(String, Value)> {
    let others = || {
        [
            json!(null),
            json!(true),
            json!(-1),
            json!(1.5),
            json!("nonsense"),
            json!("x".repeat(70_000)),
            json!([]),
            json!({}),
        ]
    };
    let mut all: Vec<(String, Value)> = others().into_iter().map(|other| (String::new(), other)).collect();
    let mut within = |name: &str, inner: &Value, put: &dyn Fn(Value) -> Value| {
        all.extend(spoiled(inner).into_iter().map(|(place, spoiled)| (format!("/{name}{place}"), put(spoiled))));
    };
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                within(name, inner, &|spoiled| {
                    let mut fields = fields.clone();
                    fields.insert(name.clone(), spoiled);
                    fields.into()
                });
            }
            for name in fields.keys() {
                let mut fields = fields.clone();
                fields.remove(name);
                all.push((format!("/{name} is gone"), fields.into()));
            }
        }
        Value::Array(items) => {
            for (number, inner) in items.iter().enumerate().take(1) {
                within(&number.to_string(), inner, &|spoiled| {
                    let mut items = items.clone();
                    items[number] = spoiled;
                    items.into()
                });
            }
        }
        _ => {}
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn what_github_does_not_allow_it_refuses() {
    if lacks(&["node", "npm"]) {
        return;
    }
    let hosted = hosted();
    everything(&hosted).await;
    // Else it would be refused for being there.
    let revert = hosted.github.opened_by_evenkeel()[0]["number"].as_u64().expect("it has a number");
    hosted.github.closes(revert);
    let (mut tried, mut taken) = (0, BTreeSet::new());
    let mut seen = BTreeSet::new();
    for Request { method, path, query, body, who, status, .. } in hosted.github.requests() {
        let operation = operation(&method, &path).expect("it is one");
        if status >= 300 || !seen.insert((operation, body.to_string())) {
            continue;
        }
        if let Some(judge) = description::body(operation).filter(|_| !body.is_null()) {
            assert!(judge.is_valid(&body), "{operation} is sent {body}");
            for (place, spoiled) in spoiled(&body).into_iter().filter(|(_, spoiled)| !judge.is_valid(spoiled)) {
                tried += 1;
                if hosted.github.does(who, &method, &path, &query, spoiled) < 400 {
                    taken.insert(format!("{operation}: {place}"));
                }
            }
        }
        for (name, schema) in description::queries(operation) {
            if schema["type"] == "integer" || schema["enum"].is_array() || schema["format"] == "date-time" {
                tried += 1;
                if hosted.github.does(who, &method, &path, &format!("{name}=nonsense"), Value::Null) < 400 {
                    taken.insert(format!("{operation}?{name}"));
                }
            }
        }
        if hosted.github.does(who, &method, &path, "sotr=updated", body.clone()) < 400 {
            taken.insert(format!("{operation}: a query that is misspelt"));
        }
        let right = hosted.github.does(who, &method, &path, &query, body);
        assert!(right < 300, "{operation} is refused for something else: {right}");
    }
    assert!(taken.is_empty(), "{}", Vec::from_iter(taken).join("\n"));
    assert!(tried > 300, "{tried} wrong requests are too few");
}

/// By the name of the event and its action: as the package `@octokit/webhooks-schemas` has them.
fn payloads(event: &str, action: Option<&str>) -> Validator {
    let file = npm::modules().join("node_modules/@octokit/webhooks-schemas/schema.json");
    let mut all: Value = serde_json::from_slice(&fs::read(file).expect("npm has installed it")).expect("it is JSON");
    let name = format!("{event}${}", action.unwrap_or("event"));
    assert!(all["definitions"][&name].is_object(), "GitHub delivers no {name}");
    let definitions = all["definitions"].take();
    let whole = json!({
        "$schema": "http://json-schema.org/draft-07/schema#", "definitions": definitions,
        "allOf": [{"$ref": format!("#/definitions/{name}")}],
    });
    jsonschema::options().should_validate_formats(true).build(&whole).expect("it is a schema")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_delivers_is_what_github_documents() {
    if lacks(&["node", "npm"]) {
        return;
    }
    let hosted = hosted();
    let taker = Server::start(|_, _| answer(202, &Value::Null)).await;
    let url = format!("{}/webhook/github", taker.url);
    tokio::task::spawn_blocking(move || everything_happens(hosted, &url)).await.expect("it goes well");
    let mut told = BTreeSet::new();
    let mut wrong = Vec::new();
    for asked in taker.asked() {
        let event = asked.headers["x-github-event"].to_str().expect("it is text");
        let action = asked.body["action"].as_str();
        let name = format!("{event} {}", action.unwrap_or_default());
        if event == "pull_request" || event == "issue_comment" {
            assert_eq!(asked.body["repository"]["full_name"], REPOSITORY);
        }
        wrong.extend(wrongs(&payloads(event, action), &asked.body).into_iter().map(|wrong| format!("{name}{wrong}")));
        told.insert(name);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let actions = [
        "check_run rerequested",
        "installation created",
        "installation deleted",
        "installation new_permissions_accepted",
        "installation suspend",
        "installation unsuspend",
        "installation_repositories added",
        "issue_comment created",
        "issue_comment edited",
        "ping ",
        "pull_request closed",
        "pull_request edited",
        "pull_request opened",
        "pull_request ready_for_review",
        "pull_request reopened",
        "pull_request synchronize",
        "push ",
    ];
    assert_eq!(Vec::from_iter(told.iter().map(String::as_str)), actions);
}

/// All that people can do on the fake.
fn everything_happens(hosted: Hosted, url: &str) {
    let github = &hosted.github;
    github.delivers_to(url);
    let draft = github.drafts("Later", "alice", "later");
    github.is_ready(draft);
    github.renames(draft, "Now");
    github.rebases(draft, "revert");
    github.loses_fork(2);
    let comment = github.comments(2, "alice", "/evenkeel plan");
    github.edits(2, comment, "well");
    github.closes(2);
    github.reopens(2);
    git(&hosted.clone(), &["checkout", "--quiet", "ahoy"]);
    crate::support::hosted::commit(&hosted.clone(), "more.yaml", "port: 2\n");
    github.pushes(1);
    let run = json!({"name": "evenkeel/plan", "head_sha": github.head(1), "conclusion": "success"});
    let path = format!("/repos/{REPOSITORY}/check-runs");
    assert_eq!(github.does(Who::Installation, "POST", &path, "", run), 201);
    github.asks_again("alice", 1, "evenkeel/plan");
    github.merges(1);
    github.suspends();
    github.unsuspends();
    github.allows_more();
    github.uninstalls();
    github.installs();
    github.is_installed_elsewhere();
    github.adds_a_repository();
}
