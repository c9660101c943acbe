//! Sites: what nginx serves, and where it leads.

use crate::{
    fleet::Fleet,
    world::{World, assert_is, wait_for},
};

pub fn a_site_serves_its_frontend_and_leads_to_its_services(world: &World) {
    let fleet = Fleet::new(world, "web");
    let h1 = world.host("h1");
    fleet.service("alpha", fleet.port(0), &["h1", "h2"], "env: {GREETING: hello}");
    fleet.write("frontend/index.html", "the page");
    fleet.write("frontend/assets/app.js", "the program");
    fleet.site(
        "web",
        &["h1"],
        "frontend: {source: {path: frontend}}\n\
         routes: {/api/: {service: alpha}, /keep/: {service: alpha, keep_prefix: true}}",
    );
    fleet.deploy().ends_with(0);

    let page = |path: &str, status: u16, body: &str| {
        assert_is(path, h1.browse("web.test", path), (status, body.to_owned()));
    };
    page("/", 200, "the page");
    page("/assets/app.js", 200, "the program");
    assert_is("what is not there", h1.browse("web.test", "/nowhere").0, 404);
    let answer = h1.browse("web.test", "/api/x/y?q=1").1;
    assert!(answer.contains(" /x/y?q=1 "), "the prefix is not taken off: {answer}");
    let answer = h1.browse("web.test", "/keep/x?q=1").1;
    assert!(answer.contains(" /keep/x?q=1 "), "the prefix is not kept: {answer}");
    for replica in ["alpha h1 ", "alpha h2 "] {
        wait_for(replica, || h1.browse("web.test", "/api/").1.starts_with(replica).then_some(()));
    }
    let digest = h1.asks(fleet.digest_port, "/.evenkeel/digest");
    assert!(digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()), "{digest} is no digest");
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
}

pub fn a_changed_frontend_is_served_without_a_reload(world: &World) {
    let fleet = Fleet::new(world, "front");
    let h3 = world.host("h3");
    fleet.write("frontend/index.html", "one");
    fleet.site("front", &["h3"], "frontend: {source: {path: frontend}}");
    fleet.deploy().ends_with(0);
    assert_is("the page", h3.browse("front.test", "/").1, "one");
    let current = || h3.run("readlink /var/lib/evenkeel/front/sites/front/current");
    let workers = || h3.run("pid=$(systemctl show --value -p MainPID nginx); cat /proc/$pid/task/$pid/children");
    let tag = || h3.run("curl -sI -H 'Host: front.test' http://127.0.0.1/ | grep -i '^etag'");
    let before = (current(), tag());
    let same_workers = workers();

    // Of the same size: what a browser has cached must not be taken for it.
    fleet.write("frontend/index.html", "two");
    fleet.deploy().ends_with(0);
    assert_is("the page", h3.browse("front.test", "/").1, "two");
    assert!(current() != before.0, "the link has not moved");
    assert!(tag() != before.1, "the new page has the old one's ETag");
    assert_is("nginx's workers", workers(), same_workers);
}

pub fn the_default_site_makes_room(world: &World) {
    let fleet = Fleet::new(world, "default");
    let (h4, link) = (world.host("h4"), "/etc/nginx/sites-enabled/default");
    assert!(h4.exists(link), "the lab's nginx has no default site");
    fleet.write("frontend/index.html", "ours");
    fleet.site("default", &["h4"], "domain: _\nreplaces_default: true\nfrontend: {source: {path: frontend}}");
    fleet.deploy().ends_with(0);
    assert!(!h4.exists(link), "the default site is still there");
    assert_is("the page", h4.browse("anything.test", "/").1, "ours");
    assert!(h4.exists("/etc/nginx/sites-available/default"), "only the link was to go");
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
}

pub fn the_last_site_goes_and_nginx_stays(world: &World) {
    let fleet = Fleet::new(world, "lastsite");
    let h3 = world.host("h3");
    fleet.write("frontend/index.html", "here");
    fleet.site("lastsite", &["h3"], "frontend: {source: {path: frontend}}");
    fleet.deploy().ends_with(0);
    assert_is("the page", h3.browse("lastsite.test", "/").1, "here");

    fleet.remove("sites/lastsite.yaml");
    fleet.deploy().ends_with(0);
    wait_for("nginx without the site", || (h3.browse("lastsite.test", "/").1 != "here").then_some(()));
    assert_is("nginx", h3.unit("nginx.service", "ActiveState"), "active");
    assert_is("our nginx files", h3.run("ls /etc/nginx/conf.d | grep -c evenkeel-lastsite || true").as_str(), "0");
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
}
