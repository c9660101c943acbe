//! Signing in as an App: its key, its token, and when that is renewed.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use evenkeel::github::{GitHubError, SignIn};
use futures_util::future::join_all;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use rustls::pki_types::{SubjectPublicKeyInfoDer, pem::PemObject as _};
use serde_json::{Value, json};

use crate::{
    server::{Answer, Asked, QUICK, Server, answer, said},
    support::tls::openssl,
};

const APP: u64 = 4711;

/// With a key as GitHub gives it: PKCS#1. Making one takes a second, so all have the same.
pub fn sign_in(folder: &Path) -> SignIn {
    static KEY: OnceLock<Vec<u8>> = OnceLock::new();
    let key = KEY.get_or_init(|| openssl(folder, &["genrsa", "-traditional", "2048"]));
    fs::write(folder.join("app.pem"), key).expect("it can be written");
    with_key(folder.join("app.pem"))
}

fn with_key(key_file: PathBuf) -> SignIn {
    SignIn::App { id: APP, key_file }
}

/// GitHub, as an App sees it: its tokens are good for an hour of the server's clock, and are numbered.
async fn github_with_apps() -> Server {
    let begin = chrono::DateTime::from_timestamp(1_800_000_000, 0).expect("it is a time");
    Server::start(move |asked, count| match asked.line.as_str() {
        "GET /repos/o/r/installation" => answer(200, &json!({"id": 7, "permissions": {}})),
        "POST /app/installations/7/access_tokens" => {
            let ends = begin + TimeDelta::hours(if count < 5 { 1 } else { 2 });
            answer(201, &json!({"token": format!("ghs_{count}"), "expires_at": ends.to_rfc3339()}))
                .after(Duration::from_millis(20))
        }
        _ => repository(asked),
    })
    .await
}

fn repository(_: &Asked) -> Answer {
    answer(200, &json!({"full_name": "o/r", "default_branch": "main", "html_url": "https://h/o/r"}))
}

fn bearers(server: &Server, line: &str) -> Vec<String> {
    let asked = server.asked().into_iter().filter(|asked| asked.line == line);
    asked.map(|asked| asked.headers["authorization"].to_str().expect("it is text").replace("Bearer ", "")).collect()
}

#[tokio::test]
async fn an_app_signs_in_with_its_key_and_asks_for_a_token_of_one_repository() {
    let server = github_with_apps().await;
    let github = server.sign_in(sign_in(&server.path("")), QUICK);
    github.repository().await.expect("it is let in");
    let lines = ["GET /repos/o/r/installation", "POST /app/installations/7/access_tokens", "GET /repos/o/r"];
    assert_eq!(server.lines(), lines);
    assert_eq!(server.asked()[1].body, json!({"repositories": ["r"]}));
    assert_eq!(bearers(&server, lines[2]), ["ghs_1"]);
    for key in [&bearers(&server, lines[0])[0], &bearers(&server, lines[1])[0]] {
        is_made_by(&server.path(""), key);
    }
}

/// Whether a token for the App itself has the right claims, and is signed with its key.
fn is_made_by(folder: &Path, token: &str) {
    openssl(folder, &["rsa", "-in", "app.pem", "-pubout", "-out", "public.pem"]);
    let public = SubjectPublicKeyInfoDer::from_pem_file(folder.join("public.pem")).expect("it is a key");
    // What ring reads begins after the 24 bytes that say that it is RSA.
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &public[24..]);
    let (signed, signature) = token.rsplit_once('.').expect("it has three parts");
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).expect("it is base64url");
    public.verify(signed.as_bytes(), &decode(signature)).expect("the key has signed it");
    let (header, claims) = signed.split_once('.').expect("it has three parts");
    let read = |part| serde_json::from_slice::<Value>(&decode(part)).expect("it is JSON");
    assert_eq!(read(header), json!({"alg": "RS256", "typ": "JWT"}));
    assert_eq!(read(claims), json!({"iat": 1_799_999_940, "exp": 1_800_000_540, "iss": "4711"}));
}

#[tokio::test]
async fn a_key_may_be_of_either_kind() {
    let server = github_with_apps().await;
    sign_in(&server.path(""));
    openssl(&server.path(""), &["pkcs8", "-topk8", "-nocrypt", "-in", "app.pem", "-out", "pkcs8.pem"]);
    server.sign_in(with_key(server.path("pkcs8.pem")), QUICK).repository().await.expect("it is let in");
    is_made_by(&server.path(""), &bearers(&server, "GET /repos/o/r/installation")[0]);
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends_and_by_one_request_only() {
    let server = github_with_apps().await;
    let github = server.sign_in(sign_in(&server.path("")), QUICK);
    let ask = async || {
        for answer in join_all((0..5).map(|_| github.repository())).await {
            answer.expect("it is let in");
        }
    };
    ask().await;
    server.later(TimeDelta::minutes(45));
    ask().await;
    server.later(TimeDelta::minutes(10));
    ask().await;
    let tokens = bearers(&server, "GET /repos/o/r");
    assert_eq!(tokens[..10], vec!["ghs_1"; 10], "it is good for an hour");
    assert_eq!(tokens[10..], vec!["ghs_13"; 5], "five minutes are left of the first one");
}

#[tokio::test]
async fn a_token_that_was_revoked_is_renewed_once() {
    let server = Server::start(|asked, count| match asked.line.as_str() {
        "GET /repos/o/r/installation" => answer(200, &json!({"id": 7, "permissions": {}})),
        "POST /app/installations/7/access_tokens" => {
            answer(201, &json!({"token": format!("ghs_{count}"), "expires_at": "2100-01-01T00:00:00Z"}))
        }
        _ if count < 3 => answer(401, &json!({"message": "Bad credentials"})),
        "GET /repos/o/r" => repository(asked),
        _ => answer(401, &json!({"message": "Bad credentials"})),
    })
    .await;
    let github = server.sign_in(sign_in(&server.path("")), QUICK);
    github.repository().await.expect("the second token is good");
    assert_eq!(bearers(&server, "GET /repos/o/r"), ["ghs_1", "ghs_4"]);
    let error = github.pull(1).await.expect_err("no token is good for it");
    assert!(said(&error).starts_with("GET /repos/o/r/pulls/1: GitHub answered 401 Unauthorized"), "{}", said(&error));
    assert_eq!(bearers(&server, "GET /repos/o/r/pulls/1").len(), 2);
}

#[tokio::test]
async fn an_app_that_is_not_installed_says_so() {
    let server = Server::start(|_, _| answer(404, &json!({"message": "Not Found"}))).await;
    let github = server.sign_in(sign_in(&server.path("")), QUICK);
    let error = github.repository().await.expect_err("there is no installation");
    assert!(matches!(error, GitHubError::NotInstalled { .. }));
    assert!(said(&error).starts_with("the GitHub App 4711 is not installed on o/r\n  next: install the App"));
}

#[tokio::test]
async fn a_file_that_does_not_hold_what_it_should_is_named_and_not_shown() {
    let server = github_with_apps().await;
    for (name, content, why) in [
        ("empty", "\n", "it is empty"),
        ("text", "s3cret", "it is not an RSA private key in PEM"),
        (
            "broken",
            "-----BEGIN RSA PRIVATE KEY-----\nczNjcmV0\n-----END RSA PRIVATE KEY-----\n",
            "it is not an RSA private key of at least 2048 bits",
        ),
    ] {
        fs::write(server.path(name), content).expect("it can be written");
        let github = server.sign_in(with_key(server.path(name)), QUICK);
        let error = github.repository().await.expect_err("there is no key");
        assert_eq!(error.to_string(), format!("{} cannot be used: {why}", server.path(name).display()));
        let all = format!("{error:?} {}", said(&error));
        assert!(!all.contains("s3cret") && !all.contains("czNjcmV0"), "{all}");
    }
    sign_in(&server.path(""));
    let github = server.sign_in(SignIn::Token { file: server.path("app.pem") }, QUICK);
    let error = github.repository().await.expect_err("it is the key");
    assert!(error.to_string().ends_with("app.pem cannot be used: it does not hold one line with a token"), "{error}");
    let error = server.sign_in(with_key(server.path("none")), QUICK).repository().await.expect_err("there is no file");
    assert!(said(&error).starts_with(&format!("cannot read {}: ", server.path("none").display())));
    assert_eq!(server.lines(), Vec::<String>::new());
}
