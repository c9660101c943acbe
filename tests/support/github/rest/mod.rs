//! The REST API: which request means what, and what all of them are checked for.
//!
//! Keeps true: a body and a query hold what GitHub describes and nothing else, where GitHub itself lets unknown fields
//! pass in silence, which would hide a misspelt one; an answer says nothing that GitHub does not describe, which
//! `tests/github/faked.rs` holds against its own description. What is kept beside that begins with `_`.

mod checks;
mod comments;
mod deployments;
mod pulls;
mod rules;
mod shape;

use std::collections::BTreeMap;

pub use deployments::newest as newest_of_deployment;
pub use rules::usual as usual_rules;

use serde_json::{Value, json};

use super::{
    APP, NAME, OWNER, REPOSITORY, SLUG, TOKEN_OWNER,
    forge::{Forge, State, Who, now, user},
    installation::EVENTS,
    sign_in::{installation_token, permissions},
};
use shape::{Field, Kind, Shape};

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

    pub fn query_pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.query.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl Answer {
    fn ok(body: impl Into<Value>) -> Self {
        Self { status: 200, body: shown(body.into()) }
    }

    fn created(body: Value) -> Self {
        Self { status: 201, body: shown(body) }
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

/// Without what is kept for ourselves.
fn shown(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let open = fields.into_iter().filter(|(name, _)| !name.starts_with('_'));
            open.map(|(name, value)| (name, shown(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(shown).collect(),
        other => other,
    }
}

/// Does as asked, or says why not.
pub fn answer(forge: &Forge, state: &mut State, asked: &Asked) -> Answer {
    done(forge, state, asked).unwrap_or_else(|refused| refused)
}

fn done(forge: &Forge, state: &mut State, asked: &Asked) -> Answered {
    let segments: Vec<&str> = asked.segments.iter().map(String::as_str).collect();
    asked.queries(queries(&asked.method, segments.get(3..).unwrap_or_default()))?;
    if asked.who == Who::Installation {
        state.installation.is_let_in()?;
    }
    match (asked.method.as_str(), segments.as_slice()) {
        ("GET", ["app"]) => by_the_app(asked, app(forge)),
        ("GET", ["repos", OWNER, NAME, "installation"]) => by_the_app(asked, state.installation.shown()?),
        ("POST", ["app", "installations", id, "access_tokens"]) => {
            by_the_app(asked, Value::Null)?;
            asked.has(&TOKEN)?;
            state.installation.shown()?;
            state.installation.is_let_in()?;
            let ours = *id == state.installation.id.to_string() && is_for_us(&asked.body["repositories"]);
            if ours { Ok(Answer::created(installation_token(state))) } else { Err(Answer::missing()) }
        }
        _ if asked.who == Who::App => {
            Err(Answer::refused(403, "Resource not accessible by integration: this wants an installation's token"))
        }
        _ if asked.who == Who::Nobody => Err(Answer::refused(401, "Requires authentication")),
        ("GET", ["user"]) if asked.who == Who::Token => Ok(Answer::ok(token_owner())),
        ("GET", ["user"]) => Err(Answer::refused(403, "Resource not accessible by integration")),
        ("GET", ["orgs", organisation, "teams", slug, "memberships", login]) => {
            membership(forge, state, asked, &format!("{organisation}/{slug}"), login)
        }
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
        ("GET", ["rules", "branches", branch]) => rules::of_branch(state, branch),
        ("GET", ["rulesets", id]) => rules::one(state, asked, id),
        ("GET", ["issues", "comments"]) => comments::since(state, asked),
        ("GET", ["issues", "comments", id]) => comments::one(state, id),
        ("PATCH", ["issues", "comments", id]) => comments::update(state, asked, id),
        ("GET", ["issues", "comments", id, "reactions"]) => comments::reactions(state, asked, id),
        ("POST", ["issues", "comments", id, "reactions"]) => comments::react(state, asked, id),
        ("GET", ["issues", number, "comments"]) => comments::below(state, asked, number),
        ("POST", ["issues", number, "comments"]) => comments::create(forge, state, asked, number),
        ("POST", ["check-runs"]) => checks::create(forge, state, asked),
        ("PATCH", ["check-runs", id]) => checks::update(state, asked, id),
        ("GET", ["commits", commit, "check-runs"]) => checks::runs(forge, state, asked, commit),
        ("POST", ["statuses", commit]) => checks::status(forge, state, asked, commit),
        ("GET", ["commits", commit, "status"]) => checks::combined(forge, state, commit),
        ("GET", ["deployments"]) => deployments::list(forge, state, asked),
        ("POST", ["deployments"]) => deployments::create(forge, state, asked),
        ("GET", ["deployments", id, "statuses"]) => deployments::statuses(state, id),
        ("POST", ["deployments", id, "statuses"]) => deployments::set_status(forge, state, asked, id),
        _ => Err(Answer::missing()),
    }
}

const PER_PAGE: Field = ("per_page", Kind::Counted);
const PAGE: Field = ("page", Kind::Counted);
const DIRECTIONS: Kind = Kind::OneOf(&["asc", "desc"]);

/// What may be asked besides the path.
fn queries(method: &str, path: &[&str]) -> &'static [Field] {
    match (method, path) {
        ("GET", ["pulls"]) => &[
            PER_PAGE,
            PAGE,
            ("state", Kind::OneOf(&["open", "closed", "all"])),
            ("head", Kind::Text),
            ("base", Kind::Text),
            ("sort", Kind::OneOf(&["created", "updated", "popularity", "long-running"])),
            ("direction", DIRECTIONS),
        ],
        ("GET", ["issues", "comments"]) => &[
            PER_PAGE,
            PAGE,
            ("sort", Kind::OneOf(&["created", "updated"])),
            ("direction", DIRECTIONS),
            ("since", Kind::Time),
        ],
        ("GET", ["issues", "comments", _, "reactions"]) => &[PER_PAGE, PAGE, ("content", comments::CONTENTS)],
        ("GET", ["issues", _, "comments"]) => &[PER_PAGE, PAGE, ("since", Kind::Time)],
        ("GET", ["commits", _, "check-runs"]) => &[
            PER_PAGE,
            PAGE,
            ("check_name", Kind::Text),
            ("status", Kind::OneOf(checks::PROGRESS)),
            ("filter", Kind::OneOf(&["latest", "all"])),
            ("app_id", Kind::Number),
        ],
        ("GET", ["deployments"]) => &[
            PER_PAGE,
            PAGE,
            ("sha", Kind::Text),
            ("ref", Kind::Text),
            ("task", Kind::Text),
            ("environment", Kind::Text),
        ],
        ("GET", ["rulesets", _]) => &[("includes_parents", Kind::Flag)],
        ("GET", ["rules", "branches", _] | ["commits", _, "pulls" | "status"] | ["deployments", _, "statuses"]) => {
            &[PER_PAGE, PAGE]
        }
        _ => &[],
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

/// As GitHub shows somebody to themselves.
fn token_owner() -> Value {
    let mut owner = user(TOKEN_OWNER);
    owner["name"] = Value::Null;
    owner["created_at"] = now().into();
    owner["updated_at"] = now().into();
    owner
}

const TOKEN: Shape = Shape {
    required: &[],
    optional: &[
        ("repositories", Kind::List(500, &Kind::Text)),
        ("repository_ids", Kind::List(500, &Kind::Number)),
        ("permissions", Kind::Holds(&Shape { required: &[], optional: &[] })),
    ],
};

fn app(forge: &Forge) -> Value {
    json!({
        "id": APP, "slug": SLUG, "name": SLUG, "owner": user(OWNER), "permissions": permissions(true), "events": EVENTS,
        "html_url": format!("{}/apps/{SLUG}", forge.address), "created_at": now(), "updated_at": now(),
    })
}

fn repository(forge: &Forge) -> Value {
    json!({
        "id": 1, "name": NAME, "full_name": REPOSITORY, "owner": user(OWNER), "private": true, "fork": false,
        "default_branch": "main", "html_url": format!("{}/{REPOSITORY}", forge.address),
        "created_at": now(), "updated_at": now(),
    })
}

/// As it stands in other answers.
fn small_repository(forge: &Forge) -> Value {
    let mut small = repository(forge);
    for name in ["default_branch", "created_at", "updated_at"] {
        small.as_object_mut().map(|fields| fields.remove(name));
    }
    small
}

/// In a private repository, who has no role may do nothing; for GitHub that is an answer like any other.
/// <https://docs.github.com/en/rest/collaborators/collaborators#get-repository-permissions-for-a-user>
fn permission(state: &State, login: &str) -> Answered {
    let role = state.permissions.get(login).map_or("none", String::as_str);
    // There are four words for what a role comes to.
    let permission = match role {
        "maintain" => "write",
        "triage" => "read",
        role => state.roles.get(role).map_or(role, String::as_str),
    };
    let mut who = user(login);
    who["role_name"] = role.into();
    Ok(Answer::ok(json!({"permission": permission, "role_name": role, "user": who})))
}

/// Of a team that is not there, or that one may not see, GitHub says the same as of somebody who is not in it.
/// <https://docs.github.com/en/rest/teams/members#get-team-membership-for-a-user>
fn membership(forge: &Forge, state: &State, asked: &Asked, team: &str, login: &str) -> Answered {
    if asked.who == Who::Installation && !state.installation.reads_members {
        return Err(Answer::refused(403, "Resource not accessible by integration"));
    }
    let membership = state.teams.get(&(team.to_owned(), login.to_owned())).ok_or_else(Answer::missing)?;
    let (organisation, slug) = team.split_once('/').unwrap_or_default();
    let url = format!("{}/api/v3/orgs/{organisation}/teams/{slug}/memberships/{login}", forge.address);
    Ok(Answer::ok(json!({"url": url, "role": "member", "state": membership})))
}

/// A number in a path.
fn number(text: &str) -> Result<u64, Answer> {
    text.parse().map_err(|_| Answer::missing())
}
