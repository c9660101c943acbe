//! The bytes that reach systemd and nginx.

use crate::{declared::example, systemd, text::without_digests, world::World};

fn rendered(instance: &str, path: &str) -> String {
    without_digests(&World::live(&example()).wanted(instance, path))
}

#[test]
fn a_unit() {
    insta::assert_snapshot!(rendered("business-tools", "/etc/systemd/system/sophia-gong_mcp@8100.service"));
}

#[test]
fn an_environment_file() {
    let text = World::live(&example()).wanted("business-tools", "/etc/evenkeel/sophia/gong_mcp@8100.env");
    assert!(systemd::environment(&text).is_some());
    insta::assert_snapshot!(without_digests(&text));
}

#[test]
fn a_site() {
    insta::assert_snapshot!(rendered("ai-core", "/etc/nginx/conf.d/evenkeel-sophia-app.conf"));
}

#[test]
fn the_server_that_answers_the_digest() {
    insta::assert_snapshot!(rendered("ai-core", "/etc/nginx/conf.d/evenkeel-sophia-00.conf"));
}

#[test]
fn a_unit_with_everything() {
    let declared = example()
        .edit("fleet.yaml", "allow:\n", "allow:\n  users: [root]\n")
        .edit("services/gong_mcp.yaml", "state: [gong]", "state: [gong, notes], user: root")
        .append("services/gong_mcp.yaml", "env_file: /etc/sophia/gong.env");
    let path = "/etc/systemd/system/sophia-gong_mcp@8100.service";
    insta::assert_snapshot!(without_digests(&World::live(&declared).wanted("business-tools", path)));
}

#[test]
fn a_route_ends_with_a_slash_or_is_exact() {
    let declared = example().edit(
        "sites/app.yaml",
        "  /api/gong/: {service: gong_mcp}\n",
        "  /api/gong/: {service: gong_mcp, keep_prefix: true}\n  /gong: {service: gong_mcp}\n",
    );
    let text = World::live(&declared).wanted("ai-core", "/etc/nginx/conf.d/evenkeel-sophia-app.conf");
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let after = |location: &str| {
        let at = lines.iter().position(|line| *line == location).unwrap_or_else(|| panic!("{location}: {text}"));
        lines[at + 1]
    };
    assert_eq!(after("location /api/gong/ {"), "proxy_pass http://evenkeel-sophia-app-gong_mcp;");
    assert_eq!(after("location = /gong {"), "proxy_pass http://evenkeel-sophia-app-gong_mcp/;");
    assert_eq!(after("location /api/hubspot/ {"), "proxy_pass http://evenkeel-sophia-app-hubspot_mcp/;");
    // As it was sent, where it was sent as it is declared.
    let at = lines.iter().position(|line| *line == "location /api/hubspot/ {").expect("it is there");
    assert_eq!(lines[at + 2], r#"if ($request_uri ~ "^/+api/+hubspot(?<evenkeel_rest>/.*)$") {"#);
    assert_eq!(lines[at + 3], "proxy_pass http://evenkeel-sophia-app-hubspot_mcp$evenkeel_rest;");
}

#[test]
fn braces_and_quotes_of_nginx_files_are_balanced() {
    for path in ["/etc/nginx/conf.d/evenkeel-sophia-app.conf", "/etc/nginx/conf.d/evenkeel-sophia-00.conf"] {
        let text = rendered("ai-core", path);
        assert_eq!(text.matches('{').count(), text.matches('}').count(), "{path}");
        assert_eq!(text.matches('"').count() % 2, 0, "{path}");
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            assert!(line.ends_with([';', '{', '}']), "{path}: {line}");
        }
    }
}

#[test]
fn environment_files_are_for_root_alone() {
    for desired in World::live(&example()).prepared.desired.values() {
        for (path, file) in &desired.files {
            assert_eq!(file.mode, if path.ends_with(".env") { 0o600 } else { 0o644 }, "{path}");
        }
    }
}

#[test]
fn the_same_fleet_gives_the_same_bytes() {
    assert_eq!(example().prepare().desired, example().prepare().desired);
}

/// The example's site with everything that a site can have.
#[test]
fn a_site_with_everything() {
    let declared = example()
        .edit("sites/app.yaml", "timeout: 5m}\n", "timeout: 5m}\n  spa: true\n")
        .edit("sites/app.yaml", "{service: gong_mcp}", "{service: gong_mcp, websocket: true, timeout: 5m, body_size: 10M}")
        .append(
            "sites/app.yaml",
            "tls: {certificate: /etc/ssl/app.pem, key: /etc/ssl/app.key}\nacme_root: /srv/acme\n\
             headers: {X-Frame-Options: null, Content-Security-Policy: \"default-src 'self'; report-to \\\"a\\\\b\\\"\"}",
        );
    let text = World::live(&declared).wanted("ai-core", "/etc/nginx/conf.d/evenkeel-sophia-app.conf");
    assert!(crate::nginx::file(&text).is_some());
    insta::assert_snapshot!(without_digests(&text));
}

#[test]
fn patterns_of_immutable_files_mean_what_they_say() {
    let declared = example().edit(
        "sites/app.yaml",
        "timeout: 5m}\n",
        "timeout: 5m}\n  immutable: [\"*.woff2\", _next/static/**, \"**/chunk?-*.js\", a+b~c/d.js]\n",
    );
    let text = World::live(&declared).wanted("ai-core", "/etc/nginx/conf.d/evenkeel-sophia-app.conf");
    let location = text.lines().find(|line| line.contains("location ~")).expect("a pattern");
    insta::assert_snapshot!(location.trim(), @r#"location ~ "^/(?:(?:.*/)?[^/]*\.woff2|_next/static/.*|(?:.*/)?chunk[^/]-[^/]*\.js|a\+b~c/d\.js)$" {"#);
    let none = example().edit("sites/app.yaml", "timeout: 5m}\n", "timeout: 5m}\n  immutable: []\n");
    let text = World::live(&none).wanted("ai-core", "/etc/nginx/conf.d/evenkeel-sophia-app.conf");
    assert!(!text.contains("location ~") && !text.contains("@previous"), "{text}");
}
