//! Virtual environments of Python services: which are made, what that restarts, and what is refused.

use evenkeel::{
    engine::prepare::Prepared,
    model::{
        build::{BuiltRelease, BuiltReleases},
        digest::Digest,
        observation::LiveVenv,
        plan::{Action, Plan},
        release::{Making, Release},
        seen::Seen,
    },
    release::{Builds, Unfetched},
};

use crate::{
    declared::{Declared, desired, example},
    host::PYTHON,
    text::{findings, shown, steps, without_digests},
    world::World,
};

const ON: &str = "business-tools";

/// gong_mcp and hubspot_mcp run with these requirements.
fn python(requirements: &str) -> Declared {
    let hubspot = with_venv(example(), "hubspot_mcp", "/usr/bin/python3 server.py hubspot", "catalog", requirements);
    with_venv(hubspot, "gong_mcp", "/usr/bin/python3 server.py", "gong", requirements)
}

fn with_venv(declared: Declared, service: &str, exec: &str, folder: &str, requirements: &str) -> Declared {
    let run = format!(
        "run: {{python: {{requirements: requirements.txt}}, exec: {}",
        exec.replace("/usr/bin/python3", "python")
    );
    declared
        .edit(&format!("services/{service}.yaml"), &format!("run: {{exec: {exec}"), &run)
        .write(&format!("mcp_servers/{folder}/requirements.txt"), requirements)
}

fn of_python(plan: &Plan) -> String {
    let lines = steps(plan);
    let about: Vec<&str> =
        lines.lines().filter(|line| line.contains("gong_mcp") || line.contains("hubspot_mcp")).collect();
    without_digests(&about.join("\n"))
}

#[test]
fn one_is_made_before_anything_that_runs_is_touched_and_shared() {
    let mut world = World::live(&example()).declare(&python("requests==2.32\n"));
    let plan = world.plan();
    insta::assert_snapshot!(of_python(&plan));
    assert_eq!(desired(&world.prepared, ON).venvs.len(), 1, "both have the same requirements");
    world.apply(&plan);
    assert_eq!(steps(&world.plan()), "", "one round is enough");
}

/// gong_mcp starts a program that its requirements bring.
fn gunicorn() -> Declared {
    with_venv(example(), "gong_mcp", "/usr/bin/python3 server.py", "gong", "gunicorn==23.0\n").edit(
        "services/gong_mcp.yaml",
        "exec: python server.py",
        "exec: gunicorn server",
    )
}

#[test]
fn a_program_that_the_requirements_do_not_bring_is_refused_where_they_are_installed_already() {
    let before = gunicorn();
    let after = before.clone().edit("services/gong_mcp.yaml", "exec: gunicorn server", "exec: gunikorn server");
    let missing = |host: &mut crate::host::Host, desired: &evenkeel::model::desired::Desired| {
        let key = desired.venvs.keys().next().expect("there is one");
        host.programs.insert(format!("/var/lib/evenkeel/sophia/venvs/{key}/bin/gunikorn"), Seen::Absent);
    };
    let mut world = World::live(&before).declare(&after);
    let desired = desired(&world.prepared, ON).clone();
    missing(world.host(ON), &desired);
    let plan = world.plan();
    assert!(plan.is_refused(), "nothing stops for what cannot start");
    insta::assert_snapshot!(findings(&plan), @r"
    business-tools no-program: what requirements.txt installs has no program gunikorn, which service/gong_mcp starts (run.exec)
      hint: name the package that brings it in requirements.txt, or correct run.exec of fleet/services/gong_mcp.yaml
    ");
    // Where it is made with this plan the host looks, before anything stops.
    let plan = World::live(&example()).declare(&after).plan();
    let programs = |action: &Action| match action {
        Action::BuildVenv { programs, .. } => Some(programs.clone()),
        _ => None,
    };
    let asked: Vec<_> = plan.steps.iter().filter_map(|step| programs(&step.action)).collect();
    assert_eq!(asked, [["gunikorn"]]);
}

#[test]
fn what_cannot_be_started_where_it_lies_is_refused_before_anything_stops() {
    let noexec = |folder: &'static str| {
        move |host: &mut crate::host::Host| _ = host.noexec.insert(folder.to_owned(), "/var/lib".to_owned())
    };
    let plan = World::live(&example()).declare(&gunicorn()).on(ON, noexec("venvs")).plan();
    insta::assert_snapshot!(findings(&plan), @r"
    business-tools no-program: /var/lib/evenkeel/sophia/venvs lies on /var/lib, which is mounted noexec: gunicorn, which service/gong_mcp starts (run.exec), does not start there
      hint: `sudo mount -o remount,exec /var/lib` there, and the same in /etc/fstab
    ");
    assert!(plan.is_refused());
    let released = example().edit("services/gong_mcp.yaml", "/usr/bin/python3 server.py", "./server.py");
    let released = released.executable("mcp_servers/gong/server.py");
    let plan = World::live(&example()).declare(&released).on(ON, noexec("releases")).plan();
    assert!(plan.is_refused() && findings(&plan).contains("./server.py"), "{}", findings(&plan));
    // What runs goes on running, and the host's own programs start wherever files lie.
    assert!(!World::live(&released).on(ON, noexec("releases")).plan().is_refused());
    assert_eq!(findings(&World::live(&example()).on(ON, noexec("releases")).plan()), "");
    // An interpreter is a link to the host's.
    let python = World::live(&example()).declare(&python("requests==2.32\n")).on(ON, noexec("venvs")).plan();
    assert!(!python.is_refused() && findings(&python).contains("compiled parts"), "{}", findings(&python));
}

#[test]
fn people_see_what_one_is_made_of() {
    let declared = with_venv(example(), "gong_mcp", "/usr/bin/python3 server.py", "gong", "requests==2.32\n");
    insta::assert_snapshot!(without_digests(&shown(&World::live(&example()).declare(&declared).plan())));
}

#[test]
fn other_requirements_another_index_and_another_interpreter_are_another_one() {
    let key = |declared: &Declared| *desired(&declared.prepare(), ON).venvs.keys().next().expect("one");
    let with = |more: &str| {
        let (from, to) = ("requirements: requirements.txt", format!("requirements: requirements.txt, {more}"));
        let declared = python("a==1\n").edit("services/gong_mcp.yaml", from, &to);
        let declared = declared.edit("fleet.yaml", "allow:\n", "allow:\n  netrc: [/etc/netrc]\n");
        key(&declared.edit("services/hubspot_mcp.yaml", from, &to))
    };
    let keys = [
        key(&python("a==1\n")),
        key(&python("a==2\n")),
        with("index: \"https://pypi.example.org/simple/\""),
        with("interpreter: /usr/bin/python3.12"),
    ];
    for (index, one) in keys.iter().enumerate() {
        assert!(!keys[..index].contains(one), "{index}");
    }
    assert_eq!(keys[0], with("netrc: /etc/netrc"), "who asks changes nothing of what is made");
}

#[test]
fn one_that_is_not_as_it_was_made_is_made_anew_and_its_services_restarted() {
    let restarts =
        |change: fn(&mut crate::host::Host)| of_python(&World::live(&python("a==1\n")).on(ON, change).plan());
    insta::assert_snapshot!("removed", restarts(|host| host.venvs.clear()));
    insta::assert_snapshot!(
        "damaged",
        restarts(|host| host.venvs.values_mut().for_each(|venv| *venv = LiveVenv::Damaged))
    );
    insta::assert_snapshot!("another_interpreter", restarts(|host| host.python = Some("cpython-313".to_owned())));
}

#[test]
fn going_back_makes_nothing() {
    let mut world = World::live(&python("a==1\n")).declare(&python("a==2\n"));
    let plan = world.plan();
    world.apply(&plan);
    let back = world.declare(&python("a==1\n")).plan();
    assert!(!of_python(&back).contains(" build "), "{}", of_python(&back));
    assert!(of_python(&back).contains(" restart "), "{}", of_python(&back));
}

#[test]
fn without_an_interpreter_nothing_is_planned_unless_a_package_brings_it() {
    let without = |declared: &Declared| World::live(&example()).declare(declared).on(ON, |host| host.python = None);
    let refused = without(&python("a==1\n")).plan();
    assert!(refused.is_refused());
    insta::assert_snapshot!(findings(&refused));
    let packages = python("a==1\n").append(&format!("instances/{ON}.yaml"), "packages: [nginx-light, python3-venv]");
    let plan = without(&packages).plan();
    assert!(!plan.is_refused(), "{}", findings(&plan));
    assert!(of_python(&plan).contains(" build "), "{}", of_python(&plan));
}

#[test]
fn what_is_not_known_of_one_is_no_reason_to_make_it() {
    let unknown = || "it hung".to_owned();
    let world = World::live(&python("a==1\n"));
    let plan = world.plan_when(ON, |live| live.venvs.values_mut().for_each(|venv| *venv = Seen::Unknown(unknown())));
    assert_eq!(steps(&plan), "");
    assert!(plan.unknown_instances().any(|(name, why)| name.as_str() == ON && why.contains("it hung")));
    let plan = world
        .plan_when(ON, |live| live.interpreters.values_mut().for_each(|python| *python = Seen::Unknown(unknown())));
    assert_eq!(steps(&plan), "");
    let plan = world.plan_when(ON, |live| live.venvs.clear());
    assert_eq!(steps(&plan), "", "what was not asked about is not absent");
}

#[test]
fn its_programs_are_started_by_their_whole_paths_and_found_first() {
    let world = World::live(&python("a==1\n"));
    let desired = desired(&world.prepared, ON);
    let replica = desired.replicas.values().find(|replica| replica.service.as_str() == "gong_mcp").expect("a replica");
    let text = |path: &str| String::from_utf8(desired.files[path].content.clone()).expect("text");
    let venv = format!("/var/lib/evenkeel/sophia/venvs/{}", replica.venv.expect("a virtual environment"));
    assert!(text(&replica.unit_path).contains(&format!("\nExecStart=:{venv}/bin/python server.py\n")));
    assert!(text(&replica.env_path).contains(&format!("PATH=\"{venv}/bin:/usr/local/sbin:")));
    assert!(
        world.hosts[&crate::declared::instance(ON)]
            .venvs
            .values()
            .all(|venv| *venv == LiveVenv::Whole { made_with: PYTHON.to_owned() })
    );
}

/// gong_mcp's files are built, hubspot_mcp's are not.
fn built() -> Declared {
    let build = "source: {path: mcp_servers/gong, build: {run: make, output: out}}";
    python("a==1\n").edit("services/gong_mcp.yaml", "source: {path: mcp_servers/gong}", build)
}

fn gathered(recorded: Option<&BuiltReleases>) -> Prepared {
    let builds = Builds { recorded, ..Builds::default() };
    built().gather(Default::default(), &Unfetched, builds).expect("it is declared")
}

fn venv_of(prepared: &Prepared, service: &str) -> Option<Digest> {
    desired(prepared, ON).replicas.values().find(|replica| replica.service.as_str() == service).expect("a replica").venv
}

#[test]
fn of_what_is_not_built_yet_nobody_knows_which_one_it_runs_in() {
    let plan = World::live(&example()).declare(&built()).plan();
    insta::assert_snapshot!(of_python(&plan));
    insta::assert_snapshot!("what_is_said_of_it", findings(&plan));
    assert!(plan.needs_builds(), "it is never carried out as it is");
    let unit = plan.steps.iter().find_map(|step| match &step.action {
        Action::WriteFile { path, content, .. } if path.ends_with("gong_mcp@8100.service") => Some(content),
        _ => None,
    });
    let unit = String::from_utf8_lossy(unit.expect("its unit changes"));
    assert!(unit.contains("ExecStart=:/var/lib/evenkeel/sophia/venvs/known-after-the-build/bin/python "), "{unit}");
}

#[test]
fn what_the_history_says_of_a_build_tells_which_one_is_live() {
    let due = gathered(None);
    let of_gong =
        |release: &&Release| matches!(release.making, Making::Due { .. }) && release.origin().contains("gong");
    let key = due.releases.values().find(of_gong).and_then(Release::build_key).expect("it is to be built");
    let record = |requirements: &[(&str, &str)]| {
        let requirements = requirements.iter().map(|(path, said)| ((*path).to_owned(), Digest::of(said))).collect();
        let (release, from) = (Digest::of("made"), "fleet/mcp_servers/gong".to_owned());
        BuiltReleases::from([(key, BuiltRelease { release, from, requirements })])
    };
    let recorded = record(&[("requirements.txt", "a==1")]);
    let known = gathered(Some(&recorded));
    assert!(venv_of(&known, "gong_mcp").is_some(), "nothing has to be built to know it");
    assert_ne!(venv_of(&known, "gong_mcp"), venv_of(&known, "hubspot_mcp"), "it is what was built that tells");
    let told: BuiltReleases = known.builds().into_iter().filter(|(of, _)| *of == key).collect();
    assert_eq!(told, recorded, "whoever deploys it next tells it, too");

    let other = gathered(Some(&record(&[("others.txt", "a==1")])));
    assert_eq!(venv_of(&other, "gong_mcp"), None);
    assert!(other.releases.contains_key(&key), "what was not asked for then is known after a build");
}
