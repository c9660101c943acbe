//! Rules of branches: whether only those may write below `evenkeel/` who are meant to.
//!
//! Keeps true: which rules hold for a branch is asked of GitHub, which reads its own patterns and knows the rules of the
//! organisation, too; what GitHub does not tell is not taken for good. Rulesets are for branches and tags: nothing at
//! GitHub keeps `refs/evenkeel/**`. <https://docs.github.com/en/rest/repos/rules>

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{GitHub, GitHubError, rest::Ask};

/// What is needed so that nobody else makes, moves or removes a branch.
pub const NEEDED: [&str; 4] = ["creation", "update", "deletion", "non_fast_forward"];

/// For GitHub `**` stands for folders only before a `/`: `evenkeel/**` would not cover `evenkeel/history/production`.
/// <https://docs.github.com/en/repositories/configuring-branches-and-merges-in-your-repository/managing-rulesets/creating-rulesets-for-a-repository#using-fnmatch-syntax>
pub const PATTERN: &str = "refs/heads/evenkeel/**/*";

/// Branches that stand for all below `evenkeel/`: those that are there, and some of each depth that nobody has named.
pub const PROBES: [&str; 4] =
    ["evenkeel/plans", "evenkeel/history/production", "evenkeel/any", "evenkeel/any/of/any/depth"];

/// A rule that holds for a branch.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct BranchRule {
    #[serde(rename = "type")]
    pub kind: String,
    /// The ruleset that it is one of.
    pub ruleset_id: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Ruleset {
    pub id: u64,
    pub name: String,
    /// The repository or organisation that has it.
    pub source: String,
    /// None where GitHub does not say.
    pub current_user_can_bypass: Option<String>,
    /// None for those who may not change it: to them GitHub does not say who may bypass it.
    pub bypass_actors: Option<Vec<Actor>>,
}

/// Somebody for whom a ruleset does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Actor {
    #[serde(rename = "actor_type")]
    pub kind: String,
    #[serde(rename = "actor_id")]
    pub id: Option<u64>,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.id {
            Some(id) => write!(f, "{}:{id}", self.kind),
            None => f.write_str(&self.kind),
        }
    }
}

impl FromStr for Actor {
    type Err = String;

    /// As it is shown.
    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, id) = match text.split_once(':') {
            Some((kind, id)) => (kind, Some(id.parse().map_err(|_| format!("`{id}` is no number"))?)),
            None => (text, None),
        };
        match kind {
            "Integration" | "OrganizationAdmin" | "RepositoryRole" | "Team" | "DeployKey" | "User" => {
                Ok(Self { kind: kind.to_owned(), id })
            }
            _ => {
                Err("write User:ID, Team:ID, Integration:ID, RepositoryRole:ID, OrganizationAdmin or DeployKey".into())
            }
        }
    }
}

impl Actor {
    pub fn app(id: u64) -> Self {
        Self { kind: "Integration".to_owned(), id: Some(id) }
    }

    /// Of two kinds there is one only, whatever number GitHub gives it.
    fn is(&self, other: &Self) -> bool {
        let is_one = matches!(self.kind.as_str(), "OrganizationAdmin" | "DeployKey");
        self.kind == other.kind && (is_one || self.id == other.id)
    }
}

/// What is wrong with the rules of a branch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// No ruleset has this rule for the branch.
    Missing { branch: String, rule: &'static str },
    /// Every ruleset with this rule lets others by, too.
    Open { rule: &'static str, ruleset: String, others: Vec<String> },
    /// A ruleset keeps evenkeel itself out, or GitHub does not say that it does not.
    KeepsUsOut { ruleset: String },
}

/// Everything that is wrong. `listed` are those who may write there.
pub fn faults(rules: &BTreeMap<String, Vec<BranchRule>>, rulesets: &[Ruleset], listed: &[Actor]) -> Vec<Fault> {
    let named = |ruleset: &Ruleset| format!("{} of {}", ruleset.name, ruleset.source);
    let others = |ruleset: &Ruleset| -> Vec<String> {
        let actors = ruleset.bypass_actors.iter().flatten();
        actors.filter(|actor| !listed.iter().any(|one| one.is(actor))).map(ToString::to_string).collect()
    };
    let mut faults = Vec::new();
    for (branch, rules) in rules {
        for needed in NEEDED {
            let ids: Vec<u64> =
                rules.iter().filter(|rule| rule.kind == needed).filter_map(|it| it.ruleset_id).collect();
            let with: Vec<&Ruleset> = rulesets.iter().filter(|ruleset| ids.contains(&ruleset.id)).collect();
            let Some(first) = with.first() else {
                faults.push(Fault::Missing { branch: branch.clone(), rule: needed });
                continue;
            };
            // All of them hold, so one that lets nobody else by is enough; but each has to let us by.
            if with.iter().all(|ruleset| !others(ruleset).is_empty()) {
                faults.push(Fault::Open { rule: needed, ruleset: named(first), others: others(first) });
            }
            let bypassed =
                |ruleset: &&&Ruleset| matches!(ruleset.current_user_can_bypass.as_deref(), Some("always" | "exempt"));
            let out = with.iter().filter(|ruleset| !bypassed(ruleset));
            faults.extend(out.map(|ruleset| Fault::KeepsUsOut { ruleset: named(ruleset) }));
        }
    }
    faults.sort();
    faults.dedup();
    faults
}

/// The ruleset to register, as GitHub imports it or has it posted.
pub fn ruleset(app: Option<u64>) -> Value {
    json!({
        "name": "evenkeel",
        "target": "branch",
        "enforcement": "active",
        "conditions": {"ref_name": {"include": [PATTERN], "exclude": []}},
        "rules": NEEDED.map(|kind| json!({"type": kind})),
        "bypass_actors": [{"actor_id": app.unwrap_or_default(), "actor_type": "Integration", "bypass_mode": "always"}],
    })
}

impl GitHub {
    /// All rules that hold for a branch, whoever made them. The branch need not be there.
    /// <https://docs.github.com/en/rest/repos/rules#get-rules-for-a-branch>
    pub async fn rules_of_branch(&self, branch: &str) -> Result<Vec<BranchRule>, GitHubError> {
        self.rest.list::<Vec<BranchRule>, _>(Ask::get(self.url(&["rules", "branches", branch])?)).await
    }

    /// One that holds for the repository, be it the organisation's.
    /// <https://docs.github.com/en/rest/repos/rules#get-a-repository-ruleset>
    pub async fn ruleset(&self, id: u64) -> Result<Ruleset, GitHubError> {
        self.rest.read(&Ask::get(self.url(&["rulesets", &id.to_string()])?)).await
    }

    /// The number of the App that one signs in as.
    pub fn app_id(&self) -> Option<u64> {
        match self.rest.session.sign_in {
            super::SignIn::App { id, .. } => Some(id),
            super::SignIn::Token { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_rules(ruleset: u64) -> Vec<BranchRule> {
        NEEDED.map(|kind| BranchRule { kind: kind.to_owned(), ruleset_id: Some(ruleset) }).into()
    }

    fn ruleset(id: u64, bypass: &str, actors: Option<&[&str]>) -> Ruleset {
        let actor = |text: &&str| text.parse().expect("it is an actor");
        Ruleset {
            id,
            name: format!("r{id}"),
            source: "acme".to_owned(),
            current_user_can_bypass: Some(bypass.to_owned()),
            bypass_actors: actors.map(|actors| actors.iter().map(actor).collect()),
        }
    }

    fn judged(rules: Vec<BranchRule>, rulesets: &[Ruleset]) -> Vec<Fault> {
        let listed = [Actor::app(7), "User:3".parse().expect("it is an actor")];
        faults(&BTreeMap::from([("evenkeel/any".to_owned(), rules)]), rulesets, &listed)
    }

    #[test]
    fn a_branch_is_kept_by_all_four_rules_that_let_nobody_by_but_the_listed() {
        let good = ruleset(1, "always", Some(&["Integration:7", "User:3"]));
        assert_eq!(judged(all_rules(1), std::slice::from_ref(&good)), []);
        let branch = || "evenkeel/any".to_owned();
        for rule in NEEDED {
            let rules = all_rules(1).into_iter().filter(|one| one.kind != rule).collect();
            assert_eq!(judged(rules, std::slice::from_ref(&good)), [Fault::Missing { branch: branch(), rule }]);
        }
        let open =
            ruleset(1, "always", Some(&["Integration:7", "RepositoryRole:5", "OrganizationAdmin", "Integration:8"]));
        let found = judged(all_rules(1), std::slice::from_ref(&open));
        let others = ["RepositoryRole:5", "OrganizationAdmin", "Integration:8"].map(str::to_owned).to_vec();
        assert!(found.contains(&Fault::Open { rule: "update", ruleset: "r1 of acme".to_owned(), others }), "{found:?}");
        assert_eq!(found.len(), NEEDED.len());
        let both = [all_rules(1), all_rules(2)].concat();
        let second = ruleset(2, "always", Some(&["Integration:7"]));
        assert_eq!(judged(both, &[open, second]), [], "the second lets nobody else by");
    }

    #[test]
    fn rules_that_keep_evenkeel_out_or_may_do_so_are_a_fault() {
        let out = [Fault::KeepsUsOut { ruleset: "r1 of acme".to_owned() }];
        for bypass in ["never", "pull_requests_only"] {
            assert_eq!(judged(all_rules(1), &[ruleset(1, bypass, None)]), out);
        }
        let unsaid = Ruleset { current_user_can_bypass: None, ..ruleset(1, "", None) };
        assert_eq!(judged(all_rules(1), &[unsaid]), out);
        assert_eq!(judged(all_rules(1), &[ruleset(1, "exempt", None)]), []);
    }
}
