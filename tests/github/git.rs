//! Where the token goes that signs in to GitHub and lets git in, and where it does not.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::TimeDelta;
use evenkeel::{
    engine::prepare::{access::AccessFile, fetch::NetworkFetcher, sign_in},
    git::{Credentials, RemoteUrl, Repository, Token},
    github::{GitHub, SignIn},
    model::source::{GitSource, Revision},
    release::Fetcher as _,
    report,
};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    app,
    server::{Answer, Asked, QUICK, Server, TOKEN, answer},
};

/// GitHub as an App sees it, with numbered tokens that are good for an hour, and beside its API a git that answers so.
async fn github(git: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> (Server, Arc<GitHub>) {
    let server = Server::start(move |asked, count| match asked.line.as_str() {
        "GET /repos/o/r/installation" => answer(200, &json!({"id": 7, "permissions": {}})),
        "POST /app/installations/7/access_tokens" => {
            let ends = chrono::DateTime::from_timestamp(1_800_003_600, 0).expect("it is a time");
            let ends = ends + if count > 3 { TimeDelta::hours(1) } else { TimeDelta::zero() };
            answer(201, &json!({"token": format!("ghs_{count}"), "expires_at": ends.to_rfc3339()}))
        }
        _ => git(asked),
    })
    .await;
    let client = Arc::new(server.sign_in(app::sign_in(&server.path("")), QUICK));
    (server, client)
}

fn at(address: &str) -> RemoteUrl {
    address.parse().expect("it is an address")
}

/// Tries to fetch, and answers what is said.
async fn fetched(url: RemoteUrl, token: Token) -> String {
    let fetch = move || {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let credentials = Credentials { token, ..Credentials::default() };
        let repository = Repository::open(&folder.path().join("mirror"), &url, credentials).expect("it opens");
        let error = repository.fetch().expect_err("there is no repository");
        let said = format!("{}; {}", report::chain(&error), error.hint().unwrap_or_default());
        assert!(!format!("{said} {error:?}").contains("ghs_"), "{error:?}");
        said
    };
    tokio::task::spawn_blocking(fetch).await.expect("it does not panic")
}

/// The passwords that came with requests for the repository: none is an empty one.
fn passwords(server: &Server) -> Vec<String> {
    let asked = server.asked().into_iter().filter(|asked| asked.line.contains(".git/"));
    let password = |asked: Asked| {
        let value = asked.headers.get("authorization")?.to_str().ok()?.strip_prefix("Basic ")?.to_owned();
        let decoded = String::from_utf8(STANDARD.decode(value).ok()?).ok()?;
        Some(decoded.strip_prefix("x-access-token:")?.to_owned())
    };
    asked.map(|asked| password(asked).unwrap_or_default()).collect()
}

#[tokio::test]
async fn gits_token_is_the_one_of_the_api_and_renewed_before_it_ends() {
    let (server, client) = github(|_| answer(404, &json!({}))).await;
    let url = at(&format!("{}/o/r.git", server.url));
    for minutes in [0, 45, 10] {
        server.later(TimeDelta::minutes(minutes));
        fetched(url.clone(), sign_in::token(&client, &url)).await;
    }
    assert_eq!(passwords(&server), ["ghs_1", "ghs_1", "ghs_5"], "five minutes are left of the first one");
}

#[tokio::test]
async fn what_is_left_of_a_token_is_used_while_github_makes_no_other() {
    let server = Server::start(|asked, count| match asked.line.as_str() {
        "GET /repos/o/r/installation" if count == 0 => answer(200, &json!({"id": 7, "permissions": {}})),
        "POST /app/installations/7/access_tokens" => {
            answer(201, &json!({"token": "ghs_1", "expires_at": "2027-01-15T09:00:00Z"}))
        }
        line if line.contains(".git/") => answer(404, &json!({})),
        _ => answer(503, &json!({"message": "it is away"})),
    })
    .await;
    let client = Arc::new(server.sign_in(app::sign_in(&server.path("")), QUICK));
    let url = at(&format!("{}/o/r.git", server.url));
    let mut said = String::new();
    let mut asked = Vec::new();
    for minutes in [0, 55, 0, 10] {
        server.later(TimeDelta::minutes(minutes));
        said = fetched(url.clone(), sign_in::token(&client, &url)).await;
        asked.push(server.lines().iter().filter(|line| line.contains("installation")).count());
    }
    assert_eq!(passwords(&server), ["ghs_1"; 3], "an hour is over when it is asked for the fourth time");
    assert!(asked[0] < asked[1] && asked[1] == asked[2] && asked[2] < asked[3], "not at each request: {asked:?}");
    let host = server.url.replace("http://", "");
    let expected =
        format!("cannot fetch from {url}: cannot sign in to {host}: GET /repos/o/r/installation: GitHub answered 503");
    assert!(said.starts_with(&expected), "{said}");
}

#[tokio::test]
async fn a_token_that_is_refused_is_asked_for_anew_once() {
    let (server, client) = github(|_| answer(401, &json!({}))).await;
    let url = at(&format!("{}/o/r.git", server.url));
    let said = fetched(url.clone(), sign_in::token(&client, &url)).await;
    assert!(said.contains("refused the token"), "{said}");
    assert_eq!(passwords(&server), ["ghs_1", "ghs_4"]);
}

#[tokio::test]
async fn a_token_of_a_file_lets_git_in_too_and_is_not_tried_twice() {
    let server = Server::start(|_, _| answer(401, &json!({}))).await;
    let client = Arc::new(server.sign_in(SignIn::Token { file: server.path("token") }, QUICK));
    let url = at(&format!("{}/o/r.git", server.url));
    let said = fetched(url.clone(), sign_in::token(&client, &url)).await;
    assert!(said.contains("refused the token") && !said.contains(TOKEN), "{said}");
    assert_eq!(passwords(&server), [TOKEN]);
}

#[tokio::test]
async fn the_token_goes_to_no_other_host_whoever_leads_there() {
    let other = Server::start(|_, _| answer(401, &json!({}))).await;
    let to = format!("{}/o/r.git/info/refs?service=git-upload-pack", other.url);
    let (server, client) = github(move |_| answer(301, &json!({})).header("location", &to)).await;
    let url = at(&format!("{}/o/r.git", server.url));
    let said = fetched(url.clone(), sign_in::token(&client, &url)).await;
    assert!(said.contains(&format!("sends us elsewhere, to {}/o/r.git", other.url)), "{said}");
    assert_eq!((passwords(&server).len(), other.asked().len()), (1, 0));

    let elsewhere = at(&format!("{}/o/r.git", other.url));
    let said = fetched(elsewhere.clone(), sign_in::token(&client, &elsewhere)).await;
    assert!(said.contains("asks for a token, and there is none"), "{said}");
    assert_eq!(passwords(&other), [""]);
}

#[tokio::test]
async fn a_login_in_the_address_goes_before_it() {
    let (server, client) = github(|_| answer(401, &json!({}))).await;
    let url = at(&format!("{}/o/r.git", server.url.replace("http://", "http://x-access-token:own@")));
    fetched(url.clone(), sign_in::token(&client, &url)).await;
    assert_eq!(passwords(&server), ["own"]);
}

/// Whoever may write a service's file names the address, and may see less there than the App does.
#[tokio::test]
async fn no_source_is_fetched_with_it() {
    let (server, client) = github(|_| answer(401, &json!({}))).await;
    let config = at(&format!("{}/o/r.git", server.url));
    let credentials = Credentials { token: sign_in::token(&client, &config), ..Credentials::default() };
    let url = format!("{}/o/secret.git", server.url);
    let ask = move || {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let listed = folder.path().join("credentials.yaml");
        std::fs::write(&listed, format!("reach: [{url:?}]\n")).expect("it can be written");
        std::fs::set_permissions(&listed, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("it is ours");
        let source = GitSource { url, revision: Revision::Default, folder: String::new(), credentials: None };
        let fetcher = NetworkFetcher::new(folder.path(), &credentials, AccessFile::new(Some(listed), None));
        fetcher.commit(&source).expect_err("nobody is let in").to_string()
    };
    let said = tokio::task::spawn_blocking(ask).await.expect("it does not panic");
    assert!(said.contains("asks for a token, and there is none"), "{said}");
    assert_eq!(passwords(&server), [""]);
}

#[tokio::test]
async fn the_apis_own_host_is_known_for_the_one_that_git_goes_to() {
    let server = Server::start(|_, _| answer(404, &json!({}))).await;
    let gits = |api: &str, repository: &str| {
        let api = evenkeel::github::settings::api_at(api).expect("it is an address");
        let sign_in = SignIn::Token { file: server.path("token") };
        let settings = evenkeel::github::Settings { api, ..server.settings(sign_in) };
        let client = Arc::new(GitHub::open(&settings).expect("it is a client"));
        matches!(sign_in::token(&client, &at(repository)), Token::Source(_))
    };
    for (api, good, bad) in [
        ("https://api.github.com", "https://github.com/o/r", "https://git.example.org/o/r"),
        ("https://git.example.org/api/v3", "https://git.example.org/o/r", "https://git.example.org:8443/o/r"),
        ("https://api.octocorp.ghe.com", "https://octocorp.ghe.com/o/r", "https://github.com/o/r"),
    ] {
        assert!(gits(api, good), "{api} {good}");
        assert!(!gits(api, bad), "{api} {bad}");
        let plain = good.replace("https://", "http://");
        assert!(!gits(api, &plain), "{plain}");
        assert!(!gits(api, "git@github.com:o/r.git"));
    }
}
