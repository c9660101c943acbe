//! How an environment is, in words and as JSON. The values are `model/status.rs`.
//!
//! Never does: finding out how things are, or from when to call a service degraded.

use super::{
    json::{Versioned, pretty, schema_of},
    style::{Mark, Style},
    words::{one_line, short, time, visible},
};
use crate::model::{
    environment_state::{Barred, EnvironmentState},
    outcome::{Deployment, Outcome},
    plan::Commits,
    status::{Deployed, Health, InstanceStatus, StatusView, Sync},
};

/// One environment as a tree.
pub fn text(view: &StatusView, style: Style) -> String {
    let commit = view.commit.as_deref().map(|commit| format!(" at {}", short(commit))).unwrap_or_default();
    let mut text = format!(
        "{}  {}, {}  {}\n",
        style.bold(view.environment.as_str()),
        sync(view.sync, 0, style),
        health(view.health, style),
        style.dim(&format!("{}{commit}", visible(&view.branch)))
    );
    text += &match &view.deployed {
        Some(deployed) => format!("  {}\n", said(deployed)),
        None => "  nothing deployed yet\n".to_owned(),
    };
    if let Some(at) = &view.observed_at {
        let by = view.controller.as_deref().map(|by| format!(" by {}", one_line(by))).unwrap_or_default();
        text += &format!("  {}\n", style.dim(&format!("looked at {} UTC{by}", time(at))));
    }
    if let Some(error) = &view.last_error {
        text += &format!("  {} {}\n", style.bad("last error:"), one_line(error));
    }
    for refusal in &view.refused {
        text += &format!("  {}\n", style.bad(&super::refusal::line(&view.environment, refusal)));
    }
    for advice in &view.advice {
        text += &format!("  {}\n", style.dim(&one_line(advice)));
    }
    for note in &view.notes {
        text += &format!("  {}\n", style.warn(&one_line(note)));
    }
    if let Some(waiting) = view.waiting.as_ref().filter(|waiting| !waiting.on.is_noted()) {
        text += &format!("  {}\n", style.warn(&format!("{}: {}", short(&waiting.commit), one_line(&waiting.why))));
    }
    let columns = Columns::of(view);
    for instance in &view.instances {
        text.push('\n');
        text += &of_instance(instance, &columns, style);
    }
    text
}

/// Why the newest commits are not being deployed, and what to do about it.
pub fn barred(why: Barred, commits: &Commits, newest: Option<&Deployment>, state: &EnvironmentState) -> Option<String> {
    let commit = commits.environment.as_deref().map_or("the work tree".to_owned(), short);
    Some(match why {
        Barred::ObserveOnly => "only observed: this controller changes nothing (--observe-only)".to_owned(),
        // Said with the holds.
        Barred::Held => return None,
        Barred::StoodBack => {
            let newest = newest?;
            format!("stands back: {} deploys generation {}", one_line(&newest.controller), newest.generation)
        }
        Barred::StandsBy => {
            let newest = newest?;
            format!("stands by: {} deployed last, and repairs drift", one_line(&newest.controller))
        }
        Barred::Quarantined => {
            let quarantined = state.quarantined(commits)?;
            let (generation, why) = (quarantined.generation, one_line(&quarantined.why));
            format!(
                "{commit} is quarantined, generation {generation} failed: {why}; \
                 push a commit that mends it, or `evenkeel retry`"
            )
        }
        Barred::Rewind => format!(
            "{commit} leaves out the deployed commit (a forced push?); it is refused until \
             `evenkeel retry --allow-rewind`"
        ),
        Barred::Checks => {
            format!("{commit} waits for checks to be green: `require_checks` of the environment names them")
        }
        Barred::Closed { until } => format!("{commit} waits: no deployment may begin {}", super::permit::closed(until)),
        Barred::Later => format!("{commit} could not be deployed a moment ago, and is tried again"),
    })
}

/// Who holds what, and what the environment is pinned to.
pub fn state(state: &EnvironmentState) -> Vec<String> {
    let holds = state.holds.iter().map(|hold| {
        let what = hold.instance.as_ref().map(|name| format!("{name} is ")).unwrap_or_default();
        format!("{what}{}", super::control::held(hold))
    });
    let pin = state.pin.as_ref().map(|pin| {
        let commit = pin.commits.environment.as_deref().map_or("the work tree".to_owned(), short);
        format!("pinned to {commit} by {}, until a newer commit", one_line(&pin.owner))
    });
    holds.chain(pin).collect()
}

/// Of a resource that drifts again and again.
pub fn does_not_hold(times: u32) -> String {
    format!("repaired {times} times, and it does not hold; tried again later")
}

pub fn json(view: &StatusView) -> String {
    pretty(&Versioned::of(view))
}

pub(super) fn schema() -> String {
    schema_of::<Versioned<StatusView>>()
}

/// Widths that hold for the whole environment, so that instances line up with each other.
struct Columns {
    instance: usize,
    address: usize,
    service: usize,
}

impl Columns {
    fn of(view: &StatusView) -> Self {
        let services = view.instances.iter().flat_map(|instance| &instance.services);
        Self {
            instance: view.instances.iter().map(|instance| instance.name.as_str().len()).max().unwrap_or(0),
            address: view.instances.iter().map(|instance| instance.address.chars().count()).max().unwrap_or(0),
            service: services.map(|service| service.name.as_str().len()).max().unwrap_or(0),
        }
    }
}

fn of_instance(instance: &InstanceStatus, columns: &Columns, style: Style) -> String {
    let name = style.bold(&format!("{:<1$}", instance.name, columns.instance));
    let address = format!("{:<1$}", visible(&instance.address), columns.address);
    let mut text = format!("  {name}  {address}  {}{}\n", sync(instance.sync, 0, style), because(&instance.why));
    for service in &instance.services {
        let mark = match (service.health, service.sync) {
            (Health::Degraded, _) => Mark::Bad,
            (Health::Progressing, _) => Mark::Busy,
            (Health::Unknown, _) | (_, Sync::Unknown) => Mark::Unknown,
            (Health::Healthy, Sync::OutOfSync) => Mark::Update,
            (Health::Healthy, Sync::Synced) => Mark::Good,
        };
        text += &format!(
            "    {} {:<width$}  {:>5}  {}  {}{}\n",
            style.mark(mark),
            service.name,
            service.port,
            sync(service.sync, "out of sync".len(), style),
            health(service.health, style),
            because(&service.why),
            width = columns.service
        );
    }
    text
}

fn because(why: &Option<String>) -> String {
    why.as_deref().map(|why| format!(": {}", one_line(why))).unwrap_or_default()
}

/// The word, as wide as `width`, in its colour.
fn sync(sync: Sync, width: usize, style: Style) -> String {
    let (word, mark) = match sync {
        Sync::Synced => ("synced", Mark::Good),
        Sync::OutOfSync => ("out of sync", Mark::Update),
        Sync::Unknown => ("unknown", Mark::Unknown),
    };
    style.as_mark(mark, &format!("{word:<width$}"))
}

fn health(health: Health, style: Style) -> String {
    let (word, mark) = match health {
        Health::Healthy => ("healthy", Mark::Good),
        Health::Progressing => ("progressing", Mark::Busy),
        Health::Degraded => ("degraded", Mark::Bad),
        Health::Unknown => ("unknown", Mark::Unknown),
    };
    style.as_mark(mark, word)
}

fn said(deployed: &Deployed) -> String {
    let commit = deployed.commit.as_deref().map_or("the work tree".to_owned(), short);
    let outcome = deployed.outcome.map_or("under way", Outcome::as_str);
    format!("generation {}: {commit} {outcome}, {} UTC", deployed.generation, time(&deployed.when))
}
