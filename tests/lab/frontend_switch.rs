//! A site's switch from one release to the next, as those see it who have its pages open.

use std::{
    process::{Child, Command, Stdio},
    thread,
    time::Instant,
};

use crate::{
    fleet::Fleet,
    load::{BROWSERS, Count, Load, Wrk},
    world::{World, assert_is, wait_for},
};

/// A name that changes with the number, as a build would choose it.
fn chunk(number: u32) -> String {
    format!("assets/chunk-{:08x}.js", 0xa1b2_c300_u32 + number)
}

/// A frontend whose page names the one file that it needs.
fn build(fleet: &Fleet<'_>, number: u32) {
    if number > 0 {
        fleet.remove(&format!("frontend/{}", chunk(number - 1)));
    }
    fleet.write("frontend/index.html", &format!("{number} {}", "page ".repeat(400)));
    fleet.write(&format!("frontend/{}", chunk(number)), &format!("export default {number};"));
    fleet.write("frontend/version.txt", &number.to_string());
}

const SITE: &str = "frontend: {source: {path: frontend}}";

pub fn an_old_hashed_file_is_there_after_two_switches_and_an_old_page_is_not(world: &World) {
    let fleet = Fleet::new(world, "bridged");
    let h1 = world.host("h1");
    fleet.write("frontend/old.html", "an old page");
    build(&fleet, 0);
    fleet.site("bridged", &["h1"], SITE);
    fleet.deploy().ends_with(0);
    fleet.remove("frontend/old.html");
    for number in 1..=3 {
        build(&fleet, number);
        fleet.deploy().ends_with(0);
        for old in 0..=number {
            let file = format!("/{}", chunk(old));
            assert_is(&file, h1.browse("bridged.test", &file), (200, format!("export default {old};")));
            let kept = h1.head("bridged.test", &file, "").get("Cache-Control").unwrap_or_default();
            assert!(kept.contains("immutable"), "{file} is not kept: {kept}");
        }
        assert_is("an old page", h1.browse("bridged.test", "/old.html").0, 404);
        assert!(h1.browse("bridged.test", "/").1.starts_with(&format!("{number} ")), "another page is served");
        assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
    }
    build(&fleet, 4);
    fleet.deploy().ends_with(0);
    assert_is("a file of four switches ago", h1.browse("bridged.test", &format!("/{}", chunk(0))).0, 404);

    // A link that somebody bends is put back, and nothing moves on.
    let links =
        || h1.run("cd /var/lib/evenkeel/bridged/sites/bridged && for link in *; do echo $link $(readlink $link); done");
    let before = links();
    h1.run("ln -sfn /srv /var/lib/evenkeel/bridged/sites/bridged/current; rm /var/lib/evenkeel/bridged/sites/bridged/previous-2");
    fleet.apply().ends_with(0);
    assert_is("the links", links(), before);
}

pub fn an_undone_switch_restores_every_link(world: &World) {
    let fleet = Fleet::new(world, "unswitched");
    let h1 = world.host("h1");
    build(&fleet, 0);
    fleet.site("unswitched", &["h1"], SITE);
    fleet.deploy().ends_with(0);
    build(&fleet, 1);
    fleet.deploy().ends_with(0);
    let links = || {
        h1.run(
            "cd /var/lib/evenkeel/unswitched/sites/unswitched && for link in *; do echo $link $(readlink $link); done",
        )
    };
    let before = links();
    build(&fleet, 2);
    // With a file that somebody breaks after the plan nginx does not reload, and everything is undone.
    fleet.site("unswitched", &["h1"], &format!("{SITE}\nheaders: {{X-New: a}}"));
    let _broken = h1.nginx_refuses("unknown directive in /etc/nginx/conf.d/broken.conf:1");
    fleet.deploy().ends_with(3);
    assert_is("the links", links(), before);
    assert!(h1.browse("unswitched.test", "/").1.starts_with("1 "), "another page is served");
    assert_is("what the page needs", h1.browse("unswitched.test", &format!("/{}", chunk(1))).0, 200);
}

/// What a page of this number needs, and what one of the number before goes on asking for.
fn follow(page: &str) -> Vec<String> {
    let number: u32 = page.split(' ').next().and_then(|number| number.parse().ok()).expect("a page has its number");
    (number.saturating_sub(2)..=number).map(|number| format!("/{}", chunk(number))).collect()
}

fn assert_nothing_lost(what: &str, count: &Count, began: Instant) {
    let Count { answers, fresh, closed, broken, lost, .. } = count;
    println!(
        "  {what}: {answers} answers, {fresh} fresh connections, {closed} closed while idle ({broken} of them met by a POST), \
         {} lost, in {:.1} s",
        lost.len(),
        began.elapsed().as_secs_f64()
    );
    assert!(lost.is_empty(), "lost: {:#?}", &lost[..lost.len().min(10)]);
    assert!(*answers > 1000, "that is no load");
}

pub fn ten_switches_under_load_lose_nothing(world: &World) {
    let fleet = Fleet::new(world, "switched");
    let h1 = world.host("h1");
    build(&fleet, 0);
    fleet.site("switched", &["h1"], SITE);
    fleet.deploy().ends_with(0);
    let (load, began) = (Load::start(world, h1, "switched.test", "/", follow), Instant::now());
    for number in 1..=10 {
        build(&fleet, number);
        fleet.deploy().ends_with(0);
        assert!(h1.browse("switched.test", "/").1.starts_with(&format!("{number} ")), "another page is served");
    }
    assert_nothing_lost("ten switches", &load.end(), began);
}

/// A switch renames links and nginx goes on as it is, so not a single connection is closed.
pub fn ten_switches_at_full_speed_close_no_connection(world: &World) {
    let fleet = Fleet::new(world, "fast");
    let h1 = world.host("h1");
    build(&fleet, 0);
    fleet.site("fast", &["h1"], SITE);
    fleet.deploy().ends_with(0);
    let wrk = Wrk::start(world, h1, "fast.test");
    for number in 1..=10 {
        build(&fleet, number);
        fleet.deploy().ends_with(0);
        assert!(h1.browse("fast.test", "/").1.starts_with(&format!("{number} ")), "another page is served");
    }
    let said = wrk.end();
    let answers = said.lines().find_map(|line| line.trim().split_once(" requests in ")).map(|(count, _)| count);
    let answers: u64 = answers.and_then(|count| count.parse().ok()).unwrap_or(0);
    println!("  wrk: {answers} answers");
    assert!(answers > 10_000, "that is no load: {said}");
    for trouble in ["Socket errors", "Non-2xx"] {
        assert!(!said.contains(trouble), "{said}");
    }
}

pub fn ten_reloads_under_load_lose_nothing(world: &World) {
    let fleet = Fleet::new(world, "reloaded");
    let h1 = world.host("h1");
    fleet.service("alpha", fleet.port(0), &["h1"], "");
    build(&fleet, 0);
    let routes =
        |number: u32| format!("{SITE}\nroutes: {{/api/: {{service: alpha}}, /of-{number}/: {{service: alpha}}}}");
    fleet.site("reloaded", &["h1"], &routes(0));
    fleet.deploy().ends_with(0);
    let follow = |_: &str| vec![format!("/{}", chunk(0)), "/api/x".to_owned()];
    let (load, began) = (Load::start(world, h1, "reloaded.test", "/", follow), Instant::now());
    for number in 1..=10 {
        fleet.site("reloaded", &["h1"], &routes(number));
        fleet.deploy().ends_with(0);
        assert!(h1.browse("reloaded.test", &format!("/of-{number}/x")).1.starts_with("alpha h1 /x "), "not reloaded");
    }
    assert_nothing_lost("ten reloads", &load.end(), began);
}

/// A service with two replicas behind a site, and load on it.
fn replicated<'a>(fleet: &Fleet<'a>, domain: &'static str) -> Load {
    let site = domain.strip_suffix(".test").expect("it is a site's");
    fleet.service("alpha", fleet.port(0), &["h1", "h2"], "");
    fleet.site(site, &["h1"], "routes: {/: {service: alpha}}");
    fleet.deploy().ends_with(0);
    Load::start(fleet.world, fleet.world.host("h1"), domain, "/x", |_| Vec::new())
}

/// A process that dies at SIGTERM, as most do, breaks off what it is answering: at most one request of each browser.
pub fn replicas_restarted_one_after_the_other_lose_what_is_in_flight_and_no_more(world: &World) {
    let fleet = Fleet::new(world, "inturn");
    let load = replicated(&fleet, "inturn.test");
    let restarts = 4;
    for host in ["h1", "h2"].into_iter().cycle().take(restarts) {
        let host = world.host(host);
        host.run(&format!("systemctl restart '{}'", fleet.unit("alpha", fleet.port(0))));
        host.asks(fleet.port(0), "/health");
    }
    let count = load.end();
    println!("  {restarts} restarts: {} answers, {} lost", count.answers, count.lost.len());
    assert!(count.answers > 500, "that is no load");
    let most = restarts * BROWSERS;
    assert!(count.lost.len() <= most, "{} are lost: {:#?}", count.lost.len(), &count.lost[..most]);
}

/// The program dies at SIGTERM in the middle of an answer, and nobody repeats a POST: nginx leads around each replica, and
/// what is under way there is answered first.
pub fn five_rollouts_over_two_replicas_lose_no_request(world: &World) {
    let fleet = Fleet::new(world, "rollover");
    let (on, port) = (["h1", "h2"], fleet.port(0));
    fleet.service("alpha", port, &on, "");
    fleet.site("rollover", &["h1"], "routes: {/: {service: alpha}}");
    fleet.deploy().ends_with(0);
    let h1 = world.host("h1");
    let began = Instant::now();
    let load = Load::with_posts(world, h1, "rollover.test", "/slow");
    for number in 1..=5 {
        fleet.service("alpha", port, &on, &format!("env: {{GREETING: '{number}'}}"));
        fleet.deploy().ends_with(0);
        for host in ["h1", "h2"] {
            let answer = world.host(host).asks(port, "/x");
            assert!(answer.trim().ends_with(&number.to_string()), "{host} answers {answer}");
        }
    }
    let count = load.end();
    println!(
        "  five rollouts: {} answers, {} closed while idle, {} of them met by a POST, {} lost, in {:.1} s",
        count.answers,
        count.closed,
        count.broken,
        count.lost.len(),
        began.elapsed().as_secs_f64()
    );
    assert!(count.lost.is_empty(), "lost: {:#?}", &count.lost[..count.lost.len().min(10)]);
    assert!(count.answers > 100 && count.broken * 200 <= count.answers.max(200), "{count:?}");
    let file = "/etc/nginx/conf.d/evenkeel-rollover-rollover.conf";
    assert_is("servers left out", h1.run(&format!("grep -c down {file} || true")).as_str(), "0");
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
}

/// The first replica never becomes healthy: nginx leads nobody to it, and leads to both as before once that is undone.
pub fn a_rollout_that_fails_half_way_is_undone_and_loses_no_request(world: &World) {
    let fleet = Fleet::new(world, "rollshort");
    let (on, port) = (["h1", "h2"], fleet.port(0));
    let health = "health: {http: /health, interval: 100ms, retries: 1, start_period: 1s}";
    fleet.service("alpha", port, &on, health);
    fleet.site("rollshort", &["h1"], "routes: {/: {service: alpha}}");
    fleet.deploy().ends_with(0);
    let h1 = world.host("h1");
    let load = Load::with_posts(world, h1, "rollshort.test", "/slow");
    fleet.service("alpha", port, &on, &format!("{health}\nenv: {{GREETING: new, SICK: 'yes'}}"));
    fleet.deploy().ends_with(3);
    let count = load.end();
    println!("  a rollout that fails: {} answers, {} lost", count.answers, count.lost.len());
    assert!(count.lost.is_empty(), "lost: {:#?}", &count.lost[..count.lost.len().min(10)]);
    for host in ["h1", "h2"] {
        assert!(!world.host(host).asks(port, "/x").contains("new"), "{host} answers as before");
    }
    let file = "/etc/nginx/conf.d/evenkeel-rollshort-rollshort.conf";
    assert_is("servers left out", h1.run(&format!("grep -c down {file} || true")).as_str(), "0");
    assert_is("the browser's answer", h1.browse("rollshort.test", "/x").0, 200);
}

/// A deployment restarts both replicas at once. Requests are lost while neither runs, and not one afterwards.
pub fn a_deployment_that_restarts_both_replicas_loses_nothing_once_they_are_back(world: &World) {
    let fleet = Fleet::new(world, "atonce");
    let load = replicated(&fleet, "atonce.test");
    let at_once = "rollout: {strategy: recreate}\nenv: {GREETING: again}";
    fleet.service("alpha", fleet.port(0), &["h1", "h2"], at_once);
    fleet.deploy().ends_with(0);
    let h1 = world.host("h1");
    let answers: Vec<_> = (0..20).map(|_| h1.browse("atonce.test", "/x")).collect();
    let count = load.end();
    let (lost, seconds) = (count.lost.len(), count.lost_for().as_secs_f64());
    println!("  two replicas restarted at once: {} answers, {lost} lost within {seconds:.1} s", count.answers);
    for (status, answer) in answers {
        assert_is("the answer after the deployment", (status, answer.ends_with("again")), (200, true));
    }
    assert!(seconds < 5.0, "requests are lost for {seconds:.1} s");
}

/// Ended when the value is dropped.
struct Browser(Child);

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// Waits until another version is served, then loads a part of itself and tells the server of it.
const PAGE: &str = r#"<!doctype html><script type="module">
const tell = (what) => fetch("/told?" + encodeURIComponent(what));
await tell("open");
const served = async () => (await fetch("/version.txt", {cache: "no-store"})).text();
while ((await served()) === "0") await new Promise((wake) => setTimeout(wake, 50));
await import("/CHUNK").then((part) => tell("part " + part.default), (error) => tell("failed " + error));
</script>"#;

pub fn a_page_that_was_opened_before_a_switch_loads_the_rest_of_itself(world: &World) {
    let fleet = Fleet::new(world, "opened");
    let h1 = world.host("h1");
    build(&fleet, 0);
    fleet.write("frontend/index.html", &PAGE.replace("CHUNK", &chunk(0)));
    fleet.site("opened", &["h1"], SITE);
    fleet.deploy().ends_with(0);

    let (lab, address) = (world.lab.clone(), h1.address.clone());
    let profile = tempfile::tempdir().expect("a temporary folder can be made");
    let mut chromium = Command::new("chromium");
    chromium.args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-port=0"]);
    chromium.arg(format!("--user-data-dir={}", profile.path().display()));
    chromium.arg(format!("--host-resolver-rules=MAP opened.test {address}")).arg("http://opened.test/");
    chromium.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // A child is in the network that its parent's thread is in.
    let started = thread::spawn(move || {
        lab.enter().expect("the lab is up");
        chromium.spawn().expect("chromium is installed")
    });
    let _browser = Browser(started.join().expect("it starts"));
    let told = |is_it: fn(&str) -> bool| {
        wait_for("a word of the page", || {
            let log = h1.run("cat /var/log/nginx/opened-opened.access.log");
            let said = log.lines().filter_map(|line| line.split("/told?").nth(1)?.split('"').next());
            said.rev().find(|said| is_it(said)).map(str::to_owned)
        })
    };
    told(|said| said == "open");
    for number in 1..=2 {
        build(&fleet, number);
        fleet.deploy().ends_with(0);
    }
    assert_is("what the page loaded", told(|said| said != "open"), "part%200");
}
