//! What a source may reach and by what it is let in: what the controller's operator lists, whatever a service's file
//! names.

use std::{
    fs, io,
    net::TcpListener,
    os::unix::fs::{PermissionsExt as _, symlink},
};

use evenkeel::{
    engine::prepare::access::AccessFile,
    git::{Credentials, Token},
    model::source::{ArchiveSource, GitSource, Revision},
    release::Fetcher,
};

use crate::{
    download::archive,
    repositories::source,
    server::{Answer, Server},
    world::{World, git, gzip, repository, sha256, tarred},
};

fn with(name: &str, url: &str) -> GitSource {
    GitSource { credentials: Some(name.parse().expect("a name")), ..source(url, Revision::Default) }
}

fn archive_with(name: &str, url: String, content: &[u8]) -> ArchiveSource {
    ArchiveSource { credentials: Some(name.parse().expect("a name")), ..archive(url, content) }
}

/// What is said of a git source that must not be had.
fn refused(world: &World, source: &GitSource) -> String {
    let error = world.fetcher().commit(source).expect_err("it must not be had");
    world.without_paths(&error.to_string())
}

fn refused_archive(world: &World, source: &ArchiveSource) -> String {
    let error = world.fetcher().archive(source).expect_err("it must not be had");
    world.without_paths(&error.to_string())
}

#[test]
fn a_file_of_the_controller_is_no_source_and_its_digest_is_not_told() {
    let world = World::without_reach();
    let secret = world.write("secret", b"root:$y$j9T$");
    let told = refused_archive(&world, &archive(format!("file://{secret}"), b"guess"));
    assert!(!told.contains(&sha256(b"root:$y$j9T$")), "{told}");
    insta::assert_snapshot!(told, @r#"the source is out of reach: file://DIR/secret lies on the machine that runs evenkeel; where that is meant, list `reach: ["file://DIR/secret"]` in DIR/controller/credentials.yaml"#);
    let (url, _) = repository(&world);
    insta::assert_snapshot!(refused(&world, &source(&url, Revision::Default)), @r#"the source is out of reach: file://DIR/other.git lies on the machine that runs evenkeel; where that is meant, list `reach: ["file://DIR/other.git"]` in DIR/controller/credentials.yaml"#);
    // As git would take them.
    for path in [&url["file://".len()..], "./other.git", "../other.git"] {
        let said = refused(&world, &source(path, Revision::Default));
        assert!(said.contains("out of reach") || said.contains("cannot be listed"), "{path}: {said}");
    }
    assert!(!world.path("state").exists(), "nothing was fetched");
    world.reach(&url);
    assert!(world.fetcher().commit(&source(&url, Revision::Default)).is_ok(), "it is listed");
}

/// A cloud's metadata service, the controller's own ports, its neighbours.
#[test]
fn what_is_not_public_is_connected_to_only_where_it_is_listed() {
    let world = World::without_reach();
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a port");
    listener.set_nonblocking(true).expect("it can be asked without waiting");
    let port = listener.local_addr().expect("it is bound").port();
    for host in ["127.0.0.1", "localhost", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]"] {
        let https = format!("https://{host}:{port}/a");
        assert!(refused(&world, &source(&https, Revision::Default)).contains("out of reach"), "{https}");
        assert!(refused_archive(&world, &archive(https.clone(), b"x")).contains("out of reach"), "{https}");
        if !host.contains("ffff") {
            let ssh = format!("ssh://git@{host}:{port}/a.git");
            assert!(refused(&world, &source(&ssh, Revision::Default)).contains("out of reach"), "{ssh}");
        }
    }
    for elsewhere in ["https://169.254.169.254/latest", "https://10.0.0.5/a", "https://[fd00:ec2::254]/latest"] {
        assert!(refused_archive(&world, &archive(elsewhere.to_owned(), b"x")).contains("out of reach"), "{elsewhere}");
    }
    let http = format!("http://127.0.0.1:{port}/a");
    insta::assert_snapshot!(refused(&world, &source(&http, Revision::Default)).replace(&port.to_string(), "PORT"), @r#"the source is out of reach: http://127.0.0.1:PORT/a is plain http; where that is meant, list `reach: ["http://127.0.0.1:PORT/a"]` in DIR/controller/credentials.yaml"#);
    let unheard = listener.accept().map(drop).map_err(|error| error.kind());
    assert_eq!(unheard, Err(io::ErrorKind::WouldBlock), "somebody connected");
}

#[test]
fn a_redirect_leads_to_nothing_that_is_not_listed() {
    let world = World::without_reach();
    let content = gzip(&tarred());
    let served = content.clone();
    let inner = Server::start(move |_| Answer::body(&served));
    let to = inner.url("/latest/meta-data");
    let server = Server::start(move |_| Answer::redirect(&to));
    world.reach(&server.url("/*"));
    let said = refused_archive(&world, &archive(server.url("/a"), &content));
    assert!(said.contains("is plain http"), "{said}");
    let said = refused(&world, &source(&server.url("/a.git"), Revision::Default));
    assert!(said.contains("sends us elsewhere"), "{said}");
    assert_eq!(inner.heard().len(), 0);
    world.reach(&inner.url("/latest/*"));
    assert!(world.fetcher().archive(&archive(server.url("/a"), &content)).is_ok(), "it is listed");
}

/// Whoever may write a service's file names the address.
#[test]
fn a_credential_goes_to_addresses_that_it_is_for_and_nothing_else_lets_a_source_in() {
    let world = World::without_reach();
    let (config, other) = (Server::start(|_| Answer::status(401)), Server::start(|_| Answer::status(401)));
    world.write("controller/token", b"0wn\n");
    world.credential("shop", &format!("{{token_file: token, for: [\"{}\"]}}", config.url("/org/*")));
    for server in [&config, &other] {
        world.reach(&server.url("/*"));
    }
    // What is for the config repository goes to no source, not even on its host.
    let token = Token::File(world.write("config-token", b"t0ps3cret\n").into());
    let fetcher = world.fetcher_with(&Credentials { token, ..Credentials::default() });
    let said = fetcher.commit(&source(&config.url("/config.git"), Revision::Default)).expect_err("refused").to_string();
    assert!(said.contains("asks for a token, and there is none"), "{said}");
    assert!(!config.heard()[0].contains("authorization"), "{:?}", config.heard());

    for elsewhere in [other.url("/org/x"), config.url("/other/x"), config.url("/org/../other/x")] {
        let said = refused(&world, &with("shop", &elsewhere));
        assert!(said.contains("the credential `shop` is not for"), "{said}");
        let said = refused_archive(&world, &archive_with("shop", elsewhere, b"x"));
        assert!(said.contains("the credential `shop` is not for"), "{said}");
    }
    assert_eq!((config.heard().len(), other.heard().len()), (1, 0), "somebody was asked");
    let said = refused(&world, &with("shop", &config.url("/org/x.git")));
    assert!(said.contains("refused the token"), "{said}");
    assert!(config.heard()[1].contains("authorization: Basic"), "{:?}", config.heard());
    refused_archive(&world, &archive_with("shop", config.url("/org/a.tar.gz"), b"x"));
    assert!(config.heard()[2].contains("authorization: Bearer 0wn"), "{:?}", config.heard());
}

#[test]
fn a_credential_stays_behind_where_a_redirect_leaves_what_it_is_for() {
    let world = World::without_reach();
    let content = gzip(&tarred());
    let served = content.clone();
    let server = Server::start(move |path| match path.strip_prefix("/org/") {
        Some(rest) => Answer::redirect(&format!("/store/{rest}?service=git-upload-pack")),
        None => Answer::body(&served),
    });
    world.write("controller/token", b"0wn\n");
    world.credential("shop", &format!("{{token_file: token, for: [\"{}\"]}}", server.url("/org/*")));
    world.reach(&server.url("/store/*"));
    assert!(world.fetcher().archive(&archive_with("shop", server.url("/org/a"), &content)).is_ok());
    refused(&world, &with("shop", &server.url("/org/a.git")));
    let heard = server.heard();
    assert_eq!(heard.len(), 4, "{heard:?}");
    for (number, heard) in heard.iter().enumerate() {
        assert_eq!(heard.contains("authorization"), number % 2 == 0, "{heard}");
    }
}

#[test]
fn logins_of_a_netrc_go_to_their_host() {
    let world = World::without_reach();
    let server = Server::start(|_| Answer::status(401));
    world.write("controller/netrc", b"machine 127.0.0.1 login me password s3cret\n");
    world.credential("shop", &format!("{{netrc: netrc, for: [\"{}\"]}}", server.url("/*")));
    assert!(refused(&world, &with("shop", &server.url("/a.git"))).contains("refused the token"));
    refused_archive(&world, &archive_with("shop", server.url("/a"), b"x"));
    for heard in server.heard() {
        assert!(heard.contains("authorization: Basic bWU6czNjcmV0"), "{heard}");
    }
}

/// Many services may name one address; who may read there is told by the credential.
#[test]
fn what_one_credential_fetched_is_not_had_without_it() {
    let world = World::without_reach();
    let content = gzip(&tarred());
    let served = content.clone();
    let server = Server::asking(move |_, login| match login {
        Some("Bearer 0wn") => Answer::body(&served),
        _ => Answer::status(401),
    });
    world.write("controller/token", b"0wn\n");
    world.credential("shop", &format!("{{token_file: token, for: [\"{}\"]}}", server.url("/*")));
    world.reach(&server.url("/*"));
    let url = server.url("/a");
    assert!(world.fetcher().archive(&archive_with("shop", url.clone(), &content)).is_ok());
    assert!(refused_archive(&world, &archive(url, &content)).contains("401"), "the digest is no secret");
    assert!(refused_archive(&world, &archive(server.url("/b"), &content)).contains("401"));

    // A mirror of a commit that was had once needs no network any more: neither may another source's.
    let (url, commit) = repository(&world);
    world.reach(&url);
    let had = GitSource { folder: "app".to_owned(), ..source(&url, Revision::Commit(commit.clone().into())) };
    assert!(world.fetcher().folder(&had, &commit.as_str().into()).is_ok());
    let mirrors = || fs::read_dir(world.path("state/sources/repositories")).expect("it is there").count();
    assert_eq!(mirrors(), 1);
    let other = GitSource { url: format!("{url}/."), ..had };
    let _ = world.fetcher().folder(&other, &commit.as_str().into());
    let keys = [source(&url, Revision::Default).moving(), with("shop", &url).moving()];
    assert_ne!(keys[0], keys[1], "they would be taken for one another");
}

/// What a repository in a listed folder is made of is written by whoever may write there.
#[test]
fn nothing_in_a_listed_folder_leads_out_of_it() {
    let world = World::without_reach();
    let (url, commit) = repository(&world);
    let hidden = world.path("other.git");
    assert!(url.ends_with("/other.git"));
    fs::create_dir_all(world.path("mirrors/app")).expect("it is ours");
    let at = |name: &str| format!("file://{}", world.path(&format!("mirrors/{name}")).display());
    world.reach(&at("*"));
    symlink(&hidden, world.path("mirrors/link.git")).expect("it is ours");
    symlink("/etc/passwd", world.path("mirrors/app/passwd")).expect("it is ours");
    // Objects of another, and a work tree of another.
    for (name, path, text) in [
        ("borrows.git", "objects/info/alternates", format!("{}/objects\n", hidden.display())),
        (
            "borrows-twice.git",
            "objects/info/alternates",
            format!("{}/objects\n", world.path("mirrors/borrows.git").display()),
        ),
        ("tree.git", "commondir", format!("{}\n", hidden.display())),
    ] {
        git(&world.path("mirrors"), &["init", "--quiet", "--bare", name]);
        fs::write(world.path(&format!("mirrors/{name}/{path}")), text).expect("it is ours");
        fs::write(world.path(&format!("mirrors/{name}/refs/heads/main")), format!("{commit}\n")).expect("it is ours");
    }
    for name in ["link.git", "borrows.git", "borrows-twice.git", "tree.git"] {
        let said = refused(&world, &source(&at(name), Revision::Named("main".to_owned())));
        assert!(said.contains("out of reach"), "{name}: {said}");
        assert!(!said.contains(&commit), "{said}");
    }
    assert!(refused_archive(&world, &archive(at("app/passwd"), b"x")).contains("out of reach"));
    world.reach(&url);
    assert_eq!(
        world.fetcher().commit(&source(&at("borrows-twice.git"), Revision::Named("main".to_owned()))).ok(),
        Some(commit.into())
    );
}

#[test]
fn what_is_wrong_with_the_operators_file_is_told_with_the_next_move() {
    let world = World::without_reach();
    let url = "https://git.example.org/org/a.git";
    let with_file = |access: AccessFile| {
        let fetcher = evenkeel::engine::prepare::fetch::NetworkFetcher::new(
            &world.path("state"),
            &Credentials::default(),
            access,
        );
        world.without_paths(&fetcher.commit(&with("shop", url)).expect_err("refused").to_string())
    };
    insta::assert_snapshot!(with_file(AccessFile::default()), @r#"there is no credential `shop`: no file is given with --credentials; on the controller, name a file with `--credentials FILE` that holds `shop: {token_file: …, for: ["https://github.com/org/*"]}`"#);
    insta::assert_snapshot!(with_file(world.access()), @r#"there is no credential `shop`: DIR/controller/credentials.yaml (--credentials) declares none of that name; write `shop: {token_file: …, for: ["https://github.com/org/*"]}` into DIR/controller/credentials.yaml"#);
    let path = world.path("controller/credentials.yaml");
    for mode in [0o640, 0o604, 0o620, 0o602] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("it is ours");
        let said = with_file(AccessFile::new(Some(path.clone()), None));
        assert!(said.contains("is open to others") && said.contains("chmod 600"), "{said}");
    }
    // systemd hands files over so; its folder is closed.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o440)).expect("it is ours");
    assert!(with_file(AccessFile::new(Some(path.clone()), Some(world.path("controller")))).contains("no credential"));
    for (text, finding) in [
        ("shop: {token_file: a, ssh_key: b, for: [\"https://a/*\"]}", "one-of"),
        ("shop: {token_file: a}", "missing-key"),
        ("shop: {token_file: a, for: [\"git@a:*\"]}", "invalid-value"),
        ("shop: {token_file: a, for: [\"https://a*\"]}", "invalid-value"),
        ("shop: {token_file: a, for: [\"file:///srv/*\"]}", "invalid-value"),
        ("reach: [\"https://*/a\"]", "invalid-value"),
        ("reach: \"https://a/*\"", "wrong-type"),
        ("Shop: {token_file: a, for: [\"https://a/*\"]}", "invalid-value"),
        ("shop: {token_file: a, for: [\"https://a/*\"], more: 1}", "unknown-key"),
        ("a: [", "yaml-syntax"),
    ] {
        let findings = evenkeel::declare::read_credentials(text, &path).expect_err(text);
        assert_eq!(findings[0].code.as_str(), finding, "{text}: {findings:?}");
    }
}
