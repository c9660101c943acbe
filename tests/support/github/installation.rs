//! The App where it is installed, and what its owner does with it.

use serde_json::{Value, json};

use super::{
    APP, GitHub, OWNER, SLUG,
    forge::{State, now, user},
    rest::Answer,
    sign_in::permissions,
};

/// What the App is told.
pub const EVENTS: [&str; 5] = ["check_run", "check_suite", "issue_comment", "pull_request", "push"];

pub struct Installation {
    pub id: u64,
    /// Installed at all.
    is_there: bool,
    suspended_at: Option<String>,
    /// Whether it may read who is in which team.
    pub reads_members: bool,
}

impl Default for Installation {
    fn default() -> Self {
        Self { id: 4242, is_there: true, suspended_at: None, reads_members: true }
    }
}

impl Installation {
    /// As GitHub shows it to the App.
    pub fn shown(&self) -> Result<Value, Answer> {
        if !self.is_there {
            return Err(Answer::missing());
        }
        Ok(json!({
            "id": self.id, "app_id": APP, "app_slug": SLUG, "permissions": permissions(self.reads_members),
            "suspended_at": self.suspended_at, "account": user(OWNER), "events": EVENTS,
            "target_type": "Organization", "repository_selection": "selected", "created_at": now(), "updated_at": now(),
            "html_url": format!("https://github.test/organizations/{OWNER}/settings/installations/{}", self.id),
        }))
    }

    /// As GitHub tells of it.
    fn told(&self) -> Value {
        json!({
            "id": self.id, "app_id": APP, "app_slug": SLUG, "account": user(OWNER), "suspended_at": self.suspended_at,
            "suspended_by": self.suspended_at.as_ref().map(|_| user(OWNER)),
        })
    }

    /// Whether it may do anything.
    pub fn is_let_in(&self) -> Result<(), Answer> {
        let suspended = || Answer::refused(403, "This installation has been suspended");
        if self.suspended_at.is_some() { Err(suspended()) } else { Ok(()) }
    }
}

impl GitHub {
    /// What the installation is let in by is let in no longer.
    pub fn revokes_tokens(&self) {
        self.forge.state().tokens.clear();
    }

    pub fn suspends(&self) {
        self.installation("suspend", |state| state.installation.suspended_at = Some(now()));
    }

    pub fn unsuspends(&self) {
        self.installation("unsuspend", |state| state.installation.suspended_at = None);
    }

    /// Accepts what the App asks to be allowed besides.
    pub fn allows_more(&self) {
        self.installation("new_permissions_accepted", |_| {});
    }

    /// Who is in which team is not its business any more.
    pub fn hides_members(&self) {
        self.forge.state().installation.reads_members = false;
    }

    /// Takes the App away.
    pub fn uninstalls(&self) {
        self.installation("deleted", |state| {
            state.installation.is_there = false;
            state.tokens.clear();
        });
    }

    /// Installs it again, which makes another installation of it.
    pub fn installs(&self) {
        self.installation("created", |state| {
            state.installation = Installation { id: state.installation.id + 1, ..Installation::default() };
        });
    }

    /// Somebody else has installed the App, too.
    pub fn is_installed_elsewhere(&self) {
        let elsewhere = Installation { id: 1, ..Installation::default() };
        let mut over = json!({"action": "created", "installation": elsewhere.told()});
        over["installation"]["account"] = user("somebody");
        self.delivers("installation", &over, "somebody");
    }

    /// Lets it see one more repository.
    pub fn adds_a_repository(&self) {
        let installation = self.forge.state().installation.told();
        let over = json!({"action": "added", "installation": installation, "requester": null});
        self.delivers("installation_repositories", &over, OWNER);
    }

    fn installation(&self, action: &str, change: impl FnOnce(&mut State)) {
        let mut state = self.forge.state();
        change(&mut state);
        let installation = state.installation.told();
        drop(state);
        self.delivers("installation", &json!({"action": action, "installation": installation}), OWNER);
    }
}
