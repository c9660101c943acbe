//! What is said of pull requests on their forge: the comment with the plan, the texts of checks, the report of a
//! deployment, answers to commands.
//!
//! Keeps true: a text fits where it goes, shortened by whole parts and never inside a block; nothing of the
//! repository or of a host breaks out of its block, mentions people or refers to issues; what only a host holds is
//! not shown.

mod answers;
mod blocks;
mod changes;
mod checks;
mod deployed;
mod document;
mod headline;
mod markdown;
mod overview;
mod plan;
mod releases;
mod requests;

pub use answers::{Answer, COMMANDS, answer};
pub use checks::{deploy_check, let_go_check, queued_check, together};
pub use deployed::{DeployedView, Replicas, deployed, deployed_marker, revert_body, revert_title};
pub use headline::headline;
pub use plan::{Dated, ProposalReport, proposal};

use std::collections::BTreeMap;

use crate::model::{
    desired::Resource,
    finding::Finding,
    name::{EnvironmentName, InstanceName, ServiceName},
    plan::Plan,
    pull::PullRequest,
    release::Release,
    source::Source,
};

/// What the comment with the plan begins with, not shown to people: it is found by it, and updated in place.
pub const MARKER: &str = "<!-- evenkeel:plan -->";
/// What follows that at once where the plan waits: then the commit, and an end of the comment.
const WAITS_FOR: &str = "\n<!-- evenkeel:waits ";

/// Whether a comment is the one with the plan. Anybody can begin theirs so: whose it is has to be asked too.
pub fn is_plan(comment: &str) -> bool {
    comment.trim_start().starts_with(MARKER)
}

/// The commit for which a comment waits until somebody asks for its plan. It stands where nothing from outside can.
pub fn waits_for(comment: &str) -> Option<&str> {
    let rest = comment.trim_start().strip_prefix(MARKER)?.strip_prefix(WAITS_FOR)?;
    rest.split_once(" -->").map(|(commit, _)| commit)
}

/// The longest comment that GitHub takes, in characters. Bytes are counted here, which are never fewer.
///
/// It is told by the API's answer to a longer one: `body is too long (maximum is 65536 characters)`.
pub const LONGEST_COMMENT: usize = 65_536;

/// What is known of a pull request, to be shown.
#[derive(Debug)]
pub struct PullView<'a> {
    pub pull: &'a PullRequest,
    /// The head of the base branch that it was merged with, on this machine only.
    pub base: &'a str,
    /// RFC 3339, when the hosts were looked at.
    pub when: &'a str,
    /// Where the whole text is, when it is too long for a comment.
    pub rest: Rest<'a>,
    /// What is to be said of what is declared, and does not stand in the way: warnings.
    pub warnings: &'a [Finding],
    pub content: PullContent<'a>,
}

/// Where what was left out of a comment can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest<'a> {
    /// In the details of the check `evenkeel/plan`.
    Check,
    /// In a file, with the address where people read it.
    File(&'a str),
}

#[derive(Debug)]
pub enum PullContent<'a> {
    /// It changes nothing that is deployed.
    Untouched {
        /// Whether any environment follows the branch that it is proposed for.
        followed: bool,
    },
    /// It comes from another repository, and nobody who may write here has asked for its plan.
    Fork,
    /// These paths were changed on both sides.
    Conflict(&'a [String]),
    /// It cannot be looked at, with the reason: too large, or not to be fetched.
    Refused(&'a str),
    /// What is declared does not validate.
    Invalid(&'a [Finding]),
    /// Each environment that it changes something of, in the order of their names.
    Planned(Vec<PlannedEnvironment<'a>>),
}

#[derive(Debug)]
pub struct PlannedEnvironment<'a> {
    pub environment: &'a EnvironmentName,
    /// What would be done once it is merged.
    pub plan: &'a Plan,
    /// What would be done without it: drift, and what is not deployed yet. Its steps are in `plan` too, unless the
    /// pull request does away with them. All of them: what the drift policy leaves as it is a deployment puts right.
    pub before: &'a Plan,
    /// Each release that would be another one.
    pub releases: Vec<ReleaseChange<'a>>,
    /// What the base does not have, and so is not fetched before the merge.
    pub unresolved: Vec<Unresolved<'a>>,
    /// On how many instances each service runs once it is merged.
    pub replicas: BTreeMap<ServiceName, usize>,
    /// Why it would not be deployed at once when it is merged: a hold, a quarantine.
    pub barred: Option<&'a str>,
}

/// A source that nobody trusts yet.
#[derive(Debug, Clone)]
pub struct Unresolved<'a> {
    /// What would run from it, or serve it.
    pub resource: Resource,
    pub source: &'a Source,
}

/// What a service or site would run from.
#[derive(Debug)]
pub struct ReleaseChange<'a> {
    pub resource: Resource,
    pub instances: Vec<InstanceName>,
    /// None: it is new.
    pub from: Option<&'a Release>,
    pub to: &'a Release,
}
