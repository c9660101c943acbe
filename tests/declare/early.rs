//! What would only show while something is changed on a host is said of the files: words for a shell, a lock file as
//! requirements, an archive that cannot be unpacked.

use evenkeel::{
    model::finding::{Code, Finding},
    report::findings,
};

use crate::{A, SHA256, a, read};

fn found(changes: &[(&str, &str)]) -> Vec<Finding> {
    read(changes).1
}

/// The only finding, with its code, whether it is an error, and its hint.
fn only(changes: &[(&str, &str)]) -> (&'static str, bool, String) {
    let mut found = found(changes);
    assert_eq!(found.len(), 1, "{changes:?}: {}", findings::text(&found, false));
    let finding = found.remove(0);
    let is_error = finding.is_error();
    (finding.code.as_str(), is_error, finding.hint.unwrap_or_default())
}

#[test]
fn words_for_a_shell_are_warned_of_in_exec_and_in_health() {
    for (exec, line) in [
        ("/usr/bin/python3 server.py --port=$SERVICE_PORT", "write 8100 for `$SERVICE_PORT`"),
        ("/usr/bin/python3 server.py $HOME", "run.exec: /bin/sh -c 'exec /usr/bin/python3 server.py $HOME'"),
        ("/usr/bin/python3 server.py && echo done", "run.exec: /bin/sh -c '/usr/bin/python3 server.py && echo done'"),
        ("/usr/bin/python3 server.py | tee log", "/bin/sh -c '/usr/bin/python3 server.py | tee log'"),
        ("/usr/bin/python3 server.py > log 2>&1", "/bin/sh -c '/usr/bin/python3 server.py > log 2>&1'"),
        ("/usr/bin/python3 server.py; echo", "/bin/sh -c '/usr/bin/python3 server.py; echo'"),
    ] {
        let service = A.replace("/usr/bin/python3 server.py", &format!("\"{exec}\""));
        let (code, is_error, hint) = only(&[("services/a.yaml", &service)]);
        assert_eq!((code, is_error), ("invalid-command", false), "{exec}");
        assert!(hint.contains(line), "{exec}: {hint}");
    }
    let health = format!("{A}health: {{exec: \"/usr/bin/curl -fsS http://127.0.0.1:$SERVICE_PORT/\"}}\n");
    let (code, is_error, hint) = only(&[("services/a.yaml", &health)]);
    assert_eq!((code, is_error), ("invalid-command", false));
    assert!(hint.contains("write 8100 for `$SERVICE_PORT`") && hint.contains("health.exec: "), "{hint}");
}

#[test]
fn what_is_quoted_or_given_to_a_shell_is_not_warned_of() {
    for exec in [
        "/bin/sh -c 'exec /usr/bin/python3 server.py --port=$SERVICE_PORT && true'",
        "/usr/bin/env bash -c 'a | b'",
        "/usr/bin/python3 server.py '$HOME' 'a|b' 'x && y'",
        "/usr/bin/python3 server.py http://127.0.0.1/?a=1&b=2",
        "/usr/bin/python3 server.py --peer=${service.a.url}",
    ] {
        let service = A.replace("/usr/bin/python3 server.py", &format!("\"{exec}\""));
        let found = found(&[("services/a.yaml", &service)]);
        let text = findings::text(&found, false);
        assert!(!found.iter().any(|finding| finding.code == Code::InvalidCommand), "{exec}: {text}");
    }
}

#[test]
fn a_variable_before_the_program_is_answered_with_env() {
    let (code, is_error, hint) = only(&[("services/a.yaml", &a("/usr/bin/python3", "DEBUG=1 /usr/bin/python3"))]);
    assert_eq!((code, is_error), ("invalid-command", true));
    assert!(hint.contains("env: {"), "{hint}");
}

#[test]
fn files_of_other_tools_are_no_requirements() {
    for (file, export) in [
        ("pyproject.toml", "uv export"),
        ("uv.lock", "uv export"),
        ("poetry.lock", "poetry export"),
        ("pdm.lock", "pdm export"),
        ("Pipfile.lock", "pipenv requirements"),
        ("environment.yml", "requirements.txt"),
    ] {
        let run = format!("exec: server, python: {{requirements: {file}}}");
        let service = a("exec: /usr/bin/python3 server.py", &run);
        let path = format!("code/{file}");
        let content = "[project]\nname = \"app\"\ndependencies = [\"uvicorn==0.34.0\"]\n";
        let (code, is_error, hint) = only(&[("services/a.yaml", &service), (&path, content)]);
        assert_eq!((code, is_error), ("requirements", true), "{file}");
        assert!(hint.contains(export), "{file}: {hint}");
    }
    // Also one that a file of requirements includes.
    let service = a("exec: /usr/bin/python3 server.py", "exec: server, python: {requirements: requirements.txt}");
    let files = [
        ("services/a.yaml", service.as_str()),
        ("code/requirements.txt", "-r pyproject.toml\n"),
        ("code/pyproject.toml", ""),
    ];
    assert_eq!(only(&files[..2]).0, "requirements");
}

#[test]
fn an_instance_that_is_named_twice_is_an_error() {
    let (code, is_error, _) = only(&[("services/a.yaml", &a("[h1]", "[h1, h1]"))]);
    assert_eq!((code, is_error), ("invalid-value", true));
    let site = "domain: a.org\non: [h1, h2, h1]\nroutes: {/: a}\n";
    assert_eq!(only(&[("sites/s.yaml", site)]).0, "invalid-value");
    let overlay = format!("{A}in: {{production: {{place: {{on: [h2, h2]}}}}}}\n");
    assert_eq!(only(&[("services/a.yaml", &overlay)]).0, "invalid-value");
}

#[test]
fn a_reference_in_a_builds_environment_is_told_to_stay_what_it_is() {
    for reference in ["${site.s.url}", "x ${service.a.url}/y"] {
        let build = format!("path: code, build: {{run: make, output: ., env: {{API: \"{reference}\"}}}}");
        let (code, _, hint) = only(&[("services/a.yaml", &a("path: code", &build))]);
        assert_eq!(code, "malformed-reference");
        assert!(hint.contains("relative"), "{hint}");
    }
    let build = "path: code, build: {run: make, output: ., env: {API: \"${HOME}/x\"}}";
    assert!(found(&[("services/a.yaml", &a("path: code", build))]).is_empty());
}

#[test]
fn an_archive_of_another_kind_is_told_by_its_name() {
    for (name, way_out) in
        [("t.zip", "tar -czf"), ("t.tar.xz", "xz -dc"), ("t.tar.bz2", "bzip2 -dc"), ("t.deb", "packages")]
    {
        let source = format!("archive: \"https://example.org/{name}\", sha256: {SHA256}");
        let (_, is_error, hint) = only(&[("services/a.yaml", &a("path: code", &source))]);
        assert!(!is_error && hint.contains(way_out), "{name}: {hint}");
    }
}

#[test]
fn an_upstream_that_the_sites_instance_cannot_reach_is_told() {
    let site = |on: &str| format!("domain: a.org\non: {on}\nroutes: {{/: a}}\n");
    let codes = |service: &str, on: &str| {
        let site = site(on);
        found(&[("services/a.yaml", service), ("sites/s.yaml", &site)])
            .into_iter()
            .map(|finding| finding.code.as_str())
            .collect::<Vec<_>>()
    };
    for bound in [
        a("server.py", "server.py --host 127.0.0.1"),
        a("server.py", "server.py --bind=127.0.0.1:8100"),
        a("server.py", "server.py -b localhost:8100"),
        format!("{A}env: {{BIND: 127.0.0.1}}\n"),
        format!("{A}env: {{HOST: localhost}}\n"),
        format!("{A}env: {{UVICORN_HOST: \"::1\"}}\n"),
    ] {
        assert_eq!(codes(&bound, "[h1, h2]"), ["unreachable-upstream"], "{bound}");
        assert_eq!(codes(&bound, "[h1]"), [""; 0], "on its own instance it is reached: {bound}");
    }
    for open in [
        a("server.py", "server.py --host 0.0.0.0"),
        format!("{A}env: {{DB_HOST: localhost, REDIS_ADDR: \"127.0.0.1:6379\"}}\n"),
    ] {
        assert_eq!(codes(&open, "[h1, h2]"), [""; 0], "{open}");
    }
    let (h1, site) = (crate::H1.replace("10.0.0.1", "127.0.0.1"), site("[h2]"));
    let found = found(&[("instances/h1.yaml", &h1), ("sites/s.yaml", &site)]);
    assert!(found.iter().any(|finding| finding.code == Code::UnreachableUpstream), "{found:?}");
}
