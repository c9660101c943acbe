//! Every payload that GitHub gives as an example, delivered as GitHub delivers it.

use std::{fs, path::Path};

use axum::{body::Body, extract::Request};
use evenkeel::{
    engine::events::Events,
    github::event::{CheckEvent, Event},
    server::webhook::{Secrets, Webhook},
};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::{npm, support::needs::lacks};

const SECRET: &str = "It's a Secret to Everybody";

/// Fewer would mean that the examples are no longer found.
const AT_LEAST: usize = 300;

#[derive(Deserialize)]
struct Delivery {
    event: String,
    delivery: String,
    signature: String,
    body: String,
}

fn webhook(folder: &Path) -> (TowerToHyperService<axum::Router>, mpsc::Receiver<Event>) {
    let file = folder.join("secret");
    fs::write(&file, SECRET).expect("it can be written");
    let (poke, _) = mpsc::channel(1);
    let (taker, events) = mpsc::channel(1);
    let secrets = Secrets::open(vec![file]).expect("it holds a secret");
    (TowerToHyperService::new(Webhook::new(secrets, poke, Some(taker), Events::new(|_| {})).router()), events)
}

#[tokio::test]
async fn every_example_is_answered_and_what_is_used_is_handed_on_as_it_was_told() {
    if lacks(&["node", "npm"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let (router, mut events) = webhook(folder.path());
    let lines = String::from_utf8(npm::node("sign.mjs", &[SECRET])).expect("it is UTF-8");
    let mut used = 0;
    for line in lines.lines() {
        let Delivery { event, delivery, signature, body } = serde_json::from_str(line).expect("it is a delivery");
        let payload: Value = serde_json::from_str(&body).expect("it is JSON");
        let request = Request::post("/webhook/github")
            .header("X-GitHub-Event", &event)
            .header("X-GitHub-Delivery", delivery)
            .header("X-Hub-Signature-256", signature)
            .body(Body::from(body))
            .expect("it is a request");
        let status = router.call(request).await.expect("a router always answers").status().as_u16();
        match events.try_recv() {
            Ok(told) => {
                assert_eq!(status, 202, "{event}");
                used += 1;
                compare(&event, told, &payload);
            }
            Err(_) => {
                assert_eq!(status, 200, "{event}");
                assert!(!USED.contains(&event.as_str()), "{event} is used");
            }
        }
    }
    let count = lines.lines().count();
    assert!(count >= AT_LEAST && used >= 60, "{count} examples, {used} of them used");
}

const USED: &[&str] =
    &["push", "pull_request", "issue_comment", "check_run", "check_suite", "installation", "installation_repositories"];

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// Field by field.
fn compare(name: &str, told: Event, payload: &Value) {
    let action = payload["action"].as_str().unwrap_or_default();
    match told {
        Event::Push(push) => {
            assert_eq!(name, "push");
            assert_eq!(payload["ref"], push.reference);
            assert_eq!(payload["before"], push.before);
            assert_eq!(payload["after"], push.after);
            assert_eq!(payload["deleted"], push.deleted);
        }
        Event::PullRequest(event) => {
            assert_eq!(name, "pull_request");
            let pull = &payload["pull_request"];
            assert_eq!(event.action, action);
            assert_eq!(pull["number"], event.number);
            assert_eq!(pull["title"], event.title);
            assert_eq!(pull["user"]["login"], event.author);
            assert_eq!(pull["draft"], event.draft);
            assert_eq!(pull["merged"].as_bool().unwrap_or(false), event.merged);
            assert_eq!(text(&pull["merge_commit_sha"]), event.merge_commit.as_ref().map(ToString::to_string));
            for (end, written) in [(&event.head, &pull["head"]), (&event.base, &pull["base"])] {
                assert_eq!(written["ref"], end.branch);
                assert_eq!(written["sha"], end.commit.as_str());
                assert_eq!(text(&written["repo"]["full_name"]), end.repository);
            }
            assert_eq!(payload["changes"]["base"].is_object(), event.base_changed);
        }
        Event::IssueComment(comment) => {
            assert_eq!(name, "issue_comment");
            assert_eq!(comment.action, action);
            assert_eq!(payload["issue"]["number"], comment.number);
            assert_eq!(payload["issue"]["pull_request"].is_object(), comment.on_pull_request);
            assert_eq!(payload["comment"]["id"], comment.id);
            assert_eq!(payload["comment"]["body"], comment.body);
            assert_eq!(payload["comment"]["user"]["login"], comment.author);
            assert_eq!(payload["comment"]["user"]["type"], comment.author_type);
        }
        Event::CheckRun(event) => {
            assert_eq!(name, "check_run");
            compare_check(&event, action, &payload["check_run"]);
        }
        Event::CheckSuite(event) => {
            assert_eq!(name, "check_suite");
            compare_check(&event, action, &payload["check_suite"]);
        }
        Event::Installation(event) => {
            assert!(name.starts_with("installation"), "{name}");
            assert_eq!(event.action, action);
            assert_eq!(payload["installation"]["id"], event.id);
            assert_eq!(text(&payload["installation"]["account"]["login"]), event.account);
        }
        Event::Ping | Event::Unused => panic!("{name} is not used"),
    }
}

fn compare_check(event: &CheckEvent, action: &str, written: &Value) {
    assert_eq!(event.action, action);
    assert_eq!(written["head_sha"], event.commit.as_str());
    assert_eq!(text(&written["name"]), event.name);
    assert_eq!(written["app"]["id"].as_u64(), event.app);
    assert_eq!(text(&written["external_id"]).filter(|id| !id.is_empty()), event.external_id);
    let pulls = written["pull_requests"].as_array().expect("it is a list").iter();
    assert_eq!(pulls.filter_map(|pull| pull["number"].as_u64()).collect::<Vec<_>>(), event.pulls);
}

#[test]
fn a_base_that_changed_and_a_fork_that_was_deleted_are_told() {
    let payload = serde_json::json!({
        "action": "edited",
        "changes": {"base": {"ref": {"from": "main"}, "sha": {"from": "0a"}}},
        "pull_request": {
            "number": 5, "title": "t", "user": null, "draft": true, "merged": false, "merge_commit_sha": null,
            "head": {"ref": "topic", "sha": "0b", "repo": null},
            "base": {"ref": "staging", "sha": "0c", "repo": {"full_name": "o/r"}},
        },
    });
    let event = Event::read("pull_request", payload.to_string().as_bytes()).expect("it is such an event");
    let Event::PullRequest(event) = event else { panic!("{event:?} is another event") };
    assert!(event.base_changed && event.draft);
    assert_eq!((event.author.as_str(), event.head.repository), ("ghost", None));
}
