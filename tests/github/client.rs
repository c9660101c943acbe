//! What is sent, and what is made of the answers: headers, tags, pages, redirects, checks, permissions.

use std::collections::BTreeMap;

use axum::body::Body;
use evenkeel::{
    github::{GitHub, GitHubError, Permission},
    model::{
        finding::{Code, Finding, Place},
        pull::{Check, CheckState, Conclusion, PullState},
    },
};
use futures_util::stream;
use serde_json::{Value, json};

use crate::{
    app,
    server::{Answer, QUICK, Server, answer, said},
};

fn pull(number: u64, state: &str) -> Value {
    json!({
        "number": number, "title": "t", "user": {"login": "ada"}, "state": state, "draft": false,
        "html_url": "https://h/o/r/pull/1", "merged_at": null, "merge_commit_sha": "0c",
        "head": {"ref": "topic", "sha": "0a", "repo": null},
        "base": {"ref": "main", "sha": "0b", "repo": {"full_name": "o/r"}},
    })
}

fn repository() -> Answer {
    answer(200, &json!({"full_name": "o/r", "default_branch": "main", "html_url": "https://h/o/r"}))
}

#[tokio::test]
async fn a_request_says_who_asks_and_in_which_version() {
    let server = Server::start(|_, _| repository()).await;
    server.github(QUICK).repository().await.expect("it is answered");
    let asked = &server.asked()[0];
    let header = |name: &str| asked.headers[name].to_str().expect("it is text").to_owned();
    assert_eq!(asked.line, "GET /repos/o/r");
    assert_eq!(header("accept"), "application/vnd.github+json");
    assert_eq!(header("x-github-api-version"), "2022-11-28");
    assert_eq!(header("user-agent"), format!("evenkeel/{}", env!("CARGO_PKG_VERSION")));
    assert_eq!(header("authorization"), "Bearer github_pat_t0ps3cret");
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_again() {
    let server = Server::start(|asked, _| match asked.headers.get("if-none-match") {
        Some(tag) if tag == "\"1\"" => answer(304, &Value::Null).body(Body::empty()),
        _ => answer(200, &json!([pull(1, "open")])).header("etag", "\"1\""),
    })
    .await;
    let github = server.github(QUICK);
    let pulls = github.open_pulls(None).await.expect("it is answered").expect("it is new");
    assert_eq!((pulls.now[0].number, pulls.now[0].from.as_deref()), (1, None));
    assert_eq!(github.open_pulls(pulls.etag.as_deref()).await.expect("it is answered"), None);
    assert!(github.open_pulls(Some("\"0\"")).await.expect("it is answered").is_some());
    let line = "GET /repos/o/r/pulls?state=open&sort=updated&direction=desc&per_page=100";
    assert_eq!(server.lines(), [line; 3]);
}

/// Pages of one pull request each, up to a number. `elsewhere` is where the next one is said to be.
async fn pages(last: usize, elsewhere: Option<&'static str>) -> Server {
    Server::start(move |asked, count| {
        let host = asked.headers["host"].to_str().expect("it is text");
        let next = elsewhere.map_or(format!("http://{host}"), str::to_owned);
        let page = answer(200, &json!([pull(count as u64 + 1, "open")]));
        let link =
            format!("<http://h/1>; rel=\"prev\", <{next}/repositories/1/pulls?page={}>; rel=\"next\"", count + 2);
        if count + 1 < last { page.header("link", link) } else { page.header("link", "<http://h/1>; rel=\"first\"") }
    })
    .await
}

#[tokio::test]
async fn a_list_is_read_to_its_last_page() {
    let server = pages(3, None).await;
    let pulls = server.github(QUICK).pulls_of_commit(&"0a".into()).await.expect("they are answered");
    assert_eq!(pulls.iter().map(|pull| pull.number).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(server.lines()[1..], ["GET /repositories/1/pulls?page=2", "GET /repositories/1/pulls?page=3"]);
}

#[tokio::test]
async fn a_list_without_end_is_given_up() {
    let error = pages(1000, None).await.github(QUICK).pulls_of_commit(&"0a".into()).await.expect_err("it does not end");
    assert!(error.to_string().ends_with("there are more than 100 pages"), "{error}");
}

#[tokio::test]
async fn no_token_follows_a_page_or_a_redirect_to_another_host() {
    let server = pages(3, Some("https://elsewhere.example")).await;
    let error = server.github(QUICK).pulls_of_commit(&"0a".into()).await.expect_err("it is another host");
    assert!(error.to_string().contains("sends us on to https://elsewhere.example/repositories/1/pulls, "), "{error}");
    let other = Server::start(|_, _| repository()).await;
    let to = format!("{}/repos/o/r?token=s3cret", other.url.replace("http://", "http://me:s3cret@"));
    let server = Server::start(move |_, _| answer(302, &Value::Null).header("location", &to)).await;
    let error = server.github(QUICK).repository().await.expect_err("it is another port");
    assert!(!format!("{error:?} {}", said(&error)).contains("s3cret"), "{error:?}");
    assert_eq!(other.lines().len(), 0);
}

#[tokio::test]
async fn a_repository_that_was_renamed_is_followed_with_the_same_request() {
    let server = Server::start(|asked, _| match asked.line.as_str() {
        "POST /repos/o/r/pulls" => answer(307, &Value::Null).header("location", "/repositories/1/pulls"),
        "POST /repositories/1/pulls" => answer(201, &pull(1, "open")),
        _ => answer(301, &Value::Null).header("location", "/around"),
    })
    .await;
    let github = server.github(QUICK);
    let new = evenkeel::github::NewPull { title: "t".into(), body: "b".into(), head: "x".into(), base: "main".into() };
    assert_eq!(github.create_pull(&new).await.expect("it is followed").number, 1);
    assert_eq!(server.asked()[0].body, server.asked()[1].body);
    assert!(matches!(github.repository().await, Err(GitHubError::Elsewhere { .. })), "it does not go on for ever");
}

#[tokio::test]
async fn an_answer_is_bounded() {
    let server = Server::start(|_, _| {
        let chunk = || Ok::<_, std::io::Error>(vec![b' '; 1 << 20]);
        answer(200, &Value::Null).body(Body::from_stream(stream::iter((0..26).map(move |_| chunk()))))
    })
    .await;
    let error = server.github(QUICK).repository().await.expect_err("it is larger than anything of GitHub's");
    assert_eq!(error.to_string(), "GET /repos/o/r: the answer is larger than 26214400 bytes");
}

#[tokio::test]
async fn a_name_from_outside_cannot_lead_to_another_path() {
    let server = Server::start(|_, _| answer(404, &json!({"message": "Not Found"}))).await;
    let github = server.github(QUICK);
    github.permission("a/../../b?c#d%2f").await.expect("nobody is called so");
    assert_eq!(server.lines(), ["GET /repos/o/r/collaborators/a%2F..%2F..%2Fb%3Fc%23d%252f/permission"]);
    for bad in ["", ".", ".."] {
        assert!(matches!(github.permission(bad).await, Err(GitHubError::Segment { .. })));
    }
    assert_eq!(server.lines().len(), 1);
}

#[tokio::test]
async fn a_pull_request_is_open_closed_or_merged() {
    let mut merged = pull(3, "closed");
    merged["merged_at"] = "2026-01-01T00:00:00Z".into();
    let all = json!([pull(1, "open"), pull(2, "closed"), merged]);
    let server = Server::start(move |_, _| answer(200, &all)).await;
    let pulls = server.github(QUICK).pulls_of_commit(&"0c".into()).await.expect("they are answered");
    let states: Vec<PullState> = pulls.into_iter().map(|pull| pull.state).collect();
    assert_eq!(states, [PullState::Open, PullState::Closed, PullState::Merged { commit: "0c".into() }]);
}

#[tokio::test]
async fn a_comment_says_what_it_stands_below() {
    let comment = |kind: &str, user: Value| {
        json!({
            "id": 1, "user": user, "body": null, "created_at": "2026-01-01T00:00:00Z",
            "updated_at": "2026-01-02T00:00:00Z", "issue_url": "https://api.h/repos/o/r/issues/5",
            "html_url": format!("https://h/o/r/{kind}/5#issuecomment-1"),
        })
    };
    let all = json!([comment("pull", json!({"login": "ada"})), comment("issues", Value::Null)]);
    let server = Server::start(move |_, _| answer(200, &all)).await;
    let since = "2026-01-01T12:00:00.5Z".parse().expect("it is a time");
    let comments = server.github(QUICK).comments_since(since, None).await.expect("they are answered");
    let comments = comments.expect("nobody had them").now;
    let told: Vec<_> =
        comments.iter().map(|comment| (comment.number, comment.on_pull_request, comment.author.as_str())).collect();
    assert_eq!(told, [(5, true, "ada"), (5, false, "ghost")]);
    assert!(comments[0].updated_at > comments[0].created_at);
    let line = "GET /repos/o/r/issues/comments?sort=updated&direction=asc&since=2026-01-01T12%3A00%3A00Z&per_page=100";
    assert_eq!(server.lines(), [line]);
}

#[tokio::test]
async fn a_permission_is_told_by_the_role_or_else_by_what_it_comes_to() {
    for (permission, role, expected) in [
        ("write", "maintain", Permission::Maintain),
        ("read", "triage", Permission::Triage),
        ("write", "our own role", Permission::Write),
        ("none", "", Permission::None),
        ("something new", "something new", Permission::None),
    ] {
        let answered = json!({"permission": permission, "role_name": role});
        let server = Server::start(move |_, _| answer(200, &answered)).await;
        assert_eq!(server.github(QUICK).permission("ada").await.expect("it is answered"), expected);
    }
    assert!(Permission::Triage < Permission::Write && Permission::Write < Permission::Admin);
}

fn check(state: CheckState, findings: usize) -> Check {
    let place = |line| Place {
        file: "fleet/a.yaml".into(),
        line,
        column: 3,
        end_column: 9,
        text: String::new(),
        ..Place::default()
    };
    Check {
        name: "evenkeel/plan".to_owned(),
        commit: "0a".into(),
        state,
        title: "t".repeat(200),
        summary: "s".to_owned(),
        text: None,
        findings: (1..=findings).map(|line| Finding::error(Code::PortTaken, "m").at(place(line as u32))).collect(),
    }
}

async fn as_app(server: &Server) -> GitHub {
    server.sign_in(app::sign_in(&server.path("")), QUICK)
}

/// An App's GitHub, where `runs` are found at every commit.
async fn with_runs(runs: Value) -> Server {
    Server::start(move |asked, _| {
        if asked.line.ends_with("/installation") {
            answer(200, &json!({"id": 7, "permissions": {}}))
        } else if asked.line.ends_with("/access_tokens") {
            answer(201, &json!({"token": "ghs_1", "expires_at": "2100-01-01T00:00:00Z"}))
        } else if asked.line.starts_with("GET") {
            answer(200, &json!({"check_runs": runs, "statuses": []}))
        } else {
            answer(201, &json!({"id": 9, "name": "evenkeel/plan", "status": "queued", "conclusion": null}))
        }
    })
    .await
}

fn writes(server: &Server) -> Vec<(String, Value)> {
    let is_write = |line: &str| !line.starts_with("GET") && !line.ends_with("/access_tokens");
    server.asked().into_iter().filter(|asked| is_write(&asked.line)).map(|asked| (asked.line, asked.body)).collect()
}

#[tokio::test]
async fn an_app_begins_a_check_run_and_ends_it_with_all_annotations_in_batches() {
    let server = with_runs(json!([])).await;
    let github = as_app(&server).await;
    github.put_check(&check(CheckState::InProgress, 120)).await.expect("it is taken");
    github.put_check(&check(CheckState::Done(Conclusion::Failure), 120)).await.expect("it is taken");
    let writes = writes(&server);
    let lines: Vec<&str> = writes.iter().map(|(line, _)| line.as_str()).collect();
    let update = "PATCH /repos/o/r/check-runs/9";
    assert_eq!(lines, ["POST /repos/o/r/check-runs", update, update, update]);
    let annotations = writes.iter().map(|(_, body)| body["output"]["annotations"].as_array().map_or(0, Vec::len));
    assert_eq!(annotations.collect::<Vec<_>>(), [0, 50, 50, 20], "they add up, so they are sent at the end");
    assert_eq!((&writes[0].1["status"], &writes[0].1["head_sha"]), (&json!("in_progress"), &json!("0a")));
    assert_eq!((&writes[1].1["status"], &writes[1].1["conclusion"]), (&json!("completed"), &json!("failure")));
    let annotation = json!({
        "path": "fleet/a.yaml", "start_line": 1, "end_line": 1, "start_column": 3, "end_column": 8,
        "annotation_level": "failure", "title": "port-taken", "message": "m",
    });
    assert_eq!(writes[1].1["output"]["annotations"][0], annotation);
}

#[tokio::test]
async fn a_check_run_that_was_begun_before_a_restart_is_ended_and_an_ended_one_left_alone() {
    let run = |id, status| json!({"id": id, "name": "evenkeel/plan", "status": status, "conclusion": null});
    let server = with_runs(json!([run(3, "completed"), run(4, "in_progress")])).await;
    as_app(&server).await.put_check(&check(CheckState::Done(Conclusion::Success), 0)).await.expect("it is taken");
    assert_eq!(writes(&server)[0].0, "PATCH /repos/o/r/check-runs/4");
    let server = with_runs(json!([run(3, "completed")])).await;
    let github = as_app(&server).await;
    for _ in 0..2 {
        github.put_check(&check(CheckState::Done(Conclusion::Success), 0)).await.expect("it is taken");
    }
    let lines: Vec<String> = writes(&server).into_iter().map(|(line, _)| line).collect();
    assert_eq!(lines, ["POST /repos/o/r/check-runs"; 2]);
}

#[tokio::test]
async fn a_token_says_the_same_as_a_commit_status_and_never_as_a_check_run() {
    let server = Server::start(|_, _| answer(201, &Value::Null)).await;
    let github = server.github(QUICK);
    for (state, expected) in [
        (CheckState::Queued, "pending"),
        (CheckState::InProgress, "pending"),
        (CheckState::Done(Conclusion::Success), "success"),
        (CheckState::Done(Conclusion::Neutral), "success"),
        (CheckState::Done(Conclusion::ActionRequired), "pending"),
        (CheckState::Done(Conclusion::Failure), "failure"),
        (CheckState::Done(Conclusion::Cancelled), "error"),
    ] {
        github.put_check(&check(state, 3)).await.expect("it is taken");
        let asked = server.asked().pop().expect("it was asked");
        assert_eq!(asked.line, "POST /repos/o/r/statuses/0a");
        assert_eq!((&asked.body["context"], &asked.body["state"]), (&json!("evenkeel/plan"), &json!(expected)));
        assert_eq!(asked.body["description"].as_str().map(|text| text.chars().count()), Some(140));
    }
}

#[tokio::test]
async fn checks_and_statuses_count_alike_the_worst_of_a_name_counts_and_what_has_not_ended_is_missing() {
    let run = |name, status, conclusion: Option<&str>| json!({"id": 1, "name": name, "status": status, "conclusion": conclusion});
    let status = |context, state| json!({"context": context, "state": state});
    let runs = json!([
        run("build", "completed", Some("success")),
        run("skipped", "completed", Some("skipped")),
        run("late", "completed", Some("timed_out")),
        run("running", "in_progress", None),
        run("both", "completed", Some("success")),
        run("half", "completed", Some("success")),
    ]);
    let statuses = json!([
        status("lint", "success"),
        status("broken", "error"),
        status("waiting", "pending"),
        status("both", "failure"),
        status("half", "pending"),
    ]);
    let server = Server::start(move |_, _| answer(200, &json!({"check_runs": runs, "statuses": statuses}))).await;
    let expected = [
        ("both", Conclusion::Failure),
        ("broken", Conclusion::Failure),
        ("build", Conclusion::Success),
        ("late", Conclusion::Failure),
        ("lint", Conclusion::Success),
        ("skipped", Conclusion::Neutral),
    ];
    let expected: BTreeMap<String, Conclusion> =
        expected.into_iter().map(|(name, conclusion)| (name.to_owned(), conclusion)).collect();
    assert_eq!(server.github(QUICK).conclusions(&"0a".into()).await.expect("it is answered"), expected);
}
