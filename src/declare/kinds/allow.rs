//! `allow` of `fleet.yaml` and of instances.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{PackagePattern, PathPattern, UnitPattern, UserName};
use crate::{
    declare::{de::At, file::Span},
    model::grants::{Grants, Request},
};

/// What services and sites may ask of root. A list that is not given leaves what is safe without one.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// Users that services run as, beside `defaults.user`. `root` needs to be named here in any case.
    pub users: Option<At<Vec<At<UserName>>>>,
    /// Files that services name as `env_file`, beside those below `/etc/evenkeel.d/<fleet>/<service>/`.
    pub env_files: Option<At<Vec<At<PathPattern>>>>,
    /// Files that services name as `run.python.netrc`, beside those below `/etc/evenkeel.d/<fleet>/<service>/`.
    pub netrc: Option<At<Vec<At<PathPattern>>>>,
    /// Units that services may replace; every unit that a host does not need if not given.
    pub replaces: Option<At<Vec<At<UnitPattern>>>>,
    /// Certificates and keys of sites; those below `/etc/ssl/` and `/etc/letsencrypt/live/` if not given.
    pub tls: Option<At<Vec<At<PathPattern>>>>,
    /// Folders that sites name as `acme_root`; those below `/srv/`, `/var/www/`, `/var/lib/acme/` and
    /// `/var/lib/letsencrypt/` if not given.
    pub acme: Option<At<Vec<At<PathPattern>>>>,
    /// Packages that instances name; every package if not given.
    pub packages: Option<At<Vec<At<PackagePattern>>>>,
}

/// A list as it is written: where it stands, and its entries with their places.
pub struct WrittenList<'a> {
    pub request: Request,
    pub span: Span,
    pub entries: Vec<(&'a str, Span)>,
}

impl Allow {
    /// The lists that are given.
    pub fn lists(&self) -> Vec<WrittenList<'_>> {
        fn list<'a, T: std::ops::Deref<Target = str>>(
            request: Request,
            written: Option<&'a At<Vec<At<T>>>>,
        ) -> Option<WrittenList<'a>> {
            let written = written?;
            let entries = written.iter().map(|entry| (&*entry.value, entry.span)).collect();
            Some(WrittenList { request, span: written.span, entries })
        }
        let lists = [
            list(Request::Users, self.users.as_ref()),
            list(Request::EnvFiles, self.env_files.as_ref()),
            list(Request::Netrc, self.netrc.as_ref()),
            list(Request::Replaces, self.replaces.as_ref()),
            list(Request::Tls, self.tls.as_ref()),
            list(Request::Acme, self.acme.as_ref()),
            list(Request::Packages, self.packages.as_ref()),
        ];
        lists.into_iter().flatten().collect()
    }

    /// As values, without their places.
    pub fn grants(&self) -> Grants {
        let owned = |list: WrittenList<'_>| {
            (list.request, list.entries.iter().map(|(entry, _)| (*entry).to_owned()).collect::<Vec<_>>())
        };
        Grants(self.lists().into_iter().map(owned).collect::<BTreeMap<_, _>>())
    }
}
