//! Whether nginx can serve what is declared, and whether it is the sites' own servers that answer.

use std::collections::BTreeMap;

use evenkeel::model::{
    digest::Digest,
    name::SiteName,
    nginx::{Answer, NginxFiles, Server},
};

use crate::{
    declared::{Declared, example},
    host::{Nginx, Odd},
    text::{findings, steps},
    world::World,
};

const DEFAULT: &str = "/etc/nginx/sites-enabled/default";
const OWN: &str = "/etc/nginx/conf.d/evenkeel-sophia-app.conf";

fn server(file: &str, line: u32, listens: &[&str], names: &[&str]) -> Server {
    let owned = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect();
    Server { file: file.to_owned(), line, listens: owned(listens), names: owned(names) }
}

/// nginx's files with ours among them.
fn files(servers: Vec<Server>) -> NginxFiles {
    let includes = vec!["mime.types".to_owned(), "/etc/nginx/conf.d/*.conf".to_owned()];
    NginxFiles { includes, servers, ..NginxFiles::default() }
}

/// What is planned on a host that is as declared, but for what is odd about its nginx.
fn planned(odd: Odd) -> String {
    let plan = World::live(&example()).on("ai-core", |host| host.odd = odd).plan();
    format!("{}{}", steps(&plan), findings(&plan))
}

/// The same where the site has changed, so that nginx is reloaded.
fn reloaded(odd: Odd) -> String {
    let world = World::live(&example()).on("ai-core", |host| {
        host.edit(OWN, "# changed\n");
        host.odd = odd;
    });
    findings(&world.plan())
}

fn answered(answer: Answer, files: Option<NginxFiles>) -> Odd {
    Odd { answers: [(("app".to_owned(), 80), answer)].into(), files, ..Odd::default() }
}

#[test]
fn what_answers_instead_of_a_site_is_named_with_its_file() {
    let of = |servers| planned(answered(Answer::Other, Some(files(servers))));
    let own = || server(OWN, 2, &["80", "[::]:80"], &["app.sophia-intel.ai"]);
    let copy = server("/etc/nginx/conf.d/a.conf", 7, &["80"], &["app.sophia-intel.ai", "www.test"]);
    insta::assert_snapshot!(of(vec![copy, own()]));
    let one_address = server("/etc/nginx/sites-enabled/one", 3, &["192.222.58.232:80"], &["other.test"]);
    insta::assert_snapshot!(of(vec![own(), one_address]));
    let default = server(DEFAULT, 22, &["80 default_server", "[::]:80 default_server"], &["_"]);
    insta::assert_snapshot!(of(vec![default]));
    insta::assert_snapshot!(planned(answered(Answer::Refused, None)));
    insta::assert_snapshot!(planned(answered(Answer::Silent, None)));
    assert_eq!(planned(answered(Answer::Unasked, None)), "");
}

#[test]
fn what_is_in_the_way_of_a_reload_is_refused_and_else_told() {
    let disabled = || Odd { unit_file: Some("disabled".to_owned()), ..Odd::default() };
    insta::assert_snapshot!(planned(disabled()));
    for started_otherwise in ["enabled", "static", "generated", "indirect"] {
        let odd = Odd { unit_file: Some(started_otherwise.to_owned()), ..Odd::default() };
        assert_eq!(planned(odd), "", "{started_otherwise}");
    }
    let broken = |why: &str| Odd {
        files: Some(NginxFiles { broken: Some(why.to_owned()), ..NginxFiles::default() }),
        ..Odd::default()
    };
    let odd = [
        Odd { unit_file: Some("masked".to_owned()), ..Odd::default() },
        Odd { no_log_folder: true, ..Odd::default() },
        broken("unknown directive \"nonsense\" in /etc/nginx/conf.d/other.conf:1"),
        Odd {
            files: Some(NginxFiles { includes: vec!["mime.types".to_owned()], ..NginxFiles::default() }),
            ..Odd::default()
        },
    ];
    let mut said = String::new();
    for odd in odd {
        let (told, refused) = (planned(odd.clone()), reloaded(odd.clone()));
        assert_eq!(told, refused, "it is the same that is told");
        said += &told;
        let errors = |reload: bool| {
            let world = World::live(&example()).on("ai-core", |host| {
                host.odd = odd.clone();
                if reload {
                    host.edit(OWN, "# changed\n");
                }
            });
            world.plan().is_refused()
        };
        assert!(errors(true) && !errors(false), "{told}");
    }
    insta::assert_snapshot!(said);
    // What this plan puts right is in nobody's way.
    assert_eq!(reloaded(broken(&format!("unknown directive \"x\" in {OWN}:1"))), "");
    let logs = "open() \"/var/log/nginx/access.log\" failed (2: No such file or directory)";
    let twice = reloaded(Odd { no_log_folder: true, ..broken(logs) });
    assert_eq!(twice.matches("ai-core ").count(), 1, "{twice}");
}

/// What is refused where nginx has not read the files that are declared.
fn foreseen(servers: Vec<Server>) -> Vec<String> {
    let world = World::live(&example()).on("ai-core", |host| {
        host.nginx = Some(Nginx { running: true, serving: Some(Digest::of("older")), ..Nginx::default() });
        host.odd = answered(Answer::Other, Some(files(servers)));
    });
    let findings = world.plan().findings;
    findings.into_iter().filter(|finding| finding.is_error()).map(|finding| finding.message).collect()
}

#[test]
fn what_will_answer_instead_of_a_site_is_refused_before_nginx_reads_its_file() {
    let own = || server(OWN, 2, &["80", "[::]:80"], &["app.sophia-intel.ai"]);
    let of = |file: &str| server(file, 1, &["80"], &["app.sophia-intel.ai"]);
    let (early, late) = (of("/etc/nginx/conf.d/a.conf"), of("/etc/nginx/sites-enabled/a"));
    let alone = server("/etc/nginx/sites-enabled/b", 1, &["192.222.58.232:80"], &["other.test"]);
    let elsewhere = server("/etc/nginx/sites-enabled/c", 1, &["127.0.0.1:80", "8080"], &["other.test"]);
    let default = server(DEFAULT, 22, &["80 default_server"], &["_"]);
    for (servers, expected) in [
        (vec![], None),
        (vec![default.clone(), elsewhere.clone()], None),
        (vec![own(), late.clone(), default.clone()], None),
        (vec![late.clone()], None),
        (vec![early.clone()], Some(&early)),
        (vec![early.clone(), own()], Some(&early)),
        (vec![late.clone(), own()], Some(&late)),
        (vec![own(), alone.clone()], Some(&alone)),
        (vec![alone.clone(), default], Some(&alone)),
    ] {
        let said = foreseen(servers.clone());
        let names = |said: &String| expected.is_some_and(|server| said.contains(&format!("{}:1 ", server.file)));
        assert_eq!(said.len(), usize::from(expected.is_some()), "{servers:?}: {said:?}");
        assert!(said.iter().all(names), "{servers:?}: {said:?}");
    }
}

#[test]
fn a_name_that_another_server_has_too_is_told_before_one_of_them_is_ignored() {
    let servers = vec![
        server("/etc/nginx/sites-enabled/old", 1, &["80"], &["app.sophia-intel.ai"]),
        server("/etc/nginx/sites-enabled/other", 1, &["80"], &["other.test"]),
        server("/etc/nginx/sites-enabled/later", 1, &["8080"], &["app.sophia-intel.ai"]),
    ];
    insta::assert_snapshot!(reloaded(Odd { files: Some(files(servers)), ..Odd::default() }));
}

/// The two sites of a host that answer to whatever name and to a very long one.
fn two_sites() -> Declared {
    let site =
        |domain: &str| format!("domain: '{domain}'\non: [ai-core]\nroutes: {{/: {{service: vector_search_mcp}}}}\n");
    let long = format!("{}.test", "n".repeat(60));
    example().write("sites/any.yaml", &site("_")).write("sites/long.yaml", &site(&long))
}

#[test]
fn a_site_of_any_name_makes_room_for_the_fleets_other_patterns() {
    let world = World::live(&two_sites());
    let name = |site: &str| {
        let text = world.wanted("ai-core", &format!("/etc/nginx/conf.d/evenkeel-sophia-{site}.conf"));
        let line = text.lines().find_map(|line| line.trim().strip_prefix("server_name ")).expect("a name");
        line.trim_end_matches(';').to_owned()
    };
    let long = format!("{}\\.test", "n".repeat(60));
    assert_eq!(name("any"), format!("~^(?!(?:{long})$)"));
    assert_eq!(name("long"), format!("~^{long}$"));
}

#[test]
fn a_site_of_any_name_tells_whose_patterns_it_stands_before() {
    let pattern = server("/etc/nginx/sites-enabled/pattern", 1, &["80"], &["~^(.+)\\.old\\.test$"]);
    let plain = server("/etc/nginx/sites-enabled/plain", 1, &["80"], &["plain.test"]);
    let of = |servers: Vec<Server>| {
        let world = World::live(&two_sites()).on("ai-core", |host| host.odd.files = Some(files(servers)));
        findings(&world.plan())
    };
    assert_eq!(of(vec![plain.clone()]), "");
    let said = of(vec![plain, pattern]);
    assert_eq!(said.matches("same-name").count(), 1, "{said}");
    assert!(said.contains("site/any ") && said.contains("/etc/nginx/sites-enabled/pattern:1 "), "{said}");
}

#[test]
fn a_sites_answer_is_its_own_and_changes_with_its_content() {
    let proofs = |declared: &Declared| -> BTreeMap<SiteName, _> {
        let prepared = declared.prepare();
        prepared.desired.values().flat_map(|desired| desired.nginx.clone()).flat_map(|nginx| nginx.sites).collect()
    };
    let before = proofs(&two_sites());
    let answers = before.values().map(|proof| proof.answer).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(answers.len(), before.len(), "two sites have one answer");
    let long = format!("{}.test", "n".repeat(60));
    let hosts: Vec<&str> = before.values().map(|proof| proof.host.as_str()).collect();
    assert_eq!(hosts, ["evenkeel.invalid", "app.sophia-intel.ai", long.as_str()]);
    let after = proofs(&two_sites().append("sites/any.yaml", "headers: {X-New: a}"));
    let changed: Vec<&str> =
        before.iter().filter(|(site, proof)| after.get(*site) != Some(*proof)).map(|(site, _)| site.as_str()).collect();
    assert_eq!(changed, ["any"]);
}
