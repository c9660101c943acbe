//! What units are confined by, what lifts it, and how a fleet that ran unconfined gets there.

use std::process::Command;

use evenkeel::{
    engine::sync::deploy,
    model::{
        confinement,
        content::Content,
        desired,
        digest::Digest,
        environment_state::{EnvironmentState, Good},
        manifest::StartedWith,
    },
};

use crate::{
    declared::{Declared, content, example},
    host::file,
    needs::lacks,
    text::{findings, shown, steps, without_digests},
    world::World,
};

const GONG_UNIT: &str = "/etc/systemd/system/sophia-gong_mcp@8100.service";
const GONG: &str = "services/gong_mcp.yaml";

/// The systemds whose figures are kept: each looks at more than the one before, and weighs it anew.
const KEPT: [&str; 2] = ["252", "257"];

/// The most that any of them says of the example's unit, whose figure is kept or not.
const MOST_EXPOSURE: f64 = 5.5;

fn unit(declared: &Declared) -> String {
    World::live(declared).wanted("business-tools", GONG_UNIT)
}

fn confining(declared: &Declared) -> Vec<&'static str> {
    confinement::confining(unit(declared).as_bytes()).map(confinement::Confinement::line).collect()
}

/// What a tool of systemd's says of a unit.
fn analysed(unit: &str, arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sophia-gong_mcp@8100.service");
    std::fs::write(&path, unit).unwrap();
    let output = Command::new("systemd-analyze").args(arguments).arg(&path).output().unwrap();
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    said.concat()
}

/// The version of systemd that is here, and nothing of the distribution's.
fn systemd() -> String {
    let said = Command::new("systemd-analyze").arg("--version").output().unwrap().stdout;
    let said = String::from_utf8_lossy(&said).into_owned();
    let version = said.split_whitespace().nth(1).unwrap_or_else(|| panic!("{said}"));
    version.split(|c: char| !c.is_ascii_digit()).next().unwrap().to_owned()
}

/// How much a unit is exposed to, between 0 and 10. None before systemd 250: it looks at no file.
fn exposure(unit: &str) -> Option<f64> {
    let said = analysed(unit, &["security", "--offline=true", "--no-pager"]);
    let (_, figure) = said.split_once("Overall exposure level for")?;
    let figure = figure.split_once(": ").and_then(|(_, rest)| rest.split_whitespace().next());
    Some(figure.and_then(|figure| figure.parse().ok()).unwrap_or_else(|| panic!("{said}")))
}

/// The figures of one systemd are a snapshot of their own, for another one's differ. One whose figures nobody kept has
/// to be content with bounds.
#[test]
fn a_unit_is_exposed_as_much_as_the_figures_say_that_are_kept() {
    if lacks(&["systemd-analyze"]) {
        return;
    }
    let run = |keys: &str| unit(&example().edit(GONG, "state: [gong]", &format!("state: [gong]{keys}")));
    let root = example().edit("fleet.yaml", "allow:\n", "allow:\n  users: [root]\n");
    let confined = run("");
    let units = [
        ("as it is", confined.clone()),
        ("of user root", unit(&root.edit(GONG, "state: [gong]", "state: [gong], user: root"))),
        ("unconfined: [PrivateTmp]", run(", unconfined: [PrivateTmp]")),
        ("unconfined: [ProtectSystem, ProtectHome]", run(", unconfined: [ProtectSystem, ProtectHome]")),
        ("unconfined: [NoNewPrivileges]", run(", unconfined: [NoNewPrivileges]")),
        ("without what confines it", String::from_utf8(confinement::without(confined.as_bytes())).unwrap()),
    ];
    let Some(figures) = units.iter().map(|(_, unit)| exposure(unit)).collect::<Option<Vec<f64>>>() else {
        return println!("not run: systemd {} looks at no file", systemd());
    };
    let (least, most) = (figures[0], figures[figures.len() - 1]);
    assert!(least <= MOST_EXPOSURE && least + 2.0 < most, "{figures:?}");
    if KEPT.contains(&&*systemd()) {
        let lines = units.iter().zip(&figures).map(|((what, _), figure)| format!("{figure:.1} {what}\n"));
        insta::with_settings!({snapshot_suffix => format!("systemd_{}", systemd())}, {
            insta::assert_snapshot!("exposure", lines.collect::<String>());
        });
    }
}

#[test]
fn systemd_knows_every_line_of_a_unit() {
    if lacks(&["systemd-analyze"]) {
        return;
    }
    let declared = example().edit("fleet.yaml", "allow:\n", "allow:\n  users: [root]\n");
    let unit = unit(&declared.edit(GONG, "state: [gong]", "state: [gong], user: root"));
    let said = analysed(&unit, &["verify", "--man=no"]);
    // It looks for the program, too.
    let complaints: Vec<&str> = said.lines().filter(|line| line.contains("sophia-gong_mcp@8100.service:")).collect();
    let of_lines = complaints.iter().filter(|line| line.contains("Unknown") || line.contains("Failed to parse"));
    assert_eq!(of_lines.count(), 0, "{said}");
    // What it does not know it says so.
    let other = analysed(&unit.replace("Restart=", "Unheard="), &["verify", "--man=no"]);
    assert!(other.contains("Unknown"), "{other}");
}

#[test]
fn what_a_service_needs_is_lifted_and_nothing_else() {
    let all = confining(&example());
    let lifted = |declared: Declared| {
        let left = confining(&declared);
        all.iter().filter(|line| !left.contains(line)).copied().collect::<Vec<_>>().join(" ")
    };
    let declared =
        |names: &str| example().edit(GONG, "state: [gong]", &format!("state: [gong], unconfined: [{names}]"));
    assert_eq!(lifted(declared("ProtectSystem")), "ProtectSystem=full");
    assert_eq!(lifted(declared("PrivateTmp, RestrictSUIDSGID")), "PrivateTmp=yes RestrictSUIDSGID=yes");
    let root = |names: &str| {
        let granted = declared(names).edit("fleet.yaml", "allow:\n", "allow:\n  users: [root]\n");
        granted.edit(GONG, "state: [gong]", "state: [gong], user: root")
    };
    assert_eq!(lifted(root("NoNewPrivileges")), "NoNewPrivileges=yes CapabilityBoundingSet=");
    assert_eq!(lifted(root("")), "CapabilityBoundingSet=", "root is root for the sake of those");
}

/// systemd sets it for whatever it keeps by a filter of system calls, where the process is not root's.
#[test]
fn a_service_that_gains_privileges_keeps_nothing_that_forbids_it() {
    let declared = example().edit(GONG, "state: [gong]", "state: [gong], unconfined: [NoNewPrivileges]");
    insta::assert_debug_snapshot!(confining(&declared), @r#"
    [
        "PrivateTmp=yes",
        "ProtectSystem=full",
        "ProtectHome=read-only",
        "ProtectProc=invisible",
        "ProtectControlGroups=yes",
    ]
    "#);
}

#[test]
fn a_service_that_works_in_a_home_may_write_there() {
    let home = "ProtectHome=read-only";
    for exec in ["/home/ubuntu/gong/run", "/usr/bin/python3 server.py --cache=/home/ubuntu/.cache", "/bin/x /root"] {
        let declared = example().edit(GONG, "/usr/bin/python3 server.py", exec);
        assert!(!confining(&declared).contains(&home), "{exec}");
    }
    let variable = |value: &str| example().edit(GONG, "ENVIRONMENT: prod", &format!("ENVIRONMENT: {value:?}"));
    assert!(!confining(&variable("/usr/bin:/home/ubuntu/bin")).contains(&home));
    for elsewhere in ["/srv/home/x", "/homes", "https://example.com/home/x", "rooted"] {
        assert!(confining(&variable(elsewhere)).contains(&home), "{elsewhere}");
    }
}

/// Every host as an evenkeel left it that did not confine units.
fn unconfined() -> World {
    let mut world = World::live(&example());
    for (name, desired) in &world.prepared.desired {
        let host = world.hosts.get_mut(name).expect("a host");
        let mut manifest = host.owned();
        for replica in desired.replicas.values() {
            let unit = confinement::without(content(desired, &replica.unit_path).as_bytes());
            let inputs = Digest::of_fields([&unit[..], content(desired, &replica.env_path).as_bytes()]);
            manifest.files.insert(replica.unit_path.clone(), Digest::of(&unit));
            host.files.insert(replica.unit_path.clone(), file(unit, 0o644));
            manifest.units.insert(replica.unit.clone(), StartedWith { inputs: Some(inputs), env_file: None });
        }
        host.manifest = Some(manifest.write());
    }
    world
}

#[test]
fn a_fleet_that_ran_unconfined_is_told_of_it_once_and_restarted_once() {
    let mut world = unconfined();
    let plan = world.plan();
    insta::assert_snapshot!(findings(&plan));
    let restarts = steps(&plan).lines().filter(|line| line.contains(" restart ")).count();
    assert_eq!(restarts, world.prepared.desired.values().map(|desired| desired.replicas.len()).sum::<usize>());
    let shown = shown(&plan);
    assert_eq!(shown.matches("NoNewPrivileges=yes").count(), 1, "{shown}");
    assert_eq!(shown.matches("15 lines that confine it").count(), restarts, "{shown}");
    world.apply(&plan);
    assert_eq!((steps(&world.plan()), findings(&world.plan())), (String::new(), String::new()));
}

#[test]
fn what_else_changes_in_a_unit_is_shown_as_ever() {
    let changed = example().edit(GONG, "/usr/bin/python3 server.py", "/usr/bin/python3 -u server.py");
    let plan = unconfined().declare(&changed).plan();
    let text = without_digests(&shown(&plan));
    assert!(text.contains("+ExecStart=:/usr/bin/python3 -u server.py"), "{text}");
    assert_eq!(text.matches("+NoNewPrivileges=yes").count(), 1, "gong's alone: {text}");
}

/// Of the same commit: yet it is a deployment, with an intent, and undone as a whole where it fails.
#[test]
fn confining_a_fleet_is_a_deployment_and_no_repair_of_drift() {
    let world = unconfined();
    let mut before = world.prepared.desired.clone();
    for file in before.values_mut().flat_map(|desired| desired.files.values_mut()) {
        file.content = Content::Public(confinement::without(file.content.public().expect("public")));
    }
    let mut prepared = world.prepared.clone();
    prepared.commits.environment = Some("1".repeat(40).into());
    let state = |desired| EnvironmentState {
        good: Some(Good {
            commits: prepared.commits.clone(),
            generation: 1,
            desired: Some(desired),
            builds: Default::default(),
        }),
        ..EnvironmentState::default()
    };
    assert!(!deploy::is_settled(&state(desired::digest(&before)), &prepared));
    assert!(deploy::is_settled(&state(prepared.digest), &prepared), "and what is deployed is");
}
