//! Deliveries of the webhook: payloads in the shape of GitHub's own, signed, each sent once.
//!
//! `payloads/` holds examples of real ones, from the package `@octokit/webhooks-examples` (MIT); what a test makes up
//! is laid over them, so all the rest that GitHub sends is there too. `tests/github/faked.rs` holds what comes of that
//! against the schemas of `@octokit/webhooks-schemas`.
//! <https://docs.github.com/en/webhooks/webhook-events-and-payloads>

use std::{fmt::Write as _, time::Duration};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{
    GitHub, NAME, OWNER, REPOSITORY, SECRET,
    forge::{now, user},
};

/// As long GitHub waits for an answer.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// The action of a push to a pull request.
const PUSHED: &str = "synchronize";
const NULL: &str = "0000000000000000000000000000000000000000";

/// Where deliveries go.
#[derive(Debug, Clone, Default)]
pub struct Webhook {
    pub url: String,
    /// Nothing arrives, and GitHub does not try again.
    pub drops: bool,
    pub delivered: Vec<Delivery>,
}

/// One that was sent.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub event: &'static str,
    /// What was answered; none where nothing was.
    pub status: Option<u16>,
}

fn example(event: &str) -> Value {
    let text = match event {
        "check_run" => include_str!("payloads/check_run.json"),
        "installation" => include_str!("payloads/installation.json"),
        "installation_repositories" => include_str!("payloads/installation_repositories.json"),
        "issue_comment" => include_str!("payloads/issue_comment.json"),
        "ping" => include_str!("payloads/ping.json"),
        "pull_request" => include_str!("payloads/pull_request.json"),
        "push" => include_str!("payloads/push.json"),
        _ => panic!("there is no example of {event}"),
    };
    serde_json::from_str(text).expect("an example is JSON")
}

/// Lays over an example what GitHub tells by now and did not when it was made.
fn renew(example: &mut Value) {
    let repository = json!({
        "visibility": "private", "topics": [], "is_template": false, "web_commit_signoff_required": false,
        "custom_properties": {},
    });
    let hook = json!({"deliveries_url": "https://github.test/deliveries"});
    for (name, newer) in [("repository", repository), ("hook", hook)] {
        if let Some(older) = example.get_mut(name) {
            laid_over(older, &newer);
        }
    }
}

/// `over` laid over `under`, key by key.
pub(super) fn laid_over(under: &mut Value, over: &Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            over.iter().for_each(|(key, value)| laid_over(under.entry(key).or_insert(Value::Null), value));
        }
        (under, over) => *under = over.clone(),
    }
}

fn signature(body: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key of any length is taken");
    let bytes = mac.chain_update(body).finalize().into_bytes();
    bytes.iter().fold("sha256=".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl GitHub {
    /// Sets the webhook up: from now on it is told what happens.
    pub fn delivers_to(&self, url: &str) {
        self.forge.state().webhook = Some(Webhook { url: url.to_owned(), ..Webhook::default() });
        self.delivers("ping", &json!({}), "octocat");
    }

    /// Nothing is delivered until this is said again.
    pub fn drops_deliveries(&self, drops: bool) {
        if let Some(webhook) = &mut self.forge.state().webhook {
            webhook.drops = drops;
        }
    }

    pub fn deliveries(&self) -> Vec<Delivery> {
        self.forge.state().webhook.clone().unwrap_or_default().delivered
    }

    /// Something happened to a pull request; `more` is what else stands in the payload.
    pub(super) fn delivers_pull(&self, action: &str, number: u64, sender: &str, more: &Value) {
        let pull = self.sees(&format!("pulls/{number}"));
        let mut payload = json!({"action": action, "number": number, "pull_request": pull});
        payload["pull_request"]["merged"] = (!pull["merged_at"].is_null()).into();
        laid_over(&mut payload, more);
        self.delivers("pull_request", &payload, sender);
    }

    pub(super) fn delivers_push(&self, branch: &str, before: Option<&str>, after: &str, sender: &str) {
        let payload = json!({
            "ref": format!("refs/heads/{branch}"), "before": before.unwrap_or(NULL), "after": after,
            "created": before.is_none(), "deleted": false, "forced": false,
        });
        self.delivers("push", &payload, sender);
    }

    pub(super) fn delivers_comment(&self, action: &str, number: u64, comment: &Value, more: &Value) {
        let pull = self.sees(&format!("pulls/{number}"));
        let mut payload = json!({
            "action": action, "comment": comment,
            "issue": {"number": number, "title": pull["title"], "state": pull["state"], "user": pull["user"],
                      "pull_request": {"url": pull["url"], "html_url": pull["html_url"]}},
        });
        laid_over(&mut payload, more);
        let sender = comment["user"]["login"].as_str().unwrap_or_default().to_owned();
        self.delivers("issue_comment", &payload, &sender);
    }

    /// Somebody wants a check run to be made again.
    pub fn asks_again(&self, login: &str, number: u64, check: &str) {
        let head = self.head(number);
        let runs = self.sees(&format!("commits/{head}/check-runs?check_name={check}"));
        let run = runs["check_runs"][0].clone();
        // GitHub offers it to people then only.
        assert!(run["status"] == "completed", "no check run {check} at {head} has ended: {run}");
        let pull = self.sees(&format!("pulls/{number}"));
        let end = |name: &str| {
            let (end, repository) = (&pull[name], &pull[name]["repo"]);
            let (id, url, name) = (&repository["id"], &repository["html_url"], &repository["name"]);
            json!({"ref": end["ref"], "sha": end["sha"], "repo": {"id": id, "url": url, "name": name}})
        };
        let of =
            json!({"id": pull["id"], "number": number, "url": pull["url"], "head": end("head"), "base": end("base")});
        let mut payload = json!({"action": "rerequested", "check_run": run});
        payload["check_run"]["pull_requests"] = json!([of]);
        payload["check_run"]["check_suite"] = json!({"app": {"created_at": now(), "updated_at": now()}});
        self.delivers("check_run", &payload, login);
    }

    /// Waits for the answer, as GitHub does, so that deliveries keep their order.
    pub(super) fn delivers(&self, event: &'static str, over: &Value, sender: &str) {
        let Some(webhook) = self.forge.state().webhook.clone() else { return };
        if webhook.drops {
            return;
        }
        let mut payload = example(event);
        renew(&mut payload);
        laid_over(&mut payload, over);
        if let Some(fields) = payload.as_object_mut().filter(|_| event == "pull_request" && over["action"] != PUSHED) {
            // The example is of a push.
            fields.retain(|name, _| !["before", "after"].contains(&name.as_str()));
        }
        // An installation may see several.
        if payload["repository"].is_object() {
            payload["repository"]["name"] = NAME.into();
            payload["repository"]["full_name"] = REPOSITORY.into();
            payload["repository"]["owner"] = user(OWNER);
        }
        payload["sender"] = user(sender);
        let (body, number) = (payload.to_string(), self.forge.state().id());
        let request = self
            .client
            .post(&webhook.url)
            .header("content-type", "application/json")
            .header("user-agent", "GitHub-Hookshot/044aadd")
            .header("x-github-event", event)
            .header("x-github-delivery", format!("72d3162e-cc78-11e3-81ab-{number:012}"))
            .header("x-hub-signature-256", signature(&body))
            .body(body);
        // By the server's own thread: this one may be in another network.
        let answered = super::done(&self.runtime, async { request.send().await });
        let status = answered.ok().map(|answer| answer.status().as_u16());
        if let Some(webhook) = &mut self.forge.state().webhook {
            webhook.delivered.push(Delivery { event, status });
        }
    }
}
