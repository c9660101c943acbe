//! What errors say, and what they never say.

use axum::body::Body;
use serde_json::{Value, json};

use crate::server::{Answer, QUICK, Server, TOKEN, answer, said};

async fn told(given: fn() -> Answer) -> String {
    let server = Server::start(move |_, _| given()).await;
    let error = server.github(QUICK).pull(5).await.expect_err("it goes wrong");
    assert!(!format!("{error:?} {error:#?} {}", said(&error)).contains(TOKEN), "{error:?}");
    said(&error)
}

#[tokio::test]
async fn an_error_names_the_request_what_github_says_and_the_next_move() {
    let mut all = Vec::new();
    for given in [
        (|| answer(401, &json!({"message": "Bad credentials"}))) as fn() -> Answer,
        || {
            answer(403, &json!({"message": "Resource not accessible by integration"}))
                .header("x-accepted-github-permissions", "pull_requests=read")
        },
        || answer(403, &json!({"message": "Resource not accessible by personal access token"})),
        || answer(404, &json!({"message": "Not Found"})),
        || {
            let errors = json!([{"resource": "PullRequest", "code": "invalid", "field": "head"}, "and this"]);
            answer(422, &json!({"message": "Validation Failed", "errors": errors}))
        },
        || answer(500, &Value::Null).body(Body::from("<html>Unicorn!</html>")),
        || answer(200, &json!({"number": "five"})),
        || answer(418, &json!({"message": format!("you sent {TOKEN}\u{1b}[31m\nand\u{202e} {}", "x".repeat(1000))})),
    ] {
        all.push(told(given).await);
    }
    insta::assert_snapshot!(all.join("\n\n"));
}
