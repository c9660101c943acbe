//! A pull request's plan as the one comment on it, and as the text of its checks.
//!
//! Keeps true: a comment fits where it goes, shortened by whole instances and never inside a block; nothing of the
//! repository breaks out of its block, mentions people or refers to issues; contents that may be secret are
//! not shown.

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
    Untouched,
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
    /// pull request does away with them.
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
