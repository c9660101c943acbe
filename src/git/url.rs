//! Where a repository lies: the addresses that `git clone` takes.
//!
//! Keeps true: neither `Display` nor `Debug` shows a credential; a local path is absolute, so that two
//! folders called `.` are two addresses; what goes to a remote shell cannot be taken for an option.

use std::{borrow::Cow, fmt, path::PathBuf, str::FromStr};

use percent_encoding::percent_decode_str;

use super::error::GitError;
use crate::model::address::{Address, InvalidAddress};

/// A repository's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoteUrl {
    Http(HttpUrl),
    Ssh(SshUrl),
    /// A repository on this machine, bare or with a work tree.
    Local(PathBuf),
}

#[derive(Clone, PartialEq, Eq)]
pub struct HttpUrl {
    /// Without user and password.
    pub(super) url: reqwest::Url,
    /// User and password that stood in the address. What of [`super::Token`] goes before it is said there.
    pub(super) login: Option<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshUrl {
    pub(super) user: Option<String>,
    pub(super) host: String,
    pub(super) port: u16,
    /// As the remote's shell gets it, unquoted.
    pub(super) path: String,
    /// Written `host:path`.
    short: bool,
}

impl FromStr for RemoteUrl {
    type Err = GitError;

    fn from_str(text: &str) -> Result<Self, GitError> {
        let refuse = |why| GitError::Address { url: without_login(text), why };
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err(refuse("it is empty or holds a control character"));
        }
        match text.split_once("://") {
            Some(("http" | "https", _)) => HttpUrl::parse(text).map(Self::Http).map_err(refuse),
            Some(("ssh" | "git+ssh" | "ssh+git", rest)) => SshUrl::parse(rest).map(Self::Ssh).map_err(refuse),
            Some(("file", rest)) => match reqwest::Url::parse(text).ok().and_then(|url| url.to_file_path().ok()) {
                Some(path) if rest.starts_with('/') => Ok(Self::Local(path)),
                _ => Err(refuse("write file:///absolute/path")),
            },
            Some(_) => Err(refuse("use https://, ssh://, user@host:path, file:// or a path")),
            None => match text.split_once(':') {
                // As git has it: a colon before the first slash makes a host.
                Some((host, path)) if !host.contains('/') => SshUrl::short(host, path).map(Self::Ssh).map_err(refuse),
                _ => std::path::absolute(text).map(Self::Local).map_err(|source| GitError::File {
                    doing: "resolve",
                    path: text.into(),
                    source,
                }),
            },
        }
    }
}

impl HttpUrl {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let mut url = reqwest::Url::parse(text).map_err(|_| "it is malformed")?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err("a query or fragment is not part of a repository's address");
        }
        let decode = |text: &str| percent_decode(text).ok_or("its login is not UTF-8");
        let login = match url.password() {
            Some(password) => Some((decode(url.username())?, decode(password)?)),
            None => None,
        };
        // Neither fails for a URL that has a host, and http always has one.
        url.set_password(None).map_err(|()| "it has no host")?;
        url.set_username("").map_err(|()| "it has no host")?;
        Ok(Self { url, login })
    }
}

impl SshUrl {
    /// `[user@]host[:port]/path`
    fn parse(rest: &str) -> Result<Self, &'static str> {
        let (authority, path) = rest.split_once('/').ok_or("write ssh://user@host/path")?;
        let (user, host_port) = split_user(authority)?;
        let (host, port) = match host_port.strip_prefix('[') {
            Some(bracketed) => {
                let (host, rest) = bracketed.split_once(']').ok_or("a bracket is not closed")?;
                (host, rest.strip_prefix(':'))
            }
            None => match host_port.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (host_port, None),
            },
        };
        let port = match port {
            Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or("its port is not a port")?,
            None => 22,
        };
        let path = percent_decode(path).ok_or("its path is not UTF-8")?;
        // `ssh://host/~user/path` means a home directory, as for git.
        let path = if path.starts_with('~') { path } else { format!("/{path}") };
        Self { user, host: host.to_owned(), port, path, short: false }.checked()
    }

    /// `[user@]host` and `path`
    fn short(authority: &str, path: &str) -> Result<Self, &'static str> {
        let (user, host) = split_user(authority)?;
        Self { user, host: host.to_owned(), port: 22, path: path.to_owned(), short: true }.checked()
    }

    fn checked(self) -> Result<Self, &'static str> {
        let dashed = |text: &str| text.starts_with('-');
        if self.host.is_empty() || self.host.contains(char::is_whitespace) {
            Err("it has no host")
        } else if self.path.trim_matches('/').is_empty() {
            Err("it has no path")
        } else if self.path.chars().any(char::is_control) {
            Err("its path holds a control character")
        } else if dashed(&self.host) || dashed(&self.path) || self.user.as_deref().is_some_and(dashed) {
            Err("no part of it may begin with a hyphen")
        } else {
            Ok(self)
        }
    }
}

fn split_user(authority: &str) -> Result<(Option<String>, &str), &'static str> {
    match authority.rsplit_once('@') {
        Some((user, _)) if user.contains(':') => Err("a password is of no use here: log in with a key"),
        Some(("", _)) => Err("it has no user before the @"),
        Some((user, host)) => Ok((Some(user.to_owned()), host)),
        None => Ok((None, authority)),
    }
}

fn percent_decode(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(Cow::into_owned)
}

/// For messages about an address that could not be parsed: what stands before the last `@` goes.
fn without_login(text: &str) -> String {
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://…@{rest}"),
        _ => text.to_owned(),
    }
}

impl RemoteUrl {
    /// The address without its login, of one that is spoken to over HTTP.
    pub fn http(&self) -> Option<&reqwest::Url> {
        match self {
            RemoteUrl::Http(http) => Some(&http.url),
            RemoteUrl::Ssh(_) | RemoteUrl::Local(_) => None,
        }
    }

    /// As it is compared with what a controller's operator lists.
    pub fn address(&self) -> Result<Address, InvalidAddress> {
        match self {
            RemoteUrl::Http(http) => Address::of_url(&http.url),
            RemoteUrl::Ssh(ssh) => Ok(Address::of_ssh(ssh.user.as_deref(), &ssh.host, ssh.port, &ssh.path)),
            RemoteUrl::Local(path) => Address::of_path(path),
        }
    }
}

impl fmt::Display for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RemoteUrl::Http(http) => write!(f, "{}", http.url),
            RemoteUrl::Ssh(ssh) => write!(f, "{ssh}"),
            RemoteUrl::Local(path) => write!(f, "{}", path.display()),
        }
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpUrl({})", self.url)
    }
}

impl fmt::Display for SshUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.short {
            return write!(f, "{user}{host}:{}", self.path);
        }
        let port = if self.port == 22 { String::new() } else { format!(":{}", self.port) };
        let slash = if self.path.starts_with('/') { "" } else { "/" };
        write!(f, "ssh://{user}{host}{port}{slash}{}", self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match text.parse::<RemoteUrl>() {
            Ok(url) => url.to_string(),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn addresses_are_read_as_git_reads_them() {
        for same in [
            "https://github.com/o/r.git",
            "http://127.0.0.1:8080/r.git",
            "ssh://git@host:2222/srv/r.git",
            "ssh://git@[::1]:2222/srv/r.git",
            "ssh://host/~me/r",
            "git@github.com:o/r.git",
            "host:r",
        ] {
            assert_eq!(shown(same), same);
        }
        assert_eq!(shown("file:///srv/a%20b.git"), "/srv/a b.git");
        assert_eq!(shown("ssh://host/a%20b.git"), "ssh://host/a b.git");
        // Two hexadecimal digits make an escape, and nothing else does.
        assert_eq!(shown("ssh://host/a%+fb%2"), "ssh://host/a%+fb%2");
        assert_eq!(shown("ssh://host:22/r"), "ssh://host/r");
        assert!(shown("./a:b").ends_with("/a:b"));
        assert!(shown(".").starts_with('/'));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in [
            "",
            "a\nb",
            "ftp://x/y",
            "ssh://host",
            "ssh://host:99999/x",
            "ssh://-oProxyCommand=x/y",
            "host:-x",
            "@host:x",
            "host:",
            "https://",
        ] {
            assert!(bad.parse::<RemoteUrl>().is_err(), "{bad}");
        }
    }

    #[test]
    fn credentials_are_never_shown() {
        let url: RemoteUrl = "https://me:s3cr%40t@host/r".parse().expect("it is an address");
        assert!(matches!(&url, RemoteUrl::Http(http) if http.login == Some(("me".into(), "s3cr@t".into()))));
        for text in [format!("{url} {url:?}"), shown("https://me:s3cr@t@host:x/"), shown("ssh://me:s3cr@host/x")] {
            assert!(!text.contains("s3cr"), "{text}");
        }
    }
}
