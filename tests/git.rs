//! Reading and writing repositories: on this machine, over HTTP against git's own server program, and
//! over SSH against a real sshd. Needs `git` and `/usr/sbin/sshd`; without them it fails and says so.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderMap, Response, StatusCode, header},
};
use chrono::{DateTime, Utc};
use evenkeel::{
    git::{Credentials, GitError, RemoteUrl, Repository, commit_to_bare, create_bare_from_folder, work_tree},
    model::{
        name::EnvironmentName,
        tree::{Entry, Tree},
    },
};
use tempfile::TempDir;

// ---- helpers ---------------------------------------------------------------------------------------

/// Runs git, untouched by this machine's configuration.
fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "init.defaultBranch=main", "-c", "user.name=t", "-c", "user.email=t@localhost"])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .expect("git is installed");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn write(folder: &Path, path: &str, content: &str) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().expect("it has a folder")).expect("the folder can be made");
    fs::write(path, content).expect("the file can be written");
}

fn temporary() -> TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).expect("it is a time")
}

fn production() -> EnvironmentName {
    "production".parse().expect("it is a name")
}

fn url(text: impl AsRef<str>) -> RemoteUrl {
    text.as_ref().parse().expect("it is an address")
}

fn local(path: &Path) -> RemoteUrl {
    url(path.to_str().expect("it is UTF-8"))
}

fn open(folder: &Path, name: &str, url: &RemoteUrl) -> Repository {
    Repository::open(&folder.join(name), url, Credentials::default()).expect("the mirror opens")
}

fn changes(list: &[(&str, Option<&str>)]) -> BTreeMap<String, Option<Vec<u8>>> {
    list.iter().map(|(path, text)| ((*path).to_owned(), text.map(|text| text.as_bytes().to_vec()))).collect()
}

/// A bare repository with one commit on `main`.
fn bare(folder: &Path) -> PathBuf {
    let source = folder.join("source");
    write(&source, "fleet.yaml", "name: demo\n");
    write(&source, "services/web.yaml", "port: 1\n");
    let bare = folder.join("config.git");
    create_bare_from_folder(&bare, &[(&source, "fleet")], "main", "First", noon()).expect("it is made");
    bare
}

fn record(generation: u64) -> BTreeMap<String, Vec<u8>> {
    let deployment = serde_json::json!({
        "version": 1, "environment": "production", "generation": generation, "kind": "change",
        "commits": {"default": null, "environment": null}, "plan_digest": "0".repeat(64),
        "triggered_by": "test", "controller": "test", "started": "2023-11-14T22:13:20Z", "outcome": null,
        "duration_ms": null, "changes": [], "failure": null, "unreached": {},
        "summary": {"create": 0, "update": 0, "restart": 0, "delete": 0, "changed_instances": 0,
                    "instances": 0, "services": 0, "unknown_instances": 0},
    });
    [
        ("deployment.json".to_owned(), deployment.to_string().into_bytes()),
        ("instances/h1/etc/unit".to_owned(), format!("{generation}\n").into_bytes()),
    ]
    .into()
}

fn text(tree: &Tree, path: &str) -> Option<String> {
    match tree.get(path)? {
        Entry::File { content, .. } => Some(String::from_utf8_lossy(content).into_owned()),
        Entry::Symlink { target } => Some(format!("-> {target}")),
        Entry::Submodule => Some("submodule".to_owned()),
    }
}

/// An error with its causes and its hint.
fn told(error: &GitError) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        text += &format!(": {source}");
        next = source.source();
    }
    text + "; " + &error.hint().unwrap_or_default()
}

/// What every remote must be good for: fetched, appended to, marked, and appended to by one only.
fn reads_and_writes(folder: &Path, url: &RemoteUrl, credentials: &Credentials, bare: &Path) {
    let open = |name: &str| Repository::open(&folder.join(name), url, credentials.clone()).expect("the mirror opens");
    let (one, two) = (open("one"), open("two"));
    for repository in [&one, &two] {
        let fetched = repository.fetch().unwrap_or_else(|error| panic!("{}", told(&error)));
        assert_eq!(fetched.default_branch, "main");
        assert!(fetched.changed);
        let tree = repository.tree(&fetched.branches["main"]).expect("it is there");
        assert_eq!(text(&tree, "fleet/fleet.yaml").as_deref(), Some("name: demo\n"));
        assert!(!repository.fetch().expect("it fetches again").changed);
    }

    let first =
        one.append(&production(), &record(1), "Intent 1", noon()).unwrap_or_else(|error| panic!("{}", told(&error)));
    let lost = two.append(&production(), &record(1), "Intent 1, of another", noon());
    assert!(matches!(&lost, Err(GitError::Diverged { found, .. }) if *found == first), "{lost:?}");
    // The same bytes, written by two: still only one has written them.
    let same = two.append(&production(), &record(1), "Intent 1", noon());
    assert!(matches!(&same, Err(GitError::Diverged { .. })), "{same:?}");
    assert_eq!(two.history(&production(), 9).expect("it reads"), [], "what was lost is not in the history");

    let fetched = two.fetch().expect("it fetches");
    assert!(fetched.changed, "the history moved");
    assert_eq!(fetched.branches.keys().collect::<Vec<_>>(), ["main"]);
    let second = two.append(&production(), &record(2), "Intent 2", noon()).expect("it is up to date now");
    let lost = one.append(&production(), &record(2), "Intent 2", noon());
    assert!(matches!(&lost, Err(GitError::Diverged { seen, .. }) if *seen == first), "{lost:?}");

    one.fetch().expect("it fetches");
    let history = one.history(&production(), 9).expect("it reads");
    let commits: Vec<_> = history.iter().map(|record| (record.commit.clone(), record.deployment.generation)).collect();
    assert_eq!(commits, [(second.clone(), 2), (first.clone(), 1)]);
    assert_eq!(one.history(&production(), 1).expect("it reads").len(), 1);
    assert_eq!(one.history_files(&production(), &first).expect("it reads"), record(1));

    one.mark_good(&production(), &second).expect("it moves forward");
    one.mark_good(&production(), &first).expect("it moves back");
    let at = |reference: &str| git(bare, &["rev-parse", reference]);
    assert_eq!(at("refs/evenkeel/production/good"), first);
    assert_eq!(at("refs/heads/evenkeel/history/production"), second);
    assert_eq!(
        git(bare, &["log", "-1", "--format=%an <%ae> %at %s", &second]),
        "evenkeel <evenkeel@localhost> 1700000000 Intent 2"
    );
    git(bare, &["fsck", "--strict"]);
}

// ---- the work tree ---------------------------------------------------------------------------------

#[test]
fn a_work_tree_is_what_git_would_take() {
    let folder = temporary();
    let root = folder.path();
    git(root, &["init", "-q"]);
    for (path, content) in [
        ("fleet/fleet.yaml", "name: demo\n"),
        ("fleet/.gitignore", "secret\n"),
        ("fleet/secret", "hush"),
        ("fleet/.hidden", "seen"),
        (".gitignore", "target/\n*.log\n"),
        (".ignore", "app/\n"),
        ("target/x", "built"),
        ("app/run.sh", "#!/bin/sh\n"),
        ("app/tracked.log", "kept"),
        ("app/other.log", "gone"),
    ] {
        write(root, path, content);
    }
    fs::set_permissions(root.join("app/run.sh"), fs::Permissions::from_mode(0o755)).expect("it is ours");
    symlink("run.sh", root.join("app/link")).expect("it can be made");
    git(root, &["init", "-q", "sub"]);
    write(root, "sub/file", "foreign");
    git(root, &["add", "-f", "app/tracked.log"]);

    let read = work_tree(&root.join("fleet")).expect("it reads");
    let paths: Vec<_> = read.tree.iter().map(|(path, _)| path).collect();
    assert_eq!(
        paths,
        [
            ".gitignore",
            ".ignore",
            "app/link",
            "app/run.sh",
            "app/tracked.log",
            "fleet/.gitignore",
            "fleet/.hidden",
            "fleet/fleet.yaml",
            "sub"
        ]
    );
    assert!(matches!(read.tree.get("app/run.sh"), Some(Entry::File { executable: true, .. })));
    assert_eq!(text(&read.tree, "app/link").as_deref(), Some("-> run.sh"));
    assert_eq!(text(&read.tree, "sub").as_deref(), Some("submodule"));
    assert_eq!((read.fleet.as_str(), read.commit, read.clean), ("fleet", None, false));
    assert_eq!(read.root, fs::canonicalize(root).expect("it is there"));

    fs::remove_dir_all(root.join("sub")).expect("it is ours");
    git(root, &["add", "."]);
    git(root, &["commit", "-q", "-m", "All"]);
    let read = work_tree(&root.join("fleet")).expect("it reads");
    assert_eq!((read.commit, read.clean), (Some(git(root, &["rev-parse", "HEAD"])), true));
    write(root, "fleet/new.yaml", "");
    assert!(!work_tree(&root.join("fleet")).expect("it reads").clean, "an untracked file is a change");
}

#[test]
fn without_a_repository_only_the_fleet_folder_is_read() {
    let folder = temporary();
    write(folder.path(), "fleet/fleet.yaml", "name: demo\n");
    write(folder.path(), "beside", "anything");
    let read = work_tree(&folder.path().join("fleet")).expect("it reads");
    assert_eq!(read.tree.iter().map(|(path, _)| path).collect::<Vec<_>>(), ["fleet/fleet.yaml"]);
    assert_eq!((read.fleet.as_str(), read.commit, read.clean), ("fleet", None, false));
    assert!(work_tree(&folder.path().join("nowhere")).is_err());
}

// ---- repositories on this machine ------------------------------------------------------------------

#[test]
fn a_bare_repository_is_read_and_written() {
    let folder = temporary();
    let bare = bare(folder.path());
    reads_and_writes(folder.path(), &local(&bare), &Credentials::default(), &bare);
}

/// Callers share one repository between blocking tasks.
const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Repository>();
};

#[test]
fn a_strange_path_is_still_a_path() {
    let folder = temporary();
    let strange = folder.path().join("a:b c%20'd'");
    fs::create_dir(&strange).expect("it can be made");
    let bare = bare(&strange);
    reads_and_writes(&strange, &local(&bare), &Credentials::default(), &bare);
}

#[test]
fn pushing_beside_a_work_tree_leaves_it_alone() {
    let folder = temporary();
    let root = folder.path().join("work");
    write(&root, "fleet/fleet.yaml", "name: demo\n");
    git(&root, &["init", "-q"]);
    git(&root, &["add", "."]);
    git(&root, &["commit", "-q", "-m", "First"]);
    write(&root, "fleet/fleet.yaml", "name: staged\n");
    git(&root, &["add", "."]);
    write(&root, "fleet/fleet.yaml", "name: changed\n");
    let state = || {
        (
            git(&root, &["status", "--porcelain"]),
            git(&root, &["rev-parse", "HEAD"]),
            fs::read(root.join(".git/HEAD")).ok(),
            fs::read(root.join(".git/index")).ok(),
        )
    };
    let before = state();
    reads_and_writes(folder.path(), &local(&root), &Credentials::default(), &root);
    assert_eq!(state(), before);

    git(&root, &["stash", "-q"]);
    git(&root, &["checkout", "-q", "evenkeel/history/production"]);
    let repository = open(folder.path(), "three", &local(&root));
    repository.fetch().expect("it fetches");
    let refused = repository.append(&production(), &record(3), "Intent 3", noon());
    assert!(matches!(&refused, Err(GitError::Refused { .. })), "{refused:?}");
    git(&root, &["checkout", "-q", "main"]);
    git(&root, &["worktree", "add", "-q", "../added", "evenkeel/history/production"]);
    let refused = repository.append(&production(), &record(3), "Intent 3", noon());
    assert!(matches!(&refused, Err(GitError::Refused { .. })), "{refused:?}");
}

#[test]
fn what_is_gone_at_the_remote_is_gone_here() {
    let folder = temporary();
    let bare = bare(folder.path());
    let repository = open(folder.path(), "mirror", &local(&bare));
    assert_eq!(repository.last_fetched().expect("it reads"), None);
    commit_to_bare(&bare, "a", &changes(&[("x", Some("1"))]), "On a", noon()).expect("it commits");
    assert_eq!(repository.fetch().expect("it fetches").branches.keys().collect::<Vec<_>>(), ["a", "main"]);
    git(&bare, &["branch", "-D", "a"]);
    commit_to_bare(&bare, "a/b", &changes(&[("x", Some("1"))]), "On a/b", noon()).expect("it commits");
    git(&bare, &["symbolic-ref", "HEAD", "refs/heads/a/b"]);
    git(&bare, &["branch", "-f", "main", "a/b"]);
    let fetched = repository.fetch().expect("it fetches");
    assert_eq!(fetched.branches.keys().collect::<Vec<_>>(), ["a/b", "main"]);
    assert_eq!(fetched.default_branch, "a/b");
    let last = repository.last_fetched().expect("it reads").expect("there was a fetch");
    assert_eq!((last.branches, last.default_branch), (fetched.branches, fetched.default_branch));
    assert!(repository.watch_paths().contains(&bare.join("refs/heads")));
    fs::remove_dir_all(&bare).expect("it is ours");
    assert!(repository.fetch().is_err());
}

#[test]
fn those_who_share_a_mirror_wait_for_one_another() {
    let folder = temporary();
    let remote = local(&bare(folder.path()));
    // As the reconciler and a `history` beside it: each opens the mirror for itself.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let repository = open(folder.path(), "mirror", &remote);
                for _ in 0..25 {
                    repository.fetch().unwrap_or_else(|error| panic!("{}", told(&error)));
                }
            });
        }
    });
}

#[test]
fn an_empty_remote_says_that_it_has_no_default_branch() {
    let folder = temporary();
    git(folder.path(), &["init", "-q", "--bare", "empty.git"]);
    let error = open(folder.path(), "mirror", &local(&folder.path().join("empty.git"))).fetch();
    assert!(matches!(error, Err(GitError::NoDefaultBranch { .. })), "{error:?}");
}

#[test]
fn a_branch_cannot_move_where_it_is_deployed_to() {
    let folder = temporary();
    let bare = bare(folder.path());
    let default = commit_to_bare(
        &bare,
        "main",
        &changes(&[("fleet/instances/h1.yaml", Some("address: 1\n")), ("fleet/environments/p.yaml", Some("p"))]),
        "Instances",
        noon(),
    )
    .expect("it commits");
    commit_to_bare(
        &bare,
        "production",
        &changes(&[
            ("fleet/fleet.yaml", Some("name: stolen\n")),
            ("fleet/instances/h1.yaml", Some("address: 2\n")),
            ("fleet/instances/h2.yaml", Some("address: 3\n")),
            ("fleet/environments/p.yaml", None),
            ("fleet/services/web.yaml", Some("port: 2\n")),
            ("instances/code", Some("not the fleet's\n")),
        ]),
        "Thefts",
        noon(),
    )
    .expect("it commits");
    let file = changes(&[("fleet/environments", Some("a file of the folder's name"))]);
    let environment = commit_to_bare(&bare, "production", &file, "Theft", noon()).expect("it commits");
    let repository = open(folder.path(), "mirror", &local(&bare));
    repository.fetch().expect("it fetches");
    let tree = repository.composed_tree(&default, &environment, "fleet").expect("it composes");
    let found: Vec<_> = tree.iter().map(|(path, _)| (path, text(&tree, path).unwrap_or_default())).collect();
    let expected = [
        ("fleet/environments/p.yaml", "p"),
        ("fleet/fleet.yaml", "name: demo\n"),
        ("fleet/instances/h1.yaml", "address: 1\n"),
        ("fleet/services/web.yaml", "port: 2\n"),
        ("instances/code", "not the fleet's\n"),
    ];
    assert_eq!(found, expected.map(|(path, text)| (path, text.to_owned())));
    let summary = repository.commit_summary(&environment).expect("it reads");
    assert_eq!((summary.author.as_str(), summary.subject.as_str(), summary.when), ("evenkeel", "Theft", noon()));
    assert!(repository.tree("no commit").is_err());
    assert!(repository.tree(&"0".repeat(40)).is_err());
}

// ---- over HTTP -------------------------------------------------------------------------------------

const TOKEN: &str = "t0ps3cret";

/// git's own server program behind a small HTTP server that asks for a token.
struct HttpServer {
    address: String,
    _runtime: tokio::runtime::Runtime,
}

impl HttpServer {
    fn start(root: &Path) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("it starts");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("loopback has a port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let root = root.to_owned();
        let answer = move |request: Request| {
            let root = root.clone();
            async move { backend(&root, request).await }
        };
        runtime.spawn(async move { axum::serve(listener, axum::Router::new().fallback(answer)).await });
        Self { address, _runtime: runtime }
    }
}

fn plain(status: StatusCode, headers: &[(header::HeaderName, &str)], text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    for (name, value) in headers {
        response.headers_mut().insert(name, value.parse().expect("it is a header"));
    }
    response
}

/// `x-access-token:t0ps3cret`
fn let_in(headers: &HeaderMap) -> bool {
    headers.get(header::AUTHORIZATION).is_some_and(|value| value == "Basic eC1hY2Nlc3MtdG9rZW46dDBwczNjcmV0")
}

async fn backend(root: &Path, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    if path.starts_with("/echo") {
        let repeated =
            format!("you sent {:?} and {TOKEN}\n{}", parts.headers.get(header::AUTHORIZATION), "x".repeat(5000));
        return plain(StatusCode::INTERNAL_SERVER_ERROR, &[], repeated);
    }
    if path.starts_with("/page") {
        return plain(StatusCode::OK, &[(header::CONTENT_TYPE, "text/html")], "<p>Log in".to_owned());
    }
    if let Some(rest) = path.strip_prefix("/old") {
        let to = format!("{rest}?{}", parts.uri.query().unwrap_or_default());
        return plain(StatusCode::MOVED_PERMANENTLY, &[(header::LOCATION, &to)], String::new());
    }
    if path.starts_with("/elsewhere") {
        let to = "http://user:pass@192.0.2.1/config.git/info/refs?key=1";
        return plain(StatusCode::MOVED_PERMANENTLY, &[(header::LOCATION, to)], String::new());
    }
    if !let_in(&parts.headers) {
        return plain(StatusCode::UNAUTHORIZED, &[(header::WWW_AUTHENTICATE, "Basic")], "who are you?".to_owned());
    }
    let body = to_bytes(body, 1 << 24).await.expect("it is small");
    let mut command = tokio::process::Command::new(Path::new(&git(root, &["--exec-path"])).join("git-http-backend"));
    command
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("PATH_INFO", path)
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("REMOTE_USER", "evenkeel")
        .env("CONTENT_LENGTH", body.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if let Some(value) = parts.headers.get(header::CONTENT_TYPE) {
        command.env("CONTENT_TYPE", value.to_str().expect("it is text"));
    }
    let mut child = command.spawn().expect("git-http-backend is installed with git");
    let mut stdin = child.stdin.take().expect("it is piped");
    // Both at once: each pipe is small.
    let (_, output) = tokio::join!(
        async move { tokio::io::AsyncWriteExt::write_all(&mut stdin, &body).await },
        child.wait_with_output()
    );
    let output = output.expect("it ran").stdout;
    let end = output.windows(4).position(|four| four == b"\r\n\r\n").expect("a CGI answer has headers");
    let mut response = Response::new(Body::from(output[end + 4..].to_vec()));
    for line in String::from_utf8_lossy(&output[..end]).lines() {
        match line.split_once(": ") {
            Some(("Status", status)) => *response.status_mut() = status[..3].parse().expect("it is a status"),
            Some((name, value)) => {
                let name: header::HeaderName = name.parse().expect("it is a name");
                response.headers_mut().insert(name, value.parse().expect("it is a header"));
            }
            None => panic!("not a header: {line}"),
        }
    }
    response
}

fn token(folder: &Path, text: &str) -> Credentials {
    let path = folder.join("token");
    fs::write(&path, text).expect("it can be written");
    Credentials { token_file: Some(path), ..Credentials::default() }
}

#[test]
fn a_repository_is_read_and_written_over_http() {
    let folder = temporary();
    let bare = bare(folder.path());
    let server = HttpServer::start(folder.path());
    let credentials = token(folder.path(), &format!("{TOKEN}\n"));
    reads_and_writes(folder.path(), &url(format!("http://{}/config.git", server.address)), &credentials, &bare);

    // A renamed repository sends us on, at the same host.
    let renamed = url(format!("http://{}/old/config.git", server.address));
    let repository = Repository::open(&folder.path().join("renamed"), &renamed, credentials).expect("it opens");
    repository.fetch().unwrap_or_else(|error| panic!("{}", told(&error)));
    repository.append(&production(), &record(3), "Intent 3", noon()).unwrap_or_else(|error| panic!("{}", told(&error)));

    // A hook that says no is not another controller.
    write(&bare, "hooks/pre-receive", "#!/bin/sh\necho not today\nexit 1\n");
    fs::set_permissions(bare.join("hooks/pre-receive"), fs::Permissions::from_mode(0o755)).expect("it is ours");
    let refused = repository.append(&production(), &record(4), "Intent 4", noon());
    assert!(matches!(&refused, Err(GitError::Refused { .. })), "{refused:?}");
    fs::remove_file(bare.join("hooks/pre-receive")).expect("it is ours");

    // One who is faster between our looking and our writing.
    let first = repository.history(&production(), 9).expect("it reads").last().expect("there is one").commit.clone();
    write(&bare, "hooks/update", &format!("#!/bin/sh\ngit update-ref \"$1\" {first}\n"));
    fs::set_permissions(bare.join("hooks/update"), fs::Permissions::from_mode(0o755)).expect("it is ours");
    let lost = repository.append(&production(), &record(4), "Intent 4", noon());
    assert!(matches!(&lost, Err(GitError::Diverged { found, .. }) if *found == first), "{lost:?}");
    fs::remove_file(bare.join("hooks/update")).expect("it is ours");
    repository.fetch().expect("it fetches");
    repository.append(&production(), &record(4), "Intent 4", noon()).expect("it is let in again");
}

#[test]
fn errors_over_http_say_what_to_do_and_no_secret() {
    let folder = temporary();
    bare(folder.path());
    let server = HttpServer::start(folder.path());
    let tell = |path: &str, credentials: Credentials| {
        let address = url(format!("http://{}{path}", server.address));
        let error = Repository::open(&folder.path().join("mirror"), &address, credentials)
            .expect("the mirror opens")
            .fetch()
            .expect_err("it must not fetch");
        let text = told(&error);
        assert!(!text.contains(TOKEN) && !text.contains("eC1hY2"), "{text}");
        text.replace(&server.address, "HOST")
    };
    let right = || token(folder.path(), TOKEN);
    assert_eq!(
        tell("/config.git", Credentials::default()),
        "cannot fetch from http://HOST/config.git: HOST asks for a token, and there is none; name a file that holds a token"
    );
    assert!(tell("/config.git", token(folder.path(), "wrong")).contains("HOST refused the token"));
    assert!(tell("/none.git", right()).contains("404"));
    let echoed = tell("/echo/config.git", right());
    assert!(echoed.contains("you sent") && echoed.len() < 400, "{echoed}");
    assert!(tell("/page/config.git", right()).contains("does not speak git's smart protocol"));
    let elsewhere = tell("/elsewhere/config.git", right());
    assert!(elsewhere.contains("to http://192.0.2.1/config.git;"), "{elsewhere}");
    let missing = Credentials { token_file: Some(folder.path().join("missing")), ..Credentials::default() };
    assert!(tell("/config.git", missing).contains("missing"));
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let address = url(format!("http://me:{TOKEN}@{nobody}/config.git"));
    let error = open(folder.path(), "nobody", &address).fetch().expect_err("nobody listens");
    assert!(!told(&error).contains(TOKEN), "{}", told(&error));
}

// ---- over SSH --------------------------------------------------------------------------------------

/// A real sshd on loopback that lets one key in.
struct Sshd {
    folder: TempDir,
    port: u16,
    process: Child,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn new_key(path: &Path) -> String {
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"]).arg(path).status();
    assert!(made.is_ok_and(|status| status.success()), "ssh-keygen is needed (package openssh-client)");
    fs::read_to_string(path.with_extension("pub")).expect("it was made").trim().to_owned()
}

impl Sshd {
    fn start() -> Self {
        const SSHD: &str = "/usr/sbin/sshd";
        assert!(Path::new(SSHD).exists(), "{SSHD} is needed (package openssh-server)");
        // As root it insists on this folder, which its service would make.
        let _ = fs::create_dir_all("/run/sshd");
        let folder = temporary();
        let at = |name: &str| folder.path().join(name);
        new_key(&at("host"));
        fs::write(at("authorized"), new_key(&at("client"))).expect("it can be written");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("loopback has a port").port();
        let config = format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\n\
             UsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\nSetEnv PATH={}\n",
            at("host").display(),
            at("authorized").display(),
            std::env::var("PATH").expect("there is one"),
        );
        fs::write(at("config"), config).expect("it can be written");
        let mut process = Command::new(SSHD)
            .args(["-D", "-e", "-f"])
            .arg(at("config"))
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(process.stderr.take().expect("it is piped")).lines();
        let mut said = Vec::new();
        while !said.last().is_some_and(|line: &String| line.starts_with("Server listening")) {
            match lines.next() {
                Some(Ok(line)) => said.push(line),
                _ => panic!("sshd did not start: {said:?}"),
            }
        }
        // What it goes on saying must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { folder, port, process }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn url(&self, path: &Path) -> RemoteUrl {
        let user = Command::new("id").arg("-un").output().expect("id is installed").stdout;
        let user = String::from_utf8_lossy(&user).trim().to_owned();
        url(format!("ssh://{user}@127.0.0.1:{}{}", self.port, path.display()))
    }

    fn credentials(&self, known: &str) -> Credentials {
        let path = self.at("known_hosts");
        let mut file = fs::File::create(&path).expect("it can be written");
        writeln!(file, "{known}").expect("it can be written");
        Credentials { ssh_key: Some(self.at("client")), known_hosts: Some(path), ..Credentials::default() }
    }

    fn known(&self) -> String {
        let key = fs::read_to_string(self.at("host.pub")).expect("it was made");
        format!("[127.0.0.1]:{} {key}", self.port)
    }
}

#[test]
fn a_repository_is_read_and_written_over_ssh() {
    let sshd = Sshd::start();
    let folder = sshd.at("it's $HOME");
    fs::create_dir(&folder).expect("it can be made");
    let bare = bare(&folder);
    reads_and_writes(&folder, &sshd.url(&bare), &sshd.credentials(&sshd.known()), &bare);

    let hashed = sshd.credentials(&sshd.known());
    let done = Command::new("ssh-keygen")
        .args(["-q", "-H", "-f"])
        .arg(sshd.at("known_hosts"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(done.is_ok_and(|status| status.success()), "ssh-keygen is needed (package openssh-client)");
    assert!(fs::read_to_string(sshd.at("known_hosts")).expect("it is there").starts_with("|1|"));
    let repository = Repository::open(&folder.join("hashed"), &sshd.url(&bare), hashed).expect("it opens");
    repository.fetch().unwrap_or_else(|error| panic!("{}", told(&error)));
}

#[test]
fn no_server_is_trusted_that_is_not_pinned() {
    let sshd = Sshd::start();
    let bare = bare(sshd.folder.path());
    let other = new_key(&sshd.at("other"));
    let tell = |credentials: Credentials, path: &Path| {
        let repository = Repository::open(&sshd.at("mirror"), &sshd.url(path), credentials).expect("the mirror opens");
        told(&repository.fetch().expect_err("it must not fetch"))
    };
    let pinned = |line: String| sshd.credentials(&line);
    let unknown = tell(pinned(String::new()), &bare);
    assert!(unknown.contains("127.0.0.1 is unknown") && unknown.contains("SHA256:"), "{unknown}");
    assert!(unknown.contains(&format!("ssh-keyscan -p {} 127.0.0.1 >>", sshd.port)), "{unknown}");
    let missing = Credentials { known_hosts: Some(sshd.at("missing")), ..pinned(sshd.known()) };
    assert!(tell(missing, &bare).contains("is unknown"));
    let wrong = tell(pinned(format!("[127.0.0.1]:{} {other}", sshd.port)), &bare);
    assert!(wrong.contains("offers another key than line 1"), "{wrong}");
    let revoked =
        format!("{}\n@revoked * {}", sshd.known().trim(), fs::read_to_string(sshd.at("host.pub")).expect("made"));
    assert!(tell(pinned(revoked), &bare).contains("revokes"));

    let stranger = Credentials { ssh_key: Some(sshd.at("other")), ..pinned(sshd.known()) };
    let refused = tell(stranger, &bare);
    assert!(refused.contains("with none of these") && refused.contains("/other"), "{refused}");
    let absent = tell(pinned(sshd.known()), &sshd.at("absent.git"));
    assert!(absent.contains("git-upload-pack ended with status") && absent.contains("absent.git"), "{absent}");
}
