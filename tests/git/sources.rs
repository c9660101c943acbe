//! Which keys a source over SSH is let in by, and which keys are used at all.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use evenkeel::git::{Credentials, Repository};

use crate::{
    helpers::{bare, told},
    sshd::{Sshd, new_key},
};

const EVENKEEL: &str = env!("CARGO_BIN_EXE_evenkeel");

/// An ssh-agent that holds the key which the server lets in. Dropping it ends it.
struct Agent(Child);

impl Agent {
    fn start(sshd: &Sshd) -> Self {
        let mut agent = Command::new("ssh-agent");
        agent.arg("-D").arg("-a").arg(sshd.at("agent")).stdout(Stdio::null());
        let agent = Self(agent.spawn().expect("ssh-agent is needed (package openssh-client)"));
        let until = Instant::now() + Duration::from_secs(20);
        let add = || {
            let mut add = Command::new("ssh-add");
            add.arg("-q").arg(sshd.at("client")).env("SSH_AUTH_SOCK", sshd.at("agent")).output()
        };
        while !add().is_ok_and(|added| added.status.success()) {
            assert!(Instant::now() < until, "the agent takes no key");
            std::thread::sleep(Duration::from_millis(20));
        }
        agent
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The program, by somebody whose every key is the one of hosts.
fn evenkeel(sshd: &Sshd, arguments: &[&str]) -> Output {
    let home = sshd.folder.path();
    let mut command = Command::new(EVENKEEL);
    command.args(arguments).arg("--ssh-key").arg(sshd.at("client")).current_dir(home).env("HOME", home);
    command.env("SSH_AUTH_SOCK", sshd.at("agent")).env_remove("STATE_DIRECTORY");
    command.output().expect("evenkeel runs")
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned()).concat()
}

/// A fleet with one service, whose source is written so.
fn fleet(sshd: &Sshd, source: &str) {
    let _ = fs::remove_dir_all(sshd.at("fleet"));
    let made = evenkeel_init(sshd);
    assert!(made.status.success(), "{}", said(&made));
    let service = sshd.at("fleet/services/hello.yaml");
    let text = fs::read_to_string(&service).expect("it was made");
    fs::write(&service, text.replace("source: {path: hello}", &format!("source: {source}"))).expect("it is ours");
    for arguments in [&["init", "--quiet"][..], &["add", "--all", "fleet"]] {
        let done = Command::new("git").args(arguments).current_dir(sshd.folder.path()).status();
        assert!(done.is_ok_and(|status| status.success()), "git {arguments:?}");
    }
}

fn evenkeel_init(sshd: &Sshd) -> Output {
    Command::new(EVENKEEL).args(["init", "--name", "web"]).current_dir(sshd.folder.path()).output().expect("it runs")
}

/// `--ssh-key` is root on every host, and who reads such a login at a server of theirs can go on from there.
#[test]
fn the_key_of_hosts_is_offered_to_no_source() {
    let Some(sshd) = Sshd::start() else { return };
    let other = bare(sshd.folder.path());
    let url = sshd.url(&other).to_string();
    sshd.credentials(&sshd.known());
    fs::create_dir(sshd.at(".ssh")).expect("it can be made");
    fs::copy(sshd.at("client"), sshd.at(".ssh/id_ed25519")).expect("it can be copied");
    let _agent = Agent::start(&sshd);
    let listed = sshd.at("credentials.yaml");
    let write = |text: String| {
        fs::write(&listed, text).expect("it can be written");
        fs::set_permissions(&listed, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("it is ours");
    };
    let render = |source: &str| {
        fleet(&sshd, source);
        let rendered = ["render", "--repo", "config.git", "--state", "state", "--known-hosts", "known_hosts"];
        evenkeel(&sshd, &[&rendered[..], &["--credentials", "credentials.yaml"]].concat())
    };
    write(format!("reach: [\"{url}\"]\n"));
    let refused = render(&format!("{{git: \"{url}\"}}"));
    assert!(!refused.status.success() && said(&refused).contains("no key was found"), "{}", said(&refused));
    assert!(!said(&refused).contains("SHA256:"), "{}", said(&refused));
    // One of its own, that the server knows.
    write(format!("tools: {{ssh_key: client, for: [\"{url}\"]}}\n"));
    let had = render(&format!("{{git: \"{url}\", credentials: tools}}"));
    assert!(had.status.success(), "{}", said(&had));
    let without = render(&format!("{{git: \"{url}\"}}"));
    assert!(!without.status.success() && said(&without).contains("out of reach"), "{}", said(&without));
}

#[test]
fn an_rsa_key_in_a_file_is_refused_in_favour_of_an_agent() {
    let Some(sshd) = Sshd::start() else { return };
    let bare = bare(sshd.folder.path());
    let pinned = sshd.credentials(&sshd.known());
    let mut authorized = fs::read_to_string(sshd.at("authorized")).expect("it was made");
    for (name, format) in [("rsa", "RFC4716"), ("rsa-pem", "PEM"), ("rsa-pkcs8", "PKCS8")] {
        let mut made = Command::new("ssh-keygen");
        made.args(["-q", "-t", "rsa", "-b", "2048", "-N", "", "-m", format, "-f"]).arg(sshd.at(name));
        assert!(made.status().is_ok_and(|status| status.success()), "ssh-keygen makes a key");
        authorized += &fs::read_to_string(sshd.at(name).with_extension("pub")).expect("it was made");
        fs::write(sshd.at("authorized"), &authorized).expect("it can be written");
        let with = Credentials { ssh_key: Some(sshd.at(name)), ..pinned.clone() };
        let repository = Repository::open(&sshd.at("mirror"), &sshd.url(&bare), with).expect("the mirror opens");
        let error = told(&repository.fetch().expect_err("the key is not used"));
        assert!(error.contains("an RSA key: load it into ssh-agent"), "{name}: {error}");
    }
    // Hosts too.
    fleet(&sshd, "{path: hello}");
    let user = sshd.url(&bare).to_string();
    let user = user["ssh://".len()..].split('@').next().expect("there is one").to_owned();
    let key = fs::read_to_string(sshd.at("host.pub")).expect("it was made");
    let host = format!(
        "instances: {{web-1: {{address: 127.0.0.1, host_key: {:?}, ssh: {{user: {user:?}, port: {}}}}}}}\n",
        key.trim(),
        sshd.port
    );
    fs::write(sshd.at("override.yaml"), host).expect("it can be written");
    let plan = |key: &str| {
        let mut plan = Command::new(EVENKEEL);
        plan.args(["plan", "--override", "override.yaml", "--ssh-key", key]).current_dir(sshd.folder.path());
        said(&plan.output().expect("evenkeel runs"))
    };
    let planned = plan("rsa");
    assert!(planned.contains("an RSA key: load it into ssh-agent"), "{planned}");
    // A key of another kind is used, so this is what stood against it.
    new_key(&sshd.at("second"));
    assert!(!plan("second").contains("an RSA key"));
}

/// There the proxy resolves names, so what they say is all that can be judged.
#[test]
fn behind_a_proxy_names_and_addresses_of_private_networks_are_refused() {
    let Some(sshd) = Sshd::start() else { return };
    let proxy = TcpListener::bind("127.0.0.1:0").expect("loopback has a port");
    let address = proxy.local_addr().expect("it is bound");
    let (tell, heard) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in proxy.incoming().flatten() {
            let mut line = String::new();
            let _ = BufReader::new(&stream).read_line(&mut line);
            let _ = (&stream).write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n");
            if tell.send(line).is_err() {
                return;
            }
        }
    });
    let render = |source: &str| {
        fleet(&sshd, source);
        let mut command = Command::new(EVENKEEL);
        command.args(["render", "--repo", ".", "--state", "state"]).current_dir(sshd.folder.path());
        command.env("https_proxy", format!("http://{address}")).env_remove("no_proxy").env_remove("NO_PROXY");
        said(&command.output().expect("evenkeel runs"))
    };
    let sha256 = "0".repeat(64);
    for host in ["10.0.0.5", "vault", "vault.internal", "metadata.google.internal", "printer.local"] {
        for source in [
            format!("{{archive: \"https://{host}/a.tar.gz\", sha256: \"{sha256}\"}}"),
            format!("{{git: \"https://{host}/a.git\"}}"),
        ] {
            let said = render(&source);
            assert!(said.contains("out of reach"), "{source}: {said}");
        }
    }
    assert!(heard.try_recv().is_err(), "the proxy was asked");
    render("{git: \"https://git.example.org/a.git\"}");
    let asked = heard.recv_timeout(Duration::from_secs(20)).expect("the proxy is asked");
    assert!(asked.starts_with("CONNECT git.example.org:443"), "{asked}");
}
