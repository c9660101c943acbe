//! What a source may reach, and where what lets it in may go. An address of a source is named by whoever may write a
//! service's file; what is reached beyond the public network is the operator's choice, in the file given with
//! `--credentials`.
//!
//! Keeps true: what nobody lists is reached over https or ssh at public addresses alone. Never does: resolving names;
//! addresses are handed in where a connection is made.

use std::{
    collections::BTreeMap,
    error::Error as StdError,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
};

use thiserror::Error;

use super::{
    address::{Address, AddressPattern, Scheme},
    name::CredentialName,
};

/// What the controller's operator allows sources.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceAccess {
    pub credentials: BTreeMap<CredentialName, Credential>,
    /// What any source may reach besides public addresses over https and ssh.
    pub reach: Vec<AddressPattern>,
}

/// What lets a source in, and at which addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    pub secret: Secret,
    pub addresses: Vec<AddressPattern>,
}

/// A file on the machine that runs evenkeel. It is read at each use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// Holds a token, for HTTPS.
    Token(PathBuf),
    /// A private key, for SSH.
    SshKey(PathBuf),
    /// Logins by host, for HTTPS.
    Netrc(PathBuf),
}

impl Secret {
    /// As the key of the file that names it.
    pub fn kind(&self) -> &'static str {
        match self {
            Secret::Token(_) => "token_file",
            Secret::SshKey(_) => "ssh_key",
            Secret::Netrc(_) => "netrc",
        }
    }

    /// Whether it can let anybody in at such an address.
    pub fn is_for(&self, scheme: Scheme) -> bool {
        match self {
            Secret::Token(_) | Secret::Netrc(_) => matches!(scheme, Scheme::Https | Scheme::Http),
            Secret::SshKey(_) => scheme == Scheme::Ssh,
        }
    }
}

/// What one source may reach, and where its credential goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Listed for all.
    pub reach: Vec<AddressPattern>,
    /// Listed for the credential that the source names.
    pub carried: Vec<AddressPattern>,
}

/// To which IP addresses a connection may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Anywhere,
    /// Private networks too; neither this machine nor its link, where a cloud's metadata service is.
    OtherMachines,
    Public,
}

/// Why a source is not reached.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OutOfReach {
    #[error("{address} lies on the machine that runs evenkeel")]
    File { address: String },
    #[error("{address} is plain http")]
    PlainHttp { address: String },
    #[error("{host} leads to {ip}, {range}")]
    Range { host: String, ip: IpAddr, range: &'static str },
    #[error("{host} is a name of a private network")]
    Name { host: String },
    #[error("it leads to an address that is none")]
    NoAddress,
}

impl OutOfReach {
    /// The one that made `error` happen, where it is one.
    pub fn within(error: &(dyn StdError + 'static)) -> Option<Self> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(found) = error.downcast_ref() {
                return Some(Self::clone(found));
            }
            cause = error.source();
        }
        None
    }

    /// The next move, for who runs evenkeel.
    pub fn hint(&self) -> String {
        "where that is meant, list the address under `reach` in the file given with --credentials".to_owned()
    }
}

impl Scope {
    /// Where a connection for `address` may go. Asked anew for each address that a redirect leads to.
    pub fn way(&self, address: &Address) -> Result<Way, OutOfReach> {
        if self.reach.iter().chain(&self.carried).any(|listed| listed.covers(address)) {
            return Ok(Way::Anywhere);
        }
        match address.scheme() {
            Scheme::File => Err(OutOfReach::File { address: address.to_string() }),
            Scheme::Http => Err(OutOfReach::PlainHttp { address: address.to_string() }),
            Scheme::Https | Scheme::Ssh => {
                if let Some(ip) = address.literal() {
                    Way::Public.admit(address.host(), ip)?;
                }
                Ok(Way::Public)
            }
        }
    }

    /// Whether the source's credential goes to `address`.
    pub fn carries(&self, address: &Address) -> bool {
        self.carried.iter().any(|listed| listed.covers(address))
    }
}

impl Way {
    /// Whether `host`, which leads to `ip`, may be connected to there.
    pub fn admit(self, host: &str, ip: IpAddr) -> Result<(), OutOfReach> {
        match (self, reserved(ip)) {
            (Way::Public, Some(range)) => Err(OutOfReach::Range { host: host.to_owned(), ip, range }),
            (Way::OtherMachines, Some(range)) if is_near(ip) => {
                Err(OutOfReach::Range { host: host.to_owned(), ip, range })
            }
            _ => Ok(()),
        }
    }

    /// Those that may be connected to, of all that `host` leads to; an error where there is none among them.
    pub fn admitted<T: Copy>(self, host: &str, all: &[T], ip: impl Fn(T) -> IpAddr) -> Result<Vec<T>, OutOfReach> {
        let judged: Vec<Result<T, OutOfReach>> =
            all.iter().map(|one| self.admit(host, ip(*one)).map(|()| *one)).collect();
        let admitted: Vec<T> = judged.iter().filter_map(|one| one.as_ref().ok().copied()).collect();
        match judged.into_iter().find_map(Result::err) {
            Some(refused) if admitted.is_empty() => Err(refused),
            _ => Ok(admitted),
        }
    }

    /// For a name that somebody else resolves, as a proxy does: all that can be told is what the name says.
    pub fn admit_name(self, host: &str) -> Result<(), OutOfReach> {
        let host = host.trim_end_matches('.');
        let ends = |end: &str| host.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        let is_private = !host.contains('.') || ["localhost", "local", "internal", "home.arpa"].into_iter().any(ends);
        let is_name = host.parse::<IpAddr>().is_err();
        let is_refused = match self {
            Way::Anywhere => false,
            Way::OtherMachines => ends("localhost") || host == GOOGLE_METADATA,
            Way::Public => is_private,
        };
        if is_name && is_refused {
            return Err(OutOfReach::Name { host: host.to_owned() });
        }
        Ok(())
    }
}

/// The one cloud that gives its metadata service a name.
/// <https://cloud.google.com/compute/docs/metadata/querying-metadata>
const GOOGLE_METADATA: &str = "metadata.google.internal";

/// Whether it is this machine or its link, in any clothes.
fn is_near(ip: IpAddr) -> bool {
    let plain = match ip {
        IpAddr::V4(ip) => Some(ip),
        IpAddr::V6(ip) => embedded(ip),
    };
    match (plain, ip) {
        (Some(ip), _) => {
            ip.octets()[0] == 0 || ip.is_loopback() || ip.is_link_local() || ip.is_broadcast() || ip.is_multicast()
        }
        // AWS has its metadata service in the private range, too: fd00:ec2::254.
        (None, IpAddr::V6(ip)) => {
            let [a, b, ..] = ip.segments();
            matches!((a, b), (0, _) | (0xfe80..=0xfeff, _) | (0xff00..=0xffff, _) | (0xfd00, 0x0ec2))
        }
        (None, IpAddr::V4(_)) => false,
    }
}

/// IPv4 in other clothes: mapped, translated (NAT64) and 6to4.
fn embedded(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = ip.segments();
    let (high, low) = match (a, b) {
        (0, 0) if (c, d, e, f) == (0, 0, 0, 0xffff) => (g, h),
        (0x64, 0xff9b) if (c, d, e, f) == (0, 0, 0, 0) => (g, h),
        (0x2002, _) => (b, c),
        _ => return None,
    };
    let ([one, two], [three, four]) = (high.to_be_bytes(), low.to_be_bytes());
    Some(Ipv4Addr::new(one, two, three, four))
}

/// The range that an IP address lies in, where that is no public one.
/// <https://www.iana.org/assignments/iana-ipv4-special-registry> and its neighbour for IPv6.
pub fn reserved(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(ip) => reserved_v4(ip),
        IpAddr::V6(ip) => reserved_v6(ip),
    }
}

fn reserved_v4(ip: Ipv4Addr) -> Option<&'static str> {
    Some(match ip.octets() {
        [0, ..] => "an address of this very network",
        [127, ..] => "a loopback address",
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => "a private address",
        [100, 64..=127, ..] => "an address of a carrier's own network",
        [169, 254, ..] => "a link-local address, where a cloud's metadata service is",
        [192, 0, 0, _] | [192, 88, 99, _] => "an address for protocols",
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => "an address for documentation",
        [198, 18..=19, ..] => "an address for benchmarks",
        [224..=239, ..] => "a multicast address",
        [240..=255, ..] => "a reserved address",
        _ => return None,
    })
}

fn reserved_v6(ip: Ipv6Addr) -> Option<&'static str> {
    if let Some(ip) = embedded(ip) {
        return reserved_v4(ip);
    }
    let [a, b, ..] = ip.segments();
    match (a, b) {
        _ if ip.is_loopback() => Some("a loopback address"),
        (0xfc00..=0xfdff, _) => Some("a private address"),
        (0xfe80..=0xfeff, _) => Some("a link-local address"),
        (0xff00..=0xffff, _) => Some("a multicast address"),
        (0x2001, 0x0db8) | (0x3fff, 0..=0x0fff) => Some("an address for documentation"),
        (0x2001, 0..=0x01ff) => Some("an address for protocols"),
        (0x2000..=0x3fff, _) => None,
        _ => Some("a reserved address"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_reserved(text: &str) -> bool {
        reserved(text.parse().expect("an IP address")).is_some()
    }

    #[test]
    fn addresses_that_are_not_public_are_told_in_all_their_clothes() {
        for inner in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.5",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::a00:5",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "100::1",
            "5f00::1",
        ] {
            assert!(is_reserved(inner), "{inner}");
        }
        for public in [
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "140.82.121.4",
            "::ffff:140.82.121.4",
            "64:ff9b::8c52:7904",
            "2606:4700::1111",
            "2a00:1450:4001::1",
        ] {
            assert!(!is_reserved(public), "{public}");
        }
    }

    #[test]
    fn of_several_addresses_the_public_ones_are_connected_to() {
        let ips: Vec<IpAddr> = ["10.0.0.1", "140.82.121.4"].map(|ip| ip.parse().expect("one")).into();
        let own = |ip: IpAddr| ip;
        assert_eq!(Way::Public.admitted("h", &ips, own), Ok(vec![ips[1]]));
        assert_eq!(Way::Anywhere.admitted("h", &ips, own), Ok(ips.clone()));
        assert!(matches!(Way::Public.admitted("h", &ips[..1], own), Err(OutOfReach::Range { .. })));
        assert_eq!(Way::Public.admitted("h", &[], own), Ok(Vec::new()));
    }

    #[test]
    fn a_name_of_a_private_network_is_told_where_a_proxy_resolves_it() {
        for private in ["localhost", "a.localhost", "metadata.google.internal", "printer.local", "vault", "x.local."] {
            assert!(Way::Public.admit_name(private).is_err(), "{private}");
            assert!(Way::Anywhere.admit_name(private).is_ok(), "{private}");
        }
        for public in ["github.com", "notlocalhost.example", "internal.example.org", "2606:4700::1111"] {
            assert!(Way::Public.admit_name(public).is_ok(), "{public}");
        }
    }

    #[test]
    fn other_machines_are_neither_this_one_nor_its_link() {
        let near = |text: &str| Way::OtherMachines.admit("h", text.parse().expect("an IP address")).is_err();
        for ip in [
            "0.0.0.0",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "255.255.255.255",
            "224.0.0.251",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
        ] {
            assert!(near(ip), "{ip}");
        }
        for ip in ["10.0.0.5", "172.16.0.1", "192.168.1.1", "100.64.0.1", "1.1.1.1", "fd00::2", "2606:4700::1111"] {
            assert!(!near(ip), "{ip}");
        }
        for (name, is_admitted) in [
            ("localhost", false),
            ("a.localhost.", false),
            ("metadata.google.internal", false),
            ("npm.corp.internal", true),
            ("registry", true),
        ] {
            assert_eq!(Way::OtherMachines.admit_name(name).is_ok(), is_admitted, "{name}");
        }
    }
}
