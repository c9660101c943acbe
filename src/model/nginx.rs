//! What nginx is asked in the name of each site, and what it answered.
//!
//! Keeps true: only a site's own server gives the answer that is asked for, and only while it has the content that is
//! declared.
//!
//! nginx can answer success to `-t` and to a reload and go on serving the old configuration. So a loopback server
//! answers the digest of the fleet's nginx files, and a reload counts only when it answers the new one, no old worker
//! takes connections any more, and each site's own server answers in its name: a digest over what its file says
//! besides, so that a copy of the file answers another one. A site is asked at the instance's address where an
//! interface has it, for a server that listens on one address hides all that listen on every address; else at
//! 127.0.0.2, for what others have on 127.0.0.1 alone hides nothing. Of `nginx -T` only names of files, `listen`,
//! `server_name` and `include` leave a host: the rest may be secret. By its `server_name` the loopback server is told
//! from another fleet's on the same port. A site of any name has a pattern for a name, for nginx has one default
//! server and a distribution's own site is that. The `00` in its file name keeps it from being taken for a site: no
//! name begins with a digit.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};

use super::{
    digest::Digest,
    fleet::Instance,
    name::{InstanceName, SiteName},
    seen::Seen,
};

/// Of an upstream, the line for one replica, as a site's file has it. `max_fails=0`: by default nginx leaves a server out
/// for ten seconds after one failed try, so that a restart of all replicas answers 502 long after they are back.
pub fn upstream_server(front: &InstanceName, replica: &Instance, port: u16) -> String {
    // On the same instance the loopback address works whatever the firewall says.
    let address = match replica.address {
        _ if replica.name == *front => "127.0.0.1".to_owned(),
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    };
    format!("server {address}:{port}{UPSTREAM_END}")
}

/// The line for what listens on the same host.
pub fn loopback_server(port: u16) -> String {
    format!("server 127.0.0.1:{port}{UPSTREAM_END}")
}

/// How each such line ends.
pub const UPSTREAM_END: &str = " max_fails=0;";

/// The same line while the replica gets no requests. Source: nginx's ngx_http_upstream_module, `down`.
pub fn without_requests(line: &str) -> String {
    format!("{} down;", line.trim_end_matches(';'))
}

/// A question that only a site's own server answers as it should.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The name that is asked for.
    pub host: String,
    pub ports: Vec<u16>,
    pub answer: Digest,
}

/// What was answered to a [`Proof`] on one port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    Own,
    Other,
    /// Somebody listens and says nothing in time.
    Silent,
    /// Nobody listens.
    Refused,
    /// The instance has no program to ask with.
    Unasked,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveNginx {
    pub running: bool,
    /// What the loopback server answers.
    pub digest: Seen<Digest>,
    /// What is answered in each site's name, by port.
    pub answers: BTreeMap<SiteName, BTreeMap<u16, Answer>>,
    /// What is answered at the ports of services by their own names, by port; absent: something that is no digest, or
    /// nobody listens there.
    #[serde(default)]
    pub fronts: BTreeMap<u16, Seen<Digest>>,
    /// Whether the folder is there in which sites have their logs.
    pub has_log_folder: bool,
    /// What nginx would read now; None where nothing made it worth asking.
    pub files: Option<NginxFiles>,
}

/// What `nginx -T` says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NginxFiles {
    /// Why nginx would not start with its files.
    pub broken: Option<String>,
    /// Names that it ignores, each with the address, because another server has them too.
    pub conflicts: Vec<(String, String)>,
    /// Patterns of the files that are included.
    pub includes: Vec<String>,
    /// Servers in the order in which nginx reads them.
    pub servers: Vec<Server>,
}

/// A `server` block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    pub file: String,
    pub line: u32,
    /// The arguments of each `listen`.
    pub listens: Vec<String>,
    pub names: Vec<String>,
}

impl NginxFiles {
    /// Whether a file at this path is read: nginx looks for relative patterns beside its main file.
    pub fn reads(&self, path: &str) -> bool {
        self.includes.iter().any(|pattern| {
            let whole = if pattern.starts_with('/') { pattern.clone() } else { format!("/etc/nginx/{pattern}") };
            matches(&whole, path)
        })
    }

    fn on(&self, address: &str, port: u16) -> Vec<&Server> {
        self.servers.iter().filter(|server| server.listens_on(address, port)).collect()
    }

    /// The server that answers for a name, as nginx chooses it: among those that listen on the very address, else on
    /// every address, the first with the name, else the default one. Of patterns it is not known what they match: the
    /// first is taken for a name that is nobody's.
    pub fn answering(&self, host: &str, address: &str, port: u16) -> Option<&Server> {
        let specific = self.on(address, port);
        let candidates = if specific.is_empty() { self.on("*", port) } else { specific };
        let named = |is: &dyn Fn(&str) -> bool| {
            candidates.iter().copied().find(|server| server.names.iter().any(|name| is(name)))
        };
        named(&|name| name == host)
            .or_else(|| named(&|name| name.starts_with('~')).filter(|_| host == UNNAMED))
            .or_else(|| candidates.iter().copied().find(|server| server.is_default(port)))
            .or_else(|| candidates.first().copied())
    }
}

/// What is asked for to reach the site of any name: nobody has this one (RFC 6761, 6.4).
pub const UNNAMED: &str = "evenkeel.invalid";

impl Server {
    /// `*` stands for every address.
    pub fn listens_on(&self, address: &str, port: u16) -> bool {
        // Without `listen` it is port 80 of every address.
        let everywhere = self.listens.is_empty() && (address, port) == ("*", 80);
        everywhere || self.listens.iter().any(|listen| self::listen(listen) == Some((address, port)))
    }

    fn is_default(&self, port: u16) -> bool {
        let is = |listen: &String| {
            self::listen(listen).is_some_and(|(_, of)| of == port)
                && listen.split(' ').any(|word| matches!(word, "default_server" | "default"))
        };
        self.listens.iter().any(is)
    }
}

/// Address and port of a `listen`; None for sockets that are files.
fn listen(arguments: &str) -> Option<(&str, u16)> {
    let first = arguments.split(' ').next()?;
    if first.starts_with("unix:") {
        return None;
    }
    if let Ok(port) = first.parse() {
        return Some(("*", port));
    }
    let (address, port) = match first.rsplit_once(':') {
        Some((address, port)) if port.parse::<u16>().is_ok() => (address, port.parse().ok()?),
        _ => (first, 80),
    };
    Some((if matches!(address, "*" | "0.0.0.0") { "*" } else { address }, port))
}

/// A glob whose `*` and `?` stand for what is within a name.
fn matches(pattern: &str, path: &str) -> bool {
    let (pattern, path) = (pattern.as_bytes(), path.as_bytes());
    let (mut at, mut of) = (0, 0);
    // Where the newest `*` stands, and how much of the path it has taken.
    let mut star = None;
    while of < path.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, of));
                at += 1;
            }
            Some(b'?') if path[of] != b'/' => (at, of) = (at + 1, of + 1),
            Some(byte) if *byte == path[of] => (at, of) = (at + 1, of + 1),
            _ => match star {
                Some((begins, taken)) if path[taken] != b'/' => {
                    star = Some((begins, taken + 1));
                    (at, of) = (begins + 1, taken + 1);
                }
                _ => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(line: u32, listens: &[&str], names: &[&str]) -> Server {
        let owned = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect();
        Server { file: "/etc/nginx/x".to_owned(), line, listens: owned(listens), names: owned(names) }
    }

    #[test]
    fn the_server_that_answers_is_the_one_that_nginx_chooses() {
        let files = NginxFiles {
            servers: vec![
                server(1, &["80"], &["first.test"]),
                server(2, &["80", "[::]:80"], &["app.test", "www.app.test"]),
                server(3, &["*:80 default_server"], &["_"]),
                server(4, &["80"], &["app.test"]),
                server(5, &["10.0.0.12:8080"], &["app.test"]),
                server(6, &["10.0.0.13:80"], &["other.test"]),
                server(7, &["unix:/run/x"], &["app.test"]),
                server(8, &["443 ssl"], &["first.test"]),
                server(9, &[], &["bare.test"]),
            ],
            ..NginxFiles::default()
        };
        let line = |host, address, port| files.answering(host, address, port).map(|server| server.line);
        assert_eq!(line("app.test", "10.0.0.12", 80), Some(2), "the first with the name");
        assert_eq!(line("nobody.test", "10.0.0.12", 80), Some(3), "the default one");
        assert_eq!(line("app.test", "10.0.0.13", 80), Some(6), "who listens on the very address hides all others");
        assert_eq!(line("app.test", "10.0.0.12", 443), Some(8), "the first, where none is the default");
        assert_eq!(line("bare.test", "10.0.0.12", 80), Some(9), "without `listen` it is port 80");
        assert_eq!(line("app.test", "10.0.0.12", 81), None);
    }

    #[test]
    fn a_file_is_read_where_a_pattern_matches_it() {
        let path = "/etc/nginx/conf.d/evenkeel-a-00.conf";
        for (pattern, is) in [
            ("/etc/nginx/conf.d/*.conf", true),
            ("conf.d/*.conf", true),
            ("conf.d/*", true),
            ("/etc/nginx/conf.d/evenkeel-?-00.conf", true),
            ("/etc/nginx/*/*.conf", true),
            ("/etc/nginx/*.conf", false),
            ("conf.d/*.inc", false),
            ("/etc/nginx/sites-enabled/*", false),
            ("mime.types", false),
        ] {
            let files = NginxFiles { includes: vec![pattern.to_owned()], ..NginxFiles::default() };
            assert_eq!(files.reads(path), is, "{pattern}");
        }
    }
}
