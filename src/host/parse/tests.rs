//! Answers of real hosts, whole and damaged. `tests/fixtures/probe/` holds them as they came:
//! two deployed hosts, one where nothing is deployed, one without `ss` and `dpkg-query`, and one on
//! which `systemctl`, `dpkg-query` and `getent` fail.

mod parts;

use std::collections::BTreeSet;

use super::*;
use crate::model::{
    fleet::Certificate,
    observation::{Checked, LiveCertificate, LiveFolder, LiveUnit, LiveVenv},
    seal::Broken,
};

const AI_CORE: &[u8] = include_bytes!("../../../tests/fixtures/probe/ai-core.txt");
const BUSINESS_TOOLS: &[u8] = include_bytes!("../../../tests/fixtures/probe/business-tools.txt");
const BARE: &[u8] = include_bytes!("../../../tests/fixtures/probe/bare.txt");
const FEW_TOOLS: &[u8] = include_bytes!("../../../tests/fixtures/probe/few-tools.txt");
const FAILING_TOOLS: &[u8] = include_bytes!("../../../tests/fixtures/probe/failing-tools.txt");

const CHAT: &str = "sophia-real_time_chat_mcp@8001.service";
const GONG: &str = "sophia-gong_mcp@8100.service";
const RELEASE: &str = "d3cf6530510f8a28e097e2bd2ee69e5ffe05c5e84cf87a8bcad6ae638a353718";
const NOT_THERE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// With which digests are sealed on hosts that have no key yet.
const KEY: Key = Key::from_bytes([7; 32]);

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn digest(text: &str) -> Digest {
    text.parse().expect("a digest")
}

/// What was asked of the host that has nginx. What its manifest names is looked at besides.
fn of_ai_core() -> ProbeRequest {
    ProbeRequest {
        secrets: BTreeSet::new(),
        base: "/var/lib/evenkeel/sophia".to_owned(),
        paths: set(&["/etc/nginx/sites-enabled/default"]),
        units: set(&["nginx.service"]),
        own_unit: String::new(),
        folders: BTreeSet::new(),
        users: set(&["ubuntu", "nobody-of-this-name"]),
        packages: set(&["nginx-light", "no-such-package"]),
        releases: [digest(RELEASE), digest(NOT_THERE)].into(),
        spared: BTreeSet::new(),
        venvs: BTreeSet::new(),
        interpreters: BTreeSet::new(),
        programs: BTreeSet::new(),
        executes: true,
        certificates: BTreeSet::new(),
        listeners: true,
        ports: Default::default(),
        digest_port: Some(19_180),
        nginx_digest: None,
        fronts: Default::default(),
        sites: BTreeMap::new(),
        address: None,
    }
}

fn of_business_tools() -> ProbeRequest {
    let mut question = of_ai_core();
    question.paths.clear();
    question.packages = set(&["nginx-light"]);
    question.digest_port = None;
    question
}

fn seen(question: &ProbeRequest, answer: &[u8]) -> Observation {
    observation(question, answer, &KEY).unwrap_or_else(|why| panic!("{why}"))
}

/// The answer with a section's text replaced, or with the section taken out.
fn with(answer: &[u8], name: &str, text: Option<&str>) -> Vec<u8> {
    let answer = String::from_utf8(answer.to_vec()).expect("text");
    let start = answer.find(&format!("\n{name} ")).map_or(0, |at| at + 1);
    let (header, body) = answer[start..].split_once('\n').expect("a header");
    let length: usize = header.strip_prefix(name).expect("its name").trim().parse().expect("a length");
    let text = text.map(|text| format!("{name} {}\n{text}\n", text.len())).unwrap_or_default();
    format!("{}{text}{}", &answer[..start], &body[length + 1..]).into_bytes()
}

fn section_names(answer: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = std::str::from_utf8(answer).expect("text");
    while let Some((header, body)) = rest.split_once('\n') {
        let (name, length) = header.split_once(' ').expect("a header");
        names.push(name.to_owned());
        rest = &body[length.parse::<usize>().expect("a length") + 1..];
    }
    names
}

/// Everything that is absent in an observation, by name.
fn absent(observation: &Observation) -> Vec<String> {
    fn of<'a, K: ToString + 'a, T: 'a>(
        what: &'a str,
        parts: impl IntoIterator<Item = (K, &'a Seen<T>)> + 'a,
    ) -> impl Iterator<Item = String> + 'a {
        parts
            .into_iter()
            .filter(|(_, seen)| seen.is_absent())
            .map(move |(key, _)| format!("{what} {}", key.to_string()))
    }
    let nginx = observation.nginx.known().map(|nginx| ("", &nginx.digest));
    of("manifest", [("", &observation.manifest)])
        .chain(of("generation", [("", &observation.generation)]))
        .chain(of("file", &observation.files))
        .chain(of("unit", &observation.units))
        .chain(of("listeners", [("", &observation.listeners)]))
        .chain(of("nginx", [("", &observation.nginx)]))
        .chain(of("digest", nginx))
        .chain(of("package", &observation.packages))
        .chain(of("user", &observation.users))
        .chain(of("release", &observation.releases))
        .collect()
}

#[test]
fn a_deployed_host_is_understood() {
    let observation = seen(&of_ai_core(), AI_CORE);
    let manifest = observation.manifest.known().expect("a manifest");
    assert_eq!((manifest.files.len(), manifest.links.len(), manifest.units.len()), (6, 1, 2));
    assert_eq!(observation.generation, Seen::Known(1));
    assert_eq!(observation.unfinished, None);

    let unit = observation.unit(CHAT).expect("the unit");
    assert!(unit.is_active() && unit.is_enabled());
    assert!(unit.directory.as_ref().is_some_and(|path| path.starts_with("/var/lib/evenkeel/sophia/releases/")));

    for (path, recorded) in &manifest.files {
        let live = observation.files[path].known().expect("a file");
        assert_eq!(live.digest(), Some(*recorded), "{path}");
    }
    let env = &observation.files["/etc/evenkeel/sophia/real_time_chat_mcp@8001.env"];
    assert!(matches!(env, Seen::Known(LiveFile::Regular { mode: 0o600, owner, .. }) if owner == "root:root"));
    let current = observation.files["/var/lib/evenkeel/sophia/sites/app/current"].known();
    let target = format!("/var/lib/evenkeel/sophia/releases/{RELEASE}");
    assert_eq!(current, Some(&LiveFile::Symlink { target }));
    assert!(!observation.files.keys().any(|path| path.starts_with("/proc/")));

    let listeners = observation.listeners.known().expect("listeners");
    let chat = listeners.iter().find(|listener| listener.port == 8001).expect("the service's port");
    assert_eq!((chat.process.as_str(), chat.unit.as_deref()), ("python3", Some(CHAT)));
    let nginx = observation.nginx.known().expect("nginx");
    assert!(nginx.running && nginx.digest.known().is_some());

    // Only what was said to be absent is.
    assert_eq!(
        absent(&observation),
        [
            "file /etc/nginx/sites-enabled/default",
            "unit sophia-real_time_chat_mcp.service",
            "unit sophia-vector_search_mcp.service",
            "package no-such-package",
            "user nobody-of-this-name",
            &format!("release {NOT_THERE}"),
        ]
    );
}

#[test]
fn a_host_on_which_nothing_is_deployed_is_understood() {
    let question = ProbeRequest {
        base: "/var/lib/evenkeel/other".to_owned(),
        paths: set(&["/etc/systemd/system/other-api@8300.service", "/etc/other/api.env"]),
        units: set(&["other-api@8300.service"]),
        users: set(&["api", "ubuntu"]),
        digest_port: Some(19_181),
        ..of_ai_core()
    };
    let observation = seen(&question, BARE);
    assert_eq!(observation.manifest, Seen::Absent);
    assert_eq!(observation.manifest_digest, None);
    assert_eq!(observation.generation, Seen::Known(0));
    assert!(observation.files.values().all(Seen::is_absent), "{:?}", observation.files);
    assert!(observation.units["other-api@8300.service"].is_absent());
    assert_eq!((&observation.users["api"], &observation.users["ubuntu"]), (&Seen::Absent, &Seen::Known(())));
    let listeners = observation.listeners.known().expect("listeners");
    let taken = listeners.iter().find(|listener| listener.port == 8300).expect("a port that is taken");
    assert_eq!(taken.unit.as_deref(), Some("sophia-ai_memory_mcp@8300.service"));
    // Nobody answers on that port.
    assert_eq!(observation.nginx.known().map(|nginx| &nginx.digest), Some(&Seen::Absent));
}

#[test]
fn what_is_no_generation_makes_the_instance_unknown() {
    for text in ["18446744073709551615", "9223372036854775808", "1000000000000000", "-1", "", "1 2", "0x1", "abc"] {
        let observation = seen(&of_ai_core(), &with(AI_CORE, "generation", Some(text)));
        assert!(matches!(&observation.generation, Seen::Unknown(why) if why.contains("no generation")), "{text}");
    }
}

#[test]
fn a_manifest_larger_than_any_of_ours_makes_the_instance_unknown() {
    let text = "release\t0\n".repeat(1 << 20);
    let observation = seen(&of_ai_core(), &with(AI_CORE, "manifest", Some(&text)));
    assert!(matches!(&observation.manifest, Seen::Unknown(why) if why.contains("4 MiB")), "{:?}", observation.manifest);
}

#[test]
fn dpkg_is_asked_again_once_its_database_or_the_question_is_another() {
    let question = of_ai_core();
    let database = "1 2 3";
    let answer = [AI_CORE, format!("packages-database {}\n{database}\n", database.len()).as_bytes()].concat();
    let remembered = Remembered::of(&question, &answer);
    assert_eq!(seen(&question, &answer), seen(&question, AI_CORE));
    assert!(question.script(&remembered).contains("packages_database='1 2 3'\n"));
    assert!(question.script(&remembered).contains("packages_said='installed nginx-light "));

    // The digest of signatures fits no other releases by itself.
    let signed = [&answer[..], b"releases-signed 2\nab\n"].concat();
    let bare = with(&signed, "packages", None);
    for answer in [&signed, &bare] {
        assert!(question.script(&Remembered::of(&question, answer)).contains("releases_signed='ab'\n"));
    }
    assert!(!question.script(&Remembered::of(&question, &bare)).contains("nginx-light 1."));

    let more = ProbeRequest { packages: set(&["nginx-light", "python3"]), ..question.clone() };
    assert_eq!(more.script(&remembered), more.script(&Remembered::default()));
    // Nothing is kept of an answer that does not say what it was true of, nor of what dpkg could not tell.
    assert_eq!(Remembered::of(&question, AI_CORE), Remembered::default());
    let untold = with(&answer, "packages", None);
    assert_eq!(Remembered::of(&question, &untold), Remembered::default());
    assert_eq!(Remembered::of(&question, b"no answer"), Remembered::default());
}

#[test]
fn an_answer_that_is_cut_anywhere_is_an_error() {
    for (question, answer) in [
        (of_ai_core(), AI_CORE),
        (of_business_tools(), BUSINESS_TOOLS),
        (of_business_tools(), FEW_TOOLS),
        (of_business_tools(), FAILING_TOOLS),
    ] {
        assert!(observation(&question, answer, &KEY).is_ok());
        for length in 0..answer.len() {
            assert!(observation(&question, &answer[..length], &KEY).is_err(), "cut after {length} bytes");
        }
    }
}

/// Whatever is wrong with an answer: what was known may become unknown, never absent.
fn assert_nothing_disappears(damaged: &[u8], how: &str) {
    let whole = absent(&seen(&of_ai_core(), AI_CORE));
    if let Ok(observation) = observation(&of_ai_core(), damaged, &KEY) {
        let new: Vec<String> = absent(&observation).into_iter().filter(|part| !whole.contains(part)).collect();
        assert_eq!(new, Vec::<String>::new(), "{how}");
    }
}

#[test]
fn what_a_missing_section_would_have_told_is_not_absent() {
    for name in section_names(AI_CORE) {
        assert_nothing_disappears(&with(AI_CORE, &name, None), &format!("without {name}"));
    }
}

#[test]
fn what_a_lost_byte_would_have_told_is_not_absent() {
    for at in 0..AI_CORE.len() {
        let mut answer = AI_CORE.to_vec();
        answer.remove(at);
        assert_nothing_disappears(&answer, &format!("without byte {at}"));
    }
}

#[test]
fn without_ss_listeners_are_unknown() {
    let observation = seen(&of_business_tools(), FEW_TOOLS);
    let why = observation.listeners.unknown().expect("unknown");
    assert!(why.contains("ss: not found") && why.contains("package iproute2"), "{why}");
    let why = observation.packages["nginx-light"].unknown().expect("unknown");
    assert!(why.contains("only Debian packages"), "{why}");
    // The rest is known all the same.
    assert!(observation.unit(GONG).is_some_and(LiveUnit::is_active));
}

#[test]
fn tools_that_fail_leave_their_part_unknown() {
    let observation = seen(&of_business_tools(), FAILING_TOOLS);
    assert!(observation.units.contains_key(GONG));
    for (unit, seen) in &observation.units {
        assert_eq!(seen.unknown(), Some("systemctl: Failed to connect to bus"), "{unit}");
    }
    assert!(observation.packages.values().all(|seen| seen.unknown().is_some()));
    assert!(observation.users.values().all(|seen| seen.unknown().is_some()));
    assert!(observation.manifest.known().is_some());
}

#[test]
fn a_manifest_that_is_garbage_or_has_changed_meanwhile_is_unknown() {
    for garbage in ["", "<html>", "evenkeel manifest 1\nfile\tabc\t/etc/x", "evenkeel manifest 1\nfile"] {
        let observation = seen(&of_ai_core(), &with(AI_CORE, "manifest", Some(garbage)));
        assert!(observation.manifest.unknown().is_some(), "{garbage:?}");
    }
    let observation = seen(&of_ai_core(), &with(AI_CORE, "manifest", Some("evenkeel manifest 1")));
    assert_eq!(observation.manifest.unknown(), Some("the manifest changed while it was looked at"));
}

/// The answer with another section, and the files as `stat` and `sha256sum` tell them.
fn with_key(manifest: &str, modes: [&str; 2], key: Option<&Key>) -> Vec<u8> {
    let [env_file, path] = ["/etc/gong.env", "/var/lib/evenkeel/sophia/manifest"];
    let files = format!("81{} root:root {path}\n81{} root:root /var/lib/evenkeel/sophia/key\n", modes[0], modes[1])
        + &format!("8180 root:root {env_file}");
    let digests = format!("{}  {path}\n{SECRET}  {env_file}\n", Digest::of(format!("{manifest}\n")))
        + &format!("{}  /var/lib/evenkeel/sophia/key", Digest::of("a key"));
    let answer = with(BUSINESS_TOOLS, "files", Some(&files));
    let answer = with(&with(&answer, "digests", Some(&digests)), "manifest", Some(manifest));
    let key = key.map(Key::write).unwrap_or_default();
    [format!("key {}\n{key}\n", key.len()).as_bytes(), &answer].concat()
}

const SECRET: &str = "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5";

fn of_a_secret() -> ProbeRequest {
    ProbeRequest { paths: set(&["/etc/gong.env"]), secrets: set(&["/etc/gong.env"]), ..of_business_tools() }
}

#[test]
fn digests_of_secrets_are_sealed_with_the_hosts_key() {
    let key = Key::from_bytes([9; 32]);
    let observation = seen(&of_a_secret(), &with_key("evenkeel manifest 2", ["80", "80"], Some(&key)));
    assert_eq!(observation.files["/etc/gong.env"].known().and_then(LiveFile::digest), Some(key.seal(&digest(SECRET))));
    assert_eq!(observation.seal, Seal::default());
    assert!(!format!("{observation:?}").contains(&digest(SECRET).short()));
    // What others read, or could have written, is put right.
    for modes in [["a4", "80"], ["80", "a4"]] {
        let observation = seen(&of_a_secret(), &with_key("evenkeel manifest 2", modes, Some(&key)));
        assert_eq!(observation.seal.broken, Some(Broken::Open), "{modes:?}");
    }
    let garbled = with(&with_key("evenkeel manifest 2", ["80", "80"], Some(&key)), "key", Some("no key"));
    assert!(seen(&of_a_secret(), &garbled).manifest.unknown().is_some());
}

#[test]
fn a_manifest_with_plain_digests_says_the_same_as_a_sealed_one() {
    let manifest = format!("evenkeel manifest 1\nunit\t-\t{SECRET}\t{GONG}");
    let observation = seen(&of_a_secret(), &with_key(&manifest, ["a4", "80"], None));
    let (live, sealed) = (observation.files["/etc/gong.env"].known(), KEY.seal(&digest(SECRET)));
    assert_eq!(observation.seal, Seal { new_key: Some(KEY), broken: Some(Broken::Plain) });
    assert_eq!(live.and_then(LiveFile::digest), Some(sealed));
    let started = &observation.manifest.known().expect("a manifest").units[GONG];
    assert_eq!(started.env_file, Some(sealed), "so nothing is restarted");
    // Scripts compare the manifest as it lies there.
    assert_eq!(observation.manifest_digest, Some(Digest::of(format!("{manifest}\n"))));
}

#[test]
fn what_stat_did_not_say_of_a_path_is_unknown() {
    let path = "/etc/nginx/sites-enabled/default";
    let of = |line: &str| {
        let files =
            format!("{line}\nstat: cannot statx '/var/lib/evenkeel/sophia/manifest': No such file or directory");
        let answer = with(&with(AI_CORE, "files", Some(&files)), "manifest", None);
        seen(&of_ai_core(), &answer).files[path].clone()
    };
    assert_eq!(of(&format!("stat: cannot statx '{path}': No such file or directory")), Seen::Absent);
    assert_eq!(of(&format!("stat: cannot statx '{path}': Not a directory")), Seen::Absent);
    for other in [
        format!("stat: cannot statx '{path}': Input/output error"),
        format!("stat: cannot statx '/srv{path}': No such file or directory"),
        format!("stat: cannot statx '{path}.old': No such file or directory"),
        "stat: write error".to_owned(),
        // There, and its content or target is not told.
        format!("8180 root:root {path}"),
        format!("a1ff root:root {path}"),
    ] {
        assert!(of(&other).unknown().is_some(), "{other}");
    }
    let answer = with(AI_CORE, "files", Some("stat is not what it was"));
    assert!(seen(&of_ai_core(), &answer).manifest.unknown().is_some());
    assert!(seen(&of_ai_core(), &answer).files[path].unknown().is_some());
}

/// uutils quotes and numbers, and a library that cannot be preloaded has each program complain.
#[test]
fn what_another_stat_prints_is_read_alike() {
    let (path, noise) = ("/etc/nginx/sites-enabled/default", "ERROR: ld.so: object 'x' cannot be preloaded: ignored.");
    let of = |line: &str| {
        let files = format!("{noise}\n{line}\nstat: cannot statx '/var/lib/evenkeel/sophia/manifest': Not a directory");
        seen(&of_ai_core(), &with(&with(AI_CORE, "files", Some(&files)), "manifest", None)).files[path].clone()
    };
    let absent = format!("stat: cannot stat '{path}': No such file or directory (os error 2)");
    assert_eq!(of(&absent), Seen::Absent);
    for quote in ["", "\"", "'"] {
        let link = format!("a1ff root:root {quote}{path}{quote} -> {quote}/somewhere{quote}");
        assert_eq!(of(&link), Seen::Known(LiveFile::Symlink { target: "/somewhere".to_owned() }), "{link}");
    }
}

#[test]
fn what_stands_against_an_installation_is_told_only_where_it_is_asked() {
    let told = |sections: &str| {
        let answer = String::from_utf8(AI_CORE.to_vec()).expect("text");
        let (before, end) = answer.rsplit_once("end 0").expect("its end");
        seen(&of_ai_core(), format!("{before}{sections}end 0{end}").as_bytes()).installing
    };
    assert_eq!(told(""), Installing::default());
    let of = |name: &str, text: &str| format!("{name} {}\n{text}\n", text.len());
    let half = of("dpkg-half", "half-configured oddfail\nunpacked other");
    let all = told(&(half + &of("dpkg-updates", "0001") + &of("simulated", "E: Unable to locate\nE: really")));
    assert_eq!(all.half_way.keys().collect::<Vec<_>>(), ["oddfail", "other"]);
    assert!(all.interrupted);
    assert_eq!(all.refused.as_deref(), Some("E: Unable to locate E: really"));
    assert!(!told(&of("dpkg-updates", "tmp.i")).interrupted, "a file that dpkg has not finished is no update");
}

#[test]
fn units_are_never_mixed_up() {
    let fewer = with(AI_CORE, "states", Some("LoadState=loaded\nActiveState=active"));
    assert!(observation(&of_ai_core(), &fewer, &KEY).is_err());
    let none = with(AI_CORE, "states", Some(""));
    assert!(observation(&of_ai_core(), &none, &KEY).is_err());
}

#[test]
fn a_name_that_is_no_text_does_not_hide_the_host() {
    let mut answer = AI_CORE.to_vec();
    let at = answer.windows(8).position(|window| window == b"(\"python").expect("a process");
    answer[at + 2] = 0xff;
    let observation = seen(&of_ai_core(), &answer);
    assert!(observation.listeners.known().is_some() && observation.unit(CHAT).is_some());
}

#[test]
fn a_section_that_comes_twice_is_an_error() {
    let mut answer = b"files 0\n\n".to_vec();
    answer.extend_from_slice(AI_CORE);
    assert!(observation(&of_ai_core(), &answer, &KEY).is_err());
}
