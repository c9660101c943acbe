//! `evenkeel github`, as a process: what it prints, behind a proxy and with a certificate of one's own, too.

use std::{
    path::Path,
    process::{Command, Output},
};

use evenkeel::github::rules;
use serde_json::{Value, json};

use crate::{
    app,
    server::{Server, answer},
    support::{
        github::{REPOSITORY, TOKEN_OWNER},
        hosted::Hosted,
        proxy,
        tls::NAME,
    },
};

fn evenkeel(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"] {
        command.env_remove(name);
    }
    command.args(arguments).envs(environment.iter().copied()).output().expect("it can be run")
}

fn printed(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("it is UTF-8");
    let text = format!("{}{}exit code {:?}\n", text(&output.stdout), text(&output.stderr), output.status.code());
    // As all tokens of people begin here.
    assert!(!text.contains("github_pat_"), "{text}");
    text
}

fn path(path: &Path) -> &str {
    path.to_str().expect("it is UTF-8")
}

/// On a thread of its own: what answers it has this one's runtime.
async fn checked(server: &Server, sign_in: Vec<String>) -> String {
    let url = server.url.clone();
    let run = move || {
        let mut arguments = vec!["github", "check", "--repo", "git@github.com:o/r.git", "--github-url", &url];
        arguments.extend(sign_in.iter().map(String::as_str));
        printed(&evenkeel(&arguments, &[]))
    };
    tokio::task::spawn_blocking(run).await.expect("it does not panic")
}

/// As they should be.
fn rules() -> Value {
    rules::NEEDED.iter().map(|kind| json!({"type": kind, "ruleset_id": 42})).collect()
}

fn ruleset() -> Value {
    json!({"id": 42, "name": "evenkeel", "source": "o/r", "enforcement": "active", "current_user_can_bypass": "always"})
}

fn repository() -> Value {
    json!({"full_name": "o/r", "default_branch": "main", "html_url": "https://h/o/r"})
}

/// A GitHub with an App that is allowed and told this.
async fn with_app(permissions: Value, events: Value) -> Server {
    Server::start(move |asked, _| match asked.line.as_str() {
        "GET /app" => answer(200, &json!({"slug": "keel"})),
        "GET /repos/o/r/installation" => {
            answer(200, &json!({"id": 7, "permissions": permissions, "events": events, "suspended_at": null}))
        }
        "POST /app/installations/7/access_tokens" => {
            answer(201, &json!({"token": "ghs_1", "expires_at": "2100-01-01T00:00:00Z"}))
        }
        line if line.contains("/rules/") => answer(200, &rules()),
        line if line.contains("/rulesets/") => answer(200, &ruleset()),
        _ => answer(200, &repository()),
    })
    .await
}

async fn checked_as_app(permissions: Value, events: Value) -> String {
    let server = with_app(permissions, events).await;
    app::sign_in(&server.path(""));
    let key = server.path("app.pem").display().to_string();
    let flags = ["--github-app-id", "4711", "--github-key-file", &key];
    checked(&server, flags.map(str::to_owned).to_vec()).await
}

#[tokio::test]
async fn an_app_that_may_do_all_and_one_that_may_not() {
    let all = json!({"contents": "write", "pull_requests": "write", "issues": "write", "checks": "write",
                     "statuses": "write", "deployments": "write", "metadata": "read"});
    let some = json!({"contents": "read", "pull_requests": "write", "issues": "write", "checks": "write",
                      "statuses": "read", "metadata": "read"});
    let told = json!(["push", "pull_request", "issue_comment", "check_run", "check_suite"]);
    let good = checked_as_app(all, told).await;
    let lacking = checked_as_app(some, json!(["push", "pull_request"])).await;
    insta::assert_snapshot!(format!("{good}\n{lacking}"));
}

async fn checked_with_token(refused: Option<&'static str>) -> String {
    let server = Server::start(move |asked, _| match asked.line.as_str() {
        line if refused.is_some_and(|refused| line.contains(refused)) => {
            answer(403, &json!({"message": "Resource not accessible by personal access token"}))
                .header("x-accepted-github-permissions", "deployments=read")
        }
        "GET /user" => answer(200, &json!({"login": "ada"})),
        "GET /repos/o/r" => answer(200, &repository()),
        line if line.contains("/status") => answer(200, &json!({"statuses": []})),
        line if line.contains("/rules/") => answer(200, &rules()),
        line if line.contains("/rulesets/") => answer(200, &ruleset()),
        _ => answer(200, &json!([])),
    })
    .await;
    let file = server.path("token").display().to_string();
    checked(&server, vec!["--github-token-file".to_owned(), file]).await
}

#[tokio::test]
async fn a_token_that_may_do_all_and_ones_that_may_not() {
    let all = [checked_with_token(None).await, checked_with_token(Some("deployments")).await];
    insta::assert_snapshot!(all.join("\n"));
    let none = checked_with_token(Some("/user")).await;
    assert!(none.contains("error: GET /user: GitHub answered 403") && none.ends_with("exit code Some(1)\n"), "{none}");
}

#[test]
fn the_setup_names_all_that_is_needed() {
    let webhook = ["--webhook-url", "https://keel.example.org/webhook/github"];
    let arguments = [["github", "setup"], ["--organisation", "acme"], webhook].concat();
    insta::assert_snapshot!(printed(&evenkeel(&arguments, &[])));
    let enterprise = printed(&evenkeel(&["github", "setup", "--github-url", "https://git.acme.org/api/v3"], &[]));
    assert!(enterprise.contains("\nhttps://git.acme.org/settings/apps/new?name=evenkeel&"), "{enterprise}");
    assert!(enterprise.contains("webhook_active=false") && !enterprise.contains("hook_attributes"), "{enterprise}");
}

#[test]
fn without_a_sign_in_the_next_move_is_named() {
    let said = printed(&evenkeel(&["github", "check", "--repo", "https://github.com/o/r"], &[]));
    assert!(said.contains("error: nothing says how to sign in to GitHub"), "{said}");
    let arguments = ["github", "check", "--repo", "/srv/config", "--github-token-file", "/dev/null"];
    let said = printed(&evenkeel(&arguments, &[]));
    assert!(said.contains("/srv/config is not a repository that GitHub could hold"), "{said}");
    assert!(said.contains("--github-repository OWNER/NAME"), "{said}");
}

#[test]
fn a_proxy_is_used_and_only_an_authority_that_is_named_is_believed() {
    let hosted = Hosted::new();
    let github = &hosted.github;
    let (address, told) = proxy::leads(&github.address);
    let (repository, token, authority) =
        (format!("git@{NAME}:{REPOSITORY}.git"), github.token_file(), github.authority());
    let arguments = ["github", "check", "--repo", &repository, "--github-token-file", path(&token)];
    let environment = [("HTTPS_PROXY", address.as_str())];
    let trusting = [&arguments[..], &["--github-ca-file", path(&authority)]].concat();
    let said = printed(&evenkeel(&trusting, &environment));
    assert!(said.contains(&format!("signed in as {TOKEN_OWNER}")) && said.ends_with("exit code Some(0)\n"), "{said}");
    assert_eq!(told.try_recv().as_deref(), Ok("CONNECT git.acme.test:443 HTTP/1.1"));
    let said = printed(&evenkeel(&arguments, &environment));
    assert!(said.contains("GET /api/v3/user got no answer: "), "{said}");
    assert!(said.to_lowercase().contains("certificate"), "{said}");
    assert!(said.contains("--ca-file") && said.ends_with("exit code Some(1)\n"), "{said}");
}

/// With the token, for which the fake has a ruleset that is as it should be.
fn checked_at(hosted: &Hosted, more: &[&str]) -> String {
    let github = &hosted.github;
    let (repository, token, authority) = (github.repository(), github.token_file(), github.authority());
    let sign_in = ["github", "check", "--repo", &repository, "--github-token-file", path(&token)];
    let arguments = [&sign_in[..], &["--github-ca-file", path(&authority)], more].concat();
    printed(&evenkeel(&arguments, &[]))
}

#[test]
fn a_check_fails_where_others_may_write_to_the_branches_of_evenkeel() {
    let hosted = Hosted::new();
    let github = &hosted.github;
    let is_good = |said: &str| said.ends_with("exit code Some(0)\n");
    let said = checked_at(&hosted, &[]);
    assert!(is_good(&said) && said.contains("refs/evenkeel/**"), "{said}");

    let usual = || {
        let mut usual = Value::Null;
        github.rules(|ruleset| usual = ruleset.clone());
        usual
    };
    let whole = usual();
    let pattern = |text: &str| json!({"ref_name": {"include": [text], "exclude": []}});
    for (name, broken) in [
        ("enforcement", json!("disabled")),
        ("enforcement", json!("evaluate")),
        ("target", json!("tag")),
        // For GitHub it stands for one folder only.
        ("conditions", pattern("refs/heads/evenkeel/**")),
        ("conditions", pattern("refs/heads/evenkeel/history/*")),
        ("conditions", json!({"ref_name": {"include": ["~ALL"], "exclude": ["refs/heads/evenkeel/plans"]}})),
        ("rules", json!([{"type": "creation"}, {"type": "update"}, {"type": "deletion"}])),
        ("rules", json!([{"type": "creation"}, {"type": "deletion"}, {"type": "non_fast_forward"}])),
        // That would keep evenkeel out as well.
        ("bypass_actors", json!([])),
    ] {
        github.rules(|ruleset| ruleset[name] = broken.clone());
        let said = checked_at(&hosted, &[]);
        assert!(said.contains("missing") && said.ends_with("exit code Some(1)\n"), "{name} {broken}: {said}");
        github.rules(|ruleset| *ruleset = whole.clone());
    }
    assert!(is_good(&checked_at(&hosted, &[])));
}

#[test]
fn where_github_tells_who_may_bypass_a_ruleset_only_the_listed_are_taken() {
    let hosted = Hosted::new();
    hosted.github.tells_who_bypasses(true);
    let said = checked_at(&hosted, &[]);
    assert!(said.ends_with("exit code Some(1)\n"), "the token's owner is not listed: {said}");
    let mut actors = Vec::new();
    hosted.github.rules(|ruleset| {
        let all = ruleset["bypass_actors"].as_array().into_iter().flatten();
        actors = all
            .map(|actor| format!("{}:{}", actor["actor_type"].as_str().unwrap_or_default(), actor["actor_id"]))
            .collect();
    });
    let listed: Vec<&str> = actors.iter().flat_map(|actor| ["--may-bypass", actor.as_str()]).collect();
    let said = checked_at(&hosted, &listed);
    assert!(said.ends_with("exit code Some(0)\n"), "{said}");
    hosted.github.rules(|ruleset| {
        let role = json!({"actor_id": 5, "actor_type": "RepositoryRole", "bypass_mode": "always"});
        ruleset["bypass_actors"].as_array_mut().expect("it is a list").push(role);
    });
    let said = checked_at(&hosted, &listed);
    assert!(said.contains("RepositoryRole:5") && said.ends_with("exit code Some(1)\n"), "{said}");
}
