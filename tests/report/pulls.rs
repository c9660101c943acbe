//! The comment with the plan of a pull request, as people read it: sample values in, Markdown out.

use std::error::Error;

use evenkeel::{
    model::{
        digest::Digest,
        plan::{Action, InstanceState},
        pull::PullRequest,
        release::{Making, Release},
        source::{Origin, Pinned, Revision, Source},
    },
    report::pull::{self, PullContent, PullView, Rest},
};
use insta::assert_snapshot;

use super::{proposals::*, samples::*};

type Tested = Result<(), Box<dyn Error>>;

#[test]
fn a_comment_tells_at_a_glance_what_merging_does() -> Tested {
    assert_snapshot!("first_deployment", Sample::of(first_deployment()?).comment());
    assert_snapshot!("env_change", Sample::of(env_change()?).comment());
    assert_snapshot!("deletion", Sample::of(deletion()?).comment());
    assert_snapshot!("new_code", new_code()?.comment());
    assert_snapshot!("frontend", frontend()?.comment());
    let mut held = Sample::of(refused()?);
    held.barred = Some("held by ann since 2026-11-21 12:00:00 UTC: the demo at noon".into());
    held.source = Some(Source { origin: Origin::Folder("gong".into()), ..Source::folder("gong") });
    assert_snapshot!("refused", held.comment());
    Ok(())
}

#[test]
fn what_would_be_done_anyway_is_told_apart_and_what_only_a_host_holds_is_not_shown() -> Tested {
    let sample = drifted(env_change()?)?;
    let comment = sample.comment();
    assert!(!comment.contains("hunter2"), "{comment}");
    assert_snapshot!("drift", comment);
    let mut alone = drifted(env_change()?)?;
    alone.plan.steps = alone.before.steps.clone();
    assert_snapshot!("drift_alone", alone.comment());
    Ok(())
}

#[test]
fn a_restart_that_drift_asks_for_too_is_told_with_the_change_that_it_serves() -> Tested {
    let mut sample = Sample::of(env_change()?);
    sample.before.steps = sample.plan.steps[1..].to_vec();
    let comment = sample.comment();
    assert_eq!(comment, Sample::of(env_change()?).comment());
    Ok(())
}

#[test]
fn a_comment_says_which_requests_are_lost_by_how_many_replicas_run() -> Tested {
    for (replicas, told) in [
        (1, "restarts on `business-tools`, its only replica: requests to it fail until it is healthy again"),
        (3, "1 of its 3 replicas: requests to that one fail until healthy again, the rest answers"),
    ] {
        let comment = Sample { replicas, ..Sample::of(env_change()?) }.comment();
        assert!(comment.contains(told), "{comment}");
    }
    let everywhere = many(2, |_| 1)?;
    let mut plan = everywhere.plan.clone();
    for instance in ["h0", "h1"] {
        let restart = Action::RestartUnit { unit: UNIT.into() };
        plan.steps.push(step(instance, 1, service("gong_mcp")?, restart, "its environment changes")?);
    }
    let in_turn = Sample { replicas: 2, ..Sample::of(plan.clone()) }.comment();
    let told =
        "a few of its 2 replicas at a time: requests straight to one fail until it is healthy again, the rest answers";
    assert!(in_turn.contains(told), "{in_turn}");
    plan.interrupted.insert("gong_mcp".parse()?);
    let comment = Sample { replicas: 2, ..Sample::of(plan) }.comment();
    assert!(comment.contains("all 2 replicas at once: requests to it fail until one is healthy again"), "{comment}");
    assert!(frontend()?.comment().contains("- No request is lost: nginx goes on serving while it reloads"));
    Ok(())
}

#[test]
fn a_source_that_lies_elsewhere_is_listed_and_not_shown() -> Tested {
    let mut sample = new_code()?;
    let url = "https://example.com/private.git".to_owned();
    let elsewhere = Pinned::Git { url, commit: COMMIT.into(), revision: Revision::Default, folder: String::new() };
    for (_, from, to) in &mut sample.releases {
        for release in from.iter_mut().chain([to]) {
            release.source = elsewhere.clone();
        }
    }
    let comment = sample.comment();
    assert!(comment.contains("~ server.py (86 B, was 61 B)") && !comment.contains("def serve"), "{comment}");
    Ok(())
}

#[test]
fn a_release_that_was_built_elsewhere_has_files_that_nobody_here_knows() -> Tested {
    let mut sample = new_code()?;
    let key = Digest::of("key");
    let making = Making::Recorded { key, requirements: Default::default() };
    let folder = Pinned::Folder("mcp_servers/gong".into());
    sample.releases[0].2 = Release::without_files(key, folder, making);
    let comment = sample.comment();
    assert!(comment.contains("files: what differs is not known"), "{comment}");
    assert!(comment.contains("those files are not at hand") && !comment.contains("def serve"), "{comment}");
    Ok(())
}

#[test]
fn a_pull_request_that_changes_nothing_is_one_line() -> Tested {
    let nothing = plan(&[("a", InstanceState::AsDeclared), ("b", InstanceState::AsDeclared)], Vec::new())?;
    assert_snapshot!("no_changes", Sample::of(nothing).comment());
    Ok(())
}

#[test]
fn a_pull_request_that_is_not_planned_says_why_and_what_to_do() -> Tested {
    let pull = PullRequest { from: Some("stranger/fleet".into()), ..pull_request() };
    let paths = ["fleet/services/gong_mcp.yaml".to_owned(), "fleet/sites/app.yaml".to_owned()];
    let findings = findings();
    for (name, content) in [
        ("untouched", PullContent::Untouched { followed: true }),
        ("unfollowed", PullContent::Untouched { followed: false }),
        ("fork", PullContent::Fork),
        ("conflict", PullContent::Conflict(&paths)),
        ("not_looked_at", PullContent::Refused("its tree has 100001 files; 100000 is the limit")),
        ("invalid", PullContent::Invalid(&findings)),
    ] {
        assert_snapshot!(name, pull::proposal(&view(&pull, content)).comment.posted);
    }
    Ok(())
}

#[test]
fn several_environments_have_a_section_each() -> Tested {
    let production = Sample::of(env_change()?);
    let mut staging = first_deployment()?;
    staging.environment = "staging".parse()?;
    let staging = Sample::of(staging);
    let pull = pull_request();
    let content = PullContent::Planned(vec![production.planned(), staging.planned()]);
    assert_snapshot!("several_environments", pull::proposal(&view(&pull, content)).comment.posted);
    Ok(())
}

#[test]
fn a_comment_that_is_too_long_is_shortened_by_whole_instances_the_largest_first() -> Tested {
    let sample = many(7, |number| if number == 3 { 90 } else { 50 })?;
    let pull = pull_request();
    let file = "https://github.com/sophia/fleet/blob/evenkeel/history/production/pulls/42.md";
    let content = PullContent::Planned(vec![sample.planned()]);
    let report = pull::proposal(&PullView { rest: Rest::File(file), ..view(&pull, content) });
    let body = report.comment.posted;
    assert!(body.len() <= pull::LONGEST_COMMENT, "{}", body.len());
    let rest = report.rest.ok_or("all of it is somewhere")?;
    assert!(rest.len() > pull::LONGEST_COMMENT && rest.contains("b89xxx"), "{}", rest.len());
    let folded: Vec<&str> =
        body.lines().filter(|line| !line.starts_with(['+', '-', ' ', '@', '~']) || line.starts_with("- `")).collect();
    assert_snapshot!("shortened", folded.join("\n"));
    Ok(())
}

#[test]
fn what_is_posted_is_told_from_what_was_posted_by_more_than_the_time() -> Tested {
    let pull = pull_request();
    for files in [1, 90] {
        let (sample, other) = (many(7, |_| files)?, many(6, |_| files)?);
        let posted = |sample: &Sample, when| {
            pull::proposal(&PullView { when, ..view(&pull, PullContent::Planned(vec![sample.planned()])) })
        };
        let (first, later) = (posted(&sample, "2026-11-21T13:14:05Z"), posted(&sample, "2026-11-22T09:00:00Z"));
        assert_ne!(first.comment.posted, later.comment.posted);
        assert_eq!(first.comment.timeless, later.comment.timeless);
        assert_ne!(first.comment.timeless, posted(&other, "2026-11-21T13:14:05Z").comment.timeless);
        let ([_, first], [_, later]) = (first.checks, later.checks);
        assert_ne!(first.posted, later.posted);
        assert_eq!(first.timeless, later.timeless);
    }
    Ok(())
}
