//! Addresses of sources as values, and the patterns that a controller's operator lists them by.
//!
//! Keeps true: an address is compared by its parsed parts (scheme, user, host, port, path segments) and never as text;
//! a pattern covers no address whose path a server could read in another way than we do.

use std::{
    fmt,
    net::IpAddr,
    path::{Component, Path},
};

use thiserror::Error;
use url::Url;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Https,
    Http,
    Ssh,
    /// A path on the machine that runs evenkeel.
    File,
}

/// Where a source lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    scheme: Scheme,
    /// Whom an SSH server is asked as.
    user: Option<String>,
    /// In lower case, an IP address in its shortest form and without brackets; empty for a file.
    host: String,
    port: u16,
    /// Of SSH: whether the path begins at the home directory rather than at the root.
    at_home: bool,
    segments: Vec<String>,
}

/// Why a text is no address, or no pattern of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct InvalidAddress(&'static str);

const FORMS: InvalidAddress =
    InvalidAddress("write https://host/path, ssh://user@host/path, user@host:path or file:///path");

impl Address {
    /// Of http and https. The query is no part of it.
    pub fn of_url(url: &Url) -> Result<Self, InvalidAddress> {
        let scheme = match url.scheme() {
            "https" => Scheme::Https,
            "http" => Scheme::Http,
            _ => return Err(FORMS),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidAddress("an address with a login is nobody's"));
        }
        let host = url.host_str().ok_or(InvalidAddress("it has no host"))?;
        let port = url.port_or_known_default().ok_or(InvalidAddress("it has no port"))?;
        let segments = segments(url.path());
        Ok(Self { scheme, user: None, host: canonical(host), port, at_home: false, segments })
    }

    /// Of a repository behind an SSH server; `path` is what its shell gets.
    pub fn of_ssh(user: Option<&str>, host: &str, port: u16, path: &str) -> Self {
        let (user, host, at_home) = (user.map(str::to_owned), canonical(host), !path.starts_with('/'));
        let path = if at_home { format!("/{path}") } else { path.to_owned() };
        Self { scheme: Scheme::Ssh, user, host, port, at_home, segments: segments(&path) }
    }

    /// Of a file or a repository on this machine: absolute, and without `..`.
    pub fn of_path(path: &Path) -> Result<Self, InvalidAddress> {
        let mut components = path.components();
        if components.next() != Some(Component::RootDir) {
            return Err(InvalidAddress("a path on this machine is absolute"));
        }
        let named = |component| match component {
            Component::Normal(name) => name.to_str().map(str::to_owned),
            _ => None,
        };
        let segments: Option<Vec<String>> = components.map(named).collect();
        let segments = segments.ok_or(InvalidAddress("a path has neither `..` nor what is not UTF-8"))?;
        Ok(Self { scheme: Scheme::File, user: None, host: String::new(), port: 0, at_home: false, segments })
    }

    /// As people write it in the file given with `--credentials`.
    fn parse(text: &str) -> Result<Self, InvalidAddress> {
        if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '*' || c == '\\') {
            return Err(InvalidAddress("`*` stands at the end alone, after a slash; blanks are written %20"));
        }
        match text.split_once("://") {
            Some(("https" | "http", _)) => {
                let url = Url::parse(text).map_err(|_| FORMS)?;
                if url.query().is_some() || url.fragment().is_some() {
                    return Err(InvalidAddress("a query or fragment is no part of it"));
                }
                Self::of_url(&url)
            }
            Some(("ssh", rest)) => {
                let (authority, path) = rest.split_once('/').ok_or(FORMS)?;
                let (user, host) = user_and_host(authority)?;
                let (host, port) = host_and_port(host)?;
                let path = if path.starts_with('~') { path.to_owned() } else { format!("/{path}") };
                Ok(Self::of_ssh(user, host, port, &path))
            }
            Some(("file", rest)) if rest.starts_with('/') => {
                let path = Url::parse(text).ok().and_then(|url| url.to_file_path().ok()).ok_or(FORMS)?;
                Self::of_path(&path)
            }
            Some(_) => Err(FORMS),
            None if text.starts_with('/') => Self::of_path(Path::new(text)),
            None => {
                let (authority, path) = text.split_once(':').ok_or(FORMS)?;
                let (user, host) = user_and_host(authority)?;
                if host.is_empty() || host.contains('/') { Err(FORMS) } else { Ok(Self::of_ssh(user, host, 22, path)) }
            }
        }
    }

    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host where that is an IP address in so many words.
    pub fn literal(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    pub fn host(&self) -> &str {
        &self.host
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.segments.join("/");
        let (scheme, usual) = match self.scheme {
            Scheme::Https => ("https", 443),
            Scheme::Http => ("http", 80),
            Scheme::Ssh => ("ssh", 22),
            Scheme::File => return write!(f, "file:///{path}"),
        };
        let user = self.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.at_home && self.port == usual && !path.starts_with('~') {
            return write!(f, "{user}{host}:{path}");
        }
        let port = if self.port == usual { String::new() } else { format!(":{}", self.port) };
        write!(f, "{scheme}://{user}{host}{port}/{path}")
    }
}

/// One address, or with `/*` at its end everything below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressPattern {
    base: Address,
    below: bool,
}

impl std::str::FromStr for AddressPattern {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let (base, below) = match text.strip_suffix('*') {
            Some(base) if base.ends_with('/') => (base, true),
            Some(_) => return Err(InvalidAddress("`*` stands after a slash")),
            None => (text, false),
        };
        let base = Address::parse(base)?;
        if base.segments.iter().any(|segment| is_ambiguous(segment)) {
            return Err(InvalidAddress("a path has neither `.`, `..` nor two slashes in a row"));
        }
        Ok(Self { base, below })
    }
}

impl AddressPattern {
    pub fn covers(&self, address: &Address) -> bool {
        let (base, count) = (&self.base, self.base.segments.len());
        let same_place = (base.scheme, &base.user, &base.host, base.port, base.at_home)
            == (address.scheme, &address.user, &address.host, address.port, address.at_home);
        if !same_place || address.segments.iter().any(|segment| is_ambiguous(segment)) {
            return false;
        }
        match address.segments.split_at_checked(count) {
            Some((head, [])) => !self.below && head == base.segments,
            // What is encoded there may be a slash or a dot to whoever decodes it.
            Some((head, rest)) => {
                let is_plain = |segment: &String| address.scheme == Scheme::File || !segment.contains('%');
                self.below && head == base.segments && rest.iter().all(is_plain)
            }
            None => false,
        }
    }

    pub fn scheme(&self) -> Scheme {
        self.base.scheme
    }

    /// The folder or file on this machine that it names.
    pub fn path(&self) -> Option<String> {
        (self.base.scheme == Scheme::File).then(|| format!("/{}", self.base.segments.join("/")))
    }
}

/// The path's parts; one slash at its end is none.
fn segments(path: &str) -> Vec<String> {
    let mut parts: Vec<String> = path.strip_prefix('/').unwrap_or(path).split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(String::is_empty) {
        parts.pop();
    }
    parts
}

fn is_ambiguous(segment: &str) -> bool {
    matches!(segment, "" | "." | "..") || segment.contains(['\\', '\0'])
}

fn canonical(host: &str) -> String {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.parse::<IpAddr>().map_or_else(|_| bare.to_ascii_lowercase(), |ip| ip.to_string())
}

fn user_and_host(authority: &str) -> Result<(Option<&str>, &str), InvalidAddress> {
    match authority.rsplit_once('@') {
        Some((user, host)) if !user.is_empty() && !user.contains([':', '@']) => Ok((Some(user), host)),
        Some(_) => Err(InvalidAddress("before the @ stands a user, and no password")),
        None => Ok((None, authority)),
    }
}

fn host_and_port(text: &str) -> Result<(&str, u16), InvalidAddress> {
    let after = text.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match text[after..].split_once(':') {
        Some((_, port)) => (&text[..text.len() - port.len() - 1], port.parse().map_err(|_| FORMS)?),
        None => (text, 22),
    };
    if host.is_empty() || port == 0 { Err(FORMS) } else { Ok((host, port)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An https, http or file address as a source or a redirect has it.
    fn address(text: &str) -> Result<Address, InvalidAddress> {
        let url = Url::parse(text).expect("a URL");
        match url.to_file_path() {
            Ok(path) if url.scheme() == "file" => Address::of_path(&path),
            _ => Address::of_url(&url),
        }
    }

    fn covers(pattern: &str, text: &str) -> bool {
        let pattern: AddressPattern = pattern.parse().expect("a pattern");
        address(text).is_ok_and(|address| pattern.covers(&address))
    }

    #[test]
    fn a_pattern_covers_what_lies_below_it_and_nothing_that_only_looks_like_it() {
        let pattern = "https://github.com/org/*";
        for covered in [
            "https://github.com/org/x",
            "https://github.com/org/x.git/",
            "https://GitHub.com:443/org/x/archive/v1.tar.gz?token=1",
            "https://github.com/other/../org/x",
            "HTTPS://github.com/org/x",
        ] {
            assert!(covers(pattern, covered), "{covered}");
        }
        for other in [
            "https://github.com.evil/org/x",
            "https://github.com@evil/org/x",
            "https://github.com:x@evil/org/x",
            "https://me@github.com/org/x",
            "https://github.com./org/x",
            "https://github.com:8443/org/x",
            "http://github.com/org/x",
            "https://github.com/org",
            "https://github.com/org/",
            "https://github.com/org/../x",
            "https://github.com/org/%2e%2e/x",
            "https://github.com/org/..%2fx",
            "https://github.com/org/%252e%252e/x",
            "https://github.com/org\\..\\x",
            "https://github.com/organisation/x",
            "https://github.com/ORG/x",
            "https://github.com/%6frg/x",
            "https://github.com//org/x",
            "https://github.com/org//x",
            "https://evil/https://github.com/org/x",
        ] {
            assert!(!covers(pattern, other), "{other}");
        }
        assert!(covers("https://github.com/org/x.git", "https://github.com/org/x.git"));
        assert!(!covers("https://github.com/org/x.git", "https://github.com/org/x.git/info"));
        assert!(covers("http://[::1]:80/*", "http://[0:0::1]/a"));
        assert!(covers("http://127.0.0.1/*", "http://0x7f.1/a"));
    }

    #[test]
    fn a_path_of_this_machine_is_covered_by_its_folders() {
        assert!(covers("file:///srv/mirrors/*", "file:///srv/mirrors/a/b.git"));
        assert!(covers("/srv/mirrors/a%20b.git", "file:///srv/mirrors/a%2520b.git"));
        assert!(covers("file:///srv/my%20mirrors/*", "file:///srv/my%20mirrors/a%20b.git"));
        for other in [
            "file:///srv/mirrors",
            "file:///srv/mirrors2/a",
            "file:///srv/mirrors/../a",
            "file:///srv/mirrors/..%2fa",
            "file:///etc/shadow",
            "https://srv/mirrors/a",
        ] {
            assert!(!covers("file:///srv/mirrors/*", other), "{other}");
        }
    }

    #[test]
    fn an_ssh_address_is_covered_for_the_user_it_names() {
        let covers = |pattern: &str, address: &Address| pattern.parse::<AddressPattern>().expect("one").covers(address);
        let home = Address::of_ssh(Some("git"), "GitHub.com", 22, "org/x.git");
        let root = Address::of_ssh(Some("git"), "github.com", 22, "/org/x.git");
        let port = Address::of_ssh(Some("git"), "github.com", 2222, "/org/x.git");
        assert!(covers("git@github.com:org/*", &home) && !covers("git@github.com:org/*", &root));
        assert!(covers("ssh://git@github.com/org/*", &root) && !covers("ssh://git@github.com/org/*", &home));
        assert!(covers("ssh://git@github.com:2222/*", &port) && !covers("ssh://git@github.com/*", &port));
        assert!(!covers("ssh://github.com/org/*", &root), "another user");
        for path in ["/org/../x", "/org//x", "/org/./x"] {
            let address = Address::of_ssh(Some("git"), "github.com", 22, path);
            assert!(!covers("ssh://git@github.com/org/*", &address), "{path}");
        }
        for address in [home, root, port] {
            let pattern: AddressPattern = address.to_string().parse().expect("an address is a pattern of itself");
            assert!(pattern.covers(&address), "{address}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for bad in [
            "",
            "*",
            "https://*",
            "https://*.example.org/x",
            "https://example.org/a*",
            "https://example.org/*/b",
            "https://me:secret@example.org/*",
            "https://me@example.org/*",
            "https://example.org/a?b=*",
            "https://example.org//*",
            "ftp://example.org/*",
            "file://host/a",
            "../a",
            "file:///a/..%2f..%2fb",
            "ssh://git@host",
            "git@host",
            "a b",
        ] {
            assert!(bad.parse::<AddressPattern>().is_err(), "{bad}");
        }
    }
}
