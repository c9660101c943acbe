//! Certificates that sites are served with: files of others, which must be there and fit before nginx is
//! told of them, and whose change nginx has to be told of.
//!
//! Certificates are not ours: the manifest holds the digest that each had when nginx read it last, and another one is
//! a reason to reload.

use super::instance::{Differ, NOT_ASKED};
use crate::model::{
    finding::{Code, Finding},
    fleet::Certificate,
    name::SiteName,
    observation::{Checked, LiveCertificate},
    seen::Seen,
};

/// Whoever renews by hand has time until then, and what renews by itself has failed for a while.
const SOON: i64 = 21 * 24 * 3600;

impl Differ<'_> {
    pub(super) fn certificates(&mut self) {
        for (site, certificate) in &self.desired.certificates {
            match self.live.certificates.get(certificate) {
                Some(Seen::Known(live)) => self.certificate(site, certificate, live),
                Some(Seen::Unknown(why)) => self.unknown.push(format!("{}: {why}", certificate.certificate)),
                Some(Seen::Absent) | None => self.unknown.push(format!("{}: {NOT_ASKED}", certificate.certificate)),
            }
        }
    }

    /// A certificate that is another than nginx read last.
    pub(super) fn changed_certificate(&self) -> Option<&String> {
        self.after
            .certificates
            .iter()
            .find(|(path, digest)| self.owned.certificates.get(*path) != Some(digest))
            .map(|(path, _)| path)
    }

    fn certificate(&mut self, site: &SiteName, pair: &Certificate, live: &LiveCertificate) {
        let Certificate { certificate, key } = pair;
        let mut usable = true;
        let key_seen = live.key.unknown().map(str::to_owned);
        for (path, what, is_absent, unreadable) in [
            (certificate, "certificate", live.digest.is_absent(), live.digest.unknown().map(str::to_owned)),
            (key, "key", live.key.is_absent(), key_seen),
        ] {
            if is_absent {
                usable = false;
                let message = format!("{path}, the {what} of site/{site}, does not exist");
                let hint = "put it there first; an ACME client gets one while the site has `acme_root` and no `tls`";
                self.tls(Code::NoCertificate, message, hint);
            } else if let Some(why) = unreadable {
                usable = false;
                let message = format!("{path}, the {what} of site/{site}: {why}");
                self.tls(Code::UnreadableCertificate, message, "name a file in PEM, or a link to one");
            }
        }
        if let Seen::Known(digest) = &live.digest {
            self.after.certificates.insert(certificate.clone(), *digest);
        }
        match &live.checked {
            _ if !usable => {}
            Seen::Known(checked) => self.checked(site, pair, checked),
            Seen::Unknown(why) => {
                let message = format!("the certificate of site/{site} cannot be used: {why}");
                self.tls(Code::UnreadableCertificate, message, "both must be PEM, the key without a passphrase");
            }
            Seen::Absent => {
                let message =
                    format!("nobody knows whether {key} belongs to {certificate}, and until when it is valid");
                let hint =
                    format!("openssl is not there: declare `packages: [openssl]` in instances/{}.yaml", self.name());
                self.findings.push(Finding::warning(Code::UncheckedCertificate, message).on(self.name()).hint(hint));
            }
        }
    }

    fn checked(&mut self, site: &SiteName, pair: &Certificate, checked: &Checked) {
        let Certificate { certificate, key } = pair;
        if !checked.belong_together {
            let message = format!("{key} is not the key of {certificate}, the certificate of site/{site}");
            self.tls(Code::WrongKey, message, "name the two that were made together");
        }
        let domain = self.inputs.fleet.sites.get(site).map(|site| site.domain.as_str()).unwrap_or_default();
        if !checked.names.iter().any(|name| covers(name, domain)) {
            let names = if checked.names.is_empty() { "no name".to_owned() } else { checked.names.join(", ") };
            let message =
                format!("{certificate}, the certificate of site/{site}, is for {names}, and the site is {domain}");
            let hint = "name a certificate for that domain: browsers refuse this one";
            self.findings.push(Finding::warning(Code::CertificateNames, message).on(self.name()).hint(hint));
        }
        if checked.seconds_left <= 0 {
            let message = format!("{certificate}, the certificate of site/{site}, has ended on {}", checked.until);
            self.tls(Code::EndedCertificate, message, "renew it; then plan again");
        } else if checked.seconds_left < SOON {
            let message = format!("{certificate}, the certificate of site/{site}, ends on {}", checked.until);
            let hint = "renew it; evenkeel reloads nginx when the file changes";
            self.findings.push(Finding::warning(Code::CertificateEnds, message).on(self.name()).hint(hint));
        }
    }

    fn tls(&mut self, code: Code, message: String, hint: &str) {
        self.findings.push(Finding::error(code, message).on(self.name()).hint(hint));
    }
}

/// `*.` stands for one label, and only at the beginning (RFC 6125, 6.4.3).
fn covers(name: &str, domain: &str) -> bool {
    name == domain
        || name.strip_prefix("*.").is_some_and(|rest| domain.split_once('.').is_some_and(|(_, parent)| parent == rest))
}
