//! What the probe says of certificates: lines `CERTIFICATE<tab>KEY<tab>LIES LIES CHECKED`, what lies at
//! either path and what openssl says of the two.

use std::collections::BTreeMap;

use chrono::NaiveDateTime;

use super::{ProbeRequest, Sections};
use crate::model::{
    digest::Digest,
    fleet::Certificate,
    observation::{Checked, LiveCertificate},
    seal::Key,
    seen::Seen,
};

pub(super) fn certificates(
    sections: &Sections,
    question: &ProbeRequest,
    key: &Key,
) -> BTreeMap<Certificate, Seen<LiveCertificate>> {
    let told = sections.told("certificates");
    let now = sections.told("now").ok().and_then(|now| now.trim().parse().ok());
    let seen = |pair: &Certificate| match &told {
        Err(why) => Seen::Unknown(why.clone()),
        Ok(text) => {
            let prefix = format!("{}\t{}\t", pair.certificate, pair.key);
            let said = text.lines().find_map(|line| line.strip_prefix(&prefix));
            let live = said.and_then(|said| {
                live(pair, said, digest(sections, &pair.certificate).map(|digest| key.seal(&digest)), now)
            });
            live.map_or_else(|| Seen::Unknown(format!("nothing was said of {}", pair.certificate)), Seen::Known)
        }
    };
    question.certificates.iter().map(|pair| (pair.clone(), seen(pair))).collect()
}

fn digest(sections: &Sections, path: &str) -> Option<Digest> {
    let mut lines = sections.one("digests")?.lines().filter_map(|line| line.split_once("  "));
    lines.find(|(_, of)| *of == path)?.0.parse().ok()
}

fn live(pair: &Certificate, said: &str, digest: Option<Digest>, now: Option<i64>) -> Option<LiveCertificate> {
    let mut words = said.splitn(3, ' ');
    let (certificate, key, checked) = (words.next()?, words.next()?, words.next()?);
    let digest = match (lies(certificate)?, digest) {
        (Seen::Known(()), Some(digest)) => Seen::Known(digest),
        (Seen::Absent, _) => Seen::Absent,
        (Seen::Known(()) | Seen::Unknown(_), _) => Seen::Unknown(UNREADABLE.to_owned()),
    };
    let checked = match checked {
        "-" | "no-openssl" => Seen::Absent,
        "no-certificate" => Seen::Unknown(format!("openssl reads no certificate in {}", pair.certificate)),
        "no-key" => Seen::Unknown(format!("openssl reads no key in {}, or one with a passphrase", pair.key)),
        said => Seen::Known(self::checked(said, now?)?),
    };
    Some(LiveCertificate { digest, key: lies(key)?, checked })
}

const UNREADABLE: &str = "it is no file that can be read";

fn lies(word: &str) -> Option<Seen<()>> {
    Some(match word {
        "there" => Seen::Known(()),
        "absent" => Seen::Absent,
        "unreadable" => Seen::Unknown(UNREADABLE.to_owned()),
        _ => return None,
    })
}

/// `same|other Nov 21 16:47:49 2027 GMT<tab>NAMES`, where a day of one digit has a space before it.
fn checked(said: &str, now: i64) -> Option<Checked> {
    let (said, names) = said.split_once('\t').unwrap_or((said, ""));
    let (belong, until) = said.split_once(' ')?;
    let end = NaiveDateTime::parse_from_str(until, "%b %e %H:%M:%S %Y GMT").ok()?;
    let seconds_left = end.and_utc().timestamp().checked_sub(now)?;
    Some(Checked { belong_together: belong == "same", until: until.to_owned(), seconds_left, names: names_in(names) })
}

/// `DNS:a.test, DNS:*.b.test, IP Address:192.0.2.1`, or `subject=CN=a.test,O=x` where a certificate has no such names:
/// then some clients go by that.
fn names_in(text: &str) -> Vec<String> {
    let of = |text: &str, separator: char, kind: &str| -> Vec<String> {
        let parts = text.split(separator).map(str::trim);
        parts.filter_map(|part| part.strip_prefix(kind)).map(str::to_ascii_lowercase).collect()
    };
    match text.strip_prefix("subject=") {
        Some(subject) => of(subject, ',', "CN="),
        None => of(text, ',', "DNS:"),
    }
}
