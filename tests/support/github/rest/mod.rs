//! The REST API: which request means what, and what all of them are checked for.
//!
//! Keeps true: a body holds what GitHub documents and nothing else. GitHub itself lets unknown fields pass in silence,
//! which would hide a misspelt one.

mod checks;
mod comments;
mod deployments;
mod pulls;

use std::collections::BTreeMap;

pub use deployments::newest as newest_of_deployment;

use serde_json::{Value, json};

use super::{
    APP, NAME, OWNER, REPOSITORY, SLUG, TOKEN_OWNER,
    forge::{Forge, State, Who, user},
    sign_in::installation_token,
};

/// One request, read.
pub struct Asked {
    pub who: Who,
    method: String,
    segments: Vec<String>,
    query: BTreeMap<String, String>,
    pub body: Value,
}

pub struct Answer {
    pub status: u16,
    pub body: Value,
}

/// What GitHub does not do is said with its status.
pub type Answered = Result<Answer, Answer>;

impl Asked {
    /// `path` is below `/api/v3`.
    pub fn new(who: Who, method: &str, path: &str, query: &str, body: Value) -> Self {
        let query = reqwest::Url::parse(&format!("http://here/?{query}")).expect("a query can be read");
        let query = query.query_pairs().into_owned().collect();
        let segments = path.split('/').skip(1).map(str::to_owned).collect();
        Self { who, method: method.to_owned(), segments, query, body }
    }

    /// A person who looks at something of the repository. `path` may have a query.
    pub fn by_a_reader(path: &str) -> Self {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        Self::new(Who::Token, "GET", &format!("/repos/{REPOSITORY}/{path}"), query, Value::Null)
    }

    pub fn method(&self) -> &str {
        &self.method
    }

    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    pub fn queries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.query.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Refuses a body that lacks a field, or has one that GitHub does not know.
    fn has(&self, required: &[&str], known: &[&str]) -> Result<(), Answer> {
        let Value::Object(fields) = &self.body else { return Err(Answer::invalid("Body should be a JSON object")) };
        if let Some(missing) = required.iter().find(|name| fields.get(**name).is_none_or(Value::is_null)) {
            return Err(Answer::invalid(&format!("\"{missing}\" wasn't supplied.")));
        }
        match fields.keys().find(|name| !required.contains(&name.as_str()) && !known.contains(&name.as_str())) {
            Some(unknown) => Err(Answer::invalid(&format!("\"{unknown}\" is not a permitted key."))),
            None => Ok(()),
        }
    }

    /// A text of the body that has at most so many characters.
    fn text(&self, name: &str, most: usize) -> Result<&str, Answer> {
        bounded(&self.body, name, most)
    }
}

/// A text that has at most so many characters; empty where there is none.
fn bounded<'a>(body: &'a Value, name: &str, most: usize) -> Result<&'a str, Answer> {
    let text = match &body[name] {
        Value::Null => "",
        Value::String(text) => text,
        other => return Err(Answer::invalid(&format!("{name} is no text: {other}"))),
    };
    if text.chars().count() > most {
        return Err(Answer::invalid(&format!("{name} is too long (maximum is {most} characters)")));
    }
    Ok(text)
}

fn one_of(value: &Value, name: &str, known: &[&str]) -> Result<(), Answer> {
    match value.as_str() {
        Some(text) if known.contains(&text) => Ok(()),
        _ => Err(Answer::invalid(&format!("{name} is not one of {known:?}: {value}"))),
    }
}

impl Answer {
    fn ok(body: impl Into<Value>) -> Self {
        Self { status: 200, body: body.into() }
    }

    fn created(body: Value) -> Self {
        Self { status: 201, body }
    }

    pub fn refused(status: u16, why: &str) -> Self {
        Self { status, body: json!({"message": why, "documentation_url": "https://docs.github.com/rest"}) }
    }

    pub fn missing() -> Self {
        Self::refused(404, "Not Found")
    }

    fn invalid(why: &str) -> Self {
        let body = json!({"message": "Validation Failed", "errors": [{"code": "custom", "message": why}]});
        Self { status: 422, body }
    }
}

/// Does as asked, or says why not.
pub fn answer(forge: &Forge, state: &mut State, asked: &Asked) -> Answer {
    done(forge, state, asked).unwrap_or_else(|refused| refused)
}

fn done(forge: &Forge, state: &mut State, asked: &Asked) -> Answered {
    let segments: Vec<&str> = asked.segments.iter().map(String::as_str).collect();
    if asked.who == Who::Installation {
        state.installation.is_let_in()?;
    }
    match (asked.method.as_str(), segments.as_slice()) {
        ("GET", ["app"]) => by_the_app(asked, json!({"id": APP, "slug": SLUG, "name": SLUG})),
        ("GET", ["repos", OWNER, NAME, "installation"]) => by_the_app(asked, state.installation.shown()?),
        ("POST", ["app", "installations", id, "access_tokens"]) => {
            by_the_app(asked, Value::Null)?;
            asked.has(&[], &["repositories", "repository_ids", "permissions"])?;
            state.installation.shown()?;
            state.installation.is_let_in()?;
            let ours = *id == state.installation.id.to_string() && is_for_us(&asked.body["repositories"]);
            if ours { Ok(Answer::created(installation_token(state))) } else { Err(Answer::missing()) }
        }
        _ if asked.who == Who::App => {
            Err(Answer::refused(403, "Resource not accessible by integration: this wants an installation's token"))
        }
        _ if asked.who == Who::Nobody => Err(Answer::refused(401, "Requires authentication")),
        ("GET", ["user"]) if asked.who == Who::Token => Ok(Answer::ok(user(TOKEN_OWNER))),
        ("GET", ["user"]) => Err(Answer::refused(403, "Resource not accessible by integration")),
        (method, ["repos", OWNER, NAME, rest @ ..]) => of_the_repository(forge, state, asked, method, rest),
        _ => Err(Answer::missing()),
    }
}

fn of_the_repository(forge: &Forge, state: &mut State, asked: &Asked, method: &str, path: &[&str]) -> Answered {
    match (method, path) {
        ("GET", []) => Ok(Answer::ok(repository(forge))),
        ("GET", ["pulls"]) => pulls::list(forge, state, asked),
        ("POST", ["pulls"]) => pulls::open(forge, state, asked),
        ("GET", ["pulls", number]) => pulls::one(forge, state, number),
        ("GET", ["commits", commit, "pulls"]) => pulls::of_commit(forge, state, commit),
        ("GET", ["collaborators", login, "permission"]) => permission(state, login),
        ("GET", ["issues", "comments"]) => comments::since(state, asked),
        ("GET", ["issues", "comments", id]) => comments::one(state, id),
        ("PATCH", ["issues", "comments", id]) => comments::update(state, asked, id),
        ("POST", ["issues", "comments", id, "reactions"]) => comments::react(state, asked, id),
        ("GET", ["issues", number, "comments"]) => comments::below(state, number),
        ("POST", ["issues", number, "comments"]) => comments::create(forge, state, asked, number),
        ("POST", ["check-runs"]) => checks::create(forge, state, asked),
        ("PATCH", ["check-runs", id]) => checks::update(state, asked, id),
        ("GET", ["commits", commit, "check-runs"]) => checks::runs(forge, state, asked, commit),
        ("POST", ["statuses", commit]) => checks::status(forge, state, asked, commit),
        ("GET", ["commits", commit, "status"]) => checks::combined(forge, state, commit),
        ("GET", ["deployments"]) => deployments::list(forge, state, asked),
        ("POST", ["deployments"]) => deployments::create(forge, state, asked),
        ("GET", ["deployments", id, "statuses"]) => deployments::statuses(state, id),
        ("POST", ["deployments", id, "statuses"]) => deployments::set_status(state, asked, id),
        _ => Err(Answer::missing()),
    }
}

/// What only the App itself may ask, by the token that its key has signed.
fn by_the_app(asked: &Asked, body: Value) -> Answered {
    match asked.who {
        Who::App => Ok(Answer::ok(body)),
        _ => Err(Answer::refused(401, "A JSON web token could not be decoded")),
    }
}

fn is_for_us(repositories: &Value) -> bool {
    repositories.as_array().is_none_or(|names| names.iter().all(|name| name == NAME))
}

fn repository(forge: &Forge) -> Value {
    json!({
        "id": 1, "name": NAME, "full_name": REPOSITORY, "owner": user(OWNER), "private": true,
        "default_branch": "main", "html_url": format!("{}/{REPOSITORY}", forge.address),
    })
}

/// <https://docs.github.com/en/rest/collaborators/collaborators#get-repository-permissions-for-a-user>
fn permission(state: &State, login: &str) -> Answered {
    let role = state.permissions.get(login).ok_or_else(Answer::missing)?;
    // There are four words for what a role comes to.
    let permission = match role.as_str() {
        "maintain" => "write",
        "triage" => "read",
        role => role,
    };
    Ok(Answer::ok(json!({"permission": permission, "role_name": role, "user": user(login)})))
}

/// A number in a path.
fn number(text: &str) -> Result<u64, Answer> {
    text.parse().map_err(|_| Answer::missing())
}
