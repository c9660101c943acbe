//! Wherever a person's value reaches a host, it either arrives as the same bytes or is refused at the
//! place where it is written. Values go all the way: from YAML to what systemd or nginx reads.

use std::sync::Arc;

use evenkeel::model::fleet::Check;
use hyper::Uri;
use proptest::{prelude::*, sample::select};

use crate::{
    arrived::{EVER, H1, RUN, Read, arrives, declare, service, site, small},
    declared::desired,
    nginx, systemd,
};

/// A YAML scalar that stands for exactly this text.
fn yaml(text: &str) -> String {
    let quoted = text.chars().map(|c| match c {
        ' '..='~' if !matches!(c, '"' | '\\') => c.to_string(),
        c => format!("\\U{:08X}", u32::from(c)),
    });
    format!("\"{}\"", quoted.collect::<String>())
}

/// Text in which evenkeel finds no references.
fn literal(text: &str) -> String {
    text.replace("${", "$${")
}

/// One word for a shell.
fn word(text: &str) -> String {
    literal(&format!("'{}'", text.replace('\'', r"'\''")))
}

/// What has a meaning to somebody on the way.
const FRAGMENTS: [&str; 64] = [
    "\"",
    "'",
    "\\",
    "$",
    "${",
    "}",
    "{",
    "`",
    "%",
    "%%",
    "%n",
    "\n",
    "\r",
    "\t",
    "\0",
    " ",
    ";",
    "#",
    "=",
    "@",
    "-",
    ":",
    "+",
    "!",
    "~",
    "*",
    "?",
    "[",
    "]",
    "(",
    ")",
    "<",
    ">",
    "|",
    "&",
    "^",
    ",",
    ".",
    "..",
    "/",
    "//",
    "/./",
    "\\n",
    "\\x41",
    "\\\n",
    "\n[Service]\nExecStart=/bin/false\n",
    "; }",
    "$host",
    "${HOME}",
    "$(id)",
    "a",
    "Z",
    "0",
    "_",
    "é",
    "☃",
    "🚀",
    "\u{85}",
    "\u{2028}",
    "\u{feff}",
    "\u{fffe}",
    "\u{1ffff}",
    "\u{7f}",
    "\u{1b}[1m",
];

fn nasty() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::collection::vec(select(&FRAGMENTS[..]), 0..6).prop_map(|fragments| fragments.concat()),
        1 => "(?s).{0,16}",
    ]
}

/// What may be a path, a name or an address of some kind.
fn plausible() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => prop::collection::vec(select(&["/", ".", "a", "b-", "_", "~", "0", "%", "$", ":", "@", "+", "=", "*"][..]), 0..8)
            .prop_map(|fragments| fragments.concat()),
        1 => "[a-z0-9]{1,70}([.][a-z0-9-]{1,30}){0,2}",
        1 => nasty(),
    ]
}

fn rooted() -> impl Strategy<Value = String> {
    plausible().prop_map(|path| format!("/{path}"))
}

#[test]
fn what_is_odd_and_harmless_is_taken() {
    for lines in [
        "run: {exec: \"/opt/a b$%/x '' ';' '\\n' \\\"\\\"\"}",
        "run: {exec: ./bin//./run, user: _x-1, state: ['-', a..b]}",
        "run: {exec: /bin/x}\nenv: {ODD: \"\\n\\t'$%`\\\\\", _: \"\"}\ndescription: '100% \"a\" \\ b; #c'",
        "run: {exec: /bin/x}\nenv_file: /..a/b=c@d\nreplaces: [a@b@c.service, '-.service']\nresources: {memory: 8388607T}",
        "run: {exec: /bin/x}\nhealth: {http: \"/a//../b?c=%20'$x&~*()\"}",
    ] {
        assert!(matches!(service(lines), Ok(Some(_))), "{lines}");
    }
    for domain in ["_", "1.2", "xn--a.b-c.d", &format!("{}.test", "n".repeat(60))] {
        for path in ["/", "/~", "/..a/.b/c-_~.", "/-/"] {
            let lines = format!("domain: '{domain}'\nroutes: {{{path}: {{service: alpha}}}}");
            assert!(matches!(site(&lines), Ok(Some(_))), "{lines}");
        }
    }
    assert!(matches!(declare("instances/h1.yaml", H1, "packages: [g++, libc6.1-x]"), Ok(Some(_))));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_variable_arrives_or_is_refused(value in nasty(), other in nasty()) {
        let (one, two) = (yaml(&literal(&value)), yaml(&literal(&other)));
        let overlaid = format!("{RUN}env: {{ODD: {one}, OTHER: x}}\nin: {{production: {{env: {{OTHER: {two}}}}}}}");
        if let Some((_, read)) = service(&overlaid)? {
            arrives(&read, &[("ODD", &value), ("OTHER", &other)])?;
        }
    }

    #[test]
    fn a_variables_name_arrives_or_is_refused(name in prop_oneof![nasty(), "[A-Za-z0-9_]{1,4}"]) {
        if let Some((_, read)) = service(&format!("{RUN}env: {{{}: x}}", yaml(&name)))? {
            arrives(&read, &[(&name, "x")])?;
        }
    }

    #[test]
    fn a_word_of_a_command_arrives_or_is_refused(value in nasty(), other in nasty()) {
        let exec = format!("/usr/bin/python3 {} {}", word(&value), word(&other));
        if let Some((_, read)) = service(&format!("run: {{exec: {}}}", yaml(&exec)))? {
            let expected = [b"/usr/bin/python3", value.as_bytes(), other.as_bytes()].map(<[u8]>::to_vec);
            prop_assert_eq!(read.command(), Some(expected.to_vec()));
            prop_assert!(read.without_setting("Service.ExecStart") == EVER.clone().without_setting("Service.ExecStart"));
        }
    }

    #[test]
    fn a_program_is_the_one_that_is_named_or_refused(path in rooted(), own in "(bin|[.]|[.][.]|run|code|/){1,5}") {
        if let Some((_, read)) = service(&format!("run: {{exec: {}}}", yaml(&word(&path))))? {
            prop_assert_eq!(read.command(), Some(vec![path.into_bytes()]));
        }
        if let Some((prepared, read)) = service(&format!("run: {{exec: {}}}", yaml(&format!("./{own}"))))? {
            let replica = desired(&prepared, "h1").replicas.values().next().expect("one");
            prop_assert_eq!(read.command(), Some(vec![format!("{}/{own}", replica.directory).into_bytes()]));
            let below = own.split('/').filter(|part| !matches!(*part, "" | "."));
            prop_assert_eq!(below.collect::<Vec<_>>(), ["bin", "run"], "it is the release's own");
        }
    }

    #[test]
    fn a_description_arrives_on_one_line_or_is_refused(value in nasty()) {
        if let Some((_, read)) = service(&format!("{RUN}description: {}", yaml(&value)))? {
            let words = value.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
            let line = words.collect::<Vec<_>>().join(" ");
            let expected = if line.is_empty() { "alpha".to_owned() } else { line };
            prop_assert_eq!(read.plain("Unit.Description"), Some(expected));
            prop_assert!(read.without_setting("Unit.Description") == EVER.clone().without_setting("Unit.Description"));
        }
    }

    #[test]
    fn a_user_and_a_state_directory_arrive_or_are_refused(name in plausible()) {
        let run = |key: &str| format!("run: {{exec: /usr/bin/python3 server.py, {key}}}");
        let granted = format!("defaults: {{user: {0}}}\nallow: {{users: [{0}]}}", yaml(&name));
        if let Some(prepared) = declare("fleet.yaml", "name: small\n", &granted)? {
            prop_assert_eq!(Read::of(&prepared)?.plain("Service.User"), Some(name.clone()));
        }
        if let Some((_, read)) = service(&run(&format!("state: [{}]", yaml(&name))))? {
            let [directory] = read.setting("Service.StateDirectory")[..] else { panic!("one directory") };
            prop_assert_eq!(systemd::words(directory), Some(vec![format!("small/alpha/{name}")]));
            prop_assert!(!name.contains(['/', ':']) && name != "." && name != "..", "it is one folder");
            prop_assert!(read.without_setting("Service.StateDirectory") == *EVER);
        }
    }

    #[test]
    fn an_env_file_arrives_or_is_refused(path in rooted()) {
        if let Some((_, read)) = service(&format!("{RUN}env_file: {}", yaml(&path)))? {
            let files = read.setting("Service.EnvironmentFile");
            prop_assert_eq!(files.len(), 2);
            prop_assert_eq!(systemd::plain(files[1]), Some(path.clone()));
            prop_assert!(!path.contains(['*', '?', '[']), "it is a pattern");
        }
    }

    #[test]
    fn a_limit_is_taken_or_refused(amount in "[0-9]{1,21}[KMGTP%]?|[1-9][0-9]?T") {
        if let Some((_, read)) = service(&format!("{RUN}resources: {{memory: {amount}}}"))? {
            prop_assert!(systemd::memory(read.setting("Service.MemoryMax")[0]).is_some(), "{} is ignored", amount);
        }
        if let Some((_, read)) = service(&format!("{RUN}resources: {{cpu: {amount}}}"))? {
            let [share] = read.setting("Service.CPUQuota")[..] else { panic!("one share") };
            let percent = share.strip_suffix('%').and_then(|number| number.parse::<i32>().ok());
            prop_assert!(percent.and_then(|percent| percent.checked_mul(100)).is_some(), "{} is ignored", amount);
        }
    }

    #[test]
    fn a_health_check_asks_for_what_is_declared_or_is_refused(path in rooted(), value in nasty()) {
        if let Some((prepared, read)) = service(&format!("{RUN}health: {{http: {}}}", yaml(&path)))? {
            // As HTTP takes it: what is a delimiter elsewhere has no place in a path (RFC 3986, 3.3 and 3.4).
            prop_assert!(path.chars().all(|c| c.is_ascii_alphanumeric() || "/-._~!$&'()*+,;=:@%?".contains(c)), "{}", path);
            let uri: Uri = path.parse().expect("a path");
            prop_assert_eq!(uri.to_string(), path.clone());
            let health = prepared.fleet.services.values().next().map(|service| service.health.check.clone());
            prop_assert_eq!(health, Some(Check::Http(path)));
            prop_assert!(read == *EVER);
        }
        let exec = format!("/bin/check {}", word(&value));
        if let Some((prepared, read)) = service(&format!("{RUN}health: {{exec: {}}}", yaml(&exec)))? {
            let health = prepared.fleet.services.values().next().map(|service| service.health.check.clone());
            prop_assert_eq!(health, Some(Check::Exec(vec!["/bin/check".to_owned(), value.clone()])));
            // D-Bus, over which systemd is told, has no other text.
            prop_assert!(!value.contains('\0') && systemd::unit(&format!("[A]\nb={value:?}")).is_some(), "{:?}", value);
            prop_assert!(read == *EVER);
        }
    }

    #[test]
    fn a_replaced_unit_is_one_unit_or_refused(name in prop_oneof![plausible(), "[a@.:]{0,4}", "a{1,300}"]) {
        let unit = format!("{name}.service");
        if let Some((prepared, read)) = service(&format!("{RUN}replaces: [{}]", yaml(&unit)))? {
            prop_assert!(systemd::is_service(&unit), "{} is no unit", unit);
            let replica = desired(&prepared, "h1").replicas.values().next().expect("one").clone();
            prop_assert_eq!(replica.replaces, [unit]);
            prop_assert!(read == *EVER);
        }
    }

    #[test]
    fn a_package_is_only_ever_added(name in prop_oneof![plausible(), "[a-z0-9.+-]{1,6}"]) {
        if let Some(prepared) = declare("instances/h1.yaml", H1, &format!("packages: [{}]", yaml(&name)))? {
            // apt-get(8): with a hyphen at its end a package is removed.
            prop_assert!(!name.ends_with('-') && !name.starts_with('-') && !name.contains(['/', '=', '*', ' ']), "{}", name);
            prop_assert_eq!(desired(&prepared, "h1").packages.iter().collect::<Vec<_>>(), [&name]);
        }
    }

    #[test]
    fn a_domain_arrives_or_is_refused(domain in plausible()) {
        if let Some(read) = site(&format!("domain: {}\nroutes: {{/api/: {{service: alpha}}}}", yaml(&domain)))? {
            let [directive] = read.server("server_name")[..] else { panic!("one name") };
            let [_, name] = &directive.words[..] else { panic!("one name") };
            prop_assert_eq!(nginx::server_name(name), Some(domain));
            prop_assert!(read.without_directive("server_name") == EVER.clone().without_directive("server_name"));
        }
    }

    #[test]
    fn a_route_arrives_or_is_refused(path in rooted(), keep in any::<bool>()) {
        let lines = format!("domain: app.test\nroutes: {{{}: {{service: alpha, keep_prefix: {keep}}}}}", yaml(&path));
        if let Some(read) = site(&lines)? {
            let [own, location] = read.server("location")[..] else { panic!("its own location, and the route's") };
            prop_assert_eq!(&own.words[..], ["location", "=", "/.evenkeel/site"]);
            prop_assert_eq!(nginx::location(&location.words), Some((path.as_str(), !path.ends_with('/'))));
            prop_assert!(read.without_directive("location") == EVER.clone().without_directive("location"));
        }
    }

    #[test]
    fn a_header_arrives_or_is_refused(name in prop_oneof!["X-[A-Za-z0-9-]{1,6}", plausible()], value in prop_oneof![nasty(), "[ -~]{1,12}"]) {
        let lines = format!("domain: app.test\nroutes: {{/api/: {{service: alpha}}}}\nheaders: {{{}: {}}}", yaml(&name), yaml(&value));
        if let Some(read) = site(&lines)? {
            let [directive] = read.server("add_header")[..] else { panic!("one header") };
            prop_assert_eq!(&directive.words, &["add_header", &name, &value, "always"]);
            // Only a word in front of which nothing is a variable is taken as it is.
            prop_assert!(!value.contains('$') && value.trim() == value && !value.is_empty(), "{:?}", value);
            prop_assert!(value.chars().all(|c| (' '..='~').contains(&c)), "{:?}", value);
            let rest = read.without_directive("add_header").without_directive("proxy_hide_header");
            prop_assert!(rest == *EVER, "something else has changed");
        }
    }

    #[test]
    fn a_path_on_the_host_arrives_or_is_refused(one in rooted(), other in rooted()) {
        let tls = format!("tls: {{certificate: {}, key: {}}}", yaml(&one), yaml(&other));
        let lines = format!("domain: app.test\nroutes: {{/api/: {{service: alpha}}}}\nacme_root: {}\n{tls}", yaml(&one));
        if let Some(read) = site(&lines)? {
            let word = |name: &str| read.server(name).iter().map(|directive| directive.words[1].clone()).collect::<Vec<_>>();
            prop_assert_eq!(word("ssl_certificate"), [one.as_str()]);
            prop_assert_eq!(word("ssl_certificate_key"), [other.as_str()]);
            let root = read.server("location").iter().flat_map(|location| &location.block).find(|inner| inner.name() == "root").map(|root| root.words[1].clone());
            prop_assert_eq!(root, Some(one.clone()));
            prop_assert!(!one.contains(['$', ' ', ';', '{', '}', '"', '\'', '#']), "{:?}", one);
        }
    }

    #[test]
    fn a_pattern_of_files_arrives_or_is_refused(glob in prop_oneof![plausible(), "[a-z*?./+-]{1,10}"]) {
        let lines = format!("domain: app.test\nroutes: {{/api/: {{service: alpha}}}}\nfrontend: {{source: {{path: code}}, immutable: [{}]}}", yaml(&glob));
        if let Some(read) = site(&lines)? {
            let frontend = read.server("location").into_iter().find(|location| location.words[1] == "/").expect("a frontend");
            let patterns: Vec<&str> = frontend.block.iter().filter(|inner| inner.name() == "location").map(|inner| inner.words[2].as_str()).collect();
            let [pattern] = patterns[..] else { panic!("one pattern") };
            // As PCRE reads it: no character has a meaning but what stands for `*` and `?`.
            let bare = pattern.replace("(?:.*/)?", "").replace("[^/]*", "").replace("[^/]", "").replace(".*", "").replace("\\.", "").replace("\\+", "");
            let bare = bare.strip_prefix("^/(?:").and_then(|bare| bare.strip_suffix(")$")).expect("anchored");
            prop_assert!(bare.chars().all(|c| c.is_ascii_alphanumeric() || "_@~,-/".contains(c)), "{}", pattern);
        }
    }

    #[test]
    fn what_is_for_people_stays_with_them(value in nasty()) {
        let value = yaml(&value);
        let described = format!("description: {value}\ngpu: {value}\nlabels: {{role: {value}}}");
        if let Some(prepared) = declare("instances/h1.yaml", H1, &described)? {
            prop_assert!(Read::of(&prepared)? == *EVER);
        }
        let described = format!("domain: app.test\nroutes: {{/api/: {{service: alpha}}}}\ndescription: {value}");
        prop_assert!(site(&described)?.is_none_or(|read| read == *EVER));
    }

    #[test]
    fn where_it_is_declared_stays_a_comment(folder in nasty()) {
        let mut prepared = small().prepare();
        Arc::make_mut(&mut prepared.fleet).services.values_mut().for_each(|service| service.declared_in.clone_from(&folder));
        Arc::make_mut(&mut prepared.fleet).sites.values_mut().for_each(|site| site.declared_in.clone_from(&folder));
        let releases = prepared.sources.iter().map(|(source, (_, release))| (source.clone(), *release)).collect();
        let made = evenkeel::render::Made { releases: &releases, requirements: &std::collections::BTreeMap::new() };
        prepared.desired = evenkeel::render::render(&prepared.fleet, &made).expect("rendered");
        prop_assert!(Read::of(&prepared)? == *EVER);
    }
}
