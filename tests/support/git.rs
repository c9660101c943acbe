//! git beside the code that is tested: its command, and its own server program behind HTTP.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use axum::{
    body::{Body, to_bytes},
    http::{Response, StatusCode, header, request::Parts},
};

/// What a push may bring.
const LARGEST: usize = 64 << 20;

/// Runs git, untouched by this machine's configuration.
pub fn git(folder: &Path, arguments: &[&str]) -> String {
    try_git(folder, arguments).unwrap_or_else(|why| panic!("git {arguments:?}: {why}"))
}

/// What git says, or why it does not.
pub fn try_git(folder: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("git")
        .args(["-c", "init.defaultBranch=main", "-c", "user.name=t", "-c", "user.email=t@localhost"])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env_remove("GIT_SSL_CAINFO")
        .output()
        .expect("git is installed");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// Answers one request with `git http-backend`. `path` is the one of a repository below `root`, and what follows.
pub async fn http_backend(root: &Path, path: &str, parts: &Parts, body: Body) -> Response<Body> {
    let body = to_bytes(body, LARGEST).await.expect("it is small");
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
    answer(&output.expect("it ran").stdout)
}

/// What a CGI program printed, as an answer.
fn answer(printed: &[u8]) -> Response<Body> {
    let end = printed.windows(4).position(|four| four == b"\r\n\r\n").expect("a CGI answer has headers");
    let mut response = Response::new(Body::from(printed[end + 4..].to_vec()));
    for line in String::from_utf8_lossy(&printed[..end]).lines() {
        match line.split_once(": ") {
            Some(("Status", status)) => {
                *response.status_mut() = StatusCode::from_bytes(&status.as_bytes()[..3]).expect("it is a status");
            }
            Some((name, value)) => {
                let name: header::HeaderName = name.parse().expect("it is a name");
                response.headers_mut().insert(name, value.parse().expect("it is a header"));
            }
            None => panic!("not a header: {line}"),
        }
    }
    response
}
