//! What people write who know Compose, Kamal, Ansible, systemd or nginx, and the line that they are told to write.

use evenkeel::{model::finding::Finding, report::findings};

use crate::{H1, a, read, resolved};

/// The findings of one file, in which the rest of the good fleet stays as it is.
fn found(path: &str, text: &str) -> Vec<Finding> {
    read(&[(path, text)]).1.into_iter().filter(Finding::is_error).collect()
}

/// For each key of `text`, which part of the finding's hint has to be there.
fn assert_answers(path: &str, text: &str, answers: &[(&str, &str)]) {
    let found = found(path, text);
    let shown = findings::text(&found, false);
    for (key, line) in answers {
        let at = text.lines().position(|written| written.trim_start().starts_with(key)).expect("a key of the text") + 1;
        let hint = found
            .iter()
            .filter(|finding| finding.place.as_ref().is_some_and(|place| place.line as usize == at))
            .filter_map(|finding| finding.hint.as_deref())
            .collect::<Vec<_>>();
        assert!(hint.iter().any(|hint| hint.contains(line)), "{key} is to be answered with {line}: {hint:?}\n{shown}");
    }
}

const COMPOSE: &str = "\
image: registry.example.org/web:1.2
command: uvicorn main:app --host 0.0.0.0 --port 8000
ports: [8000]
environment: {LOG_LEVEL: info}
replicas: 2
restart: always
healthcheck: /health
depends_on: [db]
volumes: [\"data:/data\"]
user: app
";

#[test]
fn a_compose_file_of_ten_keys_gets_ten_answers() {
    let answers = [
        ("image", "source: {path: "),
        ("command", "run: {exec: uvicorn main:app --host 0.0.0.0 --port 8000}"),
        ("ports", "port: 8000"),
        ("environment", "env: {LOG_LEVEL: info}"),
        ("replicas", "place: {where: {role: web}, replicas: 2}"),
        ("restart", "leave it out"),
        ("healthcheck", "health: {http: /health}"),
        ("depends_on", "after: [db]"),
        ("volumes", "run: {state: [data]}"),
        ("user", "run: {user: app}"),
    ];
    assert_answers("services/a.yaml", COMPOSE, &answers);
    let found = found("services/a.yaml", COMPOSE);
    assert_eq!(found.len(), answers.len(), "{}", findings::text(&found, false));
}

#[test]
fn a_whole_compose_file_is_told_to_be_one_for_each_service() {
    let text = "version: \"3\"\nservices:\n  web: {image: nginx, ports: [\"80:80\"]}\nnetworks: {front: {}}\n";
    let answers = [("version", "leave it out"), ("services", "services/NAME.yaml"), ("networks", "leave it out")];
    assert_answers("services/a.yaml", text, &answers);
    assert_eq!(found("services/a.yaml", text).len(), answers.len());
}

#[test]
fn what_compose_and_others_write_at_length_is_answered_with_its_values() {
    let text = "\
entrypoint: [\"python\", \"-m\", \"app server\"]
expose: [\"127.0.0.1:8080:80/tcp\"]
environment:
  - PASSWORD=hush
healthcheck:
  test: [CMD, curl, -f, \"http://localhost:80/live?x=1\"]
depends_on: {db: {condition: service_healthy}, cache: {}}
hosts: [h1, h2]
env_vars: {TOKEN: hush}
";
    let answers = [
        ("entrypoint", "run: {exec: python -m 'app server'}"),
        ("expose", "port: 80"),
        ("environment", "env: {PASSWORD: …}"),
        ("healthcheck", "health: {http: /live?x=1}"),
        ("depends_on", "after: [db, cache]"),
        ("hosts", "place: {on: [h1, h2]}"),
    ];
    assert_answers("services/a.yaml", text, &answers);
}

#[test]
fn words_of_systemd_units_are_answered() {
    let text = "\
ExecStart: /usr/bin/python3 main.py
WorkingDirectory: /srv/app
EnvironmentFile: /etc/app.env
Restart: on-failure
MemoryMax: 512M
StateDirectory: app
WantedBy: multi-user.target
After: postgres.service
ExecStartPre: /bin/true
";
    let answers = [
        ("ExecStart", "run: {exec: /usr/bin/python3 main.py}"),
        ("WorkingDirectory", "leave it out"),
        ("EnvironmentFile", "env_file: /etc/"),
        ("Restart", "leave it out"),
        ("MemoryMax", "resources: {memory: 512M}"),
        ("StateDirectory", "run: {state: [app]}"),
        ("WantedBy", "leave it out"),
        ("After", "after"),
        ("ExecStartPre", "leave it out"),
    ];
    assert_answers("services/a.yaml", text, &answers);
}

#[test]
fn words_of_nginx_are_answered_in_a_site_and_in_a_route() {
    let text = "\
server_name: www.example.org example.org
listen: 80
location /: {proxy_pass: \"http://app:8000\"}
root: /var/www/html
ssl_certificate: /etc/ssl/a.pem
client_max_body_size: 20m
try_files: $uri /index.html
routes:
  /api/:
    proxy_pass: http://hello:8000/
    strip_prefix: true
    proxy_read_timeout: 90s
";
    let answers = [
        ("server_name", "domain: www.example.org"),
        ("listen", "leave it out"),
        ("location", "routes: {/: app}"),
        ("root", "frontend: {source: {path: "),
        ("ssl_certificate", "tls: {certificate: "),
        ("client_max_body_size", "body_size: 20m"),
        ("try_files", "spa: true"),
        ("proxy_pass", "service: hello"),
        ("strip_prefix", "keep_prefix"),
        ("proxy_read_timeout", "timeout: 90s"),
    ];
    assert_answers("sites/s.yaml", text, &answers);
}

#[test]
fn words_of_inventories_are_answered_in_instances_environments_and_the_fleet() {
    let text = "\
ansible_host: 10.0.0.1
ansible_user: ubuntu
ansible_port: 2222
group: production
tags: [web]
ssh_key: ~/.ssh/id_ed25519
bastion: 192.0.2.1
";
    let answers = [
        ("ansible_host", "address: 10.0.0.1"),
        ("ansible_user", "ssh: {user: ubuntu}"),
        ("ansible_port", "ssh: {port: 2222}"),
        ("group", "environment: production"),
        ("tags", "labels: {role: web}"),
        ("ssh_key", "--ssh-key FILE"),
        ("bastion", "ssh: {jump: {address: "),
    ];
    assert_answers("instances/h1.yaml", text, &answers);
    let answers = [("ref", "branch: main"), ("hosts", "environment: production"), ("vars", "services")];
    assert_answers("environments/production.yaml", "ref: main\nhosts: [h1]\nvars: {A: b}\n", &answers);
    let answers = [("project", "name: shop"), ("user", "ssh: {user: ubuntu}"), ("services", "services/NAME.yaml")];
    assert_answers("fleet.yaml", "project: shop\nuser: ubuntu\nservices: {a: {}}\n", &answers);
}

#[test]
fn words_within_run_health_place_source_and_tls_are_answered() {
    let text = "\
source:
  repo: https://example.org/a.git
  branch: main
run:
  command: /usr/bin/python3 main.py
  port: 8000
place:
  hosts: [h1]
health:
  path: /up
  initialDelaySeconds: 5
port: 8100
";
    let answers = [
        ("repo", "git: https://example.org/a.git"),
        ("branch", "rev: main"),
        ("command", "exec: /usr/bin/python3 main.py"),
        ("port: 8000", "`port: 8000` beside `run`"),
        ("hosts", "on: [h1]"),
        ("path", "http: /up"),
        ("initialDelaySeconds", "start_period: "),
    ];
    assert_answers("services/a.yaml", text, &answers);
    let text = "domain: a.org\non: [h1]\nroutes: {/: a}\ntls:\n  cert: /etc/a.pem\n  private_key: /etc/a.key\n";
    let answers = [("cert", "certificate: /etc/a.pem"), ("private_key", "key: /etc/a.key")];
    assert_answers("sites/s.yaml", text, &answers);
}

#[test]
fn a_value_of_another_shape_is_one_finding_with_the_line_to_write() {
    for (from, to, line) in [
        ("place: {on: [h1]}", "place: [h1]", "place: {on: [h1]}"),
        ("place: {on: [h1]}", "place: h1", "place: {on: [h1]}"),
        ("port: 8100", "port: 8100\nhealth: /up", "health: {http: /up}"),
        ("port: 8100", "port: 8100\nhealth: [x]", "health: {http: /health}"),
        ("source: {path: code}", "source: code", "source: {path: code}"),
        ("source: {path: code}", "source: https://example.org/a.git", "source: {git: https://example.org/a.git}"),
        (
            "run: {exec: /usr/bin/python3 server.py}",
            "run: /usr/bin/python3 server.py",
            "run: {exec: /usr/bin/python3 server.py}",
        ),
        ("exec: /usr/bin/python3 server.py", "exec: [/usr/bin/python3, server.py]", "exec: /usr/bin/python3 server.py"),
        ("port: 8100", "port: [8100]", "port: 8100"),
        ("port: 8100", "port: \"8100:8100\"", "port: 8100"),
        ("port: 8100", "port: 8100\nenv: [A=b]", "env: {A: b}"),
        ("port: 8100", "port: 8100\nrollout: recreate", "rollout: {strategy: rolling}"),
        ("port: 8100", "port: 8100\nhealth: {tcp: 8100}", "true"),
    ] {
        let text = a(from, to);
        let found = found("services/a.yaml", &text);
        let shown = findings::text(&found, false);
        assert_eq!(found.len(), 1, "{to}: {shown}");
        assert!(found[0].hint.as_deref().is_some_and(|hint| hint.contains(line)), "{to}: {shown}");
    }
}

#[test]
fn a_value_as_other_tools_take_it_is_answered_with_ours() {
    let service = |lines: &str| format!("source: {{path: app}}\nplace: {{on: [h1]}}\nport: 8000\n{lines}\n");
    let run = "run: {exec: /usr/bin/python3 a.py}\n";
    for (line, answer) in [
        ("resources: {memory: 512}", "write `512M`"),
        ("resources: {memory: 512MB}", "write `512M`"),
        ("resources: {memory: 1gib}", "write `1G`"),
        ("resources: {cpu: 0.5}", "write `50%`"),
        ("resources: {cpu: 2}", "write `200%`"),
        ("resources: {cpu: 250m}", "write `25%`"),
        ("Environment: NODE_ENV=production DEBUG=1", "write `env: {NODE_ENV: production, DEBUG: 1}`"),
    ] {
        let key = line.split(':').next().expect("a key");
        assert_answers("services/a.yaml", &service(&format!("{run}{line}")), &[(key, answer)]);
    }
    for (exec, answer) in [
        ("cd app && ./start.sh", "run.exec: /bin/sh -c 'cd app && ./start.sh'"),
        ("source venv/bin/activate; gunicorn a", "run.exec: /bin/sh -c '. venv/bin/activate; gunicorn a'"),
        ("/usr/bin/python3 a.py --port ${PORT:-8000}", "no shell replaces a variable here"),
    ] {
        let text = service(&format!("run: {{exec: \"{exec}\"}}"));
        assert_answers("services/a.yaml", &text, &[("run", answer)]);
        let mut found = found("services/a.yaml", &text);
        found.retain(|finding| finding.place.as_ref().is_some_and(|place| place.line == 4));
        assert_eq!(found.len(), 1, "{}", findings::text(&found, false));
    }
    let site = |lines: &str| format!("on: [h1]\n{lines}\n");
    for (lines, key, answer) in [
        ("domain: https://Example.org/\nroutes: {/: a}", "domain", "write `example.org`"),
        ("domain: example.org:8080\nroutes: {/: a}", "domain", "write `example.org`"),
        ("domain: a.example\nroutes: {api/: a}", "routes", "write `/api/`"),
        ("domain: a.example\nroutes: {\"/api/*\": a}", "routes", "write `/api/`"),
        ("domain: a.example\nroutes: {/static/: {alias: /srv}}", "routes", "`frontend`"),
    ] {
        assert_answers("sites/a.yaml", &site(lines), &[(key, answer)]);
    }
    assert_answers("environments/b.yaml", "branch: b\nauto_deploy: true\n", &[("auto_deploy", "evenkeel hold")]);
    let instance = "environment: b\naddress: 192.0.2.7\nports: 8000-8001\nssh: ubuntu@192.0.2.7:2222\n";
    assert_answers("instances/b.yaml", instance, &[("ssh", "ssh: {user: ubuntu}")]);
}

#[test]
fn merge_keys_are_one_finding_that_names_what_they_would_bring() {
    let common =
        "x-common: &common {source: {path: code}, run: {exec: /usr/bin/python3 server.py}, place: {on: [h1]}}\n";
    for merge in ["<<: *common", "<<: [*common]"] {
        let found = found("services/a.yaml", &format!("{common}{merge}\nport: 8100\n"));
        let shown = findings::text(&found, false);
        assert_eq!(found.len(), 1, "{shown}");
        let hint = found[0].hint.as_deref().unwrap_or_default();
        assert!(
            ["`source: *source`", "`run: *run`", "`place: *place`"].iter().all(|line| hint.contains(line)),
            "{shown}"
        );
    }
    // What the hint says is taken.
    let aliases = "x-common: {source: &source {path: code}, run: &run {exec: /usr/bin/python3 server.py}}\n\
                   source: *source\nrun: *run\nplace: {on: [h1]}\nport: 8100\n";
    assert!(found("services/a.yaml", aliases).is_empty());
}

#[test]
fn every_known_key_is_listed_where_no_other_answer_is_known() {
    let found = found("services/a.yaml", &a("port: 8100", "port: 8100\nzzzzzzzz: 1"));
    let hint = found[0].hint.as_deref().unwrap_or_default();
    for key in ["source", "run", "place", "port", "rollout", "in"] {
        assert!(hint.contains(&format!("`{key}`")), "{hint}");
    }
}

#[test]
fn errors_come_before_warnings() {
    let h1 = H1.replace("host_key: KEY\n", "");
    let (_, found) = read(&[("instances/h1.yaml", h1.as_str()), ("services/a.yaml", COMPOSE)]);
    let text = findings::text(&found, false);
    let last_error = text.rfind("error[").expect("an error");
    let first_warning = text.find("warning[").expect("a warning");
    assert!(last_error < first_warning, "{text}");
    let json: serde_json::Value = serde_json::from_str(&findings::json(&found)).expect("JSON");
    let severities: Vec<&str> =
        json["findings"].as_array().into_iter().flatten().filter_map(|f| f["severity"].as_str()).collect();
    assert!(severities.is_sorted(), "{severities:?}");
}

#[test]
fn a_route_may_be_the_name_of_a_service_alone() {
    let none = evenkeel::declare::Overrides::default();
    let site = |route: &str| format!("domain: a.org\non: [h1]\nroutes: {{/api/: {route}}}\n");
    let fleets = ["a", "{service: a}"].map(|route| {
        let text = site(route);
        let fleet = resolved(&[("sites/s.yaml", text.as_str())], "production", &none);
        format!("{:?}", fleet.sites)
    });
    assert_eq!(fleets[0], fleets[1]);
    // A name that is not known is said at the name.
    let unknown = found("sites/s.yaml", &site("aa"));
    assert_eq!(unknown.iter().map(|finding| finding.code.as_str()).collect::<Vec<_>>(), ["unknown-service"]);
    for wrong in ["[a]", "", "{}"] {
        let found = found("sites/s.yaml", &site(wrong));
        assert_eq!(found.len(), 1, "{wrong}: {}", findings::text(&found, false));
    }
}
