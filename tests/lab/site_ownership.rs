//! What answers in a site's name is the site: what does instead is named, and what keeps nginx from serving is told
//! before anything is touched.

use crate::{
    fleet::Fleet,
    world::{Host, World, assert_is, assert_same, wait_for},
};

/// A fleet with one site of this domain, deployed.
fn served<'a>(world: &'a World, name: &'static str, host: &str, domain: &str) -> Fleet<'a> {
    let fleet = Fleet::new(world, name);
    fleet.write("frontend/index.html", "ours");
    site(&fleet, host, domain, "");
    fleet.deploy().ends_with(0);
    fleet
}

fn site(fleet: &Fleet<'_>, host: &str, domain: &str, extra: &str) {
    fleet.site(fleet.name, &[host], &format!("domain: '{domain}'\nfrontend: {{source: {{path: frontend}}}}\n{extra}"));
}

/// A server of somebody else, which nginx has read.
fn foreign<'a>(host: &'a Host, path: &str, text: &str, at_last: &'a str) -> crate::world::AtLast<'a> {
    host.write(path, text);
    host.until_dropped("nginx -t && systemctl reload nginx.service", at_last)
}

pub fn a_site_of_any_name_is_served_beside_the_distributions_own(world: &World) {
    let h5 = world.host("h5");
    assert!(h5.exists("/etc/nginx/sites-enabled/default"), "the lab's nginx has no default site");
    let _own = foreign(
        h5,
        "/etc/nginx/sites-enabled/named",
        "server { listen 80; server_name named.test; return 200 theirs; }",
        "rm /etc/nginx/sites-enabled/named; systemctl reload nginx.service",
    );
    let fleet = served(world, "anyname", "h5", "_");
    for name in ["anything.test", "localhost", "127.0.0.1"] {
        assert_is(name, h5.browse(name, "/").1, "ours");
    }
    assert_is("a name that somebody has", h5.browse("named.test", "/").1, "theirs");
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
    assert!(h5.exists("/etc/nginx/sites-enabled/default"), "nobody asked for that");
    fleet.remove(&format!("sites/{}.yaml", fleet.name));
    fleet.deploy().ends_with(0);
}

pub fn a_server_of_somebody_else_that_answers_for_a_site_is_named_with_its_file(world: &World) {
    let h1 = world.host("h1");
    let fleet = served(world, "shadowed", "h1", "shadowed.test");
    let file = "/etc/nginx/conf.d/a-foreign.conf";
    let gone = format!("rm {file}; systemctl reload nginx.service");
    let taken = [
        "# somebody's\nserver {\n  listen 80;\n  server_name www.test shadowed.test;\n  return 200 theirs;\n}\n"
            .to_owned(),
        format!("\nserver {{ listen {}:80; server_name other.test; return 200 theirs; }}\n", h1.address),
    ];
    for text in taken {
        let foreign = foreign(h1, file, &text, &gone);
        let plan = fleet.plan();
        assert_is("what is planned", plan.changes(), Vec::<String>::new());
        let findings = plan.findings("site-not-served");
        assert!(findings.len() == 1 && findings[0].contains(&format!("{file}:2 ")), "{findings:?}");
        let status = fleet.run("status", &["--format", "json"]).said;
        assert!(status.contains("out-of-sync") && status.contains(file), "the status does not tell: {status}");

        // A change of the site would go live under another's answer.
        site(&fleet, "h1", "shadowed.test", "headers: {X-New: a}");
        fleet.commit();
        let before = world.traces();
        let refused = fleet.apply().ends_with(4);
        assert!(refused.said.contains(&format!("{file}:2 ")), "{}", refused.said);
        assert_same(&before, &world.traces());
        site(&fleet, "h1", "shadowed.test", "");
        fleet.commit();
        drop(foreign);
    }
    fleet.apply().ends_with(0);
    assert_is("the page", h1.browse("shadowed.test", "/").1, "ours");
    assert_is("the next plan", fleet.plan().findings("site-not-served"), Vec::<String>::new());
}

pub fn a_site_that_turns_out_not_to_be_served_is_undone_and_what_answers_is_named(world: &World) {
    let h1 = world.host("h1");
    // Read before ours, which only nginx itself knows.
    let file = "/etc/nginx/early/first.conf";
    h1.write(file, "server { listen 80; server_name unserved.test; return 200 theirs; }\n");
    let _first = h1.until_dropped(
        "cp /etc/nginx/nginx.conf /etc/nginx.kept && nginx -t &&
         sed -i '/conf.d/i include /etc/nginx/early/*.conf;' /etc/nginx/nginx.conf && systemctl reload nginx.service",
        "mv /etc/nginx.kept /etc/nginx/nginx.conf; rm -r /etc/nginx/early; systemctl reload nginx.service",
    );
    let fleet = Fleet::new(world, "unserved");
    fleet.write("frontend/index.html", "ours");
    site(&fleet, "h1", "unserved.test", "");
    fleet.commit();
    let warned = fleet.plan().findings("same-name");
    assert!(warned.len() == 1 && warned[0].contains(file), "nobody is warned: {warned:?}");
    fleet.apply().ends_with(3);
    let failure = fleet.newest("/failure").to_string();
    assert!(failure.contains(&format!("{file}:1")) && failure.contains("unserved.test"), "{failure}");
    assert_is("the page", h1.browse("unserved.test", "/").1, "theirs");
    assert!(!h1.exists("/etc/nginx/conf.d/evenkeel-unserved-unserved.conf"), "it is not undone");
}

/// Reloads, and waits until the workers of before are gone.
const RELOAD: &str = "reload() {
    main=$(systemctl show --value -p MainPID nginx.service) && old=$(cat /proc/$main/task/$main/children) &&
        systemctl reload nginx.service && for worker in $old; do while [ -e /proc/$worker ]; do sleep 0.1; done; done
}
";

pub fn what_keeps_nginx_from_serving_is_refused_before_anything_is_touched(world: &World) {
    let h3 = world.host("h3");
    let fleet = Fleet::new(world, "hindered");
    fleet.write("frontend/index.html", "ours");
    site(&fleet, "h3", "hindered.test", "");
    fleet.commit();
    let troubles = [
        (
            "conf.d-not-included",
            "conf.d",
            "cp /etc/nginx/nginx.conf /etc/nginx.kept && sed -i '/conf.d/d' /etc/nginx/nginx.conf && reload",
            "mv /etc/nginx.kept /etc/nginx/nginx.conf; reload",
        ),
        ("nginx-masked", "masked", "systemctl mask nginx.service", "systemctl unmask nginx.service"),
        (
            "no-log-folder",
            "/var/log/nginx",
            "mv /var/log/nginx /var/log/nginx.away",
            "mv /var/log/nginx.away /var/log/nginx",
        ),
        (
            "nginx-broken",
            "zz-broken.conf:1",
            "echo 'nonsense;' >/etc/nginx/conf.d/zz-broken.conf",
            "rm /etc/nginx/conf.d/zz-broken.conf",
        ),
    ];
    for (code, names, now, at_last) in troubles {
        let (now, at_last) = (format!("{RELOAD}{now}"), format!("{RELOAD}{at_last}"));
        let _trouble = h3.until_dropped(&now, &at_last);
        let before = world.traces();
        let plan = fleet.plan();
        let findings = plan.findings(code);
        assert!(
            plan.code == 4 && findings.len() == 1 && findings[0].contains(names),
            "{code}: {}",
            plan.json["findings"]
        );
        fleet.apply().ends_with(4);
        assert_same(&before, &world.traces());
    }
    fleet.apply().ends_with(0);
    assert_is("the page", h3.browse("hindered.test", "/").1, "ours");
}

pub fn nginx_starts_after_a_reboot_as_services_do(world: &World) {
    let h3 = world.host("h3");
    let fleet = Fleet::new(world, "enabled");
    fleet.environment("drift_of: {enabled: report}");
    fleet.write("frontend/index.html", "ours");
    site(&fleet, "h3", "enabled.test", "");
    fleet.deploy().ends_with(0);
    let enabled = || h3.unit("nginx.service", "UnitFileState");
    assert_is("nginx", enabled().as_str(), "enabled");
    let _at_last =
        h3.until_dropped("systemctl disable --quiet nginx.service", "systemctl enable --quiet nginx.service");
    assert_is("the plan", fleet.plan().changes(), vec!["h3 enable nginx.service".to_owned()]);
    {
        let _daemon = fleet.reconcile();
        wait_for("the report", || fleet.status().to_string().contains("nginx has drifted").then_some(()));
        fleet.looked_at_twice();
        assert_is("nginx", enabled().as_str(), "disabled");
    }
    fleet.apply().ends_with(0);
    assert_is("nginx", enabled().as_str(), "enabled");
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
}

pub fn two_fleets_share_a_host_and_the_port_of_the_digest(world: &World) {
    let h4 = world.host("h4");
    let first = Fleet::new(world, "onefleet");
    let other = Fleet::new(world, "another");
    let own = std::fs::read_to_string(other.path().join("fleet.yaml")).expect("it can be read");
    let port = |of: &Fleet<'_>| format!("digest_port: {}", of.digest_port);
    other.write("fleet.yaml", &own.replace(&port(&other), &port(&first)));
    for fleet in [&first, &other] {
        fleet.write("frontend/index.html", fleet.name);
        site(fleet, "h4", &format!("{}.test", fleet.name), "");
        fleet.deploy().ends_with(0);
    }
    for (round, fleet) in [&first, &other, &first].into_iter().enumerate() {
        site(fleet, "h4", &format!("{}.test", fleet.name), &format!("headers: {{X-Round: '{round}'}}"));
        fleet.deploy().ends_with(0);
        for fleet in [&first, &other] {
            assert_is("the page", h4.browse(&format!("{}.test", fleet.name), "/").1, fleet.name);
            assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
        }
    }
}
