//! What stands in an environment between deployments: the last good one, what is quarantined, who holds
//! what, what it is pinned to. Kept as `standing.json` on the history branch, beside the newest record.
//!
//! Keeps true: every change of it is a commit there, so there is no other state to lose.
//!
//! What outlives a deployment is in the history too, as `standing.json`
//! (`EnvironmentState`): the last good commits, what is quarantined, held, pinned. Each change of it is a commit.
//! Which causes of failure quarantine the commits is a closed list (`Cause::condemns`). A host's script names the
//! cause of each step that fails by the status it ends with: 65 for the commit's own, 75 for what changed since the
//! plan; any other status is the host's, and the deployment is tried again. What is drift and what is change is told
//! by a digest over what is declared, not by the commit: a commit that declares the same is no change. Drift is left
//! to the controller that deployed last, until it neglects it for four looks: two that repair the same would take
//! each other's work for something that was cut off. A repair has no intent, so it needs a history that tells of all
//! that the instances have seen; without, it is a deployment, whose intent shows who else is at it. What was deployed
//! in part is kept up, and completed, in the place of the last good one until it fails somewhere; but not where
//! somebody left instances out by choice (`apply -i`).

use serde::{Deserialize, Serialize};

use super::{
    build::BuiltReleases,
    commit::CommitId,
    digest::Digest,
    failure::Failure,
    name::InstanceName,
    outcome::{Cause, Conclusion, Kind, Outcome, Record},
    plan::Commits,
};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentState {
    /// The newest deployment that ended `applied`, or was found live everywhere later.
    #[serde(default)]
    pub good: Option<Good>,
    /// Deployed since then to every instance that could be reached, and not yet live on the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<Good>,
    /// Not tried again until a newer commit, or `retry`.
    #[serde(default)]
    pub quarantine: Vec<Quarantined>,
    #[serde(default)]
    pub holds: Vec<Hold>,
    #[serde(default)]
    pub pin: Option<Pin>,
    /// A person said that going back behind the deployed commit is meant.
    #[serde(default)]
    pub rewind_to: Option<Commits>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Good {
    pub commits: Commits,
    pub generation: u64,
    /// Over what they declare. A commit that declares the same is no change.
    #[serde(default)]
    pub desired: Option<Digest>,
    /// What is live of builds. Whoever has not built it knows by this what it is.
    #[serde(default, skip_serializing_if = "BuiltReleases::is_empty")]
    pub builds: BuiltReleases,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    pub commits: Commits,
    pub generation: u64,
    /// What failed, in one line.
    pub why: String,
}

/// Somebody asked that nothing be changed: nowhere, or on one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// None: the whole environment.
    pub instance: Option<InstanceName>,
    pub owner: String,
    pub reason: String,
    /// RFC 3339.
    pub since: String,
}

/// The environment is kept at these commits, until its branches hold others than `instead_of`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    pub commits: Commits,
    pub instead_of: Commits,
    pub owner: String,
}

/// What a person, or the controller for one, changed of it. `event.json` of the commit that records it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StateEvent {
    pub control: Control,
    /// Who asked.
    pub by: String,
    /// Why, where somebody said so; a hold and a cancellation have their reasons in `control`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// RFC 3339.
    pub when: String,
}

/// What can be asked of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Control {
    Hold {
        instance: Option<InstanceName>,
        reason: String,
    },
    Resume {
        instance: Option<InstanceName>,
    },
    /// Lifts the quarantine, and does not wait for a backoff. With `allow_rewind`, also when these commits
    /// leave out the deployed one.
    Retry {
        commits: Commits,
        allow_rewind: bool,
    },
    /// Ends what runs at the next safe step, and undoes it.
    Cancel {
        reason: String,
    },
    /// What had been deployed in part is found live everywhere.
    Complete {
        commits: Commits,
        generation: u64,
        desired: Digest,
        #[serde(default, skip_serializing_if = "BuiltReleases::is_empty")]
        builds: BuiltReleases,
    },
    /// The controller's process died again and again while it prepared these commits.
    Quarantine {
        commits: Commits,
        why: String,
    },
    /// Keeps the environment at an earlier deployment.
    Pin {
        commits: Commits,
        instead_of: Commits,
        generation: u64,
    },
}

/// Why the newest commits are not being deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Barred {
    /// The whole loop only observes.
    ObserveOnly,
    Held,
    /// Another controller has a deployment under way.
    StoodBack,
    /// Another controller deployed last, and repairs drift as long as it lives.
    StandsBy,
    Quarantined,
    /// They leave out the deployed commit.
    Rewind,
    /// Checks that the environment asks for are not green on them.
    Checks,
    /// No deployment may begin now; until when, in seconds since 1970, as far as that can be told.
    Closed {
        until: Option<i64>,
    },
    /// They failed a moment ago, and are tried again later.
    Later,
}

impl EnvironmentState {
    /// Quarantined pairs of commits that are kept; older ones are of branches that have long moved on.
    pub const QUARANTINED: usize = 20;

    /// As it is after the event. A cancellation changes nothing by itself: the outcome does.
    pub fn after(mut self, event: &StateEvent) -> Self {
        match &event.control {
            Control::Hold { instance, reason } => {
                self.holds.retain(|hold| hold.instance != *instance);
                self.holds.push(Hold {
                    instance: instance.clone(),
                    owner: event.by.clone(),
                    reason: reason.clone(),
                    since: event.when.clone(),
                });
            }
            Control::Resume { instance } => self.holds.retain(|hold| hold.instance != *instance),
            Control::Retry { commits, allow_rewind } => {
                self.quarantine.retain(|quarantined| !quarantined.commits.same_config(commits));
                if *allow_rewind {
                    self.rewind_to = Some(commits.clone());
                }
            }
            Control::Cancel { .. } => {}
            Control::Complete { commits, generation, desired, builds } => {
                let (commits, builds) = (commits.clone(), builds.clone());
                self.good = Some(Good { commits, generation: *generation, desired: Some(*desired), builds });
                self.partial = None;
                self.rewind_to = None;
            }
            Control::Quarantine { commits, why } => {
                let generation = self.good.as_ref().map_or(0, |good| good.generation);
                self.put_in_quarantine(Quarantined { commits: commits.clone(), generation, why: why.clone() });
            }
            Control::Pin { commits, instead_of, .. } => {
                self.quarantine.retain(|quarantined| quarantined.commits != *commits);
                let (commits, instead_of) = (commits.clone(), instead_of.clone());
                self.pin = Some(Pin { commits, instead_of, owner: event.by.clone() });
            }
        }
        self
    }

    /// As it is after a deployment has ended.
    pub fn concluded(mut self, deployment: &Conclusion) -> Self {
        let (commits, generation) = (&deployment.commits, deployment.generation);
        let builds = deployment.builds.clone();
        let live = Good { commits: commits.clone(), generation, desired: deployment.desired, builds };
        match deployment.outcome() {
            // What names no commit was an intent whose commits did not count.
            Outcome::Applied if commits.environment.is_some() => {
                // What is live everywhere and well is not kept from being repaired.
                self.quarantine.retain(|quarantined| quarantined.commits != *commits);
                self.good = Some(live);
                self.partial = None;
                // What was asked for while drift was repaired is to come yet.
                if deployment.kind == Kind::Change {
                    self.rewind_to = None;
                    // Something newer is live: what it was pinned instead of is past.
                    self.pin = self.pin.filter(|pin| pin.commits == deployment.commits);
                }
            }
            // Who leaves instances out by choice tries something there: nobody asked for it to go on elsewhere.
            Outcome::Partial
                if deployment.kind == Kind::Change
                    && commits.environment.is_some()
                    && deployment.left_out.is_empty() =>
            {
                self.partial = Some(live);
            }
            // That a repair failed says nothing of the commits: they ran before.
            Outcome::RolledBack | Outcome::RollbackFailed | Outcome::Refused if deployment.kind == Kind::Change => {
                if let Some(failure) = deployment.failure.as_ref().filter(|failure| failure.cause.condemns()) {
                    self.quarantine(commits, generation, failure);
                }
            }
            Outcome::Stopped => {
                let reason = format!("generation {generation} failed, and rollback_on_failure is false");
                let owner = "evenkeel".to_owned();
                self.holds.retain(|hold| hold.instance.is_some());
                self.holds.push(Hold { instance: None, owner, reason, since: deployment.started.clone() });
            }
            _ => {}
        }
        self
    }

    /// What is kept up while nothing newer can be deployed. What began to go live goes back only when it has
    /// failed somewhere.
    pub fn kept_up(&self) -> Option<&Good> {
        self.partial.as_ref().filter(|partial| self.quarantined(&partial.commits).is_none()).or(self.good.as_ref())
    }

    fn quarantine(&mut self, commits: &Commits, generation: u64, failure: &Failure) {
        let first_line = failure.message.lines().next().unwrap_or_default();
        let why = match (failure.cause, failure.instance()) {
            (Cause::Cancelled, _) => format!("cancelled {first_line}"),
            (Cause::Build, _) | (_, None) => first_line.to_owned(),
            (_, Some(instance)) => format!("{instance}: {first_line}"),
        };
        self.put_in_quarantine(Quarantined { commits: commits.clone(), generation, why });
    }

    fn put_in_quarantine(&mut self, quarantined: Quarantined) {
        self.quarantine.retain(|before| before.commits != quarantined.commits);
        self.quarantine.push(quarantined);
        let surplus = self.quarantine.len().saturating_sub(Self::QUARANTINED);
        self.quarantine.drain(..surplus);
    }

    pub fn quarantined(&self, commits: &Commits) -> Option<&Quarantined> {
        self.quarantine.iter().find(|quarantined| quarantined.commits == *commits)
    }

    /// The hold on the whole environment.
    pub fn hold(&self) -> Option<&Hold> {
        self.holds.iter().find(|hold| hold.instance.is_none())
    }

    pub fn held_instances(&self) -> impl Iterator<Item = (&InstanceName, &Hold)> {
        self.holds.iter().filter_map(|hold| Some((hold.instance.as_ref()?, hold)))
    }

    /// What the environment is to be brought to, given what its branches hold.
    pub fn target<'a>(&'a self, wanted: &'a Commits) -> &'a Commits {
        match &self.pin {
            Some(pin) if pin.instead_of.same_config(wanted) => &pin.commits,
            _ => wanted,
        }
    }
}

/// What stands against deploying, for a person who asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotPermitted {
    Barred(Barred),
    /// What is live is not known: the history names commits that do not count.
    Doubted,
    /// Checks that have to be green first.
    Checks(Vec<String>),
}

/// One commit of the history branch: a deployment's intent or outcome, or a control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HistoryEntry {
    Deployment(Box<Record>),
    Control { commit: CommitId, event: Box<StateEvent> },
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::outcome::RecordedDeployment;

    /// That `commit` was deployed, with these fields of the record more.
    fn conclusion(commit: &str, more: serde_json::Value) -> Conclusion {
        let mut record = json!({
            "version": 1, "environment": "test", "generation": 2, "kind": "change", "commits": commits(commit),
            "plan_digest": Digest::of("a plan"), "triggered_by": "ada", "controller": "a laptop",
            "started": "2026-11-21T13:14:05Z", "outcome": "applied",
            "summary": super::super::plan::Summary::default(), "changes": [], "unreached": {},
        });
        let (Some(fields), serde_json::Value::Object(more)) = (record.as_object_mut(), more) else {
            panic!("{record}")
        };
        fields.extend(more);
        let deployment: RecordedDeployment = serde_json::from_value(record).expect("a deployment");
        deployment.conclusion().expect("it is over").clone()
    }

    fn good(commit: &str) -> EnvironmentState {
        let good = Good { commits: commits(commit), generation: 1, desired: None, builds: Default::default() };
        EnvironmentState { good: Some(good), ..EnvironmentState::default() }
    }

    /// As it is after `b` was deployed, where `a` was good, to all instances but these.
    fn after(unreached: &[&str], left_out: &[&str]) -> EnvironmentState {
        let all = unreached.iter().chain(left_out);
        let unreached: serde_json::Map<_, _> = all.map(|name| ((*name).to_owned(), json!("a reason"))).collect();
        let partial = json!({ "outcome": "partial", "unreached": unreached, "left_out": left_out });
        good("a").concluded(&conclusion("b", partial))
    }

    #[test]
    fn what_is_asked_for_while_drift_is_repaired_is_still_to_come() {
        let pin = Pin { commits: commits("a"), instead_of: commits("b"), owner: "ada".to_owned() };
        let asked = || EnvironmentState { rewind_to: Some(commits("a")), pin: Some(pin.clone()), ..good("b") };
        let repaired = asked().concluded(&conclusion("b", json!({ "kind": "drift-repair" })));
        assert_eq!((repaired.rewind_to, repaired.pin), (Some(commits("a")), Some(pin.clone())));
        let deployed = asked().concluded(&conclusion("c", json!({})));
        assert_eq!((deployed.rewind_to, deployed.pin), (None, None), "something newer is live");
    }

    fn commits(commit: &str) -> Commits {
        Commits::of_config(Some("f00".into()), Some(commit.into()))
    }

    #[test]
    fn what_not_every_instance_could_be_reached_for_is_kept_up() {
        assert_eq!(after(&["h2"], &[]).kept_up().map(|good| &good.commits), Some(&commits("b")));
    }

    #[test]
    fn what_was_tried_on_some_instances_by_choice_is_not_kept_up() {
        for unreached in [&[][..], &["h3"]] {
            let state = after(unreached, &["h2"]);
            assert_eq!((state.kept_up(), &state.partial), (state.good.as_ref(), &None));
            assert_eq!(state.good.map(|good| good.commits), Some(commits("a")));
        }
    }
}
