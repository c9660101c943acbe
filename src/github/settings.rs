//! Which repository of which GitHub, and how one signs in there.
//!
//! Keeps true: a repository's name that exists can stand in a path; nothing goes to a GitHub without TLS, but to one
//! on this machine; no text holds a login that stood in an address.

use std::{fmt, path::PathBuf, str::FromStr};

use reqwest::Url;
use thiserror::Error;

#[derive(Debug, Error, PartialEq, Eq)]
pub enum SettingsError {
    #[error("`{text}` is not a repository's name")]
    Name { text: String },
    #[error("`{text}` is not the address of GitHub's API: {why}")]
    Api { text: String, why: &'static str },
    #[error("{url} is not a repository that GitHub could hold")]
    NotThere { url: String },
}

impl SettingsError {
    /// The next move.
    pub fn hint(&self) -> &'static str {
        match self {
            SettingsError::Name { .. } => "write OWNER/NAME, as in the repository's address",
            SettingsError::Api { .. } => {
                "write https://api.github.com, or https://HOST/api/v3 for a GitHub Enterprise Server"
            }
            SettingsError::NotThere { .. } => {
                "name the repository with --github-repository OWNER/NAME, and its GitHub with --github-url URL"
            }
        }
    }
}

/// `owner/name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryName {
    pub owner: String,
    pub name: String,
}

/// Files, not their content: they are read at each use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignIn {
    /// As a GitHub App, with its private key.
    App { id: u64, key_file: PathBuf },
    /// With a fine-grained token.
    Token { file: PathBuf },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub repository: RepositoryName,
    /// The address that every path of the REST API begins with.
    pub api: Url,
    pub sign_in: SignIn,
    /// Certificates that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
}

impl FromStr for RepositoryName {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<Self, SettingsError> {
        let usable = |part: &str| {
            !matches!(part, "" | "." | "..")
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        match text.split_once('/') {
            Some((owner, name)) if usable(owner) && usable(name) => {
                Ok(Self { owner: owner.to_owned(), name: name.to_owned() })
            }
            _ => Err(SettingsError::Name { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

/// The repository and the API that a config repository's address speaks of: one that `git clone` takes.
pub fn at(address: &str) -> Result<(RepositoryName, Url), SettingsError> {
    let not_there = || SettingsError::NotThere { url: without_login(address) };
    let (scheme, authority, path) = match address.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_once('/').ok_or_else(not_there)?;
            (scheme, authority, path)
        }
        None => {
            let (authority, path) = address.split_once(':').ok_or_else(not_there)?;
            ("ssh", authority, path)
        }
    };
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match scheme {
        "https" | "http" => host,
        // The port of SSH is not the one of the API.
        "ssh" | "git+ssh" | "ssh+git" => host.split_once(':').map_or(host, |(host, _)| host),
        _ => return Err(not_there()),
    };
    let path = path.trim_matches('/');
    let repository = path.strip_suffix(".git").unwrap_or(path).parse().map_err(|_| not_there())?;
    let plain = scheme == "http" && is_this_machine(host.rsplit_once(':').map_or(host, |(host, _)| host));
    let api = match host {
        // <https://docs.github.com/en/authentication/troubleshooting-ssh/using-ssh-over-the-https-port>
        "github.com" | "www.github.com" | "ssh.github.com" => "https://api.github.com".to_owned(),
        // <https://docs.github.com/en/enterprise-cloud@latest/admin/data-residency>
        host if host.ends_with(".ghe.com") => format!("https://api.{host}"),
        // <https://docs.github.com/en/enterprise-server@latest/rest/quickstart>
        host if plain => format!("http://{host}/api/v3"),
        host => format!("https://{host}/api/v3"),
    };
    Ok((repository, api_at(&api).map_err(|_| not_there())?))
}

/// An address of the API as people write it.
pub fn api_at(text: &str) -> Result<Url, SettingsError> {
    let refuse = |why| SettingsError::Api { text: without_login(text), why };
    let mut url = Url::parse(text).map_err(|_| refuse("it is malformed"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("a login does not stand in an address but in a file"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("it has a query or a fragment"));
    }
    match (url.scheme(), url.host_str()) {
        ("https", Some(_)) => {}
        ("http", Some(host)) if is_this_machine(host) => {}
        _ => return Err(refuse("it does not begin with https://")),
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

pub(super) fn is_this_machine(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

fn without_login(text: &str) -> String {
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://…@{rest}"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(address: &str) -> String {
        match at(address) {
            Ok((repository, api)) => format!("{repository} at {api}"),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn the_repository_and_its_api_are_told_by_the_address() {
        for address in [
            "https://github.com/o/r",
            "https://github.com/o/r.git",
            "https://x:s3cret@github.com/o/r.git/",
            "git@github.com:o/r.git",
            "ssh://git@github.com/o/r.git",
            "ssh://git@ssh.github.com:443/o/r.git",
        ] {
            assert_eq!(read(address), "o/r at https://api.github.com/", "{address}");
        }
        for (address, expected) in [
            ("git@git.example.org:o/r.git", "o/r at https://git.example.org/api/v3"),
            ("ssh://git@git.example.org:2222/o/r", "o/r at https://git.example.org/api/v3"),
            ("https://git.example.org:8443/o/my.config", "o/my.config at https://git.example.org:8443/api/v3"),
            ("http://git.example.org/o/r", "o/r at https://git.example.org/api/v3"),
            ("http://127.0.0.1:8080/o/r", "o/r at http://127.0.0.1:8080/api/v3"),
            ("git@octocorp.ghe.com:o/r.git", "o/r at https://api.octocorp.ghe.com/"),
        ] {
            assert_eq!(read(address), expected, "{address}");
        }
    }

    #[test]
    fn an_address_that_github_cannot_have_is_refused_without_its_login() {
        for address in ["/srv/config.git", "file:///srv/r", "https://x:s3cret@h/a/b/c", "git@h:../r", "https://h/o"] {
            let said = read(address);
            assert!(said.starts_with("error: ") && !said.contains("s3cret"), "{said}");
        }
    }

    #[test]
    fn the_api_is_asked_over_tls_or_on_this_machine() {
        assert_eq!(api_at("https://h/api/v3/").map(String::from).as_deref(), Ok("https://h/api/v3"));
        assert_eq!(api_at("http://127.0.0.1:80").map(String::from).as_deref(), Ok("http://127.0.0.1/"));
        for bad in ["http://h/api/v3", "https://a:s3cret@h", "https://h/?token=1", "ftp://h", "h"] {
            let error = api_at(bad).expect_err(bad).to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
