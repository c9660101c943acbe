//! The id of a step: `ai-core/service/gong_mcp/start/sophia-gong_mcp@8100.service`.
//!
//! Owns: how an id is made and read. Keeps true: an id of a plan's step names its instance and its resource, and both
//! are read from it; every other id is one word. Never does: finding a step.

use std::{fmt, ops::Range, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::{Phase, Verb};
use crate::model::{
    desired::Resource,
    name::{InstanceName, ServiceName, SiteName},
};

/// The longest word that is an id by itself.
const WORD: usize = 32;

/// The id of a plan's step, or the word for what every phase does besides: `begin`, `daemon-reload`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepId(String);

impl StepId {
    /// The id of a step of a plan. Unique within a wave: a resource needs no subject changed twice
    /// in one way at one time.
    pub fn new(instance: &InstanceName, resource: &Resource, verb: Verb, subject: &str) -> Self {
        Self(format!("{instance}/{resource}/{verb}/{}", subject.trim_start_matches('/')))
    }

    /// The same of a later phase, where a resource needs a subject changed twice in one way.
    pub fn in_phase(self, phase: Phase) -> Self {
        Self(format!("{}@{phase}", self.0))
    }

    /// The same of a later wave, where a subject changes more than once.
    pub fn in_wave(self, wave: u32) -> Self {
        Self(format!("{}@{wave}", self.0))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id without its instance, which is told beside it.
    pub fn on_instance(&self) -> &str {
        let start = resource_within(&self.0).map_or(0, |resource| resource.start);
        self.0.get(start..).unwrap_or_default()
    }

    /// What the step changes: `service/gong_mcp`, `nginx`, or the word.
    pub fn resource(&self) -> &str {
        resource_within(&self.0).and_then(|resource| self.0.get(resource)).unwrap_or(&self.0)
    }
}

/// Where the resource stands in the id of a plan's step: its kind, with the name of a service or a site.
fn resource_within(text: &str) -> Option<Range<usize>> {
    let (instance, rest) = text.split_once('/')?;
    instance.parse::<InstanceName>().ok()?;
    let (kind, rest) = rest.split_once('/')?;
    let name = rest.split('/').next().unwrap_or_default();
    let start = instance.len() + 1;
    let end = start + kind.len();
    let named = end + 1 + name.len();
    match kind {
        "service" => name.parse::<ServiceName>().ok().map(|_| start..named),
        "site" => name.parse::<SiteName>().ok().map(|_| start..named),
        "nginx" | "packages" | "manifest" | "folders" | "leftover" => Some(start..end),
        _ => None,
    }
}

fn is_word(text: &str) -> bool {
    (1..=WORD).contains(&text.len()) && text.chars().all(|char| char.is_ascii_lowercase() || char == '-')
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the id of a step: INSTANCE/RESOURCE/VERB/SUBJECT, or a word")]
pub struct InvalidStepId(String);

impl FromStr for StepId {
    type Err = InvalidStepId;

    fn from_str(text: &str) -> Result<Self, InvalidStepId> {
        if resource_within(text).is_none() && !is_word(text) {
            return Err(InvalidStepId(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl PartialEq<str> for StepId {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl Serialize for StepId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for StepId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(String, String)> {
        let id: StepId = text.parse().ok()?;
        Some((id.resource().to_owned(), id.on_instance().to_owned()))
    }

    #[test]
    fn the_id_of_a_step_names_its_instance_and_its_resource() {
        for (text, resource, on_instance) in [
            ("h1/service/a/start/f-a@1.service", "service/a", "service/a/start/f-a@1.service"),
            ("h1/site/web/update/etc/nginx/x", "site/web", "site/web/update/etc/nginx/x"),
            ("h1/nginx/reload/nginx", "nginx", "nginx/reload/nginx"),
            ("h1/leftover//etc/a b/delete/etc/a b", "leftover", "leftover//etc/a b/delete/etc/a b"),
            // As controllers wrote it that completed what another one began.
            ("h1/service/a/await-health", "service/a", "service/a/await-health"),
            ("daemon-reload", "daemon-reload", "daemon-reload"),
        ] {
            assert_eq!(read(text), Some((resource.to_owned(), on_instance.to_owned())), "{text}");
        }
        for text in ["", "h1", "a step", "H1/nginx/reload", "h1/cellar/a", "h1/service/../start", &"a".repeat(33)] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn an_id_is_read_as_it_was_made() {
        let instance = "h1".parse().expect("a name");
        for resource in [Resource::Service("a".parse().expect("a name")), Resource::Leftover("/etc/b".to_owned())] {
            let made = StepId::new(&instance, &resource, Verb::Delete, "/etc/b");
            assert_eq!(made.as_str().parse(), Ok(made.clone()));
            assert_eq!(made.as_str(), format!("h1/{resource}/delete/etc/b"));
        }
    }
}
