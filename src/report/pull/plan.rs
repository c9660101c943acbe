//! The comment that people review: what merging would do, at a glance, and each detail a click away.
//!
//! Owns the order: a headline, a table, what would be lost or is refused, then instance by instance, then releases,
//! then drift, then what to type next.

use super::{
    LONGEST_COMMENT, MARKER, PlannedEnvironment, PullContent, PullView, Rest, WAITS_FOR, blocks,
    changes::{Change, Changes, Tally},
    document::{Document, Piece, Section},
    headline::{changes_anything, headline, refusals},
    markdown::{clipped, code, details, fence, link, paragraphs},
    overview, releases,
};
use crate::{
    model::{finding::Finding, name::InstanceName, pull::is_commit},
    report::{
        findings as finding_text,
        words::{count, short, time, uncapital},
    },
};

/// Details of at most so many lines together are shown unfolded.
const SHORT: usize = 45;
/// A line of a finding is shown this far.
const LINE: usize = 300;
/// How many lines are shown of why it cannot be looked at.
const REASON: usize = 20;
/// Paths in conflict that are listed.
const PATHS: usize = 50;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// What is posted: Markdown.
    pub body: String,
    /// All of it, where the body had to be shortened.
    pub rest: Option<String>,
}

pub fn comment(view: &PullView<'_>) -> Comment {
    let document = document(view);
    let shortened = document.within(LONGEST_COMMENT, &where_it_is(view));
    let rest = shortened.left_out.is_some().then(|| document.whole());
    Comment { body: shortened.text, rest }
}

/// Where to read what was left out.
pub(super) fn where_it_is(view: &PullView<'_>) -> String {
    match view.rest {
        Rest::Check => "It is in the details of the check `evenkeel/plan`.".to_owned(),
        Rest::File(address) => format!("It is in {}.", link("the whole plan", address)),
    }
}

pub(super) fn document(view: &PullView<'_>) -> Document {
    let waits = match view.content {
        PullContent::Fork if is_commit(&view.pull.head) => format!("{WAITS_FOR}{} -->", view.pull.head),
        _ => String::new(),
    };
    let title = format!("{MARKER}{waits}\n### {}", heading(view));
    let (said, mut sections) = match &view.content {
        PullContent::Untouched { followed: true } => ("Merging it deploys nothing.".to_owned(), Vec::new()),
        PullContent::Untouched { followed: false } => {
            let base = code(&view.pull.base);
            (format!("No environment follows {base}: what is merged there is not deployed."), Vec::new())
        }
        PullContent::Fork => (fork(view), Vec::new()),
        PullContent::Conflict(paths) => conflict(view, paths),
        PullContent::Refused(why) => (fence("", why.lines().take(REASON).map(|line| clipped(line, LINE))), Vec::new()),
        PullContent::Invalid(found) => (
            "As it is, merging it deploys nothing. `evenkeel validate` tells the same on any machine.".to_owned(),
            vec![each(found)],
        ),
        PullContent::Planned(environments) => (String::new(), planned(environments)),
    };
    let brief = format!("- {}", finding_text::summary(view.warnings));
    sections.push(Section { head: overview::declared(view.warnings), pieces: Vec::new(), brief });
    Document { head: paragraphs([title, said]), sections, foot: foot(view) }
}

/// The headline, with environments by their names where there is one.
fn heading(view: &PullView<'_>) -> String {
    match &view.content {
        PullContent::Planned(environments) if environments.len() == 1 => {
            format!("`{}`: {}", environments[0].environment, uncapital(&headline(view)))
        }
        _ => headline(view),
    }
}

fn fork(view: &PullView<'_>) -> String {
    let from = view.pull.from.as_deref().map_or("a repository that is gone".to_owned(), code);
    format!(
        "It comes from {from}, and its plan would be made by connecting to hosts. Whoever may ask for plans here can \
         look at it first, and then ask for the plan of this commit by a comment:\n\n{}\n\nWhatever is pushed later \
         waits again.",
        fence("", [format!("/evenkeel plan {}", view.pull.head)])
    )
}

fn conflict(view: &PullView<'_>, paths: &[String]) -> (String, Vec<Section>) {
    let more = paths.len().saturating_sub(PATHS);
    let more = (more > 0).then(|| format!("… {}", count(more, "more file")));
    let shown = paths.iter().take(PATHS).map(|path| clipped(path, LINE)).chain(more);
    let base = code(&view.pull.base);
    let said =
        format!("What follows changed on {base} too. Bring {base} into the branch and push: it is planned then.");
    let brief = format!("- {}", count(paths.len(), "file"));
    (said, vec![Section { head: fence("", shown), pieces: Vec::new(), brief }])
}

/// Findings alone.
pub(super) fn findings(found: &[Finding]) -> Document {
    Document { head: String::new(), sections: vec![each(found)], foot: String::new() }
}

fn each(found: &[Finding]) -> Section {
    let piece = |finding: &Finding| {
        let text = finding_text::text(std::slice::from_ref(finding), false);
        let lines: Vec<String> = text.lines().map(|line| clipped(line, LINE)).collect();
        // The last two are an empty line and the sum.
        let shown = lines.split_last_chunk::<2>().map_or(&lines[..], |(shown, _)| shown);
        let place = finding.place.as_ref().map(|place| format!("{}:{}: ", place.file, place.line));
        let brief = format!("- {}", code(&format!("{}{}", place.unwrap_or_default(), finding.message)));
        Piece { whole: fence("", shown), brief }
    };
    let brief = format!("- {}", finding_text::summary(found));
    Section { head: String::new(), pieces: found.iter().map(piece).collect(), brief }
}

fn planned(environments: &[PlannedEnvironment<'_>]) -> Vec<Section> {
    let changes: Vec<Changes<'_>> = environments.iter().map(Changes::of).collect();
    let mut sections: Vec<Section> =
        environments.iter().zip(&changes).map(|(environment, changes)| section(environment, changes)).collect();
    if let [only] = &mut sections[..] {
        // The headline says it already.
        only.head = only.head.split_once("\n\n").map_or("", |(_, rest)| rest).to_owned();
    }
    unfold_short(&mut sections);
    for (section, changes) in sections.iter_mut().zip(&changes) {
        section.pieces.extend(drift(changes));
    }
    sections
}

fn section(environment: &PlannedEnvironment<'_>, changes: &Changes<'_>) -> Section {
    let one = Tally::of(&changes.own).words();
    let sum = if one.is_empty() { "no changes".to_owned() } else { one };
    let name = environment.environment;
    let head = paragraphs([
        format!("#### `{name}`: {sum}"),
        overview::refusals(environment),
        overview::table(environment, changes),
        overview::notes(environment, changes),
        overview::warnings(environment),
    ]);
    let mut pieces: Vec<Piece> = changes.instances().into_iter().map(|name| instance(changes, name)).collect();
    pieces.extend(environment.releases.iter().filter_map(releases::piece));
    Section { head, pieces, brief: format!("- `{name}`: {sum}") }
}

fn instance(changes: &Changes<'_>, name: &InstanceName) -> Piece {
    let own = changes.own_on(name);
    let sum = Tally::of(own.iter().copied()).words();
    let body = paragraphs(own.iter().map(|change| blocks::change(change, changes)));
    Piece { whole: details(&format!("<b>{name}</b>: {sum}"), &body), brief: format!("- `{name}`: {sum}") }
}

/// What would be done without the pull request too.
fn drift(changes: &Changes<'_>) -> Option<Piece> {
    if changes.before.is_empty() {
        return None;
    }
    let summary = overview::before_summary(changes);
    let why = "Drift, and what is merged and not deployed yet. It is put right without this pull request too.";
    let told = changes
        .before
        .iter()
        .map(|change: &Change<'_>| format!("`{}`: {}", change.instance, blocks::change(change, changes)));
    let body = paragraphs(std::iter::once(why.to_owned()).chain(told));
    let whole = details(&format!("<b>Not by this pull request</b>: {summary}"), &body);
    Some(Piece { whole, brief: format!("- Not by this pull request: {summary}") })
}

/// Unfolds what there is where it is short together.
fn unfold_short(sections: &mut [Section]) {
    let lines: usize =
        sections.iter().flat_map(|section| &section.pieces).map(|piece| piece.whole.lines().count()).sum();
    if lines > SHORT {
        return;
    }
    for piece in sections.iter_mut().flat_map(|section| &mut section.pieces) {
        if let Some(rest) = piece.whole.strip_prefix("<details>") {
            piece.whole = format!("<details open>{rest}");
        }
    }
}

/// Of what it was made, and what to do next.
fn foot(view: &PullView<'_>) -> String {
    const ENVIRONMENTS: usize = 4;
    let mut said = vec![format!(
        "{} onto {} at {}",
        code(&short(&view.pull.head)),
        code(&view.pull.base),
        code(&short(view.base))
    )];
    if let PullContent::Planned(environments) = &view.content {
        said.push(format!("hosts looked at {} UTC", code(&time(view.when))));
        said.extend(environments.iter().take(ENVIRONMENTS).map(|environment| {
            let of = if environments.len() > 1 { format!(" of `{}`", environment.environment) } else { String::new() };
            format!("plan{of} `{}`", environment.plan.digest().short())
        }));
    }
    format!("---\n{}{}", next(view), said.join(" · "))
}

fn next(view: &PullView<'_>) -> String {
    const ASK: &str = "`/evenkeel plan` looks at the hosts again, `/evenkeel help` tells what else can be asked.<br>";
    match &view.content {
        PullContent::Planned(environments) => {
            let changes: Vec<Changes<'_>> = environments.iter().map(Changes::of).collect();
            let is_barred = environments.iter().any(|environment| environment.barred.is_some());
            if refusals(environments) > 0 || is_barred {
                ASK.to_owned()
            } else if changes_anything(&changes) {
                format!("**Merge to deploy.** {ASK}")
            } else {
                format!("Merging changes nothing that runs. {ASK}")
            }
        }
        PullContent::Conflict(_) | PullContent::Refused(_) | PullContent::Invalid(_) => {
            "Push to the branch and it is looked at again. `/evenkeel help` tells what else can be asked.<br>"
                .to_owned()
        }
        PullContent::Untouched { .. } | PullContent::Fork => String::new(),
    }
}
