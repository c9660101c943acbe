//! What changes a unit besides evenkeel's file is told, what hardens all services is no fault of a commit, and the way to
//! the files is kept open.

use crate::{
    fleet::Fleet,
    world::{World, assert_is, wait_for},
};

/// A fleet with one service, deployed to h1; and its unit.
fn deployed<'a>(world: &'a World, name: &'static str) -> (Fleet<'a>, String) {
    let fleet = Fleet::new(world, name);
    let port = fleet.port(0);
    fleet.service("alpha", port, &["h1"], "");
    fleet.deploy().ends_with(0);
    let unit = fleet.unit("alpha", port);
    (fleet, unit)
}

pub fn a_drop_in_of_somebody_else_is_told_with_what_it_sets_and_stays(world: &World) {
    let h1 = world.host("h1");
    let (fleet, unit) = deployed(world, "unitsdropin");
    let template = format!("{}@.service", unit.split('@').next().expect("a name"));
    let cases = [
        ("", format!("/etc/systemd/system/{unit}.d/zz.conf")),
        ("", format!("/etc/systemd/system/{template}.d/zz.conf")),
        ("", format!("/run/systemd/system/{unit}.d/zz.conf")),
        ("", "/usr/local/lib/systemd/system/service.d/zz.conf".to_owned()),
        ("systemctl set-property", format!("/etc/systemd/system.control/{unit}.d/50-MemoryMax.conf")),
    ];
    for (set, path) in cases {
        let text = "[Service]\nUser=root\nMemoryMax=512M\nEnvironment=TOKEN=hunter2\n";
        let now = match set {
            "" => format!(
                "mkdir -p $(dirname {path}) && printf '{text}' >{path} && systemctl daemon-reload && \
                 systemctl restart {unit}"
            ),
            set => format!("{set} {unit} MemoryMax=512M"),
        };
        let gone = format!("rm -r {path}; systemctl daemon-reload; systemctl restart {unit}");
        let drop_in = h1.until_dropped(&now, &gone);
        let plan = fleet.plan();
        assert_is(&format!("what is planned for {path}"), plan.changes(), Vec::<String>::new());
        let findings = plan.findings("unit-changed");
        let named = findings.len() == 1 && findings[0].contains(&path) && findings[0].contains("MemoryMax=");
        assert!(named, "{path}: {findings:?}");
        assert_is("the instance", plan.instance("h1").0.as_str(), "drifted");
        let said = fleet.run("plan", &[]).ends_with(0).said;
        assert!(!said.contains("No changes") && !said.contains("hunter2"), "{said}");
        let status: serde_json::Value =
            serde_json::from_str(&fleet.run("status", &["--format", "json"]).said).expect("the status is JSON");
        let status = status.get(0).unwrap_or(&status).clone();
        assert_is("the status", status["sync"].as_str(), Some("out-of-sync"));
        let of_h1 = status["instances"].as_array().expect("a list").iter().find(|of| of["name"] == "h1");
        let service = of_h1.expect("it is there")["services"][0].clone();
        assert_is("the service", service["sync"].as_str(), Some("out-of-sync"));
        assert!(service["why"].as_str().is_some_and(|why| why.contains(&path)), "{service}");
        let why = fleet.run("why", &["service/alpha"]).said;
        assert!(why.contains(&path) && !why.contains("as declared"), "{why}");
        assert!(h1.exists(&path), "evenkeel removed what it did not write");
        drop(drop_in);
        assert_is("the next plan", fleet.plan().findings("unit-changed"), Vec::<String>::new());
    }
    assert_is("the instance", fleet.plan().instance("h1").0.as_str(), "as-declared");
}

pub fn a_unit_file_in_the_place_of_evenkeels_is_told_and_what_systemd_has_not_read_is_read(world: &World) {
    let h1 = world.host("h1");
    let (fleet, unit) = deployed(world, "unitsread");
    let other = format!("/run/systemd/system.control/{unit}");
    let gone = format!("rm {other}; systemctl daemon-reload");
    let shadow = h1.until_dropped(
        &format!(
            "mkdir -p /run/systemd/system.control && sed s/ubuntu/root/ /etc/systemd/system/{unit} >{other} && \
             systemctl daemon-reload"
        ),
        &gone,
    );
    let findings = fleet.plan().findings("unit-changed");
    assert!(findings.len() == 1 && findings[0].contains(&other), "{findings:?}");
    drop(shadow);

    // Started from another file, which is put back without a word to systemd.
    let file = format!("/etc/systemd/system/{unit}");
    h1.run(&format!(
        "cp {file} /root/kept.service && sed -i 's/^User=.*/User=root/' {file} && systemctl daemon-reload && \
         systemctl restart {unit} && sleep 1.1 && cat /root/kept.service >{file}"
    ));
    assert_is("who it runs as", h1.unit(&unit, "User").as_str(), "root");
    let changes = fleet.plan().changes();
    assert!(
        changes.contains(&format!("h1 reload {unit}")) && changes.contains(&format!("h1 restart {unit}")),
        "{changes:?}"
    );
    {
        let _daemon = fleet.reconcile();
        wait_for("the repair", || (fleet.newest("/kind") == "drift-repair").then_some(()));
    }
    assert_is("who it runs as", h1.unit(&unit, "User").as_str(), "ubuntu");
    let user = h1.run(&format!("stat -c %U /proc/$(systemctl show --value -p MainPID {unit})"));
    assert_is("who its process is", user.as_str(), "ubuntu");
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
}

const FOR_ALL: &str = "/etc/systemd/system/service.d/10-hard.conf";

pub fn a_drop_in_that_hardens_all_services_is_named_and_no_commit_is_condemned_for_it(world: &World) {
    let h1 = world.host("h1");
    let fleet = Fleet::new(world, "unitshard");
    let port = fleet.port(0);
    fleet.service("alpha", port, &["h1"], "");
    fleet.commit();
    // The second leaves evenkeel its own folder.
    for protect in ["strict", "full"] {
        let gone = format!("rm -r $(dirname {FOR_ALL}); systemctl daemon-reload");
        let hardened = h1.until_dropped(
            &format!(
                "mkdir -p $(dirname {FOR_ALL}) && printf '[Service]\nProtectSystem={protect}\n' >{FOR_ALL} && \
                 systemctl daemon-reload"
            ),
            &gone,
        );
        let warned = fleet.plan().findings("own-unit-changed");
        assert!(warned.len() == 1 && warned[0].contains(FOR_ALL), "nobody is warned: {warned:?}");
        for _ in 0..2 {
            fleet.apply().ends_with(3);
            let failure = fleet.newest("/failure");
            assert_is("the cause", failure["cause"].as_str(), Some("host"));
            assert!(failure["message"].as_str().is_some_and(|why| why.contains(FOR_ALL)), "{failure}");
        }
        assert!(!h1.exists(&format!("/etc/systemd/system/{}", fleet.unit("alpha", port))), "something was touched");
        // As the hint of the warning has it.
        let own = "/etc/systemd/system/evenkeel-unitshard.service.d";
        let back = format!("rm -r {own}; systemctl daemon-reload");
        let _exempt = h1.until_dropped(&format!("mkdir -p {own} && ln -s /dev/null {own}/10-hard.conf"), &back);
        assert_is("the warnings", fleet.plan().findings("own-unit-changed"), Vec::<String>::new());
        if protect == "full" {
            fleet.apply().ends_with(0);
        }
        drop(hardened);
    }
    fleet.apply().ends_with(0);
    assert!(h1.asks(port, "/health").contains("alpha"), "it does not run");
}

pub fn a_service_that_a_drop_in_breaks_fails_with_its_path(world: &World) {
    let h1 = world.host("h1");
    let fleet = Fleet::new(world, "unitsbroken");
    let port = fleet.port(0);
    fleet.service("alpha", port, &["h1"], "health: {http: /health, start_period: 1s, interval: 200ms, retries: 1}");
    fleet.commit();
    let unit = fleet.unit("alpha", port);
    let path = format!("/etc/systemd/system/{unit}.d/zz.conf");
    for sets in ["ExecStart=\\nExecStart=/bin/sleep 1000", "WorkingDirectory=/nowhere"] {
        let gone = format!("rm -r /etc/systemd/system/{unit}.d; systemctl daemon-reload");
        let _drop_in = h1.until_dropped(
            &format!("mkdir -p $(dirname {path}); printf '[Service]\\n{sets}\\n' >{path}; systemctl daemon-reload"),
            &gone,
        );
        fleet.run("retry", &[]);
        fleet.apply().ends_with(3);
        let failure = fleet.newest("/failure/message").to_string();
        assert!(failure.contains(&path), "{sets}: {failure}");
    }
}

pub fn the_way_to_the_files_is_kept_open(world: &World) {
    let h1 = world.host("h1");
    let fleet = Fleet::new(world, "unitsfolders");
    let port = fleet.port(0);
    fleet.service("alpha", port, &["h1"], "");
    fleet.write("frontend/assets/page.html", "ours");
    fleet.site("unitsfolders", &["h1"], "frontend: {source: {path: frontend}}");
    fleet.deploy().ends_with(0);
    let (unit, base) = (fleet.unit("alpha", port), "/var/lib/evenkeel/unitsfolders");
    let page = || h1.browse("unitsfolders.test", "/assets/page.html");
    assert_is("the page", page(), (200, "ours".to_owned()));
    let release = h1.run(&format!("readlink {base}/sites/unitsfolders/current"));
    for folder in ["/var/lib/evenkeel", base, &format!("{base}/releases"), &format!("{base}/sites"), &release] {
        h1.run(&format!("chmod 700 {folder}; ! systemctl restart {unit}; true"));
        assert!(page().0 != 200, "{folder} is closed, and the page is served");
        let plan = fleet.plan();
        assert!(plan.changes().contains(&format!("h1 update {folder}")), "{folder}: {:?}", plan.changes());
        let status = fleet.run("status", &["--format", "json"]).said;
        assert!(status.contains("out-of-sync"), "{folder}: {status}");
        fleet.apply().ends_with(0);
        assert_is(folder, page(), (200, "ours".to_owned()));
        assert!(h1.asks(port, "/health").contains("alpha"), "{folder}: the service does not run");
        assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
    }
    // Within a release.
    h1.run(&format!("chmod 700 {release}/assets"));
    assert!(page().0 != 200, "a folder of its release is closed, and the page is served");
    fleet.apply().ends_with(0);
    assert_is("the page", page(), (200, "ours".to_owned()));
    // Given away, and open to others: root alone writes what root runs.
    for (now, path) in [
        (format!("chown ubuntu {base}"), base.to_owned()),
        (format!("chmod 777 {base}/deployments"), format!("{base}/deployments")),
        ("chown ubuntu /etc/evenkeel/unitsfolders".to_owned(), "/etc/evenkeel/unitsfolders".to_owned()),
    ] {
        h1.run(&now);
        assert_is(&now, fleet.plan().changes(), vec![format!("h1 update {path}")]);
        fleet.apply().ends_with(0);
        let open = h1.run(&format!("find {path} -maxdepth 0 -perm /022; find {path} -maxdepth 0 ! -user root"));
        assert_is(&now, open.as_str(), "");
    }
    // What nobody needs to pass stays as closed as somebody wants it.
    h1.run(&format!("chmod 700 {base}/listings {base}/deployments /etc/evenkeel"));
    let _open = h1.until_dropped("true", "chmod 755 /etc/evenkeel");
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
    fleet.remove("sites/unitsfolders.yaml");
    fleet.deploy().ends_with(0);
}
