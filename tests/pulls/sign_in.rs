//! What signs in to GitHub lets git in: with a real git behind TLS, whose authority only evenkeel is told to trust.

use std::{path::Path, sync::Arc};

use evenkeel::{
    engine::prepare::sign_in,
    git::{Credentials, GitError, RemoteUrl, Repository},
    github::{self, Settings, SignIn, settings},
};

use crate::{
    program::{Story, everything, ran, shows_no_token},
    support::{
        git::git,
        github::{APP, GitHub, Who},
        proxy,
        tls::NAME,
    },
};

/// How many tokens the App has been given.
fn tokens(github: &GitHub) -> usize {
    let requests = github.requests();
    requests.iter().filter(|request| request.path.ends_with("/access_tokens") && request.status == 201).count()
}

#[test]
fn the_app_alone_lets_git_read_and_push() {
    let story = Story::begins();
    let said = story.run("hold", &["--reason", "the demo"]);
    assert!(said.ends_with("exit code Some(0)\n"), "{said}");
    let pushed = git(&story.path("config.git"), &["log", "--format=%B", "evenkeel/history/production"]);
    assert!(pushed.contains("the demo"), "{pushed}");
    let said = story.run("history", &[]);
    assert!(said.contains("the demo") && said.ends_with("exit code Some(0)\n"), "{said}");
    // Each process signed in once.
    assert_eq!(tokens(&story.github), 2);
    shows_no_token(&everything(&story.path("state")));
}

#[test]
fn an_authority_that_nobody_named_is_not_believed() {
    let story = Story::begins();
    let token = story.github.token_file();
    let token = ["--token-file", token.to_str().expect("it is UTF-8")];
    let said = ran(story.command("history", &story.github.address, &token));
    assert!(said.to_lowercase().contains("certificate (--ca-file)") && said.ends_with("exit code Some(1)\n"), "{said}");
}

#[test]
fn git_and_the_api_go_by_the_proxy() {
    let story = Story::begins();
    let (address, told) = proxy::leads(&story.github.address);
    let authority = story.github.authority();
    let trusting = ["--ca-file", authority.to_str().expect("it is UTF-8")];
    let mut command = story.command("history", &format!("https://{NAME}"), &trusting);
    command.env("HTTPS_PROXY", address);
    let said = ran(command);
    assert!(said.ends_with("exit code Some(0)\n"), "{said}");
    // git has a client of its own.
    let asked: Vec<String> = told.try_iter().collect();
    assert!(asked.len() >= 2 && asked.iter().all(|asked| asked.starts_with("CONNECT git.acme.test:443 ")), "{asked:?}");
    assert_eq!(tokens(&story.github), 1);
}

#[test]
fn check_says_whether_git_can_read_and_push() {
    let story = Story::begins();
    let authority = story.github.authority();
    let check = |more: &[&str]| {
        let trusting = ["--ca-file", authority.to_str().expect("it is UTF-8")];
        ran(story.command("github check", &story.github.address, &[&trusting, more].concat()))
    };
    let said = check(&[]);
    assert!(said.contains("ok       git can read\nok       git can push\nexit code Some(0)"), "{said}");
    let wrong = story.path("wrong");
    std::fs::write(&wrong, "github_pat_other").expect("it can be written");
    let said = check(&["--token-file", wrong.to_str().expect("it is UTF-8")]);
    assert!(said.contains("missing  git can push: ") && said.contains("refused the token"), "{said}");
    assert!(said.ends_with("exit code Some(1)\n") && !said.contains("github_pat_other"), "{said}");
}

/// A mirror of what lies on the fake, whose reader is signed in as the App.
fn reader(github: &GitHub, folder: &Path) -> Repository {
    let (name, api) = settings::at(&github.repository()).expect("it is an address");
    let sign_in = SignIn::App { id: APP, key_file: github.key_file() };
    let settings = Settings { repository: name, api, sign_in, ca_file: Some(github.authority()) };
    let client = github::GitHub::open(&settings).expect("a client can be made");
    let url: RemoteUrl = github.repository().parse().expect("it is an address");
    let token = sign_in::token(&Arc::new(client), &url);
    let credentials = Credentials { token, ca_file: Some(github.authority()), ..Credentials::default() };
    Repository::open(&folder.join("mirror"), &url, credentials).expect("it opens")
}

#[test]
fn a_token_that_was_revoked_is_asked_for_anew_at_once() {
    let story = Story::begins();
    let github = &story.github;
    let reader = reader(github, &story.path(""));
    let fetches = || {
        let fetched = reader.fetch();
        assert!(fetched.is_ok(), "{fetched:?}");
    };
    fetches();
    fetches();
    assert_eq!(tokens(github), 1);
    github.revokes_tokens();
    fetches();
    assert_eq!(tokens(github), 2);

    github.revokes_tokens();
    github.suspends();
    let error = reader.fetch().expect_err("it is suspended");
    let GitError::Remote { source, .. } = &error else { panic!("{error:?}") };
    assert!(source.hint().is_some_and(|hint| hint.starts_with("unsuspend it")), "{error:?}");
    shows_no_token(&format!("{error:?}"));
    assert_eq!(tokens(github), 2);
    github.unsuspends();
    fetches();
    assert!(github.requests().iter().all(|request| request.who == Who::App), "git needs nothing else of the API");
}
