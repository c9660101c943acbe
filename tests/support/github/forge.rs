//! What the fake GitHub holds: its repository on disk, and everything else in memory, in the shape in which the REST
//! API shows it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard},
};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{
    super::git::{git, try_git},
    REPOSITORY,
    deliveries::Webhook,
    installation::Installation,
    rest::usual_rules,
    sign_in::App,
};

/// By number: it is the order in which they were made.
pub type Objects = BTreeMap<u64, Value>;

/// Who a request came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Nobody,
    /// The owner of the fine-grained token.
    Token,
    /// The App itself, by a token that its private key has signed.
    App,
    /// The App, where it is installed.
    Installation,
}

/// One request to the REST API.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// Below `/api/v3`, without the query.
    pub path: String,
    pub query: String,
    pub body: Value,
    pub who: Who,
    pub status: u16,
    /// What was answered; nothing where it has not changed.
    pub answer: Value,
}

/// What the API answers instead of doing as asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// This status, without more.
    Status(u16),
    /// A secondary limit: this status, and in how many seconds to come again.
    Limited(u16, u32),
    /// The primary limit is used up: this status, and for how many seconds.
    UsedUp(u16, u32),
    /// No answer, until the trouble is over.
    Hangs,
}

#[derive(Default)]
pub struct State {
    pub pulls: Objects,
    pub comments: Objects,
    /// Each with its `_annotations`.
    pub check_runs: Objects,
    /// Each with its `_sha`.
    pub statuses: Objects,
    pub deployments: Objects,
    /// Each with its `_deployment`.
    pub deployment_statuses: Objects,
    /// Each with its `_comment`.
    pub reactions: Objects,
    /// Collaborators, each with the name of the role.
    pub permissions: BTreeMap<String, String>,
    /// Roles of the organisation's own making, each with what it comes to.
    pub roles: BTreeMap<String, String>,
    /// Members of teams, each with `active` or `pending`.
    pub teams: BTreeMap<(String, String), String>,
    pub rulesets: Objects,
    /// Whether who asks may change rulesets, and so see who may bypass them.
    pub tells_who_bypasses: bool,
    pub installation: Installation,
    /// Installations' tokens, each with its end.
    pub tokens: BTreeMap<String, DateTime<Utc>>,
    pub log: Vec<Request>,
    /// With how often it is still to be met.
    pub trouble: Option<(Trouble, usize)>,
    /// What every write meets.
    pub no_writes: Option<Trouble>,
    pub webhook: Option<Webhook>,
    /// How much of the hour's limit is used.
    pub used: u32,
    made: u64,
}

pub struct Forge {
    pub bare: PathBuf,
    pub address: String,
    pub app: App,
    /// Told when a trouble is over.
    pub back: Notify,
    state: Mutex<State>,
}

impl Forge {
    pub fn new(bare: &Path, address: &str, app: App) -> Self {
        let rulesets = Objects::from([(42, usual_rules())]);
        let state = Mutex::new(State { rulesets, ..State::default() });
        Self { bare: bare.to_owned(), address: address.to_owned(), app, back: Notify::new(), state }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panicked with it")
    }

    pub fn git(&self, arguments: &[&str]) -> String {
        git(&self.bare, arguments)
    }

    /// The commit that a name leads to.
    pub fn commit(&self, name: &str) -> Option<String> {
        let name = format!("{name}^{{commit}}");
        try_git(&self.bare, &["rev-parse", "--quiet", "--verify", "--end-of-options", &name]).ok()
    }

    /// A pull request that is new; its number too.
    pub fn open_pull(&self, state: &mut State, new: &NewPull<'_>) -> u64 {
        let number = state.number();
        let NewPull { title, body, author, head, from, base, draft } = *new;
        let commit = self.commit(&format!("refs/heads/{base}")).unwrap_or_else(|| panic!("there is no branch {base}"));
        self.git(&["update-ref", &format!("refs/pull/{number}/head"), head.1]);
        let end = |branch: &str, commit: &str, repository: &str| {
            let (owner, name) = repository.split_once('/').unwrap_or_default();
            json!({
                "ref": branch, "sha": commit, "label": format!("{owner}:{branch}"), "user": user(owner),
                "repo": {"id": user(owner)["id"], "name": name, "full_name": repository, "owner": user(owner),
                         "private": true, "fork": repository != REPOSITORY, "default_branch": "main",
                         "html_url": format!("{}/{repository}", self.address),
                         "created_at": now(), "updated_at": now()},
            })
        };
        let pull = json!({
            "id": 1000 + number, "number": number, "title": title, "body": body, "user": user(author),
            "state": "open", "draft": draft, "locked": false,
            "url": format!("{}/api/v3/repos/{REPOSITORY}/pulls/{number}", self.address),
            "html_url": format!("{}/{REPOSITORY}/pull/{number}", self.address),
            "issue_url": format!("{}/api/v3/repos/{REPOSITORY}/issues/{number}", self.address),
            "head": end(head.0, head.1, from), "base": end(base, &commit, REPOSITORY),
            "merged_at": null, "merge_commit_sha": null, "created_at": now(), "updated_at": now(), "closed_at": null,
        });
        state.pulls.insert(number, pull);
        number
    }

    /// A comment that is new, by its number.
    pub fn comment_on(&self, state: &mut State, number: u64, author: &str, body: &str) -> u64 {
        let id = state.id();
        let api = format!("{}/api/v3/repos/{REPOSITORY}/issues", self.address);
        let at = now();
        let comment = json!({
            "id": id, "body": body, "user": user(author), "author_association": "NONE",
            "created_at": at, "updated_at": at, "issue_url": format!("{api}/{number}"),
            "url": format!("{api}/comments/{id}"),
            "html_url": format!("{}/{REPOSITORY}/pull/{number}#issuecomment-{id}", self.address),
        });
        state.comments.insert(id, comment);
        // GitHub counts a comment as an update of what it stands below.
        state.touch(number);
        id
    }
}

/// What a pull request is opened with.
#[derive(Clone, Copy)]
pub struct NewPull<'a> {
    pub title: &'a str,
    pub body: &'a str,
    pub author: &'a str,
    /// Branch and commit.
    pub head: (&'a str, &'a str),
    /// The repository that the branch lies in.
    pub from: &'a str,
    pub base: &'a str,
    pub draft: bool,
}

impl State {
    /// The number of another issue or pull request.
    fn number(&mut self) -> u64 {
        self.pulls.keys().next_back().map_or(1, |last| last + 1)
    }

    /// The number of another anything.
    pub fn id(&mut self) -> u64 {
        self.made += 1;
        100_000 + self.made
    }

    pub fn touch(&mut self, number: u64) {
        if let Some(pull) = self.pulls.get_mut(&number) {
            pull["updated_at"] = now().into();
        }
    }

    /// Ours, below a pull request or issue.
    pub fn comments_below(&self, number: u64) -> impl Iterator<Item = &Value> {
        let end = format!("/issues/{number}");
        let is_below = move |comment: &&Value| comment["issue_url"].as_str().is_some_and(|url| url.ends_with(&end));
        self.comments.values().filter(is_below)
    }
}

pub fn user(login: &str) -> Value {
    let kind = if login.ends_with("[bot]") { "Bot" } else { "User" };
    let id = login.bytes().fold(1_u64, |sum, byte| sum * 31 % 1_000_003 + u64::from(byte));
    let page = format!("https://github.test/{}", login.trim_end_matches("[bot]"));
    let mut user = json!({
        "login": login, "id": id, "node_id": format!("U_{id}"), "type": kind, "site_admin": false, "gravatar_id": "",
        "avatar_url": format!("{page}.png"), "html_url": page, "url": format!("{page}/api"),
    });
    for what in [
        "events",
        "followers",
        "following",
        "gists",
        "organizations",
        "received_events",
        "repos",
        "starred",
        "subscriptions",
    ] {
        user[format!("{what}_url")] = format!("{page}/api/{what}").into();
    }
    user
}

/// With parts of a second, which GitHub does not show: else two changes in one second would look like one.
pub fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true)
}
