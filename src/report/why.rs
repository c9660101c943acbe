//! Why a service, path or site is as it is: from the host back to the commit.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    json::{Versioned, pretty, schema_of},
    style::Style,
    words::{one_line, short, time, visible},
};
use crate::model::{commit::CommitId, name::InstanceName, outcome::Outcome};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "evenkeel why")]
pub struct WhyView {
    /// What was asked about: `service/gong_mcp`, `site/app` or a path.
    pub subject: String,
    pub instances: Vec<WhyInstance>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WhyInstance {
    pub instance: InstanceName,
    /// None for what has no process.
    pub unit: Option<String>,
    pub port: Option<u16>,
    /// The release's digest.
    pub release: Option<String>,
    /// Where the release comes from.
    pub source: Option<String>,
    /// The last lines of what the build said that made it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub build_log: Vec<String>,
    pub files: Vec<String>,
    /// The fleet's file. None where nothing declares it any more.
    pub declared_in: Option<String>,
    pub last_change: Option<LastChange>,
    /// How it is now, in words.
    pub live: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LastChange {
    pub generation: u64,
    pub commit: Option<CommitId>,
    /// RFC 3339.
    pub when: String,
    pub outcome: Option<Outcome>,
    pub reason: String,
}

pub fn json(view: &WhyView) -> String {
    pretty(&Versioned::of(view))
}

pub(super) fn schema() -> String {
    schema_of::<Versioned<WhyView>>()
}

pub fn text(view: &WhyView, style: Style) -> String {
    let subject = style.bold(&visible(&view.subject));
    if view.instances.is_empty() {
        return format!("{subject} is on no instance: nothing declares it, and nothing of it was left behind.\n");
    }
    let mut text = format!("{subject}\n");
    for instance in &view.instances {
        text += &format!("\n{}\n", style.bold(instance.instance.as_str()));
        for (name, value) in fields(instance) {
            text += &format!("  {} {value}\n", style.dim(&format!("{name:<12}")));
        }
    }
    text
}

fn fields(instance: &WhyInstance) -> Vec<(&'static str, String)> {
    let mut fields = vec![("live", one_line(&instance.live))];
    let declared = instance.declared_in.as_deref().map_or("nowhere any more".to_owned(), visible);
    fields.push(("declared in", declared));
    let change = match &instance.last_change {
        Some(change) => {
            let commit = change.commit.as_deref().map_or("the work tree".to_owned(), short);
            let outcome = change.outcome.map_or("under way", Outcome::as_str);
            fields.push(("because", one_line(&change.reason)));
            format!("generation {}, {commit} {outcome}, {} UTC", change.generation, time(&change.when))
        }
        None => "none recorded".to_owned(),
    };
    fields.push(("last change", change));
    if let Some(unit) = &instance.unit {
        let port = instance.port.map(|port| format!(", port {port}")).unwrap_or_default();
        fields.push(("unit", format!("{}{port}", visible(unit))));
    }
    if let Some(release) = &instance.release {
        let source = instance.source.as_deref().map(|source| format!(" from {}", visible(source))).unwrap_or_default();
        let short: String = release.chars().take(12).collect();
        fields.push(("release", format!("{}{source}", visible(&short))));
        if !instance.build_log.is_empty() {
            fields.push(("its build", format!("said at last (`evenkeel release show {}` has all):", visible(&short))));
            fields.extend(instance.build_log.iter().map(|line| ("", visible(line))));
        }
    }
    fields.extend(instance.files.iter().map(|path| ("file", visible(path))));
    fields
}
