//! Text from outside in every place of a comment: it stays in code, whatever it is. Read by a parser of Markdown.

use std::{collections::BTreeMap, error::Error};

use evenkeel::{
    model::{
        change::{ChangeStep, RecordedChange, ResourceChange},
        desired::Resource,
        finding::{Code, Finding, Place},
        outcome::{Deployment, Outcome},
        plan::{Action, Before, Fate, InstanceState, Plan, StepId, Verb},
        pull::PullRequest,
        release::ReleaseFile,
        rights::{Permission, Right, Team},
        source::{Origin, Pinned, Source},
    },
    report::pull::{self, Answer, DeployedView, PullContent, PullView, Replicas, Rest},
};
use proptest::prelude::*;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::{
    proposals::{Sample, many, pull_request, release, view},
    samples::*,
};

/// Whatever a right could hold, were it not checked.
fn refused(text: &str) -> String {
    let team = Team { organisation: text.to_owned(), slug: text.to_owned() };
    pull::answer(&Answer::NotAllowed {
        command: text,
        login: text,
        permission: Permission::Read,
        needed: &[Right::Person(text.to_owned()), Right::Team(team.clone())],
        unknown: &[team],
        unread: true,
    })
}

/// In each hostile text, so that a leak of any is seen.
const CANARY: &str = "CANARY";

/// What ends blocks, begins others, mentions, links, refers, closes, hides.
const PIECES: &[&str] = &[
    "`",
    "``",
    "```",
    "````",
    "~~~",
    "\n",
    "\r\n",
    "\r",
    "\n\n",
    "\t",
    " ",
    "    ",
    "|",
    "\\",
    "\\`",
    "<",
    ">",
    "&",
    "<details>",
    "</details>",
    "</summary>",
    "<!--",
    "-->",
    "<!-- evenkeel:plan -->",
    "<img src=x onerror=alert(1)>",
    "<script>",
    "</code>",
    "</pre>",
    "@ann",
    "@sophia/ops",
    "#123",
    "GH-123",
    "sophia/fleet#1",
    "fixes #1",
    "Closes: #2",
    "https://github.com/sophia/fleet/issues/1",
    "www.example.com",
    "a@example.com",
    "[x](https://evil)",
    "![x](y)",
    "[x]: https://evil",
    "](",
    "*",
    "_",
    "**",
    "# ",
    "- ",
    "1. ",
    "> ",
    "> [!NOTE]",
    "---",
    "===",
    ":--|--:",
    "$`x`$",
    "$$",
    ":+1:",
    "&#64;ann",
    "&lt;",
    "\u{202e}",
    "\u{200b}",
    "\u{2028}",
    "\u{3164}",
    "\u{e0041}",
    "\u{0}",
    "\u{1b}[31m",
    "+",
    "-",
    "@@ -1 +1 @@",
    "word",
    "é",
    "4f3a2b1c5d6e7f8091a2b3c4d5e6f708192a3b4c",
];

fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![3 => prop::sample::select(PIECES).prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)];
    let place = prop_oneof![Just(""), Just(CANARY)];
    prop::collection::vec((piece, place), 1..12).prop_map(|pieces| {
        let text: String = pieces.into_iter().map(|(piece, canary)| format!("{piece}{canary}")).collect();
        format!("{CANARY}{text}{CANARY}")
    })
}

fn options() -> Options {
    Options::ENABLE_TABLES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_GFM
        | Options::ENABLE_MATH
}

/// What is on the page besides what is in code, in order.
fn shape(markdown: &str) -> Vec<String> {
    let mut shape: Vec<String> = Vec::new();
    let mut in_code = false;
    for event in Parser::new_ext(markdown, options()) {
        match event {
            Event::Start(Tag::CodeBlock(kind)) => {
                in_code = true;
                shape.push(format!("{kind:?}"));
            }
            Event::End(TagEnd::CodeBlock) => in_code = false,
            Event::Code(_) => shape.push("code".to_owned()),
            Event::Text(_) if in_code => {}
            // Unfolded or not: that is told by the number of lines.
            other => shape.push(format!("{other:?}").replace("<details open>", "<details>")),
        }
    }
    assert!(!in_code, "a block is not closed");
    shape
}

/// Whether nothing from outside is anywhere but in code, and the page is as with a text that is harmless.
fn stays_in_code(text: &str, page: impl Fn(&str) -> String) -> Result<(), TestCaseError> {
    let markdown = page(text);
    let found = shape(&markdown);
    for event in &found {
        prop_assert!(!event.contains(CANARY) && !event.contains('\u{202e}'), "{event} in\n{markdown}");
    }
    prop_assert_eq!(&found, &shape(&page("x")), "the page of {:?}:\n{}", text, markdown);
    let html: String = found.concat();
    prop_assert_eq!(html.matches("<details>").count(), html.matches("</details>").count());
    let control = |c: char| c.is_control() && c != '\n' && c != '\t' || "\u{200b}\u{202e}\u{3164}\u{e0041}".contains(c);
    prop_assert!(!markdown.contains(control), "{markdown:?}");
    Ok(())
}

type Made<T> = Result<T, Box<dyn Error>>;

/// A plan that has `text` wherever a text has a place.
fn everywhere(text: &str) -> Made<Sample> {
    let owned = || text.to_owned();
    let gong = || service("gong_mcp");
    let nowhere = || Resource::Leftover(text.to_owned());
    let link = || Before::Link { target: text.to_owned() };
    let change = |reason: &str, resource, action| step("a", 1, resource, action, reason);
    // The lines around keep a change one of a text, whatever the text is.
    let (old, new) = (format!("old\n{text}\n"), format!("new\n{text}\n"));
    let rights =
        Before::File { digest: evenkeel::model::digest::Digest::of(&new), mode: 0o600, owner: owned(), content: None };
    let steps = vec![
        change(text, Resource::Packages, Action::InstallPackages { names: vec![owned()] })?,
        change(text, gong()?, write(&format!("/a{text}"), live(&old, 0o644), &new))?,
        change(text, gong()?, write(&format!("/b{text}"), Before::Absent, &new))?,
        change(text, gong()?, write(&format!("/c{text}"), link(), &new))?,
        change(text, gong()?, write(&format!("/d{text}"), rights, &new))?,
        change(text, gong()?, Action::StopUnit { unit: owned(), foreign: true })?,
        change(text, gong()?, Action::RestartUnit { unit: owned() })?,
        change(text, gong()?, await_health("gong_mcp", text)?)?,
        change(text, nowhere(), Action::RemoveFile { path: owned(), before: Before::Absent })?,
        change(text, nowhere(), Action::WriteLink { path: owned(), before: link(), target: owned() })?,
        change(
            text,
            nowhere(),
            Action::StageRelease {
                release: evenkeel::model::digest::Digest::of("r"),
                source: owned(),
                files: 1,
                bytes: 1,
                due: false,
            },
        )?,
    ];
    let plan = plan(&[("a", InstanceState::Changes), ("b", InstanceState::Unknown(owned()))], steps)?;
    let before =
        Plan { steps: plan.steps.iter().filter(|step| step.resource == nowhere()).cloned().collect(), ..plan.clone() };
    let mut sample = Sample { before, ..Sample::of(plan) };
    let mut finding = Finding::warning(Code::Drift, text).hint(text);
    finding.instance = Some(owned());
    sample.plan.findings = vec![finding];
    sample.barred = Some(owned());
    sample.source = Some(Source { origin: Origin::Folder(owned()), ..Source::folder(text) });
    let folder = || Pinned::Folder(text.to_owned());
    // With a NUL it is no text, and not shown.
    let (old, new) = (old.replace('\0', ""), new.replace('\0', ""));
    let mut from = release(folder(), &[("kept", old.as_bytes()), (&format!("gone{text}"), b"x")]);
    let mut to = release(folder(), &[("kept", new.as_bytes()), (&format!("new{text}"), b"x")]);
    from.files.insert("link".to_owned(), ReleaseFile::Symlink { target: "old".to_owned() });
    to.files.insert("link".to_owned(), ReleaseFile::Symlink { target: format!("to{text}") });
    sample.releases = vec![(gong()?, Some(from), to)];
    Ok(sample)
}

fn hostile_pull(text: &str) -> PullRequest {
    let owned = || text.to_owned();
    PullRequest {
        title: owned(),
        author: owned(),
        head: owned().into(),
        base: owned(),
        from: Some(owned()),
        // What is no address is no link, so that the page is the same.
        url: format!("javascript:{text}"),
        ..pull_request()
    }
}

fn page(text: &str, content: PullContent<'_>) -> String {
    let pull = hostile_pull(text);
    let view = PullView { base: text, when: text, rest: Rest::File(text), ..view(&pull, content) };
    pull::proposal(&view).comment.posted
}

fn hostile_deployment(text: &str) -> Made<Deployment> {
    let mut deployment = deployment(Some(Outcome::RollbackFailed))?;
    deployment.commits.environment = Some(text.into());
    let step = |action| ChangeStep { action, subject: text.to_owned(), from: Some(text.to_owned()), replaced: false };
    deployment.changes = vec![
        RecordedChange::Line(text.replace(": ", ":")),
        RecordedChange::Line(format!("business-tools: {text}")),
        RecordedChange::Change(ResourceChange {
            instance: "business-tools".parse()?,
            resource: Resource::Leftover(text.to_owned()),
            action: Fate::Update,
            steps: vec![step(Verb::Stage), step(Verb::Build), step(Verb::Update), step(Verb::Reload)],
            reasons: vec![text.to_owned()],
        }),
    ];
    for failure in deployment.failure.iter_mut().chain(&mut deployment.not_undone) {
        failure.message = text.to_owned();
        failure.step = Some(StepId::new(&"ai-core".parse()?, &Resource::Leftover(text.to_owned()), Verb::Delete, text));
        failure.log = vec![text.to_owned()];
    }
    Ok(deployment)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn text_from_outside_stays_in_code_in_the_comment_with_the_plan(text in hostile()) {
        stays_in_code(&text, |text| {
            let sample = everywhere(text).expect("a sample");
            page(text, PullContent::Planned(vec![sample.planned()]))
        })?;
    }

    #[test]
    fn text_from_outside_stays_in_code_where_nothing_is_planned(text in hostile()) {
        stays_in_code(&text, |text| page(text, PullContent::Fork))?;
        stays_in_code(&text, |text| page(text, PullContent::Refused(text)))?;
        stays_in_code(&text, |text| page(text, PullContent::Conflict(&[text.to_owned()])))?;
        let place = |text: &str| Place { file: text.to_owned(), line: 3, column: 2, end_column: 4, text: text.to_owned(), ..Place::default() };
        stays_in_code(&text, |text| {
            let findings = [
                Finding::error(Code::InvalidName, text).at(place(text)).also(place(text), text).hint(text),
                Finding::warning(Code::Drift, text),
            ];
            page(text, PullContent::Invalid(&findings))
        })?;
    }

    #[test]
    fn text_from_outside_stays_in_code_in_the_report_of_a_deployment_and_in_answers(text in hostile()) {
        let told = |text: &str, body: bool| {
            let (pull, deployment) = (hostile_pull(text), hostile_deployment(text).expect("a sample"));
            let (merged, record) = ([pull.clone()], format!("javascript:{text}"));
            let view = DeployedView {
                deployment: &deployment,
                record: Some(&record),
                replicas: Some(Replicas { healthy: 1, all: 2 }),
                merged: &merged,
                revert: Some(&pull),
            };
            if body { pull::revert_body(&view, &pull) } else { pull::deployed(&view) }
        };
        stays_in_code(&text, |text| told(text, true))?;
        let lines = |text: &str| vec![text.to_owned()];
        stays_in_code(&text, |text| pull::answer(&Answer::Unknown { word: &format!("zzzzzzzz{text}") }))?;
        stays_in_code(&text, |text| pull::answer(&Answer::Misused { command: text, why: text }))?;
        stays_in_code(&text, refused)?;
        stays_in_code(&text, |text| pull::answer(&Answer::Done { command: text, what: text, lines: &lines(text) }))?;
        stays_in_code(&text, |text| pull::answer(&Answer::Refused { command: text, why: text }))?;
        stays_in_code(&text, |text| told(text, false))?;
    }
}

proptest! {
    // Each is a hundred diffs and more.
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// Each instance is shown whole, or named in a line, or its environment is; and it fits.
    #[test]
    fn a_comment_fits_and_is_cut_only_between_instances(
        lengths in prop::collection::vec(0usize..90, 1..40),
        extra in 0usize..300,
    ) {
        let sample = many(lengths.len() + extra, |at| lengths.get(at).copied().unwrap_or(1)).expect("a sample");
        let pull = pull_request();
        let content = PullContent::Planned(vec![sample.planned()]);
        let view = view(&pull, content);
        let pull::ProposalReport { comment, rest, checks: [_, check] } = pull::proposal(&view);
        let (body, check) = (comment.posted, check.posted);
        prop_assert!(body.len() <= pull::LONGEST_COMMENT, "{}", body.len());
        let found = shape(&body).concat();
        prop_assert_eq!(found.matches("<details>").count(), found.matches("</details>").count());
        let Some(whole) = rest else { return Ok(()) };
        prop_assert!(whole.len() > pull::LONGEST_COMMENT);
        prop_assert!(body.contains("**Shortened:**"));
        let blocks: BTreeMap<&str, &str> = blocks(&whole);
        for (name, block) in blocks {
            let named = body.contains(&format!("- `{name}`"));
            prop_assert!(body.contains(block) || (named && !body.contains(&format!("<b>{name}</b>"))), "{}", name);
        }
        prop_assert!(check.summary.len() <= 65_535 && check.text.is_some_and(|text| text.len() <= 65_535));
    }
}

#[test]
fn however_long_a_text_from_outside_is_what_is_said_of_it_fits() -> Made<()> {
    for text in ["\u{202e}".repeat(4_000), "`\n".repeat(4_000), "\u{1f600}".repeat(4_000)] {
        let mut sample = everywhere(&text)?;
        sample.plan.findings = vec![sample.plan.findings[0].clone(); 40];
        let paths = vec![text.clone(); 40];
        let findings = vec![Finding::error(Code::InvalidName, &text).hint(&text); 40];
        let pull = hostile_pull(&text);
        let contents = [
            PullContent::Planned(vec![sample.planned(), sample.planned()]),
            PullContent::Conflict(&paths),
            PullContent::Refused(&text),
            PullContent::Invalid(&findings),
            PullContent::Fork,
        ];
        for content in contents {
            let view = PullView { base: &text, when: &text, warnings: &findings, ..view(&pull, content) };
            let report = pull::proposal(&view);
            assert!(report.comment.posted.len() <= pull::LONGEST_COMMENT);
            for check in report.checks.map(|check| check.posted) {
                assert!(check.summary.len() <= 65_535 && check.text.unwrap_or_default().len() <= 65_535);
                assert!(check.title.chars().count() <= 140);
            }
        }
        let mut deployment = hostile_deployment(&text)?;
        deployment.not_undone = vec![deployment.not_undone[0].clone(); 40];
        let merged = vec![pull.clone(); 40];
        let view = DeployedView {
            deployment: &deployment,
            record: None,
            replicas: None,
            merged: &merged,
            revert: Some(&pull),
        };
        let answer = pull::answer(&Answer::Done { command: &text, what: &text, lines: &paths });
        for said in [pull::deployed(&view), pull::revert_body(&view, &pull), answer] {
            assert!(said.len() <= pull::LONGEST_COMMENT, "{} of {}", said.len(), &said[..200]);
        }
    }
    Ok(())
}

/// Each instance's part, by its name.
fn blocks(whole: &str) -> BTreeMap<&str, &str> {
    let parts = whole.split("<details").skip(1);
    parts
        .filter_map(|part| {
            let (block, _) = part.split_once("</details>")?;
            let (_, rest) = block.split_once("<b>")?;
            Some((rest.split_once("</b>")?.0, block))
        })
        .collect()
}

#[test]
fn a_comment_of_somebody_else_is_told_from_ours_by_its_beginning() {
    let pull = pull_request();
    let ours = pull::proposal(&view(&pull, PullContent::Untouched { followed: true })).comment.posted;
    assert!(pull::is_plan(&ours) && pull::is_plan(&ours.replace('\n', "\r\n")));
    assert!(!pull::is_plan(&format!("I quote:\n\n> {}", pull::MARKER)));
}
