//! Fleets that somebody made to stop whoever reads them: what they cost, and what is said of them.

use std::time::{Duration, Instant};

use evenkeel::{
    declare::{self, Overrides},
    model::{
        budget::Budget,
        finding::{Code, Finding, any_error},
        tree::{Entry, Tree},
    },
    report::findings,
};

use crate::{A, H1, KEY, a, read, tree};

/// What recursion over what is written would leave. The test's own threads have as much as the main one.
const STACK: usize = 384 << 10;

/// The good fleet and more files.
fn with(files: impl IntoIterator<Item = (String, String)>) -> Tree {
    let mut tree = tree(&[]);
    for (path, text) in files {
        let content = text.replace("KEY", KEY).into_bytes().into();
        tree.insert(&format!("fleet/{path}"), Entry::File { content, executable: false }).expect("a plain path");
    }
    tree
}

fn one(path: &str, text: String) -> Tree {
    with([(path.to_owned(), text)])
}

/// Service A with more keys.
fn service(more: &str) -> Tree {
    one("services/a.yaml", format!("{A}{more}\n"))
}

fn many(count: usize, of: impl Fn(usize) -> String) -> String {
    (0..count).map(of).collect::<Vec<_>>().join(", ")
}

fn instance(at: usize) -> String {
    H1.replace("10.0.0.1", &format!("10.1.{}.{}", at / 250, at % 250 + 1))
}

fn services(count: usize, of: impl Fn(usize) -> String) -> Vec<(String, String)> {
    (0..count).map(|at| (format!("services/s{at}.yaml"), of(at))).collect()
}

fn instances(count: usize) -> Vec<(String, String)> {
    (0..count).map(|at| (format!("instances/i{at}.yaml"), instance(at))).collect()
}

/// The program's own, but for what takes long to spend without an optimizer.
const BUDGET: Budget = Budget { steps: 16 << 20, fleet_nodes: 300_000, ..Budget::STANDARD };

const SITE: &str = "domain: example.org\non: [h1]\nroutes:\n  /api/: {service: a}\n";

fn listed() -> Vec<(&'static str, &'static str, Tree)> {
    let alias =
        format!("x-t: &t \"{}\"\n{A}env: {{{}}}\n", "t".repeat(500_000), many(30_000, |at| format!("A{at}: *t")));
    let anchors = (0..60).fold("x".repeat(400_000), |inner, at| format!("[&a{at} {inner}]"));
    let nested =
        (1..400).fold("x-0: &a0 [x]\n".to_owned(), |text, at| format!("{text}x-{at}: &a{at} [*a{}]\n", at - 1));
    let requirements = (0..6_000).map(|at| (format!("code/{at}.txt"), format!("-r {}.txt\n", at + 1)));
    let chained = with(
        requirements
            .chain([("services/a.yaml".to_owned(), a("server.py", "server.py, python: {requirements: 0.txt}"))]),
    );
    vec![
        (
            "unknown-instance",
            "names in a list",
            one("services/a.yaml", a("[h1]", &format!("[{}]", many(20_000, |at| format!("n{at}"))))),
        ),
        (
            "unknown-service",
            "references in one value",
            service(&format!("env: {{A: '{}'}}", "${service.b.url}".repeat(40_000))),
        ),
        (
            "unknown-service",
            "different references in one value",
            service(&format!("env: {{A: '{}'}}", many(40_000, |at| format!("${{service.n{at}.url}}")))),
        ),
        (
            "unknown-service",
            "references in many values",
            service(&format!(
                "env:\n{}",
                (0..20_000).map(|at| format!("  Z{}: ${{service.b{at}.url}}\n", 90_000 - at)).collect::<String>()
            )),
        ),
        (
            "malformed-reference",
            "references in references",
            service(&format!("env: {{A: '{}'}}", "${".repeat(400_000))),
        ),
        (
            "malformed-reference",
            "references in references that end",
            service(&format!("env: {{A: '{}{}'}}", "${a".repeat(100_000), "}".repeat(100_000))),
        ),
        (
            "literal-address",
            "addresses written out",
            service(&format!("env: {{A: '{}'}}", "10.0.0.2:8100 ".repeat(60_000))),
        ),
        ("yaml-aliases", "an alias of a long text", one("services/a.yaml", alias)),
        ("unknown-key", "anchors within anchors", service(&format!("odd: {anchors}"))),
        ("yaml-unsupported", "aliases that nest", service(&nested)),
        ("yaml-syntax", "lists in lists", service(&format!("x-a: {}", "[".repeat(900_000)))),
        ("yaml-unsupported", "empty documents", one("services/a.yaml", "---\n".repeat(200_000))),
        (
            "yaml-aliases",
            "keys without values",
            one("services/a.yaml", (0..120_000).map(|at| format!("k{at}:\n")).collect()),
        ),
        (
            "duplicate-key",
            "one key many times",
            one("services/a.yaml", format!("{A}env:\n{}", "  A: b\n".repeat(49_000))),
        ),
        ("duplicate-key", "merge keys", service(&format!("x-a: &a {{b: c}}\nenv:\n{}", "  <<: *a\n".repeat(20_000)))),
        (
            "unknown-key",
            "keys that are not known",
            one("services/a.yaml", format!("{A}{}", (0..45_000).map(|at| format!("k{at}: 1\n")).collect::<String>())),
        ),
        ("wrong-type", "values of another type", service(&format!("after: [{}]", many(49_000, |_| "[]".to_owned())))),
        (
            "yaml-unsupported",
            "a key that is long",
            one("services/a.yaml", format!("{A}in: {{{}: {{env: {{A: []}}}}}}\n", "k".repeat(400_000))),
        ),
        ("wrong-type", "a line that is long", service(&format!("env: {{A: {}, B: []}}", "x".repeat(1_000_000)))),
        (
            "too-many-patterns",
            "patterns",
            one(
                "services/a.yaml",
                a("path: code", &format!("path: code, exclude: [{}]", many(30_000, |at| format!("'*.{at}'")))),
            ),
        ),
        ("requirements", "files of requirements that include one another", chained),
        ("unknown-environment", "overlays", service(&format!("in: {{{}}}", many(40_000, |at| format!("e{at}: {{}}"))))),
        (
            "unknown-label",
            "labels",
            one("services/a.yaml", a("on: [h1]", &format!("where: {{{}}}", many(40_000, |at| format!("l{at}: x"))))),
        ),
        (
            "unknown-service",
            "services to wait for",
            service(&format!("after: [{}]", many(45_000, |at| format!("s{at}")))),
        ),
        (
            "replaces-own-unit",
            "units",
            service(&format!("replaces: [{}]", many(30_000, |at| format!("sophia-a@{at}.service")))),
        ),
        (
            "after-cycle",
            "services that wait for all others",
            with(services(300, |at| {
                A.replace("8100", &format!("{}", 8_100 + at))
                    + &format!("after: [{}]\n", many(300, |at| format!("s{at}")))
            })),
        ),
        (
            "after-cycle",
            "a long circle",
            with(services(3_000, |at| {
                A.replace("8100", &format!("{}", 9_000 + at)) + &format!("after: [s{}]\n", (at + 1) % 3_000)
            })),
        ),
        ("port-taken", "services with one port", with(services(4_000, |_| A.to_owned()))),
        (
            "domain-taken",
            "sites with one domain",
            with((0..3_000).map(|at| (format!("sites/s{at}.yaml"), SITE.replace("/api/", &format!("/a{at}/"))))),
        ),
        (
            "unknown-service",
            "routes",
            one(
                "sites/s.yaml",
                format!(
                    "{SITE}{}",
                    (0..12_000).map(|at| format!("  /r{at}/: {{service: n{at}}}\n")).collect::<String>()
                ),
            ),
        ),
        (
            "duplicate-key",
            "headers",
            one(
                "sites/s.yaml",
                format!(
                    "{SITE}headers:\n{}",
                    (0..15_000).map(|at| format!("  X-{at}: a\n  x-{at}: a\n")).collect::<String>()
                ),
            ),
        ),
        (
            "too-much-work",
            "a long domain that is referred to",
            with([
                ("sites/s.yaml".to_owned(), SITE.replace("example.org", &"d".repeat(500_000))),
                ("services/a.yaml".to_owned(), format!("{A}env: {{A: '{}'}}\n", "${site.s.url}".repeat(30_000))),
            ]),
        ),
        (
            "too-much-work",
            "a long address for many instances",
            with(
                instances(200).into_iter().chain([(
                    "services/a.yaml".to_owned(),
                    a("{path: code}", &format!("{{git: 'https://example.org/{}'}}", "g".repeat(400_000)))
                        .replace("on: [h1]", "where: {role: web}"),
                )]),
            ),
        ),
        (
            "too-much-work",
            "many variables for many instances",
            with(instances(200).into_iter().chain([(
                "services/a.yaml".to_owned(),
                A.replace("on: [h1]", "where: {role: web}")
                    + &format!("env: {{{}}}\n", many(40_000, |at| format!("A{at}: b"))),
            )])),
        ),
        (
            "too-much-work",
            "services on all of many instances",
            with(instances(500).into_iter().chain(services(500, |at| {
                A.replace("8100", &format!("{}", 9_000 + at)).replace("on: [h1]", "where: {role: web}")
            }))),
        ),
        (
            "too-much-work",
            "overlays that share a long command",
            one(
                "services/a.yaml",
                A.replace("server.py", &format!("server.py {}", "x".repeat(300_000)))
                    + &format!("in: {{{}}}\n", many(3_000, |at| format!("e{at}: {{source: {{path: code}}}}"))),
            ),
        ),
        (
            "too-much-work",
            "patterns over many files",
            with((0..4_000).map(|at| (format!("code/f{at}"), String::new())).chain(services(150, |at| {
                A.replace("8100", &format!("{}", 9_000 + at))
                    .replace("path: code", &format!("path: code, exclude: [{}]", many(20, |of| format!("x{at}-{of}"))))
            }))),
        ),
        (
            "fleet-too-large",
            "more files than are read",
            with((0..21_000).map(|at| (format!("environments/e{at}.yaml"), "branch: a\n".to_owned()))),
        ),
        (
            "fleet-too-large",
            "more bytes than are read",
            with(
                (0..17).map(|at| (format!("environments/e{at}.yaml"), format!("branch: a\n{}", "#".repeat(1_000_000)))),
            ),
        ),
        (
            "fleet-too-large",
            "more values than are read",
            with((0..5).map(|at| {
                (
                    format!("sites/s{at}.yaml"),
                    format!("{}x-a: [{}]\n", SITE.replace("example", &format!("e{at}")), "a,".repeat(95_000)),
                )
            })),
        ),
        (
            "invalid-name",
            "files that are not read",
            with(
                (0..20_000)
                    .map(|at| (format!("services/deep/{at}/A.yaml"), String::new()))
                    .chain([("services/A B.yaml".to_owned(), String::new())]),
            ),
        ),
        ("symlink", "links to links", {
            let mut tree = tree(&[]);
            for at in 0..5_000 {
                let target = format!("l{}.yaml", at + 1);
                tree.insert(&format!("fleet/services/l{at}.yaml"), Entry::Symlink { target }).expect("a plain path");
            }
            tree
        }),
    ]
}

/// Reads a fleet on a small stack.
fn read_on_small_stack(tree: Tree) -> (Vec<Finding>, Duration) {
    let read = move || {
        let begun = Instant::now();
        let (declaration, found) = declare::read_within(&tree, "fleet", &BUDGET);
        let environment = "production".parse().expect("a name");
        let resolved =
            declaration.and_then(|declaration| declaration.resolve(&environment, &Overrides::default()).ok());
        assert!(resolved.is_none() || !any_error(&found), "errors, and a fleet all the same");
        (found, begun.elapsed())
    };
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(read).expect("a thread");
    thread.join().expect("nothing panics, and the stack is enough")
}

#[test]
fn a_hostile_fleet_costs_no_more_than_its_budget_and_is_told_what_is_over_it() {
    // As large as one file may be, and nothing wrong with it.
    let benign = service(&format!(
        "env:\n{}",
        (0..20_000).map(|at| format!("  A{at}: {}\n", "b".repeat(30))).collect::<String>()
    ));
    let (found, benign) = read_on_small_stack(benign);
    assert_eq!(findings::text(&found, false), "no findings\n");
    let mut shown = String::new();
    for (code, what, tree) in listed() {
        let (found, took) = read_on_small_stack(tree);
        assert!(found.len() <= Budget::STANDARD.findings + 1, "{what}: {} findings", found.len());
        assert!(findings::json(&found).len() < 200_000, "{what}: {} bytes", findings::json(&found).len());
        assert!(any_error(&found), "{what}: {}", findings::text(&found, false));
        let said = found.iter().find(|finding| finding.code.as_str() == code);
        let said = said.unwrap_or_else(|| panic!("{what}: {}", findings::text(&found[..found.len().min(5)], false)));
        assert!(
            said.message.len() < 1_500 && said.hint.as_ref().is_none_or(|hint| hint.len() < 1_500),
            "{what}: {said:?}"
        );
        // Whatever it is, it takes no longer than a hundred files without a fault.
        assert!(took < benign.saturating_mul(100) + Duration::from_secs(1), "{what}: {took:?}, and {benign:?}");
        let last = found.last().filter(|finding| finding.code == Code::MoreFindings);
        let last = last.map(|finding| format!(" … {}", finding.message)).unwrap_or_default();
        let place = said.place.as_ref().map(|place| format!("{}:{}", place.file, place.line)).unwrap_or_default();
        shown += &format!("{what}\n  {} {place} {}{last}\n", said.code, said.message);
    }
    insta::assert_snapshot!("hostile", shown);
}

#[test]
fn an_error_beyond_the_hundredth_finding_is_an_error_still() {
    let unread: Vec<(String, String)> = (0..150).map(|at| (format!("services/{at:03}.txt"), String::new())).collect();
    let (_, found) = declare::read(&with(unread.clone()), "fleet");
    assert!(!any_error(&found));
    let last = found.last().expect("findings");
    assert_eq!(
        (found.len(), last.code.as_str(), last.message.as_str()),
        (101, "more-findings", "and 50 more warnings")
    );

    // Errors go before warnings, wherever they stand.
    let zs = ("sites/z.yaml".to_owned(), "domain: example.org\non: [h9]\nroutes: {/: {service: a}}\n".to_owned());
    let (_, found) = declare::read(&with(unread.into_iter().chain([zs])), "fleet");
    let errors: Vec<&str> =
        found.iter().filter(|finding| finding.is_error()).map(|finding| finding.code.as_str()).collect();
    assert_eq!(errors, ["unknown-instance"]);

    let names = many(150, |at| format!("name{at}"));
    let (declaration, found) = read(&[("services/a.yaml", &a("[h1]", &format!("[{names}]")))]);
    let last = found.last().expect("findings");
    assert_eq!((found.len(), last.is_error(), last.message.as_str()), (101, true, "and 50 more errors"));
    // Only those that are told are worked out, and nothing is deployed of what has them.
    assert!(found[..100].iter().all(|finding| finding.hint.as_deref() == Some("there is `h1`, `h2` and `h3`")));
    let declaration = declaration.expect("each file can be read");
    let refused = declaration.resolve(&"production".parse().expect("a name"), &Overrides::default());
    assert!(refused.is_err_and(|errors| any_error(&errors)));
}

#[test]
fn what_is_found_in_several_environments_counts_once() {
    let names = many(120, |at| format!("${{service.n{at}.url}}"));
    let (_, found) = read(&[("services/a.yaml", &(a("[h1]", "[h1, h3]") + &format!("env: {{A: '{names}'}}\n")))]);
    assert_eq!(found.last().map(|finding| finding.message.as_str()), Some("and 20 more errors"));
}

#[test]
fn a_finding_in_a_long_line_shows_the_part_it_is_about() {
    let text = format!("{A}env: {{A: {}, B: ${{service.b.url}}, C: {}}}\n", "x".repeat(5_000), "y".repeat(5_000));
    let (_, found) = read(&[("services/a.yaml", &text.replace("${", "\"${").replace("url}", "url}\""))]);
    let shown = findings::text(&found, false);
    assert!(shown.len() < 1_000 && shown.contains(" --> fleet/services/a.yaml:5:5016"), "{shown}");
    let lines: Vec<&str> = shown.lines().collect();
    let carets = lines.iter().position(|line| line.contains('^')).expect("carets");
    let column = |line: &str, text: &str| line.find(text).map(|at| line[..at].chars().count());
    assert_eq!(column(lines[carets], "^"), column(lines[carets - 1], "${service.b.url}"), "{shown}");
}

#[test]
fn limits_are_those_of_the_budget_that_is_handed_in() {
    let tree = tree(&[("services/a.yaml", &a("[h1]", "[n1, n2, n3]"))]);
    let of = |budget: &Budget| -> Vec<String> {
        let (_, found) = declare::read_within(&tree, "fleet", budget);
        found.into_iter().map(|finding| finding.code.to_string()).collect()
    };
    assert_eq!(of(&Budget::STANDARD), ["unknown-instance"; 3]);
    assert_eq!(
        of(&Budget { findings: 2, ..Budget::STANDARD }),
        ["unknown-instance", "unknown-instance", "more-findings"]
    );
    assert!(of(&Budget { fleet_files: 3, ..Budget::STANDARD }).contains(&"fleet-too-large".to_owned()));
    assert!(of(&Budget { fleet_bytes: 300, ..Budget::STANDARD }).contains(&"fleet-too-large".to_owned()));
    assert!(of(&Budget { fleet_nodes: 30, ..Budget::STANDARD }).contains(&"fleet-too-large".to_owned()));
    assert!(of(&Budget { nodes: 5, ..Budget::STANDARD }).contains(&"yaml-aliases".to_owned()));
    assert!(of(&Budget { depth: 1, ..Budget::STANDARD }).contains(&"yaml-unsupported".to_owned()));
    assert!(of(&Budget { steps: 10, ..Budget::STANDARD }).contains(&"too-much-work".to_owned()));
}

#[test]
fn the_fleets_file_has_one_name() {
    let (_, found) = read(&[("fleet.yaml", ""), ("fleet.yml", "name: sophia\ndefaults: {user: ubuntu}\n")]);
    insta::assert_snapshot!(findings::text(&found, false), @r"
    error[missing-fleet-file]: `fleet/fleet.yml` is not read: the fleet's file has the name fleet.yaml
    --> fleet/fleet.yml
     = help: rename it: `git mv fleet/fleet.yml fleet/fleet.yaml`

    warning[not-checked]: `fleet.yaml` cannot be read yet, so no file was checked against the others

    1 error, 1 warning
    ");
    // The daemon reads the default branch so, and says the same.
    let tree = tree(&[("fleet.yaml", ""), ("fleet.yml", "name: sophia\n")]);
    let (declaration, shared) = declare::read_shared(&tree, "fleet");
    assert!(declaration.is_none());
    assert_eq!(
        shared.first().map(|finding| (&finding.code, &finding.message)),
        found.first().map(|finding| (&finding.code, &finding.message))
    );
}
