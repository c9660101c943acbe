//! `evenkeel github`, as a process: what it prints, behind a proxy and with a certificate of one's own, too.

use std::{
    path::Path,
    process::{Command, Output},
};

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
