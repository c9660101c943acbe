//! What is built: before any host is touched, once, and only what is merged.

use std::collections::BTreeSet;

use crate::{
    fleet::{Fleet, restarted},
    server::Server,
    world::{World, assert_is, wait_for},
};

fn frontend(run: &str) -> String {
    format!("frontend: {{source: {{path: web, build: {{run: \"{run}\", output: out, network: false}}}}}}")
}

pub fn a_build_that_fails_touches_no_host_and_what_is_built_goes_live(world: &World) {
    let fleet = Fleet::new(world, "built");
    let (h1, port) = (world.host("h1"), fleet.port(0));
    fleet.write("web/page", "one");
    // Another result each time: whoever built it anew would deploy something else.
    let build = frontend("mkdir out && cp page out/index.html && head -c 8 /dev/urandom | od >out/number");
    fleet.service("alpha", port, &["h1"], "env: {GREETING: one}");
    fleet.site("built", &["h1"], &build);
    let commit = fleet.commit();
    let plan = fleet.plan();
    assert!(plan.json["findings"].to_string().contains("site/built is not built yet"), "{}", plan.json["findings"]);
    assert!(!fleet.state().join("builds").exists(), "a plan has built something");
    let _daemon = fleet.follow(&fleet.remote(), fleet.state(), &["--poll", "1s"]);
    fleet.is_live(&commit);
    assert_is("the page", h1.browse("built.test", "/").1, "one");
    let number = h1.browse("built.test", "/number").1;
    let elsewhere = tempfile::tempdir().expect("a temporary folder can be made");
    let planned = fleet.run_at(elsewhere.path(), "plan", &["--repo", &fleet.remote()]).ends_with(0);
    assert!(planned.said.contains("No changes."), "who has not built it does not know what is live: {}", planned.said);

    // With it comes a change that would restart the service.
    let before = fleet.invocations();
    fleet.service("alpha", port, &["h1"], "env: {GREETING: two}");
    fleet.site("built", &["h1"], &frontend("echo the reason; exit 7"));
    fleet.commit();
    wait_for("the failure's record", || (fleet.newest("/outcome") == "refused").then_some(()));
    assert_is("the last lines in the record", fleet.newest("/failure/log"), serde_json::json!(["the reason"]));
    fleet.notes("the build of site/built failed: `echo the reason; exit 7` failed (exit status: 7)");
    fleet.looked_at_twice();
    assert_is("what was restarted", restarted(&before, &fleet.invocations()), BTreeSet::new());
    assert_is("the page", h1.browse("built.test", "/").1, "one");
    // Drift is repaired meanwhile, with what was built.
    h1.run("sudo ln -sfn /tmp /var/lib/evenkeel/built/sites/built/current");
    wait_for("the link being repaired", || (h1.browse("built.test", "/number").1 == number).then_some(()));

    fleet.site("built", &["h1"], &build);
    fleet.write("web/page", "two");
    let commit = fleet.commit();
    fleet.is_live(&commit);
    assert_is("the page", h1.browse("built.test", "/").1, "two");
    assert!(h1.browse("built.test", "/number").1 != number, "it was not built anew");
    let (key, built) = match fleet.newest("/builds").as_object().and_then(|builds| builds.iter().next()) {
        Some((key, built)) => (key.clone(), built["release"].as_str().unwrap_or_default().to_owned()),
        None => panic!("no build is recorded"),
    };
    assert!(fleet.state().join("builds/made").join(key).is_dir(), "it is kept");
    let log = fleet.git(&["show", &format!("evenkeel/history/test:builds/{built}.log")]);
    assert!(log.contains("built in "), "{log}");
    let why = fleet.run("why", &["site/built", "--repo", &fleet.remote(), "--format", "json"]).ends_with(0);
    let why: serde_json::Value = serde_json::from_str(&why.said).expect("it is JSON");
    let last = log.lines().last().expect("a line");
    let said = why["instances"][0]["build_log"].as_array().and_then(|lines| lines.last()).cloned();
    assert_is("the end of what the build said", said, Some(serde_json::json!(last)));
    let live = why["instances"][0]["live"].as_str().unwrap_or_default();
    assert!(!live.is_empty() && !live.contains("not known"), "h1 was reached, but {live}");
}

pub fn a_build_reaches_what_this_machine_does(world: &World) {
    let Some(server) = Server::outward(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nfrom outside") else { return };
    let (fleet, h1) = (Fleet::new(world, "outward"), world.host("h1"));
    let script = format!(
        "mkdir out && exec 3<>/dev/tcp/127.0.0.1/3128 && printf 'GET http://{}/ HTTP/1.0\\r\\n\\r\\n' >&3 &&
         tail -n 1 <&3 >out/index.html",
        server.address
    );
    fleet.write("web/build.sh", &script);
    let build = "build: {run: \"bash build.sh\", output: out, network: true}";
    fleet.site("outward", &["h1"], &format!("frontend: {{source: {{path: web, {build}}}}}"));
    let commit = fleet.commit();
    let _daemon = fleet.follow(&fleet.remote(), fleet.state(), &["--poll", "1s"]);
    fleet.is_live(&commit);
    assert_is("the page", h1.browse("outward.test", "/").1, "from outside");
}

pub fn apply_builds_what_is_merged_and_nothing_else(world: &World) {
    let fleet = Fleet::new(world, "merged");
    let h2 = world.host("h2");
    fleet.write("web/page", "one");
    fleet.site("merged", &["h2"], &frontend("mkdir out && cp page out/index.html"));
    fleet.deploy().ends_with(0);
    assert_is("the page", h2.browse("merged.test", "/").1, "one");
    // At the remote, but on no branch that is deployed.
    fleet.git(&["checkout", "--quiet", "-b", "proposal"]);
    fleet.write("web/page", "two");
    fleet.git(&["add", "--all"]);
    fleet.git(&["commit", "--quiet", "--message", "A proposal"]);
    fleet.git(&["push", "--quiet", &fleet.remote(), "HEAD:refs/heads/proposal"]);
    let refused = fleet.apply().ends_with(4);
    assert!(refused.errors.contains("merge it first: nothing is built of what is not merged"), "{}", refused.errors);
    assert_is("the page", h2.browse("merged.test", "/").1, "one");
}
