//! SyncDurations of an answer besides files, packages and units: certificates, virtual environments, programs, nginx, drop-ins.

use super::*;

#[test]
fn a_certificate_and_its_key_are_as_openssl_says() {
    let pair = Certificate { certificate: "/etc/ssl/a.pem".to_owned(), key: "/etc/ssl/a.key".to_owned() };
    let question = ProbeRequest { certificates: [pair.clone()].into(), ..of_business_tools() };
    let answered = |said: &str| {
        let said = format!("/etc/ssl/a.pem\t/etc/ssl/a.key\t{said}\n");
        let answer = String::from_utf8(BUSINESS_TOOLS.to_vec()).expect("text");
        let sections = format!("now 10\n1795000000\ncertificates {}\n{said}\nend 0\n", said.len());
        let answer = answer.replacen("\ndigests ", "\nold-digests ", 1).replacen("end 0\n", &sections, 1);
        let digests = format!("{NOT_THERE}  /etc/ssl/a.pem");
        let answer = format!("digests {}\n{digests}\n{answer}", digests.len());
        seen(&question, answer.as_bytes()).certificates[&pair].clone()
    };
    let digest = Seen::Known(KEY.seal(&digest(NOT_THERE)));
    let fine = |belong_together, until: &str, seconds_left| {
        let checked =
            Seen::Known(Checked { belong_together, until: until.to_owned(), seconds_left, names: Vec::new() });
        Seen::Known(LiveCertificate { digest: digest.clone(), key: Seen::Known(()), checked })
    };
    // Unix time 1795000000 is Nov 18 11:06:40 2026.
    assert_eq!(answered("there there same Nov 18 11:07:40 2026 GMT"), fine(true, "Nov 18 11:07:40 2026 GMT", 60));
    for (names, expected) in [
        ("    DNS:a.test, DNS:*.B.test, IP Address:192.0.2.1", vec!["a.test", "*.b.test"]),
        ("subject=CN=A.test,O=x", vec!["a.test"]),
        ("subject=O=x", vec![]),
        ("", vec![]),
    ] {
        let live = answered(&format!("there there same Nov 18 11:07:40 2026 GMT\t{names}"));
        assert_eq!(
            live.known().and_then(|live| live.checked.known()).expect("it is checked").names,
            expected,
            "{names}"
        );
    }
    assert_eq!(
        answered("there there other Nov  8 11:06:40 2026 GMT"),
        fine(false, "Nov  8 11:06:40 2026 GMT", -864_000)
    );
    let seen = |said: &str| answered(said).known().cloned().expect("known");
    assert_eq!(seen("absent there -").digest, Seen::Absent);
    assert_eq!(seen("there absent -").key, Seen::Absent);
    assert!(seen("there unreadable -").key.unknown().is_some());
    assert!(seen("there there no-openssl").checked.is_absent());
    assert!(seen("there there no-key").checked.unknown().is_some_and(|why| why.contains("/etc/ssl/a.key")));
    for nonsense in ["", "there", "there there same", "there there same tomorrow", "x there -"] {
        assert!(answered(nonsense).unknown().is_some(), "{nonsense}");
    }
    assert!(seen_nothing_of(&question, &pair));
}

#[test]
fn a_virtual_environment_is_whole_only_when_that_is_said() {
    let key = digest(NOT_THERE);
    let path = "/usr/bin/python3".to_owned();
    let question = ProbeRequest { venvs: [key].into(), interpreters: [path.clone()].into(), ..of_business_tools() };
    let answered = |section: &str, said: &str| {
        let text = format!("{section} {}\n{said}\n", said.len());
        let answer = String::from_utf8(BUSINESS_TOOLS.to_vec()).expect("text");
        seen(&question, answer.replacen("end 0\n", &format!("{text}end 0\n"), 1).as_bytes())
    };
    let venv = |said: &str| answered("venvs", &format!("{key} {said}\n")).venvs[&key].clone();
    assert_eq!(venv("whole cpython-311"), Seen::Known(LiveVenv::Whole { made_with: "cpython-311".to_owned() }));
    assert_eq!(venv("damaged"), Seen::Known(LiveVenv::Damaged));
    assert_eq!(venv("whole ; rm"), Seen::Known(LiveVenv::Damaged));
    assert_eq!(venv("absent"), Seen::Absent);
    assert!(answered("venvs", "").venvs[&key].unknown().is_some());
    assert!(answered("?venvs", "it hung").venvs[&key].unknown().is_some());

    let python = |said: &str| answered("interpreters", &format!("{path} {said}\n")).interpreters[&path].clone();
    assert_eq!(python("is cpython-313t"), Seen::Known("cpython-313t".to_owned()));
    assert_eq!(python("absent"), Seen::Absent);
    for (said, why) in [("fails Permission denied", "(Permission denied)"), ("fails ", "()"), ("is a b", "(a b)")] {
        assert!(python(said).unknown().is_some_and(|told| told.ends_with(why)), "{said}: {:?}", python(said));
    }
    assert!(answered("interpreters", "").interpreters[&path].unknown().is_some());
}

#[test]
fn a_program_is_absent_only_when_that_is_said() {
    let programs = set(&["/usr/bin/java", "nodejs", "/opt/my app/run"]);
    let question = ProbeRequest { programs: programs.clone(), ..of_business_tools() };
    let answered = |section: &str, said: &str| {
        let text = format!("{section} {}\n{said}\n", said.len());
        let answer = String::from_utf8(BUSINESS_TOOLS.to_vec()).expect("text");
        seen(&question, answer.replacen("end 0\n", &format!("{text}end 0\n"), 1).as_bytes()).programs
    };
    let told = answered("programs", "absent /usr/bin/java\nthere nodejs\nunfit /opt/my app/run\n");
    assert_eq!(told["/usr/bin/java"], Seen::Absent);
    assert_eq!(told["nodejs"], Seen::Known(LiveProgram::Executable));
    assert_eq!(told["/opt/my app/run"], Seen::Known(LiveProgram::NotExecutable));
    for (section, said) in [("programs", ""), ("?programs", "it hung"), ("programs", "odd nodejs\n")] {
        assert!(answered(section, said).values().all(|seen| seen.unknown().is_some()), "{section} {said}");
    }
}

/// An answer without a word of it.
fn seen_nothing_of(question: &ProbeRequest, pair: &Certificate) -> bool {
    seen(question, BUSINESS_TOOLS).certificates[pair].unknown().is_some()
}

#[test]
fn what_nginx_answers_and_reads_is_understood() {
    use crate::model::{
        name::SiteName,
        nginx::{Answer, NginxFiles, Proof, Server},
    };
    let site = |name: &str| -> SiteName { name.parse().expect("a name") };
    let proof = Proof { host: "a.test".to_owned(), ports: vec![80, 443], answer: digest(NOT_THERE) };
    let sites = [(site("www"), proof.clone()), (site("web"), proof.clone()), (site("app"), proof)].into();
    let question = ProbeRequest { sites, ..of_ai_core() };
    let answers = "app 80 refused\napp 443 own\nweb 80 other\nnobody 80 own\nnonsense\n";
    let files = "broken it is\ninclude conf.d/*.conf\nconflict a.test 0.0.0.0:80\n\
                 server /etc/nginx/sites-enabled/x:12\t80 default_server,[::]:80\t_ b.test\nserver bad\nother x\n";
    let section = |name: &str, text: &str| format!("{name} {}\n{text}\n", text.len());
    let answer = String::from_utf8(AI_CORE.to_vec()).expect("text");
    let more = section("sites", answers) + &section("nginx-files", files) + "end 0\n";
    let answer = answer.replacen("end 0\n", &more, 1);
    let live = seen(&question, answer.as_bytes()).nginx.known().expect("it is there").clone();
    assert!(live.has_log_folder && live.digest.known().is_some());
    assert_eq!(live.answers[&site("app")], [(80, Answer::Refused), (443, Answer::Own)].into());
    assert_eq!(
        live.answers[&site("web")],
        [(80, Answer::Other), (443, Answer::Silent)].into(),
        "the first not told of"
    );
    assert_eq!(live.answers[&site("www")], [(80, Answer::Unasked), (443, Answer::Unasked)].into());
    let owned = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
    let server = Server {
        file: "/etc/nginx/sites-enabled/x".to_owned(),
        line: 12,
        listens: owned(&["80 default_server", "[::]:80"]),
        names: owned(&["_", "b.test"]),
    };
    let expected = NginxFiles {
        broken: Some("it is".to_owned()),
        conflicts: vec![("a.test".to_owned(), "0.0.0.0:80".to_owned())],
        includes: owned(&["conf.d/*.conf"]),
        servers: vec![server],
    };
    assert_eq!(live.files, Some(expected));
}

#[test]
fn what_changes_a_unit_besides_its_file_is_understood() {
    let drop_in = "/etc/systemd/system/sophia-gong_mcp@8100.service.d/override.conf";
    let states = "LoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\nMainPID=7\n\
        FragmentPath=/etc/systemd/system/sophia-gong_mcp@8100.service\nDropInPaths=/etc/a.conf \"/etc/b c.conf\"\n\
        NeedDaemonReload=yes\n\nLoadState=not-found\nMainPID=0\nNeedDaemonReload=no\n";
    let answer = with(BUSINESS_TOOLS, "units", Some(&format!("{GONG} other.service")));
    let answer = with(&answer, "states", Some(states));
    let section = |name: &str, text: &str| format!("{name} {}\n{text}\n", text.len());
    let more = section("unread", &format!("\n{GONG}\n{drop_in}"))
        + &section(&format!("drop-in{drop_in}"), "[Service]\nUser=root\nEnvironment=TOKEN=hunter2\n")
        + &section("own-drop-ins", "/etc/systemd/system/service.d/10-hard.conf")
        + "end 0\n";
    let answer = String::from_utf8(answer).expect("text").replacen("end 0\n", &more, 1);
    let observation = seen(&of_business_tools(), answer.as_bytes());
    let unit = observation.unit(GONG).expect("the unit");
    assert_eq!(unit.fragment, format!("/etc/systemd/system/{GONG}"));
    assert_eq!(unit.drop_ins, ["/etc/a.conf", "/etc/b c.conf"]);
    assert!(unit.needs_reload);
    assert_eq!(unit.unread, [drop_in]);
    assert_eq!(observation.drop_ins[drop_in], ["User=root", "Environment=…"]);
    assert_eq!(observation.own_drop_ins, ["/etc/systemd/system/service.d/10-hard.conf"]);
    assert!(!format!("{observation:?}").contains("hunter2"));
    // An answer of before says nothing of all that.
    let before = seen(&of_business_tools(), BUSINESS_TOOLS);
    assert!(before.units.values().filter_map(Seen::known).all(|unit| unit.fragment.is_empty() && !unit.needs_reload));
}

#[test]
fn a_folders_mode_and_owner_are_understood_and_a_link_is_no_folder() {
    let folders = ["/var/lib/evenkeel", "/var/lib/evenkeel/sophia", "/var/lib/evenkeel/sophia/venvs"];
    let question = ProbeRequest { folders: set(&folders), ..of_business_tools() };
    let files = String::from_utf8(BUSINESS_TOOLS.to_vec()).expect("text");
    let (_, files) = files.split_once("\nfiles ").expect("the section");
    let (length, files) = files.split_once('\n').expect("its length");
    let length: usize = length.parse().expect("a number");
    let more = "41c0 ubuntu:staff /var/lib/evenkeel\na1ff root:root /var/lib/evenkeel/sophia -> /data\n\
        stat: cannot statx '/var/lib/evenkeel/sophia/venvs': No such file or directory";
    let observation = seen(&question, &with(BUSINESS_TOOLS, "files", Some(&format!("{}\n{more}", &files[..length]))));
    let closed = LiveFolder { mode: 0o700, owner: "ubuntu:staff".to_owned() };
    assert_eq!(observation.folders[folders[0]], Seen::Known(closed));
    assert!(observation.folders[folders[1]].unknown().is_some());
    assert!(observation.folders[folders[2]].is_absent());
    assert!(folders.iter().all(|folder| !observation.files.contains_key(*folder)));
}
