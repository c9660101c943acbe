//! What is said of deployments, and answered, where people look: sample values in, Markdown out.

use std::error::Error;

use evenkeel::{
    model::{
        failure::Failure,
        outcome::{Cause, Outcome},
        pull::{Check, CheckState, Conclusion, PullRequest},
        rights::{Permission, Right, Team},
        status::{Waiting, WaitsOn},
    },
    report::pull::{self, Answer, DeployedView, PullContent, PullView, Replicas},
};
use insta::assert_snapshot;

use super::{proposals::*, samples::*};

type Tested = Result<(), Box<dyn Error>>;

fn merged() -> Vec<PullRequest> {
    let other = PullRequest {
        number: 41,
        title: "Fixes #7: `retry` when slack says no".into(),
        author: "bob".into(),
        url: "https://github.com/sophia/fleet/pull/41".into(),
        ..pull_request()
    };
    vec![pull_request(), other]
}

#[test]
fn a_deployment_is_told_of_where_it_was_merged() -> Tested {
    let merged = merged();
    let revert = PullRequest { number: 43, url: "https://github.com/sophia/fleet/pull/43".into(), ..pull_request() };
    let record = "https://github.com/sophia/fleet/commit/0123456789abcdef0123456789abcdef01234567";
    for outcome in [
        Outcome::Applied,
        Outcome::Partial,
        Outcome::RolledBack,
        Outcome::RollbackFailed,
        Outcome::Stopped,
        Outcome::Refused,
    ] {
        let mut deployment = deployment(Some(outcome))?;
        if outcome == Outcome::Refused {
            let failure = Failure::of_deployment(Cause::Build, "frontend: `npm run build` ended with 1");
            deployment.failure = Some(Failure { log: vec!["vite: not found".into()], ..failure });
        }
        let went_well = outcome == Outcome::Applied;
        let view = DeployedView {
            deployment: &deployment,
            record: Some(record),
            replicas: went_well.then_some(Replicas { healthy: 14, all: 14 }),
            merged: if went_well { &merged } else { &merged[..1] },
            revert: (outcome == Outcome::RolledBack).then_some(&revert),
        };
        assert_snapshot!(format!("deployed_{outcome}"), pull::deployed(&view));
        assert!(pull::deployed(&view).starts_with("<!-- evenkeel:deployed production 12 -->\n"));
    }
    Ok(())
}

#[test]
fn a_deployment_that_a_host_did_not_carry_out_is_told_with_who_is_the_cause() -> Tested {
    let mut deployment = deployment(Some(Outcome::RolledBack))?;
    let message = "cp: cannot create regular file: Read-only file system";
    let failure = Failure::of_instance(&"business-tools".parse()?, Cause::Host, message);
    let step = "business-tools/service/gong_mcp/write/etc/evenkeel/sophia/gong_mcp@8100.env";
    deployment.failure = Some(failure.at(step.parse()?));
    let view = DeployedView { deployment: &deployment, record: None, replicas: None, merged: &[], revert: None };
    assert_snapshot!(pull::deployed(&view));
    Ok(())
}

#[test]
fn a_deployment_that_left_out_an_instance_is_told_with_what_was_done() -> Tested {
    let (deployment, merged) = (deployment_that_left_out_an_instance()?, merged());
    let view =
        DeployedView { deployment: &deployment, record: None, replicas: None, merged: &merged[..1], revert: None };
    assert_snapshot!(pull::deployed(&view));
    Ok(())
}

#[test]
fn a_revert_tells_what_failed_and_what_merging_it_does() -> Tested {
    let deployment = deployment(Some(Outcome::RolledBack))?;
    let record = Some("https://github.com/sophia/fleet/commit/0123456789abcdef0123456789abcdef01234567");
    let view = DeployedView { deployment: &deployment, record, replicas: None, merged: &[], revert: None };
    let reverted = &merged()[1];
    assert_snapshot!(pull::revert_title(&deployment, reverted), @"Revert #41, which was rolled back in production");
    assert_snapshot!("revert_body", pull::revert_body(&view, reverted));
    Ok(())
}

#[test]
fn answers_say_what_was_done_or_why_not_and_what_to_type() {
    let lines = ["service/gong_mcp on business-tools: as declared".to_owned()];
    let unknown: [Team; 1] = ["sophia/ops".parse().expect("it is a team")];
    let needed =
        [Right::Permission(Permission::Maintain), Right::Team(unknown[0].clone()), Right::Person("ada".to_owned())];
    let answers = [
        Answer::Help,
        Answer::Unknown { word: "pln" },
        Answer::Unknown { word: "make-coffee" },
        Answer::Misused { command: "why", why: "it takes service/NAME or site/NAME" },
        Answer::NotAllowed {
            command: "hold",
            login: "stranger",
            permission: Permission::Read,
            needed: &needed,
            unknown: &unknown,
            unread: false,
        },
        Answer::NotAllowed {
            command: "plan",
            login: "stranger",
            permission: Permission::None,
            needed: &[Right::Permission(Permission::Admin)],
            unknown: &[],
            unread: true,
        },
        Answer::Done { command: "why service/gong_mcp", what: "it was deployed by 4f3a2b1", lines: &lines },
        Answer::Refused { command: "cancel", why: "no deployment runs in production" },
    ];
    assert_snapshot!("answers", answers.iter().map(pull::answer).collect::<Vec<_>>().join("=====\n"));
}

fn line(check: &Check) -> String {
    format!("{} {:?} {}", check.name, check.state, check.title)
}

#[test]
fn the_check_of_several_environments_is_as_bad_as_the_worst_of_them() -> Tested {
    let of = |name: &str, state| -> Result<Check, Box<dyn Error>> {
        Ok(Check { state, title: format!("{name}: so"), ..pull::let_go_check(&name.parse()?, &COMMIT.into()) })
    };
    let good = of("one", CheckState::Done(Conclusion::Success))?;
    let bad = of("two", CheckState::Done(Conclusion::Failure))?;
    let queued = of("three", CheckState::Queued)?;
    let state = |checks: &[&Check]| pull::together(checks).map(|check| check.state);
    assert_eq!(state(&[]), None);
    assert_eq!(pull::together(&[&good]).as_ref(), Some(&good));
    assert_eq!(state(&[&bad, &good]), Some(CheckState::Done(Conclusion::Failure)));
    assert_eq!(state(&[&good, &queued, &bad]), Some(CheckState::Queued));
    assert_eq!(pull::together(&[&good, &bad]).map(|check| check.title), Some("one: so; two: so".to_owned()));
    Ok(())
}

#[test]
fn checks_say_of_each_stage_what_stands_in_the_way() -> Tested {
    let pull = pull_request();
    let (changed, refused) = (Sample::of(env_change()?), Sample::of(refused()?));
    let paths = ["fleet/sites/app.yaml".to_owned()];
    let findings = findings();
    let contents = [
        PullContent::Untouched { followed: true },
        PullContent::Fork,
        PullContent::Conflict(&paths),
        PullContent::Refused("its tree has 100001 files; 100000 is the limit"),
        PullContent::Invalid(&findings),
        PullContent::Planned(vec![changed.planned()]),
        PullContent::Planned(vec![refused.planned()]),
    ];
    let mut lines = Vec::new();
    for content in contents {
        let view = PullView { warnings: &findings[1..], ..view(&pull, content) };
        let checks = pull::proposal(&view).checks.map(|check| check.posted);
        assert!(checks.iter().all(|check| check.commit == COMMIT && !check.summary.is_empty()));
        lines.extend(checks.iter().map(line));
    }
    for outcome in
        [None, Some(Outcome::Applied), Some(Outcome::Partial), Some(Outcome::RolledBack), Some(Outcome::Refused)]
    {
        let deployment = deployment(outcome)?;
        let view = DeployedView { deployment: &deployment, record: None, replicas: None, merged: &[], revert: None };
        lines.push(line(&pull::deploy_check(&view, &COMMIT.into(), pull::deployed(&view))));
    }
    let why = "held by ann: the *demo*\n```".to_owned();
    let waiting = Waiting { commit: COMMIT.into(), generation: 8, on: WaitsOn::Hold, why };
    let queued = pull::queued_check(&"production".parse()?, &waiting);
    let let_go = pull::let_go_check(&"staging".parse()?, &COMMIT.into());
    lines.extend([line(&queued), queued.summary.clone(), line(&let_go), let_go.summary.clone()]);
    assert_snapshot!("checks", lines.join("\n"));
    let [invalid, _] = pull::proposal(&view(&pull, PullContent::Invalid(&findings))).checks;
    assert_eq!(invalid.posted.findings, findings, "each becomes an annotation at its place");
    Ok(())
}
