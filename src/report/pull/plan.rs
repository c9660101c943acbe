//! The comment that people review: what merging would do, at a glance, and each detail a click away.
//!
//! Owns the order: a headline, a table, what would be lost or is refused, then instance by instance, then releases,
//! then drift, then what to type next.

use super::{
    LONGEST_COMMENT, MARKER, PlannedEnvironment, PullContent, PullView, Rest, WAITS_FOR, blocks,
    changes::{Change, Changes, Tally},
    checks,
    document::{Block, Document, Foot, Piece, Section, Shortened},
    headline::{changes_anything, headline, refusals},
    markdown::{clipped, code, fence, link, paragraphs},
    overview, releases,
};
use crate::{
    model::{commit::CommitId, finding::Finding, name::InstanceName, pull::Check},
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

/// What is posted, and the same without the time at which the hosts were looked at: where nothing else differs it is
/// not posted again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dated<T> {
    pub posted: T,
    pub timeless: T,
}

/// All that is posted of a proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposalReport {
    /// Markdown.
    pub comment: Dated<String>,
    /// All of it, where the comment had to be shortened.
    pub rest: Option<String>,
    /// `evenkeel/validate` and `evenkeel/plan`.
    pub checks: [Dated<Check>; 2],
}

pub fn proposal(view: &PullView<'_>) -> ProposalReport {
    let rendered = document(view).rendered();
    let Shortened { text, left_out } = rendered.within(LONGEST_COMMENT, &where_it_is(view));
    let rest = left_out.is_some().then(|| rendered.whole().to_owned());
    let validate = checks::validate_check(view);
    let validate = Dated { timeless: validate.clone(), posted: validate };
    let checks = [validate, checks::plan_check(view, &rendered)];
    ProposalReport { comment: Dated { timeless: text.timeless(), posted: text.into_string() }, rest, checks }
}

/// Where to read what was left out.
fn where_it_is(view: &PullView<'_>) -> String {
    match view.rest {
        Rest::Check => "It is in the details of the check `evenkeel/plan`.".to_owned(),
        Rest::File(address) => format!("It is in {}.", link("the whole plan", address)),
    }
}

fn document(view: &PullView<'_>) -> Document {
    let waits = match view.content {
        PullContent::Fork if CommitId::named(&view.pull.head).is_some() => format!("{WAITS_FOR}{} -->", view.pull.head),
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
    sections.push(Section { head: overview::declared(view.warnings), brief, ..Section::default() });
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
    (said, vec![Section { head: fence("", shown), brief, ..Section::default() }])
}

/// Findings alone.
pub(super) fn findings(found: &[Finding]) -> Document {
    Document { sections: vec![each(found)], ..Document::default() }
}

fn each(found: &[Finding]) -> Section {
    let piece = |finding: &Finding| {
        let text = finding_text::text(std::slice::from_ref(finding), false);
        let lines: Vec<String> = text.lines().map(|line| clipped(line, LINE)).collect();
        // The last two are an empty line and the sum.
        let shown = lines.split_last_chunk::<2>().map_or(&lines[..], |(shown, _)| shown);
        let place = finding.place.as_ref().map(|place| format!("{}:{}: ", place.file, place.line));
        let brief = format!("- {}", code(&format!("{}{}", place.unwrap_or_default(), finding.message)));
        Piece { whole: Block::Plain(fence("", shown)), brief }
    };
    let brief = format!("- {}", finding_text::summary(found));
    Section { pieces: found.iter().map(piece).collect(), brief, ..Section::default() }
}

fn planned(environments: &[PlannedEnvironment<'_>]) -> Vec<Section> {
    let changes: Vec<Changes<'_>> = environments.iter().map(Changes::of).collect();
    let mut sections: Vec<Section> =
        environments.iter().zip(&changes).map(|(environment, changes)| section(environment, changes)).collect();
    if let [only] = &mut sections[..] {
        // The headline says it already.
        only.title.clear();
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
    let title = format!("#### `{name}`: {sum}");
    let head = paragraphs([
        overview::refusals(environment),
        overview::table(environment, changes),
        overview::notes(environment, changes),
        overview::warnings(environment),
    ]);
    let mut pieces: Vec<Piece> = changes.instances().into_iter().map(|name| instance(changes, name)).collect();
    pieces.extend(environment.releases.iter().filter_map(releases::piece));
    Section { title, head, pieces, brief: format!("- `{name}`: {sum}") }
}

fn instance(changes: &Changes<'_>, name: &InstanceName) -> Piece {
    let own = changes.own_on(name);
    let sum = Tally::of(own.iter().copied()).words();
    let body = paragraphs(own.iter().map(|change| blocks::change(change, changes)));
    Piece { whole: Block::details(format!("<b>{name}</b>: {sum}"), body), brief: format!("- `{name}`: {sum}") }
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
    let whole = Block::details(format!("<b>Not by this pull request</b>: {summary}"), body);
    Some(Piece { whole, brief: format!("- Not by this pull request: {summary}") })
}

/// Unfolds what there is where it is short together.
fn unfold_short(sections: &mut [Section]) {
    let lines: usize = sections.iter().flat_map(|section| &section.pieces).map(|piece| piece.whole.lines()).sum();
    if lines > SHORT {
        return;
    }
    for piece in sections.iter_mut().flat_map(|section| &mut section.pieces) {
        piece.whole.unfold();
    }
}

/// Of what it was made, and what to do next.
fn foot(view: &PullView<'_>) -> Foot {
    const ENVIRONMENTS: usize = 4;
    let (head, base) = (code(&short(&view.pull.head)), code(&view.pull.base));
    let foot = Foot::of(&format!("---\n{}{head} onto {base} at {}", next(view), code(&short(view.base))));
    let PullContent::Planned(environments) = &view.content else { return foot };
    let plans = environments.iter().take(ENVIRONMENTS).map(|environment| {
        let of = if environments.len() > 1 { format!(" of `{}`", environment.environment) } else { String::new() };
        format!(" · plan{of} `{}`", environment.plan.digest().short())
    });
    foot.with_time(" · hosts looked at ", &code(&time(view.when))).with(&format!(" UTC{}", plans.collect::<String>()))
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
