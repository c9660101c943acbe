//! How a site's answers arrive: kept how long, packed, with which headers, and what a service sees of a
//! request.

use serde_json::Value;

use crate::{
    fleet::Fleet,
    world::{Host, World, assert_is, wait_for},
};

/// A frontend of these files.
fn files<'a>(fleet: &Fleet<'a>, name: &str, paths: &[&str], extra: &str) -> &'a Host {
    fleet.write("frontend/index.html", "the page");
    paths.iter().for_each(|path| fleet.write(&format!("frontend/{path}"), path));
    fleet.site(name, &["h1"], &format!("frontend: {{source: {{path: frontend}}{extra}}}"));
    fleet.deploy().ends_with(0);
    fleet.world.host("h1")
}

const FOR_EVER: &str = "public, max-age=31536000, immutable";

pub fn what_has_a_hash_in_its_name_is_kept_and_all_else_asked_for_again(world: &World) {
    let fleet = Fleet::new(world, "kept");
    let hashed = [
        "assets/index-BvU7dzcR.js",
        "assets/index-D-1x_Y3z.js",
        "assets/page-AbCdEfGh.css",
        "assets/icons/logo-Ab12Cd34.svg",
        "assets/main-5KDJFH2X.js.map",
        "app-d65c0706.css",
        "static/js/main.073c9b0a.js",
        "static/js/787.8f2b7c1d.chunk.js",
        "static/js/main.073c9b0a.js.LICENSE.txt",
        "main.3f2a9c81d4e5b6a7f0c1.css",
        "inter-Kx83jdPqZ0.woff2",
    ];
    let others = [
        "app.js",
        "assets/app.js",
        "assets/my-dashboard.js",
        "assets/Hero-Backdrop.png",
        "assets/my-icon2.svg",
        "assets/index-component.js",
        "favicon.svg",
        "jquery-3.6.0.min.js",
        "some-component.js",
        "logo-version2.png",
        "icon-1024x1024.png",
        "report-20240101.pdf",
        "report-January2024.pdf",
        "backup-20240101T120000.txt",
        "a.b/file",
    ];
    let h1 = files(&fleet, "kept", &[&hashed[..], &others[..]].concat(), "");
    let asked = |path: &str| h1.head("kept.test", path, "");
    for path in hashed {
        let head = asked(&format!("/{path}"));
        assert_is(path, (head.status, head.get("Cache-Control")), (200, Some(FOR_EVER.to_owned())));
    }
    for path in others.into_iter().chain([""]) {
        let head = asked(&format!("/{path}"));
        assert_is(path, (head.status, head.get("Cache-Control")), (200, Some("no-cache".to_owned())));
        let again = h1.head(
            "kept.test",
            &format!("/{path}"),
            &format!("-H 'If-None-Match: {}'", head.get("ETag").expect("a tag")),
        );
        assert_is(path, (again.status, again.get("Cache-Control")), (304, Some("no-cache".to_owned())));
    }
    // That something is missing is not to be kept.
    let missing = asked("/assets/index-00000000.js");
    assert_is("what is missing", (missing.status, missing.get("Cache-Control")), (404, Some("no-cache".to_owned())));
}

pub fn which_files_never_change_can_be_declared(world: &World) {
    let fleet = Fleet::new(world, "declared");
    let paths = ["fonts/a.woff2", "_app/immutable/deep/x.js", "_app/x.js", "app-d65c0706.css"];
    let h1 = files(&fleet, "declared", &paths, ", immutable: [\"*.woff2\", _app/immutable/**]");
    let kept = |path: &str| h1.head("declared.test", path, "").get("Cache-Control").as_deref() == Some(FOR_EVER);
    assert_is("what is kept", paths.map(|path| kept(&format!("/{path}"))), [true, true, false, false]);
}

pub fn a_single_page_answers_for_paths_and_never_for_files(world: &World) {
    let fleet = Fleet::new(world, "single");
    fleet.service("alpha", fleet.port(0), &["h1"], "");
    fleet.write("frontend/index.html", "the page");
    fleet.write("frontend/assets/app-d65c0706.js", "the program");
    fleet.site("single", &["h1"], "frontend: {source: {path: frontend}, spa: true}\nroutes: {/api/: {service: alpha}}");
    fleet.deploy().ends_with(0);
    let h1 = world.host("h1");
    for path in ["/", "/users/7", "/users/7/", "/assets/", "/assets", "/a/b/c?d=e.f", "/index.html"] {
        assert_is(path, h1.browse("single.test", path), (200, "the page".to_owned()));
        assert_is(path, h1.head("single.test", path, "").get("Cache-Control"), Some("no-cache".to_owned()));
    }
    assert_is("the program", h1.browse("single.test", "/assets/app-d65c0706.js").1, "the program");
    for path in ["/assets/app-00c0ffee.js", "/nothing.css", "/users/photo.png", "/.env"] {
        assert_is(path, h1.browse("single.test", path).0, 404);
    }
    let answer = h1.browse("single.test", "/api/users/x-d65c0706.js").1;
    assert!(answer.starts_with("alpha h1 /users/x-d65c0706.js "), "a route is no file: {answer}");
}

pub fn text_is_packed_and_pictures_are_not(world: &World) {
    let fleet = Fleet::new(world, "packed");
    fleet.write("frontend/long.js", &"let nothing = 0;\n".repeat(500));
    fleet.write("frontend/long.png", &"not a picture\n".repeat(500));
    fleet.write("frontend/module.mjs", "export {};\n");
    let h1 = files(&fleet, "packed", &[], "");
    let asked = |path: &str| h1.head("packed.test", path, "-H 'Accept-Encoding: gzip'");
    let text = asked("/long.js");
    assert_is("how text arrives", text.get("Content-Encoding"), Some("gzip".to_owned()));
    assert_is("what it depends on", text.get("Vary"), Some("Accept-Encoding".to_owned()));
    let again =
        format!("-H 'Accept-Encoding: gzip' -H 'If-None-Match: {}'", text.get("ETag").expect("it keeps its tag"));
    assert_is("asked again", h1.head("packed.test", "/long.js", &again).status, 304);
    assert_is("how a picture arrives", asked("/long.png").get("Content-Encoding"), None);
    assert_is("how little arrives", asked("/").get("Content-Encoding"), None);
    assert_is("a module's type", asked("/module.mjs").get("Content-Type"), Some("text/javascript".to_owned()));
}

pub fn two_pages_of_one_size_are_never_taken_for_one_another(world: &World) {
    let fleet = Fleet::new(world, "sized");
    let h1 = files(&fleet, "sized", &[], "");
    let tag = |condition: &str| h1.head("sized.test", "/", condition);
    let mut seen: Vec<(String, String)> = Vec::new();
    for text in ["page one", "page two", "page six"] {
        fleet.write("frontend/index.html", text);
        fleet.deploy().ends_with(0);
        for (tag_before, time_before) in &seen {
            assert_is("the old tag", tag(&format!("-H 'If-None-Match: {tag_before}'")).status, 200);
            assert_is("the old time", tag(&format!("-H 'If-Modified-Since: {time_before}'")).status, 200);
        }
        let head = tag("");
        let of = |name: &str| head.get(name).expect("it is sent");
        assert_is("its own tag", tag(&format!("-H 'If-None-Match: {}'", of("ETag"))).status, 304);
        seen.push((of("ETag"), of("Last-Modified")));
    }
}

/// A site with a service that shows what it sees, and a frontend.
fn talking<'a>(fleet: &Fleet<'a>, name: &str, routes: &str, extra: &str) -> &'a Host {
    fleet.write("talker/server.py", include_str!("talker.py"));
    fleet.write("frontend/index.html", "the page");
    fleet.write("frontend/app-d65c0706.css", "a style");
    fleet.service("talker", fleet.port(0), &["h1"], "source: {path: talker}\nhealth: {tcp: true, settle: 0s}");
    fleet.site(name, &["h1"], &format!("frontend: {{source: {{path: frontend}}}}\nroutes: {routes}\n{extra}"));
    fleet.deploy().ends_with(0);
    fleet.world.host("h1")
}

pub fn headers_are_sent_once_and_taken_away_when_told(world: &World) {
    let fleet = Fleet::new(world, "headed");
    let headers = r#"headers: {X-Own: "a \"site's\" \\ own", Content-Security-Policy: "default-src 'self'; img-src *", Referrer-Policy: null}"#;
    let h1 = talking(&fleet, "headed", "{/talk/: {service: talker}}", headers);
    for path in ["/", "/app-d65c0706.css", "/missing", "/missing-d65c0706.css"] {
        let head = h1.head("headed.test", path, "");
        let all = |name: &str| head.all(name);
        assert_is(path, all("X-Content-Type-Options"), ["nosniff"]);
        assert_is(path, all("X-Frame-Options"), ["SAMEORIGIN"]);
        assert_is(path, all("Referrer-Policy"), Vec::<String>::new());
        assert_is(path, all("X-Own"), ["a \"site's\" \\ own"]);
        assert_is(path, all("Content-Security-Policy"), ["default-src 'self'; img-src *"]);
        assert_is(path, all("Strict-Transport-Security"), Vec::<String>::new());
    }
    let head = h1.head("headed.test", "/talk/headers", "");
    assert_is("what a service says itself", head.all("X-Frame-Options"), ["DENY"]);
    assert_is("what the site says", head.all("X-Own"), ["a \"site's\" \\ own"]);
}

pub fn a_service_is_told_of_the_request_that_reached_nginx(world: &World) {
    let fleet = Fleet::new(world, "told");
    let h1 = talking(&fleet, "told", "{/talk/: {service: talker}}", "");
    let answer = h1.run(
        "curl -s -H 'Host: told.test' -H 'X-Forwarded-Proto: https' -H 'X-Request-ID: mine' http://127.0.0.1/talk/x",
    );
    let seen: Value = serde_json::from_str(&answer).expect("it answers JSON");
    for (name, expected) in [
        ("Host", "told.test"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-Host", "told.test"),
        ("X-Forwarded-Port", "80"),
        ("X-Forwarded-Proto", "http"),
        ("X-Real-IP", "127.0.0.1"),
    ] {
        assert_is(name, seen[name].as_str(), Some(expected));
    }
    assert_is("Connection", seen.get("Connection"), None::<&Value>);
    let id = seen["X-Request-ID"].as_str().expect("a text").to_owned();
    assert!(id.len() == 32 && id != "mine", "{id} is not nginx's own");

    let line = wait_for("the line of the log", || {
        let log = h1.run("cat /var/log/nginx/told-told.access.log");
        log.lines().find(|line| line.contains(&id)).map(str::to_owned)
    });
    let line: Value = serde_json::from_str(&line).expect("a line is JSON");
    assert_is("what was asked for", line["uri"].as_str(), Some("/talk/x"));
    assert_is("who answered", line["upstream"].as_str(), Some(format!("127.0.0.1:{}", fleet.port(0)).as_str()));
    assert_is(
        "how it answered",
        (line["status"].as_str(), line["upstream_status"].as_str()),
        (Some("200"), Some("200")),
    );
    let seconds = line["upstream_seconds"].as_str().and_then(|seconds| seconds.parse::<f64>().ok());
    assert!(seconds.is_some_and(|seconds| (0.0..10.0).contains(&seconds)), "{line}");
    assert!(h1.run("cat /etc/logrotate.d/nginx").contains("/var/log/nginx/*.log"), "nobody rotates it");
}

pub fn routes_are_patient_large_and_prompt_as_declared(world: &World) {
    let fleet = Fleet::new(world, "patient");
    let routes = "{/talk/: {service: talker}, /short/: {service: talker, timeout: 1s}, \
                   /large/: {service: talker, body_size: 10M}, /live/: {service: talker, stream: true}, \
                   /socket/: {service: talker, websocket: true}}";
    let h1 = talking(&fleet, "patient", routes, "");
    let status = |arguments: &str, path: &str| {
        h1.run(&format!(
            "curl -s -o /dev/null -w '%{{http_code}}' -H 'Host: patient.test' {arguments} http://127.0.0.1{path}"
        ))
    };
    assert_is("a slow answer", status("", "/talk/slow"), "200");
    assert_is("a slow answer where none is waited for", status("", "/short/slow"), "504");
    h1.run("head -c 2000000 /dev/zero >/tmp/large");
    assert_is("much data", status("--data-binary @/tmp/large", "/talk/x"), "413");
    assert_is("much data where it may be", status("--data-binary @/tmp/large", "/large/x"), "200");
    // The second event comes after five seconds.
    let first =
        |path: &str| h1.run(&format!("timeout 2 curl -sN -H 'Host: patient.test' http://127.0.0.1{path} || true"));
    assert_is("what comes at once", first("/live/events"), "data: first");
    let upgraded = |path: &str| {
        let request = format!(
            "GET {path} HTTP/1.1\\r\\nHost: patient.test\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n\\r\\n"
        );
        let script = format!(
            "exec 3<>/dev/tcp/127.0.0.1/80; printf \"{request}\" >&3; sleep 0.3; echo hello >&3; timeout 2 cat <&3"
        );
        h1.run(&format!("bash -c '{script}' | tr -d '\\r'"))
    };
    let answer = upgraded("/socket/ws");
    assert!(answer.starts_with("HTTP/1.1 101 ") && answer.ends_with("echo: hello"), "{answer}");
    let answer = upgraded("/talk/ws");
    assert!(!answer.contains(" 101 "), "a WebSocket where none is declared: {answer}");
    let plain: Value = serde_json::from_str(&h1.browse("patient.test", "/socket/headers").1).expect("JSON");
    assert_is("what is kept open", plain.get("Connection"), None::<&Value>);
}

/// Asks as nobody's browser does: `..` and `//` stay.
fn asked_as_is(h1: &Host, domain: &str, path: &str) -> String {
    h1.run(&format!("curl -s --max-time 5 --path-as-is -H 'Host: {domain}' 'http://127.0.0.1{path}'"))
}

pub fn a_service_gets_the_path_that_was_sent(world: &World) {
    let fleet = Fleet::new(world, "aspath");
    let h1 = world.host("h1");
    for (number, name) in (0..).zip(["alpha", "beta", "gamma"]) {
        fleet.service(name, fleet.port(number), &["h1"], "");
    }
    let routes = "{/: {service: alpha}, /strip/: {service: beta}, /a.b_c/d-e/: {service: beta, websocket: true}, \
                  /keep/: {service: gamma, keep_prefix: true}, /exact: {service: gamma}}";
    fleet.site("aspath", &["h1"], &format!("routes: {routes}"));
    fleet.deploy().ends_with(0);
    let paths = [
        "projects/team%2Fapp",
        "projects/team%2fapp?next=%2Fhome&strip=/strip/",
        "a//b///c",
        "a/..%2Fb",
        "a/b%2F..%2Fc",
        "a%20b;c=d,e",
        "%C3%A4/%25/%3F/%23x",
        "a+b&c='d'(e)*!~:@$",
        "%0D%0AX-Own:%20x",
        "",
        "?only=this",
    ];
    for path in paths {
        for (before, service, arrives) in
            [("/", "alpha", "/"), ("/strip/", "beta", "/"), ("/a.b_c/d-e/", "beta", "/"), ("/keep/", "gamma", "/keep/")]
        {
            // In the shell that asks a quote is `'\''`.
            let sent = format!("{before}{path}").replace('\'', r"'\''");
            let answer = asked_as_is(h1, "aspath.test", &sent);
            assert_is(&format!("{before}{path}"), answer, format!("{service} h1 {arrives}{path} None"));
        }
    }
    // The prefix in another spelling is the same prefix.
    for (sent, arrives) in
        [("//strip/x", "/x"), ("/%73trip/x", "/x"), ("/x/../strip/y", "/y"), ("/a.b_c//d-e/x%2Fy", "/x%2Fy")]
    {
        assert_is(sent, asked_as_is(h1, "aspath.test", sent), format!("beta h1 {arrives} None"));
    }
    assert_is("an exact route", asked_as_is(h1, "aspath.test", "/exact?q=%2F"), "gamma h1 /?q=%2F None");
}
