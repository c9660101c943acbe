//! The fake GitHub's HTTP: the REST API below `/api/v3`, git beside it; tags, pages, limits, and trouble on demand.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
    time::Duration,
};

use axum::{
    body::{Body, to_bytes},
    extract::Request as HttpRequest,
    http::{HeaderMap, Response, StatusCode, header, request::Parts},
};
use chrono::Utc;
use serde_json::{Value, json};

use super::{
    super::{git::http_backend, tls::Listener},
    NAME, REPOSITORY,
    forge::{Forge, Request, Trouble, Who},
    rest::{self, Answer, Asked},
};

pub const API: &str = "/api/v3";
/// For an hour.
const LIMIT: u32 = 5000;
const LARGEST_BODY: usize = 4 << 20;
const PER_PAGE: usize = 30;
const MOST_PER_PAGE: usize = 100;
/// <https://docs.github.com/en/rest/about-the-rest-api/api-versions>
const VERSION: &str = "2022-11-28";
const SECONDARY: &str = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";

pub async fn serve(listener: Listener, forge: Arc<Forge>) {
    let answer = move |request: HttpRequest| {
        let forge = forge.clone();
        async move { answer(&forge, request).await }
    };
    // It ends with the runtime.
    let _ = axum::serve(listener, axum::Router::new().fallback(answer)).await;
}

async fn answer(forge: &Forge, request: HttpRequest) -> Response<Body> {
    let (parts, body) = request.into_parts();
    match parts.uri.path().strip_prefix(API).map(str::to_owned) {
        Some(path) => {
            let body = to_bytes(body, LARGEST_BODY).await.unwrap_or_default();
            api(forge, &parts, &path, &body).await
        }
        None => git(forge, &parts, body).await,
    }
}

/// `/acme/config.git/…`, for those whom GitHub knows.
async fn git(forge: &Forge, parts: &Parts, body: Body) -> Response<Body> {
    let below = parts.uri.path().strip_prefix(&format!("/{REPOSITORY}.git/"));
    let Some(below) = below else { return response(&Answer::missing()) };
    let who = forge.app.who(&forge.state(), &parts.headers);
    if !matches!(who, Ok(Who::Token | Who::Installation)) {
        let mut refused = response(&Answer::refused(401, "Bad credentials"));
        refused.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Basic"));
        return refused;
    }
    if let (Ok(Who::Installation), Err(suspended)) = (who, forge.state().installation.is_let_in()) {
        return response(&suspended);
    }
    let root = forge.bare.parent().expect("it lies in a folder");
    let name = forge.bare.file_name().and_then(|name| name.to_str()).unwrap_or(NAME);
    http_backend(root, &format!("/{name}/{below}"), parts, body).await
}

async fn api(forge: &Forge, parts: &Parts, path: &str, body: &[u8]) -> Response<Body> {
    let body = if body.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(body) };
    let who = forge.app.who(&forge.state(), &parts.headers);
    let mut request = Request {
        method: parts.method.to_string(),
        path: path.to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        body: body.as_ref().cloned().unwrap_or_default(),
        who: *who.as_ref().unwrap_or(&Who::Nobody),
        status: 0,
        answer: Value::Null,
    };
    let trouble = forge.trouble(&request.method);
    if trouble == Some(Trouble::Hangs) {
        // Told before it is waited for: a test may look meanwhile.
        forge.state().log.push(Request { status: 502, ..request });
        forge.wait_until_back().await;
        return response(&Answer::refused(502, "Server Error"));
    }
    let mut answered = match (trouble, who, body) {
        (Some(trouble), ..) => in_trouble(trouble),
        _ if let Some(why) = has_no_manners(&parts.headers) => response(&why),
        (_, Err(why), _) => response(&Answer::refused(401, &why)),
        (_, _, Err(_)) => response(&Answer::refused(400, "Problems parsing JSON")),
        (_, Ok(who), Ok(body)) => {
            let asked = Asked::new(who, &request.method, path, &request.query, body);
            let mut state = forge.state();
            let answer = rest::answer(forge, &mut state, &asked);
            let answered = paged(forge, &asked, path, answer, &parts.headers);
            // What has not changed is free. <https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api>
            state.used += u32::from(answered.status() != StatusCode::NOT_MODIFIED);
            answered
        }
    };
    request.status = answered.status().as_u16();
    request.answer = answered.extensions_mut().remove::<Value>().unwrap_or_default();
    let mut state = forge.state();
    state.log.push(request);
    for (name, value) in [
        ("x-ratelimit-limit", LIMIT.to_string()),
        ("x-ratelimit-remaining", LIMIT.saturating_sub(state.used).to_string()),
        ("x-ratelimit-reset", (Utc::now().timestamp() + 3600).to_string()),
    ] {
        let value = value.parse().expect("it is a header");
        answered.headers_mut().entry(name).or_insert(value);
    }
    answered
}

/// What GitHub refuses whoever asks, and whatever for.
/// <https://docs.github.com/en/rest/using-the-rest-api/getting-started-with-the-rest-api#headers>
fn has_no_manners(headers: &HeaderMap) -> Option<Answer> {
    if !headers.contains_key(header::USER_AGENT) {
        return Some(Answer::refused(403, "Request forbidden by administrative rules."));
    }
    let version = headers.get("x-github-api-version")?;
    (version != VERSION).then(|| Answer::refused(400, "Unsupported API version."))
}

impl Forge {
    /// The trouble that the next request meets.
    fn trouble(&self, method: &str) -> Option<Trouble> {
        let mut state = self.state();
        if let Some(trouble) = state.no_writes.filter(|_| method != "GET") {
            return Some(trouble);
        }
        let (trouble, left) = state.trouble?;
        state.trouble = (left > 1).then_some((trouble, left - 1));
        Some(trouble)
    }

    async fn wait_until_back(&self) {
        loop {
            let back = self.back.notified();
            {
                let state = self.state();
                let hangs = state.trouble.map(|(trouble, _)| trouble).or(state.no_writes) == Some(Trouble::Hangs);
                if !hangs {
                    return;
                }
            }
            // Looked at again: the notice may have been given just before.
            let _ = tokio::time::timeout(Duration::from_millis(100), back).await;
        }
    }
}

/// <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit>
fn in_trouble(trouble: Trouble) -> Response<Body> {
    let (status, why, headers) = match trouble {
        Trouble::Status(status) => (status, "it is in trouble", Vec::new()),
        Trouble::Limited(status, seconds) => (status, SECONDARY, vec![("retry-after", seconds.to_string())]),
        Trouble::UsedUp(status, seconds) => {
            let reset = Utc::now().timestamp() + i64::from(seconds);
            let headers = vec![("x-ratelimit-remaining", "0".to_owned()), ("x-ratelimit-reset", reset.to_string())];
            (status, "API rate limit exceeded for installation ID 4242.", headers)
        }
        Trouble::Hangs => (502, "Server Error", Vec::new()),
    };
    let mut answered = response(&Answer::refused(status, why));
    for (name, value) in headers {
        answered.headers_mut().insert(name, value.parse().expect("it is a header"));
    }
    answered
}

/// It carries its body as a value too, to be remembered.
fn response(answer: &Answer) -> Response<Body> {
    let mut response = Response::new(Body::from(answer.body.to_string()));
    response.extensions_mut().insert(answer.body.clone());
    *response.status_mut() = StatusCode::from_u16(answer.status).expect("it is a status");
    let kind = header::HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// One page of a list, with a link to the next one; with a tag, by which the same is not sent twice.
fn paged(forge: &Forge, asked: &Asked, path: &str, answer: Answer, headers: &HeaderMap) -> Response<Body> {
    if asked.method() != "GET" || answer.status != 200 {
        return response(&answer);
    }
    let number =
        |name: &str, otherwise: usize| asked.query(name).and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    let (page, per_page) = (number("page", 1).max(1), number("per_page", PER_PAGE).clamp(1, MOST_PER_PAGE));
    let (body, last) = cut(answer.body, page, per_page);
    let mut hash = DefaultHasher::new();
    body.to_string().hash(&mut hash);
    let tag = format!("W/\"{:016x}\"", hash.finish());
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut answered = if known {
        let mut unchanged = Response::new(Body::empty());
        *unchanged.status_mut() = StatusCode::NOT_MODIFIED;
        unchanged
    } else {
        response(&Answer { status: 200, body })
    };
    answered.headers_mut().insert(header::ETAG, tag.parse().expect("it is a header"));
    let rest: String = asked
        .query_pairs()
        .filter(|(name, _)| *name != "page")
        .map(|(name, value)| format!("{}&", encoded(name, value)))
        .collect();
    let to =
        |page: usize, relation: &str| format!("<{}{API}{path}?{rest}page={page}>; rel=\"{relation}\"", forge.address);
    let before = (page > 1).then(|| [to(page - 1, "prev")]);
    let after = (page < last).then(|| [to(page + 1, "next"), to(last, "last")]);
    let first = (page > 1).then(|| [to(1, "first")]);
    let links: Vec<String> =
        before.into_iter().flatten().chain(after.into_iter().flatten()).chain(first.into_iter().flatten()).collect();
    if !links.is_empty() {
        answered.headers_mut().insert(header::LINK, links.join(", ").parse().expect("it is a header"));
    }
    answered
}

fn encoded(name: &str, value: &str) -> String {
    let mut url = reqwest::Url::parse("http://here").expect("it is an address");
    url.query_pairs_mut().append_pair(name, value);
    url.query().unwrap_or_default().to_owned()
}

/// The items of a page, and which page is the last. Some lists lie in an object, beside their number.
fn cut(body: Value, page: usize, per_page: usize) -> (Value, usize) {
    let of = |items: Vec<Value>| {
        let last = items.len().div_ceil(per_page).max(1);
        (items.into_iter().skip((page - 1) * per_page).take(per_page).collect::<Vec<_>>(), last)
    };
    match body {
        Value::Array(items) => {
            let (items, last) = of(items);
            (json!(items), last)
        }
        Value::Object(mut object) => {
            let name = ["check_runs", "statuses"].into_iter().find(|name| object.contains_key(*name));
            let Some(Value::Array(items)) = name.and_then(|name| object.get_mut(name)).map(Value::take) else {
                return (Value::Object(object), 1);
            };
            let (items, last) = of(items);
            object.insert(name.unwrap_or_default().to_owned(), json!(items));
            (Value::Object(object), last)
        }
        other => (other, 1),
    }
}
