//! Whether a server's key is the one that `known_hosts` has for it. Pure.
//!
//! Keeps true: only a line that names the host and holds this very key makes it trusted; a `@revoked`
//! line goes before every other; a line that is not understood, and `@cert-authority`, trusts nothing.
//!
//! known_hosts are matched by code of our own: russh's ignores `@revoked` and patterns, and calls a known host with
//! another key an unknown one.

use hmac::{Hmac, KeyInit, Mac};
use russh::keys::{Algorithm, PublicKey, ssh_key::known_hosts::HostPatterns};
use sha1::Sha1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Trusted,
    /// Nothing names this host.
    Unknown,
    /// The host is named, with another key, on this line.
    Changed {
        line: usize,
    },
    Revoked {
        line: usize,
    },
}

/// A line that is about the host asked for.
struct KnownHostsLine {
    number: usize,
    revoked: bool,
    key: PublicKey,
}

/// The lines of `text` about `host` and `port`.
pub(super) struct KnownHost(Vec<KnownHostsLine>);

impl KnownHost {
    pub(super) fn find(text: &str, host: &str, port: u16) -> Self {
        let host = host.to_ascii_lowercase();
        let bracketed = format!("[{host}]:{port}");
        let names = if port == 22 { vec![host, bracketed] } else { vec![bracketed] };
        let lines = text.lines().enumerate().filter_map(|(index, line)| read_line(index + 1, line, &names));
        Self(lines.collect())
    }

    pub(super) fn judge(&self, key: &PublicKey) -> Verdict {
        // The comment is no part of a key.
        let same = |line: &&KnownHostsLine| line.key.key_data() == key.key_data();
        let (revoked, pinned): (Vec<_>, Vec<_>) = self.0.iter().partition(|line| line.revoked);
        if let Some(line) = revoked.into_iter().find(same) {
            Verdict::Revoked { line: line.number }
        } else if pinned.iter().any(same) {
            Verdict::Trusted
        } else if let Some(line) = pinned.first() {
            Verdict::Changed { line: line.number }
        } else {
            Verdict::Unknown
        }
    }

    /// Whether a key of this kind is pinned: the server is asked for such a key first, for it may
    /// have several.
    pub(super) fn pins(&self, algorithm: &Algorithm) -> bool {
        self.0.iter().filter(|line| !line.revoked).any(|line| match (line.key.algorithm(), algorithm) {
            (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }) => true,
            (pinned, asked) => pinned == *asked,
        })
    }
}

/// `[marker] hosts algorithm key [comment]`, apart from each other by spaces or tabs.
fn read_line(number: usize, line: &str, names: &[String]) -> Option<KnownHostsLine> {
    let mut words = line.split_ascii_whitespace();
    let first = words.next().filter(|word| !word.starts_with('#'))?;
    let (revoked, hosts) = match first {
        "@revoked" => (true, words.next()?),
        marker if marker.starts_with('@') => return None,
        hosts => (false, hosts),
    };
    if !names_host(hosts, names) {
        return None;
    }
    let key = PublicKey::from_openssh(&format!("{} {}", words.next()?, words.next()?)).ok()?;
    Some(KnownHostsLine { number, revoked, key })
}

fn names_host(hosts: &str, names: &[String]) -> bool {
    match hosts.parse() {
        Ok(HostPatterns::HashedName { salt, hash }) => names.iter().any(|name| {
            Hmac::<Sha1>::new_from_slice(&salt).is_ok_and(|mac| mac.chain_update(name).verify_slice(&hash).is_ok())
        }),
        Ok(HostPatterns::Patterns(patterns)) => {
            let matches = |pattern: &str| names.iter().any(|name| glob(&pattern.to_ascii_lowercase(), name));
            let negated = patterns.iter().filter_map(|pattern| pattern.strip_prefix('!')).any(matches);
            !negated && patterns.iter().filter(|pattern| !pattern.starts_with('!')).any(|pattern| matches(pattern))
        }
        Err(_) => false,
    }
}

/// `*` is any text, `?` any one character.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    // Where to go on from after a mismatch: the last `*`, and how much of the text it has eaten.
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, eaten)) => {
                    star = Some((at, eaten + 1));
                    p = at + 1;
                    t = eaten + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const TWO: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILIG2T/B0l0gaqj3puu510tu9N1OkQ4znY3LYuEm5zCF";

    fn judge(text: &str, host: &str, port: u16) -> Verdict {
        KnownHost::find(text, host, port).judge(&PublicKey::from_openssh(ONE).expect("a key"))
    }

    #[test]
    fn hosts_are_matched_as_openssh_matches_them() {
        for (hosts, host, port, named) in [
            ("host", "host", 22, true),
            ("host", "HOST", 22, true),
            ("host", "host", 2222, false),
            ("[host]:2222", "host", 2222, true),
            ("[host]:22", "host", 22, true),
            ("[host]:2222", "host", 22, false),
            ("other,host", "host", 22, true),
            ("*.example.org", "a.example.org", 22, true),
            ("*.example.org", "example.org", 22, false),
            ("h?st", "host", 22, true),
            ("*,!host", "host", 22, false),
            ("!host", "else", 22, false),
            ("hosts", "host", 22, false),
        ] {
            let expected = if named { Verdict::Trusted } else { Verdict::Unknown };
            assert_eq!(judge(&format!("{hosts} {ONE}\n"), host, port), expected, "{hosts} {host} {port}");
        }
    }

    #[test]
    fn hashed_names_are_matched() {
        // `example.org`, by `ssh-keygen -H`.
        let line = format!("|1|2Tf6ZU2TpG65wmHmDlHDMiuoY7k=|Ep3TTi0zY7rOj8SSwwo6X3el76I= {ONE}\n");
        assert_eq!(judge(&line, "Example.org", 22), Verdict::Trusted);
        assert_eq!(judge(&line, "example.com", 22), Verdict::Unknown);
        assert_eq!(judge("|1|broken|broken ssh-ed25519 AAAA", "host", 22), Verdict::Unknown);
    }

    #[test]
    fn only_the_very_key_is_trusted_and_revoked_goes_first() {
        assert_eq!(judge(&format!("host\t{ONE}\tcomment"), "host", 22), Verdict::Trusted);
        assert_eq!(judge(&format!("# c\n\nhost {TWO}"), "host", 22), Verdict::Changed { line: 3 });
        assert_eq!(judge(&format!("host {TWO}\nhost {ONE}"), "host", 22), Verdict::Trusted);
        assert_eq!(judge(&format!("host {ONE}\n@revoked * {ONE}"), "host", 22), Verdict::Revoked { line: 2 });
        assert_eq!(judge(&format!("host {ONE}\n@revoked * {TWO}"), "host", 22), Verdict::Trusted);
        assert_eq!(judge(&format!("@revoked * {TWO}"), "host", 22), Verdict::Unknown);
        assert_eq!(judge(&format!("@cert-authority * {ONE}"), "host", 22), Verdict::Unknown);
        assert_eq!(judge(&format!("#host {ONE}"), "host", 22), Verdict::Unknown);
        assert_eq!(judge("host ssh-ed25519 AAAA\nhost\n@revoked\n", "host", 22), Verdict::Unknown);
    }
}
