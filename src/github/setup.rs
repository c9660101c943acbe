//! What an App or a token must be allowed, and what the App is told.
//!
//! Which permission an endpoint and an event ask for:
//! <https://docs.github.com/en/rest/authentication/permissions-required-for-github-apps>,
//! <https://docs.github.com/en/webhooks/webhook-events-and-payloads>.

use reqwest::Url;
use serde_json::{Value, json};

use super::{Installation, SettingsError};

/// A permission, and how much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needed {
    /// As the API writes it.
    pub name: &'static str,
    /// As GitHub's pages write it.
    pub title: &'static str,
    /// `read` or `write`.
    pub access: &'static str,
    pub why: &'static str,
}

const fn needed(name: &'static str, title: &'static str, access: &'static str, why: &'static str) -> Needed {
    Needed { name, title, access, why }
}

const CONTENTS: Needed =
    needed("contents", "Contents", "write", "git: reading, and the history's and the reverts' branches");
const PULLS: Needed = needed("pull_requests", "Pull requests", "write", "the comment with the plan; reverts");
/// For GitHub, a comment on a pull request is one on an issue. Reacting to one asks for this and nothing else will do,
/// and so does hearing of one.
const ISSUES: Needed = needed("issues", "Issues", "write", "hearing of commands in comments, and reacting to them");
const DEPLOYMENTS: Needed = needed("deployments", "Deployments", "write", "what is deployed where, and how it ended");
const METADATA: Needed =
    needed("metadata", "Metadata", "read", "the default branch; who may give commands; the rules of branches");

pub const APP: &[Needed] = &[
    CONTENTS,
    PULLS,
    ISSUES,
    needed("checks", "Checks", "write", "what was found, at file and line; `require_checks`"),
    needed("statuses", "Commit statuses", "read", "`require_checks`"),
    DEPLOYMENTS,
    METADATA,
];

/// Checks are not among them: only an App can write any.
pub const TOKEN: &[Needed] = &[
    CONTENTS,
    PULLS,
    ISSUES,
    needed("statuses", "Commit statuses", "write", "what was found; `require_checks`"),
    DEPLOYMENTS,
    METADATA,
];

/// What is needed only where `commands` of an environment names teams: a permission of the organisation, not of the
/// repository.
pub const TEAMS: Needed = needed("members", "Members", "read", "teams in `commands`, if any are named there");

/// What of its installation an App is told besides.
pub const EVENTS: &[&str] = &["push", "pull_request", "issue_comment", "check_run", "check_suite"];

/// An App that is to be registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewApp {
    pub name: String,
    /// Who owns it. None for oneself.
    pub organisation: Option<String>,
    /// Where GitHub is to deliver events. None where polling is enough.
    pub webhook: Option<Url>,
}

impl NewApp {
    /// <https://docs.github.com/en/apps/sharing-github-apps/registering-a-github-app-from-a-manifest>
    pub fn manifest(&self, web: &Url) -> Value {
        let permissions: serde_json::Map<String, Value> =
            APP.iter().map(|needed| (needed.name.to_owned(), needed.access.into())).collect();
        let mut manifest = json!({
            "name": self.name,
            "url": self.homepage(web).as_str(),
            "public": false,
            "default_permissions": permissions,
        });
        if let Some(webhook) = &self.webhook {
            manifest["hook_attributes"] = json!({"url": webhook.as_str(), "active": true});
            manifest["default_events"] = EVENTS.into();
        }
        manifest
    }

    /// The page where one registers it, filled in.
    /// <https://docs.github.com/en/apps/sharing-github-apps/registering-a-github-app-using-url-parameters>
    pub fn registration(&self, web: &Url) -> Url {
        let mut url = self.page(web);
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("name", &self.name).append_pair("url", self.homepage(web).as_str());
            query.append_pair("public", "false");
            query.append_pair("webhook_active", if self.webhook.is_some() { "true" } else { "false" });
            for needed in APP {
                query.append_pair(needed.name, needed.access);
            }
            if let Some(webhook) = &self.webhook {
                query.append_pair("webhook_url", webhook.as_str());
                for event in EVENTS {
                    query.append_pair("events[]", event);
                }
            }
        }
        url
    }

    /// The page where one registers it.
    fn page(&self, web: &Url) -> Url {
        let mut url = web.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.clear();
            if let Some(organisation) = &self.organisation {
                path.extend(["organizations", organisation]);
            }
            path.extend(["settings", "apps", "new"]);
        }
        url
    }

    /// GitHub asks for one; that of the owner harms nobody.
    fn homepage(&self, web: &Url) -> Url {
        let mut url = web.clone();
        url.set_path(self.organisation.as_deref().unwrap_or_default());
        url
    }
}

/// Where people see what the API tells of.
pub fn web(api: &Url) -> Result<Url, SettingsError> {
    let mut url = api.clone();
    let host = api.host_str().unwrap_or_default();
    // An Enterprise Server has its API below a path, and not at a host of its own.
    if let (Some(host), "/") = (host.strip_prefix("api."), api.path()) {
        url.set_host(Some(host)).map_err(|_| SettingsError::Api { text: api.to_string(), why: "it has no host" })?;
    }
    url.set_path("");
    Ok(url)
}

impl Installation {
    /// Whether GitHub tells it who is in a team.
    pub fn reads_teams(&self) -> bool {
        self.permissions.contains_key(TEAMS.name)
    }

    /// What it should be allowed and is not, with what it is allowed of it.
    pub fn lacks(&self) -> Vec<(Needed, Option<&str>)> {
        let rank = |access: &str| ["read", "write", "admin"].iter().position(|one| *one == access);
        let held = |needed: &Needed| self.permissions.get(needed.name).map(String::as_str);
        let enough = |needed: &Needed| held(needed).and_then(rank) >= rank(needed.access);
        APP.iter().filter(|needed| !enough(needed)).map(|needed| (*needed, held(needed))).collect()
    }

    /// The events that it should be told of and is not.
    pub fn not_told(&self) -> Vec<&'static str> {
        EVENTS.iter().copied().filter(|event| !self.events.iter().any(|told| told == event)).collect()
    }
}
