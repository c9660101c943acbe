//! What is refused before anything is touched: the path, port, user by its name, and the next move.

use evenkeel::model::{
    finding::{Code, Finding},
    observation::{LiveProgram, LiveUnit},
    plan::{InstanceState, Plan},
    seen::Seen,
};

use crate::{
    declared::{example, instance},
    host::{Host, Lies, file},
    text::{findings, shown},
    world::{World, state},
};

const GONG_UNIT: &str = "/etc/systemd/system/sophia-gong_mcp@8100.service";

/// What is refused; the other instances are planned as if nothing were.
fn refused(world: World, name: &str) -> String {
    let plan = world.plan();
    assert!(plan.is_refused());
    assert_eq!(*state(&plan, name), InstanceState::Refused);
    assert!(plan.findings.iter().all(|finding| finding.instance.as_deref() == Some(name)));
    findings(&plan)
}

fn empty_but(name: &str, change: impl FnOnce(&mut Host)) -> World {
    World::empty(&example()).on(name, change)
}

#[test]
fn a_foreign_file_is_refused() {
    for lies in [file("theirs", 0o644), Lies::Link("/x".into()), Lies::Directory] {
        insta::allow_duplicates! {
            let world = empty_but("business-tools", |host| _ = host.files.insert(GONG_UNIT.into(), lies));
            insta::assert_snapshot!(refused(world, "business-tools"), @r"
            business-tools foreign-file: /etc/systemd/system/sophia-gong_mcp@8100.service exists and evenkeel did not make it
              hint: look at it, then move it away; evenkeel never touches what it did not make
            ");
        }
    }
}

#[test]
fn a_foreign_link_is_refused() {
    let current = "/var/lib/evenkeel/sophia/sites/app/current";
    let world = empty_but("ai-core", |host| _ = host.files.insert(current.into(), Lies::Link("/x".into())));
    insta::assert_snapshot!(refused(world, "ai-core"), @r"
    ai-core foreign-file: /var/lib/evenkeel/sophia/sites/app/current exists and evenkeel did not make it
      hint: look at it, then move it away; evenkeel never touches what it did not make
    ");
}

#[test]
fn a_file_of_ours_that_became_a_directory_is_refused() {
    let world =
        World::live(&example()).on("business-tools", |host| _ = host.files.insert(GONG_UNIT.into(), Lies::Directory));
    insta::assert_snapshot!(refused(world, "business-tools"), @r"
    business-tools foreign-file: /etc/systemd/system/sophia-gong_mcp@8100.service was a file of evenkeel's and is now a directory
      hint: move it away
    ");
}

#[test]
fn a_missing_user_is_refused_with_who_needs_it() {
    let declared = example().edit("fleet.yaml", "allow:\n", "allow:\n  users: [gong]\n").edit(
        "services/gong_mcp.yaml",
        "state: [gong]",
        "state: [gong], user: gong",
    );
    let world = World::empty(&declared);
    insta::assert_snapshot!(refused(world, "business-tools"), @r"
    business-tools no-user: there is no user gong, as whom gong_mcp should run
      hint: create it on the instance (sudo useradd --system gong), or declare another run.user
    ");
}

/// The findings about programs: of which instance, whether they are errors, and what they say with the next move.
fn about_programs(plan: &Plan) -> Vec<(Option<&str>, bool, String)> {
    let found = plan.findings.iter().filter(|finding| finding.code == Code::NoProgram);
    let told = |finding: &Finding| format!("{} {}", finding.message, finding.hint.as_deref().unwrap_or_default());
    found.map(|finding| (finding.instance.as_deref(), finding.is_error(), told(finding))).collect()
}

#[test]
fn a_program_that_the_host_does_not_have_is_refused_before_anything_stops() {
    let absent = |program: &str| {
        let program = program.to_owned();
        move |host: &mut Host| _ = host.programs.insert(program, Seen::Absent)
    };
    let java = example().edit("services/gong_mcp.yaml", "/usr/bin/python3 server.py", "/usr/bin/java -jar server.jar");
    let plan = World::live(&example()).on("business-tools", absent("/usr/bin/java")).declare(&java).plan();
    let found = about_programs(&plan);
    let [(Some("business-tools"), true, told)] = found.as_slice() else { panic!("{found:?}") };
    assert!(
        ["/usr/bin/java", "gong_mcp", "run.exec", "packages: [default-jre-headless]"]
            .iter()
            .all(|word| told.contains(word)),
        "{told}"
    );
    assert_eq!(*state(&plan, "business-tools"), InstanceState::Refused);
    // A package that is installed first may bring it.
    let packages = java.append("instances/business-tools.yaml", "packages: [default-jre-headless]");
    let plan = World::live(&example()).on("business-tools", absent("/usr/bin/java")).declare(&packages).plan();
    let found = about_programs(&plan);
    assert!(matches!(found.as_slice(), [(Some("business-tools"), false, _)]), "{found:?}");
    assert!(!plan.is_refused());
    // What runs goes on running: it is told and no more.
    let plan = World::live(&example()).on("business-tools", absent("/usr/bin/python3")).plan();
    assert!(!plan.is_refused() && about_programs(&plan).iter().all(|(_, is_error, _)| !is_error));
}

#[test]
fn a_program_behind_env_or_of_a_health_check_is_looked_for_too() {
    let declared =
        example().edit("services/gong_mcp.yaml", "/usr/bin/python3 server.py", "/usr/bin/env FLAG=1 nodejs server.js");
    let with_health = |text: &str| declared.clone().append("services/gong_mcp.yaml", text);
    let absent = |host: &mut Host| {
        host.programs.insert("nodejs".to_owned(), Seen::Absent);
        host.programs.insert("/opt/check".to_owned(), Seen::Known(LiveProgram::NotExecutable));
    };
    let plan = World::empty(&declared).on("business-tools", absent).plan();
    let found = about_programs(&plan);
    assert!(matches!(found.as_slice(), [(_, true, told)] if told.starts_with("nodejs, ")), "{found:?}");
    let health = with_health("in: {production: {health: {exec: /opt/check -q}}}");
    let found = about_programs(&World::empty(&health).on("business-tools", absent).plan()).len();
    assert_eq!(found, 2);
    // With a PATH of its own it may be anywhere.
    let path = with_health("in: {production: {env: {PATH: /opt/bin}}}");
    let plan = World::empty(&path).on("business-tools", absent).plan();
    assert!(about_programs(&plan).is_empty());
}

#[test]
fn a_missing_nginx_is_refused_unless_its_package_is_declared() {
    let declared = example().edit("instances/ai-core.yaml", "packages: [nginx-light]", "packages: [jq]");
    insta::assert_snapshot!(refused(World::empty(&declared), "ai-core"), @r"
    ai-core no-nginx: nginx is not installed, and app needs it
      hint: declare `packages: [nginx]` in instances/ai-core.yaml
    ");
    assert!(!World::empty(&example()).plan().is_refused());
}

#[test]
fn an_env_file_that_is_not_there_is_refused() {
    let declared = example().append("services/gong_mcp.yaml", "env_file: /etc/sophia/gong.env");
    insta::assert_snapshot!(refused(World::empty(&declared), "business-tools"), @r"
    business-tools no-env-file: /etc/sophia/gong.env, the env_file of gong_mcp, does not exist
      hint: create /etc/sophia/gong.env on the instance, or take env_file out of the service
    ");
}

#[test]
fn an_env_file_whose_changes_cannot_be_seen_is_refused() {
    let declared = example().append("services/gong_mcp.yaml", "env_file: /etc/sophia/gong.env");
    let path = "/etc/sophia/gong.env".to_owned();
    let linked = World::live(&declared).on("business-tools", |host| {
        host.files.insert(path, Lies::Link("/run/secrets/gong".to_owned()));
    });
    insta::assert_snapshot!(refused(linked, "business-tools"), @r"
    business-tools no-env-file: /etc/sophia/gong.env, the env_file of gong_mcp, is a symbolic link: its changes cannot be seen
      hint: name the file itself in env_file
    ");
}

/// systemd does not start a unit whose folder is a link; one that runs goes on until it is started again.
#[test]
fn a_state_folder_that_is_a_link_is_refused_where_its_service_starts() {
    let path = "/var/lib/sophia/gong_mcp/gong".to_owned();
    let linked = |host: &mut Host| _ = host.files.insert(path.clone(), Lies::Link("/srv/gong".to_owned()));
    insta::assert_snapshot!(refused(World::empty(&example()).on("business-tools", linked), "business-tools"));
    let plan = World::live(&example()).on("business-tools", linked).plan();
    assert!(!plan.is_refused() && !plan.has_changes(), "{}", findings(&plan));
    assert!(plan.findings.iter().any(|finding| finding.code == Code::StateIsLink), "{}", findings(&plan));
}

/// What an earlier installation left is said where something is to be installed, and stands in no other's way.
#[test]
fn what_dpkg_left_half_way_is_said_and_an_interrupted_dpkg_is_refused() {
    let half = |host: &mut Host| {
        host.packages.clear();
        host.installing.half_way.insert("oddfail".to_owned(), "half-configured".to_owned());
        host.installing.refused = Some("E: Unable to locate package nginx-light".to_owned());
    };
    let world = World::empty(&example()).on("ai-core", half);
    let plan = world.plan();
    assert!(!plan.is_refused(), "{}", findings(&plan));
    insta::assert_snapshot!(findings(&plan));
    let interrupted = |host: &mut Host| {
        half(host);
        host.installing.interrupted = true;
    };
    insta::assert_snapshot!(refused(World::empty(&example()).on("ai-core", interrupted), "ai-core"));
}

#[test]
fn a_refused_plan_shows_what_would_have_been_done_and_says_that_it_was_not() {
    let changed = example().edit("services/gong_mcp.yaml", "ENVIRONMENT: prod", "ENVIRONMENT: test");
    let world = World::live(&example()).declare(&changed).on("business-tools", |host| host.users.clear());
    let plan = world.plan();
    assert_eq!(*state(&plan, "control"), InstanceState::AsDeclared);
    assert_eq!(plan.instances[&instance("business-tools")].state, InstanceState::Refused);
    let text = shown(&plan);
    let (planned, refused) = text.split_once("\nFailed checks: production is refused").expect("a section of its own");
    assert!(planned.contains("business-tools (refused)") && !planned.contains("[no-user]"), "{text}");
    assert!(
        refused.contains("[no-user]") && text.trim_end().ends_with("Refused: 1 reason above. Nothing was touched."),
        "{text}"
    );
}

#[test]
fn a_deployment_that_runs_or_is_being_undone_refuses_another() {
    for (active, main_pid) in [("active", 4242), ("activating", 0), ("deactivating", 0)] {
        let running = |name: &str, world: &World| {
            world.plan_when(name, |observation| {
                let unit = LiveUnit {
                    active: active.to_owned(),
                    sub: String::new(),
                    enabled: "transient".to_owned(),
                    main_pid,
                    ..LiveUnit::default()
                };
                observation.units.insert("evenkeel-sophia.service".to_owned(), Seen::Known(unit));
            })
        };
        insta::allow_duplicates! {
            insta::assert_snapshot!(findings(&running("control", &World::empty(&example()))), @r"
            control deployment-running: another deployment is running there (unit evenkeel-sophia.service)
              hint: wait for it to end, or look at it with `journalctl -u evenkeel-sophia.service`; then plan again
            ");
        }
        assert!(!running("control", &World::live(&example())).is_refused(), "there is nothing to do");
    }
}

#[test]
fn a_deployment_that_was_cut_off_is_said_and_refuses_nothing() {
    let plan = World::live(&example()).plan_when("ai-core", |seen| seen.unfinished = Some("7".to_owned()));
    let said: Vec<_> = plan.findings.iter().map(|finding| (finding.code.as_str(), finding.message.as_str())).collect();
    assert_eq!(said, [("unfinished", "deployment 7 was begun here, and is neither finished nor undone")]);
    assert!(!plan.is_refused());
    assert!(!plan.has_changes());
}
