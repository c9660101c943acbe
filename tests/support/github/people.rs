//! What people do on the fake GitHub, and what they see there.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    super::git::{git, try_git},
    GitHub, REPOSITORY, SLUG, TOKEN_OWNER,
    forge::{NewPull, now, user},
    rest::newest_of_deployment,
};

impl GitHub {
    /// Proposes a branch of the clone for `main`. What comes from a fork is no branch of this repository.
    pub fn opens(&self, title: &str, author: &str, branch: &str, from_fork: bool) -> u64 {
        self.proposes(title, author, branch, from_fork, false)
    }

    /// Proposes a branch of the clone, and says that it is not done yet.
    pub fn drafts(&self, title: &str, author: &str, branch: &str) -> u64 {
        self.proposes(title, author, branch, false, true)
    }

    fn proposes(&self, title: &str, author: &str, branch: &str, from_fork: bool, draft: bool) -> u64 {
        let commit = git(&self.clone, &["rev-parse", &format!("refs/heads/{branch}")]);
        let fork = format!("{author}/config");
        let from = if from_fork { fork.as_str() } else { REPOSITORY };
        // The commits have to be there before anything is told.
        let next = self.forge.state().pulls.keys().next_back().map_or(1, |last| last + 1);
        self.brings(branch, next, from_fork);
        let new = NewPull { title, body: "", author, head: (branch, &commit), from, base: "main", draft };
        let number = self.forge.open_pull(&mut self.forge.state(), &new);
        self.delivers_pull("opened", number, author, &json!({}));
        number
    }

    /// Brings what the branch is now in the clone to a pull request.
    pub fn pushes(&self, number: u64) -> String {
        let before = self.head(number);
        let (branch, author, from) = self.of(number);
        self.brings(&branch, number, from != REPOSITORY);
        let after = git(&self.clone, &["rev-parse", &format!("refs/heads/{branch}")]);
        self.changes(number, &json!({"head": {"sha": after}}));
        if from == REPOSITORY {
            self.delivers_push(&branch, Some(&before), &after, &author);
        }
        self.delivers_pull("synchronize", number, &author, &json!({"before": before, "after": after}));
        after
    }

    /// Merges it with a merge commit, which it answers.
    pub fn merges(&self, number: u64) -> String {
        let (branch, _, _) = self.of(number);
        let (before, head) = (self.forge.git(&["rev-parse", "refs/heads/main"]), self.head(number));
        let tree = self.forge.git(&["merge-tree", "--write-tree", &before, &head]);
        let message = format!("Merge pull request #{number} from {branch}");
        let commit = self.forge.git(&["commit-tree", "-p", &before, "-p", &head, "-m", &message, &tree]);
        self.forge.git(&["update-ref", "refs/heads/main", &commit, &before]);
        self.changes(
            number,
            &json!({"state": "closed", "merged_at": now(), "closed_at": now(), "merge_commit_sha": commit}),
        );
        self.delivers_push("main", Some(&before), &commit, "octocat");
        self.delivers_pull("closed", number, "octocat", &json!({}));
        commit
    }

    /// A draft is done.
    pub fn is_ready(&self, number: u64) {
        self.changes(number, &json!({"draft": false}));
        self.delivers_pull("ready_for_review", number, "octocat", &json!({}));
    }

    /// Proposes it for another branch.
    pub fn rebases(&self, number: u64, base: &str) {
        let before = self.sees(&format!("pulls/{number}"))["base"].clone();
        let owner = super::OWNER;
        self.changes(number, &json!({"base": {"ref": base, "label": format!("{owner}:{base}")}}));
        let changes = json!({"base": {"ref": {"from": before["ref"]}, "sha": {"from": before["sha"]}}});
        self.delivers_pull("edited", number, "octocat", &json!({"changes": changes}));
    }

    /// Gives it another title.
    pub fn renames(&self, number: u64, title: &str) {
        let before = self.sees(&format!("pulls/{number}"))["title"].clone();
        self.changes(number, &json!({"title": title}));
        let changes = json!({"title": {"from": before}});
        self.delivers_pull("edited", number, "octocat", &json!({"changes": changes}));
    }

    /// The fork that it comes from is deleted. GitHub keeps what was proposed, and tells nobody.
    pub fn loses_fork(&self, number: u64) {
        if let Some(pull) = self.forge.state().pulls.get_mut(&number) {
            pull["head"]["repo"] = Value::Null;
        }
    }

    pub fn closes(&self, number: u64) {
        self.changes(number, &json!({"state": "closed", "closed_at": now()}));
        self.delivers_pull("closed", number, "octocat", &json!({}));
    }

    pub fn reopens(&self, number: u64) {
        self.changes(number, &json!({"state": "open", "closed_at": null}));
        self.delivers_pull("reopened", number, "octocat", &json!({}));
    }

    /// Writes below a pull request; answers the comment's number.
    pub fn comments(&self, number: u64, login: &str, text: &str) -> u64 {
        let id = self.forge.comment_on(&mut self.forge.state(), number, login, text);
        self.delivers_comment("created", number, &self.sees(&format!("issues/comments/{id}")), &json!({}));
        id
    }

    /// Changes what is written in a comment.
    pub fn edits(&self, number: u64, comment: u64, text: &str) {
        let before = self.sees(&format!("issues/comments/{comment}"))["body"].clone();
        if let Some(comment) = self.forge.state().comments.get_mut(&comment) {
            comment["body"] = text.into();
            comment["updated_at"] = now().into();
        }
        let changes = json!({"changes": {"body": {"from": before}}});
        self.delivers_comment("edited", number, &self.sees(&format!("issues/comments/{comment}")), &changes);
    }

    /// `admin`, `maintain`, `write`, `triage`, `read` or `none`.
    pub fn lets(&self, login: &str, role: &str) {
        self.forge.state().permissions.insert(login.to_owned(), role.to_owned());
    }

    /// A role of the organisation's own making, and what it comes to.
    pub fn lets_by_role(&self, login: &str, role: &str, permission: &str) {
        self.lets(login, role);
        self.forge.state().roles.insert(role.to_owned(), permission.to_owned());
    }

    /// Somebody is in a team, `active`, or invited to it, `pending`.
    pub fn is_in_team(&self, login: &str, team: &str, membership: &str) {
        self.forge.state().teams.insert((team.to_owned(), login.to_owned()), membership.to_owned());
    }

    /// Changes the ruleset that keeps the branches of evenkeel.
    pub fn rules(&self, change: impl FnOnce(&mut Value)) {
        if let Some(ruleset) = self.forge.state().rulesets.get_mut(&42) {
            change(ruleset);
        }
    }

    /// Whether who signs in may change rulesets, and so see who may bypass them.
    pub fn tells_who_bypasses(&self, tells: bool) {
        self.forge.state().tells_who_bypasses = tells;
    }

    /// Somebody else's program says of a commit how it is: `pending`, `success`, `failure` or `error`.
    pub fn reports(&self, commit: &str, context: &str, state: &str) {
        let mut all = self.forge.state();
        let id = all.id();
        let status = json!({"id": id, "_sha": commit, "context": context, "state": state, "description": null,
                            "target_url": null, "creator": user("a-robot"), "created_at": now(), "updated_at": now()});
        all.statuses.insert(id, status);
    }

    /// The commit that is proposed.
    pub fn head(&self, number: u64) -> String {
        self.sees(&format!("pulls/{number}"))["head"]["sha"].as_str().expect("it has a head").to_owned()
    }

    /// The commit that a branch is at.
    pub fn head_of(&self, branch: &str) -> String {
        self.forge.git(&["rev-parse", &format!("refs/heads/{branch}")])
    }

    /// The first thing that evenkeel wrote below a pull request: what it has to say of it.
    pub fn comment_of_evenkeel(&self, number: u64) -> Option<String> {
        self.comments_of_evenkeel(number).into_iter().next()
    }

    /// All that evenkeel wrote below a pull request, the oldest first.
    pub fn comments_of_evenkeel(&self, number: u64) -> Vec<String> {
        let robots = [TOKEN_OWNER.to_owned(), format!("{SLUG}[bot]")];
        let state = self.forge.state();
        let ours = state
            .comments_below(number)
            .filter(|comment| robots.iter().any(|robot| comment["user"]["login"] == robot.as_str()));
        ours.filter_map(|comment| comment["body"].as_str().map(str::to_owned)).collect()
    }

    /// How people reacted to a comment: evenkeel is one of them.
    pub fn reactions(&self, comment: u64) -> Vec<String> {
        let state = self.forge.state();
        let of = state.reactions.values().filter(|reaction| reaction["_comment"] == comment);
        of.filter_map(|reaction| reaction["content"].as_str().map(str::to_owned)).collect()
    }

    /// Check runs and statuses at a commit, by name: how each ended, or how far it is.
    pub fn checks(&self, commit: &str) -> BTreeMap<String, String> {
        let runs = self.sees(&format!("commits/{commit}/check-runs"));
        let statuses = self.sees(&format!("commits/{commit}/status"));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let runs = list(&runs["check_runs"]).into_iter().map(|run| {
            let ended = if run["conclusion"].is_null() { &run["status"] } else { &run["conclusion"] };
            (text(&run["name"]), text(ended))
        });
        let statuses = list(&statuses["statuses"]).into_iter();
        runs.chain(statuses.map(|status| (text(&status["context"]), text(&status["state"])))).collect()
    }

    /// What a check run has at files and lines.
    pub fn annotations(&self, commit: &str, name: &str) -> Vec<Value> {
        let state = self.forge.state();
        let mut of = state.check_runs.values().rev().filter(|run| run["head_sha"] == commit && run["name"] == name);
        of.next().and_then(|run| run["_annotations"].as_array().cloned()).unwrap_or_default()
    }

    /// The deployments of an environment, the newest first: commit and state.
    pub fn deployments(&self, environment: &str) -> Vec<(String, String)> {
        let state = self.forge.state();
        let of = state.deployments.iter().rev().filter(|(_, of)| of["environment"] == environment);
        of.map(|(id, of)| (of["sha"].as_str().unwrap_or_default().to_owned(), newest_of_deployment(&state, *id)))
            .collect()
    }

    /// Pull requests that evenkeel opened, which are open.
    pub fn opened_by_evenkeel(&self) -> Vec<Value> {
        let all = self.sees("pulls?state=open&per_page=100");
        let is_robot = |pull: &Value| {
            [TOKEN_OWNER.to_owned(), format!("{SLUG}[bot]")].iter().any(|robot| pull["user"]["login"] == robot.as_str())
        };
        all.as_array().cloned().unwrap_or_default().into_iter().filter(is_robot).collect()
    }

    /// Branch, author, and the repository that it comes from.
    fn of(&self, number: u64) -> (String, String, String) {
        let pull = self.sees(&format!("pulls/{number}"));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&pull["head"]["ref"]), text(&pull["user"]["login"]), text(&pull["head"]["repo"]["full_name"]))
    }

    fn changes(&self, number: u64, over: &Value) {
        let mut state = self.forge.state();
        let pull = state.pulls.get_mut(&number).unwrap_or_else(|| panic!("there is no pull request {number}"));
        super::deliveries::laid_over(pull, over);
        state.touch(number);
    }

    /// Copies a branch of the clone to the repository, as what is proposed.
    fn brings(&self, branch: &str, number: u64, from_fork: bool) {
        let bare = self.forge.bare.to_str().expect("it is UTF-8");
        let (head, own) = (format!("+{branch}:refs/pull/{number}/head"), format!("+{branch}:refs/heads/{branch}"));
        let mut arguments = vec!["push", "--quiet", bare, &head];
        if !from_fork {
            arguments.push(&own);
        }
        try_git(&self.clone, &arguments).unwrap_or_else(|why| panic!("#{number}: {why}"));
    }
}
