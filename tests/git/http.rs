//! Repositories over HTTP, against git's own server program.

use std::{fs, net::TcpListener};

use evenkeel::git::{Credentials, GitError, Repository, Token, can_push, can_read};

use crate::{
    every_remote::{reads_and_writes, refusals_are_told, strange_names_are_passed_over},
    helpers::{append, bare, hook, must, open, production, references, temporary, told, url},
    http_server::{HttpServer, TOKEN, token},
};

#[test]
fn a_repository_is_read_and_written_over_http() {
    let folder = temporary();
    let bare = bare(folder.path());
    let server = HttpServer::start(folder.path());
    let credentials = token(folder.path(), &format!("{TOKEN}\n"));
    reads_and_writes(folder.path(), &server.url("/config.git"), &credentials, &bare);

    // A renamed repository sends us on, at the same host.
    let renamed = server.url("/old/config.git");
    let repository = Repository::open(&folder.path().join("renamed"), &renamed, credentials).expect("it opens");
    must(repository.fetch());
    must(append(&repository, 3));

    // One who is faster between our looking and our writing.
    let first = repository.records(&production(), 9).expect("it reads").last().expect("there is one").commit.clone();
    hook(&bare, "update", &format!("git update-ref \"$1\" {first}"));
    let lost = append(&repository, 4);
    assert!(matches!(&lost, Err(GitError::Diverged { found, .. }) if *found == first), "{lost:?}");
    fs::remove_file(bare.join("hooks/update")).expect("it is ours");
    repository.fetch().expect("it fetches");
    append(&repository, 4).expect("it is let in again");
}

#[test]
fn errors_over_http_say_what_to_do_and_no_secret() {
    let folder = temporary();
    bare(folder.path());
    let server = HttpServer::start(folder.path());
    let tell = |path: &str, credentials: Credentials| {
        let error = Repository::open(&folder.path().join("mirror"), &server.url(path), credentials)
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
    assert_eq!(
        tell("/page/config.git", right()),
        "cannot fetch from http://HOST/page/config.git: HOST does not speak git's smart protocol there (it answered \
         with text/html: <p>Log in, …); check the address; a login page or a proxy may stand before the repository"
    );
    let forbidden = tell("/forbidden/config.git", right());
    assert!(forbidden.contains("403: read only; let the token read and write"), "{forbidden}");
    let elsewhere = tell("/elsewhere/config.git", right());
    assert!(elsewhere.contains("to http://192.0.2.1/config.git;"), "{elsewhere}");
    let missing = Credentials { token: Token::File(folder.path().join("missing")), ..Credentials::default() };
    assert!(tell("/config.git", missing).contains("missing"));
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let address = url(format!("http://me:{TOKEN}@{nobody}/config.git"));
    let error = open(folder.path(), "nobody", &address).fetch().expect_err("nobody listens");
    assert!(!told(&error).contains(TOKEN), "{}", told(&error));
}

#[test]
fn whether_one_may_read_and_push_is_told_without_doing_either() {
    let folder = temporary();
    let bare = bare(folder.path());
    let before = references(&bare);
    let server = HttpServer::start(folder.path());
    let (all, readonly) = (server.url("/config.git"), server.url("/readonly/config.git"));
    let right = token(folder.path(), TOKEN);
    must(can_read(&all, &right));
    must(can_push(&all, &right));
    must(can_read(&readonly, &right));
    let refused = told(&can_push(&readonly, &right).expect_err("it may not")).replace(&server.address, "HOST");
    assert_eq!(
        refused,
        "cannot push to http://HOST/readonly/config.git: HOST answered 403: Write access to repository not granted.; \
         let the token read and write the repository's contents"
    );
    let nobody = told(&can_read(&all, &Credentials::default()).expect_err("it asks who it is"));
    assert!(nobody.contains("asks for a token, and there is none"), "{nobody}");
    assert_eq!(references(&bare), before);
}

#[test]
fn a_file_with_authorities_holds_some() {
    let folder = temporary();
    let server = HttpServer::start(folder.path());
    let tell = |ca_file| {
        let credentials = Credentials { ca_file: Some(ca_file), ..Credentials::default() };
        told(&can_read(&server.url("/config.git"), &credentials).expect_err("it cannot be used"))
    };
    fs::write(folder.path().join("empty"), "no certificate").expect("it can be written");
    let said = tell(folder.path().join("empty"));
    assert!(
        said.ends_with(
            "empty holds no certificate in PEM; write the certificate of your own authority into it, in PEM"
        ),
        "{said}"
    );
    assert!(tell(folder.path().join("missing")).contains("missing: No such file"));
}

#[test]
fn a_rule_that_stands_against_a_push_over_http_is_told() {
    let folder = temporary();
    let bare = bare(folder.path());
    let server = HttpServer::start(folder.path());
    refusals_are_told(folder.path(), &server.url("/config.git"), &token(folder.path(), TOKEN), &bare);
}

#[test]
fn a_strange_branch_is_passed_over_over_http() {
    let folder = temporary();
    let bare = bare(folder.path());
    let server = HttpServer::start(folder.path());
    let credentials = token(folder.path(), TOKEN);
    strange_names_are_passed_over(folder.path(), &server.url("/config.git"), &credentials, &bare);
}
