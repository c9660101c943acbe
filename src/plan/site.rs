//! nginx: when it is reloaded, and the default site that a site may replace.

use super::{instance::Differ, rollout::Tier};
use crate::model::{
    desired::{DesiredNginx, Resource},
    nginx::LiveNginx,
    paths,
    plan::{Action, Before},
    seen::Seen,
};

impl Differ<'_> {
    pub(super) fn nginx(&mut self) {
        let Some(nginx) = self.desired.nginx.clone() else {
            self.release_nginx();
            return;
        };
        self.replaced_by_sites();
        let unlinks = self.desired.replaces_default && self.unlink_default();
        let live = self.live;
        let live = match &live.nginx {
            Seen::Known(live) => Some(live),
            Seen::Absent => None,
            Seen::Unknown(why) => {
                self.unknown.push(format!("nginx: {why}"));
                return;
            }
        };
        if live.is_some() {
            self.nginx_enabled();
        }
        if let Some(reason) = self.reload_reason(&nginx, live, unlinks) {
            let address = self.inputs.fleet.instances.get(self.name()).map(|instance| instance.address);
            let action = Action::ReloadNginx {
                digest: nginx.digest,
                port: nginx.digest_port,
                address,
                sites: nginx.sites.clone(),
            };
            self.change(Tier::Traffic, &Resource::Nginx, action, reason);
        }
        if let Some(live) = live {
            self.served(&nginx, live);
        }
    }

    fn reload_reason(&mut self, nginx: &DesiredNginx, live: Option<&LiveNginx>, unlinks: bool) -> Option<String> {
        if unlinks || self.changes_nginx_files() {
            return Some("its files change".to_owned());
        }
        let Some(live) = live else { return Some("it is installed by this plan".to_owned()) };
        if let Some(path) = self.changed_certificate() {
            return Some(format!("{path} has changed since nginx read it"));
        }
        if !live.running {
            return Some("it should run and does not".to_owned());
        }
        match &live.digest {
            Seen::Known(digest) if *digest == nginx.digest => None,
            Seen::Known(_) => Some("drift: it serves an older configuration than its files".to_owned()),
            Seen::Absent => Some("drift: it does not serve the files that lie there".to_owned()),
            Seen::Unknown(why) => {
                self.unknown.push(format!("what nginx serves: {why}"));
                None
            }
        }
    }

    fn changes_nginx_files(&self) -> bool {
        let owned = self.owned.files.keys().filter(|path| !self.desired.files.contains_key(*path));
        let removed = owned.into_iter().any(|path| is_nginx(&self.resource(path)));
        removed
            || self.changes.iter().any(|step| {
                is_nginx(&step.resource) && matches!(step.action, Action::WriteFile { .. } | Action::RemoveFile { .. })
            })
    }

    /// The last site has gone: nginx goes on, without our files.
    fn release_nginx(&mut self) {
        if self.owned.files.keys().any(|path| is_nginx(&self.resource(path))) {
            let reason = "no site is declared on this instance any more";
            self.change(Tier::Traffic, &Resource::Nginx, Action::ReleaseNginx, reason);
        }
    }

    /// Units that had nginx's ports before.
    fn replaced_by_sites(&mut self) {
        for (site, units) in &self.desired.replaces {
            let resource = Resource::Site(site.clone());
            self.replaced(units, &Tier::Traffic, &resource, &resource.to_string());
        }
    }

    fn unlink_default(&mut self) -> bool {
        let path = paths::NGINX_DEFAULT;
        // The one foreign path that may be touched: the site asks for it by `replaces_default`.
        let Some(before) = self.before(path, true).filter(|before| *before != Before::Absent) else { return false };
        let action = Action::RemoveFile { path: path.to_owned(), before };
        self.change(Tier::Traffic, &Resource::Nginx, action, "a site declares replaces_default; undo restores it");
        true
    }

    fn resource(&self, path: &str) -> Resource {
        paths::resource_of(&self.inputs.fleet.name, path)
    }
}

fn is_nginx(resource: &Resource) -> bool {
    matches!(resource, Resource::Site(_) | Resource::Nginx)
}
