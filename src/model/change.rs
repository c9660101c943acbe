//! What a deployment changes, as its record keeps it.
//!
//! Owns: one [`ResourceChange`] for each resource that a plan changes on an instance, and the steps and reasons of it that are
//! worth a word. Keeps true: code reads fields, and no sentence; the lines of records of version 1 are kept as they are,
//! and [`RecordedChange::names`] alone looks into one. Never does: wording (`report/change.rs`).

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    desired::Resource,
    name::InstanceName,
    plan::{Action, Fate, Plan, ReasonTold, Recorded, Step, Verb, fate},
};

/// What becomes of one resource on one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResourceChange {
    pub instance: InstanceName,
    /// service/NAME, site/NAME, nginx, packages, folders, manifest or leftover/NAME.
    #[serde(with = "as_text")]
    #[schemars(with = "String")]
    pub resource: Resource,
    pub action: Fate,
    /// Its steps, as far as `action` does not say them already.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<ChangeStep>,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

/// A step of a change. `action` and `subject` are those of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeStep {
    pub action: Verb,
    /// The path, unit, release or packages it is about.
    pub subject: String,
    /// Of a release: where its files come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Of a unit that is stopped: whether it ran before evenkeel, and the resource replaces it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replaced: bool,
}

/// A change as a record holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RecordedChange {
    Change(ResourceChange),
    /// Of a record of version 1: `INSTANCE: [VERB ]RESOURCE[: DETAILS] (REASONS)`.
    Line(String),
}

impl RecordedChange {
    /// Whether it is about this resource on this instance.
    pub fn names(&self, instance: &InstanceName, resource: &Resource) -> bool {
        match self {
            RecordedChange::Change(change) => (&change.instance, &change.resource) == (instance, resource),
            RecordedChange::Line(line) => {
                let (named, what) = parts(line);
                let resource = resource.to_string();
                named == instance.as_str() && what.split([' ', ':']).any(|word| word == resource)
            }
        }
    }

    /// The instance, as far as a line names one.
    pub fn instance(&self) -> &str {
        match self {
            RecordedChange::Change(change) => change.instance.as_str(),
            RecordedChange::Line(line) => parts(line).0,
        }
    }
}

/// A line of version 1 as its instance and the rest.
pub fn parts(line: &str) -> (&str, &str) {
    line.split_once(": ").unwrap_or(("", line))
}

impl Plan {
    /// One change for each resource that changes, by instance, each where its first step is.
    pub fn changes(&self) -> Vec<RecordedChange> {
        let of =
            |name| self.by_first_step(name).into_iter().map(move |(resource, steps)| change(name, resource, &steps));
        self.instances.keys().flat_map(of).map(RecordedChange::Change).collect()
    }

    /// The resources that change on an instance, with their steps, each where its first step is.
    pub fn by_first_step(&self, instance: &InstanceName) -> Vec<(&Resource, Vec<&Step>)> {
        let mut groups: Vec<(&Resource, Vec<&Step>)> = Vec::new();
        for step in self.steps.iter().filter(|step| step.instance == *instance) {
            match groups.iter_mut().find(|(resource, _)| **resource == step.resource) {
                Some((_, steps)) => steps.push(step),
                None => groups.push((&step.resource, vec![step])),
            }
        }
        groups
    }
}

fn change(instance: &InstanceName, resource: &Resource, steps: &[&Step]) -> ResourceChange {
    let action = fate(steps);
    ResourceChange {
        instance: instance.clone(),
        resource: resource.clone(),
        action,
        steps: steps.iter().filter_map(|step| kept(&step.action, action)).collect(),
        reasons: reasons(steps).into_iter().map(str::to_owned).collect(),
    }
}

/// A step as it is kept; none where the fate of its resource says it, or where it is no news.
fn kept(action: &Action, fate: Fate) -> Option<ChangeStep> {
    let is_told = match action.traits().recorded {
        Recorded::Always => true,
        Recorded::Never => false,
        Recorded::UnlessNew => fate != Fate::Create,
        Recorded::UnlessGone => fate != Fate::Delete,
    };
    let from = match action {
        Action::StageRelease { source, .. } => Some(source.clone()),
        _ => None,
    };
    let replaced = matches!(action, Action::StopUnit { foreign: true, .. });
    is_told.then(|| ChangeStep { action: action.verb(), subject: action.subject(), from, replaced })
}

/// Every reason once, in the order of the steps; only those of its files where they share one.
fn reasons<'a>(steps: &[&'a Step]) -> Vec<&'a str> {
    if let Some(reason) = shared_reason(steps) {
        return vec![reason];
    }
    let mut reasons = Vec::new();
    for step in steps {
        if step.action.traits().reason != ReasonTold::Implied && !reasons.contains(&step.reason.as_str()) {
            reasons.push(step.reason.as_str());
        }
    }
    reasons
}

/// The one reason that all files of a resource change for; without files, all its steps. With several, each step says
/// its own.
pub fn shared_reason<'a>(steps: &[&'a Step]) -> Option<&'a str> {
    let files = steps.iter().filter(|step| step.action.file().is_some());
    let all = steps.iter().filter(|step| says_its_reason(&step.action));
    let mut reasons: Vec<&str> = files.map(|step| step.reason.as_str()).collect();
    if reasons.is_empty() {
        reasons = all.map(|step| step.reason.as_str()).collect();
    }
    let first = reasons.first().copied()?;
    reasons.iter().all(|reason| *reason == first).then_some(first)
}

/// Whether a step's reason says more than its line does.
pub fn says_its_reason(action: &Action) -> bool {
    action.traits().reason == ReasonTold::Told
}

/// A resource in JSON is what people write.
mod as_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::Resource;

    pub fn serialize<S: Serializer>(resource: &Resource, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(resource)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Resource, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a resource: service/NAME, site/NAME, nginx, packages, folders, manifest or leftover/NAME")]
pub struct InvalidResource(String);

impl FromStr for Resource {
    type Err = InvalidResource;

    fn from_str(text: &str) -> Result<Self, InvalidResource> {
        let invalid = || InvalidResource(text.to_owned());
        match text.split_once('/') {
            Some(("service", name)) => name.parse().map(Resource::Service).map_err(|_| invalid()),
            Some(("site", name)) => name.parse().map(Resource::Site).map_err(|_| invalid()),
            Some(("leftover", name)) => Ok(Resource::Leftover(name.to_owned())),
            _ => match text {
                "nginx" => Ok(Resource::Nginx),
                "packages" => Ok(Resource::Packages),
                "manifest" => Ok(Resource::Manifest),
                "folders" => Ok(Resource::Folders),
                _ => Err(invalid()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(text: &str) -> Resource {
        text.parse().expect("a resource")
    }

    #[test]
    fn a_resource_reads_back_as_it_is_written() {
        for text in ["service/a", "site/a", "nginx", "packages", "manifest", "folders", "leftover/a/b.service"] {
            assert_eq!(resource(text).to_string(), text);
        }
        for text in ["", "service", "service/", "service/A b", "host/a"] {
            assert_eq!(text.parse::<Resource>(), Err(InvalidResource(text.to_owned())));
        }
    }

    #[test]
    fn a_line_of_version_1_names_its_resource_and_no_other() {
        let h1 = "h1".parse().expect("a name");
        let names = |line: &str, of: &str| RecordedChange::Line(line.to_owned()).names(&h1, &resource(of));
        assert!(names("h1: update service/a: /etc/a.env (what is declared has changed)", "service/a"));
        assert!(names("h1: service/a: restart a.service (it is not running)", "service/a"));
        assert!(names("h1: create site/a (declared and not there yet)", "site/a"));
        assert!(!names("h2: create service/a (declared and not there yet)", "service/a"));
        assert!(!names("h1: create service/ab (declared and not there yet)", "service/a"));
        assert!(!names("by hand", "service/a"));
    }
}
