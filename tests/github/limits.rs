//! GitHub's limits, retries, and the time between writes.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use evenkeel::{
    github::{GitHubError, Pace, Reaction, SignIn},
    model::pull::{Check, CheckState},
};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::server::{Answer, QUICK, Server, answer, said};

fn repository() -> Answer {
    answer(200, &json!({"full_name": "o/r", "default_branch": "main", "html_url": "https://h/o/r"}))
}

fn comment() -> Answer {
    let time = "2026-01-01T00:00:00Z";
    answer(
        201,
        &json!({"id": 1, "user": null, "body": "a", "created_at": time, "updated_at": time, "html_url": "https://h",
                "issue_url": "https://h/repos/o/r/issues/5"}),
    )
}

fn fails(status: u16) -> Answer {
    answer(status, &json!({"message": "Server Error"}))
}

/// The one answer, and then the other one.
async fn first(one: fn() -> Answer, then: fn() -> Answer) -> Server {
    Server::with(vec![Box::new(one), Box::new(then)]).await
}

fn check() -> Check {
    Check {
        name: "evenkeel/plan".to_owned(),
        commit: "0a".into(),
        state: CheckState::InProgress,
        title: "planning".to_owned(),
        summary: String::new(),
        text: None,
        findings: Vec::new(),
    }
}

#[tokio::test]
async fn a_limit_that_ends_soon_is_waited_for_by_reads_and_writes() {
    for status in [403, 429] {
        let server = Server::start(move |_, count| match count {
            0 => answer(status, &json!({"message": "slow down"})).header("retry-after", 1),
            1 => repository(),
            2 => answer(status, &json!({"message": "slow down"})).header("retry-after", 1),
            _ => comment(),
        })
        .await;
        let github = server.github(QUICK);
        github.repository().await.expect("it is asked again");
        github.create_comment(5, "a").await.expect("what was refused for a limit was not carried out");
        let times: Vec<Instant> = server.asked().iter().map(|asked| asked.at).collect();
        assert_eq!(times.len(), 4);
        assert!(times[1] - times[0] >= Duration::from_secs(1) && times[3] - times[2] >= Duration::from_secs(1));
    }
}

#[tokio::test]
async fn a_limit_that_ends_late_is_told_at_once_and_holds_for_every_request() {
    let server = first(
        || {
            answer(403, &json!({"message": "API rate limit exceeded"}))
                .header("x-ratelimit-remaining", 0)
                .header("x-ratelimit-reset", 1_800_003_600)
                .header("date", "Fri, 15 Jan 2027 08:00:00 GMT")
        },
        repository,
    )
    .await;
    let github = server.github(QUICK);
    let begun = Instant::now();
    for _ in 0..2 {
        let error = github.repository().await.expect_err("GitHub's limit is used up");
        let until = error.to_string();
        assert!(until.starts_with("GET /repos/o/r: GitHub's limit is used up until 2027-01-15T09:00:0"), "{until}");
        assert!(error.may_pass());
    }
    assert!(matches!(github.create_comment(5, "a").await, Err(GitHubError::Limited { .. })));
    assert!(begun.elapsed() < Duration::from_secs(30), "nobody is kept waiting");
    assert_eq!(server.lines(), ["GET /repos/o/r"], "nothing is sent in the meantime");
}

#[tokio::test]
async fn the_last_request_that_a_limit_allows_is_answered_and_the_next_one_waits() {
    let server = Server::start(|_, _| {
        repository().header("x-ratelimit-remaining", 0).header("x-ratelimit-reset", 1_800_003_600)
    })
    .await;
    let github = server.github(QUICK);
    github.repository().await.expect("it is the last one");
    assert!(matches!(github.repository().await, Err(GitHubError::Limited { .. })));
    assert_eq!(server.lines().len(), 1);
}

#[tokio::test]
async fn a_limit_that_never_ends_is_told_in_the_end() {
    let server = Server::start(|_, _| answer(429, &json!({})).header("retry-after", 0)).await;
    let error = server.github(QUICK).repository().await.expect_err("it is refused each time");
    assert!(matches!(error, GitHubError::Limited { .. }), "{}", said(&error));
    assert_eq!(server.lines().len(), 3);
}

#[tokio::test]
async fn what_reads_or_overwrites_is_sent_again_when_github_fails() {
    for status in [500, 502, 503, 504] {
        let server = Server::start(move |_, count| if count < 3 { fails(status) } else { repository() }).await;
        server.github(QUICK).repository().await.expect("the fourth time");
        let server = Server::start(move |_, count| if count < 1 { fails(status) } else { comment() }).await;
        server.github(QUICK).update_comment(1, "b").await.expect("the second time");
    }
    let server = Server::start(|_, _| fails(502)).await;
    let error = server.github(QUICK).repository().await.expect_err("it fails each time");
    assert!(error.may_pass());
    assert_eq!(server.lines().len(), 4, "three times more, and then it is told");
}

#[tokio::test]
async fn what_would_be_done_twice_is_sent_once() {
    for status in [500, 502, 503, 504] {
        let server = Server::start(move |_, count| if count < 1 { fails(status) } else { comment() }).await;
        server.github(QUICK).create_comment(5, "a").await.expect_err("it may have been made");
        assert_eq!(server.lines().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn what_does_no_harm_twice_is_sent_again_when_a_gateway_fails() {
    let server = first(|| fails(502), || answer(200, &Value::Null)).await;
    server.github(QUICK).react(1, Reaction::Eyes).await.expect("the second time");
    let server = first(|| fails(503), || answer(201, &Value::Null)).await;
    server.github(QUICK).put_check(&check()).await.expect("the second time");
    let server = first(|| fails(500), || answer(201, &Value::Null)).await;
    server.github(QUICK).put_check(&check()).await.expect_err("GitHub itself has failed at it");
    assert_eq!(server.lines().len(), 1);
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_asked_for_again_where_that_does_no_harm() {
    let pace = Pace { timeout: Duration::from_millis(200), ..QUICK };
    let never = || comment().after(Duration::from_secs(600));
    let server = first(never, repository).await;
    server.github(pace).repository().await.expect("the second time");
    let server = first(never, comment).await;
    let error = server.github(pace).create_comment(5, "a").await.expect_err("it may have been made");
    assert!(matches!(error, GitHubError::Http { .. }) && error.may_pass(), "{}", said(&error));
    assert_eq!(server.lines().len(), 1);
}

#[tokio::test]
async fn what_certainly_did_not_arrive_is_sent_again_whatever_it_is() {
    let closed = TcpListener::bind("127.0.0.1:0").expect("loopback has a port");
    let mut server = Server::start(|_, _| comment()).await;
    server.url = format!("http://{}", closed.local_addr().expect("it is bound"));
    drop(closed);
    let pace = Pace { first_retry: Duration::from_millis(50), ..QUICK };
    let begun = Instant::now();
    let error = server.github(pace).create_comment(5, "a").await.expect_err("nobody listens");
    assert!(begun.elapsed() >= Duration::from_millis(50 + 200 + 800), "it was tried four times");
    assert!(said(&error).starts_with("POST /repos/o/r/issues/5/comments got no answer: "), "{}", said(&error));
    assert!(!said(&error).contains("127.0.0.1:0"));
}

#[tokio::test]
async fn writes_go_one_after_the_other_with_time_between_them_and_reads_do_not_wait() {
    const BETWEEN: Duration = Duration::from_millis(300);
    let server = Server::start(|asked, _| {
        if asked.line.starts_with("POST") { comment().after(Duration::from_millis(50)) } else { repository() }
    })
    .await;
    let github = server.github(Pace { between_writes: BETWEEN, ..QUICK });
    let begun = Instant::now();
    let writes = join_all((0..3).map(|_| github.create_comment(5, "a")));
    let reads = async {
        for _ in 0..3 {
            github.repository().await.expect("it is answered");
        }
        begun.elapsed()
    };
    let (writes, reads) = tokio::join!(writes, reads);
    assert!(writes.iter().all(Result::is_ok));
    let times: Vec<Instant> =
        server.asked().iter().filter(|asked| asked.line.starts_with("POST")).map(|asked| asked.at).collect();
    // The server sees them a little later than they are sent, and not each as much.
    let least = BETWEEN - Duration::from_millis(50);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= least), "{times:?}");
    assert!(reads < 2 * BETWEEN, "reads took {reads:?}");
}

#[tokio::test]
async fn a_token_is_read_anew_for_each_request() {
    let server = Server::start(|_, _| repository()).await;
    let github = server.sign_in(SignIn::Token { file: server.path("token") }, QUICK);
    github.repository().await.expect("it is let in");
    std::fs::write(server.path("token"), "another\r\n").expect("it can be written");
    github.repository().await.expect("it is let in");
    let tokens: Vec<_> = server.asked().iter().map(|asked| asked.headers["authorization"].clone()).collect();
    assert_eq!(tokens, ["Bearer github_pat_t0ps3cret", "Bearer another"]);
}
