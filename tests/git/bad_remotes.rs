//! Remotes that are slow, silent or talk nonsense: each ends soon, with an error that says what to do,
//! and leaves the mirror as it was.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use evenkeel::{
    engine::history::store::{GitStore, HistoryStore as _},
    git::{Credentials, GitError, Limits, RemoteUrl, Repository, commit_to_bare},
};

use crate::{
    bad_server::{BadServer, Manner},
    helpers::{append, bare, changes, git, local, must, noon, open, production, references, told, url},
    http_server::{HttpServer, TOKEN, garbage, token},
    sshd::Sshd,
};

const LIMITS: Limits =
    Limits { silence: Duration::from_secs(1), fetch: Duration::from_secs(2), push: Duration::from_secs(2) };

/// A mirror that has been fetched once, and a remote where much has happened since.
struct World<'a> {
    folder: &'a Path,
    remote: PathBuf,
    mirror: PathBuf,
    before: String,
}

impl<'a> World<'a> {
    fn new(folder: &'a Path) -> Self {
        let remote = bare(folder);
        let change = |branch: &str, text: &str| {
            commit_to_bare(&remote, branch, &changes(&[("x", Some(text))]), text, noon()).expect("it commits");
        };
        change("gone", "1");
        let repository = open(folder, "mirror", &local(&remote));
        must(repository.fetch());
        must(append(&repository, 1));
        let other = open(folder, "other", &local(&remote));
        must(other.fetch());
        must(append(&other, 2));
        git(&remote, &["branch", "-D", "gone"]);
        change("main", "2");
        change("new", "3");
        let mirror = folder.join("mirror");
        let before = references(&mirror);
        Self { folder, remote, mirror, before }
    }

    fn open(&self, url: &RemoteUrl, credentials: &Credentials) -> Repository {
        let repository = Repository::open(&self.mirror, url, credentials.clone()).expect("the mirror opens");
        repository.with_limits(LIMITS)
    }

    /// What is said of a fetch that fails, with the address as `URL`.
    fn fails(&self, url: &RemoteUrl, credentials: &Credentials) -> String {
        let begun = Instant::now();
        let error = self.open(url, credentials).fetch().expect_err("it must not fetch");
        // Far more than the limits are, for a machine that has much to do.
        assert!(begun.elapsed() < Duration::from_secs(30), "it took {:?}", begun.elapsed());
        let text = told(&error);
        assert_eq!(references(&self.mirror), self.before, "the mirror is as it was, after: {text}");
        assert!(text.contains(&url.to_string()), "{text}");
        assert!(!text.ends_with("; "), "no next move: {text}");
        assert!(!text.contains(TOKEN), "{text}");
        text.replace(&url.to_string(), "URL")
    }

    /// After all that, the right remote is fetched as if nothing had been.
    fn recovers(&self) {
        git(&self.mirror, &["fsck", "--strict"]);
        let packs = fs::read_dir(self.mirror.join("objects/pack")).expect("it is there");
        let names: Vec<_> = packs.map(|pack| pack.expect("it reads").file_name()).collect();
        let left = names.iter().filter(|name| !name.to_string_lossy().starts_with("pack-")).collect::<Vec<_>>();
        assert!(left.is_empty(), "{left:?}");
        let repository = open(self.folder, "mirror", &local(&self.remote));
        assert!(must(repository.fetch()).changed);
        // What this controller has written itself it remembers beside what the remote has.
        let fetched = references(&self.mirror);
        let fetched: Vec<&str> = fetched.lines().filter(|line| !line.starts_with("refs/evenkeel-")).collect();
        assert_eq!(fetched.join("\n"), references(&self.remote));
    }
}

fn http(port: u16) -> RemoteUrl {
    url(format!("http://127.0.0.1:{port}/config.git"))
}

#[test]
fn a_bad_remote_over_http_is_told_in_time() {
    let folder = crate::helpers::temporary();
    let world = World::new(folder.path());
    let server = HttpServer::start(folder.path());
    let credentials = token(folder.path(), TOKEN);
    let fault = |name: &str| world.fails(&server.url(&format!("/bad-{name}/config.git")), &credentials);
    let says = |text: String, words: &[&str]| {
        assert!(words.iter().all(|word| text.contains(word)), "{text}\n  lacks one of {words:?}");
    };
    says(
        fault("silent"),
        &["nothing was heard from 127.0.0.1:", "for 1 s while waiting for an answer", "; look whether"],
    );
    says(fault("silent-later"), &["nothing was heard", "for 1 s"]);
    for name in ["dribble", "dribble-later"] {
        says(fault(name), &["was not done after 2 s, while reading its answer", "; look whether 127.0.0.1:"]);
    }
    says(fault("empty"), &["(it answered nothing)", "git ls-remote URL"]);
    says(fault("empty-later"), &["(it answered nothing)"]);
    for name in ["garbage", "garbage-later", "endless", "endless-later"] {
        says(fault(name), &["(its answer is not text): ", "; try again"]);
    }
    for name in ["cut", "cut-later"] {
        says(fault(name), &["(its answer begins `00", "; try again"]);
    }
    for name in ["broken", "broken-later"] {
        says(fault(name), &["the HTTP request failed: ", "; check the address"]);
    }
    let lacking = fault("nothing-later");
    assert!(lacking.starts_with("URL did not send the commit that it has refs/heads/"), "{lacking}");
    world.recovers();
}

#[test]
fn reading_does_not_wait_for_a_remote_that_dribbles() {
    let folder = crate::helpers::temporary();
    let world = World::new(folder.path());
    let server = HttpServer::start(folder.path());
    let url = server.url("/bad-dribble/config.git");
    let repository = world.open(&url, &token(folder.path(), TOKEN));
    let long = Duration::from_secs(5);
    let store = GitStore::new(repository.with_limits(Limits { silence: long, fetch: long, push: long }), "fleet");
    let lock = fs::File::open(world.mirror.join("evenkeel.lock")).expect("the mirror has one");
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let fetching = tokio::spawn({
            let store = store.clone();
            async move { store.fetch().await }
        });
        // Until it has its turn: then it asks the remote.
        while lock.try_lock().is_ok() {
            lock.unlock().expect("it is ours");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let tip = store.tip(&production()).await.expect("it reads").expect("there is a history");
        let head = store.head(&production(), &["deployment.json"]).await.expect("it reads").expect("there is one");
        assert_eq!(tip.commit, head.commit);
        assert_eq!(store.histories().await.expect("it reads"), [production()]);
        let fetched = store.last_fetched().await.expect("it reads").expect("there was a fetch");
        let main = &fetched.branches["main"];
        assert!(store.is_ancestor(main, main).await.expect("it reads"));
        assert_eq!(store.subject(main).await.as_deref(), Some("First"));
        let tree = store.tree(main, main, "fleet").await.expect("it reads");
        assert!(tree.get("fleet/fleet.yaml").is_some());
        assert!(!fetching.is_finished(), "it was over before all was read");
        let error = fetching.await.expect("it does not panic").expect_err("it must not fetch");
        assert!(error.to_string().contains("cannot fetch from"), "{error}");
    });
}

#[test]
fn a_server_that_does_not_speak_http_is_told_in_time() {
    let folder = crate::helpers::temporary();
    let world = World::new(folder.path());
    let tell = |manner: Manner| world.fails(&http(BadServer::start(manner).port), &Credentials::default());
    let failed = "cannot fetch from URL: the HTTP request failed: ";
    for manner in [Manner::Hangup, Manner::Says(garbage()), Manner::Says(b"SSH-2.0-OpenSSH\r\n".to_vec())] {
        let text = tell(manner);
        assert!(text.starts_with(failed) && text.contains("; check the address"), "{text}");
    }
    let slow = Manner::Repeats(b"H", Duration::from_millis(100));
    for manner in [Manner::Says(Vec::new()), Manner::Says(b"HTTP/1.1 200 OK\r\n".to_vec()), slow] {
        let server = BadServer::start(manner);
        let text = world.fails(&http(server.port), &Credentials::default());
        assert!(text.contains("nothing was heard") || text.contains(failed), "{text}");
        assert!(server.was_let_go(), "no connection stays open");
    }
    world.recovers();
}

#[test]
fn a_bad_remote_over_ssh_is_told_in_time() {
    let Some(sshd) = Sshd::start() else { return };
    let world = World::new(sshd.folder.path());
    let (url, credentials) = (sshd.url(&world.remote), sshd.credentials(&sshd.known()));
    let fault = |script: &str, words: &[&str]| {
        sshd.instead(script);
        let text = world.fails(&url, &credentials);
        assert!(words.iter().all(|word| text.contains(word)), "{script}: {text}\n  lacks one of {words:?}");
    };
    fault("sleep 20", &["nothing was heard from 127.0.0.1 for 1 s while reading", "; look whether"]);
    fault("while printf 1; do sleep 0.02; done", &["was not done after 2 s, while reading"]);
    fault("while printf 1 >&2; do sleep 0.02; done", &["was not done after 2 s, while reading"]);
    fault("exit 0", &["(it answered nothing)", "git ls-remote URL"]);
    fault("echo no such luck >&2; exit 3", &["git-upload-pack ended with status 3: no such luck", "; check the path"]);
    fault("echo Welcome to the machine", &["(its answer begins `Welcome to the machine`)", "; try again"]);
    fs::write(sshd.at("garbage"), garbage()).expect("it can be written");
    let say = format!("cat '{}'", sshd.at("garbage").display());
    for script in [say.clone(), format!("while {say}; do :; done")] {
        fault(&script, &["(its answer is not text)", "; try again"]);
    }
    fault("eval $SSH_ORIGINAL_COMMAND < /dev/null | head -c 100", &["(its answer begins `01", "; try again"]);
    // In the pack, behind the listing of references. `head` would say nothing before its end.
    let script = format!("eval $SSH_ORIGINAL_COMMAND | dd bs=1 status=none count={}", advertised(&world.remote) + 400);
    fault(&script, &["(its answer begins `00", "; try again"]);
    world.recovers();
}

/// How many bytes the listing of references has.
fn advertised(remote: &Path) -> usize {
    let remote = remote.to_str().expect("it is UTF-8");
    let output = std::process::Command::new("git").args(["upload-pack", "--advertise-refs", remote]).output();
    output.expect("git is installed").stdout.len()
}

#[test]
fn a_server_that_does_not_speak_ssh_is_told_in_time() {
    let Some(sshd) = Sshd::start() else { return };
    let world = World::new(sshd.folder.path());
    let address = |port: u16| url(format!("ssh://git@127.0.0.1:{port}/config.git"));
    let credentials = sshd.credentials(&sshd.known());
    for manner in [Manner::Hangup, Manner::Says(garbage()), Manner::Says(b"HTTP/1.1 400 Bad\r\n\r\n".repeat(20))] {
        let text = world.fails(&address(BadServer::start(manner).port), &credentials);
        assert!(text.contains("the SSH connection failed: ") && text.contains("; check that an SSH server"), "{text}");
    }
    let half = Manner::Says(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec());
    let slow = Manner::Repeats(b"-", Duration::from_millis(100));
    let slower = Manner::Repeats(b"SSH-2.0-x\r\n", Duration::from_millis(400));
    for manner in [Manner::Says(Vec::new()), half, slow, slower] {
        let server = BadServer::start(manner);
        let text = world.fails(&address(server.port), &credentials);
        assert!(text.contains("nothing was heard") || text.contains("the SSH connection failed"), "{text}");
        assert!(server.was_let_go(), "no connection stays open");
    }
    world.recovers();
}

#[test]
fn a_remote_that_nobody_is_at_is_told() {
    let Some(sshd) = Sshd::start() else { return };
    let world = World::new(sshd.folder.path());
    // A listener that is dropped at once leaves a port that nobody is at.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let port = closed.expect("loopback has a port").port();
    let over_http = world.fails(&http(port), &Credentials::default());
    let ssh = url(format!("ssh://git@127.0.0.1:{port}/config.git"));
    let over_ssh = world.fails(&ssh, &sshd.credentials(&sshd.known()));
    for text in [over_http, over_ssh] {
        assert!(text.to_lowercase().contains("connection refused") && text.contains("; check the address"), "{text}");
    }
    world.recovers();
}

#[test]
fn a_push_ends_in_time_too() {
    let folder = crate::helpers::temporary();
    let world = World::new(folder.path());
    let server = HttpServer::start(folder.path());
    let credentials = token(folder.path(), TOKEN);
    must(open(folder.path(), "mirror", &local(&world.remote)).fetch());
    let (here, there) = (references(&world.mirror), references(&world.remote));
    for fault in ["silent", "dribble", "garbage", "cut", "broken"] {
        let repository = world.open(&server.url(&format!("/bad-{fault}/config.git")), &credentials);
        let begun = Instant::now();
        let error = append(&repository, 3).expect_err("it cannot be pushed");
        assert!(begun.elapsed() < Duration::from_secs(30), "{fault} took {:?}", begun.elapsed());
        assert!(matches!(&error, GitError::Remote { .. } | GitError::RemoteGit { .. }), "{error:?}");
        assert!(!told(&error).ends_with("; "), "no next move: {}", told(&error));
        assert_eq!((references(&world.mirror), references(&world.remote)), (here.clone(), there.clone()), "{fault}");
    }
    must(append(&open(folder.path(), "mirror", &local(&world.remote)), 3));
}
